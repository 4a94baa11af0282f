"""Rank the whole catalogue for every user of a holdout, and study recommenders on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.utils import gen_batches

from sslbook.domains.shop.data import Holdout
from sslbook.metrics import Metric
from sslbook.metrics import ranking as metrics
from sslbook.study import Method, Study, budget_study

BLOCK = 256  # users scored at a time; memory is a few times BLOCK x n_items x 4 bytes
Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Ranking:
    """What a recommender does for each user of a holdout.

    Attributes
    ----------
    k, users : length of the list, int64 array (m,)
    ndcg, hit, recall : float arrays (m,), see ``sslbook.metrics``.
    revenue, worth : float arrays (m,), price of the targets among the first k, and of all targets; the price of an item
        is its median in the history, and a target without one does not count.
    top : int64 array (m, k), the items recommended, best first, ties by their codes; -1 where fewer than k are left.
    coverage : share of the catalogue that is recommended to somebody.
    popularity_bias : mean percentile, by events in the history, of the recommended items; 0.5 for items at random.
    cv_scores : means on a validation part, by name of the metric; what rivals are chosen by.
    """

    k: int
    users: np.ndarray
    ndcg: np.ndarray
    hit: np.ndarray
    recall: np.ndarray
    revenue: np.ndarray
    worth: np.ndarray
    top: np.ndarray
    coverage: float
    popularity_bias: float
    cv_scores: dict[str, float] = field(default_factory=dict)

    def summary(self) -> pd.Series:
        """Means over users; ``revenue`` is the share of the worth of all targets, NaN where no price is known."""
        worth = self.worth.sum()
        return pd.Series({
            f"ndcg_at_{self.k}": self.ndcg.mean(), f"hit_rate_at_{self.k}": self.hit.mean(),
            f"recall_at_{self.k}": self.recall.mean(),
            f"revenue_at_{self.k}": self.revenue.sum() / worth if worth > 0 else np.nan,
            "coverage": self.coverage, "popularity_bias": self.popularity_bias,
        })  # fmt: skip


def evaluate_ranking(score: Score, holdout: Holdout, k: int = 10, remove_seen: bool = True) -> Ranking:
    """Rank the whole catalogue for every user of a holdout.

    Parameters
    ----------
    score : maps users, int64 (b,), to scores, float (b, n_items); learnt from ``holdout.history`` and nothing later.
    k, remove_seen : length of the list; leave out what the user has had, False where people buy again.

    Raises
    ------
    ValueError : k exceeds the catalogue, the holdout has no user, a score is not finite, or a target was seen before.
    """
    history, n_items, seen = holdout.history, holdout.history.n_items, holdout.seen if remove_seen else None
    if not 1 <= k <= n_items:
        raise ValueError(f"k is {k} and the catalogue has {n_items} items; choose k from 1 to {n_items}.")
    if len(holdout.users) == 0:
        raise ValueError("the holdout has no user with a target; bring a longer log.")
    prices, parts = np.nan_to_num(history.item_prices), []
    for rows in gen_batches(len(holdout.users), BLOCK):
        targets = holdout.targets[rows]
        scores = metrics.candidate_scores(score(holdout.users[rows]), targets, None if seen is None else seen[rows])
        ranks, price = metrics.target_ranks(scores, targets), prices[targets.indices]
        parts.append((
            metrics.ndcg_at_k(ranks, k), metrics.hit_rate_at_k(ranks, k), metrics.recall_at_k(ranks, k),
            ranks.sums(price * ranks.chance_at_k(k)), ranks.sums(price), metrics.top_items(scores, k),
        ))  # fmt: skip
    *of_users, top = map(np.concatenate, zip(*parts, strict=True))
    shown = top[top >= 0]
    percentile = (rankdata(np.bincount(history.items, minlength=n_items)) - 0.5) / n_items
    return Ranking(k, holdout.users, *of_users, top, len(np.unique(shown)) / n_items, float(percentile[shown].mean()))


def evaluate_model(
    model: Any, holdout: Holdout, validation: Holdout | None = None, k: int = 10, remove_seen: bool = True
) -> Ranking:
    """Fit a recommender on the history of a holdout and rank the catalogue for its users, as ``evaluate_ranking``.

    With ``validation``, an earlier holdout of the same log, it is also fitted on that history, for ``cv_scores``.
    """
    parts = [] if validation is None else [evaluate_model(model, validation, None, k, remove_seen)]
    before = {f"{n}_at_{k}": float(x.mean()) for p in parts for n, x in (("ndcg", p.ndcg), ("hit_rate", p.hit))}
    return replace(evaluate_ranking(model.fit(holdout.history).score, holdout, k, remove_seen), cv_scores=before)


def ranking_metrics(holdout: Holdout, k: int = 10) -> dict[str, Metric]:
    """NDCG and hit rate of a ``Ranking`` of the users of a holdout with lists of k, means over users."""
    fields = {f"ndcg_at_{k}": "ndcg", f"hit_rate_at_{k}": "hit"}
    return {name: Metric(per_case=partial(_of_users, field, holdout.users, k)) for name, field in fields.items()}


def _of_users(field: str, users: np.ndarray, k: int, ranking: Ranking) -> np.ndarray:
    if ranking.k != k or not np.array_equal(ranking.users, users):
        said = f"{len(ranking.users)} users and lists of {ranking.k}, not the {len(users)} users of the holdout"
        raise ValueError(f"a ranking has {said} and lists of {k}; use evaluate_ranking(score, holdout, k={k}) with it.")
    return getattr(ranking, field)


def ranking_method(
    name: str, family: str, rank: Callable[[int], Ranking], seeds: tuple[int, ...] = (0,), **settings: Any
) -> Method:
    """A recommender in a ``ranking_study``; ``rank`` maps a seed to the ranking of all users of the holdout."""
    return Method(name, family, lambda _, seed: rank(seed), seeds, **settings)


def ranking_study(methods: Sequence[Method], holdout: Holdout, k: int = 10, **settings: Any) -> Study:
    """Run recommenders on all users of a holdout, the only budget; settings are ``replicates`` and ``store``."""
    n, settings = len(holdout.users), settings | {"draw": lambda n, _: np.arange(n), "draws": 1, "unit": "users"}
    return budget_study(methods, ranking_metrics(holdout, k), n, [n], **settings)


def sampled_ranking(
    score: Score, holdout: Holdout, negatives: int = 100, by: str = "uniform", seed: int = 0, k: int = 10
) -> pd.DataFrame:
    """Rank the target of each user among a few items only, which flatters every method and each one differently.

    Many papers did so to save time (see Krichene and Rendle 2020). The frame has a row per user, who has one target,
    and the columns ndcg_at_{k} and hit_rate_at_{k}.

    Parameters
    ----------
    negatives : items drawn by ``seed`` for each user, without repeats, from those he has neither had nor takes next.
    by : "uniform", all items have the same chance; or "popularity", in proportion to their events in the history.
    """
    if by not in ("uniform", "popularity"):
        raise ValueError(f"by is {by!r}; say 'uniform' or 'popularity'.")
    if (np.diff(holdout.targets.indptr) != 1).any():
        raise ValueError("a user has several targets, and sampling takes one; use holdout(part, by='event').")
    events = np.bincount(holdout.history.items, minlength=holdout.history.n_items)
    weights = events if by == "popularity" else np.ones_like(events)
    barred, rng, parts = holdout.seen + holdout.targets, np.random.default_rng(seed), []
    for rows in gen_batches(len(holdout.users), BLOCK):
        drawn = metrics.draw_negatives(weights, negatives, barred[rows], rng)
        ranks = metrics.sampled_ranks(score(holdout.users[rows]), holdout.targets[rows].indices, drawn)
        parts.append((metrics.ndcg_at_k(ranks, k), metrics.hit_rate_at_k(ranks, k)))
    return pd.DataFrame(np.hstack(parts).T, columns=[f"ndcg_at_{k}", f"hit_rate_at_{k}"])
