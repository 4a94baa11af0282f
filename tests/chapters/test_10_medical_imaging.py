"""What the chapter on medical imaging claims, and a run of it on a foreign folder."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

METHODS = ("pixels_lr", "random_encoder", "supervised_aug", "simclr_probe", "simclr_finetuned")


class TestMedicalImaging(Chapter):
    FULL = {
        "pneumoniamnist": {
            # Pretraining beats what needs no network, and helps the same network with few labels ...
            "auc_difference/simclr_probe_vs_pixels_lr@47.low": (0.0, math.inf),
            "auc_difference/simclr_probe_vs_random_encoder@47.low": (0.0, math.inf),
            "auc_difference/pretrained_vs_random_start@47.low": (0.0, math.inf),
            # ... and not with all of them.
            "auc_difference/pretrained_vs_random_start@4708.high": (-math.inf, 0.01),
            # A pretext that does not look into the lungs.
            "auc/rotation_probe@47.high": (-math.inf, 0.85),
        },
    }
    REAL = {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "peak_memory/chapter": (100, 2048),
            "images_per_second/pretrain_simclr": (300, math.inf),
            "seconds/chapter": (10, 2400),
        },
    }
    SIMULATED = {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "auc_difference/simclr_probe_vs_random_encoder@47.low": (0.0, math.inf),
            "peak_memory/chapter": (100, 2048),
            "seconds/chapter": (10, 1500),
        },
    }
    SMOKE = {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "auc/pixels_lr@47": (0.76, 0.88),
            "auc/random_encoder@47": (0.62, 0.84),
            "auc/simclr_probe@47": (0.60, 0.96),
            "peak_memory/chapter": (100, 2048),
        },
    }
    RECORDED = {
        "pneumoniamnist": [f"auc/{method}@{budget}" for method in METHODS for budget in (10, 47, 471, 4708)]
        + [
            "auc_difference/simclr_probe_vs_best_other@47",
            "auc_difference/pretrained_vs_random_start@47",
            "balanced_accuracy_difference/simclr_probe_vs_best_other@47",
            "labels_saved/simclr_probe",
            "seconds/pretrain_simclr",
            "images_per_second/pretrain_simclr",
            "seconds/chapter",
        ],
    }

    @own_data("samples/brain_mri")
    def test_a_foreign_folder(self, tmp_path):
        own = self.own_records("own_auc", {"OWN_DATA": str(real_data("samples/brain_mri"))}, tmp_path)
        assert {r["source"] for r in own} == {"real"}
        assert {r["name"].split("/")[1].split("@")[0] for r in own} >= {"pixels_lr", "simclr_probe"}
        assert all(0 <= r["value"] <= 1 for r in own)
