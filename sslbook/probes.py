"""Probes: what frozen features know, asked with few labels.

Every label spent counts: settings and thresholds come from cross-validation inside the labels that are given."""

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from scipy.special import logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit

from sslbook.metrics.classification import Metrics, Prediction, attribute_metrics, classification_metrics

# Weak penalties may stop early. For the whole process: `catch_warnings` mixes up threads, and probes run side by side.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

RELATIVE_C = 10.0 ** np.arange(-3, 3)  # times one over the root of the number of labels
DEFAULT_C = 3  # the number of that with factor 1
REPEATS = 2  # of the folds, where labels are few


def inner_folds(
    labels: np.ndarray, seed: int, folds: int = 5, few: int = 200, groups: np.ndarray | None = None
) -> Iterator[tuple]:
    """Cross-validation inside the drawn labels: stratified folds when labels are few, one held-out fifth when many.

    The labels are few also when one class has less than 25: a fifth of it would be too little to judge by.

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
    if len(labels) > few and counts.min() >= 25:
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


def decide(
    heldout_scores: np.ndarray, heldout_labels: np.ndarray, scores: np.ndarray,
    heldout_weight: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Turn scores into decisions by the threshold that suits the held-out scores of the training labels.

    The usual one is the largest score after division by the class frequencies, so that a rare class is not overlooked
    (Elkan 2001). Two others suit scores that are no honest probabilities: the largest score as it is (one half), as of
    networks that saw every class equally often; and of two classes, half-way between the mean log-odds of the classes.
    One of them replaces the usual one where it is better by more than a standard error in the balanced accuracy on
    the held-out cases; with few labels anything else would choose by chance. The half-way point is taken without the
    case that it decides, so that it has no advantage.

    Parameters
    ----------
    heldout_scores : float array, shape (m, classes)
    heldout_labels : int array, shape (m,)
    scores : float array, shape (n, classes), the cases to decide.
    heldout_weight : optional float array, shape (m,), how many cases a held-out one counts for in the frequencies.

    Returns
    -------
    int array, shape (n,)
    """
    classes, known = scores.shape[1], np.unique(heldout_labels)
    weight = np.ones(len(heldout_labels)) if heldout_weight is None else heldout_weight
    total = np.bincount(heldout_labels, weight, minlength=classes)
    prior = np.maximum(total, weight.mean()) / weight.sum()  # a class may lack by chance
    rules = [((s / prior).argmax(axis=1), s.argmax(axis=1)) for s in (heldout_scores, scores)]
    if classes == 2 and np.bincount(heldout_labels, minlength=2).min() > 1:
        left_out, half_way = _half_way(_log_odds(heldout_scores), heldout_labels)
        rules = [(*rules[0], _log_odds(heldout_scores) > left_out), (*rules[1], _log_odds(scores) > half_way)]
    hits = np.array(rules[0]) == heldout_labels
    recalls = np.stack([hits[:, heldout_labels == c].mean(axis=1) for c in known], axis=1)
    best = int(recalls.mean(axis=1).argmax())
    gains = hits[best].astype(float) - hits[0]
    error = np.sqrt(sum(_variance_of_mean(gains[heldout_labels == c]) for c in known)) / len(known)
    better = recalls[best].mean() - recalls[0].mean() > error
    return rules[1][best if better else 0].astype(int)


def _half_way(log_odds: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """The point half-way between the means of two classes, without each case in turn and with all of them."""
    counts = np.bincount(labels)
    sums = np.bincount(labels, log_odds)
    own = (sums[labels] - log_odds) / (counts[labels] - 1)
    return (own + (sums / counts)[1 - labels]) / 2, (sums / counts).mean()


def _log_odds(scores: np.ndarray) -> np.ndarray:
    return logit(np.clip(scores[:, 1], 1e-6, 1 - 1e-6))


def _variance_of_mean(values: np.ndarray) -> float:
    return values.var(ddof=1) / len(values) if len(values) > 1 else 0.0


Fold = tuple[np.ndarray, ...]  # labels, scores and, where rows stand for several cases, weights of the held-out cases


def fold_scores(folds: Sequence[Fold], metrics: Metrics = classification_metrics) -> dict[str, np.ndarray]:
    """What a model scores on cases that were held out from its training, fold by fold.

    The threshold of a fold comes from the other folds (see ``decide``). A single fold, as ``inner_folds`` gives where
    labels are many, is dealt out into five parts that count as folds.

    Parameters
    ----------
    folds : of each fold the labels, int array (m,), the scores, float array (m, classes), and if wanted weights, (m,).
    metrics : of the labels of some cases.

    Returns
    -------
    dict by name of the metric: float array, shape (folds,), NaN where a fold lacks a class that the metric needs.
    """
    if len(folds) == 1:
        order = np.argsort(folds[0][0], kind="stable")
        folds = [tuple(part[order[i::5]] for part in folds[0]) for i in range(5)]
    values: dict[str, list[float]] = {}
    for i, (labels, scores, *weight) in enumerate(folds):
        said = Prediction(scores, _decide_by([*folds[:i], *folds[i + 1 :]], scores))
        for name, metric in metrics(labels).items():
            values.setdefault(name, []).append(metric(said, weight[0][None] if weight else None).item())
    return {name: np.array(v) for name, v in values.items()}


def choose_setting(
    scores: Mapping[str, np.ndarray], sign: int = 1, default: int = 0, repeats: int = 1
) -> tuple[int, dict[str, float]]:
    """Choose a setting by cross-validation: from the best towards the default, as far as settings are as good.

    As good as the best is what falls behind it by at most one standard error, paired fold by fold. With few labels the
    best is best by chance, and a setting that is known to do well elsewhere does better on fresh cases. Beyond the
    default nothing is chosen but the best, for a setting whose scores jump from fold to fold has a large error. With
    ``default=0`` and settings ordered from simple to rich, this is the one-standard-error rule of Breiman et al. (1984,
    Classification and Regression Trees, section 3.4.3).

    Parameters
    ----------
    scores : by name of the metric, float array, shape (settings, folds), on held-out cases (see ``fold_scores``); the
        first metric decides. Settings are ordered, so that neighbours are alike.
    sign : 1 where higher is better in the first metric, -1 where lower is.
    default : number of the setting that was fixed beforehand.
    repeats : how often the cross-validation was repeated, with other folds; a repeat is no new label, and so does not
        make the standard error smaller.

    Returns
    -------
    number of the chosen setting, and of each metric its mean over the folds. Folds where a metric is NaN are left out;
    where all are, the default is chosen, and the metric is NaN.
    """
    first = sign * np.asarray(next(iter(scores.values())), dtype=float)
    first = first[:, ~np.isnan(first).any(axis=0)]
    chosen = default
    if first.shape[1]:
        best = int(first.mean(axis=1).argmax())
        behind = first[best] - first
        spread = behind.std(axis=1, ddof=1) if first.shape[1] > 1 else np.zeros(len(first))
        error = spread / np.sqrt(max(1, first.shape[1] / repeats))
        between = np.arange(min(best, default), max(best, default) + 1)
        good = between[(behind.mean(axis=1) <= error + 1e-12)[between]]
        chosen = int(good[np.abs(good - default).argmin()])
    return chosen, {name: _mean(np.asarray(values)[chosen]) for name, values in scores.items()}


def _mean(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def choose_held_out(
    tried: Sequence[Sequence[Sequence[Fold]]], metrics: Metrics, default: int = 0
) -> tuple[int, dict[str, float]]:
    """Choose a setting of a classifier by the first of the metrics of held-out cases: ``choose_setting``.

    Parameters
    ----------
    tried : of each setting and each repeat of the cross-validation, the folds (see ``fold_scores``).
    """
    values = [[fold_scores(folds, metrics) for folds in repeats] for repeats in tried]
    table = {name: np.array([np.concatenate([r[name] for r in rs]) for rs in values]) for name in values[0][0]}
    sign = next(iter(metrics(tried[0][0][0][0]).values())).sign
    return choose_setting(table, sign, default, len(tried[0]))


def decided(folds: Sequence[Fold], scores: np.ndarray, metrics: Metrics = classification_metrics) -> Prediction:
    """A prediction with decisions and ``cv_scores`` from the scores of held-out cases.

    Parameters
    ----------
    folds, metrics : as for ``fold_scores``.
    scores : float array, shape (n_test, classes)
    """
    cv_scores = {name: _mean(values) for name, values in fold_scores(folds, metrics).items()}
    return Prediction(scores, _decide_by(folds, scores), cv_scores)


def _decide_by(folds: Sequence[Fold], scores: np.ndarray) -> np.ndarray:
    labels, heldout, *weight = (np.concatenate(parts) for parts in zip(*folds, strict=True))
    return decide(heldout, labels, scores, *weight)


def linear_probe(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, n_classes: int, seed: int = 0,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None,
    metrics: Metrics = classification_metrics,
) -> Prediction:  # fmt: skip
    """Logistic regression on frozen features, fitted on all the given labels.

    C and the threshold come from cross-validation on the labels: C by the first of the metrics and ``choose_setting``,
    from a grid around one over the root of the number of labels. That makes the penalty of a case shrink with the root
    of the number of cases, the rate of learning theory (Shalev-Shwartz and Ben-David 2014, chapter 13).

    Parameters
    ----------
    features : float array, shape (n, d), of about unit variance (see ``standardise`` and ``principal_components``).
    labels : int array, shape (n,)
    test_features : float array, shape (n_test, d)
    n_classes : number of classes.
    groups : optional array, shape (n,), rows that stay in one fold (see ``inner_folds``).
    sample_weight : optional float array, shape (n,), how many cases a row stands for in the fits and in the scores.
    metrics : of the labels of held-out cases; the first one chooses C, all are reported as ``cv_scores``.
    """
    weight = np.ones(len(labels)) if sample_weight is None else sample_weight
    grid = RELATIVE_C / np.sqrt(weight.sum())
    repeated = repeated_folds(labels, seed, groups)
    tried: list[list[list[Fold]]] = [[[] for _ in repeated] for _ in grid]
    for number, folds in enumerate(repeated):
        for train, left_out in folds:
            path = _logistic_path(features[train], labels[train], weight[train], grid)
            for repeats, model in zip(tried, path, strict=True):
                said = _probabilities(model, features[left_out], n_classes)
                repeats[number].append((labels[left_out], said, weight[left_out]))
    best, cv_scores = choose_held_out(tried, metrics, DEFAULT_C)
    model = _logistic_path(features, labels, weight, grid[best : best + 1])[0]
    scores = _probabilities(model, test_features, n_classes)
    return Prediction(scores, _decide_by(tried[best][0], scores), cv_scores)


def repeated_folds(labels: np.ndarray, seed: int, groups: np.ndarray | None = None) -> list[list[tuple]]:
    """The folds of ``inner_folds``, ``REPEATS`` times over where labels are few: less hangs on how they fell."""
    first = list(inner_folds(labels, seed, groups=groups))
    seeds = [int(s) for s in np.random.SeedSequence(seed).generate_state(REPEATS - 1)] if len(first) > 1 else []
    return [first, *(list(inner_folds(labels, s, groups=groups)) for s in seeds)]


def ridge_probe(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, metrics: Metrics = attribute_metrics
) -> Prediction:
    """Linear regression of many yes-or-no labels at once; one penalty, chosen by leave-one-out on the given labels.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``).
    labels : int array, shape (n, k), 0 or 1; a case can have several labels, or none.
    test_features : float array, shape (n_test, d)
    metrics : of the labels of the cases, what to report of the left-out cases as ``cv_scores``.

    Returns
    -------
    Prediction with scores and decisions of shape (n_test, k); the scores rank cases and are no probabilities.
    """
    model = RidgeCV(np.logspace(0, 5, 11)).fit(features, labels)
    held = _left_out(features, labels, model)
    said = Prediction(held, (held > 0.5).astype(int))
    scores = model.predict(test_features)
    cv_scores = {name: metric(said).item() for name, metric in metrics(labels).items()}
    return Prediction(scores, (scores > 0.5).astype(int), cv_scores)


def _left_out(features: np.ndarray, labels: np.ndarray, model: RidgeCV) -> np.ndarray:
    """Scores of each case by the ridge regression of the others, but for the mean of the labels.

    Without a case that has a label, the mean of the others is lower: left out too, it would give the answer away.
    """
    axes, stretch, _ = np.linalg.svd(features - features.mean(axis=0, dtype=float), full_matrices=False)
    leverage = 1 / len(labels) + axes**2 @ (stretch**2 / (stretch**2 + model.alpha_))
    residual = (labels - model.predict(features)) / (1 - leverage)[:, None]
    return labels - residual + (labels - labels.mean(axis=0)) / (len(labels) - 1)


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
