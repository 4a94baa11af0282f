"""Draws, metrics and features of texts, against second writings."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from sslbook.domains.language import methods
from sslbook.metrics.classification import Prediction

TEXTS = [
    "my card is lost",
    "the card is lost",
    "my transfer failed",
    "the transfer failed",
    "top up my card",
    "my top up",
]
LABELS = np.array([0, 0, 1, 1, 2, 2])


def test_accuracy_is_the_share_of_right_intents():
    said = Prediction(np.zeros((4, 3)), np.array([0, 1, 1, 2]))
    assert methods.intent_metrics(np.array([0, 1, 2, 0]))["accuracy"](said).tolist() == [0.5]


def test_draws_hold_so_many_of_each_class_and_nest():
    labels = np.random.default_rng(0).integers(0, 7, 400)
    labels[labels == 6] = np.where(np.arange((labels == 6).sum()) < 4, 6, 5)
    few, more = (methods.draw_per_class(labels, n, 1) for n in (3, 10))
    assert np.bincount(labels[few]).tolist() == [3] * 7
    assert np.bincount(labels[more]).tolist() == [10] * 6 + [4], "all of a class that has fewer"
    assert set(few) < set(more) and set(few) != set(methods.draw_per_class(labels, 3, 2))
    assert methods.draw_per_class(labels, 400, 0).tolist() == list(range(400))


def test_own_directions_keep_every_inner_product():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(6, 40)), rng.normal(size=(9, 40))
    train[5] = train[0] + train[1]  # no direction of its own
    for make in (np.asarray, csr_array):
        a, b = methods.in_own_directions(make(train), make(test))
        assert a.shape == (6, 5) and b.shape == (9, 5)
        assert a @ a.T == pytest.approx(train @ train.T, abs=1e-4)
        assert b @ a.T == pytest.approx(test @ train.T, abs=1e-4)
    narrow = methods.in_own_directions(test.T[:30], test.T[:5])
    assert narrow[0] == pytest.approx(test.T[:30]) and narrow[0].dtype == np.float32


def test_a_linear_model_gives_the_same_answer_in_its_own_directions():
    rng = np.random.default_rng(1)
    labels, train, test = np.arange(12) % 3, rng.normal(size=(12, 50)), rng.normal(size=(20, 50))
    model = LogisticRegression(C=0.3, tol=1e-8, max_iter=2000)
    wide = model.fit(train, labels).predict_proba(test)
    a, b = methods.in_own_directions(train, test)
    assert model.fit(a, labels).predict_proba(b) == pytest.approx(wide, abs=1e-4)


def test_counts_and_topics_know_words_and_their_parts():
    pool, test = methods.word_counts(TEXTS, ["my card is losst", "zzz"])
    assert np.diff(test.indptr)[1] == 0, "unknown words are no features"
    assert (pool @ test.T).toarray()[:, 0].argmax() == 0, "a typing error leaves the parts of the word"
    known, other = methods.topics(pool, test, size=3)
    assert known.shape == (6, 3) and other.shape == (2, 3) and known.dtype == np.float32
    best = known @ known.T
    assert best == pytest.approx((pool @ pool.T).toarray(), abs=0.5)


def test_words_in_like_places_get_like_vectors():
    rng = np.random.default_rng(0)
    pool = [
        f"{'please stop' if kind else 'kindly open'} {rng.choice(('red blue' if kind else 'cat dog').split())} now"
        for kind in rng.integers(0, 2, 400)
    ]
    red, blue, cat = map(
        lambda x: x / np.linalg.norm(x), methods.averaged_words(pool, ["red", "blue", "cat"], size=4)[1]
    )
    assert red @ blue > 0.5 + red @ cat


def test_prototypes_against_loops():
    rng = np.random.default_rng(0)
    train, test, labels = rng.normal(size=(6, 4)), rng.normal(size=(3, 4)), LABELS
    for row, scores in zip(test, methods.prototypes(train, labels, test), strict=True):
        for label, score in enumerate(scores):
            mean = np.mean([x / np.linalg.norm(x) for x in train[labels == label]], axis=0)
            assert score == pytest.approx(row @ mean / np.linalg.norm(row) / np.linalg.norm(mean))


def test_probes_learn_and_chance_stays_chance():
    rng = np.random.default_rng(0)
    labels, noise = np.arange(60) % 3, rng.normal(size=(60, 40))
    features = noise + 3 * np.eye(40)[labels]
    test = rng.normal(size=(300, 40)) + 3 * np.eye(40)[np.arange(300) % 3]
    index = methods.draw_per_class(labels, 8, 0)

    def accuracy(train):
        method = methods.text_probe_method("probe", "classical", [(train, test)], labels)
        said = method.fit(index, 0)
        return np.mean(said.decisions == np.arange(300) % 3), said.cv_scores["accuracy"]

    assert min(accuracy(features)) > 0.8
    assert accuracy(csr_array(features)) == pytest.approx(accuracy(features))
    assert accuracy(noise)[0] < 0.6


def test_out_of_scope_auc():
    assert methods.out_of_scope_auc(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.85])) == pytest.approx(5 / 6)
    assert methods.out_of_scope_auc(np.ones(3), np.ones(4)) == 0.5


def test_smoothed_against_loops():
    rng = np.random.default_rng(0)
    pool, other = rng.normal(size=(30, 4)), rng.normal(size=(7, 4))
    found = methods.smoothed(pool, other, neighbours=3)
    pool, other = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (pool, other))
    for row, mean in zip(pool, found[0], strict=True):
        nearest = sorted(pool, key=lambda other_row: -(row @ other_row))[:3]
        assert np.allclose(mean, np.mean(nearest, axis=0))
    for row, mean in zip(other, found[1], strict=True):
        nearest = sorted(pool, key=lambda other_row: -(row @ other_row))[:2]
        assert np.allclose(mean, np.mean([row, *nearest], axis=0))


def test_one_label_of_each_class_has_a_probe_without_cross_validation():
    labels = np.arange(12) % 4
    features = 3 * np.eye(6)[labels] + np.random.default_rng(0).normal(size=(12, 6)) / 4
    method = methods.text_probe_method("probe", "classical", [(features, features)], labels)
    said = method.fit(methods.draw_per_class(labels, 1, 0), 0)
    assert (said.decisions == labels).mean() > 0.9 and not said.cv_scores
    assert said.scores.shape == (12, 0)
    assert method.fit(methods.draw_per_class(labels, 2, 0), 0).cv_scores["accuracy"] > 0.5


def test_caught_against_a_count():
    inside = np.arange(1, 101) / 100  # 95 of 100 shall be answered: the threshold is the sixth smallest
    assert methods.caught(inside, np.array([0.0, 0.05, 0.055, 0.06, 0.5])) == pytest.approx(3 / 5)
    assert methods.caught(inside, inside) == pytest.approx(0.05)
    assert methods.caught(inside, np.zeros(4), answered=1.0) == 1.0
