"""Baselines that need no pretraining."""

import numpy as np
import pytest

from sslbook.baselines import majority, pixels, principal_components
from sslbook.evaluate import balanced_accuracy, roc_auc


def test_majority_says_the_frequencies_of_the_drawn_labels():
    prediction = majority(np.array([1, 1, 0, 1]), n_test=5, classes=3)
    np.testing.assert_allclose(prediction.scores, np.tile([0.25, 0.75, 0.0], (5, 1)))
    assert prediction.decisions.tolist() == [1] * 5


def test_majority_scores_chance():
    labels = np.random.default_rng(0).integers(0, 2, 50)
    prediction = majority(np.array([1, 1, 0]), 50, 2)
    assert roc_auc(labels, prediction.scores) == 0.5
    assert balanced_accuracy(labels, prediction.decisions) == 0.5


def test_pixels_are_rows_between_0_and_1():
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    rows = pixels(images)
    assert rows.shape == (2, 18)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[1], images[1].ravel() / 255, rtol=1e-6)
    assert pixels(np.full((1, 1, 1, 1), 255, np.uint8)).item() == 1


def test_principal_components_are_fitted_on_the_pool_alone():
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(200, 3)) * [5.0, 1.0, 0.1] + 10
    other = rng.normal(size=(40, 3)) * [0.1, 1.0, 5.0]
    first, second = principal_components(pool, other, components=2)
    assert first.shape == (200, 2) and second.shape == (40, 2)
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=1e-4)
    assert abs(np.corrcoef(first[:, 0], pool[:, 0])[0, 1]) > 0.999
    assert abs(np.corrcoef(second[:, 0], other[:, 1])[0, 1]) < 0.9, "axes come from the pool, not from the others"
    np.testing.assert_allclose(np.abs(principal_components(pool, pool, components=2)[1]), np.abs(first), atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 30), (30, 4)])
def test_no_more_components_than_the_pool_has(shape):
    (components,) = principal_components(np.random.default_rng(0).normal(size=shape))
    assert components.shape == (shape[0], 4)
