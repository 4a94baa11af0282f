"""Intents of messages: what is reported, who gets labelled, and the features that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sklearn
from scipy.sparse import csr_array, hstack, issparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from sslbook.encoders.items import information_vectors
from sslbook.metrics import Metric
from sslbook.metrics.classification import Prediction
from sslbook.probes import linear_probe
from sslbook.study import Method, checked_labels

Features = np.ndarray | csr_array
LENGTH = 20.0  # of every text's features, so that one grid of penalties suits them all


def intent_metrics(labels: np.ndarray) -> dict[str, Metric]:
    """Accuracy against test labels, int array (n_test,): the share of the texts with the right intent."""
    return {"accuracy": Metric(per_case=lambda said: (said.decisions == labels).astype(float), perfect=1.0)}


def draw_per_class(labels: np.ndarray, per_class: int, draw: int) -> np.ndarray:
    """Indices of so many texts of each class, or of all it has where these are fewer.

    Parameters
    ----------
    labels : int array (n,)
    draw : number of the draw; a smaller budget's texts are among those of a larger one.
    """
    order = np.random.default_rng(draw).permutation(len(labels))
    place = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        place[order[labels[order] == label]] = np.arange((labels == label).sum())
    return np.flatnonzero(place < per_class)


def word_counts(pool: Sequence[str], *others: Sequence[str]) -> list[csr_array]:
    """TF-IDF of words, pairs of words and parts of words (three to five letters), weighed by the unlabelled pool."""
    by_word = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, dtype=np.float32).fit(pool)
    parts = {"analyzer": "char_wb", "ngram_range": (3, 5)}
    by_part = TfidfVectorizer(**parts, sublinear_tf=True, min_df=2, dtype=np.float32).fit(pool)
    return [csr_array(hstack([v.transform(texts) for v in (by_word, by_part)])) for texts in (pool, *others)]


def topics(counts: csr_array, *others: csr_array, size: int = 300, seed: int = 0) -> list[np.ndarray]:
    """Latent semantic analysis (Deerwester et al. 1990): leading singular vectors of the counts of the pool."""
    svd = TruncatedSVD(min(size, min(counts.shape) - 1), random_state=seed).fit(counts)
    return [svd.transform(x).astype(np.float32) for x in (counts, *others)]


def averaged_words(
    pool: Sequence[str], *others: Sequence[str], window: int = 5, size: int = 300, seed: int = 0
) -> list[np.ndarray]:
    """Mean of the vectors of a text's words and word parts, rare ones weigh more (Arora et al. 2017).

    Word vectors come from what stands near what in the pool, up to ``window`` words apart, as for items of a shop.
    Parts of words help with typing errors and rare words, as in fastText (Bojanowski et al. 2017); each has the mean
    vector of its words.
    """
    counter = CountVectorizer(min_df=2, token_pattern=r"(?u)\b\w+\b").fit(pool)
    vocabulary, names, analyse = counter.vocabulary_, counter.get_feature_names_out(), counter.build_analyzer()
    lines = [[vocabulary[w] for w in analyse(text) if w in vocabulary] for text in pool]
    words = np.concatenate([np.array(line, dtype=np.int64) for line in lines])
    line_of = np.repeat(np.arange(len(lines)), list(map(len, lines)))
    near = csr_array((len(vocabulary), len(vocabulary)))
    for distance in range(1, window + 1):
        a = np.flatnonzero(line_of[:-distance] == line_of[distance:])
        pairs = (np.full(len(a), 1 / distance), (words[a], words[a + distance]))
        near = near + csr_array(pairs, shape=near.shape)
    of_words = normalize(information_vectors(csr_array(near + near.T), size, seed))
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 6)).fit(names)
    of_parts = normalize(parts.transform(names).T @ of_words)
    rarity = TfidfVectorizer(min_df=2, token_pattern=r"(?u)\b\w+\b").fit(pool)
    return [
        np.asarray(rarity.transform(texts) @ of_words + parts.transform(texts) @ of_parts, dtype=np.float32)
        for texts in (pool, *others)
    ]


def nearest(pool: np.ndarray, texts: np.ndarray, count: int) -> np.ndarray:
    """Rows of the pool nearest to each text by the cosine, nearest first, int array (n, count).

    Parameters
    ----------
    pool, texts : float arrays (m, d) and (n, d)
    """
    with sklearn.config_context(working_memory=64):  # megabytes for distances
        finder = NearestNeighbors(n_neighbors=count, metric="cosine").fit(pool)
        return finder.kneighbors(texts, return_distance=False)


def smoothed(pool: np.ndarray, *others: np.ndarray, neighbours: int = 5) -> list[np.ndarray]:
    """Mean of each text's features and those of its nearest in an unlabelled pool, all of length one.

    What one message puts in odd words its neighbours put in usual ones; no network is trained (Wu et al. 2019,
    *Simplifying graph convolutional networks*, with one step on the graph of nearest neighbours).

    Parameters
    ----------
    pool : float array (n, d)
    neighbours : texts of each mean, itself among them.

    Returns
    -------
    arrays (n, d) of the pool and of each of the others
    """
    pool, others = normalize(pool), [normalize(x) for x in others]
    means = [pool[nearest(pool, pool, neighbours)].mean(axis=1)]
    for x in others:  # these are not in the pool: one neighbour less
        means.append((x + pool[nearest(pool, x, neighbours - 1)].sum(axis=1)) / neighbours)
    return means


def text_probe_method(
    name: str, family: str, features: Sequence[tuple[Features, Features]], labels: np.ndarray, **settings: Any
) -> Method:
    """A linear probe on the features of texts, one (train, test) pair of arrays per seed; settings go to ``Method``.

    Every text's features get one length. They may be wide and sparse: a linear model of n texts sees no more than n
    directions, and in these the answer is the same. One label of each class leaves nothing to cross-validate by: then
    the nearest labelled text decides, and ``cv_scores`` stays empty. Predictions have decisions only.
    """
    labels = checked_labels("training", labels)
    scaled = [tuple(LENGTH * normalize(part) for part in pair) for pair in features]

    def fit(index: np.ndarray, seed: int) -> Prediction:
        train, test = in_own_directions(scaled[seed][0][index], scaled[seed][1])
        if np.bincount(labels[index]).max() == 1:
            closest = (normalize(test) @ normalize(train).T).argmax(axis=1)
            return Prediction(np.empty((len(test), 0)), labels[index][closest])
        said = linear_probe(train, labels[index], test, int(labels.max()) + 1, seed, metrics=intent_metrics)
        return replace(said, scores=said.scores[:, :0])  # many classes in many runs: too much to keep

    return Method(name, family, fit, seeds=tuple(range(len(features))), **settings)


def in_own_directions(train: Features, test: Features) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of texts in the directions that the training texts span; inner products with these stay as they are.

    Parameters
    ----------
    train, test : arrays (n, d) and (n_test, d), dense or sparse.

    Returns
    -------
    float32 arrays (n, k) and (n_test, k), k <= n; the features themselves where they are dense and not wider than n
    """
    if not issparse(train) and train.shape[1] <= len(train):
        return np.asarray(train, np.float32), np.asarray(test, np.float32)
    train, test = train.astype(np.float64), test.astype(np.float64)
    inner = train @ train.T
    value, axes = np.linalg.eigh(inner.toarray() if issparse(inner) else inner)
    kept = value > 1e-6 * value.max()
    axes = axes[:, kept] / np.sqrt(value[kept])
    return tuple(np.asarray(x @ train.T @ axes, dtype=np.float32) for x in (train, test))


def prototypes(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Cosine to the mean of each class (Snell et al. 2017), float array (n_test, classes)."""
    means = [normalize(train)[labels == label].mean(axis=0) for label in range(labels.max() + 1)]
    return normalize(test) @ normalize(np.array(means)).T


def out_of_scope_auc(inside: np.ndarray, outside: np.ndarray) -> float:
    """How often a text of a known intent gets a higher confidence than one of none; confidences (n,) and (m,)."""
    known = np.repeat([1, 0], [len(inside), len(outside)])
    return float(roc_auc_score(known, np.concatenate([inside, outside])))


def caught(inside: np.ndarray, outside: np.ndarray, answered: float = 0.95) -> float:
    """Share of the texts of no known intent that get a person, if so many of the known ones get an answer.

    Parameters
    ----------
    inside, outside : confidences (n,) and (m,); a text is answered if its confidence reaches a threshold.
    answered : share of the texts inside that shall be answered; it sets the threshold.
    """
    refused = int((1 - answered) * len(inside) + 1e-9)  # of the known ones, rounded down
    return float(np.mean(outside < np.sort(inside)[refused]))
