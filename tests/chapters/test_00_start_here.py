"""What the start page claims."""

import math

from tests.chapters.claims import Chapter

METHODS = ("pixels_lr", "random_encoder", "supervised_aug", "simclr_probe")


class TestStartHere(Chapter):
    FULL = {
        "digits": {
            # With all labels the supervised network needs no drawer of unlabelled digits.
            "balanced_accuracy_difference/simclr_probe_vs_best_other@1078.high": (-math.inf, 0.01),
        },
    }
    REAL = {"digits": {"seconds/chapter": (5, 600)}}
    RECORDED = {
        "digits": [f"balanced_accuracy/{method}@{budget}" for method in METHODS for budget in (20, 40, 100, 1078)]
        + [f"balanced_accuracy_difference/simclr_probe_vs_best_other@{budget}" for budget in (40, 1078)]
        + ["labels_saved/simclr_probe", "seconds/chapter"],
    }
