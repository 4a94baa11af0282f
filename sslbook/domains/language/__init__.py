"""Language: what a message is about, and which of them is none of the known kinds."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["Texts", "TextSplit"],
        "search": ["ProductSearch"],
    },
)
