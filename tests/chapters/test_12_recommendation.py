"""What the chapter on recommendation claims, and a run of it on a foreign log."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

LISTS = (
    "popularity", "itemknn", "itemknn_recency", "markov", "markov_itemknn", "ease", "matrix_factorisation", "bert4rec",
    "cl4srec", "sasrec_one_negative", "sasrec", "sasrec_ensemble", "sasrec_blend",
)  # fmt: skip
VECTORS = (
    "random_encoder", "svd_users", "svd_cooccurrence", "network_from_scratch", "sasrec_probe",
    "sasrec_plus_cooccurrence",
)  # fmt: skip
SHOP = ("popularity", "repeat_purchase", "itemknn_recency", "markov", "ease", "counts_blend", "sasrec", "sasrec_blend")


class TestRecommendation(Chapter):
    REAL = {
        "beauty": {
            "ndcg_at_10/popularity": (0.005, 0.008),
            "ndcg_at_10/itemknn_recency": (0.047, 0.052),
            "ndcg_at_10/markov_itemknn": (0.061, 0.065),
            "ndcg_at_10/ease": (0.050, 0.056),
            "ndcg_at_10/sasrec": (0.060, 0.068),
            "hit_rate_at_10/sasrec": (0.100, 0.116),
            # Against what many shops run, and together with the strongest counts.
            "lift/ssl_vs_itemknn_recency.low": (0.20, math.inf),
            "lift/ssl_vs_best_other": (-0.04, 0.08),
            "lift/blend_vs_best_other.low": (0.0, math.inf),
            # Where the gain comes from: many negatives.
            "ndcg_at_10/sasrec_one_negative": (0.025, 0.050),
            "ndcg_at_10/sasrec_64_negatives": (0.038, 0.056),
            "inflation/sampled_negatives": (4, 20),
            "inflation/test_items_in_training": (3, 20),
            "probe_average_precision/random_encoder@85": (0.09, 0.14),
            "probe_average_precision/sasrec_probe@85": (0.25, 0.34),
            "peak_memory/chapter": (100, 5120),
            "seconds/chapter": (10, 2400),
        },
        "online_retail": {
            # People buy the same again: memory alone beats the network.
            "retail_ndcg_at_10/repeat_purchase": (0.24, 0.30),
            "retail_ndcg_at_10/counts_blend": (0.27, 0.33),
            "retail_ndcg_at_10/sasrec": (0.08, 0.22),
            "retail_ndcg_at_10/counts_blend_new_items": (0.07, 0.10),
        },
    }
    SIMULATED = {
        "beauty": {
            "ndcg_at_10/popularity": (0.015, 0.045),
            "ndcg_at_10/markov": (0.09, 0.15),
            "ndcg_at_10/sasrec": (0.05, 0.18),
            "inflation/sampled_negatives": (1.2, 20),
            "inflation/test_items_in_training": (1.2, 20),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1500),
        },
        "online_retail": {
            "retail_ndcg_at_10/repeat_purchase": (0.18, 0.35),
        },
    }
    SMOKE = {
        "beauty": {
            "ndcg_at_10/popularity": (0.015, 0.045),
            "ndcg_at_10/markov": (0.09, 0.15),
            "inflation/sampled_negatives": (1.2, 20),
            "peak_memory/chapter": (100, 4096),
        },
        "online_retail": {
            "retail_ndcg_at_10/repeat_purchase": (0.18, 0.35),
        },
    }
    RECORDED = {
        "beauty": [f"{metric}/{method}" for method in LISTS for metric in ("ndcg_at_10", "hit_rate_at_10")]
        + [f"probe_average_precision/{method}@{b}" for method in VECTORS for b in (85, 254, 847, "all")]
        + [
            "lift/ssl_vs_itemknn_recency",
            "lift/ssl_vs_best_other",
            "lift/blend_vs_best_other",
            "inflation/sampled_negatives",
            "seconds/train_seed",
            "seconds/chapter",
        ],
        "online_retail": [f"retail_ndcg_at_10/{method}{part}" for method in SHOP for part in ("", "_new_items")],
    }

    @own_data("prepared/online_retail.parquet")
    def test_a_foreign_log(self, tmp_path):
        """A log with cancelled orders, guests and repeats."""
        own = {"OWN_DATA": str(real_data("prepared/online_retail.parquet")), "OWN_USER": "CustomerID"}
        own |= {"OWN_ITEM": "StockCode", "OWN_TIME": "InvoiceDate", "OWN_TITLE": "Description"}
        records = self.own_records("own_ndcg_at_10", own | {"OWN_QUANTITY": "Quantity"}, tmp_path)
        assert {(r["source"], r["dataset"]) for r in records} == {("real", "online_retail")}
        scores = {r["name"].split("/")[1]: r["value"] for r in records}
        assert scores.keys() == {"popularity", "repeat_purchase", "itemknn_recency", "markov", "sasrec"}
        assert 0 <= min(scores.values()) and scores["markov"] > scores["popularity"]
