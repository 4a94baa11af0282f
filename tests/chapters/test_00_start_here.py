"""What the start page claims."""

from tests.chapters.claims import Chapter

METHODS = ("pixels_lr", "random_encoder", "supervised_aug", "simclr_probe")


class TestStartHere(Chapter):
    REAL = {
        "digits": {
            "balanced_accuracy/pixels_lr@40": (0.75, 0.85),
            "balanced_accuracy/random_encoder@40": (0.48, 0.64),
            "balanced_accuracy/supervised_aug@40": (0.79, 0.92),
            "balanced_accuracy/simclr_probe@40": (0.86, 0.95),
            "error_reduction/simclr_probe_vs_best_other@40.high": (0.0, 1.0),
            "seconds/chapter": (5, 600),
        },
    }
    RECORDED = {
        "digits": [f"balanced_accuracy/{method}@{budget}" for method in METHODS for budget in (20, 40, 100, 1078)]
        + ["error_reduction/simclr_probe_vs_best_other@40", "seconds/chapter"],
    }
