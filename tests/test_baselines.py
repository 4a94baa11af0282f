"""Baselines that need no pretraining."""

import sys
from unittest import mock

import lightgbm
import numpy as np
import pytest

from sslbook.baselines import TREES, boosted_trees, isolation_forest, majority, prevalence, principal_components
from sslbook.domains.imaging.methods import pixels
from sslbook.metrics.base import Metric
from sslbook.metrics.classification import (
    average_precision,
    balanced_accuracy,
    classification_metrics,
    rare_finding_metrics,
    roc_auc,
)
from sslbook.probes import linear_probe


def test_majority_says_the_frequencies_of_the_drawn_labels():
    prediction = majority(np.array([1, 1, 0, 1]), n_test=5, n_classes=3)
    np.testing.assert_allclose(prediction.scores, np.tile([0.25, 0.75, 0.0], (5, 1)))
    assert prediction.decisions.tolist() == [1] * 5


def test_majority_scores_chance():
    labels = np.random.default_rng(0).integers(0, 2, 50)
    prediction = majority(np.array([1, 1, 0]), 50, 2)
    assert roc_auc(labels, prediction.scores) == 0.5
    assert balanced_accuracy(labels, prediction.decisions) == 0.5


def test_a_constant_reports_what_constants_score():
    labels = np.array([1, 1, 0, 1])
    assert majority(labels, 5, 2).cv_scores == {"auc": 0.5, "balanced_accuracy": 0.5}
    assert prevalence(labels, 5).cv_scores == {"average_precision": 0.75, "auc": 0.5}
    assert np.isnan(majority(labels, 5, 3).cv_scores["auc"]), "a class was not drawn"


def test_pixels_are_rows_between_0_and_1():
    images = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    rows = pixels(images)
    assert rows.shape == (2, 18)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows[1], images[1].ravel() / 255, rtol=1e-6)
    assert pixels(np.full((1, 1, 1, 1), 255, np.uint8)).item() == 1
    assert pixels(images[:0]).shape == (0, rows.shape[1])


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


def test_principal_components_keep_their_proportions_on_one_scale():
    pool = np.random.default_rng(0).normal(size=(3000, 4)) * [8.0, 4.0, 2.0, 1.0] + 5
    first, other = principal_components(pool, pool + 1, components=3)
    variances = first.var(axis=0)
    assert variances.mean() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(variances / variances[0], [1, 1 / 4, 1 / 16], rtol=0.1)
    assert first.dtype == other.dtype == np.float32
    assert np.abs(other.mean(axis=0)).max() > 0.05, "centre and scale are those of the pool"
    with np.errstate(invalid="ignore"):
        assert (principal_components(np.ones((5, 3)))[0] == 0).all()


def test_whitening_hurts_a_probe_of_few_labels():
    gains = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        labels = np.arange(520) % 2
        noise = rng.normal(size=(520, 30)) * np.r_[3.0, np.full(29, 0.5)]
        parts = principal_components(noise + np.r_[3.0, np.zeros(29)] * labels[:, None], components=30)[0]
        aucs = [
            roc_auc(labels[20:], linear_probe(x[:20], labels[:20], x[20:], 2, seed).scores)
            for x in (parts, parts / parts.std(axis=0))
        ]
        gains.append(aucs[0] - aucs[1])
    assert np.mean(gains) > 0.03


@pytest.mark.parametrize("shape", [(4, 30), (30, 4)])
def test_no_more_components_than_the_pool_has(shape):
    (components,) = principal_components(np.random.default_rng(0).normal(size=shape))
    assert components.shape == (shape[0], 4)


def interaction(n: int, seed: int, rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A finding where two of eight columns have the same sign and are large; neither column says anything alone."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 8))
    product = features[:, 0] * features[:, 1]
    return features, (product + 0.1 * rng.normal(size=n) > np.quantile(product, 1 - rate)).astype(int)


def test_prevalence_scores_the_share_of_findings():
    labels = (np.arange(200) < 20).astype(int)
    prediction = prevalence(np.array([1, 0, 0, 0]), 200)
    np.testing.assert_allclose(prediction.scores, np.tile([0.75, 0.25], (200, 1)))
    assert average_precision(labels, prediction.scores) == pytest.approx(0.1)


def test_trees_find_an_interaction_that_a_linear_model_cannot():
    (features, labels), (test, truth) = interaction(900, 0), interaction(2000, 1)
    trees, line = boosted_trees(features, labels, test), linear_probe(features, labels, test, 2)
    np.testing.assert_allclose(trees.scores.sum(axis=1), 1)
    assert average_precision(truth, trees.scores) > 0.75 > 0.3 > average_precision(truth, line.scores)
    assert balanced_accuracy(truth, trees.decisions) > 0.85


def test_trees_are_the_same_again_and_follow_the_seed():
    (features, labels), (test, _) = interaction(300, 0), interaction(50, 1)
    first, again, other = (boosted_trees(features, labels, test, seed).scores for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("findings", [2, 3, 10])
def test_trees_learn_from_a_few_findings(findings):
    rng = np.random.default_rng(0)
    labels, truth = (np.arange(400) < findings).astype(int), np.arange(200) % 2
    features, test = (rng.normal(size=(len(y), 6)) + 4 * y[:, None] for y in (labels, truth))
    prediction = boosted_trees(features, labels, test, groups=np.arange(400))
    assert np.isfinite(prediction.scores).all()
    assert roc_auc(truth, prediction.scores) > (0.9 if findings > 2 else 0.5)


def test_trees_take_missing_values_and_codes_without_order():
    rng = np.random.default_rng(0)
    codes, missing = rng.integers(0, 30, 2000), rng.random(2000) < 0.3
    labels = ((codes % 7 == 0) | missing & (rng.random(2000) < 0.5)).astype(int)
    features = np.column_stack([codes, np.where(missing, np.nan, rng.normal(size=2000))]).astype(np.float32)
    prediction = boosted_trees(features[:1500], labels[:1500], features[1500:], categorical=[0])
    assert roc_auc(labels[1500:], prediction.scores) > 0.85


def test_trees_of_one_thread_on_folds_of_whole_cards_with_the_weights_given():
    features, labels = interaction(300, 0)[0], np.random.default_rng(1).integers(0, 2, 300)
    cards, weight = np.repeat(np.arange(100), 3), np.where(labels == 1, 1.0, 20.0)
    with mock.patch.object(lightgbm, "cv", side_effect=lightgbm.cv) as cv:
        weighted = boosted_trees(features, labels, features, groups=cards, sample_weight=weight)
    for call in cv.call_args_list:
        assert call.args[0]["n_jobs"] == 1
        assert np.array_equal(call.args[1].get_weight(), weight)
        assert all(not set(cards[train]) & set(cards[held]) for train, held in call.kwargs["folds"])
    assert weighted.scores[:, 1].mean() < boosted_trees(features, labels, features).scores[:, 1].mean() / 2


def test_all_labels_train_the_trees_and_the_metric_given_chooses_them():
    features, labels = interaction(400, 0, rate=0.3)
    chosen = {}
    for name, metrics in (("ap", rare_finding_metrics), ("classes", classification_metrics)):
        with mock.patch.object(lightgbm, "train", side_effect=lightgbm.train) as train:
            said = boosted_trees(features, labels, features, metrics=metrics)
        assert train.call_args.args[1].num_data() == 400 and train.call_count == 1
        assert list(said.cv_scores) == list(metrics(labels))
        chosen[name] = {k: train.call_args.args[0][k] for k in TREES[0]}
    assert all(c in TREES for c in chosen.values())

    def simple_is_better(labels):
        return {"sureness": Metric(lambda said, weights=None: np.abs(said.scores - 0.5).mean(), higher_is_better=False)}

    with mock.patch.object(lightgbm, "train", side_effect=lightgbm.train) as train:
        boosted_trees(features, labels, features, metrics=simple_is_better)
    assert train.call_args.args[0]["num_leaves"] == 4


def test_scores_of_trees_inside_the_labels_are_close_to_those_on_fresh_cases():
    said, fresh, noise = [], [], []
    for seed in range(8):
        (features, labels), (test, truth) = interaction(300, 2 * seed, 0.3), interaction(1000, 2 * seed + 1, 0.3)
        prediction = boosted_trees(features, labels, test, seed)
        said.append(list(prediction.cv_scores.values()))
        fresh.append([average_precision(truth, prediction.scores), roc_auc(truth, prediction.scores)])
        shuffled = np.random.default_rng(seed).permutation(labels)
        noise.append(boosted_trees(features, shuffled, test[:1], seed).cv_scores["auc"])
    np.testing.assert_allclose(np.mean(said, axis=0), np.mean(fresh, axis=0), atol=0.05)
    assert np.mean(noise) == pytest.approx(0.5, abs=0.05)


def test_without_openmp_trees_say_what_to_install(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "lightgbm":
                raise OSError("libomp.dylib: image not found")

    monkeypatch.delitem(sys.modules, "lightgbm")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(OSError, match="no OpenMP library; install it .macOS: brew install libomp"):
        boosted_trees(np.zeros((4, 1)), np.array([0, 0, 1, 1]), np.zeros((1, 1)))


def test_isolation_forest_says_how_well_it_ranks_the_drawn_cases():
    random = np.random.default_rng(0)
    pool = random.normal(size=(500, 3))
    features, labels = np.vstack([pool[:95], random.normal(size=(5, 3)) + 6]), (np.arange(100) >= 95).astype(int)
    told = isolation_forest(pool, features, drawn=(features, labels))
    assert told.cv_scores["average_precision"] == pytest.approx(average_precision(labels, told.scores))
    assert told.cv_scores["auc"] > 0.95 and isolation_forest(pool, features).cv_scores == {}


def test_isolation_forest_ranks_outliers_first_and_needs_no_labels():
    rng = np.random.default_rng(0)
    pool, truth = rng.normal(size=(1000, 4)), (np.arange(500) < 10).astype(int)
    test = rng.normal(size=(500, 4)) + 5 * truth[:, None]
    prediction = isolation_forest(pool, test, share=0.02)
    assert roc_auc(truth, prediction.scores) > 0.99
    assert prediction.scores.min() >= 0 and prediction.scores.max() <= 1
    assert prediction.decisions.sum() == 10
    assert prediction.cv_scores == {}, "it has no labels"
    assert np.array_equal(prediction.scores, isolation_forest(pool, test).scores)
    test[3, 0] = np.nan
    assert np.isfinite(isolation_forest(pool, test).scores).all()
