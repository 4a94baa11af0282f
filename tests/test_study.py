"""The label-budget study: pairing, verdicts on scores whose answer is known, labels saved, negative controls."""

import time
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from scipy.stats import norm

from sslbook import data
from sslbook.baselines import majority
from sslbook.data.card import own_data_card
from sslbook.data.pictures import VOID
from sslbook.domains import imaging
from sslbook.domains.driving.data import Scenes, SceneSplit
from sslbook.domains.driving.methods import draw_frames, found_metric, iou_metric
from sslbook.domains.driving.regions import Segmentation, found_regions, region_counts, segmentation
from sslbook.domains.fraud.methods import draw_findings
from sslbook.domains.imaging.methods import pixels
from sslbook.draws import choose_diverse, draw_labels
from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.classification import Prediction, average_precision, balanced_accuracy, roc_auc
from sslbook.metrics.segmentation import mean_iou
from sslbook.parallel import measure
from sslbook.plots import label_budget_curve
from sslbook.probes import standardise
from sslbook.study import (
    RARE_FINDING_METRICS,
    Method,
    Study,
    label_budget_study,
    probe_method,
    scene_method,
    scene_study,
)
from sslbook.verdict import Verdict, compare, labels_saved
from sslbook.worlds import imaging as imaging_world

LABELS = np.array([0, 1] * 500)
TEST_LABELS = np.array([0, 1] * 60)


def stated(score: float) -> Prediction:
    """A prediction that carries its own score, read by the metric ``score``."""
    return Prediction(np.full((len(TEST_LABELS), 2), score), np.zeros(len(TEST_LABELS), int))


def stated_score(labels: np.ndarray, prediction: Prediction, weights: np.ndarray | None = None) -> np.ndarray:
    return prediction.scores[0, 0] if weights is None else np.full(len(weights), prediction.scores[0, 0])


@lru_cache
def draws_of(budget: int) -> dict[tuple[int, ...], int]:
    return {tuple(draw_labels(LABELS, budget, draw)): draw for draw in reversed(range(10))}


def number_of_draw(index: np.ndarray) -> int:
    """Runs go side by side in any order, so an method of these tests tells a draw by its cases."""
    return draws_of(len(index))[tuple(index)]


def study_of(
    curves: dict[str, tuple[str, dict[int, float]]], wobble=lambda draw, seed: 0.0, study=None, **settings
) -> Study:
    """A study whose scores are given: ``{method: (family, {budget: score})}``, plus a wobble per draw and seed."""

    def method(name: str, family: str, curve: dict[int, float]) -> Method:
        def fit(index: np.ndarray, seed: int) -> Prediction:
            return stated(curve[len(index)] + wobble(number_of_draw(index), seed))

        return Method(name, family, fit, budgets=tuple(curve), **settings.get(name, {}))

    budgets = sorted({budget for _, curve in curves.values() for budget in curve})
    methods = [method(name, *curve) for name, curve in curves.items()]
    settings = {"metrics": {"score": stated_score}} | (study or {})
    return label_budget_study(methods, LABELS, TEST_LABELS, budgets, **settings)


# --------------------------------------------------------------------------------------------- label draws


@pytest.mark.parametrize("budget", [10, 47, 200])
def test_a_draw_is_stratified_without_repeats_and_repeatable(budget):
    labels = (np.arange(1000) % 4 == 0).astype(int)
    index = draw_labels(labels, budget, draw=3)
    assert len(index) == len(set(index)) == budget
    assert labels[index].sum() == pytest.approx(budget / 4, abs=1)
    assert np.array_equal(index, draw_labels(labels, budget, draw=3))
    assert set(index) != set(draw_labels(labels, budget, draw=4))


@pytest.mark.parametrize("budget", [4, 5, 20, 99, 498, 499])
def test_every_class_has_two_labels_in_every_draw(budget):
    labels = (np.arange(500) < 3).astype(int)
    for draw in range(5):
        index = draw_labels(labels, budget, draw)
        assert len(set(index)) == budget
        assert np.bincount(labels[index], minlength=2).min() >= 2


def test_the_full_budget_is_all_labels_in_order():
    assert np.array_equal(draw_labels(LABELS, 1000, draw=5), np.arange(1000))


@pytest.mark.parametrize(
    ("labels", "budget", "message"),
    [
        (LABELS, 1001, "1001 labels exceeds the 1000 there are; use a smaller budget"),
        (LABELS, 3, "3 labels cannot hold two of each of 2 classes; use a larger budget"),
        (np.arange(100) % 10, 19, "19 labels cannot hold two of each of 10 classes"),
        (np.array([0] * 30 + [1]), 10, "class 1 has a single label; label one more"),
    ],
)
def test_budgets_that_cannot_be_drawn(labels, budget, message):
    with pytest.raises(ValueError, match=message):
        draw_labels(labels, budget, draw=0)


def stolen_cards() -> tuple[np.ndarray, np.ndarray]:
    """Rows of 100 cards, ten each; the first twelve are stolen, and one to five of their rows are fraud."""
    cards = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 10))
    number = pd.Series(cards).groupby(cards).cumcount().to_numpy()
    return ((cards < 12) & (number <= cards % 5)).astype(int), cards


DRIVES = np.repeat(["a", "b", "c"], [60, 30, 10])


@pytest.mark.parametrize("budget", [1, 5, 10, 37, 99])
def test_a_draw_of_frames_takes_each_drive_in_proportion(budget):
    draws = [draw_frames(DRIVES, budget, draw) for draw in range(40)]
    assert all(len(index) == budget and (np.diff(index) > 0).all() for index in draws)
    taken = np.array([[(DRIVES[index] == drive).sum() for drive in "abc"] for index in draws])
    assert np.abs(taken - budget * np.array([0.6, 0.3, 0.1])).max() < 2
    assert np.array_equal(draws[3], draw_frames(DRIVES, budget, 3))


def test_a_larger_budget_of_frames_holds_the_smaller_one_and_all_is_all():
    small, large, all_of_them = (draw_frames(DRIVES, budget, 1) for budget in (5, 20, 100))
    assert set(small) < set(large)
    assert np.array_equal(all_of_them, np.arange(100))
    assert set(small) != set(draw_frames(DRIVES, 5, 2))


def test_every_frame_is_drawn_about_as_often():
    count = np.bincount(np.concatenate([draw_frames(DRIVES, 10, draw) for draw in range(2000)]), minlength=100)
    assert count.mean() == 200
    for drive in "abc":
        assert count[DRIVES == drive].mean() == pytest.approx(200, rel=0.08)
    assert count.std() < 4 * np.sqrt(200)


def test_diverse_frames_are_one_of_each_kind_and_the_most_typical():
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), [50, 30, 15, 5])
    features = 100 * np.eye(4)[kinds] + rng.normal(size=(100, 4))
    for seed in range(3):
        index = choose_diverse(features, 4, seed)
        assert sorted(kinds[index]) == [0, 1, 2, 3]
        for i in index:
            alike = features[kinds == kinds[i]]
            distance = np.linalg.norm(alike - alike.mean(axis=0), axis=1)
            assert np.linalg.norm(features[i] - alike.mean(axis=0)) == pytest.approx(distance.min())
    assert np.array_equal(choose_diverse(features, 100), np.arange(100))


@pytest.mark.parametrize("budget", [0, 101])
def test_frames_that_cannot_be_drawn(budget):
    message = f"budget of {budget} frames is not from 1 to the 100"
    with pytest.raises(ValueError, match=message):
        draw_frames(DRIVES, budget, 0)
    with pytest.raises(ValueError, match=message):
        choose_diverse(np.arange(100.0)[:, None], budget)
    with pytest.raises(ValueError, match="2 frames is not from 1 to the 1 different ones"):
        choose_diverse(np.zeros((100, 3)), 2)


# ------------------------------------------------------------------------------------------------- pairing


def recording_methods(log: list, **settings) -> list[Method]:
    def fit_as(name: str):
        def fit(index: np.ndarray, seed: int) -> Prediction:
            log.append((name, tuple(index), seed))
            return stated(0.5)

        return fit

    return [Method(name, "classical", fit_as(name), **settings.get(name, {})) for name in ("a", "b")]


def test_all_methods_get_the_same_draws():
    log = []
    methods = recording_methods(log, b={"seeds": (0, 1, 2)})
    study = label_budget_study(methods, LABELS, TEST_LABELS, [10, 50, 1000], draws=4)
    drawn = {name: {index for who, index, _ in log if who == name} for name in "ab"}
    assert drawn["a"] == drawn["b"]
    assert len(drawn["a"]) == 4 + 4 + 1
    assert study.frame.groupby(["method", "budget"]).size().to_dict() == {
        ("a", 10): 4, ("a", 50): 4, ("a", 1000): 1, ("b", 10): 12, ("b", 50): 12, ("b", 1000): 3,
    }  # fmt: skip
    expected = [
        (row.method, tuple(draw_labels(LABELS, row.budget, row.draw)), row.seed) for row in study.frame.itertuples()
    ]
    assert sorted(log) == sorted(expected)


def test_runs_side_by_side_give_what_they_give_one_by_one():
    rng, frames = np.random.default_rng(0), []
    features = (LABELS[:, None] + rng.normal(size=(1000, 3)), TEST_LABELS[:, None] + rng.normal(size=(120, 3)))
    methods = [probe_method(name, "ssl", [features], LABELS) for name in "abc"]
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            frames.append(label_budget_study(methods, LABELS, TEST_LABELS, [20, 60], draws=3).frame)
    finally:
        torch.set_num_threads(threads)
    measured = ["seconds", "peak_mb"]
    pd.testing.assert_frame_equal(frames[0].drop(columns=measured), frames[1].drop(columns=measured))


def test_an_error_in_a_run_ends_the_study():
    started = []

    def fit(index: np.ndarray, seed: int) -> Prediction:
        started.append(seed)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        label_budget_study([Method("bad", "ssl", fit, seeds=tuple(range(50)))], LABELS, TEST_LABELS, [20])
    assert len(started) < 50, "the runs that have not started are left out"


def test_a_seed_per_draw_instead_of_every_seed_on_every_draw():
    log = []
    methods = recording_methods(log, b={"seeds": (7, 8), "crossed": False})
    frame = label_budget_study(methods, LABELS, TEST_LABELS, [10, 1000], draws=5).frame
    rows = frame[(frame["method"] == "b") & (frame["budget"] == 10)]
    assert rows["draw"].tolist() == [0, 1, 2, 3, 4]
    assert rows["seed"].tolist() == [7, 8, 7, 8, 7]
    assert frame[(frame["method"] == "b") & (frame["budget"] == 1000)]["seed"].tolist() == [7, 8]


def test_an_method_may_run_on_fewer_draws_and_budgets():
    log = []
    methods = recording_methods(log, b={"draws": 2, "budgets": (50,)})
    frame = label_budget_study(methods, LABELS, TEST_LABELS, [10, 50], draws=5).frame
    rows = frame[frame["method"] == "b"]
    assert rows["budget"].tolist() == [50, 50] and rows["draw"].tolist() == [0, 1]
    assert (frame["method"] == "a").sum() == 10


def test_another_rule_of_drawing_and_its_full_budget():
    labels, cards = stolen_cards()
    log = []
    methods = recording_methods(log, b={"seeds": (7, 8), "crossed": False})
    rule = partial(draw_findings, groups=cards, negatives=50)
    frame = label_budget_study(methods, labels, TEST_LABELS, [3, 12], draws=4, draw=rule).frame
    assert frame.groupby(["method", "budget"]).size().to_dict() == {
        ("a", 3): 4, ("a", 12): 1, ("b", 3): 4, ("b", 12): 2,
    }  # fmt: skip
    expected = [(row.method, tuple(rule(labels, row.budget, row.draw)), row.seed) for row in frame.itertuples()]
    assert sorted(log) == sorted(expected)


def test_a_budget_that_cannot_be_drawn_stops_before_the_first_run():
    log = []
    with pytest.raises(ValueError, match="exceeds the 1000"):
        label_budget_study(recording_methods(log), LABELS, TEST_LABELS, [10, 5000])
    assert not log


@pytest.mark.parametrize(
    ("labels", "test_labels", "message"),
    [
        (np.where(LABELS == 0, -1, 1), TEST_LABELS, "training split has cases without a label"),
        (LABELS, np.where(TEST_LABELS == 0, -1, 1), "test split has cases without a label"),
        (LABELS * 0, TEST_LABELS, "training split holds a single class"),
        (LABELS, TEST_LABELS * 0, "test split holds a single class"),
    ],
)
def test_labels_that_cannot_be_studied(labels, test_labels, message):
    with pytest.raises(ValueError, match=message):
        label_budget_study(recording_methods([]), labels, test_labels, [10])


def test_scores_are_those_of_the_predictions():
    def fit(index: np.ndarray, seed: int) -> Prediction:
        p = np.random.default_rng(index).random(len(TEST_LABELS))
        return Prediction(np.stack([1 - p, p], axis=1), (p > 0.5).astype(int))

    study = label_budget_study([Method("guess", "trivial", fit)], LABELS, TEST_LABELS, [10, 50], draws=3)
    assert {"method", "family", "budget", "draw", "seed", "auc", "balanced_accuracy"} <= set(study.frame.columns)
    assert len(study.predictions) == len(study.frame) == 6
    for row, prediction in zip(study.frame.itertuples(), study.predictions, strict=True):
        assert row.auc == pytest.approx(roc_auc(TEST_LABELS, prediction.scores))
        assert row.balanced_accuracy == pytest.approx(balanced_accuracy(TEST_LABELS, prediction.decisions))


def test_thinned_test_cases_count_as_often_as_they_stand_for():
    rng = np.random.default_rng(0)
    labels, p = (np.arange(2000) < 40).astype(int), rng.random(2000)
    p[:40] += 0.5
    kept = np.flatnonzero((labels == 1) | (np.arange(2000) % 10 == 0))
    weights, cards = np.where(labels == 1, 1.0, 10.0)[kept], kept // 2
    prediction = Prediction(np.stack([1 - p, p], axis=1)[kept], (p > 1).astype(int)[kept])
    study = label_budget_study(
        [Method("given", "classical", lambda index, seed: prediction)], LABELS, labels[kept], [10], draws=2,
        metrics=RARE_FINDING_METRICS, groups=cards, test_weights=weights, replicates=70,
    )  # fmt: skip
    score = average_precision(labels[kept], prediction.scores, weights[None])[0]
    assert study.frame["average_precision"].tolist() == pytest.approx([score, score])
    assert score == pytest.approx(average_precision(labels, p), abs=0.05)
    assert score < average_precision(labels[kept], prediction.scores) - 0.1
    resamples = bootstrap_weights(len(kept), 70, seed=0, groups=cards) * weights
    expected = average_precision(labels[kept], prediction.scores, resamples)
    np.testing.assert_allclose(study.bootstrap("average_precision", "given", 10), expected)


def test_probe_method_hands_over_the_cards_and_weights_of_the_draw():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(1000, 2)), rng.normal(size=(120, 2)))
    cards, weight = np.arange(1000) // 4, np.where(LABELS == 1, 1.0, 30.0)
    index = np.arange(300)
    plain, weighted = (
        probe_method("p", "ssl", [features], LABELS, **settings).fit(index, 0).scores[:, 1].mean()
        for settings in ({}, {"groups": cards, "sample_weight": weight})
    )
    assert plain == pytest.approx(0.5, abs=0.05) and weighted == pytest.approx(1 / 31, abs=0.01)
    with pytest.raises(ValueError, match="2 groups with each of 2 classes"):
        probe_method("p", "ssl", [features], LABELS, groups=np.zeros(1000, int)).fit(index, 0)


def test_probe_method_takes_the_features_of_its_seed():
    rng = np.random.default_rng(0)
    good = [(labels[:, None] * 4 + rng.normal(size=(len(labels), 2))) for labels in (LABELS, TEST_LABELS)]
    noise = [rng.normal(size=(len(labels), 2)) for labels in (LABELS, TEST_LABELS)]
    method = probe_method("probe", "ssl", [tuple(good), tuple(noise)], LABELS, setup_seconds=3.0)
    assert method.seeds == (0, 1)
    frame = label_budget_study([method], LABELS, TEST_LABELS, [40], draws=2).frame
    assert (frame[frame["seed"] == 0]["auc"] > 0.95).all()
    assert (frame[frame["seed"] == 1]["auc"] < 0.75).all()


# ------------------------------------------------------------------------------------------ tables and costs


TWO_BUDGETS = {
    "trivial": ("trivial", {10: 0.5, 100: 0.5}),
    "simple": ("classical", {10: 0.8, 100: 0.82}),
    "network": ("supervised", {10: 0.7, 100: 0.9}),
    "pretrained": ("ssl", {10: 0.95, 100: 0.96}),
    "late": ("ssl", {100: 0.99}),
}


def test_table_of_scores():
    study = study_of(TWO_BUDGETS)
    table = study.scores("score")
    assert table.index.tolist() == list(TWO_BUDGETS)
    assert table.columns.tolist() == study.budgets == [10, 100]
    assert table.loc["network"].tolist() == pytest.approx([0.7, 0.9])
    assert np.isnan(table.loc["late", 10])
    assert study.methods("ssl") == ["pretrained", "late"]
    assert study.methods("classical", "supervised") == ["simple", "network"]


def test_best_other_is_the_best_at_that_budget_and_never_self_supervised():
    study = study_of(TWO_BUDGETS)
    assert study.best_other("score", 10) == "simple"
    assert study.best_other("score", 100) == "network"


def test_a_rival_of_a_few_draws_must_beat_the_best_of_the_others_on_those_draws():
    curves = {
        "lucky": ("supervised", {10: 0.9, 100: 0.9}),
        "steady": ("classical", {10: 0.8}),
        "ssl": ("ssl", {10: 0.5, 100: 0.5}),
    }
    study = study_of(curves, lucky={"draws": 2})
    assert study.best_other("score", 10) == "lucky"
    assert study.best_other("score", 100) == "lucky"
    easy = study.frame["draw"] < 2
    study.frame.loc[easy & (study.frame["method"] == "steady"), "score"] = 0.95  # the two draws were easy ones
    assert study.best_other("score", 10) == "steady"


def test_measure_counts_cpu_seconds_and_memory():
    with measure() as cost:
        time.sleep(0.3)
    assert cost.seconds < 0.2, "waiting costs nothing"
    before = psutil.Process().memory_info().rss / 2**20
    with measure() as cost:
        block = np.ones(8_000_000)  # 61 MB
        start = time.thread_time()
        while time.thread_time() - start < 0.2:
            pass
    assert cost.seconds == pytest.approx(0.2, abs=0.15)
    assert 55 < cost.peak_mb - before < 120
    del block


def test_measure_reports_when_the_block_fails():
    with pytest.raises(KeyError), measure() as cost:
        raise KeyError
    assert cost.seconds >= 0


def test_costs_at_the_largest_budget_of_each_method():
    def fit(index: np.ndarray, seed: int) -> Prediction:
        start = time.thread_time()
        while time.thread_time() - start < (0.1 if len(index) == 100 else 0.0):
            pass
        return stated(0.5)

    methods = [
        Method("busy", "ssl", fit, seeds=(0, 1), setup_seconds=12.5),
        Method("small", "classical", fit, budgets=(10,)),
    ]
    costs = label_budget_study(methods, LABELS, TEST_LABELS, [10, 100], draws=2).costs()
    assert costs.loc["busy", "setup_seconds"] == 12.5 and costs.loc["small", "setup_seconds"] == 0
    assert costs.loc["busy", "seconds"] > 0.08
    assert costs.loc["small", "seconds"] < 0.08
    assert (costs["peak_mb"] > 50).all()


# --------------------------------------------------------------------------------- intervals with known spread


def test_interval_of_scores_that_never_change_has_no_width():
    assert study_of(TWO_BUDGETS).interval("score", "simple", 10) == pytest.approx((0.8, 0.8, 0.8))


@pytest.mark.parametrize(
    ("wobble", "settings", "expected"),
    [
        (lambda draw, seed: 0.01 * draw, {}, 0.01 * np.std(range(5)) / np.sqrt(5)),
        (lambda draw, seed: 0.01 * seed, {"simple": {"seeds": (0, 1, 2)}}, 0.01 * np.std(range(3)) / np.sqrt(3)),
    ],
    ids=["draws", "seeds"],
)
def test_bootstrap_spread_is_the_standard_error_over_draws_or_seeds(wobble, settings, expected):
    study = study_of({"simple": ("classical", {10: 0.8})}, wobble, **settings)
    study.replicates = 4000
    replicates = study.bootstrap("score", "simple", 10)
    assert replicates.std() == pytest.approx(expected, rel=0.08)
    assert replicates.mean() == pytest.approx(study.frame["score"].mean(), abs=0.001)


def test_what_a_draw_does_to_both_methods_cancels_in_their_difference():
    curves = {"a": ("ssl", {10: 0.82}), "b": ("classical", {10: 0.8})}
    study = study_of(curves, lambda draw, seed: 0.05 * draw)
    _, low, high = study.interval("score", "a", 10)
    assert high - low > 0.05
    verdict = compare(study, "score", "a", "b", 10)
    assert (verdict.difference, verdict.low, verdict.high) == pytest.approx((0.02, 0.02, 0.02))
    assert verdict.conclusion == "better"


def test_only_draws_that_both_methods_ran_are_compared():
    curves = {"a": ("ssl", {10: 0.8}), "b": ("classical", {10: 0.7})}
    study = study_of(curves, lambda draw, seed: 0.1 * (draw >= 2), b={"draws": 2})
    verdict = compare(study, "score", "a", "b", 10)
    assert verdict.n == 2
    assert (verdict.difference, verdict.low, verdict.high) == pytest.approx((0.1, 0.1, 0.1))


def test_error_reduction_is_the_share_of_the_errors_avoided():
    curves = {"a": ("ssl", {10: 0.95}), "b": ("classical", {10: 0.9}), "perfect": ("supervised", {10: 1.0})}
    study = study_of(curves)
    verdict = compare(study, "score", "a", "b", 10)
    assert verdict.error_reduction == pytest.approx(0.5)
    assert (verdict.error_reduction_low, verdict.error_reduction_high) == pytest.approx((0.5, 0.5))
    assert compare(study, "score", "b", "a", 10).error_reduction == pytest.approx(-1.0)
    against_none = compare(study, "score", "a", "perfect", 10)
    assert np.isnan([against_none.error_reduction, against_none.error_reduction_low]).all(), "no error to avoid"
    assert against_none.conclusion == "worse"


def test_lift_is_the_relative_gain():
    curves = {"a": ("ssl", {10: 0.3}), "b": ("classical", {10: 0.2}), "none": ("trivial", {10: 0.0})}
    verdict = compare(study_of(curves), "score", "a", "b", 10)
    assert (verdict.lift, verdict.lift_low, verdict.lift_high) == pytest.approx((0.5, 0.5, 0.5))
    assert "relative +50% [+50%, +50%]: better" in str(verdict) and "errors" not in str(verdict)
    assert np.isnan(compare(study_of(curves), "score", "a", "none", 10).lift)
    wobbling = compare(study_of(curves, lambda draw, seed: 0.1 * draw), "score", "a", "b", 10)
    assert wobbling.lift == pytest.approx(0.5 / 0.4 - 1)
    assert wobbling.lift_low < wobbling.lift < wobbling.lift_high < 0.5


def test_of_error_rates_the_verdict_states_the_reduction():
    verdict = Verdict("auc", "simclr", "pixels", 47, 0.02, 0.01, 0.03, 0.1, 0.05, 0.2, 5, 0.02, 0.01, 0.03)
    assert str(verdict) == (
        "simclr against pixels at 47 labels: auc +0.020 [+0.010, +0.030], errors reduced by 10% [5%, 20%]: better"
    )


def test_the_unit_of_a_budget_is_named():
    study = study_of({**CURVE, "ssl": ("ssl", {10: 0.85})}, study={"unit": "fraud cards", "replicates": 20})
    assert study.bootstrap("score", "ssl", 10).shape == (20,)
    assert "at 10 fraud cards: score" in str(compare(study, "score", "ssl", "simple", 10))
    assert "with 10 fraud cards" in str(labels_saved(study, "score", "ssl", 10))
    assert "306 fraud cards saved" in str(labels_saved(study, "score", "ssl", 10))
    with pytest.raises(ValueError, match="no run of 'typo' at 10 fraud cards"):
        study.interval("score", "typo", 10)


def test_the_verdict_turns_round_with_the_methods():
    curves = {"a": ("ssl", {10: 0.82}), "b": ("classical", {10: 0.8})}
    study = study_of(curves, lambda draw, seed: 0.01 * draw**2)
    there, back = compare(study, "score", "a", "b", 10), compare(study, "score", "b", "a", 10)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert (there.conclusion, back.conclusion) == ("better", "worse")


@pytest.mark.parametrize(
    ("low", "high", "conclusion"),
    [
        (0.01, 0.02, "better"),
        (-0.02, -0.01, "worse"),
        (-0.01, 0.02, "no difference shown"),
        (0.0, 0.02, "no difference shown"),
        (-0.02, 0.0, "no difference shown"),
    ],
)
def test_conclusion_follows_from_the_interval(low, high, conclusion):
    verdict = Verdict("auc", "simclr", "pixels", 47, (low + high) / 2, low, high, 0.1, 0.0, 0.2, n=5)
    assert verdict.conclusion == conclusion
    for part in ("simclr", "pixels", "47 labels", "auc", f"{low:+.3f}", f"{high:+.3f}", conclusion):
        assert part in str(verdict)


def test_asking_for_what_did_not_run():
    study = study_of(TWO_BUDGETS)
    with pytest.raises(ValueError, match="no run of 'late' at 10 labels; it has"):
        compare(study, "score", "late", "simple", 10)
    with pytest.raises(ValueError, match="no run of 'typo'"):
        study.interval("score", "typo", 10)


# ------------------------------------------------------------------------------- verdicts on simulated scores


def simulated_study(
    signals: dict[str, float], seed: int, n_test: int = 150, draws: int = 5, draw_sd: float = 0.3, repeat: int = 1
) -> Study:
    """Methods whose test scores are ``signal x label + noise`` of variance 1; the signal varies with the draw.

    Of the noise, 40 % belongs to the test case and is the same for all methods, 40 % to the case as this method sees
    it, 20 % to the run. ``repeat`` shows every test case so many times (as xrays of one patient).
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(n_test) % 2
    case, draw_effect = rng.normal(size=n_test), rng.normal(size=draws)

    def method(name: str, signal: float) -> Method:
        view = np.random.default_rng([seed, *name.encode()]).normal(size=n_test)

        def fit(index: np.ndarray, _seed: int) -> Prediction:
            draw = number_of_draw(index)
            own = np.random.default_rng([seed, draw, *name.encode()]).normal(size=n_test)
            noise = np.sqrt(0.4) * case + np.sqrt(0.4) * view + np.sqrt(0.2) * own
            scores = np.repeat((signal + draw_sd * draw_effect[draw]) * labels + noise, repeat)
            p = norm.cdf(scores)
            return Prediction(np.stack([1 - p, p], axis=1), (scores > signal / 2).astype(int))

        return Method(name, "ssl" if name.startswith("ssl") else "classical", fit)

    groups = np.repeat(np.arange(n_test), repeat) if repeat > 1 else None
    methods = [method(name, signal) for name, signal in signals.items()]
    study = label_budget_study(methods, LABELS, np.repeat(labels, repeat), [10], draws=draws, groups=groups)
    study.replicates = 300
    return study


def true_auc(signal: float, draw_sd: float = 0.3) -> float:
    """Expected AUC of ``simulated_study``: Phi(strength / sqrt(2)), averaged over the strengths of the draws."""
    return float(np.mean(norm.cdf((signal + draw_sd * norm.ppf((np.arange(999) + 0.5) / 999)) / np.sqrt(2))))


def test_a_clear_difference_is_found_both_ways():
    study = simulated_study({"ssl": 2.2, "classical": 1.2}, seed=0)
    assert compare(study, "auc", "ssl", "classical", 10).conclusion == "better"
    assert compare(study, "auc", "classical", "ssl", 10).conclusion == "worse"
    assert compare(study, "balanced_accuracy", "ssl", "classical", 10).conclusion == "better"


def test_equal_methods_show_no_difference():
    study = simulated_study({"ssl": 1.5, "classical": 1.5}, seed=0)
    verdict = compare(study, "auc", "ssl", "classical", 10)
    assert verdict.conclusion == "no difference shown"
    assert verdict.low < 0 < verdict.high


def test_an_method_does_not_differ_from_itself():
    study = simulated_study({"ssl": 1.5}, seed=0)
    verdict = compare(study, "auc", "ssl", "ssl", 10)
    assert (verdict.difference, verdict.low, verdict.high, verdict.error_reduction) == (0, 0, 0, 0)
    assert verdict.conclusion == "no difference shown"


def test_pairing_finds_what_two_separate_intervals_would_miss():
    study = simulated_study({"ssl": 2.0, "classical": 1.5}, seed=1, draw_sd=0.8)
    first, second = study.interval("auc", "ssl", 10), study.interval("auc", "classical", 10)
    assert second[2] > first[1], "the intervals overlap"
    assert compare(study, "auc", "ssl", "classical", 10).conclusion == "better"


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """95 % are promised; five draws and 60 repetitions allow 85 to 100 %."""
    truth = true_auc(1.8) - true_auc(1.5)
    verdicts = [
        compare(simulated_study({"ssl": 1.8, "classical": 1.5}, seed), "auc", "ssl", "classical", 10)
        for seed in range(60)
    ]
    covered = np.mean([v.low <= truth <= v.high for v in verdicts])
    differences = np.array([v.difference for v in verdicts])
    half_width = np.mean([v.high - v.low for v in verdicts]) / 2
    assert differences.mean() == pytest.approx(truth, abs=3 * differences.std() / np.sqrt(60))
    assert 0.85 <= covered
    assert 1.5 < half_width / differences.std() < 3, "neither too narrow nor uselessly wide"


def test_films_of_one_patient_do_not_count_as_independent_cases():
    alone = simulated_study({"ssl": 1.5}, seed=1, repeat=1)
    grouped = simulated_study({"ssl": 1.5}, seed=1, repeat=4)
    blind = simulated_study({"ssl": 1.5}, seed=1, repeat=4)
    blind.groups = None
    widths = [np.ptp(s.interval("auc", "ssl", 10)[1:]) for s in (alone, grouped, blind)]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)
    assert widths[2] < 0.8 * widths[0]


# -------------------------------------------------------------------------------------- the study over frames


def split_of(name: str, n: int, masked: int, seed: int) -> SceneSplit:
    """Frames a second apart, in two drives; masks of three classes in blobs, and of the last frames none."""
    masks = np.random.default_rng(seed).integers(0, 3, (n, 3, 4)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)
    masks[masked:] = VOID
    masks[:, 0] = VOID
    drives = np.repeat([f"{name} 1", f"{name} 2"], [n // 2, n - n // 2])
    time = np.concatenate([np.arange(n // 2), np.arange(n - n // 2)]).astype(float)
    names = np.array([f"{name} {i}" for i in range(n)])
    return SceneSplit(name, np.zeros((n, 12, 16, 3), np.uint8), masks, drives, time, names)


@lru_cache
def street() -> Scenes:
    train, validation, test = split_of("train", 50, 40, 0), split_of("validation", 2, 0, 1), split_of("test", 60, 58, 2)
    colours = np.eye(3, dtype=np.uint8)
    return Scenes(
        train, validation, test, ("road", "car", "person"), colours, (2,), own_data_card("street", "Street", ())
    )


def segmented(index: np.ndarray, seed: int, better: float) -> np.ndarray:
    """The truth of the test frames, less wrong with more frames, and otherwise a random class."""
    rng = np.random.default_rng([len(index), index.sum(), seed])
    truth = np.where(street().test.masks == VOID, 0, street().test.masks)
    right = rng.random((*truth.shape[:1], 3, 4)) < better + 0.1 * np.log10(len(index))
    return np.where(right.repeat(4, axis=1).repeat(4, axis=2), truth, rng.integers(0, 3, truth.shape)).astype(np.uint8)


def study_of_segmenters(**settings) -> Study:
    methods = [
        scene_method("scratch", "supervised", partial(segmented, better=0.5), street(), seeds=(0, 1), crossed=False),
        scene_method("ssl", "ssl", partial(segmented, better=0.65), street(), seeds=(0, 1, 2), setup_seconds=9.0),
        scene_method("road", "trivial", lambda index, seed: np.zeros((60, 12, 16), np.uint8), street()),
    ]
    return scene_study(methods, street(), [5, 20, 40], **({"replicates": 200, "draws": 3} | settings))


def test_segmenters_are_studied_over_frames():
    study, test = study_of_segmenters(), street().test
    assert (
        study.budgets == [5, 20, 40]
        and study.unit == "frames"
        and list(study.metrics) == ["mean_iou", "vulnerable_iou"]
    )
    assert study.frame.groupby(["method", "budget"]).size().to_dict() == {
        ("scratch", 5): 3, ("scratch", 20): 3, ("scratch", 40): 2, ("ssl", 5): 9, ("ssl", 20): 9, ("ssl", 40): 3,
        ("road", 5): 3, ("road", 20): 3, ("road", 40): 1,
    }  # fmt: skip
    for row, said in zip(study.frame.itertuples(), study.predictions, strict=True):
        assert said.labels is None, "labels of hundreds of runs would fill the memory"
        assert said.confusion.shape == (60, 3, 3)
        assert row.mean_iou == pytest.approx(mean_iou(said.confusion))
        assert row.vulnerable_iou == pytest.approx(mean_iou(said.confusion, classes=[2]))
    row = study.frame[study.frame["method"] == "ssl"].iloc[0]
    labels = segmented(draw_frames(street().train.labelled.drives, row.budget, row.draw), row.seed, 0.65)
    assert row.mean_iou == pytest.approx(mean_iou(segmentation(labels, test.masks, 3).confusion))
    assert np.array_equal(study.groups, test.blocks()) and study.groups.max() == 5
    assert study.costs().loc["ssl", "setup_seconds"] == 9.0


def test_verdict_labels_saved_and_curve_of_segmenters():
    study = study_of_segmenters()
    assert study.best_other("mean_iou", 5) == "scratch"
    verdict = compare(study, "mean_iou", "ssl", "scratch", 20)
    assert verdict.conclusion == "better" and verdict.lift > verdict.lift_low > 0
    assert "at 20 frames: mean_iou +" in str(verdict) and "relative +" in str(verdict)
    saved = labels_saved(study, "vulnerable_iou", "ssl", 5)
    assert saved.saved > 0 and "frames saved" in str(saved)
    assert label_budget_curve(study, "mean_iou").get_xlabel() == "frames"


def test_stretches_of_a_drive_are_resampled_together():
    study, weights = study_of_segmenters(), bootstrap_weights(60, 200, seed=0, groups=street().test.blocks())
    expected = mean_iou(study.predictions[study._rows("road", 40).index[0]].confusion, weights)
    np.testing.assert_allclose(study.bootstrap("mean_iou", "road", 40), expected)


def test_other_metrics_and_another_rule_of_drawing_frames():
    seen, features = [], np.random.default_rng(0).normal(size=(40, 2))

    def segment(index: np.ndarray, seed: int) -> np.ndarray:
        seen.append(set(index))
        return segmented(index, seed, better=0.8)

    metrics = {"cars": iou_metric([1]), "found": found_metric(), "found_cars": found_metric([1])}
    study = scene_study(
        [scene_method("s", "ssl", segment, street())], street(), [4, 40], 2, metrics,
        draw=lambda drives, budget, draw: choose_diverse(features, budget, draw), replicates=30,
    )  # fmt: skip
    assert sorted(map(sorted, seen)) == sorted(
        sorted(choose_diverse(features, *which)) for which in [(4, 0), (4, 1), (40, 0)]
    )
    for row, said in zip(study.frame.itertuples(), study.predictions, strict=True):
        assert row.cars == pytest.approx(mean_iou(said.confusion, classes=[1]))
        assert row.found == pytest.approx(found_regions(said.regions)) and np.isnan(row.found_cars)
    assert study.bootstrap("found", "s", 4).shape == (30,)


def test_regions_are_those_of_the_vulnerable():
    labels = segmented(np.arange(5), 0, 0.5)
    said = scene_method("s", "ssl", lambda index, seed: labels, street()).fit(np.arange(5), 0)
    assert np.array_equal(said.regions, region_counts(street().test.masks, labels, [2], 3))


def test_scenes_without_vulnerable_classes_have_one_metric():
    plain = replace(street(), vulnerable=())
    method = scene_method("road", "trivial", lambda index, seed: np.zeros((60, 12, 16), np.uint8), plain)
    assert list(scene_study([method], plain, [5], replicates=10).metrics) == ["mean_iou"]


def test_scenes_and_segmentations_that_cannot_be_studied():
    method = scene_method("s", "ssl", partial(segmented, better=0.5), street())
    bare = replace(street(), test=split_of("test", 60, 0, 2))
    with pytest.raises(ValueError, match="no test frame has a mask; label some frames of the test drives"):
        scene_study([method], bare, [5])
    with pytest.raises(ValueError, match="budget of 41 frames is not from 1 to the 40"):
        scene_study([method], street(), [5, 41])
    for shape in ((59, 3, 3), (60, 4, 4)):
        other = Method("s", "ssl", lambda index, seed, shape=shape: Segmentation(None, np.zeros(shape, int)))
        with pytest.raises(ValueError, match="not those of 60 test frames and 3 classes; use segmentation"):
            scene_study([other], street(), [5])


def test_regions_that_were_not_counted():
    said = segmentation(segmented(np.arange(5), 0, 0.5), street().test.masks, 3)
    with pytest.raises(ValueError, match="regions were not counted; use segmentation"):
        scene_study([Method("s", "ssl", lambda index, seed: said)], street(), [5], metrics={"found": found_metric()})


# ----------------------------------------------------------------------------------------------- labels saved


CURVE = {"simple": ("classical", {10: 0.7, 100: 0.8, 1000: 0.9})}


def saved_by(score: float, others: dict = CURVE, budget: int = 10, wobble=lambda draw, seed: 0.0):
    return labels_saved(study_of({**others, "ssl": ("ssl", {budget: score})}, wobble), "score", "ssl", budget)


def test_labels_saved_are_read_off_the_curve_on_a_logarithmic_scale():
    result = saved_by(0.85)
    assert result.equivalent_budget == pytest.approx(10**2.5, rel=1e-6)
    assert (result.saved, result.low, result.high) == pytest.approx((10**2.5 - 10,) * 3, rel=1e-6)
    assert result.versus == "simple" and not result.censored
    assert "about 316: about 306 labels saved" in str(result)


def test_a_score_that_a_budget_reaches_exactly_costs_that_budget():
    assert saved_by(0.8).equivalent_budget == pytest.approx(100, rel=1e-6)
    assert saved_by(0.9).equivalent_budget == pytest.approx(1000, rel=1e-6)
    assert not saved_by(0.9).censored


def test_a_score_that_no_budget_reaches_is_censored():
    result = saved_by(0.95)
    assert result.censored
    assert result.equivalent_budget == pytest.approx(1000)
    assert "at least 990 labels saved" in str(result)


def test_an_method_behind_the_others_saves_nothing():
    assert saved_by(0.75, budget=100).saved == pytest.approx(10**1.5 - 100, rel=1e-6)
    assert saved_by(0.6).saved == pytest.approx(0, abs=1e-6)


def test_a_score_below_the_whole_curve_bounds_the_labels_from_above():
    result = saved_by(0.6, budget=100)
    assert result.below and not result.censored
    assert "with at most 10: at most -90 labels saved" in str(result)
    assert not saved_by(0.7).below, "the least budget reaches it exactly"


def test_the_best_other_method_is_taken_anew_at_every_budget():
    others = {
        "early": ("classical", {10: 0.7, 100: 0.75, 1000: 0.76}),
        "late": ("supervised", {10: 0.5, 100: 0.8, 1000: 0.9}),
    }
    assert saved_by(0.85, others).equivalent_budget == pytest.approx(10**2.5, rel=1e-6)
    assert saved_by(0.75, others).equivalent_budget == pytest.approx(10**1.5, rel=1e-6)


def test_another_self_supervised_method_is_no_rival():
    others = {**CURVE, "other_ssl": ("ssl", {10: 0.9, 100: 0.95, 1000: 0.99})}
    assert saved_by(0.85, others).equivalent_budget == pytest.approx(10**2.5, rel=1e-6)


def test_a_curve_that_falls_again_has_reached_the_score_before():
    others = {"simple": ("classical", {10: 0.7, 100: 0.9, 1000: 0.8})}
    assert saved_by(0.85, others).equivalent_budget == pytest.approx(10**1.75, rel=1e-6)


def test_interval_of_labels_saved_follows_the_spread_of_the_scores():
    curves = {**CURVE, "ssl": ("ssl", {10: 0.85})}
    wobbling = study_of(curves, lambda draw, seed: 0.02 * (seed - 1), ssl={"seeds": (0, 1, 2)})
    result = labels_saved(wobbling, "score", "ssl", 10)
    # The seeds of the method score .83, .85, .87, the one seed of the rival lies .02 below its curve. All three seeds
    # drawn alike has probability 1/27 > 2.5 %, so the limits are those of the lowest and of the highest seed alone.
    expected = [10**exponent - 10 for exponent in (2.5, 2.7, 2.9)]
    assert (result.low, result.saved, result.high) == pytest.approx(expected, rel=1e-6)


# ---------------------------------------------------------------------------------------- negative controls


def film_study(train_labels: np.ndarray, test_labels: np.ndarray, images: imaging.Images, budget: int) -> Study:
    train, test = standardise(pixels(images.train.images), pixels(images.test.images))
    methods = [
        probe_method("pixels_lr", "classical", [(train, test)], train_labels),
        Method("majority", "trivial", lambda index, seed: majority(train_labels[index], len(test_labels), 2)),
    ]
    return label_budget_study(methods, train_labels, test_labels, [budget], draws=3)


def test_shuffled_labels_give_chance():
    images, rng = imaging_world.simulate_pneumoniamnist(n_train=800, seed=0), np.random.default_rng(0)
    honest = film_study(images.train.labels, images.test.labels, images, 100)
    shuffled = film_study(rng.permutation(images.train.labels), rng.permutation(images.test.labels), images, 100)
    assert honest.interval("auc", "pixels_lr", 100)[0] > 0.7
    mean, low, high = shuffled.interval("auc", "pixels_lr", 100)
    assert mean == pytest.approx(0.5, abs=0.08)
    assert low < 0.5 < high
    assert compare(shuffled, "auc", "pixels_lr", "majority", 100).conclusion == "no difference shown"
    assert compare(honest, "auc", "pixels_lr", "majority", 100).conclusion == "better"


def leaky(images: imaging.Images, n: int) -> imaging.Images:
    """The same data with the first n test xrays copied into training, a little darker."""
    copies = (images.test.images[:n] * 0.95).astype(np.uint8)
    both = np.concatenate([images.train.images, copies, images.test.images])
    labels = np.concatenate([images.train.labels, images.test.labels[:n], images.test.labels])
    split = ["train"] * (len(images.train) + n) + ["test"] * len(images.test)
    return imaging.Images.from_arrays(both, labels, split=split, classes=images.classes)


def test_a_leaked_split_is_caught():
    images = imaging_world.simulate_pneumoniamnist(n_train=160, seed=0)
    clean = imaging.duplicates(images)
    assert clean.empty or (clean["split_a"] == clean["split_b"]).all()
    found = imaging.duplicates(leaky(images, 12))
    across = found[found["split_a"] != found["split_b"]]
    assert set(across["index_b"][across["split_b"] == "test"]) == set(range(12))


def test_a_patient_in_two_splits_is_refused():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    labels, patients = np.arange(40) % 2, np.arange(40) // 2
    split = np.where(np.arange(40) < 21, "train", "test")  # patient 10 is cut in two
    with pytest.raises(data.DataError, match="[Gg]roup '10'"):
        imaging.Images.from_arrays(images, labels, groups=patients, split=split)
