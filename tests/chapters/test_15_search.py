"""What the chapter on search claims, and a run of it on a foreign catalogue."""

import math

import pandas as pd

from tests.chapters.claims import Chapter, own_data, real_data

LISTS = ("bm25", "bm25_titles", "tfidf", "lsa", "averaged_words", "minilm", "random_encoder", "fused", "two_tower")


class TestSearch(Chapter):
    REAL = {
        "icecat": {
            # Words win where what nobody has judged counts as useless, meaning where it is left out: the order turns.
            "search_ndcg_at_10/bm25": (0.68, 0.78),
            "search_ndcg_at_10/minilm": (0.52, 0.65),
            "search_ndcg_at_10_judged/bm25": (0.77, 0.87),
            "search_ndcg_at_10_judged/minilm": (0.82, 0.92),
            "ndcg_difference/minilm_vs_bm25.high": (-math.inf, 0.0),
            "ndcg_judged_difference/minilm_vs_bm25.low": (0.0, math.inf),
            # Words and borrowed vectors together are better than words.
            "ndcg_judged_difference/fused_vs_bm25.low": (0.0, math.inf),
            "ndcg_difference/fused_vs_bm25": (0.01, 0.06),
            # The pairs of a catalogue teach something, and less than counting knows.
            "ndcg_difference/two_tower_vs_random.low": (0.0, math.inf),
            "ndcg_difference/two_tower_vs_bm25.high": (-math.inf, 0.0),
            # Typing errors: parts of words mend what words cannot.
            "ndcg_misspelt_difference/tfidf_vs_bm25.low": (0.0, math.inf),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1800),
        },
    }
    SIMULATED = {
        "icecat": {
            "search_ndcg_at_10/bm25": (0.35, 0.9),
            "search_ndcg_at_10_judged/minilm": (0.9, 1.0),
            "ndcg_misspelt_difference/tfidf_vs_bm25.low": (0.0, math.inf),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1500),
        },
    }
    SMOKE = {"icecat": {"search_ndcg_at_10/bm25": (0.35, 0.9), "peak_memory/chapter": (100, 4096)}}
    RECORDED = {
        "icecat": [f"{stem}/{name}" for stem in ("search_ndcg_at_10", "search_ndcg_at_10_judged") for name in LISTS]
        + [f"{what}/fused_vs_bm25" for what in ("lift", "lift_judged", "ndcg_difference", "ndcg_judged_difference")]
        + ["seconds/two_tower", "seconds/chapter"],
    }

    @own_data("prepared/online_retail.parquet")
    def test_a_foreign_catalogue(self, tmp_path):
        """Titles of another shop, in capitals, without descriptions and without a judgement."""
        goods = pd.read_parquet(real_data("prepared/online_retail.parquet"), columns=["StockCode", "Description"])
        goods = goods.dropna().drop_duplicates("StockCode").head(800)
        goods.set_axis(["id", "name"], axis=1).to_csv(tmp_path / "goods.csv", index=False)
        own = {"OWN_PRODUCTS": str(tmp_path / "goods.csv"), "OWN_TITLE": "name"}
        records = self.own_records("own_search", own, tmp_path)
        assert {(r["source"], r["dataset"]) for r in records} == {("real", "goods")}
        assert {r["name"]: r["value"] for r in records} == {"own_search/products": 800}, "nobody judged: no score"
