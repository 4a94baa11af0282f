"""What a study asks of a metric, and how resampled cases say how sure a score is."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score of a prediction that says which way is better.

    Attributes
    ----------
    score : maps (prediction, weights) to scores; weights, shape (replicates, n_test), are the multiplicity of each test
        case in bootstrap samples, None for each once. None for a score that is a mean over the test cases.
    higher_is_better : False for errors and losses.
    perfect : the best possible score, where the distance from it is a rate of errors; a comparison then states which
        share of the errors is avoided, otherwise the relative gain.
    per_case : for a score that is a mean: maps a prediction to the values of the test cases, shape (n_test,). How much
        the mean owes to the choice of the cases then follows without a bootstrap.
    """

    score: Callable[[Any, np.ndarray | None], np.ndarray | float] | None = None
    higher_is_better: bool = True
    perfect: float | None = None
    per_case: Callable[[Any], np.ndarray] | None = None

    def __call__(self, prediction: Any, weights: np.ndarray | None = None) -> np.ndarray:
        """Scores, shape (replicates,), or (1,) without weights."""
        if self.score is not None:
            return np.atleast_1d(self.score(prediction, weights))
        values = self.per_case(prediction)
        weights = np.ones((1, len(values))) if weights is None else weights
        return weights @ values / weights.sum(axis=1)

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if self.higher_is_better else -1


def bootstrap_weights(
    n: int, replicates: int, seed: int = 0, groups: np.ndarray | None = None, dtype: type = float
) -> np.ndarray:
    """How often each case is drawn in each bootstrap sample; whole groups (patients) are drawn where given.

    Parameters
    ----------
    groups : array, shape (n,), cases to draw together.
    dtype : of the result; ``np.uint8`` takes an eighth of the memory.

    Returns
    -------
    array, shape (replicates, n)
    """
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    count, rng = units.max() + 1, np.random.default_rng(seed)
    weights = np.empty((replicates, n), dtype)
    for rows in np.array_split(np.arange(replicates), -(-replicates // 50)):
        weights[rows] = rng.multinomial(count, np.full(count, 1 / count), size=len(rows))[:, units]
    return weights


def percentiles(replicates: np.ndarray) -> tuple[float, float]:
    """Limits of the 95 % bootstrap interval; replicates that are NaN do not count."""
    if np.isnan(replicates).all():
        return math.nan, math.nan
    low, high = np.nanpercentile(replicates, [2.5, 97.5])
    return float(low), float(high)
