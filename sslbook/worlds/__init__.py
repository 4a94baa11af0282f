"""Simulated stand-ins, one file per industry."""
