"""Rank the whole catalogue for every user of a holdout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.stats import rankdata

from sslbook.domains.shop.data import Holdout
from sslbook.metrics.ranking import Ranks, _candidates, _places, hit_rate_at_k, mrr, ndcg_at_k, recall_at_k

Score = Callable[[np.ndarray], np.ndarray]


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
