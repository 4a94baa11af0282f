"""Credit risk: who will not pay, who is approved, and what both cost."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "data"),
    submod_attrs={
        "data": ["Borrowers"],
        "methods": ["credit_metrics", "expected_loss", "features"],
    },
)
