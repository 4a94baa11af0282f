"""Metrics of classifiers against a second, slow writing."""

import numpy as np
import pytest

from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.classification import recall_at_false_positive_rate


def recall_by_brute_force(labels: np.ndarray, scores: np.ndarray, rate: float, weights: np.ndarray) -> float:
    """Try every threshold, and keep those that few enough of the other cases reach."""
    recalls = [0.0]
    for threshold in np.unique(scores):
        flagged = scores >= threshold
        false_alarms = weights[flagged & (labels == 0)].sum() / weights[labels == 0].sum()
        if false_alarms <= rate + 1e-12:
            recalls.append(weights[flagged & (labels == 1)].sum() / weights[labels == 1].sum())
    return max(recalls)


@pytest.mark.parametrize("decimals", [0, 1, 6], ids=["two scores", "many ties", "no ties"])
@pytest.mark.parametrize("rate", [0, 0.001, 0.01, 0.1, 0.5, 1])
def test_recall_at_a_false_positive_rate_equals_brute_force(rate, decimals):
    rng = np.random.default_rng(0)
    labels = (rng.random(400) < 0.1).astype(int)
    scores = np.round(rng.random(400) + 0.3 * labels, decimals)
    weights = np.concatenate([bootstrap_weights(400, 60, seed=2), rng.random((5, 400))])
    once = recall_by_brute_force(labels, scores, rate, np.ones(400))
    assert recall_at_false_positive_rate(labels, scores, rate) == pytest.approx(once)
    assert recall_at_false_positive_rate(labels, np.stack([1 - scores, scores], axis=1), rate) == pytest.approx(once)
    expected = [recall_by_brute_force(labels, scores, rate, w) for w in weights]
    np.testing.assert_allclose(recall_at_false_positive_rate(labels, scores, rate, weights), expected)


def test_recall_of_perfect_reversed_and_constant_scores():
    labels = np.array([0, 0, 0, 0, 1])
    assert recall_at_false_positive_rate(labels, labels.astype(float), 0) == 1
    assert recall_at_false_positive_rate(labels, 1.0 - labels, 0.999) == 0
    assert recall_at_false_positive_rate(labels, np.zeros(5), 0.5) == 0, "equal scores stand on one side together"
    assert recall_at_false_positive_rate(labels, np.zeros(5), 1) == 1
