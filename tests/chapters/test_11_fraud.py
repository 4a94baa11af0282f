"""What the chapter on fraud and credit risk claims, and a run of it on a foreign table."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

PLAIN = ("prevalence", "aggregates_lr", "aggregates_lightgbm")
SURPRISE = ("surprise_score", "next_event_probe", "aggregates_plus_ssl", "aggregates_plus_ssl_lightgbm")
ROWS = ("logistic_regression", "lightgbm", "raw_plus_masked", "raw_plus_masked_lightgbm")
DAILY = ("cards_found", "euros", "euros_by_amount")
DEFAULTS = (20, 100, 500, 3000)


class TestFraud(Chapter):
    FULL = {
        "cards": {
            # Surprise beside an analyst's numbers finds more cards, and ranks better, with either model ...
            "cards_difference/aggregates_plus_ssl_vs_aggregates_lr@25.low": (0.0, math.inf),
            "cards_difference/aggregates_plus_ssl_lightgbm_vs_aggregates_lightgbm@25.low": (0.0, math.inf),
            "lift/aggregates_plus_ssl_vs_aggregates_lr@25": (0.15, 0.40),
            "lift/aggregates_plus_ssl_vs_aggregates_lr@25.low": (0.0, math.inf),
            "lift/aggregates_plus_ssl_vs_aggregates_lr@50": (0.15, 0.40),
            "lift/aggregates_plus_ssl_vs_aggregates_lr@50.low": (0.0, math.inf),
            "lift/aggregates_plus_ssl_vs_best_other@50.low": (0.0, math.inf),
            "lift/aggregates_plus_ssl_lightgbm_vs_aggregates_lightgbm@25.low": (0.0, math.inf),
            # ... but not shown: euros, in either order of the queue, and AP with many labels, best against best.
            "euros_difference/aggregates_plus_ssl_vs_aggregates_lr@25.low": (-math.inf, 0.0),
            "euros_by_amount_difference/aggregates_plus_ssl_vs_aggregates_lr@25.low": (-math.inf, 0.0),
            "lift/aggregates_plus_ssl_vs_best_other@250.low": (-math.inf, 0.0),
            # Ordering by amount brings more euros than the network does.
            "euros_by_amount_per_day/aggregates_lr@25": (1050, 1160),
            "euros_per_day/aggregates_plus_ssl@25": (950, 1050),
            # Without a label surprise finds more cards than a forest; in AP that is not shown.
            "cards_difference/surprise_score_vs_isolation_forest@25.low": (0.0, math.inf),
            "lift/surprise_score_vs_isolation_forest@25.low": (-math.inf, 0.0),
            "labels_saved_ap/surprise_score.high": (-math.inf, 25.0),
            # CoLES finds who, not what is strange, however long it is trained, and adds nothing to the aggregates.
            "cards_found_per_day/coles_probe_longest@25.high": (0.0, 3.0),
            "cards_difference/aggregates_plus_coles_vs_aggregates_lr@25.high": (-math.inf, 0.0),
            "cards_difference/aggregates_plus_coles_longest_vs_aggregates_lr@25.high": (-math.inf, 0.1),
            "shortcut/average_precision_difference.high": (-math.inf, 0.0),
        },
        "creditcard": {
            "average_precision/rows_logistic_regression@10": (0.71, 0.80),
            "average_precision/rows_logistic_regression@100": (0.74, 0.82),
            # No gain of the best with over the best without is shown.
            **{f"difference/best_ssl_vs_best_other@{b}.low": (-math.inf, 0.0) for b in (10, 30, 100)},
            "difference/raw_plus_masked_lightgbm_vs_lightgbm@100.low": (-math.inf, 0.0),
            # With ten frauds trees gain, and more than by columns of random weights.
            "difference/raw_plus_masked_lightgbm_vs_lightgbm@10.low": (0.0, math.inf),
            "difference/raw_plus_masked_lightgbm_vs_raw_plus_random_lightgbm@10.low": (0.0, math.inf),
        },
        "credit_default": {
            "default_auc/lightgbm@all": (0.78, 0.80),
            # No gain worth having at any budget.
            **{f"default_auc_difference/best_ssl_vs_best_other@{b}.high": (-math.inf, 0.01) for b in DEFAULTS},
            **{f"default_loss_difference/best_ssl_vs_best_other@{b}.low": (-0.1, math.inf) for b in DEFAULTS},
            **{f"default_auc_difference/masked_finetuned_vs_network@{b}.high": (-math.inf, 0.01) for b in (100, 500)},
        },
    }
    REAL = {
        "creditcard": {
            "average_precision/rows_logistic_regression@10": (0.64, 0.82),
            "average_precision/rows_logistic_regression@100": (0.68, 0.85),
        },
        "credit_default": {
            "default_auc/logistic_regression@all": (0.77, 0.79),
            "default_auc/lightgbm@all": (0.78, 0.80),
            "default_auc/logistic_regression@100": (0.68, 0.78),
        },
    }
    SIMULATED = {
        "creditcard": {"average_precision/rows_logistic_regression@100": (0.50, 0.95)},
        "credit_default": {"default_auc/lightgbm@all": (0.70, 0.80)},
        "cards": {  # simulated in every run
            "average_precision/sequences_prevalence@25": (0.0035, 0.0060),
            "average_precision/sequences_aggregates_lr@25": (0.36, 0.53),
            "average_precision/sequences_coles_probe@25": (0.01, 0.15),
            "average_precision/sequences_aggregates_plus_ssl@25": (0.47, 0.67),
            "cards_found_per_day/aggregates_lr@25": (3.8, 5.0),
            "cards_found_per_day/aggregates_plus_ssl@25": (4.4, 5.6),
            # The shortcut: SSL's own score rises, the fraud score falls.
            "shortcut/recall_without": (0.60, 0.97),
            "shortcut/recall_with_device": (0.97, 1.0),
            "shortcut/average_precision_difference.high": (-math.inf, 0.0),
            "events_per_second/encode": (30_000, math.inf),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 2400),
        },
    }
    SMOKE = {
        "creditcard": {"average_precision/rows_logistic_regression@100": (0.50, 0.95)},
        "credit_default": {"default_auc/logistic_regression@all": (0.70, 0.80)},
        "cards": {
            "average_precision/sequences_prevalence@25": (0.002, 0.015),
            "average_precision/sequences_aggregates_lr@25": (0.10, 0.80),
            "peak_memory/chapter": (100, 4096),
        },
    }
    RECORDED = {
        "creditcard": [f"average_precision/rows_{method}@{b}" for method in ROWS for b in (10, 100)],
        "credit_default": [f"default_auc/{method}@{b}" for method in ROWS for b in (100, "all")]
        + [f"expected_loss/{method}@{b}" for method in ROWS for b in (100, "all")],
        "cards": [f"{what}_per_day/{m}@25" for what in DAILY for m in (*PLAIN, *SURPRISE)]
        + ["lift/aggregates_plus_ssl_vs_best_other@25"]
        + [f"{what}_difference/best_ssl_vs_best_other@25" for what in ("cards", "euros", "euros_by_amount")]
        + ["segments_ari/coles", "segments_ari/profile", "labels_saved/surprise_score", "seconds/chapter"],
    }  # fmt: skip

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
