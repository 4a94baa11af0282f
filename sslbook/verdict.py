"""What may be said from a study: paired comparisons, and labels saved."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sslbook.metrics import percentiles
from sslbook.study import Study


@dataclass(frozen=True)
class Verdict:
    """A paired comparison of two methods at one budget.

    ``difference`` is method minus versus; ``error_reduction`` the share of the distance of ``versus`` from a perfect
    score that the method avoids, NaN where no score is perfect; ``lift`` the score relative to that of ``versus``, less
    1; all with 95 % intervals. ``n`` is the number of paired label draws, ``unit`` what the budget counts,
    ``higher_is_better`` says which way the metric counts.
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

    @property
    def conclusion(self) -> str:
        """ "better", "worse" or "no difference shown"."""
        if not (self.low > 0 or self.high < 0):
            return "no difference shown"
        return "better" if (self.low > 0) == self.higher_is_better else "worse"

    def __str__(self) -> str:
        if math.isnan(self.error_reduction):
            relative = f"relative {self.lift:+.0%} [{self.lift_low:+.0%}, {self.lift_high:+.0%}]"
        else:
            relative = (
                f"errors reduced by {self.error_reduction:.0%} "
                f"[{self.error_reduction_low:.0%}, {self.error_reduction_high:.0%}]"
            )
        return (
            f"{self.method} against {self.versus} at {self.budget} {self.unit}: {self.metric} {self.difference:+.3f} "
            f"[{self.low:+.3f}, {self.high:+.3f}], {relative}: {self.conclusion}"
        )


def compare(study: Study, metric: str, method: str, versus: str, budget: int) -> Verdict:
    """Paired difference, relative error reduction and lift on the draws that both methods ran, with 95 % intervals."""
    first, second = study.runs(method, budget), study.runs(versus, budget)
    common = sorted(set(first["draw"]) & set(second["draw"]))
    a, b = (study.bootstrap(metric, name, budget, common) for name in (method, versus))
    mean_a, mean_b = (runs[runs["draw"].isin(common)].groupby("draw")[metric].mean().mean() for runs in (first, second))
    perfect = study.metrics[metric].perfect
    return Verdict(
        metric, method, versus, budget,
        float(mean_a - mean_b), *percentiles(a - b),
        float(_avoided(mean_a, mean_b, perfect)), *percentiles(_avoided(a, b, perfect)),
        len(common),
        float(_lift(mean_a, mean_b)), *percentiles(_lift(a, b)),
        unit=study.unit, higher_is_better=study.metrics[metric].higher_is_better,
    )  # fmt: skip


def _avoided(score: np.ndarray, versus: np.ndarray, perfect: float | None) -> np.ndarray:
    """Share of the distance from a perfect score that is avoided; NaN where there is none to avoid."""
    gap = np.asarray(math.nan if perfect is None else perfect - versus)
    return np.divide(score - versus, gap, out=np.full(np.shape(versus), math.nan), where=np.abs(gap) > 0)


def _lift(score: np.ndarray, versus: np.ndarray) -> np.ndarray:
    """Score over that of versus, less 1; NaN where that is not above 0."""
    return np.divide(score, versus, out=np.full(np.shape(versus), math.nan), where=np.asarray(versus) > 0) - 1


@dataclass(frozen=True)
class LabelsSaved:
    """How many labels the best other method needs for the score a method has at ``budget``.

    ``saved`` = equivalent_budget - budget, with a 95 % interval; ``censored`` where no budget of the study reaches the
    score, so that the true number is at least ``saved``; ``below`` where the score is worse than at every budget, so
    that it is at most ``saved``. ``unit`` is what a budget counts.
    """

    metric: str
    method: str
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
            f"{self.method} with {self.budget} {self.unit} scores like {self.versus} with {self.bound} "
            f"{self.equivalent_budget:.0f}: {self.bound} {self.saved:.0f} {self.unit} saved "
            f"[{self.low:.0f}, {self.high:.0f}]"
        )


def labels_saved(study: Study, metric: str, method: str, budget: int) -> LabelsSaved:
    """Compare one budget of a method with the whole curve of the best method without self-supervision.

    The best other method is taken anew at every budget; between budgets its score is interpolated on a logarithmic
    scale.
    """
    budgets, sign = study.budgets, study.metrics[metric].sign
    table = sign * study.scores(metric)
    rivals = [study.best_other(metric, b) for b in budgets]
    curve = np.array([[table.loc[r, b]] for r, b in zip(rivals, budgets, strict=True)])
    replicates = sign * np.array([study.bootstrap(metric, r, b) for r, b in zip(rivals, budgets, strict=True)])
    score = table.loc[method, budget]
    point = _budget_reaching(np.array([score]), curve, budgets)[0]
    spread = _budget_reaching(sign * study.bootstrap(metric, method, budget), replicates, budgets)
    low, high = percentiles(spread)
    return LabelsSaved(
        metric, method, rivals[-1], budget, float(point), float(point - budget), low - budget, high - budget,
        censored=bool(score > curve.max()), below=bool(score < curve[0, 0]), unit=study.unit,
    )  # fmt: skip


def _budget_reaching(targets: np.ndarray, curves: np.ndarray, budgets: Sequence[int]) -> np.ndarray:
    """Budget at which each rising curve (budgets, replicates) reaches its target; the ends where it lies outside."""
    rising = np.maximum.accumulate(curves, axis=0)
    logs = np.log(budgets)
    reached = [np.interp(t, _strictly(rising[:, i]), logs) for i, t in enumerate(targets)]
    return np.exp(reached)


def _strictly(values: np.ndarray) -> np.ndarray:
    return values + 1e-12 * np.arange(len(values))
