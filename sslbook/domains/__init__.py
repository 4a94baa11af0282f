"""One room per industry: its container, its catalog and its methods."""
