"""Which cases are labelled: draws of label budgets, at random or chosen."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.model_selection import StratifiedShuffleSplit


def draw_labels(labels: np.ndarray, budget: int, draw: int) -> np.ndarray:
    """Indices of ``budget`` cases, stratified by class, at least two of each class.

    Parameters
    ----------
    labels : int array, shape (n,), or the float values of a regression, which are drawn at random.
    budget : number of labels; all of them are returned where it is n.
    draw : number of the draw; the same number gives the same cases.

    Raises
    ------
    ValueError
        If the budget exceeds the labels or cannot hold two cases of each class.
    """
    if budget == len(labels):
        return np.arange(len(labels))
    if budget > len(labels):
        raise ValueError(f"a budget of {budget} labels exceeds the {len(labels)} there are; use a smaller budget.")
    if labels.dtype.kind == "f":
        return np.random.default_rng(draw).permutation(len(labels))[:budget]
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"class {classes[counts.argmin()]} has a single label; label one more, or leave the class out."
        )
    if budget < 2 * len(classes):
        raise ValueError(
            f"a budget of {budget} labels cannot hold two of each of {len(classes)} classes; use a larger budget."
        )
    if len(labels) - budget >= len(classes):
        splitter = StratifiedShuffleSplit(1, train_size=budget, random_state=draw)
        index = next(splitter.split(labels, labels))[0]
        if min((labels[index] == c).sum() for c in classes) >= 2:
            return index
    rng = np.random.default_rng(draw)
    pairs = np.concatenate([rng.choice(np.flatnonzero(labels == c), 2, replace=False) for c in classes])
    rest = np.setdiff1d(np.arange(len(labels)), pairs)
    return np.concatenate([pairs, rng.choice(rest, budget - len(pairs), replace=False)])


def draw_groups(labels: np.ndarray, budget: int, draw: int, groups: np.ndarray) -> np.ndarray:
    """Indices of all cases of ``budget`` groups (patients, say), drawn at random until each class has two cases.

    For a study, fix the groups: ``functools.partial(draw_groups, groups=patients)``.

    Parameters
    ----------
    labels : int array, shape (n,).
    budget : number of groups; where it is all of them, every draw is the same.
    draw : number of the draw; the same number gives the same groups.
    groups : array, shape (n,), the group of each case.

    Raises
    ------
    ValueError
        If the budget exceeds the groups, or none of 1,000 draws holds two cases of each class.
    """
    every, rng = np.unique(groups), np.random.default_rng(draw)
    if budget > len(every):
        raise ValueError(f"a budget of {budget} groups exceeds the {len(every)} there are; use a smaller budget.")
    classes, numbers = np.unique(labels, return_inverse=True)
    for _ in range(1000):
        drawn = np.isin(groups, rng.permutation(every)[:budget])
        if np.bincount(numbers[drawn], minlength=len(classes)).min() >= 2:
            return np.flatnonzero(drawn)
    raise ValueError(
        f"no draw of {budget} groups holds two cases of each of {len(classes)} classes; use a larger budget."
    )


def choose_diverse(features: np.ndarray, budget: int, seed: int = 0) -> np.ndarray:
    """Indices of ``budget`` frames that stand for all: of each cluster of k-means, the frame nearest to its centre.

    Few labels are better spent on typical frames than on odd ones (Hacohen et al. 2022), which is what k-center greedy
    (Sener and Savarese 2018) would choose first: the frames that are farthest from those it has.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``), one row for each frame that can be chosen.
    budget : number of frames.
    seed : starts k-means.

    Raises
    ------
    ValueError
        If the budget exceeds the frames that differ, or is less than one.
    """
    _check_frames(budget, len(np.unique(features, axis=0)))
    means = KMeans(budget, n_init=1, random_state=seed).fit(features)
    member = means.labels_[:, None] == np.arange(budget)
    return np.sort(np.where(member, means.transform(features), np.inf).argmin(axis=0))


def _check_frames(budget: int, frames: int) -> None:
    if not 1 <= budget <= frames:
        raise ValueError(
            f"a budget of {budget} frames is not from 1 to the {frames} different ones there are; use another."
        )
