"""Rank a whole catalogue for each user, and say how good the ten items on top are.

Ties are broken at random, and what is reported is the expectation: a target that ties with others takes each of their
places with the same chance. So constant scores of n items give a hit rate of exactly k / n, whichever is the target.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array


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


def candidate_scores(scores: np.ndarray, targets: csr_array, excluded: csr_array | None = None) -> np.ndarray:
    """A float32 copy of the scores with -inf for the items that take no part in the ranking.

    Parameters
    ----------
    scores : float array (m, n_items)
    targets : csr_array (m, n_items), at least one in each row.
    excluded : csr_array (m, n_items), items that take no part.

    Raises
    ------
    ValueError
        If a score is not finite, a row has no target, or a target is excluded.
    """
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


def target_ranks(scores: np.ndarray, targets: csr_array) -> Ranks:
    """Place of every target: the scores above it, and those that are equal.

    Parameters
    ----------
    scores : float32 array (m, n_items), from ``candidate_scores``.
    targets : csr_array (m, n_items), at least one in each row.
    """
    count = np.diff(targets.indptr)
    owner = np.repeat(np.arange(len(scores)), count)
    first, tied = np.empty((2, len(owner)), dtype=np.int64)
    for nth in range(count.max(initial=0)):  # one target of every row at a time: a loop over rows is slow
        rows = np.flatnonzero(count > nth)
        place = targets.indptr[rows] + nth
        of_rows = scores if len(rows) == len(scores) else scores[rows]
        value = scores[rows, targets.indices[place]][:, None]
        first[place] = np.count_nonzero(of_rows > value, axis=1) + 1
        tied[place] = np.count_nonzero(of_rows == value, axis=1)
    return Ranks(owner, first, first + tied - 1, len(scores))


def top_items(scores: np.ndarray, k: int) -> np.ndarray:
    """Items of the k largest scores of each row, best first, ties by their codes.

    Parameters
    ----------
    scores : float32 array (m, n_items), from ``candidate_scores``.

    Returns
    -------
    int64 array (m, k), -1 where fewer than k take part
    """
    least = torch.from_numpy(scores).topk(k).values[:, -1:].numpy()  # np.partition is slow where many scores are equal
    near = scores >= least
    rows, items = np.divmod(np.flatnonzero(near), scores.shape[1])
    order = np.lexsort((items, -scores[rows, items], rows))
    starts = np.cumsum(near.sum(axis=1)) - near.sum(axis=1)
    top = items[order[starts[:, None] + np.arange(k)]]
    top[np.isinf(np.take_along_axis(scores, top, axis=1))] = -1
    return top


def sampled_ranks(scores: np.ndarray, targets: np.ndarray, drawn: np.ndarray) -> Ranks:
    """Place of the one target of each row, int (m,), among itself and the items drawn for the row, int (m, n)."""
    chosen = np.take_along_axis(scores, np.column_stack([targets, drawn]), axis=1)
    first = csr_array(np.eye(1, chosen.shape[1])[np.zeros(len(chosen), dtype=int)])
    return target_ranks(candidate_scores(chosen, first), first)


def draw_negatives(weights: np.ndarray, n: int, barred: csr_array, rng: np.random.Generator) -> np.ndarray:
    """Draw n items for each row of ``barred``, none that is barred, one after another in proportion to ``weights``.

    Returns
    -------
    int64 array (rows, n), without repeats in a row
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        arrival = rng.standard_exponential(barred.shape, dtype=np.float32) / weights.astype(np.float32)
    arrival[:, weights == 0] = np.inf
    arrival[barred.nonzero()] = np.inf
    if (np.isfinite(arrival).sum(axis=1) < n).any():
        raise ValueError(f"a user has fewer than {n} items to draw from; draw fewer negatives.")
    return np.argpartition(arrival, n - 1, axis=1)[:, :n]


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


def _none_among(drawn: np.ndarray, size: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Chance that none of the targets is among the first ``drawn`` of ``size`` items in random order."""
    chance = np.ones(np.broadcast_shapes(np.shape(drawn), np.shape(size), np.shape(targets)))
    for i in range(np.max(targets, initial=0)):
        chance *= np.where(i < targets, np.maximum(size - drawn - i, 0) / np.maximum(size - i, 1), 1)
    return chance
