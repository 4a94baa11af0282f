"""What the chapter on driving scenes claims, and a run of it on a foreign folder."""

import math

from sslbook.domains.driving.data import CLASSES
from tests.chapters.claims import Chapter, own_data, real_data

SCENES = (
    "position_prior", "pixels_lr", "colour_trees", "random_encoder", "random_plus_raw", "supervised", "ssl_probe",
    "ssl_plus_raw", "ssl_finetuned",
)  # fmt: skip
FORETELLERS = ("constant_velocity", "constant_turn_rate", "ridge", "same_net_60_tracks", "masked_future")


class TestDrivingScenes(Chapter):
    REAL = {
        "camvid": {
            "mean_iou/position_prior@20": (0.14, 0.20),
            "mean_iou/pixels_lr@20": (0.22, 0.31),
            "mean_iou/colour_trees@20": (0.20, 0.29),
            "mean_iou/random_encoder@20": (0.15, 0.22),
            "mean_iou/supervised@20": (0.18, 0.28),
            "mean_iou/supervised_long@20": (0.25, 0.34),
            "mean_iou/ssl_plus_raw@20": (0.21, 0.30),
            "mean_iou/ssl_finetuned@20": (0.19, 0.28),
            # Pretraining is no match for patience, and adds little to it.
            "lift/ssl_vs_supervised@20": (-0.12, 0.25),
            "lift/ssl_vs_supervised_long@20": (-math.inf, 0.0),  # of two draws: a figure, not yet a verdict
            "lift/ssl_long_vs_supervised_long@20": (-0.12, 0.15),
            # A shared drive flatters everybody.
            "leak/official_minus_honest_pixels_lr@20": (0.02, 0.10),
            "leak/shared_drive_pixels_lr@20": (0.06, 0.24),
            "leak/shared_drive_ssl_plus_raw@20": (0.06, 0.28),
            "pairs_per_second/pretrain": (2, math.inf),
            "peak_memory/chapter": (100, 9216),
            "seconds/chapter": (10, 2400),
        },
    }
    SIMULATED = {
        "camvid": {
            "mean_iou/position_prior@20": (0.10, 0.35),
            "mean_iou/pixels_lr@20": (0.20, 0.50),
            "mean_iou/colour_trees@20": (0.20, 0.50),
            "mean_iou/supervised@20": (0.15, 0.60),
            "mean_iou/ssl_finetuned@20": (0.15, 0.60),
            "peak_memory/chapter": (100, 9216),
            "seconds/chapter": (10, 1800),
        },
        "tracks": {  # simulated in every run
            "ade/constant_velocity": (3.2, 3.4),
            "ade/ridge": (2.2, 2.35),
            "ade/masked_future": (1.5, 2.1),
            "ade/same_net_60_tracks": (2.6, 6.0),
        },
    }
    SMOKE = {
        "camvid": {
            "mean_iou/position_prior@20": (0.10, 0.35),
            "mean_iou/pixels_lr@20": (0.20, 0.50),
            "mean_iou/colour_trees@20": (0.20, 0.50),
            "mean_iou/ssl_finetuned@20": (0.0, 0.60),
            "peak_memory/chapter": (100, 9216),
        },
        "tracks": {
            "ade/constant_velocity": (3.2, 3.4),
            "ade/ridge": (2.2, 2.35),
        },
    }
    RECORDED = {
        "camvid": [
            f"{metric}/{method}@{budget}"
            for metric in ("mean_iou", "vulnerable_iou")
            for method in SCENES
            for budget in (5, 10, 20, 50, 100, "all")
        ]
        + [f"mean_iou_official/{method}@20" for method in ("pixels_lr", "ssl_plus_raw", "ssl_finetuned")]
        + [f"lift/{pair}@{b}" for pair in ("ssl_vs_supervised", "ssl_vs_supervised_long") for b in (10, 20)]
        + [
            "mean_iou/supervised_long@10",
            "mean_iou/supervised_long@20",
            "lift/ssl_long_vs_supervised_long@20",
            "people_difference/ssl_vs_supervised@50",
            "labels_saved/ssl@20",
            "leak/official_minus_honest_pixels_lr@20",
            "leak/official_minus_honest_ssl_finetuned@20",
            "pairs_per_second/pretrain",
            "seconds/chapter",
        ],
        "tracks": [f"{metric}/{method}" for metric in ("ade", "fde") for method in FORETELLERS],
    }

    @own_data("samples/camvid")
    def test_a_foreign_folder(self, tmp_path):
        """The official layout with few frames, its own void."""
        own = {"OWN_DATA": str(real_data("samples/camvid")), "OWN_CLASSES": ",".join(CLASSES), "OWN_VOID": 11}
        records = self.own_records("own_mean_iou", own, tmp_path)
        assert {r["source"] for r in records} == {"real"}
        scores = {r["name"].split("/")[1]: r["value"] for r in records}
        assert scores.keys() == {"pixels_lr@all", "ssl_plus_raw@all"}
        assert 0.15 < scores["pixels_lr@all"] < 1, "six frames are enough for road and sky"
