"""The label-budget study: the same draws for all, what is refused, repeats to the bit, scores, costs and intervals."""

import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from scipy.stats import t as student

from sslbook import study as study_module
from sslbook.draws import draw_labels
from sslbook.metrics import (
    Metric,
    Prediction,
    average_precision,
    balanced_accuracy,
    bootstrap_weights,
    rare_finding_metrics,
    roc_auc,
)
from sslbook.parallel import RunError, measure
from sslbook.study import RANDOM, Method, Study, checked_labels, label_budget_study, probe_method
from sslbook.verdict import compare, labels_saved
from tests.conftest import refuses
from tests.test_parallel import on


@pytest.fixture(autouse=True)
def one_process():
    """Runs of these tests write into lists of theirs."""
    with on(1):
        yield


LABELS = np.array([0, 1] * 500)
TEST_LABELS = np.array([0, 1] * 60)


def stated(score: float, cv: float | None = None) -> Prediction:
    """A prediction that carries its own ``score`` on the test and, by cross-validation, the same or another one."""
    scores, decisions = np.full((len(TEST_LABELS), 2), score), np.zeros(len(TEST_LABELS), int)
    return Prediction(scores, decisions, {"score": score if cv is None else cv})


def stated_score(prediction: Prediction, weights: np.ndarray | None = None) -> np.ndarray:
    return prediction.scores[0, 0] if weights is None else np.full(len(weights), prediction.scores[0, 0])


@lru_cache
def draws_of(budget: int) -> dict[tuple[int, ...], int]:
    return {tuple(draw_labels(LABELS, budget, draw)): draw for draw in reversed(range(10))}


def number_of_draw(index: np.ndarray) -> int:
    """Runs go side by side in any order, so a method of these tests tells a draw by its cases."""
    return draws_of(len(index))[tuple(index)]


def study_of(curves: dict[str, tuple], wobble=lambda draw, seed: 0.0, study=None, cv_wobble=None, **settings) -> Study:
    """A study whose scores are given: ``{method: (family, {budget: score})}``, plus a wobble per draw and seed.

    A third entry, ``{budget: score}``, is what the method scores by cross-validation, plus a wobble of its own; without
    it that is what it scores on the test. Families that start from random weights have three seeds.
    """

    def method(name: str, family: str, curve: dict[int, float], cv_curve: dict[int, float] | None = None) -> Method:
        def fit(index: np.ndarray, seed: int) -> Prediction:
            where = number_of_draw(index), seed
            score = curve[len(index)] + wobble(*where)
            return stated(score, cv_curve and cv_curve[len(index)] + (cv_wobble or wobble)(*where))

        usual = {"setup_seconds": 1.0} if family == "ssl" else {}
        usual |= {"seeds": (0, 1, 2)} if family in RANDOM else {}
        return Method(name, family, fit, budgets=tuple(curve), **usual | settings.get(name, {}))

    budgets = sorted({budget for _, curve, *_ in curves.values() for budget in curve})
    methods = [method(name, *curve) for name, curve in curves.items()]
    settings = {"metrics": {"score": Metric(stated_score, perfect=1.0)}} | (study or {})
    return label_budget_study(methods, LABELS, TEST_LABELS, budgets, **settings)


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


def test_every_seed_runs_on_every_draw_and_once_where_there_is_one_way_to_draw():
    methods = recording_methods([], b={"seeds": (7, 8), "encoder": "features of b"})
    study = label_budget_study(methods, LABELS, TEST_LABELS, [10, 1000], draws=5)
    rows = study.runs("b", 10)
    assert rows["draw"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert rows["seed"].tolist() == [7, 8] * 5
    assert study.runs("b", 1000)[["draw", "seed"]].to_numpy().tolist() == [[0, 7], [0, 8]]
    assert study.single == {1000}
    assert study.encoders == {"a": "", "b": "features of b"}


def test_a_method_may_run_on_fewer_draws_and_budgets():
    log = []
    methods = recording_methods(log, b={"draws": 2, "budgets": (50,)})
    frame = label_budget_study(methods, LABELS, TEST_LABELS, [10, 50], draws=5).frame
    rows = frame[frame["method"] == "b"]
    assert rows["budget"].tolist() == [50, 50] and rows["draw"].tolist() == [0, 1]
    assert (frame["method"] == "a").sum() == 10


def test_another_rule_of_drawing_and_its_full_budget():
    log = []
    methods = recording_methods(log, b={"seeds": (7, 8)})

    def rule(labels: np.ndarray, budget: int, draw: int) -> np.ndarray:
        """Some of the first twelve cases; at twelve, all of them, in another order each time."""
        return np.random.default_rng(draw).permutation(12)[:budget]

    study = label_budget_study(methods, LABELS, TEST_LABELS, [3, 12], draws=4, draw=rule)
    frame = study.frame
    assert frame.groupby(["method", "budget"]).size().to_dict() == {
        ("a", 3): 4, ("a", 12): 1, ("b", 3): 8, ("b", 12): 2,
    }  # fmt: skip
    assert study.single == {12}
    expected = [(row.method, tuple(rule(LABELS, row.budget, row.draw)), row.seed) for row in frame.itertuples()]
    assert sorted(log) == sorted(expected)


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
        metrics=rare_finding_metrics(labels[kept]), groups=cards, test_weights=weights, replicates=70,
    )  # fmt: skip
    score = average_precision(labels[kept], prediction.scores, weights[None])[0]
    assert study.frame["average_precision"].tolist() == pytest.approx([score, score])
    assert score == pytest.approx(average_precision(labels, p), abs=0.05)
    assert score < average_precision(labels[kept], prediction.scores) - 0.1
    resamples = bootstrap_weights(len(kept), 70, seed=0, groups=cards) * weights
    expected = average_precision(labels[kept], prediction.scores, resamples)
    np.testing.assert_allclose(study.replicated("average_precision", "given", 10), expected, rtol=1e-6)
    spread = study.spread("average_precision", {"given": 1.0}, 10)
    share = np.bincount(np.unique(cards, return_inverse=True)[1], weights)
    units = (share**2).sum() ** 2 / (share**4).sum()  # cards of different weight count as fewer equal ones
    assert 20 < units < len(share)
    assert spread.cases == pytest.approx(np.var(expected, ddof=1) * units / (units - 1), rel=1e-5)
    assert spread.units == pytest.approx(units) and spread.runs == 0


def test_probe_method_hands_over_the_cards_and_weights_of_the_draw():
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(1000, 2)), rng.normal(size=(120, 2)))
    cards, weight = np.arange(1000) // 4, np.where(LABELS == 1, 1.0, 30.0)
    index = np.arange(300)
    plain, weighted = (
        probe_method("p", "supervised", [features], LABELS, **settings).fit(index, 0).scores[:, 1].mean()
        for settings in ({}, {"groups": cards, "sample_weight": weight})
    )
    assert plain == pytest.approx(0.5, abs=0.05) and weighted == pytest.approx(1 / 31, abs=0.01)
    with pytest.raises(ValueError, match="2 groups with each of 2 classes"):
        probe_method("p", "supervised", [features], LABELS, groups=np.zeros(1000, int)).fit(index, 0)


def test_probe_method_takes_the_features_of_its_seed():
    rng = np.random.default_rng(0)
    good = [(labels[:, None] * 4 + rng.normal(size=(len(labels), 2))) for labels in (LABELS, TEST_LABELS)]
    noise = [rng.normal(size=(len(labels), 2)) for labels in (LABELS, TEST_LABELS)]
    method = probe_method("probe", "ssl", [tuple(good), tuple(noise)], LABELS, setup_seconds=3.0)
    assert method.seeds == (0, 1)
    frame = label_budget_study([method], LABELS, TEST_LABELS, [40], draws=2).frame
    assert (frame[frame["seed"] == 0]["auc"] > 0.95).all()
    assert (frame[frame["seed"] == 1]["auc"] < 0.75).all()


# ------------------------------------------------------------------------------------- what is refused before a run


def refuses_before_a_run(
    *fragments: str, labels=LABELS, test_labels=TEST_LABELS, budgets=(10,), names="ab", **settings
):
    log = []
    methods = [replace(method, name=name) for method, name in zip(recording_methods(log), names, strict=True)]
    with refuses(*fragments, error=ValueError):
        label_budget_study(methods, labels, test_labels, budgets, **settings)
    assert not log


def test_what_is_there_twice_is_refused():
    refuses_before_a_run("two methods are called 'a'; keep one of them", names="aa")
    refuses_before_a_run("two budgets are 20; keep one of them", budgets=(20, 50, 20))


def test_a_budget_that_cannot_be_drawn_is_refused():
    refuses_before_a_run("exceeds the 1000", budgets=(10, 5000))


def halves(train: list, test: list) -> dict:
    """Labels of these kinds, in turn."""
    return {"labels": np.array(train * 500)[:1000], "test_labels": np.array(test * 60)[:120]}


@pytest.mark.parametrize(
    ("labels", "fragments"),
    [
        (halves(["ill", "well"], [0, 1]), ["the training labels are <U4 of shape (1000,)", "one number per case"]),
        (halves([0, 1], ["0", "1"]), ["the test labels are <U1 of shape (120,)", "for classes 0, 1, 2 ..."]),
        (halves([0, None], [0, 1]), ["the training labels are object"]),
        (halves([[0], [1]], [0, 1]), ["the training labels are int64 of shape (1000, 1)"]),
        (halves([0, 1], [[0, 1], [1, 0]]), ["the test labels are int64 of shape (120, 2)"]),
        (halves([-1, 1], [0, 1]), ["the training split has 500 cases without a label", "`split.labelled`"]),
        (halves([0, 1], [0, 1, -1]), ["the test split has 40 cases without a label"]),
        (halves([0, 1, np.nan, 1], [0, 1]), ["the training split has 250 cases without a label"]),
        (halves([-1.0, 1.0], [0, 1]), ["the training split has 500 cases without a label"]),
        (halves([0, 1], [0.5, 1]), ["the labels are not whole numbers", "for a regression give metrics"]),
        (halves([1, 1], [0, 1]), ["the training split holds a single class"]),
        (halves([0, 1], [1, 1]), ["the test split holds a single class"]),
        (halves([0, 1, 2], [0, 1]), ["class 2 is in the training split and not in the test split"]),
        (halves([0, 1], [0, 1, 3]), ["class 3 is in the test split and not in the training split"]),
    ],
)  # fmt: skip
def test_labels_that_would_be_read_wrongly_are_refused(labels, fragments):
    refuses_before_a_run(*fragments, **labels)


@pytest.mark.parametrize("split", ["labels", "test_labels"])
def test_a_series_in_another_order_is_refused_and_one_in_order_is_fine(split):
    labels = {"labels": pd.Series(LABELS), "test_labels": pd.Series(TEST_LABELS)}
    shuffled = labels | {split: labels[split].sample(frac=1, random_state=0)}
    refuses_before_a_run("labels have an index that is not 0, 1, 2 ...; give labels.to_numpy() in order", **shuffled)
    study = label_budget_study(recording_methods([]), **labels, budgets=[10], draws=1)
    assert study.n_test == 120 and len(study.frame) == 2


@pytest.mark.parametrize("kind", [bool, float, np.float32, np.uint8], ids=lambda kind: kind.__name__)
def test_labels_of_another_kind_mean_the_same(kind):
    rng = np.random.default_rng(0)
    features = (LABELS[:, None] + rng.normal(size=(1000, 3)), TEST_LABELS[:, None] + rng.normal(size=(120, 3)))
    scores = [
        label_budget_study([probe_method("p", "classical", [features], labels)], labels, test, [20], 2).frame["auc"]
        for labels, test in ((LABELS, TEST_LABELS), (LABELS.astype(kind), TEST_LABELS.astype(kind)))
    ]
    assert scores[0].tolist() == scores[1].tolist()
    assert checked_labels("training", LABELS.astype(kind)).dtype == np.int64


def test_a_method_of_no_family_or_without_its_cost_is_refused():
    with refuses(
        "a is of the family 'selfsup'", "choose one of trivial, classical, untrained, supervised, ssl", error=ValueError
    ):
        Method("a", "selfsup", print)
    for cost in (0.0, -1.0, float("nan")):
        with refuses("simclr is pretrained", "setup_seconds=history.cpu_seconds", error=ValueError):
            Method("simclr", "ssl", print, setup_seconds=cost)
    with refuses("simclr is pretrained", error=ValueError):
        probe_method("simclr", "ssl", [], LABELS)


# ------------------------------------------------------------------------------------------------ errors in a run


def test_an_error_in_a_run_names_it_and_ends_the_study():
    started = []

    def fit(index: np.ndarray, seed: int) -> Prediction:
        started.append(seed)
        raise ZeroDivisionError("no case")

    methods = [Method("bad", "supervised", fit, seeds=tuple(range(50)))]
    with pytest.raises(RunError, match="labels study · bad · 20 · 0 · 0 failed: ZeroDivisionError: no case") as raised:
        label_budget_study(methods, LABELS, TEST_LABELS, [20])
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert len(started) == 1, "the runs that have not started are left out"


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_no_number_names_the_run(score):
    def fit(index: np.ndarray, seed: int) -> Prediction:
        odd = (len(index), number_of_draw(index), seed) == (20, 1, 7)
        return stated(score if odd else 0.5)

    methods = [Method("odd", "supervised", fit, seeds=(3, 7))]
    with pytest.raises(RunError, match=rf"labels study · odd · 20 · 1 · 7 failed: .* its score is {score}; look for"):
        label_budget_study(methods, LABELS, TEST_LABELS, [10, 20], 2, {"score": Metric(stated_score)})


# ------------------------------------------------------------------------------------------------- regression


@dataclass
class Values:
    """What a regression says."""

    said: np.ndarray
    cv_scores: dict[str, float] = field(default_factory=dict)


def absolute_error(truth: np.ndarray) -> Metric:
    def score(prediction: Values, weights: np.ndarray | None = None) -> np.ndarray | float:
        error = np.abs(prediction.said - truth)
        return error.mean() if weights is None else weights @ error / weights.sum(axis=1)

    return Metric(score, higher_is_better=False, perfect=0.0)


def test_a_regression_is_studied_with_a_metric_of_ones_own():
    rng = np.random.default_rng(0)
    x, test_x = rng.normal(size=(300, 2)), rng.normal(size=(80, 2))
    y, truth = (a @ [2.0, -3.0] + 0.1 * rng.normal(size=len(a)) for a in (x, test_x))
    assert min(y.min(), truth.min()) < -1

    def least_squares(index: np.ndarray, seed: int) -> Values:
        return Values(test_x @ np.linalg.lstsq(x[index], y[index], rcond=None)[0])

    def mean(index: np.ndarray, seed: int) -> Values:
        left_out = (y[index].sum() - y[index]) / (len(index) - 1)
        return Values(np.full(80, y[index].mean()), {"mae": np.abs(y[index] - left_out).mean()})

    methods = [Method("mean", "trivial", mean), Method("line", "ssl", least_squares, (0, 1, 2), setup_seconds=1.0)]
    study = label_budget_study(methods, y, truth, [10, 300], 5, {"mae": absolute_error(truth)}, replicates=200)
    assert study.frame.groupby("budget").size().to_dict() == {10: 20, 300: 4}
    for row, said in zip(study.frame.itertuples(), study.predictions, strict=True):
        assert row.mae == pytest.approx(np.abs(said.said - truth).mean())
    assert study.scores("mae").loc["line", 300] < 0.15 < 1 < study.scores("mae").loc["mean", 300]
    verdict = compare(study, "mae", "line", study.best_other("mae", 10), 10)
    assert verdict.outcome == "gain" and verdict.high < 0 and verdict.error_reduction > 0.9
    assert labels_saved(study, "mae", "line", 10).saved == np.inf
    with refuses("without a label", error=ValueError):
        label_budget_study(methods, np.where(y > 2, np.nan, y), truth, [10], metrics=study.metrics)


# -------------------------------------------------------------------------------- side by side, again, and kept


def networks(folder: Path | None = None, strength: float = 1.0) -> list[Method]:
    """Methods whose networks are drawn from torch's global generator; each call leaves a line in a file."""

    def fit_as(name: str):
        def fit(index: np.ndarray, seed: int) -> Prediction:
            if folder is not None:
                with open(folder / f"{name}.txt", "a") as calls:
                    calls.write(f"{len(index)} {seed}\n")
            network = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
            noise = torch.randn(len(TEST_LABELS), 1)
            x = torch.cat([torch.from_numpy(TEST_LABELS)[:, None] * strength + noise, noise], dim=1).float()
            scores = network(x).softmax(dim=1).detach().numpy()
            return Prediction(scores, scores.argmax(axis=1))

        return fit

    return [
        Method("scratch", "supervised", fit_as("scratch"), seeds=(0, 1)),
        Method("ssl", "ssl", fit_as("ssl"), seeds=(0, 1), setup_seconds=2.0),
    ]


def scores_of(study: Study) -> pd.DataFrame:
    return study.frame.drop(columns=["seconds", "peak_mb"])


def test_networks_drawn_inside_a_run_are_the_same_again_in_one_process_and_in_two():
    studies = []
    for processes, noise in ((1, 0), (1, 1), (2, 2), (2, 3)):
        torch.manual_seed(noise)
        with on(processes):
            studies.append(label_budget_study(networks(), LABELS, TEST_LABELS, [20, 60], draws=3))
    frame = scores_of(studies[0])
    assert frame["auc"].nunique() == len(frame), "every run has its own network"
    for other in studies[1:]:
        pd.testing.assert_frame_equal(scores_of(other), frame, check_exact=True)
        for a, b in zip(studies[0].predictions, other.predictions, strict=True):
            assert np.array_equal(a.scores, b.scores)


def test_finished_runs_are_kept_and_not_repeated(tmp_path):
    store = tmp_path / "store"

    def calls() -> dict[str, int]:
        return {path.stem: len(path.read_text().splitlines()) for path in tmp_path.glob("*.txt")}

    def study(methods: list[Method], budgets=(20, 60)) -> Study:
        return label_budget_study(methods, LABELS, TEST_LABELS, budgets, draws=3, store=store)

    first = study(networks(tmp_path))
    assert calls() == {"scratch": 12, "ssl": 12}
    again = study(networks(tmp_path))
    assert calls() == {"scratch": 12, "ssl": 12}
    pd.testing.assert_frame_equal(again.frame, first.frame, check_exact=True)
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(first.predictions, again.predictions, strict=True))
    more = study(networks(tmp_path), budgets=(20, 60, 1000))
    assert calls() == {"scratch": 14, "ssl": 14}, "only the new budget runs, once for each seed"
    kept = scores_of(more)[more.frame["budget"] < 1000].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, scores_of(first), check_exact=True)
    other = study([networks(tmp_path)[0], networks(tmp_path, strength=9.0)[1]])
    assert calls() == {"scratch": 14, "ssl": 26}, "another captured value makes all runs of that method other runs"
    differs = (other.frame["auc"] != first.frame["auc"]).groupby(first.frame["method"]).any()
    assert differs.to_dict() == {"scratch": False, "ssl": True}


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


def test_best_other_is_chosen_by_cross_validation_and_never_by_the_test():
    curves = {
        "lucky": ("classical", {10: 0.9}, {10: 0.7}),
        "steady": ("supervised", {10: 0.6}, {10: 0.8}),
        "untrained": ("untrained", {10: 0.7}, {10: 0.75}),
        "ssl": ("ssl", {10: 0.5}, {10: 0.99}),
    }
    study = study_of(curves)
    assert study.best_other("score", 10) == "steady"
    assert study.cv_means("score", 10).to_dict() == pytest.approx({"lucky": 0.7, "steady": 0.8, "untrained": 0.75})
    assert study.frame.groupby("method")["cv_score"].first()["lucky"] == 0.7
    study.frame["score"] = np.random.default_rng(0).random(len(study.frame))
    assert study.best_other("score", 10) == "steady", "whatever the test says"


def test_of_errors_the_least_by_cross_validation_is_the_best():
    curves = {"a": ("classical", {10: 0.1}, {10: 0.3}), "b": ("classical", {10: 0.2}, {10: 0.2})}
    errors = {"metrics": {"score": Metric(stated_score, higher_is_better=False)}}
    assert study_of(curves, study=errors).best_other("score", 10) == "b"


def test_a_rival_that_reports_no_score_by_cross_validation_is_refused():
    def silent(index: np.ndarray, seed: int) -> Prediction:
        return replace(stated(0.9), cv_scores={})

    def talking(index: np.ndarray, seed: int) -> Prediction:
        return stated(0.8)

    def study(*methods: Method) -> Study:
        return label_budget_study(methods, LABELS, TEST_LABELS, [10], 2, {"score": Metric(stated_score)})

    both = study(Method("silent", "classical", silent), Method("talking", "classical", talking))
    fragments = "silent reports no score by cross-validation at 10 labels", "cv_scores={'score': ...}"
    for ask in (both.best_other, both.cv_means):
        with refuses(*fragments, error=ValueError):
            ask("score", 10)
    assert compare(both, "score", "silent", "talking", 10).difference == pytest.approx(0.1), "no rival is chosen here"
    pretrained = Method("silent", "ssl", silent, setup_seconds=1.0)
    assert study(pretrained, Method("talking", "classical", talking)).best_other("score", 10) == "talking"


def test_a_rival_of_a_few_draws_cannot_be_chosen():
    curves = {
        "lucky": ("supervised", {10: 0.9, 100: 0.9}),
        "steady": ("classical", {10: 0.8}),
        "ssl": ("ssl", {10: 0.5, 100: 0.5}),
    }
    study = study_of(curves, lucky={"draws": 2})
    assert study.cv_means("score", 10).index.tolist() == ["steady"]
    assert study.best_other("score", 10) == "steady", "the two draws may have been easy ones"
    assert study.best_other("score", 100) == "lucky", "no other ran on more draws"


@pytest.mark.parametrize(
    ("families", "seeds", "draws", "budget", "enough"),
    [
        ("ssl classical", 3, 5, 10, True),
        ("ssl classical", 3, 4, 10, False),
        ("ssl classical", 2, 5, 10, False),
        ("ssl supervised", 3, 5, 10, True),
        ("classical untrained", 2, 5, 10, False),
        ("classical supervised", 1, 5, 10, False),
        ("classical trivial", 1, 5, 10, True),
        ("classical trivial", 1, 4, 10, False),
        ("ssl classical", 3, 5, 1000, True),
        ("ssl classical", 2, 5, 1000, False),
        ("classical trivial", 1, 5, 1000, True),
    ],
)
def test_a_verdict_takes_five_draws_and_three_seeds_of_what_is_random(families, seeds, draws, budget, enough):
    names = families.split()
    curves = {name: (name, {budget: 0.5}) for name in names}
    repeats = {name: {"seeds": tuple(range(seeds))} for name in names if name in RANDOM}
    study = study_of(curves, study={"draws": draws}, **repeats)
    assert study.single == ({1000} if budget == 1000 else set())
    assert study.enough(names, budget, range(1 if budget == 1000 else draws)) == enough
    assert (compare(study, "score", *names, budget).outcome != "too few runs") == enough


def test_measure_counts_cpu_seconds_and_memory():
    with measure() as cost:
        time.sleep(0.3)
    assert cost.seconds < 0.2, "waiting costs nothing"
    before = psutil.Process().memory_info().rss / 2**20
    with measure() as cost:
        start = time.process_time()  # of all threads: other tests leave some that still work
        block = np.ones(8_000_000)  # 61 MB
        while time.process_time() - start < 0.2:
            pass
        spent = time.process_time() - start
    assert spent <= cost.seconds == pytest.approx(spent, abs=0.05)
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
    ("wobble", "expected"),
    [
        (lambda draw, seed: 0.01 * draw, 0.01 * student.ppf(0.975, 4) * np.sqrt(2.5 / 5)),
        (lambda draw, seed: 0.01 * seed, 0.01 * student.ppf(0.975, 2) * np.sqrt(1 / 3)),
    ],
    ids=["draws", "seeds"],
)
def test_interval_of_a_score_that_only_draws_or_only_seeds_change_is_that_of_a_t_test(wobble, expected):
    study = study_of({"network": ("supervised", {10: 0.8})}, wobble)
    mean, low, high = study.interval("score", "network", 10)
    assert mean == pytest.approx(study.frame["score"].mean())
    assert (mean - low, high - mean) == pytest.approx((expected, expected))


def test_replicates_are_of_the_test_cases_alone():
    study = study_of({"network": ("supervised", {10: 0.8})}, lambda draw, seed: 0.01 * draw + 0.02 * seed)
    assert study.replicated("score", "network", 10) == pytest.approx(np.full(1000, study.frame["score"].mean()))
    assert study.spread("score", {"network": 1.0}, 10).cases == pytest.approx(0, abs=1e-12)


def test_a_grid_has_draws_in_rows_and_seeds_in_columns():
    study = study_of({"network": ("supervised", {10: 0.5})}, lambda draw, seed: 0.01 * draw + 0.1 * seed)
    grid = study.grid("score", "network", 10)
    assert grid == pytest.approx(0.5 + 0.01 * np.arange(5)[:, None] + 0.1 * np.arange(3))
    assert np.array_equal(study.grid("cv_score", "network", 10, [3, 1]), grid[[1, 3]])


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_mean_over_test_cases_has_the_spread_that_its_bootstrap_has(grouped, weighted):
    groups = np.arange(120) // 4 if grouped else None
    weights = np.random.default_rng(0).uniform(0.5, 3, 120) if weighted else None

    def fit_as(name: str):
        def fit(index: np.ndarray, seed: int) -> Prediction:
            noise = np.random.default_rng([number_of_draw(index), seed, *name.encode()]).normal(size=(2, 120))
            return Prediction(np.repeat(noise[:, :30], 4, axis=1).T + noise.T, TEST_LABELS)

        return fit

    def values(said: Prediction) -> np.ndarray:
        return said.scores[:, 1]

    def mean(said: Prediction, weights: np.ndarray | None = None) -> np.ndarray | float:
        return values(said).mean() if weights is None else weights @ values(said) / weights.sum(axis=1)

    methods = [Method(name, "supervised", fit_as(name), (0, 1)) for name in ("a", "b")]
    study = label_budget_study(
        methods, LABELS, TEST_LABELS, [20], 3, {"mean": Metric(per_case=values), "resampled": Metric(mean)},
        groups=groups, test_weights=weights, replicates=4000,
    )  # fmt: skip
    assert study.frame["mean"].to_numpy() == pytest.approx(study.frame["resampled"].to_numpy())
    np.testing.assert_allclose(
        study.replicated("mean", "a", 20), study.replicated("resampled", "a", 20), rtol=1e-4, atol=1e-6
    )
    for sought in ({"a": 1.0}, {"a": 1.0, "b": -1.0}):
        exact, resampled = (study.spread(metric, sought, 20) for metric in ("mean", "resampled"))
        assert exact.cases == pytest.approx(resampled.cases, rel=0.1) and exact.cases > 0
        assert exact.runs == pytest.approx(resampled.runs)
        share = np.ones(120) if weights is None else weights
        share = np.bincount(groups, share) if grouped else share
        assert exact.units == resampled.units == pytest.approx((share**2).sum() ** 2 / (share**4).sum())
        assert weighted or exact.units == pytest.approx(30 if grouped else 120), "equal shares count in full"


def test_methods_on_one_encoder_are_summed_seed_by_seed_and_others_are_not():
    curves = {"a": ("ssl", {10: 0.8}), "b": ("ssl", {10: 0.7}), "c": ("ssl", {10: 0.7})}
    same, other = {"encoder": "simclr"}, {"encoder": "rotation"}
    study = study_of(curves, lambda draw, seed: 0.02 * seed, a=same, b=same, c=other)
    paired, apart = (study.spread("score", {"a": 1.0, rival: -1.0}, 10) for rival in "bc")
    assert paired.runs == pytest.approx(0, abs=1e-12)
    alone = study.spread("score", {"a": 1.0}, 10)
    assert apart.runs == pytest.approx(2 * alone.runs) and alone.runs == pytest.approx(0.02**2 / 3)
    assert apart.df == pytest.approx(4) and alone.df == pytest.approx(2)
    unnamed = study_of(curves, lambda draw, seed: 0.02 * seed)
    assert unnamed.spread("score", {"a": 1.0, "b": -1.0}, 10).runs == pytest.approx(2 * alone.runs)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_bootstrap_in_blocks_is_that_in_one_piece(monkeypatch, grouped, weighted):
    groups = np.arange(120) // 4 if grouped else None
    weights = np.random.default_rng(0).uniform(0.5, 3, 120) if weighted else None

    def replicates() -> list[np.ndarray]:
        study = label_budget_study(
            networks(), LABELS, TEST_LABELS, [20], draws=3, groups=groups, test_weights=weights, replicates=230
        )
        return [study.replicated(metric, name, 20) for metric in study.metrics for name in ("scratch", "ssl")]

    whole = replicates()
    monkeypatch.setattr(study_module, "BLOCK", 7 * 120)
    for a, b in zip(whole, replicates(), strict=True):
        assert a.shape == (230,) and a.std() > 0
        np.testing.assert_allclose(b, a, rtol=1e-12)


def test_a_comparison_resamples_no_run_that_an_interval_has_resampled():
    asked = []

    def score(prediction: Prediction, weights: np.ndarray | None = None) -> np.ndarray:
        asked.append(weights is not None)
        return stated_score(prediction, weights)

    study = study_of(TWO_BUDGETS, study={"metrics": {"score": Metric(score)}})
    names = [name for name in study.methods() if 10 in set(study.frame.loc[study.frame["method"] == name, "budget"])]
    for name in names[:2]:
        study.interval("score", name, 10)
    before = sum(asked)
    compare(study, "score", *names[:2], 10)
    assert before > 0 and sum(asked) == before


def test_a_study_at_some_of_its_budgets_is_that_of_these_budgets():
    wobble = lambda draw, seed: 0.01 * draw - 0.002 * seed  # noqa: E731
    whole = study_of({"a": ("ssl", {10: 0.5, 20: 0.6, 40: 0.7}), "b": ("classical", {10: 0.4, 20: 0.5})}, wobble)
    part = whole.at(10, 40)
    assert part.budgets == [10, 40] and whole.budgets == [10, 20, 40]
    assert len(part.predictions) == len(part.frame) == (whole.frame["budget"] != 20).sum()
    for budget in (10, 40):
        assert part.interval("score", "a", budget) == whole.interval("score", "a", budget)
    with pytest.raises(ValueError, match="no run of 'a' at 20"):
        part.runs("a", 20)


def test_one_more_metric_scores_what_the_runs_predicted():
    wobble = lambda draw, seed: 0.01 * draw  # noqa: E731
    study = study_of({"a": ("classical", {10: 0.5})}, wobble)
    more = study.scored("double", Metric(lambda said, weights=None: 2 * stated_score(said, weights)))
    assert more.frame["double"].tolist() == (2 * study.frame["score"]).tolist()
    assert more.interval("double", "a", 10) == pytest.approx(2 * np.array(study.interval("score", "a", 10)))
    assert "double" not in study.metrics and "double" not in study.frame
