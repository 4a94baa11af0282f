"""How sure a mean over label draws, seeds and test cases is: variance components and t intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student


@dataclass(frozen=True)
class Spread:
    """Variance of a mean over draws and seeds, by its sources.

    Attributes
    ----------
    draws, seeds, residual : variance of a single run between label draws, between seeds, and of what is left.
    runs, cases : variance of the mean that comes from draws and seeds, and from the choice of the test cases.
    df, units : degrees of freedom of ``runs`` (effective, Satterthwaite 1946); number of independent test cases.
    """

    draws: float
    seeds: float
    residual: float
    runs: float
    cases: float
    df: float
    units: float

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % interval.

        Each of the two variances has its own t quantile (Cochran and Cox 1957, section 4.14): one for their sum would
        be too small where the part of few degrees of freedom comes out small by chance.
        """
        parts = ((self.runs, self.df), (self.cases, self.units - 1))
        return float(sum(student.ppf(0.975, df) ** 2 * variance for variance, df in parts if variance > 0) ** 0.5)

    @property
    def components(self) -> dict[str, float]:
        """The variance of a single run by its sources, that of the mean from the test cases, and ``df``."""
        df = min(self.df, 1e6)
        return {"draws": self.draws, "seeds": self.seeds, "residual": self.residual, "cases": self.cases, "df": df}

    def expected(self, draws: int, seeds: int) -> float:
        """Variance of the mean of so many other draws and seeds on the same test cases."""
        return self.draws / draws + self.seeds / seeds + self.residual / (draws * seeds)


def spread(parts: Sequence[np.ndarray], cases: float = 0.0, units: float = np.inf) -> Spread:
    """Variance components of a sum of means, each over draws (shared) and seeds (of its own).

    Two-way analysis of variance with random effects (Searle, Casella and McCulloch 1992, chapter 4), for each part; the
    draws are common to all parts, so that what a draw does to all of them cancels. A score is one part; a difference is
    one part if both methods share their seeds, else two, the second with a minus.

    Parameters
    ----------
    parts : float arrays, shape (draws, seeds of the part); one seed stands for a method in which nothing is random.
    cases : variance of the sum that comes from the test cases, for example of a bootstrap.
    units : number of test cases, or of the groups of them, behind ``cases``.

    Returns
    -------
    Spread; ``runs`` is no less than its sources alone, ``df`` at least 1.
    """
    n_draws = len(parts[0])
    by_draw = sum(part.mean(axis=1) for part in parts)
    of_draws = by_draw.var(ddof=1) / n_draws if n_draws > 1 else 0.0
    freedom = [(of_draws, n_draws - 1)]
    extra = alone = between = residual = inside = 0.0
    for part in parts:
        n_seeds = part.shape[1]
        if n_seeds == 1:
            continue
        of_seeds = n_draws * part.mean(axis=0).var(ddof=1)
        rest = part - part.mean(axis=1, keepdims=True) - part.mean(axis=0) + part.mean()
        left = (rest**2).sum() / ((n_draws - 1) * (n_seeds - 1)) if n_draws > 1 else 0.0
        extra += max(of_seeds - left, 0.0) / part.size
        alone += of_seeds / part.size
        between += max(of_seeds - left, 0.0) / n_draws
        residual += left
        inside += left / n_seeds
        freedom += [(of_seeds / part.size, n_seeds - 1), (left / part.size, (n_draws - 1) * (n_seeds - 1))]
    runs = max(of_draws + extra, alone)
    doubt = sum(value**2 / df for value, df in freedom if value > 0)
    df = max(runs**2 / doubt, 1.0) if doubt > 0 else np.inf
    return Spread(max(n_draws * of_draws - inside, 0.0), between, residual, runs, float(cases), df, units)
