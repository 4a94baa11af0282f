"""Probes: what frozen features know, asked with few labels.

Every label spent counts: settings and thresholds come from cross-validation inside the labels that are given."""

import copy
import warnings
from collections.abc import Iterator

import numpy as np
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from sslbook.metrics.classification import Prediction

# Weak penalties may stop early. For the whole process: `catch_warnings` mixes up threads, and probes run side by side.
warnings.filterwarnings("ignore", category=ConvergenceWarning)


def inner_folds(
    labels: np.ndarray, seed: int, folds: int = 5, few: int = 200, groups: np.ndarray | None = None
) -> Iterator[tuple]:
    """Cross-validation inside the drawn labels: stratified folds when labels are few, one held-out fifth when many.

    The labels are few also when one class has less than 5, so that a case of every class is held out.

    Parameters
    ----------
    labels : int array, shape (n,)
    groups : optional array, shape (n,), cards (patients) that stay in one fold. Then the groups with a finding (of the
        highest class) are dealt out evenly, and it is their number that is few or many. Rows that are groups of their
        own (``np.arange(n)``) make the folds of rare findings.
    """
    if groups is not None:
        return _group_folds(labels, seed, folds, few, np.unique(groups, return_inverse=True)[1])
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError("cross-validation needs at least 2 labels of each of 2 classes; draw more labels.")
    if len(labels) > few and counts.min() >= 5:
        splitter = StratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
    else:
        splitter = StratifiedKFold(min(folds, counts.min()), shuffle=True, random_state=seed)
    return splitter.split(np.zeros(len(labels)), labels)


def _group_folds(labels: np.ndarray, seed: int, folds: int, few: int, groups: np.ndarray) -> Iterator[tuple]:
    """``StratifiedGroupKFold`` would try every group in every fold, which takes longer than the fits."""
    kinds = np.full(groups.max(initial=-1) + 1, -1)
    np.maximum.at(kinds, groups, labels)
    with_class = [len(np.unique(groups[labels == c])) for c in np.unique(labels)]
    if len(with_class) < 2 or min(with_class) < 2:
        raise ValueError("cross-validation needs at least 2 groups with each of 2 classes; draw more groups.")
    rarest = np.unique(kinds, return_counts=True)[1].min()
    splitter = StratifiedKFold(max(2, min(folds, rarest, *with_class)), shuffle=True, random_state=seed)
    splits = []
    for _, held in splitter.split(kinds, kinds if rarest > 1 else kinds * 0):
        inside = np.isin(groups, held)
        if len(np.unique(labels[~inside])) < len(with_class):
            raise ValueError("a fold would leave a class without labels; draw more groups.")
        splits.append((np.flatnonzero(~inside), np.flatnonzero(inside)))
    return iter(splits[:1] if rarest > few else splits)


def decide(heldout_scores: np.ndarray, heldout_labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Turn scores into decisions with the threshold that held-out scores of the training labels ask for.

    Two classes: a logistic curve with balanced class weights is fitted to the held-out log-odds, and its crossing of
    one half is the threshold; a curve uses every held-out score, a best cut only the few around it. Several classes:
    the largest score after division by the class frequencies.

    Parameters
    ----------
    heldout_scores : float array, shape (m, classes)
    heldout_labels : int array, shape (m,)
    scores : float array, shape (n, classes), the cases to decide.

    Returns
    -------
    int array, shape (n,)
    """
    if scores.shape[1] > 2:
        prior = np.bincount(heldout_labels, minlength=scores.shape[1]) / len(heldout_labels)
        return (scores / np.maximum(prior, 1 / len(heldout_labels))).argmax(axis=1)  # a class may lack by chance
    platt = LogisticRegression(C=1.0, class_weight="balanced")
    platt.fit(_log_odds(heldout_scores), heldout_labels)
    return platt.predict(_log_odds(scores))


def _log_odds(scores: np.ndarray) -> np.ndarray:
    return logit(np.clip(scores[:, 1:], 1e-4, 1 - 1e-4))


def linear_probe(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, n_classes: int, seed: int = 0,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None,
) -> Prediction:  # fmt: skip
    """Logistic regression on frozen features; C and the threshold come from cross-validation on the given labels.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``).
    labels : int array, shape (n,)
    test_features : float array, shape (n_test, d)
    n_classes : number of classes.
    groups : optional array, shape (n,), rows that stay in one fold (see ``inner_folds``).
    sample_weight : optional float array, shape (n,), how many cases a row stands for in the fits and the choice of C.
    """
    weight = np.ones(len(labels)) if sample_weight is None else sample_weight
    grid = np.logspace(-4, 1, 6)
    held_index, held_scores = [], [[] for _ in grid]
    for train, held in inner_folds(labels, seed, groups=groups):
        held_index.append(held)
        path = _logistic_path(features[train], labels[train], weight[train], grid)
        for scores, model in zip(held_scores, path, strict=True):
            scores.append(_probabilities(model, features[held], n_classes))
    held = np.concatenate(held_index)
    held_labels, held_weight = labels[held], weight[held]
    held_scores = [np.concatenate(scores) for scores in held_scores]
    losses = [log_loss(held_labels, s, labels=range(n_classes), sample_weight=held_weight) for s in held_scores]
    best = int(np.argmin(losses))
    model = _logistic_path(features, labels, weight, grid[best : best + 1])[0]
    scores = _probabilities(model, test_features, n_classes)
    return Prediction(scores, decide(held_scores[best], held_labels, scores))


def ridge_probe(features: np.ndarray, labels: np.ndarray, test_features: np.ndarray) -> Prediction:
    """Linear regression of many yes-or-no labels at once; one penalty, chosen by leave-one-out on the given labels.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``).
    labels : int array, shape (n, k), 0 or 1; a case can have several labels, or none.
    test_features : float array, shape (n_test, d)

    Returns
    -------
    Prediction with scores and decisions of shape (n_test, k); the scores rank cases and are no probabilities.
    """
    model = RidgeCV(np.logspace(0, 5, 11)).fit(features, labels)
    scores = model.predict(test_features)
    return Prediction(scores, (scores > 0.5).astype(int))


def _logistic_path(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, grid: np.ndarray
) -> list[LogisticRegression]:
    """One model per C, each started from the last."""
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    return [copy.deepcopy(model.set_params(C=c).fit(features, labels, weight)) for c in grid]


def _probabilities(model: LogisticRegression, features: np.ndarray, n_classes: int) -> np.ndarray:
    scores = np.zeros((len(features), n_classes))
    scores[:, model.classes_] = model.predict_proba(features)
    return scores / scores.sum(axis=1, keepdims=True)


def standardise(pool: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Centre and scale by the mean and deviation of the unlabelled pool; constant columns become zero."""
    mean, std = pool.mean(axis=0), pool.std(axis=0)
    return [((x - mean) / np.where(std > 1e-8, std, 1)).astype(np.float32) for x in (pool, *others)]
