"""What the chapter on medical imaging claims, and a run of it on a foreign folder."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

METHODS = ("pixels_lr", "pca_lr", "random_encoder", "lite0_probe", "simclr_probe", "simclr_plus_lite0")
SCAN_RIVALS = ("slice_position", "pixels_lr", "hand_made", "random_encoder")
SCAN_METHODS = (*SCAN_RIVALS, "lite0_probe", "simclr_probe", "simclr_plus_lite0")
NETWORKS = ("supervised_aug", "simclr_finetuned")


class TestMedicalImaging(Chapter):
    FULL = {
        "pneumoniamnist": {
            # X-rays: own pretraining beats pixels, borrowed weights and, by little, the network from random weights ...
            "auc_difference/simclr_finetuned_vs_same_network@47.low": (0.0, math.inf),
            "auc_difference/simclr_probe_vs_pixels_lr@47.low": (0.0, math.inf),
            "auc_difference/simclr_probe_vs_supervised_aug@47.low": (0.0, math.inf),
            "auc_difference/simclr_probe_vs_lite0_probe@47.low": (0.0, math.inf),
            # ... but not where the test comes from the training's folder, and not with any pretext.
            "validation_auc_difference/simclr_probe_vs_supervised_aug@47.high": (-math.inf, 0.01),
            "auc_difference/rotation_vs_random_encoder@47.high": (-math.inf, 0.0),
        },
        "lgg_mri": {
            # Scans: a small network from random weights, trained long enough, needs no pretraining ...
            "mri_auc_difference/best_own_vs_best_without@8.high": (-math.inf, 0.01),
            "mri_auc_difference/simclr_finetuned_vs_same_network@8.high": (-math.inf, 0.01),
            "mri_auc_difference/simclr_probe_vs_supervised_aug@8.high": (-math.inf, 0.0),
            # ... and among frozen features own and borrowed complement each other, with many patients.
            "mri_auc_difference/own_and_borrowed_vs_borrowed@75.low": (0.0, math.inf),
            "mri_auc_difference/simclr_probe_vs_pixels_lr@8.low": (0.0, math.inf),
        },
    }
    REAL = {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "peak_memory/chapter": (100, 1536),
            "seconds/chapter": (10, 1500),
        },
        "lgg_mri": {"mri_auc/slice_position@75": (0.86, 0.91)},
    }
    SIMULATED = {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "peak_memory/chapter": (100, 1536),
            "seconds/chapter": (10, 900),
        },
    }
    SMOKE = {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "auc/pixels_lr@47": (0.76, 0.88),
            "auc/random_encoder@47": (0.62, 0.84),
            "auc/simclr_probe@47": (0.60, 0.96),
            "peak_memory/chapter": (100, 1536),
        },
        "lgg_mri": {"mri_auc/slice_position@8": (0.5, 0.95)},
    }
    RECORDED = {
        "pneumoniamnist": [f"auc/{method}@{budget}" for method in METHODS for budget in (10, 47, 471)]
        + [f"{metric}/{method}@47" for method in (*METHODS, *NETWORKS) for metric in ("auc", "log_loss")]
        + [
            "auc_difference/simclr_finetuned_vs_same_network@47",
            "auc_difference/simclr_probe_vs_supervised_aug@47",
            "auc_difference/simclr_probe_vs_lite0_probe@47",
            "log_loss_difference/simclr_probe_vs_supervised_aug@47",
            "labels_saved/simclr_probe",
            "seconds/pretrain_xrays",
            "seconds/chapter",
            "peak_memory/chapter",
        ],
        "lgg_mri": [f"mri_auc/{method}@{budget}" for method in SCAN_METHODS for budget in (2, 8)]
        + [
            "mri_auc_difference/simclr_probe_vs_lite0_probe@8",
            "mri_auc_difference/own_and_borrowed_vs_borrowed@8",
            "mri_auc_difference/student_vs_borrowed@8",
            "mri_labels_saved/simclr_probe",
        ]
        + [f"mri_error_reduction/own_and_borrowed_vs_{rival}@8" for rival in SCAN_RIVALS[:3]],
    }

    def test_the_full_study_has_what_takes_too_long_for_a_reader(self):
        found = {r["name"] for r in self.full_study()["records"]}
        assert {f"mri_auc/{method}@8" for method in (*NETWORKS, "neighbours_probe", "lite0_finetuned")} <= found
        assert {"auc/vicreg_probe@47", "auc/rotation_probe@47", "ablation_auc/preset@118"} <= found
        assert {f"auc_difference/simclr_finetuned_vs_same_network@{budget}" for budget in (47, 471, 4697)} <= found
        assert {f"mri_development_auc/{method}@8" for method in (*SCAN_METHODS, *NETWORKS)} <= found
        assert found >= {
            "mri_auc_difference/best_own_vs_best_without@8",
            "mri_auc_difference/simclr_finetuned_vs_same_network@8",
            "mri_error_reduction/best_pretrained_vs_best_other@8",
            "validation_auc_difference/simclr_probe_vs_supervised_aug@47",
        }

    def test_every_network_of_the_full_study_was_at_its_plateau(self):
        found = {r["name"]: r["value"] for r in self.full_study()["records"]}
        for name in NETWORKS:
            longer, taken = (found[f"mri_development_auc/{name}{more}@8"] for more in ("_longer", ""))
            assert longer - taken < 0.01, name
        for start in ("random_weights", "own_weights"):
            first, *others = (found[f"steps_auc/{start}_mild_crops_{steps}_steps@47"] for steps in (60, 120, 240))
            assert max(others) - first < 0.005, start

    @own_data("samples/brain_mri")
    def test_a_foreign_folder(self, tmp_path):
        own = self.own_records("own_auc", {"OWN_DATA": str(real_data("samples/brain_mri"))}, tmp_path)
        assert {r["source"] for r in own} == {"real"}
        assert {r["name"].split("/")[1].split("@")[0] for r in own} >= {"pixels_lr", "lite0_probe", "simclr_probe"}
        assert all(0 <= r["value"] <= 1 for r in own)
