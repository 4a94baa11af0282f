"""The label-budget study: methods on the same draws of labels, run side by side on every core."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from sslbook.augment.tensors import Cases, take
from sslbook.draws import draw_labels
from sslbook.finetune import Recipe, fine_tune
from sslbook.intervals import Spread, spread
from sslbook.metrics import Metric, Metrics, Prediction, bootstrap_weights, classification_metrics
from sslbook.parallel import measure, run_all
from sslbook.probes import linear_probe
from sslbook.runs import Run, Store

FAMILIES = ("trivial", "classical", "untrained", "supervised", "ssl")
RANDOM = ("untrained", "supervised", "ssl")  # families that start from random weights: one seed of them is an anecdote
BLOCK = 2**22  # weights of bootstrap samples that are float at once: 16 MB


@dataclass(frozen=True)
class Method:
    """One method in a study.

    Attributes
    ----------
    name : as it appears in tables and records.
    family : "trivial", "classical", "untrained" (features of random weights), "supervised" or "ssl".
    fit : maps (indices of the drawn cases, seed) to a prediction for the test cases, whatever the metrics understand.
        What it scores by cross-validation inside the drawn labels it reports as ``prediction.cv_scores``, by metric.
    seeds : repeats of what is random in the method itself, a pretraining for example; every seed runs on every draw.
    encoder : what the seeds are seeds of. Methods that name the same one are compared seed by seed.
    draws : run on the first so many draws only; None means all.
    budgets : run at these budgets only; None means all.
    setup_seconds : CPU-seconds spent once before any label is seen (pretraining), per seed.

    Raises
    ------
    ValueError
        If the family is unknown, or a method of the family "ssl" does not say what its pretraining cost.
    """

    name: str
    family: str
    fit: Callable[[np.ndarray, int], Any]
    seeds: tuple[int, ...] = (0,)
    encoder: str = ""
    draws: int | None = None
    budgets: tuple[int, ...] | None = None
    setup_seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"{self.name} is of the family {self.family!r}; choose one of {', '.join(FAMILIES)}.")
        if self.family == "ssl" and not self.setup_seconds > 0:
            raise ValueError(f"{self.name} is pretrained; say what that cost, setup_seconds=history.cpu_seconds.")


def probe_method(
    name: str, family: str, features: Sequence[tuple[np.ndarray, np.ndarray]], labels: np.ndarray,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None,
    metrics: Metrics = classification_metrics, **settings: Any,
) -> Method:  # fmt: skip
    """A linear probe on frozen features, one (train, test) pair of feature arrays per seed.

    ``groups`` and ``sample_weight``, shape (n,) as the labels, and ``metrics`` go to ``linear_probe``; settings to
    ``Method``.
    """
    labels = checked_labels("training", labels)
    n_classes = int(labels.max()) + 1

    def fit(index: np.ndarray, seed: int) -> Prediction:
        train, test = features[seed]
        folds, weight = (None if x is None else x[index] for x in (groups, sample_weight))
        return linear_probe(train[index], labels[index], test, n_classes, seed, folds, weight, metrics)

    return Method(name, family, fit, seeds=tuple(range(len(features))), **settings)


def network_method(
    name: str, family: str, starts: Sequence[nn.Module], cases: Cases, labels: np.ndarray, test_cases: Cases,
    recipe: Recipe, groups: np.ndarray | None = None, metrics: Metrics = classification_metrics, **settings: Any,
) -> Method:  # fmt: skip
    """A network that is trained as a whole by ``fine_tune``, from one start per seed.

    The contrast that isolates pretraining is two of these that differ in ``starts`` alone: random and pretrained.

    Parameters
    ----------
    starts : encoders, not changed.
    cases, test_cases : what the encoders read.
    labels, groups : arrays, shape (n,), of all cases that may be drawn.
    settings : of ``Method``.
    """
    labels = checked_labels("training", labels)
    n_classes = int(labels.max()) + 1

    def fit(index: np.ndarray, seed: int) -> Prediction:
        folds = None if groups is None else groups[index]
        drawn = take(cases, index), labels[index], test_cases
        return fine_tune(starts[seed], *drawn, n_classes, recipe, seed, folds, metrics)

    return Method(name, family, fit, seeds=tuple(range(len(starts))), **settings)


@dataclass
class Study:
    """The runs of a study.

    Attributes
    ----------
    frame : one row per run: method, family, budget, draw, seed, for every metric its score and, as ``cv_NAME``, the one
        by cross-validation inside the drawn labels, seconds (CPU), peak_mb.
    predictions : what each run returned, in the order of the rows.
    metrics : by name.
    n_test : number of test cases.
    setup_seconds : of each method.
    groups : patients (or the like) of the test cases, resampled together; None if every case stands alone.
    encoders : by method, what its seeds are seeds of.
    replicates : bootstrap resamples of the test cases.
    test_weights : float array, shape (n_test,), how many cases a test case stands for; None if one each.
    unit : what a budget counts, in words: "labels", "fraud cards".
    single : budgets of which there is only one way to draw, as of all labels; what is said of them is said of these
        very labels.
    """

    frame: pd.DataFrame
    predictions: list[Any]
    metrics: dict[str, Metric]
    n_test: int
    setup_seconds: dict[str, float]
    encoders: dict[str, str] = field(default_factory=dict)
    groups: np.ndarray | None = None
    replicates: int = 1000
    test_weights: np.ndarray | None = None
    unit: str = "labels"
    single: frozenset[int] = frozenset()
    _cache: dict = field(default_factory=dict, repr=False)

    @property
    def budgets(self) -> list[int]:
        """Budgets in rising order."""
        return sorted(self.frame["budget"].unique().tolist())

    def methods(self, *families: str) -> list[str]:
        """Names of the methods, of the given families only if any are given."""
        rows = self.frame if not families else self.frame[self.frame["family"].isin(families)]
        return list(dict.fromkeys(rows["method"]))

    def scores(self, metric: str) -> pd.DataFrame:
        """Mean score, one row per method, one column per budget."""
        table = self.frame.pivot_table(index="method", columns="budget", values=metric)
        return table.reindex(self.methods())

    def at(self, *budgets: int) -> "Study":
        """The same study at some of its budgets."""
        rows = np.flatnonzero(self.frame["budget"].isin(budgets))
        kept, frame = [self.predictions[i] for i in rows], self.frame.iloc[rows].reset_index(drop=True)
        return replace(self, frame=frame, predictions=kept, _cache={})

    def scored(self, name: str, metric: Metric) -> "Study":
        """The same study with one more metric of what its runs predicted."""
        frame = self.frame.assign(**{name: [metric(said).item() for said in self.predictions]})
        return replace(self, metrics=self.metrics | {name: metric}, frame=frame, _cache={})

    def runs(self, method: str, budget: int) -> pd.DataFrame:
        """Rows of the frame of one method at one budget.

        Raises
        ------
        ValueError
            If there is none.
        """
        rows = self.frame[(self.frame["method"] == method) & (self.frame["budget"] == budget)]
        if rows.empty:
            raise ValueError(f"the study has no run of {method!r} at {budget} {self.unit}; it has {self.methods()}.")
        return rows

    def grid(self, column: str, method: str, budget: int, draws: Sequence[int] | None = None) -> np.ndarray:
        """A column of the frame for one method at one budget, shape (draws, seeds)."""
        runs = self.runs(method, budget)
        runs = runs if draws is None else runs[runs["draw"].isin(draws)]
        return runs.pivot(index="draw", columns="seed", values=column).to_numpy()

    def spread(self, metric: str, weights: dict[str, float], budget: int, draws: Sequence[int] | None = None) -> Spread:
        """Variance of a weighted sum of mean scores, by its sources.

        Methods on one encoder are summed seed by seed, others have seeds of their own; the draws and the test cases,
        groups of them together, are the same for all.

        Parameters
        ----------
        weights : by method, {"a": 1, "b": -1} for the difference of two.
        draws : only these; None means all, which must then be the same for all methods.
        """
        parts: dict[tuple, np.ndarray] = {}
        for method, weight in weights.items():
            seeds = tuple(self.runs(method, budget)["seed"].unique())
            key = (self.encoders.get(method) or (method,), seeds)
            parts[key] = parts.get(key, 0) + weight * self.grid(metric, method, budget, draws)
        units = self._units()
        return spread(list(parts.values()), self._of_cases(metric, weights, budget, draws, units), units)

    def _units(self) -> float:
        """Effective number of independent test cases, or groups: fewer than there are where their shares differ.

        The variance is a sum of squares that have the weights of the squared shares (Satterthwaite 1946).
        """
        share = self._by_group(self._share())
        return float((share**2).sum() ** 2 / (share**4).sum())

    def _share(self) -> np.ndarray:
        return np.ones(self.n_test) if self.test_weights is None else np.asarray(self.test_weights, dtype=float)

    def _by_group(self, values: np.ndarray) -> np.ndarray:
        """Sums over the test cases that are resampled together."""
        if self.groups is None:
            return values
        return np.bincount(np.unique(self.groups, return_inverse=True)[1], values)

    def _of_cases(
        self, metric: str, weights: dict[str, float], budget: int, draws: Sequence[int] | None, units: float
    ) -> float:
        """Variance of a weighted sum of mean scores that comes from the test cases."""
        if self.metrics[metric].per_case is None:
            values = sum(w * self.replicated(metric, name, budget, draws) for name, w in weights.items())
            return float(np.nanvar(values, ddof=1)) * units / (units - 1)
        values = sum(w * self._per_case(metric, name, budget, draws) for name, w in weights.items())
        share = self._share()
        influence = self._by_group(share * (values - np.average(values, weights=share)) / share.sum())
        return float((influence**2).sum()) * units / (units - 1)

    def _rows(self, method: str, budget: int, draws: Sequence[int] | None) -> list[int]:
        """Numbers of the runs of a method at a budget, on some draws only if they are given."""
        runs = self.runs(method, budget)
        return runs.index[slice(None) if draws is None else runs["draw"].isin(draws)].tolist()

    def _per_case(self, metric: str, method: str, budget: int, draws: Sequence[int] | None) -> np.ndarray:
        value = self.metrics[metric].per_case
        return np.mean([value(self.predictions[i]) for i in self._rows(method, budget, draws)], axis=0)

    def replicated(self, metric: str, method: str, budget: int, draws: Sequence[int] | None = None) -> np.ndarray:
        """Mean score of all runs of a method in every bootstrap sample of the test cases, shape (replicates,).

        The samples are the same for all methods.
        """
        rows = self._rows(method, budget, draws)
        key = (metric, *rows)  # not the draws: those of a comparison are often all there are
        if key not in self._cache:
            score, runs = self.metrics[metric], [self.predictions[i] for i in rows]
            blocks = [np.mean([score(said, weights) for said in runs], axis=0) for weights in self._resamples()]
            self._cache[key] = np.concatenate(blocks)
        return self._cache[key]

    def _resamples(self) -> Iterator[np.ndarray]:
        """Weights of the test cases in every replicate, in blocks of rows of shape (replicates, n_test)."""
        if "counts" not in self._cache:
            self._cache["counts"] = bootstrap_weights(self.n_test, self.replicates, 0, self.groups, np.uint8)
        share = np.float32(1) if self.test_weights is None else self.test_weights.astype(np.float32)
        for counts in np.array_split(self._cache["counts"], -(-self.replicates * self.n_test // BLOCK)):
            yield counts * share

    def interval(self, metric: str, method: str, budget: int) -> tuple[float, float, float]:
        """Mean score with its 95 % interval: draws, seeds and test cases might have been others."""
        mean = float(self.runs(method, budget)[metric].mean())
        half = self.spread(metric, {method: 1.0}, budget).half_width
        low, high = mean - half, mean + half
        perfect, sign = self.metrics[metric].perfect, self.metrics[metric].sign
        if perfect is not None:  # nothing lies beyond it
            low, high = (min(low, perfect), min(high, perfect)) if sign > 0 else (max(low, perfect), max(high, perfect))
        return mean, low, high

    def enough(self, methods: Sequence[str], budget: int, draws: Sequence[int]) -> bool:
        """Whether so many runs may give a verdict: 5 draws, unless there is only one way to draw, and 3 seeds.

        Families in which nothing is random ("trivial", "classical") need no seeds.
        """
        runs = [self.runs(name, budget) for name in methods]
        seeded = all(r["family"].iloc[0] not in RANDOM or r["seed"].nunique() >= 3 for r in runs)
        return seeded and (budget in self.single or len(draws) >= 5)

    def best_other(self, metric: str, budget: int, among: Sequence[str] | None = None) -> str:
        """The method without self-supervision with the best score by cross-validation inside the drawn labels.

        Never the best on the test: among equal rivals that would pick the luckiest. Only methods that ran on every draw
        of this budget can be chosen, for a mean over a few draws is not comparable with a mean over all.

        Parameters
        ----------
        among : names of the rivals that can be chosen; None means all.

        Raises
        ------
        ValueError
            If one of several methods does not report its score by cross-validation.
        """
        means = self.metrics[metric].sign * self.cv_means(metric, budget, among)
        return str(means.idxmax() if len(means) > 1 else means.index[0])

    def cv_means(self, metric: str, budget: int, among: Sequence[str] | None = None) -> pd.Series:
        """Mean score by cross-validation of the methods without self-supervision that ran on every draw."""
        rows = self.frame[(self.frame["budget"] == budget) & (self.frame["family"] != "ssl")]
        rows = rows if among is None else rows[rows["method"].isin(among)]
        draws = rows.groupby("method", sort=False)["draw"].nunique()
        rows = rows[rows["method"].isin(draws.index[draws == draws.max()])]
        means = rows.groupby("method", sort=False)[f"cv_{metric}"].agg(lambda scores: scores.mean(skipna=False))
        if means.empty:
            raise ValueError(f"no method without self-supervision ran at {budget} {self.unit}; add a rival.")
        for name in means.index[means.isna()] if len(means) > 1 else ():  # a lone rival need not be chosen
            raise ValueError(
                f"{name} reports no {metric} by cross-validation at {budget} {self.unit}, and rivals are chosen by it; "
                f"let its predictions have cv_scores={{{metric!r}: ...}}."
            )
        return means

    def costs(self) -> pd.DataFrame:
        """CPU-seconds to prepare (once), CPU-seconds and memory per run at the largest budget, one row per method."""
        largest = self.frame[self.frame["budget"] == self.frame.groupby("method")["budget"].transform("max")]
        table = largest.groupby("method")[["seconds", "peak_mb"]].mean().reindex(self.methods())
        table.insert(0, "setup_seconds", pd.Series(self.setup_seconds))
        return table


def label_budget_study(
    methods: Sequence[Method], labels: np.ndarray, test_labels: np.ndarray, budgets: Sequence[int], draws: int = 5,
    metrics: dict[str, Metric] | None = None, draw: Callable[[np.ndarray, int, int], np.ndarray] = draw_labels,
    **settings: Any,
) -> Study:  # fmt: skip
    """Run every method on the same draws of labelled cases.

    Parameters
    ----------
    labels : array, shape (n,), labels of the training pool that the draws come from: class numbers from 0, or, with
        metrics of your own, the values of a regression.
    test_labels : array, shape (n_test,), of the same kind.
    budgets : numbers of labels, for example 10, 47, 471, n.
    draws : label draws per budget; a budget whose draws are all the same, as that of all labels, has one.
    metrics : default ``classification_metrics(test_labels)``.
    draw : maps (labels, budget, number of the draw) to the indices of the drawn cases.
    settings : ``groups``, ``test_weights``, ``replicates``, ``unit`` and ``store``, as for ``budget_study``.

    Raises
    ------
    ValueError
        Before any run: a label is missing or of another kind, the splits hold different classes or only one, a budget
        cannot be drawn, or as ``budget_study`` says.
    """
    labels, test_labels = checked_labels("training", labels), checked_labels("test", test_labels)
    _check_classes(labels, test_labels, metrics is None)
    metrics = classification_metrics(test_labels) if metrics is None else metrics
    return budget_study(methods, metrics, len(test_labels), budgets, partial(draw, labels), draws, **settings)


def checked_labels(split: str, labels: Any) -> np.ndarray:
    """Labels as an array (n,) of int64 or float64; refuses what would be read wrongly.

    Raises
    ------
    ValueError
        If labels are words, are missing (NaN or -1), or come with an index of their own.
    """
    if isinstance(labels, pd.Series) and not labels.index.equals(pd.RangeIndex(len(labels))):
        raise ValueError(f"the {split} labels have an index that is not 0, 1, 2 ...; give labels.to_numpy() in order.")
    values = np.asarray(labels)
    if values.dtype.kind not in "biuf" or values.ndim != 1:
        raise ValueError(
            f"the {split} labels are {values.dtype} of shape {values.shape}; give one number per case, for classes 0, "
            "1, 2 ..."
        )
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == np.round(values)).all():
        values = values.astype(np.int64)
    missing = ~np.isfinite(values) if values.dtype.kind == "f" else np.asarray(labels) == -1
    if missing.any():
        raise ValueError(f"the {split} split has {missing.sum()} cases without a label; keep `split.labelled` only.")
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _check_classes(labels: np.ndarray, test_labels: np.ndarray, classification: bool) -> None:
    if labels.dtype.kind == "f" or test_labels.dtype.kind == "f":
        if classification:
            raise ValueError("the labels are not whole numbers; for a regression give metrics, for classes 0, 1, 2 ...")
        return
    known, asked = np.unique(labels), np.unique(test_labels)
    for part, values in (("training", known), ("test", asked)):
        if len(values) < 2:
            raise ValueError(f"the {part} split holds a single class; a score needs two.")
    for value in np.setxor1d(known, asked)[:1] if classification else ():
        has, lacks = ("training", "test") if value in known else ("test", "training")
        raise ValueError(
            f"class {value} is in the {has} split and not in the {lacks} split; leave it out or add cases."
        )


def budget_study(
    methods: Sequence[Method], metrics: dict[str, Metric], n_test: int, budgets: Sequence[int],
    draw: Callable[[int, int], np.ndarray], draws: int = 5, groups: np.ndarray | None = None,
    test_weights: np.ndarray | None = None, replicates: int = 1000, unit: str = "labels",
    store: Store | str | Path | None = None,
) -> Study:  # fmt: skip
    """Run every method on the same draws; runs go side by side, one process per core.

    Parameters
    ----------
    metrics : by name; what they know of the test cases is bound to them.
    n_test : number of test cases.
    draw : maps (budget, number of the draw) to the indices of the drawn cases.
    draws : draws per budget; a budget whose draws are all the same has one.
    groups : optional array, shape (n_test,), test cases to resample together.
    test_weights : optional float array, shape (n_test,), how many cases a test case stands for (of a thinned test set).
    replicates : bootstrap resamples behind every interval.
    unit : what a budget counts, in words.
    store : folder that keeps finished runs, see ``sslbook.parallel.Store``.

    Raises
    ------
    ValueError
        Before any run: two methods of one name, a repeated budget, or a budget that cannot be drawn.
    RunError
        A run failed, or a score is not finite; it names the method, budget, draw and seed.
    """
    for what, given in (("methods are called", [method.name for method in methods]), ("budgets are", list(budgets))):
        for twice in sorted({x for x in given if given.count(x) > 1})[:1]:
            raise ValueError(f"two {what} {twice!r}; keep one of them.")
    drawn = {(budget, i): draw(budget, i) for budget in budgets for i in range(max(draws, 2))}
    once = None if test_weights is None else np.asarray(test_weights, dtype=float)[None]
    jobs = {method.name: _scored(method.fit, metrics, once) for method in methods}
    plan = [run for budget in budgets for run in _planned(methods, budget, draws, drawn)]
    runs = [
        Run((f"{unit} study", method.name, budget, i, seed), partial(jobs[method.name], drawn[budget, i], seed),
            group=method.name, size=len(drawn[budget, i]) ** 0.5)
        for method, budget, i, seed in plan
    ]  # fmt: skip
    results = [outcome.value for outcome in run_all(runs, f"{unit} study", store)]
    columns = ("method", "family", "budget", "draw", "seed")
    rows = [
        dict(zip(columns, (method.name, method.family, budget, i, seed), strict=True)) | scores
        for (method, budget, i, seed), (_, scores) in zip(plan, results, strict=True)
    ]
    setup = {method.name: method.setup_seconds for method in methods}
    encoders = {method.name: method.encoder for method in methods}
    predictions = [prediction for prediction, _ in results]
    return Study(
        pd.DataFrame(rows), predictions, metrics, n_test, setup, encoders, groups, replicates, test_weights, unit,
        frozenset(budget for budget in budgets if _single(drawn, budget)),
    )  # fmt: skip


def _scored(fit: Callable, metrics: dict[str, Metric], weights: np.ndarray | None) -> Callable:
    """A run: fit, and score what was predicted; returns the prediction, and scores and cost as a dict."""

    def run(index: np.ndarray, seed: int) -> tuple[Any, dict[str, float]]:
        with measure() as cost:
            prediction = fit(index, seed)
        scores = {name: float(metric(prediction, weights)[0]) for name, metric in metrics.items()}
        for name, score in scores.items():
            if not np.isfinite(score):
                raise ValueError(f"its {name} is {score}; look for NaN or infinite values in what it predicts.")
        for name in metrics:
            scores[f"cv_{name}"] = float(getattr(prediction, "cv_scores", {}).get(name, np.nan))
        return prediction, scores | {"seconds": cost.seconds, "peak_mb": cost.peak_mb}

    return run


def _planned(methods: Sequence[Method], budget: int, draws: int, drawn: dict) -> Iterator[tuple[Method, int, int, int]]:
    """The (method, budget, draw, seed) of every run at one budget; where all draws are the same, every seed runs."""
    for method in methods:
        if method.budgets is not None and budget not in method.budgets:
            continue
        for i in range(1 if _single(drawn, budget) else min(draws, method.draws or draws)):
            for seed in method.seeds:
                yield method, budget, i, seed


def _single(drawn: dict, budget: int) -> bool:
    """Whether there is only one way to draw."""
    ways = [np.sort(index) for (b, _), index in drawn.items() if b == budget]
    return all(np.array_equal(way, ways[0]) for way in ways)
