"""What the chapter on fraud claims, and a run of it on a foreign table."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

ROWS = (
    "prevalence", "logistic_regression", "lightgbm", "isolation_forest", "mlp_corruption", "scarf_probe",
    "masked_probe", "raw_plus_masked", "raw_plus_masked_lightgbm",
)  # fmt: skip
SEQUENCES = (
    "prevalence", "aggregates_lr", "aggregates_lightgbm", "random_encoder", "supervised_gru", "coles_probe",
    "surprise_score", "next_event_probe", "aggregates_plus_ssl", "aggregates_plus_ssl_lightgbm",
)  # fmt: skip


class TestFraud(Chapter):
    REAL = {
        "creditcard": {
            "average_precision/rows_prevalence@3": (0.0010, 0.0013),
            "average_precision/rows_logistic_regression@all": (0.68, 0.88),
            "average_precision/rows_isolation_forest@3": (0.01, 0.10),
            # Whitened columns: pretraining buys nothing.
            "difference/raw_plus_masked_vs_best_other@all": (-0.10, 0.02),
        },
    }
    SIMULATED = {
        "creditcard": {
            "average_precision/rows_prevalence@3": (0.0010, 0.0025),
            "average_precision/rows_logistic_regression@all": (0.50, 0.95),
        },
        "cards": {  # simulated in every run
            "average_precision/sequences_prevalence@25": (0.0035, 0.0060),
            "average_precision/sequences_aggregates_lr@25": (0.36, 0.53),
            "average_precision/sequences_supervised_gru@25": (0.005, 0.12),
            "average_precision/sequences_random_encoder@25": (0.004, 0.08),
            "average_precision/sequences_coles_probe@25": (0.01, 0.15),
            "average_precision/sequences_next_event_probe@25": (0.28, 0.50),
            "average_precision/sequences_aggregates_plus_ssl@25": (0.47, 0.67),
            # Surprise adds to what the analyst knows ...
            "lift/aggregates_plus_ssl_vs_best_other@25": (0.10, 0.50),
            "lift/aggregates_plus_ssl_vs_best_other@25.low": (0.0, math.inf),
            "lift/aggregates_plus_ssl_vs_best_other@50.low": (0.0, math.inf),
            # ... and beats the network that has only labels to learn from.
            "lift/next_event_probe_vs_supervised_gru@25.low": (0.25, math.inf),
            # The shortcut: SSL's own score rises, the fraud score falls.
            "shortcut/ssl_metric": (0.60, 0.97),
            "shortcut/ssl_metric_with_device": (0.97, 1.0),
            "shortcut/average_precision_difference.high": (-math.inf, 0.0),
            "events_per_second/encode": (30_000, math.inf),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 2400),
        },
    }
    SMOKE = {
        "creditcard": {
            "average_precision/rows_prevalence@3": (0.0010, 0.0025),
            "average_precision/rows_logistic_regression@all": (0.50, 0.95),
        },
        "cards": {
            "average_precision/sequences_prevalence@25": (0.002, 0.015),
            "average_precision/sequences_aggregates_lr@25": (0.10, 0.80),
            "peak_memory/chapter": (100, 4096),
        },
    }
    RECORDED = {
        "creditcard": [f"average_precision/rows_{method}@{b}" for method in ROWS for b in (3, 10, 30, 100, "all")],
        "cards": [f"average_precision/sequences_{method}@{b}" for method in SEQUENCES for b in (10, 25, 50, 100, 500)]
        + [f"card_precision_at_20/sequences_{method}@25" for method in SEQUENCES]
        + [
            "money_difference/aggregates_plus_ssl_vs_aggregates_lr@25",
            "money_difference/aggregates_plus_ssl_lightgbm_vs_aggregates_lightgbm@25",
            "lift/aggregates_plus_ssl_vs_best_other@25",
            "lift/aggregates_plus_ssl_vs_best_other@50",
            "shortcut/ssl_metric",
            "shortcut/average_precision",
            "seconds/chapter",
        ],
    }

    @own_data("prepared/creditcard_sample.parquet")
    def test_a_foreign_table(self, tmp_path):
        """A table without entities, with times in seconds."""
        own = {"OWN_DATA": str(real_data("prepared/creditcard_sample.parquet")), "OWN_TIME": "Time"}
        own |= {"OWN_LABEL": "Class", "OWN_ENTITY": "", "OWN_DELAY": "1h"}
        records = self.own_records("own_average_precision", own, tmp_path)
        assert {(r["source"], r["dataset"]) for r in records} == {("real", "creditcard_sample")}
        scores = {r["name"].split("/")[1]: r["value"] for r in records}
        assert all(0 <= score <= 1 for score in scores.values())
        assert max(scores.values()) > 0.5, "frauds of this table are easy to rank"
