"""What the chapters claim, held against bounds set from the measured spread over seeds.

The committed records are checked always; those of a run are checked when the chapter belongs to it.
"""

import math
from dataclasses import dataclass

import pytest

from sslbook.data import catalog
from sslbook.report import NAME, records_in
from tests.house_rules import NOTEBOOKS

# (chapter, source) -> data set -> figure -> (lowest, highest). A figure is a record's name, for its value;
# with ".low" or ".high" appended, for that end of its interval.
BOUNDS: dict[tuple[str, str], dict[str, dict[str, tuple[float, float]]]] = {
    ("10_medical_imaging", "real"): {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "auc/pixels_lr@47": (0.88, 0.92),
            "auc/random_encoder@47": (0.77, 0.88),
            "auc/supervised_aug@47": (0.90, 0.96),
            "auc/simclr_probe@47": (0.91, 0.97),
            "auc/rotation_probe@47": (0.60, 0.88),
            "auc/simclr_finetuned@4708": (0.95, 0.99),
            # An untrained encoder is no explanation; a well-augmented supervised network comes close.
            "auc_difference/simclr_probe_vs_random_encoder@47.low": (0.0, math.inf),
            "auc_difference/simclr_probe_vs_supervised_aug@47": (-0.03, 0.04),
            "peak_memory/chapter": (100, 2048),
            "cases_per_second/pretrain_simclr": (300, math.inf),
            "seconds/chapter": (10, 2400),
        },
    },
    ("10_medical_imaging", "simulated"): {
        "pneumoniamnist": {
            "auc/majority@47": (0.499, 0.501),
            "auc/pixels_lr@47": (0.76, 0.88),
            "auc/random_encoder@47": (0.62, 0.84),
            "auc/supervised_aug@47": (0.80, 0.96),
            "auc/simclr_probe@47": (0.84, 0.96),
            "auc/rotation_probe@47": (0.50, 0.80),
            "auc_difference/simclr_probe_vs_random_encoder@47.low": (0.0, math.inf),
            "peak_memory/chapter": (100, 2048),
            "seconds/chapter": (10, 1500),
        },
    },
    ("11_fraud", "real"): {
        "creditcard": {
            "average_precision/rows_prevalence@3": (0.0010, 0.0013),
            "average_precision/rows_logistic_regression@all": (0.68, 0.88),
            "average_precision/rows_mlp_corruption@10": (0.66, 0.82),
            "average_precision/rows_isolation_forest@3": (0.01, 0.10),
            # Whitened columns: pretraining buys nothing.
            "difference/raw_plus_masked_vs_best_other@all": (-0.10, 0.02),
        },
    },
    ("11_fraud", "simulated"): {
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
    },
    ("12_recommendation", "real"): {
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
    },
    ("12_recommendation", "simulated"): {
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
    },
    ("13_driving_scenes", "real"): {
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
            "lift/ssl_vs_supervised_long@20.high": (-math.inf, 0.0),
            "lift/ssl_long_vs_supervised_long@20": (-0.12, 0.15),
            # A shared drive flatters everybody.
            "leak/official_minus_honest_pixels_lr@20": (0.02, 0.10),
            "leak/shared_drive_pixels_lr@20": (0.06, 0.24),
            "leak/shared_drive_ssl_plus_raw@20": (0.06, 0.28),
            "pairs_per_second/pretrain": (2, math.inf),
            "peak_memory/chapter": (100, 9216),
            "seconds/chapter": (10, 2400),
        },
    },
    ("13_driving_scenes", "simulated"): {
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
    },
}

# What a chapter records at least: chapter -> data set -> names.
ROWS = (
    "prevalence", "logistic_regression", "lightgbm", "isolation_forest", "mlp_corruption", "scarf_probe",
    "masked_probe", "raw_plus_masked", "raw_plus_masked_lightgbm",
)  # fmt: skip
SEQUENCES = (
    "prevalence", "aggregates_lr", "aggregates_lightgbm", "random_encoder", "supervised_gru", "coles_probe",
    "surprise_score", "next_event_probe", "aggregates_plus_ssl", "aggregates_plus_ssl_lightgbm",
)  # fmt: skip
LISTS = (
    "popularity", "itemknn", "itemknn_recency", "markov", "markov_itemknn", "ease", "matrix_factorisation", "bert4rec",
    "cl4srec", "sasrec_one_negative", "sasrec", "sasrec_ensemble", "sasrec_blend",
)  # fmt: skip
VECTORS = (
    "random_encoder", "svd_users", "svd_cooccurrence", "network_from_scratch", "sasrec_probe",
    "sasrec_plus_cooccurrence",
)  # fmt: skip
SCENES = (
    "position_prior", "pixels_lr", "colour_trees", "random_encoder", "random_plus_raw", "supervised", "ssl_probe",
    "ssl_plus_raw", "ssl_finetuned",
)  # fmt: skip
FORETELLERS = ("constant_velocity", "constant_turn_rate", "ridge", "same_net_60_tracks", "masked_future")
SHOP = ("popularity", "repeat_purchase", "itemknn_recency", "markov", "ease", "counts_blend", "sasrec", "sasrec_blend")
ENTRANTS = ("pixels_lr", "random_encoder", "supervised_aug", "simclr_probe", "simclr_finetuned")
RECORDED = {
    "10_medical_imaging": {
        "pneumoniamnist": [f"auc/{method}@{budget}" for method in ENTRANTS for budget in (10, 47, 471, 4708)]
        + [
            "error_reduction/simclr_probe_vs_supervised_aug@47",
            "error_reduction/simclr_probe_vs_best_other@47",
            "labels_saved/simclr_probe",
            "seconds/pretrain_simclr",
            "cases_per_second/pretrain_simclr",
            "seconds/chapter",
        ],
    },
    "11_fraud": {
        "creditcard": [f"average_precision/rows_{e}@{b}" for e in ROWS for b in (3, 10, 30, 100, "all")],
        "cards": [f"average_precision/sequences_{e}@{b}" for e in SEQUENCES for b in (10, 25, 50, 100, 500)]
        + [f"card_precision_at_100/sequences_{e}@25" for e in SEQUENCES]
        + [
            "lift/aggregates_plus_ssl_vs_best_other@25",
            "lift/aggregates_plus_ssl_vs_best_other@50",
            "shortcut/ssl_metric",
            "shortcut/average_precision",
            "seconds/chapter",
        ],
    },
    "12_recommendation": {
        "beauty": [f"{metric}/{method}" for method in LISTS for metric in ("ndcg_at_10", "hit_rate_at_10")]
        + [f"probe_average_precision/{e}@{b}" for e in VECTORS for b in (85, 254, 847, "all")]
        + [
            "lift/ssl_vs_itemknn_recency",
            "lift/ssl_vs_best_other",
            "lift/blend_vs_best_other",
            "inflation/sampled_negatives",
            "seconds/train_seed",
            "seconds/chapter",
        ],
        "online_retail": [f"retail_ndcg_at_10/{e}{part}" for e in SHOP for part in ("", "_new_items")],
    },
    "13_driving_scenes": {
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
    },
}


@dataclass(frozen=True)
class Claim:
    """One figure of one chapter and the range it must lie in."""

    chapter: str
    source: str
    dataset: str
    figure: str
    lowest: float
    highest: float

    def check(self, records: list[dict]) -> None:
        """Fail unless exactly one record holds the figure, inside the range."""
        name, _, end = self.figure.partition(".")
        found = [r for r in records if (r["dataset"], r["source"], r["name"]) == (self.dataset, self.source, name)]
        assert len(found) == 1, f"{len(found)} records of {name} for {self.dataset} ({self.source}), and should be one"
        number = found[0][end or "value"]
        assert number is not None and self.lowest <= number <= self.highest, (
            f"{self.dataset} ({self.source}) {self.figure} is {number}, outside [{self.lowest}, {self.highest}]"
        )


CLAIMS = [
    Claim(chapter, source, dataset, figure, *limits)
    for (chapter, source), datasets in BOUNDS.items()
    for dataset, figures in datasets.items()
    for figure, limits in figures.items()
]
every_claim = pytest.mark.parametrize("claim", CLAIMS, ids=lambda c: f"{c.chapter}-{c.source}-{c.dataset}-{c.figure}")
CASES = sorted(path.stem for path in NOTEBOOKS.glob("1*.ipynb"))


COMMITTED = [c for c in CLAIMS if c.source == "real" or c.dataset not in catalog()]


@pytest.mark.parametrize("claim", COMMITTED, ids=lambda c: f"{c.dataset}-{c.figure}")
def test_committed_records_keep_to(claim):
    claim.check(records_in(NOTEBOOKS / f"{claim.chapter}.ipynb"))


@every_claim
def test_records_of_this_run_keep_to(claim, executed):
    if claim.chapter not in executed:
        pytest.skip(f"{claim.chapter} was not executed in this run")
    records = executed[claim.chapter]
    sources = {r["source"] for r in records if r["dataset"] == claim.dataset}
    assert sources, f"the run of {claim.chapter} recorded nothing for {claim.dataset}"
    if sources != {claim.source}:
        pytest.skip(f"{claim.dataset} was {', '.join(sources)} in this run")
    claim.check(records)


@pytest.mark.parametrize("chapter", CASES)
def test_a_chapter_has_claims_on_real_and_on_simulated_data(chapter):
    assert {c.source for c in CLAIMS if c.chapter == chapter} == {"real", "simulated"}


@pytest.mark.parametrize("chapter", CASES)
def test_a_chapter_records_what_it_must(chapter):
    found = {(r["dataset"], r["name"]) for r in records_in(NOTEBOOKS / f"{chapter}.ipynb")}
    assert {(dataset, name) for dataset, names in RECORDED[chapter].items() for name in names} - found == set()


@every_claim
def test_a_claim_can_be_checked_and_can_fail(claim):
    name, _, end = claim.figure.partition(".")
    assert claim.chapter in CASES and claim.source in ("real", "simulated"), "no run ever checks this claim"
    assert NAME.fullmatch(name) and end in ("", "low", "high")
    assert claim.lowest < claim.highest and (math.isfinite(claim.lowest) or math.isfinite(claim.highest))


# ------------------------------------------------------------------------------------------------- broken copies


def copy_of(claim: Claim, number: float | None, **changes) -> list[dict]:
    """Records as the claim wants them, with the figure at a chosen value."""
    name, _, end = claim.figure.partition(".")
    record = {"name": name, "value": 0.0, "low": None, "high": None, "unit": "", "n": 1,
              "source": claim.source, "dataset": claim.dataset}  # fmt: skip
    return [record | {end or "value": number} | changes]


def inside(claim: Claim) -> float:
    ends = [end for end in (claim.lowest, claim.highest) if math.isfinite(end)]
    return sum(ends) / len(ends)


EXAMPLES = [
    Claim("10_x", "real", "xrays", "auc/probe@47", 0.9, 1.0),
    Claim("10_x", "simulated", "xrays", "error_reduction/a_vs_b@47.low", 0.0, math.inf),
    Claim("10_x", "real", "xrays", "seconds/chapter", -math.inf, 360.0),
]


@pytest.mark.parametrize("claim", EXAMPLES + CLAIMS, ids=lambda c: f"{c.source}-{c.dataset}-{c.figure}")
def test_a_claim_fails_on_a_broken_copy(claim):
    good = copy_of(claim, inside(claim))
    claim.check(good)
    broken = [[], good * 2, copy_of(claim, None)]
    broken += [copy_of(claim, inside(claim), **{key: "other/one"}) for key in ("dataset", "source", "name")]
    broken += [copy_of(claim, end) for end in (claim.lowest - 1e-6, claim.highest + 1e-6) if math.isfinite(end)]
    for records in broken:
        with pytest.raises(AssertionError):
            claim.check(records)
