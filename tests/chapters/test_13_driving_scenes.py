"""What the chapter on driving scenes claims, and a run of it on a foreign folder."""

import math

from sslbook.domains.driving.data import CLASSES
from tests.chapters.claims import Chapter, own_data, real_data

PROBES = ("pixels_lr", "random_encoder", "lite0_probe", "lite0_plus_pixels", "ssl_probe", "ssl_plus_pixels")
NETWORKS = ("scratch", "ssl_finetuned", "lite0_finetuned", "adapted_finetuned")
DOUBLE = ("scratch_double", "lite0_double")
PRETEXTS = ("dense_contrast", "inpainting", "time", "50_frames", "100_frames", "200_frames", "ssl_double")
FORETELLERS = ("constant_velocity", "ridge", "same_network", "masked_tracks")
KINDS = ("fog", "night", "noise", "blur")


class TestDrivingScenes(Chapter):
    FULL = {
        "camvid": {
            # Borrowed weights are worth masks, at every budget, also frozen, and most for what is small ...
            "lift/best_pretrained_vs_best_other@20.low": (0.10, math.inf),
            "lift/lite0_finetuned_vs_scratch@5.low": (0.0, math.inf),
            "lift/lite0_finetuned_vs_scratch@305.low": (0.0, math.inf),
            "lift/lite0_plus_pixels_vs_pixels_lr@20.low": (0.0, math.inf),
            "vulnerable_lift/best_pretrained_vs_best_other@20.low": (0.15, math.inf),
            "labels_saved/best_pretrained@20.low": (0.0, math.inf),
            # ... own pretraining on a few hundred frames is not shown to be, alone or on top of them ...
            "lift/ssl_finetuned_vs_scratch@20.low": (-math.inf, 0.0),
            "lift/adapted_vs_lite0_finetuned@20.low": (-math.inf, 0.0),
            "lift/ssl_plus_pixels_vs_pixels_lr@20.high": (-math.inf, 0.0),
            "vulnerable_lift/ssl_finetuned_vs_scratch@20.low": (-math.inf, 0.0),
            # ... and three masks at dusk are, for dusk only.
            "mean_difference/three_at_dusk_vs_day_only@20.low": (0.0, math.inf),
            "dusk_difference/three_at_dusk_vs_day_only@20.low": (0.0, math.inf),
            "day_difference/three_at_dusk_vs_day_only@20.high": (-math.inf, 0.01),
            "share_kept_difference/fog@4.low": (0.0, math.inf),
            "share_kept_difference/blur@4.high": (-math.inf, 0.0),
        },
        "eth_ucy": {
            # Going straight on is not beaten by 2 cm, and restoring tracks is no gain worth having with all walkers.
            "ade_difference/masked_tracks_vs_constant_velocity@1.low": (0.0, math.inf),
            "ade_difference/masked_tracks_vs_constant_velocity@100.low": (-0.02, math.inf),
            "ade_difference/masked_tracks_vs_same_network@100.low": (-0.02, math.inf),
            "ade_difference/masked_tracks_vs_ridge@100.high": (-math.inf, 0.0),
        },
    }
    REAL = {
        "camvid": {
            "mean_iou/position_prior@20": (0.14, 0.20),
            "mean_iou/pixels_lr@20": (0.22, 0.31),
            "mean_iou/lite0_probe@20": (0.30, 0.42),
            "peak_memory/chapter": (100, 3072),
            "seconds/chapter": (10, 1500),
        },
        "eth_ucy": {
            # The clock of the usual file is wrong, and its people walk too fast.
            "ade_of_scene/constant_velocity_eth": (1.07, 1.08),
            "ade_of_scene/constant_velocity_eth_corrected": (0.67, 0.69),
            "fde_of_scene/constant_velocity_eth": (2.27, 2.29),
        },
    }
    SIMULATED = {
        "camvid": {
            "mean_iou/position_prior@20": (0.10, 0.35),
            "mean_iou/pixels_lr@20": (0.20, 0.50),
            "peak_memory/chapter": (100, 3072),
            "seconds/chapter": (10, 1200),
        },
    }
    SMOKE = {
        "camvid": {
            "mean_iou/position_prior@20": (0.10, 0.35),
            "mean_iou/pixels_lr@20": (0.20, 0.50),
            "mean_iou/lite0_probe@20": (0.15, 0.60),
            "mean_iou/ssl_finetuned@20": (0.0, 0.60),
            "peak_memory/chapter": (100, 3072),
        },
        "eth_ucy": {"ade/constant_velocity@1": (0.5, 6.0)},
    }
    RECORDED = {
        "camvid": [f"{what}/{name}@20" for what in ("mean_iou", "vulnerable_iou") for name in (*PROBES, *NETWORKS)]
        + [f"mean_iou/{name}@{budget}" for name in PROBES for budget in (5, 305)]
        + [f"missed/{name}@20" for name in NETWORKS]
        + [f"{lift}/best_pretrained_vs_best_other@20" for lift in ("lift", "vulnerable_lift")]
        + [
            "lift/adapted_vs_lite0_finetuned@20",
            "lift/ssl_finetuned_vs_scratch@20",
            "lift/lite0_finetuned_vs_scratch@20",
            "labels_saved/best_pretrained@20",
            "mean_difference/three_at_dusk_vs_day_only@20",
            "dusk_difference/three_at_dusk_vs_day_only@20",
            "detection_difference/boxes_vs_masks_at_equal_time",
            "detection_average_precision/detector_on_lite0@400",
            "seconds/pretrain_own",
            "seconds/chapter",
            "peak_memory/chapter",
        ]
        + [f"chosen_iou/{way}@5" for way in ("at_random", "one_of_each_group", "by_drive")]
        + [f"share_kept_difference/{kind}@4" for kind in KINDS],
        "eth_ucy": [f"{what}/{name}@{share}" for what in ("ade", "fde") for name in FORETELLERS for share in (1, 100)]
        + ["ade_difference/masked_tracks_vs_same_network@1"],
    }  # fmt: skip

    def test_the_full_study_has_what_takes_too_long_for_a_reader(self):
        found = {r["name"] for r in self.full_study()["records"]}
        assert {f"mean_iou/{name}@20" for name in (*DOUBLE, *(f"{p}_plus_pixels" for p in PRETEXTS))} <= found
        longest = ("scratch", "lite0_finetuned")
        assert {f"mean_iou/{name}@{budget}" for name in longest for budget in (5, 20, 305)} <= found
        assert {f"development_iou/{name}@20" for name in (*NETWORKS, *DOUBLE, "lite0_scratch", "pixels_lr")} <= found
        assert {f"development_iou/{name}_longer@20" for name in longest} <= found
        assert {"detection_difference/lite0_vs_scratch", "labels_saved/lite0_finetuned@5"} <= found

    def test_the_networks_of_the_verdict_were_near_their_plateau(self):
        """On the other training drive; the mean of two trainings."""
        found = {r["name"]: r["value"] for r in self.full_study()["records"]}
        for name in ("scratch", "lite0_finetuned"):
            longer, taken = (found[f"development_iou/{name}{more}@20"] for more in ("_longer", ""))
            assert longer - taken < 0.02, name

    @own_data("samples/camvid")
    def test_a_foreign_folder(self, tmp_path):
        """The official layout with few frames, its own void."""
        own = {"OWN_DATA": str(real_data("samples/camvid")), "OWN_CLASSES": ",".join(CLASSES), "OWN_VOID": 11}
        records = self.own_records("own_mean_iou", own, tmp_path)
        assert {r["source"] for r in records} == {"real"}
        scores = {r["name"].split("/")[1].split("@")[0]: r["value"] for r in records}
        assert scores.keys() == {"pixels_lr", "lite0_plus_pixels"}
        assert 0.15 < scores["pixels_lr"] < 1, "six frames are enough for road and sky"
        assert math.isfinite(scores["lite0_plus_pixels"])
