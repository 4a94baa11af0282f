"""Scores of classifiers, for many weightings of the cases at once."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sslbook.metrics.base import Metric


def roc_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve, for many weightings of the cases at once; macro one-vs-rest for several classes.

    Parameters
    ----------
    labels : int array, shape (n,)
    scores : float array, shape (n, classes)
    weights : optional array, shape (replicates, n), the multiplicity of each case in a bootstrap sample.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights. NaN where a sample lacks one of the classes.
    """
    w = np.ones((1, len(labels))) if weights is None else np.asarray(weights, dtype=float)
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    area = np.mean([_binary_auc(labels == c, scores[:, c], w) for c in classes], axis=0)
    return area[0] if weights is None else area


def _binary_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of (positive, negative) pairs in the right order; ties count half (the Mann-Whitney statistic)."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    pos = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    neg = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(neg, axis=1) - neg
    with np.errstate(invalid="ignore"):
        return (pos * (below + neg / 2)).sum(axis=1) / (pos.sum(axis=1) * neg.sum(axis=1))


def balanced_accuracy(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean over classes of the share of its cases that are recognised; the base rate does not matter.

    Parameters
    ----------
    labels, decisions : int arrays, shape (n,)
    weights : optional array, shape (replicates, n)
    """
    w = np.ones((1, len(labels))) if weights is None else np.asarray(weights, dtype=float)
    with np.errstate(invalid="ignore"):
        recalls = [
            w[:, labels == c] @ (decisions[labels == c] == c).astype(float) / w[:, labels == c].sum(axis=1)
            for c in np.unique(labels)
        ]
    value = np.mean(recalls, axis=0)
    return value[0] if weights is None else value


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean precision over the findings, each at the threshold that just reaches it: scikit-learn's step-wise sum.

    Cases of equal score are found together, so that constant scores give the share of findings.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = the finding.
    scores : float array, shape (n,), higher = more suspicious, or (n, 2), of which column 1 counts.
    weights : optional array, shape (replicates, n), the multiplicity of each case in a bootstrap sample.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights. NaN where a sample has no finding.
    """
    found, alarms = _ranked_sums(labels, scores, weights)
    steps = np.diff(found, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(steps > 0, found / (found + alarms), 0)
        value = (steps * precision).sum(axis=1) / found[:, -1]
    return value[0] if weights is None else value


def macro_average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean of ``average_precision`` over several yes-or-no labels; those that no case has do not count.

    Parameters
    ----------
    labels : int array, shape (n, k), 0 or 1.
    scores : float array, shape (n, k), higher = more likely.
    weights : optional array, shape (replicates, n), the multiplicity of each case in a bootstrap sample.
    """
    each = [average_precision(y, s, weights) for y, s in zip(labels.T, scores.T, strict=True) if y.any()]
    return np.nanmean(each, axis=0)


def _ranked_sums(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Weight of findings and of false alarms at each threshold that reaches a finding, both (replicates, thresholds).

    The thresholds fall; only scores that a finding has are thresholds, which is all that the metric needs.
    """
    scores = scores[:, 1] if scores.ndim == 2 else scores
    w = np.ones((1, len(labels))) if weights is None else weights
    thresholds = np.unique(scores[labels == 1])[::-1]
    if not len(thresholds):
        return np.zeros((len(w), 1)), np.zeros((len(w), 1))
    reached = np.flatnonzero(scores >= thresholds[-1])
    rank = np.searchsorted(-thresholds, -scores[reached])
    order = np.argsort(rank, kind="stable")
    columns, finding = reached[order], labels[reached[order]] == 1
    starts = np.searchsorted(rank[order], np.arange(len(thresholds)))
    found, total = np.empty((2, len(w), len(thresholds)))
    for part in np.array_split(np.arange(len(w)), -(-len(w) // 50)):  # blocks that stay in the cache
        drawn = w[part[0] : part[-1] + 1, columns]
        total[part] = np.add.reduceat(drawn, starts, axis=1)
        found[part] = np.add.reduceat(drawn[:, finding], np.searchsorted(np.flatnonzero(finding), starts), axis=1)
    return np.cumsum(found, axis=1), np.cumsum(total - found, axis=1)


@dataclass(frozen=True)
class Prediction:
    """What a method says about the test cases.

    Attributes
    ----------
    scores : float array, shape (n_test, classes), probabilities.
    decisions : int array, shape (n_test,), the class decided for; the threshold comes from the training labels only.
    cv_scores : by name of the metric, the score by cross-validation inside the labels given; what rivals are chosen by.
    """

    scores: np.ndarray
    decisions: np.ndarray
    cv_scores: dict[str, float] = field(default_factory=dict)


Metrics = Callable[[np.ndarray], dict[str, Metric]]  # of the labels of some cases: what is reported; the first decides


def classification_metrics(labels: np.ndarray) -> dict[str, Metric]:
    """AUC and balanced accuracy against test labels, int array (n_test,): what a study of classes reports."""
    return {
        "auc": Metric(lambda said, weights=None: roc_auc(labels, said.scores, weights), perfect=1.0),
        "balanced_accuracy": Metric(
            lambda said, weights=None: balanced_accuracy(labels, said.decisions, weights), perfect=1.0
        ),
    }


def rare_finding_metrics(labels: np.ndarray) -> dict[str, Metric]:
    """Average precision and AUC against test labels, int array (n_test,), 1 = the finding: where findings are rare."""
    return {
        "average_precision": Metric(lambda said, weights=None: average_precision(labels, said.scores, weights)),
        "auc": classification_metrics(labels)["auc"],
    }


def attribute_metrics(labels: np.ndarray) -> dict[str, Metric]:
    """``macro_average_precision`` against test labels, int array (n_test, k): where a case has several labels."""
    return {
        "average_precision": Metric(lambda said, weights=None: macro_average_precision(labels, said.scores, weights))
    }
