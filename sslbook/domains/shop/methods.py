"""Recommenders without self-supervision: counts, neighbours, transitions and factors, the baselines that usually win.

Each learns with ``fit(history)`` and gives ``score(users)``, float32 (b, n_items), for users of that history.
The age of an event is the number of visits (baskets) that its user has made since.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import get_lapack_funcs
from scipy.sparse import csr_array, csr_matrix
from sklearn.decomposition import TruncatedSVD

from sslbook.data.sequences import DAY
from sslbook.domains.shop.data import Interactions, item_histories
from sslbook.encoders.features import encode
from sslbook.encoders.items import ItemTransformer


class Recommender(Protocol):
    """What the recommenders of this module can do."""

    def fit(self, history: Interactions) -> Recommender:
        """Learn from a history."""

    def score(self, users: np.ndarray) -> np.ndarray:
        """Score all items for some users of that history, int64 (b,) -> float32 (b, n_items)."""


def visits(history: Interactions) -> tuple[csr_array, np.ndarray]:
    """The items of each basket, 0/1 float32 csr_array (n_baskets, n_items), and its user, int64 (n_baskets,)."""
    starts = np.flatnonzero(np.diff(history.basket, prepend=-1))
    bounds = np.append(starts, len(history))
    items = csr_array(
        (np.ones(len(history), np.float32), history.items, bounds), shape=(len(starts), history.n_items), copy=True
    )
    items.sum_duplicates()
    items.data[:] = 1
    return items, history.users[starts]


def profiles(history: Interactions, decay: float = 1.0) -> csr_array:
    """Sum of decay^age over the events of each user and item; 1 forgets nothing, 0.5 halves at every visit.

    Returns
    -------
    float32 csr_array (n_users, n_items)
    """
    visit = np.cumsum(np.diff(history.basket, prepend=history.basket[:1]) != 0)
    latest = np.zeros(history.n_users, dtype=np.int64)
    latest[history.users] = visit  # the last assignment stays
    return history.matrix(float(decay) ** (latest[history.users] - visit))


@dataclass
class Popularity:
    """The same list for everybody: what was taken most often.

    Parameters
    ----------
    half_life : days after which an event counts half; None counts all the same.
    """

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
    decay : weight of the user's items by age, when scoring; 1 is the plain method.
    """

    neighbours: int | None = None
    shrinkage: float = 0.0
    decay: float = 1.0

    def fit(self, history: Interactions) -> ItemKNN:
        taken = history.pairs
        together = (taken.T @ taken).tocoo()
        row, column = together.coords
        count = np.bincount(taken.indices, minlength=history.n_items)
        cosine = together.data / (np.sqrt(count[row] * count[column]) + self.shrinkage)
        cosine[row == column] = 0
        similar = csr_array((cosine.astype(np.float32), (row, column)), shape=together.shape)
        self.similar = similar if self.neighbours is None else strongest(similar, self.neighbours)
        self.profiles = profiles(history, self.decay)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return (self.profiles[users] @ self.similar).toarray()


def strongest(matrix: csr_array, k: int) -> csr_array:
    """Keep the k largest values of each row; of equal ones those in the first columns."""
    row, column = matrix.tocoo().coords
    order = np.lexsort((column, -matrix.data, row))
    kept = order[np.arange(matrix.nnz) - matrix.indptr[row] < k]
    return csr_array((matrix.data[kept], (row[kept], column[kept])), shape=matrix.shape)


@dataclass
class Markov:
    """What followed what: counts of b within a window of visits after a, over (times that a was taken)^damping.

    A pair of visits counts once, spread evenly over its pairs of items, so that large orders do not drown the others.

    Parameters
    ----------
    window : visits from a to b, at most.
    distance_decay : a pair d visits apart counts distance_decay^(d - 1).
    decay : weight of the user's items by age, when scoring; the last visit counts most.
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

    X holds 1 where a user took an item (Steck 2019). Memory is one n_items^2 array of 4 bytes: 0.6 GB of 12,101 items.

    Parameters
    ----------
    penalty : of the squared weights.
    decay : weight of the user's items by age, when scoring; 1 is the plain method.
    """

    penalty: float = 200.0
    decay: float = 1.0

    def fit(self, history: Interactions) -> EASE:
        taken = history.pairs
        gram = (taken.T @ taken).toarray()
        diagonal = np.diag_indices_from(gram)
        gram[diagonal] += self.penalty
        weights = inverse_in_place(gram)
        weights /= -weights[diagonal]
        weights[diagonal] = 0
        self.weights, self.profiles = weights, profiles(history, self.decay)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.profiles[users] @ self.weights


def inverse_in_place(matrix: np.ndarray, block: int = 1024) -> np.ndarray:
    """Inverse of a symmetric positive definite matrix (n, n) by its Cholesky factor, written over the matrix itself."""
    factor, invert = get_lapack_funcs(("potrf", "potri"), (matrix,))
    upper, info = factor(matrix.T, overwrite_a=True, clean=False)
    if info == 0:
        upper, info = invert(upper, overwrite_c=True)
    if info != 0:
        raise ValueError("the matrix is not positive definite; raise the penalty.")
    lower = upper.T
    for start in range(0, len(lower), block):
        stop = start + block
        corner = np.tril(lower[start:stop, start:stop])
        lower[start:stop, start:stop] = corner + np.tril(corner, -1).T
        lower[start:stop, stop:] = lower[stop:, start:stop].T
    return lower


@dataclass
class MatrixFactorisation:
    """Users and items as vectors whose product says who takes what, from the library ``implicit``.

    Parameters
    ----------
    factors : length of the vectors.
    iterations : passes over the history.
    regularisation : penalty of long vectors.
    kind : "als", weighted least squares (Hu et al. 2008), or "bpr", an item taken against another (Rendle et al. 2009).
    confidence : weight of an item taken beside one not taken; "als" only.
    seed : of the first vectors, and of what is drawn.
    """

    factors: int = 64
    iterations: int = 15
    regularisation: float = 0.05
    kind: str = "als"
    confidence: float = 20.0
    seed: int = 0

    def fit(self, history: Interactions) -> MatrixFactorisation:
        settings = {"factors": self.factors, "iterations": self.iterations, "regularization": self.regularisation}
        settings |= {"alpha": self.confidence} if self.kind == "als" else {}
        model = _implicit(self.kind)(**settings, random_state=self.seed, num_threads=1)
        taken = csr_matrix(history.pairs)
        model.fit(taken, show_progress=False)
        self.users, self.items = model.user_factors, model.item_factors
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T


def _implicit(kind: str) -> type:
    """The model class of the library; imported where it is used, for it warns of threads as it loads."""
    with warnings.catch_warnings(action="ignore"):
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.cpu.bpr import BayesianPersonalizedRanking
    kinds = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}
    if kind not in kinds:
        raise ValueError(f"kind is {kind!r}; say 'als' or 'bpr'.")
    return kinds[kind]


def z_scores(scores: np.ndarray) -> np.ndarray:
    """Each row less its mean, over its standard deviation; zeros where all items score the same."""
    spread = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)


@dataclass
class Blend:
    """Sum of the z-scores of several recommenders, each times its weight."""

    parts: Sequence[Recommender]
    weights: Sequence[float]

    def fit(self, history: Interactions) -> Blend:
        for part in self.parts:
            part.fit(history)
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return sum(weight * z_scores(part.score(users)) for part, weight in zip(self.parts, self.weights, strict=True))


def cooccurrence_vectors(history: Interactions, window: int = 3, size: int = 48, seed: int = 0) -> np.ndarray:
    """Item vectors from counts: singular vectors of the positive pointwise mutual information (Levy and Goldberg 2014).

    Items are near each other that occur near the same items. Contexts are smoothed by the power 0.75, and singular
    values enter with their square root, as the paper advises.

    Parameters
    ----------
    window : visits between two items, at most; a pair d visits apart counts 1 / 2^(d - 1), in both directions.

    Returns
    -------
    float array, shape (n_items, size); of a small catalogue the last columns may be zeros
    """
    near = Markov(window, distance_decay=0.5, backward=1.0).fit(history).follows.tocoo()
    row, column = near.coords
    total = near.sum(axis=1)
    context = total**0.75 / (total**0.75).sum()
    information = np.log(near.data / (total[row] * context[column]))
    kept = information > 0
    matrix = csr_array((information[kept], (row[kept], column[kept])), shape=near.shape)
    svd = TruncatedSVD(min(size, history.n_items - 1), random_state=seed)
    vectors = svd.fit_transform(matrix) / np.sqrt(np.maximum(svd.singular_values_, 1e-12))
    return np.pad(vectors, ((0, 0), (0, size - vectors.shape[1])))


@dataclass
class Pretrained:
    """A pretrained encoder of histories as a recommender; ``fit`` encodes the histories and trains nothing."""

    encoder: ItemTransformer

    def fit(self, history: Interactions) -> Pretrained:
        histories = item_histories(history, self.encoder.longest)
        by_length = np.argsort((histories >= 0).sum(axis=1), kind="stable")  # batches without much padding
        self.users = np.empty((len(histories), self.encoder.out_features), np.float32)
        self.users[by_length] = encode(self.encoder, histories[by_length])
        self.items = self.encoder.item_vectors.detach().cpu().numpy()
        return self

    def score(self, users: np.ndarray) -> np.ndarray:
        return self.users[users] @ self.items.T
