"""What may be said from a study: paired comparisons, and labels saved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from sslbook.intervals import Spread, spread
from sslbook.study import Study

ROUNDING = 1e-12  # a difference that adding up in another order may make
OUTCOMES = ("gain", "no gain worth having", "loss", "undecided", "too few runs")


@dataclass(frozen=True)
class Verdict:
    """A paired comparison of two methods at one budget.

    ``difference`` is method minus versus; ``error_reduction`` the share of the distance of ``versus`` from a perfect
    score that the method avoids, NaN where no score is perfect; ``lift`` the score relative to that of ``versus``, less
    1; all with 95 % intervals. ``n`` is the number of paired label draws, ``unit`` what the budget counts,
    ``higher_is_better`` says which way the metric counts, ``worth`` which difference is worth having. ``enough`` says
    whether so few runs may give a verdict at all, ``needed`` what would decide one that is open. ``spread`` says where
    the uncertainty of the difference comes from, ``repeats`` how many draws and seeds were run.
    """

    metric: str
    method: str
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
    higher_is_better: bool = True
    worth: float = 0.0
    enough: bool = True
    needed: str = ""
    spread: Spread | None = None
    repeats: tuple[int, int] = (1, 1)

    @property
    def outcome(self) -> str:
        """One of ``OUTCOMES``: a gain is an interval above 0, no gain worth having one that lies below ``worth``."""
        low, high = (self.low, self.high) if self.higher_is_better else (-self.high, -self.low)
        if not self.enough:
            return "too few runs"
        if high < -ROUNDING:
            return "loss"
        if high < self.worth - ROUNDING:
            return "no gain worth having"
        return "gain" if low > ROUNDING else "undecided"

    def __str__(self) -> str:
        if math.isnan(self.error_reduction):
            relative = f"relative {self.lift:+.0%} [{self.lift_low:+.0%}, {self.lift_high:+.0%}]"
        else:
            relative = (
                f"errors reduced by {self.error_reduction:.0%} "
                f"[{self.error_reduction_low:.0%}, {self.error_reduction_high:.0%}]"
            )
        needed = f" ({self.needed})" if self.needed and self.outcome in ("undecided", "too few runs") else ""
        return (
            f"{self.method} against {self.versus} at {self.budget} {self.unit}: {self.metric} {self.difference:+.3f} "
            f"[{self.low:+.3f}, {self.high:+.3f}], {relative}: {self.outcome}{needed}"
        )


def compare(study: Study, metric: str, method: str, versus: str, budget: int, worth: float = 0.0) -> Verdict:
    """Paired difference, relative error reduction and lift on the draws that both methods ran, with 95 % intervals.

    Parameters
    ----------
    worth : the smallest difference worth having, declared before the study is run.
    """
    both = [set(study.runs(name, budget)["draw"]) for name in (method, versus)]
    draws = sorted(set.intersection(*both))
    a, b = (float(study.grid(metric, name, budget, draws).mean()) for name in (method, versus))
    of_difference = study.spread(metric, _weights(method, 1, versus, -1), budget, draws)
    half, difference = of_difference.half_width, a - b
    enough = study.enough((method, versus), budget, draws)
    perfect = study.metrics[metric].perfect
    errors = (math.nan, math.nan) if perfect is None else (abs(perfect - a), abs(perfect - b))
    ratio, lift = (_ratio(study, metric, method, versus, budget, draws, *pair) for pair in (errors, (a, b)))
    sign = study.metrics[metric].sign
    needed = _needed(sign * difference, worth, of_difference, len(draws), budget, study)
    if not enough:
        needed = f"a verdict takes {'' if budget in study.single else '5 draws and '}3 seeds of whatever is random"
    return Verdict(
        metric, method, versus, budget, difference, difference - half, difference + half,
        1 - ratio[0], 1 - ratio[2], 1 - ratio[1], len(draws), lift[0] - 1, lift[1] - 1, lift[2] - 1,
        study.unit, study.metrics[metric].higher_is_better, worth, enough, needed, of_difference,
        (len(draws), max(study.runs(name, budget)["seed"].nunique() for name in (method, versus))),
    )  # fmt: skip


def _weights(method: str, weight: float, versus: str, against: float) -> dict[str, float]:
    return {method: weight + against} if method == versus else {method: weight, versus: against}


def _ratio(
    study: Study, metric: str, method: str, versus: str, budget: int, draws: Sequence[int], a: float, b: float
) -> tuple[float, float, float]:
    """Ratio a / b of two scores, or of two errors, with an interval that is symmetric in its logarithm."""
    if not b > 0 or not a >= 0:
        return math.nan, math.nan, math.nan
    if a == 0:
        return 0.0, 0.0, 0.0
    half = study.spread(metric, _weights(method, 1 / a, versus, -1 / b), budget, draws).half_width
    return a / b, a / b * math.exp(-half), a / b * math.exp(half)


def _needed(gain: float, worth: float, spread: Spread, draws: int, budget: int, study: Study) -> str:
    """What would decide an open verdict, if the difference stayed as it is."""
    distance = max(abs(gain), worth - gain)
    if spread.half_width == 0 or distance == 0:
        return ""
    wanted = (distance / student.ppf(0.975, 30)) ** 2
    if spread.cases < 0.8 * wanted:
        times = max(spread.runs / (wanted - spread.cases), 1.1)
        if budget in study.single:
            return f"about {times:.1f} times as many seeds would decide it"
        return f"about {math.ceil(draws * times)} draws, and {times:.1f} times as many seeds, would decide it"
    there = study.n_test if study.groups is None else len(np.unique(study.groups))
    cases = float(f"{spread.cases / (0.8 * wanted) * there:.2g}")
    what = "test cases" if study.groups is None else "groups of test cases"
    return f"about {cases:,.0f} {what} would decide it, there are {there:,}"


@dataclass(frozen=True)
class LabelsSaved:
    """How many labels the best other method needs for the score a method has at ``budget``.

    ``saved`` = equivalent_budget - budget, with a 95 % interval. Where the curve of the other methods ends before it
    reaches the score, ``equivalent_budget`` and ``saved`` are infinite; where the score lies below the whole curve,
    they are minus infinity. The same holds for the ends of the interval.
    ``versus`` is the method whose curve is reached, ``budgets`` the ends of the curve, ``unit`` what a budget counts;
    ``enough`` says whether the runs of the method and of all rivals on the curve may give a verdict.
    """

    metric: str
    method: str
    versus: str
    budget: int
    equivalent_budget: float
    saved: float
    low: float
    high: float
    budgets: tuple[int, int]
    unit: str = "labels"
    enough: bool = True

    def bounded(self, saved: float) -> str:
        """A number of labels saved in words: "more than" or "fewer than" where the curve ends."""
        first, last = (end - self.budget for end in self.budgets)
        if math.isinf(saved):
            return f"more than {last:,.0f}" if saved > 0 else f"fewer than {first:,.0f}"
        return f"{saved:,.0f}"

    def clipped(self, saved: float) -> float:
        """A number of labels saved as a finite number: the end of the curve where it is more, or fewer, than that."""
        first, last = (end - self.budget for end in self.budgets)
        return float(np.clip(saved, first, last))

    def __str__(self) -> str:
        point = self.bounded(self.saved) if math.isinf(self.saved) else f"about {self.bounded(self.saved)}"
        return (
            f"{self.method} with {self.budget:,} {self.unit} against the curve of {self.versus}: {point} {self.unit} "
            f"saved [{self.bounded(self.low)}, {self.bounded(self.high)}]{'' if self.enough else ', too few runs'}"
        )


def labels_saved(
    study: Study, metric: str, method: str, budget: int, among: Sequence[str] | None = None
) -> LabelsSaved:
    """Compare one budget of a method with the whole curve of the best method without self-supervision.

    The best other method is chosen anew at every budget, by its cross-validated score (``Study.best_other``), and in
    every replicate; between budgets its score is interpolated on a logarithmic scale. A replicate resamples the test
    cases and moves every mean by a t-distributed share of what draws and seeds may do to it. ``among`` are the names of
    the rivals that can be chosen, None all.
    """
    sign, budgets = study.metrics[metric].sign, study.budgets
    rng = np.random.default_rng(0)
    curve, rivals, replicates = [], [], []
    for b in budgets:
        means = study.cv_means(metric, b, among)
        rivals.append(study.best_other(metric, b, among))
        curve.append([sign * study.runs(rivals[-1], b)[metric].mean()])
        chance = [sign * means[name] + _moved(study, f"cv_{metric}", name, b, rng) for name in means.index]
        scores = [_replicates(study, metric, name, b, rng) for name in means.index]
        replicates.append(np.take_along_axis(np.array(scores), np.argmax(chance, axis=0)[None], axis=0)[0])
    score = np.array([sign * study.runs(method, budget)[metric].mean()])
    point = float(_budget_reaching(score, np.array(curve), budgets)[0])
    targets = _replicates(study, metric, method, budget, rng)
    curves = np.array(replicates)
    whole = ~np.isnan(targets) & ~np.isnan(curves).any(axis=0)  # a sample may lack a rare class
    reached = _budget_reaching(targets[whole], curves[:, whole], budgets)
    low, high = (float(np.quantile(reached, q, method="nearest")) for q in (0.025, 0.975))
    at = next((i for i, b in enumerate(budgets) if b >= point * (1 - 1e-9)), len(budgets) - 1)
    enough = all(
        study.enough([name], b, study.runs(name, b)["draw"].unique())
        for name, b in ((method, budget), *zip(rivals, budgets, strict=True))
    )
    return LabelsSaved(
        metric, method, rivals[at], budget, point, point - budget, low - budget, high - budget,
        (budgets[0], budgets[-1]), study.unit, enough,
    )  # fmt: skip


def _replicates(study: Study, metric: str, method: str, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Mean score, higher is better, in bootstrap samples of the test cases, moved by what draws and seeds may do."""
    sign = study.metrics[metric].sign
    return sign * study.replicated(metric, method, budget) + _moved(study, metric, method, budget, rng)


def _moved(study: Study, column: str, method: str, budget: int, rng: np.random.Generator) -> np.ndarray:
    of_runs = spread([study.grid(column, method, budget)])
    return math.sqrt(of_runs.runs) * rng.standard_t(min(of_runs.df, 1e6), study.replicates)


def _budget_reaching(targets: np.ndarray, curves: np.ndarray, budgets: Sequence[int]) -> np.ndarray:
    """Budget at which each rising curve (budgets, replicates) reaches its target; infinite where it does not.

    Minus infinity where the whole curve lies above the target.
    """
    rising = np.maximum.accumulate(curves, axis=0) + 1e-12 * np.arange(len(curves))[:, None]
    logs = np.log(budgets)
    targets = np.where(np.abs(targets - rising[0]) < ROUNDING, rising[0], targets)
    reached = [np.interp(t, rising[:, i], logs, left=-np.inf, right=np.inf) for i, t in enumerate(targets)]
    return np.where(np.isneginf(reached), -np.inf, np.exp(reached))
