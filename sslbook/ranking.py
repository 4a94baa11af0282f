"""Rank a whole catalogue for each user, and say how good the ten items on top are.

Ties are broken at random, and what is reported is the expectation: a target that ties with others takes each of their
places with the same chance. So constant scores of n items give a hit rate of exactly k / n, whichever is the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.special import digamma
from scipy.stats import rankdata

from sslbook.data import Holdout

Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Ranks:
    """Places of the targets in the lists of their users, from 1; a tie is a range of places.

    Attributes
    ----------
    owner : int array (t,), the row, from 0 to rows - 1, that each target belongs to; ascending.
    first, last : int arrays (t,), the target takes each place from first to last with the same chance.
    rows : number of lists; each has a target.
    """

    owner: np.ndarray
    first: np.ndarray
    last: np.ndarray
    rows: int

    def chance_at_k(self, k: int) -> np.ndarray:
        """Chance of each target to be among the first k, float array (t,)."""
        return np.clip((k - self.first + 1) / (self.last - self.first + 1), 0, 1)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of values (t,), one for each target, over the targets of each row, float array (rows,)."""
        return np.bincount(self.owner, values, minlength=self.rows)

    @property
    def targets(self) -> np.ndarray:
        """Number of targets of each row, int array (rows,)."""
        return np.bincount(self.owner, minlength=self.rows)

    def foremost(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and last place of the foremost tie with targets, and how many it holds; int arrays (rows,)."""
        order = np.lexsort((self.first, self.owner))
        starts = np.searchsorted(self.owner, np.arange(self.rows))
        first, last = self.first[order][starts], self.last[order][starts]
        return first, last, self.sums(self.first == first[self.owner]).astype(int)


def target_ranks(scores: np.ndarray, targets: csr_array, excluded: csr_array | None = None) -> Ranks:
    """Place of every target among all items but the excluded ones.

    Parameters
    ----------
    scores : float array (m, n_items)
    targets : csr_array (m, n_items), at least one in each row.
    excluded : csr_array (m, n_items), items that take no part in the ranking.

    Raises
    ------
    ValueError
        If a score is not finite, a row has no target, or a target is excluded.
    """
    return _places(_candidates(scores, targets, excluded), targets)


def _candidates(scores: np.ndarray, targets: csr_array, excluded: csr_array | None) -> np.ndarray:
    """A copy of the scores with -inf for excluded items, after the checks of ``target_ranks``."""
    if scores.shape != targets.shape:
        raise ValueError(
            f"scores have shape {scores.shape}, targets {targets.shape}; give one score per user and item."
        )
    if not np.isfinite(scores).all():
        row, item = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(f"the score of row {row}, item {item} is {scores[row, item]}; give finite scores.")
    for row in np.flatnonzero(np.diff(targets.indptr) == 0)[:1]:
        raise ValueError(f"row {row} has no target; leave it out.")
    scores = np.array(scores, dtype=np.float32)
    if excluded is not None:
        for row, item in np.argwhere(targets.multiply(excluded))[:1]:
            raise ValueError(
                f"item {item} is a target of row {row} and excluded; rank with remove_seen=False or new_only()."
            )
        scores[excluded.nonzero()] = -np.inf
    return scores


def _places(scores: np.ndarray, targets: csr_array) -> Ranks:
    """Count, for each target, the scores above and those that are equal."""
    count = np.diff(targets.indptr)
    owner = np.repeat(np.arange(len(scores)), count)
    first, tied = np.empty((2, len(owner)), dtype=np.int64)
    for nth in range(count.max(initial=0)):  # whole blocks at a time, so that studies can run side by side
        rows = np.flatnonzero(count > nth)
        place = targets.indptr[rows] + nth
        of_rows = scores if len(rows) == len(scores) else scores[rows]
        value = scores[rows, targets.indices[place]][:, None]
        first[place] = np.count_nonzero(of_rows > value, axis=1) + 1
        tied[place] = np.count_nonzero(of_rows == value, axis=1)
    return Ranks(owner, first, first + tied - 1, len(scores))


# ------------------------------------------------------------------------------------------ metrics, one value per row


def hit_rate_at_k(ranks: Ranks, k: int = 10) -> np.ndarray:
    """Chance that at least one target of the row is among the first k, float array (rows,)."""
    first, last, targets = ranks.foremost()
    return 1 - _none_among(np.clip(k - first + 1, 0, None), last - first + 1, targets)


def recall_at_k(ranks: Ranks, k: int = 10) -> np.ndarray:
    """Share of the targets of the row that is among the first k, float array (rows,)."""
    return ranks.sums(ranks.chance_at_k(k)) / ranks.targets


def ndcg_at_k(ranks: Ranks, k: int = 10) -> np.ndarray:
    """Sum of 1 / log2(1 + place) over the targets among the first k, as a share of the largest possible sum.

    Of a single target that is 1 / log2(1 + rank), 0 beyond k.

    Returns
    -------
    float array (rows,)
    """
    gain = np.concatenate([[0.0], np.cumsum(1 / np.log2(2 + np.arange(k)))])
    mean = (gain[np.minimum(ranks.last, k)] - gain[np.minimum(ranks.first - 1, k)]) / (ranks.last - ranks.first + 1)
    return ranks.sums(mean) / gain[np.minimum(ranks.targets, k)]


def mrr(ranks: Ranks) -> np.ndarray:
    """One over the place of the foremost target of the row, float array (rows,)."""
    first, last, targets = ranks.foremost()
    value = (digamma(last + 1) - digamma(first)) / (last - first + 1)
    for i in np.flatnonzero(targets > 1):
        places = np.arange(last[i] - first[i] - targets[i] + 3)
        later = _none_among(places, last[i] - first[i] + 1, targets[i])
        value[i] = (-np.diff(later) / (first[i] + places[:-1])).sum()
    return value


def _none_among(drawn: np.ndarray, size: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Chance that none of the targets is among the first ``drawn`` of ``size`` items in random order."""
    chance = np.ones(np.broadcast_shapes(np.shape(drawn), np.shape(size), np.shape(targets)))
    for i in range(np.max(targets, initial=0)):
        chance *= np.where(i < targets, np.maximum(size - drawn - i, 0) / np.maximum(size - i, 1), 1)
    return chance


# ------------------------------------------------------------------------------------------------ a whole holdout


@dataclass(frozen=True)
class Ranking:
    """What a recommender does for each user of a holdout.

    Attributes
    ----------
    k : length of the list.
    users : int64 array (m,)
    ndcg, hit, recall, mrr : float arrays (m,), see ``ndcg_at_k``, ``hit_rate_at_k``, ``recall_at_k`` and ``mrr``.
    revenue, worth : float arrays (m,), price of the targets among the first k, and of all targets; the price of an item
        is its median in the history, and a target without one does not count.
    top : int64 array (m, k), the items recommended, best first, ties by their codes; -1 where fewer than k are left.
    coverage : share of the catalogue that is recommended to somebody.
    popularity_bias : mean percentile, by events in the history, of the recommended items; 0.5 for items at random.
    """

    k: int
    users: np.ndarray
    ndcg: np.ndarray
    hit: np.ndarray
    recall: np.ndarray
    mrr: np.ndarray
    revenue: np.ndarray
    worth: np.ndarray
    top: np.ndarray
    coverage: float
    popularity_bias: float

    def summary(self) -> pd.Series:
        """Means over users; ``revenue`` is the share of the worth of all targets, NaN where no price is known."""
        worth = self.worth.sum()
        return pd.Series({
            f"ndcg_at_{self.k}": self.ndcg.mean(), f"hit_rate_at_{self.k}": self.hit.mean(),
            f"recall_at_{self.k}": self.recall.mean(), "mrr": self.mrr.mean(),
            f"revenue_at_{self.k}": self.revenue.sum() / worth if worth > 0 else np.nan,
            "coverage": self.coverage, "popularity_bias": self.popularity_bias,
        })  # fmt: skip


def evaluate_ranking(
    score: Score, holdout: Holdout, k: int = 10, remove_seen: bool = True, block: int = 1024
) -> Ranking:
    """Rank the whole catalogue for every user of a holdout.

    Parameters
    ----------
    score : maps users, int64 (b,), to scores, float (b, n_items); learnt from ``holdout.history`` and nothing later.
    k : length of the list.
    remove_seen : leave out what the user has had; False where people buy again.
    block : users scored at a time; memory is a few times block x n_items x 4 bytes.

    Raises
    ------
    ValueError
        If k exceeds the catalogue, the holdout has no user, or as ``target_ranks`` says.
    """
    n_items = holdout.history.n_items
    if not 1 <= k <= n_items:
        raise ValueError(f"k is {k} and the catalogue has {n_items} items; choose k from 1 to {n_items}.")
    if len(holdout.users) == 0:
        raise ValueError("the holdout has no user with a target; bring a longer log.")
    seen = holdout.seen if remove_seen else None
    ranks, top = [], []
    for rows in _blocks(len(holdout.users), block):
        targets, excluded = holdout.targets[rows], None if seen is None else seen[rows]
        scores = _candidates(score(holdout.users[rows]), targets, excluded)
        ranks.append(_places(scores, targets))
        top.append(_top(scores, k))
    return _ranking(_joined(ranks), np.concatenate(top), holdout, k)


def _blocks(n: int, block: int) -> list[slice]:
    return [slice(start, start + block) for start in range(0, n, block)]


def _joined(blocks: list[Ranks]) -> Ranks:
    """The rows of all blocks, one after another."""
    starts = np.cumsum([0] + [ranks.rows for ranks in blocks])
    owner = np.concatenate([ranks.owner + start for ranks, start in zip(blocks, starts, strict=False)])
    first, last = (np.concatenate([getattr(ranks, end) for ranks in blocks]) for end in ("first", "last"))
    return Ranks(owner, first, last, int(starts[-1]))


def _top(scores: np.ndarray, k: int) -> np.ndarray:
    """Items of the k largest scores of each row, ties by their codes; int64 (m, k), -1 for an excluded item."""
    near = scores >= np.partition(scores, -k, axis=1)[:, -k, None]
    rows, items = np.nonzero(near)
    order = np.lexsort((items, -scores[rows, items], rows))
    starts = np.cumsum(near.sum(axis=1)) - near.sum(axis=1)
    top = items[order[starts[:, None] + np.arange(k)]]
    top[np.isinf(np.take_along_axis(scores, top, axis=1))] = -1
    return top


def _ranking(ranks: Ranks, top: np.ndarray, holdout: Holdout, k: int) -> Ranking:
    """Metrics of every user, and what the lists have in common."""
    history = holdout.history
    price = np.nan_to_num(history.item_prices)[holdout.targets.indices]
    shown = top[top >= 0]
    popularity = np.bincount(history.items, minlength=history.n_items)
    percentile = (rankdata(popularity) - 0.5) / history.n_items
    return Ranking(
        k, holdout.users, ndcg_at_k(ranks, k), hit_rate_at_k(ranks, k), recall_at_k(ranks, k), mrr(ranks),
        ranks.sums(price * ranks.chance_at_k(k)), ranks.sums(price), top,
        len(np.unique(shown)) / history.n_items, float(percentile[shown].mean()),
    )  # fmt: skip


def sampled_ranking(
    score: Score, holdout: Holdout, negatives: int = 100, by: str = "uniform", seed: int = 0, k: int = 10,
    block: int = 1024,
) -> pd.DataFrame:  # fmt: skip
    """Rank the target of each user among a few items only, which flatters every method and each one differently.

    Many papers did so to save time (see Krichene and Rendle 2020); here it shows by how much.

    Parameters
    ----------
    score, holdout, k, block : as for ``evaluate_ranking``; each user has one target.
    negatives : items drawn for each user, without repeats, from those he has neither had nor takes next.
    by : "uniform", all items have the same chance; or "popularity", in proportion to their events in the history.
    seed : draws the items; the same for all methods that are compared.

    Returns
    -------
    DataFrame with columns ndcg_at_{k} and hit_rate_at_{k}, one row per user
    """
    history = holdout.history
    if by not in ("uniform", "popularity"):
        raise ValueError(f"by is {by!r}; say 'uniform' or 'popularity'.")
    if (np.diff(holdout.targets.indptr) != 1).any():
        raise ValueError("a user has several targets, and sampling takes one; use holdout(part, by='event').")
    weights = np.bincount(history.items, minlength=history.n_items) if by == "popularity" else np.ones(history.n_items)
    barred, rng, ranks = holdout.seen + holdout.targets, np.random.default_rng(seed), []
    for rows in _blocks(len(holdout.users), block):
        drawn = _draw_without_repeats(weights, negatives, barred[rows], rng)
        scores = _candidates(score(holdout.users[rows]), holdout.targets[rows], None)
        target = np.take_along_axis(scores, holdout.targets[rows].indices[:, None], axis=1)
        others = np.take_along_axis(scores, drawn, axis=1)
        first = 1 + (others > target).sum(axis=1)
        ranks.append(Ranks(np.arange(len(scores)), first, first + (others == target).sum(axis=1), len(scores)))
    ranks = _joined(ranks)
    return pd.DataFrame({f"ndcg_at_{k}": ndcg_at_k(ranks, k), f"hit_rate_at_{k}": hit_rate_at_k(ranks, k)})


def _draw_without_repeats(weights: np.ndarray, n: int, barred: csr_array, rng: np.random.Generator) -> np.ndarray:
    """Draw n columns for each row, none that is barred, one after another in proportion to weights; int64 (rows, n)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        arrival = rng.standard_exponential(barred.shape, dtype=np.float32) / weights.astype(np.float32)
    arrival[:, weights == 0] = np.inf
    arrival[barred.nonzero()] = np.inf
    drawn = np.argpartition(arrival, n - 1, axis=1)[:, :n] if n <= len(weights) else None
    if drawn is None or np.isinf(np.take_along_axis(arrival, drawn, axis=1)).any():
        raise ValueError(f"a user has fewer than {n} items to draw from; draw fewer negatives.")
    return drawn
