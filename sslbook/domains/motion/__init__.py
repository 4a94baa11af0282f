"""Motion: where walkers and vehicles were, and where they will be a few seconds later."""

import lazy_loader

# Each module is imported when one of its names is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=("catalog", "crossing", "data", "eth_ucy"),
    submod_attrs={
        "crossing": ["read_crossing"],
        "data": ["FUTURE", "PAST", "STEP", "Tracks", "centred", "windows"],
        "eth_ucy": ["FIVE"],
        "methods": [
            "Forecast",
            "ade",
            "ade_metric",
            "constant_turn_rate",
            "constant_velocity",
            "displacement",
            "fde",
            "fde_metric",
            "future_of",
        ],
    },
)
