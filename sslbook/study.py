"""The label-budget study: entrants on the same label draws, and the verdict that follows from them."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import psutil
from sklearn.cluster import KMeans
from sklearn.model_selection import StratifiedShuffleSplit
from tqdm.auto import tqdm

from sslbook.data import Holdout
from sslbook.data.scenes import Scenes
from sslbook.evaluate import (
    Prediction,
    average_precision,
    balanced_accuracy,
    bootstrap_weights,
    linear_probe,
    roc_auc,
)
from sslbook.ranking import Ranking
from sslbook.segmentation import Segmentation, found_regions, mean_iou, segmentation
from sslbook.train import side_by_side

Said = Prediction | Ranking | Segmentation
Metric = Callable[[np.ndarray, Said, np.ndarray | None], np.ndarray]
Draw = Callable[[np.ndarray, int, int], np.ndarray]

CLASSIFICATION_METRICS: dict[str, Metric] = {
    "auc": lambda labels, prediction, weights=None: roc_auc(labels, prediction.scores, weights),
    "balanced_accuracy": lambda labels, prediction, weights=None: balanced_accuracy(
        labels, prediction.decisions, weights
    ),
}
RARE_FINDING_METRICS: dict[str, Metric] = {
    "average_precision": lambda labels, prediction, weights=None: average_precision(labels, prediction.scores, weights),
    "auc": CLASSIFICATION_METRICS["auc"],
}
# Metrics whose shortfall from 1 is a rate of errors; of others, a verdict states the relative gain.
ERROR_METRICS = {"auc", "accuracy", "balanced_accuracy"}


@dataclass(frozen=True)
class Entrant:
    """One method in a study.

    Attributes
    ----------
    name : as it appears in tables and records.
    family : "trivial", "classical", "supervised" or "ssl".
    fit : maps (indices of the drawn labels, seed) to a Prediction for the test cases, or whatever a study asks for.
    seeds : repeats of what is random in the method itself, a pretraining for example.
    crossed : True runs every seed on every draw; False gives draw i the seed i modulo the number of seeds. At the full
        budget there is one draw, and every seed runs.
    draws : run on the first so many draws only; None means all.
    budgets : run at these budgets only; None means all.
    setup_seconds : CPU-seconds spent once before any label is seen (pretraining), per seed.
    """

    name: str
    family: str
    fit: Callable[[np.ndarray, int], Said]
    seeds: tuple[int, ...] = (0,)
    crossed: bool = True
    draws: int | None = None
    budgets: tuple[int, ...] | None = None
    setup_seconds: float = 0.0


def probe_entrant(
    name: str, family: str, features: Sequence[tuple[np.ndarray, np.ndarray]], labels: np.ndarray,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None, **settings,
) -> Entrant:  # fmt: skip
    """A linear probe on frozen features, one (train, test) pair of feature arrays per seed.

    ``groups`` and ``sample_weight``, shape (n,) as the labels, go to ``linear_probe``; settings to ``Entrant``.
    """
    classes = int(labels.max()) + 1

    def fit(index: np.ndarray, seed: int) -> Prediction:
        train, test = features[seed]
        folds, weight = (None if x is None else x[index] for x in (groups, sample_weight))
        return linear_probe(train[index], labels[index], test, classes, seed, folds, weight)

    return Entrant(name, family, fit, seeds=tuple(range(len(features))), **settings)


@dataclass
class Cost:
    """CPU-seconds of this thread, and the largest memory of the whole process meanwhile, in MB."""

    seconds: float = math.nan
    peak_mb: float = math.nan


@contextmanager
def measure() -> Iterator[Cost]:
    """Measure what the block costs; memory is sampled every 10 milliseconds."""
    cost, process, done = Cost(), psutil.Process(), threading.Event()
    peak = process.memory_info().rss

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    start = time.thread_time()
    watcher.start()
    try:
        yield cost
    finally:
        cost.seconds = time.thread_time() - start
        done.set()
        watcher.join()
        cost.peak_mb = max(peak, process.memory_info().rss) / 2**20


def peak_memory_mb() -> float:
    """Largest resident memory that this process has had so far, in MB."""
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return info.peak_wset / 2**20
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def draw_labels(labels: np.ndarray, budget: int, draw: int) -> np.ndarray:
    """Indices of ``budget`` cases, stratified by class, at least two of each class.

    Parameters
    ----------
    labels : int array, shape (n,)
    budget : number of labels; all of them are returned where it is n.
    draw : number of the draw; the same number gives the same cases.

    Raises
    ------
    ValueError
        If the budget exceeds the labels or cannot hold two cases of each class.
    """
    if budget == len(labels):
        return np.arange(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    if budget > len(labels):
        raise ValueError(f"a budget of {budget} labels exceeds the {len(labels)} there are; use a smaller budget.")
    if counts.min() < 2:
        raise ValueError(
            f"class {classes[counts.argmin()]} has a single label; label one more, or leave the class out."
        )
    if budget < 2 * len(classes):
        raise ValueError(
            f"a budget of {budget} labels cannot hold two of each of {len(classes)} classes; use a larger budget."
        )
    if len(labels) - budget >= len(classes):
        splitter = StratifiedShuffleSplit(1, train_size=budget, random_state=draw)
        index = next(splitter.split(labels, labels))[0]
        if min((labels[index] == c).sum() for c in classes) >= 2:
            return index
    rng = np.random.default_rng(draw)
    pairs = np.concatenate([rng.choice(np.flatnonzero(labels == c), 2, replace=False) for c in classes])
    rest = np.setdiff1d(np.arange(len(labels)), pairs)
    return np.concatenate([pairs, rng.choice(rest, budget - len(pairs), replace=False)])


def draw_findings(
    labels: np.ndarray, budget: int, draw: int, groups: np.ndarray | None = None, negatives: int = 2000
) -> np.ndarray:
    """Indices of the findings of ``budget`` groups, and of rows without one: how labels of rare findings arrive.

    Of the groups drawn, the rows with the finding are given. The other findings count as not yet known: no row of their
    groups is given. Of one draw, a larger budget adds findings to those of a smaller one. For a study, fix the groups:
    ``functools.partial(draw_findings, groups=cards)``.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = the finding.
    budget : number of groups with a finding; where it is all of them, every draw is the same.
    draw : number of the draw; the same number gives the same cases.
    groups : optional array, shape (n,), cards (patients); None where every row stands alone.
    negatives : rows drawn from groups without any finding; all of them where there are fewer.

    Raises
    ------
    ValueError
        If the budget exceeds the groups with a finding, or either class would have less than two.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    found = np.unique(groups[labels == 1])
    clean = np.flatnonzero(~np.isin(groups, found))
    if budget > len(found):
        raise ValueError(f"a budget of {budget} exceeds the {len(found)} groups with a finding; use a smaller budget.")
    if budget < 2:
        raise ValueError(f"a budget of {budget} groups with a finding leaves none to validate on; use 2 or more.")
    if min(len(clean), negatives) < 2:
        raise ValueError(f"{min(len(clean), negatives)} rows of groups without a finding are too few; give 2 or more.")
    draw = 0 if budget == len(found) else draw
    chosen = np.random.default_rng([draw, 1]).permutation(found)[:budget]
    others = np.random.default_rng([draw, 0]).permutation(clean)[:negatives]
    return np.concatenate([np.flatnonzero(np.isin(groups, chosen) & (labels == 1)), others])


def draw_frames(drives: np.ndarray, budget: int, draw: int) -> np.ndarray:
    """Indices of ``budget`` random frames, each drive in proportion; a larger budget of a draw adds to a smaller one.

    The frames of each drive are shuffled and laid out evenly from 0 to 1, all drives side by side; the first are taken,
    and returned ascending, so by drive and time.

    Parameters
    ----------
    drives : array, shape (n,), the drive of each frame.
    budget : number of frames; all of them are returned where it is n.
    draw : number of the draw; the same number gives the same frames.

    Raises
    ------
    ValueError
        If the budget exceeds the frames, or is less than one.
    """
    _check_frames(budget, len(drives))
    if budget == len(drives):
        return np.arange(budget)
    rng = np.random.default_rng(draw)
    place = np.empty(len(drives))
    for drive in np.unique(drives):
        frames = np.flatnonzero(drives == drive)
        place[rng.permutation(frames)] = (np.arange(len(frames)) + rng.random()) / len(frames)
    return np.sort(np.argsort(place, kind="stable")[:budget])


def choose_diverse(features: np.ndarray, budget: int, seed: int = 0) -> np.ndarray:
    """Indices of ``budget`` frames that stand for all: of each cluster of k-means, the frame nearest to its centre.

    Few labels are better spent on typical frames than on odd ones (Hacohen et al. 2022), which is what k-center greedy
    (Sener and Savarese 2018) would choose first: the frames that are farthest from those it has.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``), one row for each frame that can be chosen.
    budget : number of frames.
    seed : starts k-means.

    Raises
    ------
    ValueError
        If the budget exceeds the frames that differ, or is less than one.
    """
    _check_frames(budget, len(np.unique(features, axis=0)))
    means = KMeans(budget, n_init=1, random_state=seed).fit(features)
    member = means.labels_[:, None] == np.arange(budget)
    return np.sort(np.where(member, means.transform(features), np.inf).argmin(axis=0))


def _check_frames(budget: int, frames: int) -> None:
    if not 1 <= budget <= frames:
        raise ValueError(
            f"a budget of {budget} frames is not from 1 to the {frames} different ones there are; use another."
        )


@dataclass
class Study:
    """The runs of a label-budget study.

    Attributes
    ----------
    frame : one row per run: entrant, family, budget, draw, seed, one column per metric, seconds (CPU), peak_mb.
    predictions : the Prediction (of a ``ranking_study`` the Ranking, of a ``scene_study`` the Segmentation without its
        labels) of each run, in the order of the rows.
    labels : int array, shape (n_test,), the test labels; zeros where the predictions hold what a metric needs.
    groups : patients (or the like) of the test cases, resampled together; None if every case stands alone.
    replicates : bootstrap resamples behind every interval.
    test_weights : float array, shape (n_test,), how many cases a test case stands for; None if one each.
    unit : what a budget counts, in words: "labels", "fraud cards".
    """

    frame: pd.DataFrame
    predictions: list[Said]
    labels: np.ndarray
    metrics: dict[str, Metric]
    setup_seconds: dict[str, float]
    groups: np.ndarray | None = None
    replicates: int = 1000
    test_weights: np.ndarray | None = None
    unit: str = "labels"
    _cache: dict = field(default_factory=dict, repr=False)

    @property
    def budgets(self) -> list[int]:
        return sorted(self.frame["budget"].unique().tolist())

    def entrants(self, *families: str) -> list[str]:
        """Names of the entrants, of the given families only if any are given."""
        rows = self.frame if not families else self.frame[self.frame["family"].isin(families)]
        return list(dict.fromkeys(rows["entrant"]))

    def scores(self, metric: str) -> pd.DataFrame:
        """Mean score, one row per entrant, one column per budget."""
        table = self.frame.pivot_table(index="entrant", columns="budget", values=metric)
        return table.reindex(self.entrants())

    def bootstrap(self, metric: str, entrant: str, budget: int, draws: Sequence[int] | None = None) -> np.ndarray:
        """Mean score of an entrant in every bootstrap replicate, shape (replicates,).

        A replicate resamples the test cases, the label draws and the entrant's seeds. The test cases and draws of
        replicate i are the same for all entrants, so differences are paired.
        """
        key = (metric, entrant, budget, None if draws is None else tuple(draws))
        if key not in self._cache:
            runs = self._replicate_runs(metric, entrant, budget, draws)
            n_draws, n_seeds, n = runs.shape
            shared, own = (
                np.random.default_rng(1),
                np.random.default_rng(len(entrant) + sum(map(ord, entrant))),
            )
            draw = shared.integers(n_draws, size=(n, n_draws, 1))
            seed = own.integers(n_seeds, size=(n, 1, n_seeds))
            self._cache[key] = np.nanmean(runs[draw, seed, np.arange(n)[:, None, None]], axis=(1, 2))
        return self._cache[key]

    def _replicate_runs(self, metric: str, entrant: str, budget: int, draws: Sequence[int] | None) -> np.ndarray:
        """Scores of every run in every resample of the test cases, shape (draws, seeds, replicates)."""
        rows = self._rows(entrant, budget)
        if draws is not None:
            rows = rows[rows["draw"].isin(draws)]
        weights = self._resamples()
        per_draw = []
        for _, runs in rows.groupby("draw"):
            per_draw.append([self.metrics[metric](self.labels, self.predictions[i], weights) for i in runs.index])
        return np.array(per_draw)

    def _resamples(self) -> np.ndarray:
        """Weights of the test cases in every replicate, shape (replicates, n_test), drawn once."""
        key = ("resamples", self.replicates)
        if key not in self._cache:
            drawn = bootstrap_weights(len(self.labels), self.replicates, seed=0, groups=self.groups)
            self._cache[key] = drawn if self.test_weights is None else drawn * self.test_weights
        return self._cache[key]

    def _rows(self, entrant: str, budget: int) -> pd.DataFrame:
        rows = self.frame[(self.frame["entrant"] == entrant) & (self.frame["budget"] == budget)]
        if rows.empty:
            raise ValueError(f"the study has no run of {entrant!r} at {budget} {self.unit}; it has {self.entrants()}.")
        return rows

    def interval(self, metric: str, entrant: str, budget: int) -> tuple[float, float, float]:
        """Mean score with its 95 % interval."""
        mean = self._rows(entrant, budget)[metric].mean()
        return (float(mean), *percentiles(self.bootstrap(metric, entrant, budget)))

    def best_other(self, metric: str, budget: int) -> str:
        """The entrant without self-supervision that scores highest at a budget.

        One that ran on some of the draws only has to beat the best of the others on those draws: a mean over a few
        draws is not comparable with a mean over all.
        """
        rows = self.frame[(self.frame["budget"] == budget) & (self.frame["family"] != "ssl")]
        by_draw = rows.pivot_table(index="draw", columns="entrant", values=metric)
        by_draw = by_draw[[name for name in self.entrants() if name in by_draw]]
        most_draws_first = by_draw[by_draw.count().sort_values(ascending=False, kind="stable").index]
        best = most_draws_first.columns[0]
        for name in most_draws_first.columns[1:]:
            both = by_draw[[best, name]].dropna().mean()
            best = name if both[name] > both[best] else best
        return str(best)

    def costs(self) -> pd.DataFrame:
        """CPU-seconds to prepare (once), CPU-seconds and memory per run at the largest budget, one row per entrant."""
        largest = self.frame[self.frame["budget"] == self.frame.groupby("entrant")["budget"].transform("max")]
        table = largest.groupby("entrant")[["seconds", "peak_mb"]].mean().reindex(self.entrants())
        table.insert(0, "setup_seconds", pd.Series(self.setup_seconds))
        return table


def label_budget_study(
    entrants: Sequence[Entrant],
    labels: np.ndarray,
    test_labels: np.ndarray,
    budgets: Sequence[int],
    draws: int = 5,
    metrics: dict[str, Metric] | None = None,
    groups: np.ndarray | None = None,
    draw: Draw = draw_labels,
    test_weights: np.ndarray | None = None,
    replicates: int = 1000,
    unit: str = "labels",
) -> Study:
    """Run every entrant on the same draws of labels; runs go side by side, one per core.

    Parameters
    ----------
    labels : int array, shape (n,), labels of the training pool that the draws come from.
    test_labels : int array, shape (n_test,)
    budgets : numbers of labels, for example 10, 47, 471, n.
    draws : label draws per budget; a budget whose draws are all the same, as that of all labels, has one.
    metrics : default ``CLASSIFICATION_METRICS``.
    groups : optional array, shape (n_test,), test cases to resample together.
    draw : maps (labels, budget, number of the draw) to the indices of the drawn cases.
    test_weights : optional float array, shape (n_test,), how many cases a test case stands for (of a thinned test set).
    replicates : bootstrap resamples behind every interval.
    unit : what a budget counts, in words.

    Returns
    -------
    Study

    Raises
    ------
    ValueError
        If the test split holds a single class, a label is missing, or a budget cannot be drawn; before any run.
    """
    metrics = CLASSIFICATION_METRICS if metrics is None else metrics
    for part, values in (("training", labels), ("test", test_labels)):
        if (values < 0).any():
            raise ValueError(f"the {part} split has cases without a label; keep `split.labelled` only.")
        if len(np.unique(values)) < 2:
            raise ValueError(f"the {part} split holds a single class; a score needs two.")
    plan, drawn = _planned(entrants, labels, budgets, draws, draw)
    once = None if test_weights is None else np.asarray(test_weights, dtype=float)[None]

    def scored(prediction: Prediction) -> dict[str, float]:
        return {name: float(np.ravel(metric(test_labels, prediction, once))[0]) for name, metric in metrics.items()}

    frame, predictions = _run_all(plan, drawn, scored, "label-budget study")
    setup = {entrant.name: entrant.setup_seconds for entrant in entrants}
    return Study(frame, predictions, test_labels, metrics, setup, groups, replicates, test_weights, unit)


def _planned(
    entrants: Sequence[Entrant], cases: np.ndarray, budgets: Sequence[int], draws: int, draw: Draw
) -> tuple[list[tuple[Entrant, int, int, int]], dict[tuple[int, int], np.ndarray]]:
    """The (entrant, budget, draw, seed) of every run, and the cases of every (budget, draw).

    A budget whose draws are all the same has one.
    """
    drawn = {(budget, i): draw(cases, budget, i) for budget in budgets for i in range(max(draws, 2))}
    plan = []
    for budget in budgets:
        ways = [np.sort(index) for (b, _), index in drawn.items() if b == budget]
        single = all(np.array_equal(way, ways[0]) for way in ways)
        plan += _runs(entrants, budget, draws, single)
    return plan, drawn


def _run_all(
    plan: Sequence[tuple[Entrant, int, int, int]],
    drawn: dict[tuple[int, int], np.ndarray],
    scored: Callable[[Said], dict[str, float]],
    title: str,
) -> tuple[pd.DataFrame, list[Said]]:
    """Frame and predictions of a Study, from its (entrant, budget, draw, seed) and the cases of every draw."""
    bar = tqdm(total=len(plan), desc=title, unit="run")

    def run(planned: tuple[Entrant, int, int, int]) -> tuple[dict, Said]:
        entrant, budget, number, seed = planned
        with measure() as cost:
            prediction = entrant.fit(drawn[budget, number], seed)
        scores = scored(prediction)
        bar.update()
        return {"entrant": entrant.name, "family": entrant.family, "budget": budget, "draw": number, "seed": seed,
                **scores, "seconds": cost.seconds, "peak_mb": cost.peak_mb}, prediction  # fmt: skip

    rows, predictions = zip(*side_by_side(run, plan), strict=True)
    bar.close()
    return pd.DataFrame(rows), list(predictions)


def _runs(entrants: Sequence[Entrant], budget: int, draws: int, single: bool) -> Iterator[tuple]:
    """The (entrant, budget, draw, seed) of every run at one budget; a single draw is run with every seed."""
    for entrant in entrants:
        if entrant.budgets is not None and budget not in entrant.budgets:
            continue
        for draw in range(1 if single else min(draws, entrant.draws or draws)):
            seeds = entrant.seeds
            if not (entrant.crossed or single):
                seeds = (seeds[draw % len(seeds)],)
            for seed in seeds:
                yield entrant, budget, draw, seed


# ------------------------------------------------------------------------------------------- the study over users


def ranking_entrant(
    name: str, family: str, rank: Callable[[int], Ranking], seeds: tuple[int, ...] = (0,), setup_seconds: float = 0.0
) -> Entrant:
    """A recommender that ranks the users of one holdout, given a seed."""
    return Entrant(name, family, lambda index, seed: rank(seed), seeds=seeds, setup_seconds=setup_seconds)


def ranking_study(entrants: Sequence[Entrant], holdout: Holdout, k: int = 10, replicates: int = 1000) -> Study:
    """Run recommenders on the users of a holdout; runs go side by side, one per core.

    There is one budget, all users, and one draw. The replicates of an interval resample users, the same for all
    entrants, and seeds.

    Parameters
    ----------
    entrants : of ``ranking_entrant``.
    k : length of the lists; the metrics are ndcg_at_k and hit_rate_at_k.

    Raises
    ------
    ValueError
        If an entrant ranks other users than those of the holdout, or lists of another length.
    """
    n = len(holdout.users)

    def scored(ranking: Ranking) -> dict[str, float]:
        if ranking.k != k or not np.array_equal(ranking.users, holdout.users):
            raise ValueError(
                f"a ranking has {len(ranking.users)} users and lists of {ranking.k}, not the {n} users of the holdout "
                f"and lists of {k}; use evaluate_ranking(score, holdout, k={k}) with this holdout."
            )
        return {name: float(metric(labels, ranking)[0]) for name, metric in metrics.items()}

    labels = np.zeros(n, dtype=int)
    metrics = {f"ndcg_at_{k}": _mean_over_users("ndcg"), f"hit_rate_at_{k}": _mean_over_users("hit")}
    plan = [(entrant, n, 0, seed) for entrant in entrants for seed in entrant.seeds]
    frame, rankings = _run_all(plan, {(n, 0): np.arange(n)}, scored, "ranking study")
    setup = {entrant.name: entrant.setup_seconds for entrant in entrants}
    return Study(frame, rankings, labels, metrics, setup, replicates=replicates, unit="users")


def _mean_over_users(field: str) -> Metric:
    """A metric that is the weighted mean of what a Ranking holds for each user."""

    def metric(labels: np.ndarray, ranking: Ranking, weights: np.ndarray | None = None) -> np.ndarray:
        weights = np.ones((1, len(labels))) if weights is None else weights
        return weights @ getattr(ranking, field) / weights.sum(axis=1)

    return metric


# ------------------------------------------------------------------------------------------ the study over frames


def scene_entrant(
    name: str, family: str, segment: Callable[[np.ndarray, int], np.ndarray], scenes: Scenes, **settings
) -> Entrant:
    """A segmenter: maps (indices into ``scenes.train.labelled``, seed) to labels, uint8 (n_test, height, width).

    The regions it finds and overlooks are those of ``scenes.vulnerable``; settings go to ``Entrant``.
    """

    def fit(index: np.ndarray, seed: int) -> Segmentation:
        return segmentation(segment(index, seed), scenes.test.masks, len(scenes.classes), scenes.vulnerable)

    return Entrant(name, family, fit, **settings)


def scene_study(
    entrants: Sequence[Entrant],
    scenes: Scenes,
    budgets: Sequence[int],
    draws: int = 5,
    metrics: dict[str, Metric] | None = None,
    draw: Draw = draw_frames,
    replicates: int = 1000,
) -> Study:
    """Run segmenters on the same draws of labelled frames; runs go side by side, one per core.

    The replicates of an interval resample stretches of the test drives (``SceneSplit.blocks``), for neighbouring frames
    show the same street, and label draws and seeds.

    Parameters
    ----------
    entrants : whose fit maps (indices into ``scenes.train.labelled``, seed) to the Segmentation of ``scenes.test``.
    budgets : numbers of frames with a mask, for example 5, 20, 100, n.
    draws : draws of frames per budget; that of all frames has one.
    metrics : default mean_iou, and vulnerable_iou over ``scenes.vulnerable`` where there are such classes.
    draw : maps (drives of the frames, budget, number of the draw) to the indices of the drawn frames.

    Raises
    ------
    ValueError
        If no test frame has a mask, a budget cannot be drawn, or an entrant segments other frames or classes.
    """
    n, k = len(scenes.test), len(scenes.classes)
    if len(scenes.test.labelled) == 0:
        raise ValueError("no test frame has a mask; label some frames of the test drives.")
    if metrics is None:
        vulnerable = {"vulnerable_iou": iou_metric(scenes.vulnerable)} if scenes.vulnerable else {}
        metrics = {"mean_iou": iou_metric()} | vulnerable

    def scored(said: Segmentation) -> dict[str, float]:
        if said.confusion.shape != (n, k, k):
            raise ValueError(
                f"a segmentation has counts of shape {said.confusion.shape}, not those of {n} test frames and {k} "
                "classes; use segmentation(labels, scenes.test.masks, len(scenes.classes))."
            )
        return {name: float(metric(labels, said)[0]) for name, metric in metrics.items()}

    labels = np.zeros(n, dtype=int)
    plan, drawn = _planned([_counts_only(e) for e in entrants], scenes.train.labelled.drives, budgets, draws, draw)
    frame, said = _run_all(plan, drawn, scored, "scene study")
    setup = {entrant.name: entrant.setup_seconds for entrant in entrants}
    return Study(frame, said, labels, metrics, setup, scenes.test.blocks(), replicates, unit="frames")


def _counts_only(entrant: Entrant) -> Entrant:
    """Hundreds of runs are kept, and the labels of each would take megabytes."""
    return replace(entrant, fit=lambda index, seed: replace(entrant.fit(index, seed), labels=None))


def iou_metric(classes: Sequence[int] | None = None) -> Metric:
    """``mean_iou`` over all classes, or over the numbers given, as a metric of a study."""

    def metric(labels: np.ndarray, said: Segmentation, weights: np.ndarray | None = None) -> np.ndarray:
        return np.atleast_1d(mean_iou(said.confusion, weights, classes))

    return metric


def found_metric(classes: Sequence[int] | None = None) -> Metric:
    """``found_regions`` of all classes whose regions were counted, or of the numbers given, as a metric of a study."""

    def metric(labels: np.ndarray, said: Segmentation, weights: np.ndarray | None = None) -> np.ndarray:
        if said.regions is None:
            raise ValueError("regions were not counted; use segmentation(..., numbers=scenes.vulnerable).")
        return np.atleast_1d(found_regions(said.regions, weights, classes))

    return metric


# --------------------------------------------------------------------------------------------------- the verdict


def percentiles(replicates: np.ndarray) -> tuple[float, float]:
    """Limits of the 95 % bootstrap interval; replicates that are NaN do not count."""
    if np.isnan(replicates).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(replicates, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Verdict:
    """A paired comparison of two entrants at one budget.

    ``difference`` is entrant minus versus; ``error_reduction`` the share of the errors (1 - metric) of ``versus`` that
    the entrant avoids; ``lift`` the score relative to that of ``versus``, less 1; all with 95 % intervals. ``n`` is the
    number of paired label draws, ``unit`` what the budget counts.
    """

    metric: str
    entrant: str
    versus: str
    budget: int
    difference: float
    low: float
    high: float
    error_reduction: float
    error_reduction_low: float
    error_reduction_high: float
    n: int
    lift: float = math.nan
    lift_low: float = math.nan
    lift_high: float = math.nan
    unit: str = "labels"

    @property
    def conclusion(self) -> str:
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference shown"

    def __str__(self) -> str:
        if self.metric in ERROR_METRICS:
            relative = (
                f"errors reduced by {self.error_reduction:.0%} "
                f"[{self.error_reduction_low:.0%}, {self.error_reduction_high:.0%}]"
            )
        else:
            relative = f"relative {self.lift:+.0%} [{self.lift_low:+.0%}, {self.lift_high:+.0%}]"
        return (
            f"{self.entrant} against {self.versus} at {self.budget} {self.unit}: {self.metric} {self.difference:+.3f} "
            f"[{self.low:+.3f}, {self.high:+.3f}], {relative}: {self.conclusion}"
        )


def compare(study: Study, metric: str, entrant: str, versus: str, budget: int) -> Verdict:
    """Paired difference, relative error reduction and lift on the draws that both entrants ran, with 95 % intervals."""
    first, second = study._rows(entrant, budget), study._rows(versus, budget)
    common = sorted(set(first["draw"]) & set(second["draw"]))
    a = study.bootstrap(metric, entrant, budget, common)
    b = study.bootstrap(metric, versus, budget, common)
    mean_a = first[first["draw"].isin(common)].groupby("draw")[metric].mean().mean()
    mean_b = second[second["draw"].isin(common)].groupby("draw")[metric].mean().mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        reduction = np.where(b < 1, (a - b) / (1 - b), np.nan)
        lift = np.where(b > 0, a / b - 1, np.nan)
    return Verdict(
        metric, entrant, versus, budget,
        float(mean_a - mean_b), *percentiles(a - b),
        float((mean_a - mean_b) / (1 - mean_b)) if mean_b < 1 else math.nan, *percentiles(reduction),
        len(common),
        float(mean_a / mean_b - 1) if mean_b > 0 else math.nan, *percentiles(lift),
        unit=study.unit,
    )  # fmt: skip


@dataclass(frozen=True)
class LabelsSaved:
    """How many labels the best other entrant needs for the score an entrant has at ``budget``.

    ``saved`` = equivalent_budget - budget, with a 95 % interval; ``censored`` where no budget of the study reaches the
    score, so that the true number is at least ``saved``; ``below`` where the score lies below that of every budget, so
    that it is at most ``saved``. ``unit`` is what a budget counts.
    """

    metric: str
    entrant: str
    versus: str
    budget: int
    equivalent_budget: float
    saved: float
    low: float
    high: float
    censored: bool
    below: bool = False
    unit: str = "labels"

    @property
    def bound(self) -> str:
        """How ``saved`` stands to the true number."""
        return "at least" if self.censored else "at most" if self.below else "about"

    def __str__(self) -> str:
        return (
            f"{self.entrant} with {self.budget} {self.unit} scores like {self.versus} with {self.bound} "
            f"{self.equivalent_budget:.0f}: {self.bound} {self.saved:.0f} {self.unit} saved "
            f"[{self.low:.0f}, {self.high:.0f}]"
        )


def labels_saved(study: Study, metric: str, entrant: str, budget: int) -> LabelsSaved:
    """Compare one budget of an entrant with the whole curve of the best entrant without self-supervision.

    The best other entrant is taken anew at every budget; between budgets its score is interpolated on a logarithmic
    scale.
    """
    budgets = study.budgets
    table = study.scores(metric)
    rivals = [study.best_other(metric, b) for b in budgets]
    curve = np.array([[table.loc[r, b]] for r, b in zip(rivals, budgets, strict=True)])
    replicates = np.array([study.bootstrap(metric, r, b) for r, b in zip(rivals, budgets, strict=True)])
    point = _budget_reaching(np.array([table.loc[entrant, budget]]), curve, budgets)[0]
    spread = _budget_reaching(study.bootstrap(metric, entrant, budget), replicates, budgets)
    low, high = percentiles(spread)
    return LabelsSaved(
        metric, entrant, rivals[-1], budget, float(point), float(point - budget), low - budget, high - budget,
        censored=bool(table.loc[entrant, budget] > curve.max()), below=bool(table.loc[entrant, budget] < curve[0, 0]),
        unit=study.unit,
    )  # fmt: skip


def _budget_reaching(targets: np.ndarray, curves: np.ndarray, budgets: Sequence[int]) -> np.ndarray:
    """Budget at which each rising curve (budgets, replicates) reaches its target; the ends where it lies outside."""
    rising = np.maximum.accumulate(curves, axis=0)
    logs = np.log(budgets)
    reached = [np.interp(t, _strictly(rising[:, i]), logs) for i, t in enumerate(targets)]
    return np.exp(reached)


def _strictly(values: np.ndarray) -> np.ndarray:
    return values + 1e-12 * np.arange(len(values))
