"""What the chapter on recommendation claims, and a run of it on a foreign log."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

COUNTS = ("popularity", "itemknn_recency", "markov", "markov_itemknn", "best_blend_without_ssl")
LISTS = (*COUNTS, "sasrec", "sasrec_shuffled", "blend_with_ssl")
VECTORS = ("random_encoder", "directions", "svd_cooccurrence", "counts", "sasrec_probe", "sasrec_plus_cooccurrence")
SHOP = ("popularity", "repeat_purchase", "itemknn_recency", "markov", "ease", "counts_blend", "next_basket")
PAIRS = ("blend_vs_best_other", "ssl_vs_best_other", "ssl_vs_itemknn_recency", "ssl_vs_shuffled")


class TestRecommendation(Chapter):
    FULL = {
        "beauty": {
            # Network and counts together beat the best list of counts, and not because two lists beat one ...
            "lift/blend_vs_best_other": (0.05, 0.12),
            "lift/blend_vs_best_other.low": (0.0, math.inf),
            "lift/blend_vs_two_networks.low": (0.0, math.inf),
            # Longer training adds little: the blend stays near, and alone it is level with the counts at best.
            "lift/blend_longer_vs_best_other": (0.06, 0.12),
            "lift/longer_vs_best_other": (-0.03, 0.05),
            # The softmax gains with negatives; a yes or no gains with 64 as much, and fails with 2,048.
            "factorial/softmax_2048_cooccurrence": (0.058, 0.066),
            "factorial/softmax_64_cooccurrence": (0.053, 0.060),
            "factorial/softmax_1_cooccurrence": (0.037, 0.046),
            "factorial/yes_or_no_1_cooccurrence": (0.040, 0.050),
            "factorial/yes_or_no_64_cooccurrence": (0.053, 0.061),
            "factorial/yes_or_no_2048_cooccurrence": (0.0, 0.02),
            "factorial/generalised_64_cooccurrence": (0.040, 0.050),
            "factorial/generalised_2048_cooccurrence": (0.0, 0.02),
            # ... alone the network does not; two views of a history add nothing, masked items less.
            "difference/ssl_vs_best_other.high": (-math.inf, 0.001),
            "lift/ssl_vs_best_other": (-0.06, 0.03),
            "difference/cl4srec_vs_ssl.high": (-math.inf, 0.001),
            "lift/bert4rec_vs_ssl.high": (-math.inf, -0.2),
            "difference/bert4rec_vs_half_as_long.high": (-math.inf, 0.003),
            "lift/ssl_vs_shuffled.low": (0.5, math.inf),
            # Beauty's order is worth much, Online Retail's little (below).
            "order_gain/markov_beauty.low": (20, math.inf),
            "order_gain/network_beauty.low": (20, math.inf),
            "ndcg_at_10/sasrec": (0.061, 0.067),
            # Attributes: a gain with few labels, a loss with all.
            "ap_difference/sasrec_probe_vs_best_other@85.low": (0.0, math.inf),
            "ap_difference/sasrec_probe_vs_best_other@8471.high": (-math.inf, 0.0),
        },
        "online_retail": {
            "retail_difference/blend_vs_best_other.low": (0.0, math.inf),
            "retail_difference/blend_vs_best_other_new_items.low": (0.0, math.inf),
            "retail_difference/network_vs_best_other.high": (-math.inf, 0.0),
            "order_gain/markov_online_retail.high": (-math.inf, 20),
            "order_gain/network_online_retail.high": (-math.inf, 20),
            # New products: titles beat what sells, and the detour by the network is no better than the words alone.
            "cold_difference/titles_vs_popularity.low": (0.0, math.inf),
            "cold_difference/titles_vs_titles_alone.high": (-math.inf, 0.01),
            "auc_difference/rfm_plus_network_vs_rfm@50.high": (-math.inf, 0.0),
        },
        "ordered_shop": {
            "order_gain/network_simulated_sequels_0.low": (-math.inf, 0),
            "order_gain/network_simulated_sequels_30.low": (20, math.inf),
        },
    }
    REAL = {
        "beauty": {
            "ndcg_at_10/popularity": (0.005, 0.008),
            "ndcg_at_10/itemknn_recency": (0.047, 0.052),
            "ndcg_at_10/markov_itemknn": (0.061, 0.066),
            "ndcg_at_10/best_blend_without_ssl": (0.063, 0.072),
            "ndcg_at_10/sasrec": (0.062, 0.070),
            "ndcg_at_10/blend_with_ssl": (0.067, 0.077),
            "lift/ssl_vs_itemknn_recency.low": (0.20, math.inf),
            "lift/ssl_vs_best_other": (-0.08, 0.06),
            "lift/blend_vs_best_other.low": (0.0, math.inf),
            # Order is worth much, to both models.
            "order_gain/network_beauty.low": (20, math.inf),
            "order_gain/markov_beauty.low": (10, math.inf),
            # Sampled negatives inflate every method, each by another factor.
            "inflation/popularity": (15, 35),
            "inflation/itemknn": (4, 12),
            "inflation/markov": (3, 8),
            "inflation/sasrec": (3, 12),
            "inflation_test_items_in_training/markov": (3, 20),
            # A random split flatters what ignores order and misleads what lives on the latest events.
            "inflation_random_split/itemknn": (1.1, 3),
            "inflation_random_split/markov": (0.2, 0.95),
            "probe_average_precision/random_encoder@85": (0.09, 0.14),
            "probe_average_precision/sasrec_probe@85": (0.24, 0.34),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1800),
        },
        "online_retail": {
            # People buy the same again: memory beats every other single method, but not for new products.
            "retail_ndcg_at_10/repeat_purchase.low": (0.25, math.inf),
            "retail_ndcg_at_10/matrix_factorisation.high": (-math.inf, 0.25),
            "retail_ndcg_at_10/next_basket": (0.17, 0.25),
            "retail_ndcg_at_10/repeat_purchase_new_items.high": (-math.inf, 0.04),
            "retail_ndcg_at_10/counts_blend": (0.27, 0.33),
            "retail_ndcg_at_10/counts_blend_new_items": (0.07, 0.11),
            # Titles say more of new products than what sells.
            "cold_difference/titles_vs_popularity.low": (0.0, math.inf),
        },
    }
    SIMULATED = {
        "beauty": {
            "ndcg_at_10/popularity": (0.015, 0.045),
            "ndcg_at_10/markov": (0.09, 0.15),
            "ndcg_at_10/sasrec": (0.03, 0.18),
            "inflation/sasrec": (1.2, 30),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1500),
        },
        "online_retail": {"retail_ndcg_at_10/repeat_purchase": (0.18, 0.35)},
        "ordered_shop": {  # simulated in every run: no sequels, no gain of order
            "order_gain/markov_simulated_sequels_0": (-12, 12),
            "order_gain/markov_simulated_sequels_30.low": (20, math.inf),
        },
    }
    SMOKE = {
        "beauty": {
            "ndcg_at_10/popularity": (0.015, 0.045),
            "ndcg_at_10/markov": (0.09, 0.15),
            "inflation/markov": (1.2, 20),
            "peak_memory/chapter": (100, 4096),
        },
        "online_retail": {"retail_ndcg_at_10/repeat_purchase": (0.18, 0.35)},
    }
    RECORDED = {
        "beauty": [f"{metric}/{method}" for method in LISTS for metric in ("ndcg_at_10", "hit_rate_at_10")]
        + [f"probe_average_precision/{method}@{b}" for method in VECTORS for b in (85, 847)]
        + [f"{what}/{pair}" for what in ("lift", "difference") for pair in PAIRS]
        + [f"inflation/{method}" for method in ("popularity", "itemknn", "markov", "sasrec")]
        + ["order_gain/markov_beauty", "order_gain/network_beauty", "seconds/train_seed", "seconds/chapter"],
        "online_retail": [f"retail_ndcg_at_10/{method}{part}" for method in SHOP for part in ("", "_new_items")]
        + [f"cold_recall_at_10/{way}" for way in ("titles", "titles_alone", "popularity", "ids")]
        + ["order_gain/markov_online_retail"],
        "ordered_shop": [f"order_gain/markov_simulated_sequels_{s}" for s in (0, 30)],
    }

    @own_data("prepared/online_retail.parquet")
    def test_a_foreign_log(self, tmp_path):
        """A log with cancelled orders, guests and repeats."""
        own = {"OWN_DATA": str(real_data("prepared/online_retail.parquet")), "OWN_USER": "CustomerID"}
        own |= {"OWN_ITEM": "StockCode", "OWN_TIME": "InvoiceDate", "OWN_TITLE": "Description"}
        records = self.own_records("own_ndcg_at_10", own | {"OWN_QUANTITY": "Quantity"}, tmp_path)
        assert {(r["source"], r["dataset"]) for r in records} == {("real", "online_retail")}
        scores = {r["name"].split("/")[1]: r["value"] for r in records}
        assert scores.keys() == {"popularity", "repeat_purchase", "itemknn_recency", "markov", "network"}
        assert 0 <= min(scores.values()) and scores["markov"] > scores["popularity"]
