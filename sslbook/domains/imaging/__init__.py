"""Medical imaging: pictures with labels, by patient or site."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["ImageSplit", "Images"],
        "duplicates": ["duplicates", "without_copies"],
        "methods": ["pixels"],
        "slices": ["hand_made", "position", "slice_pairs"],
    },
)
