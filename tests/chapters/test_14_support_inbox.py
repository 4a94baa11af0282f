"""What the chapter on the support inbox claims, and a run of it on another inbox."""

import math

from tests.chapters.claims import Chapter, own_data, real_data

PROBES = ("word_counts", "lsa", "averaged_words", "random_encoder", "mlm", "gpt", "simcse", "minilm", "minilm_smoothed")


class TestSupportInbox(Chapter):
    REAL = {
        "banking77": {
            "accuracy/word_counts@5": (0.58, 0.68),
            "accuracy/lsa@5": (0.56, 0.67),
            "accuracy/minilm@5": (0.75, 0.83),
            "accuracy/minilm@30": (0.87, 0.92),
            # A billion foreign pairs beat counting; a small network of our own does not.
            "accuracy_difference/borrowed_vs_counts@5.low": (0.05, math.inf),
            "accuracy_difference/own_vs_counts@5.high": (-math.inf, 0.0),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1800),
        },
    }
    SIMULATED = {
        "banking77": {
            "accuracy/word_counts@5": (0.4, 0.9),
            "accuracy/minilm@5": (0.5, 0.95),
            "accuracy/random_encoder@5": (0.02, 0.5),
            "peak_memory/chapter": (100, 4096),
            "seconds/chapter": (10, 1500),
        },
    }
    SMOKE = {"banking77": {"accuracy/word_counts@5": (0.4, 0.9), "peak_memory/chapter": (100, 4096)}}
    RECORDED = {
        "banking77": [f"accuracy/{name}@5" for name in PROBES]
        + [
            f"accuracy_difference/{pair}@5"
            for pair in ("best_ssl_vs_best_other", "own_vs_counts", "smoothed_vs_borrowed")
        ]
        + [
            "accuracy_lift/best_ssl_vs_best_other@5",
            "loss/mlm",
            "loss/unigram_entropy",
            "seconds/simcse",
            "seconds/chapter",
        ],
    }

    @own_data("raw/banking77_test.csv")
    def test_another_inbox(self, tmp_path):
        """A table with another name of the label's column."""
        own = {"OWN_DATA": str(real_data("raw/banking77_test.csv")), "OWN_LABEL": "category"}
        records = self.own_records("own_accuracy", own, tmp_path)
        assert {(r["source"], r["dataset"]) for r in records} == {("real", "banking77_test")}
        scores = {r["name"].split("/")[1]: r["value"] for r in records}
        assert {name.partition("@")[0] for name in scores} == {"word_counts", "minilm", "minilm_smoothed"}
        assert scores["minilm@5"] > scores["word_counts@5"] > 0.3
