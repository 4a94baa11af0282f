"""Recommenders without self-supervision: counts, neighbours, transitions and factors, the baselines that usually win.

Each learns from a history of events with ``fit(history)``, which returns itself, and scores all items for some users of
that history with ``score(users)``, int64 (b,) -> float32 (b, n_items). The age of an event is the number of visits
(baskets) that its user has made since; ``decay`` weighs the items of a user by their age, and 1 is the plain method.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_array, csr_matrix

from sslbook.data.sequences import DAY
from sslbook.domains.shop.data import Interactions, item_histories
from sslbook.encoders.items import ItemTransformer, encode_histories, information_vectors


def visits(history: Interactions) -> tuple[csr_array, np.ndarray]:
    """The items of each basket, 0/1 float32 csr_array (n_baskets, n_items), and its user, int64 (n_baskets,)."""
    bounds = np.flatnonzero(np.diff(history.basket, prepend=-1, append=len(history)))
    shape = (len(bounds) - 1, history.n_items)
    items = csr_array((np.ones(len(history), np.float32), history.items, bounds), shape=shape, copy=True)
    items.sum_duplicates()
    items.data[:] = 1
    return items, history.users[bounds[:-1]]


def profiles(history: Interactions, decay: float = 1.0) -> csr_array:
    """Sum of decay^age over the events of each user and item, as ``Interactions.matrix``; 1 forgets nothing."""
    visit = history.basket
    latest = np.zeros(history.n_users, dtype=np.int64)
    latest[history.users] = visit  # the last assignment stays
    return history.matrix(float(decay) ** (latest[history.users] - visit))


@dataclass
class Popularity:
    """The same list for everybody: what was taken most often; an event counts half after ``half_life`` days, if any."""

    half_life: float | None = None

    def fit(self, history: Interactions) -> Popularity:
        age = (history.time.max() - history.time) / DAY
        weights = None if self.half_life is None else 0.5 ** (age / self.half_life)
        self.counts = np.bincount(history.items, weights, minlength=history.n_items).astype(np.float32)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return np.tile(self.counts, (len(users), 1))


@dataclass
class RepeatPurchase:
    """What the user took before, often and lately (the sum of decay^age) first; then what is popular."""

    decay: float = 0.9

    def fit(self, history: Interactions) -> RepeatPurchase:
        self.profiles = profiles(history, self.decay)
        self.popularity = Popularity().fit(history).counts
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        own = self.profiles[users].toarray()
        return np.where(own > 0, 1 + own, self.popularity / (1 + self.popularity.max()))


@dataclass
class ItemKNN:
    """Items that the same users took, by cosine: c_ij / (sqrt(c_i c_j) + shrinkage), c counting users.

    Parameters
    ----------
    neighbours : most similar items kept for each item; None keeps all.
    shrinkage : distrust of items that few users share.
    """

    neighbours: int | None = None
    shrinkage: float = 0.0
    decay: float = 1.0

    def fit(self, history: Interactions) -> ItemKNN:
        taken = history.pairs
        together = csr_array(taken.T @ taken).sorted_indices()
        row, column = together.tocoo().coords
        count = np.bincount(taken.indices, minlength=history.n_items)
        cosine = together.data / (np.sqrt(count[row] * count[column]) + self.shrinkage)
        cosine[row == column] = 0
        sides = pairwise(together.indptr)  # of equal neighbours the first in the catalogue
        kept = np.concatenate([a + np.argsort(-cosine[a:b], kind="stable")[: self.neighbours] for a, b in sides])
        self.similar = csr_array((cosine[kept].astype(np.float32), (row[kept], column[kept])), shape=together.shape)
        self.profiles = profiles(history, self.decay)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return (self.profiles[users] @ self.similar).toarray()


@dataclass
class Markov:
    """What followed what: counts of b within a window of visits after a, over (times that a was taken)^damping.

    A pair of visits counts once, spread evenly over its pairs of items, so that large orders do not drown the others.

    Parameters
    ----------
    window : visits from a to b, at most.
    distance_decay : a pair d visits apart counts distance_decay^(d - 1).
    backward : weight of a pair in the other direction.
    damping : 0 keeps counts, 1 makes them shares.
    """

    window: int = 3
    distance_decay: float = 0.5
    decay: float = 0.5
    backward: float = 0.0
    damping: float = 0.0

    def fit(self, history: Interactions) -> Markov:
        items, users = visits(history)
        items.data /= np.repeat(np.diff(items.indptr), np.diff(items.indptr))
        follows = csr_array((history.n_items, history.n_items), dtype=np.float32)
        for distance in range(1, self.window + 1):
            first = np.flatnonzero(users[:-distance] == users[distance:])
            follows += np.float32(self.distance_decay ** (distance - 1)) * (items[first].T @ items[first + distance])
        follows = csr_array(follows + np.float32(self.backward) * follows.T)
        taken = np.maximum(np.bincount(history.items, minlength=history.n_items), 1)
        follows.data /= np.repeat(taken**self.damping, np.diff(follows.indptr)).astype(np.float32)
        self.follows, self.profiles = follows, profiles(history, self.decay)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return (self.profiles[users] @ self.follows).toarray()


@dataclass
class EASE:
    """The linear autoencoder with a closed form: B_ij = -P_ij / P_jj, P = (X'X + penalty I)^-1, zero diagonal.

    X holds 1 where a user took an item, and the penalty is of squared weights (Steck 2019). Memory is one array of
    4 n_items^2 bytes: 0.6 GB of 12,101 items.
    """

    penalty: float = 200.0
    decay: float = 1.0

    def fit(self, history: Interactions) -> EASE:
        taken = history.pairs
        gram = (taken.T @ taken).toarray(order="C")  # so that LAPACK needs no copy
        diagonal = np.diag_indices_from(gram)
        gram[diagonal] += self.penalty
        weights = inverse_in_place(gram)
        weights /= -weights[diagonal]
        weights[diagonal] = 0
        self.weights, self.profiles = weights, profiles(history, self.decay)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.profiles[users] @ self.weights


def inverse_in_place(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a symmetric positive definite float32 matrix (n, n), written over the matrix itself."""
    upper, failed = spotrf(matrix.T, overwrite_a=True, clean=False)
    if failed:
        raise ValueError("the matrix is not positive definite; raise the penalty.")
    inverse = spotri(upper, overwrite_c=True)[0].T
    for row in range(len(inverse)):  # LAPACK fills one triangle only
        inverse[row, row:] = inverse[row:, row]
    return inverse


@dataclass
class MatrixFactorisation:
    """Users and items as vectors whose product says who takes what: weighted least squares (Hu et al. 2008)."""

    factors: int = 64  # length of the vectors
    iterations: int = 15  # passes over the history
    regularisation: float = 0.05  # penalty of long vectors
    confidence: float = 20.0  # weight of an item taken beside one not taken
    seed: int = 0  # of the first vectors

    def fit(self, history: Interactions) -> MatrixFactorisation:
        with warnings.catch_warnings(action="ignore"):  # the library warns of threads when it is imported
            from implicit.cpu.als import AlternatingLeastSquares
        settings = {"iterations": self.iterations, "random_state": self.seed, "num_threads": 1}
        model = AlternatingLeastSquares(self.factors, self.regularisation, self.confidence, **settings)
        model.fit(csr_matrix(history.pairs), show_progress=False)
        self.users, self.items = model.user_factors, model.item_factors
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T


def z_scores(scores: np.ndarray) -> np.ndarray:
    """Each row less its mean, over its standard deviation; zeros where all items score the same."""
    spread = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)


@dataclass
class Blend:
    """Sum of the z-scores of several recommenders (``parts``), each times its weight."""

    parts: Sequence[Any]
    weights: Sequence[float]

    def fit(self, history: Interactions) -> Blend:
        for part in self.parts:
            part.fit(history)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return sum(weight * z_scores(part.score(users)) for part, weight in zip(self.parts, self.weights, strict=True))


def cooccurrence_vectors(history: Interactions, window: int = 3, size: int = 48, seed: int = 0) -> np.ndarray:
    """Item vectors from counts, float array (n_items, size), by ``sslbook.encoders.items.information_vectors``.

    Pairs of items d visits apart, up to ``window``, count 1 / 2^(d - 1) in both directions.
    """
    near = Markov(window, distance_decay=0.5, backward=1.0).fit(history).follows
    return information_vectors(near, size, seed)


@dataclass
class Pretrained:
    """A pretrained encoder of histories as a recommender; ``fit`` encodes the histories and trains nothing.

    ``ends`` : as for ``item_histories``, for an encoder that was pretrained so.
    """

    encoder: ItemTransformer
    ends: bool = False

    def fit(self, history: Interactions) -> Pretrained:
        self.users = encode_histories(self.encoder, item_histories(history, self.encoder.longest, self.ends))
        self.items = self.encoder.item_vectors.detach().cpu().numpy()
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T
