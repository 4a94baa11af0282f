"""Label-free measures against closed forms and against second writings in plain loops."""

import math

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from sslbook.diagnose import alignment, embedding_std, knn_accuracy, rankme, uniformity
from sslbook.train import History


def gaussian(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def unit(row: np.ndarray) -> np.ndarray:
    return row / math.sqrt(sum(row**2))


# ----------------------------------------------------------------------------------------------------- spread


@pytest.mark.parametrize("d", [8, 64, 256])
def test_embeddings_all_over_the_sphere_have_deviation_one_over_root_d(d):
    assert embedding_std(gaussian(4000, d)) == pytest.approx(1 / math.sqrt(d), rel=0.02)


def test_equal_directions_have_no_spread_whatever_their_length():
    z = np.outer(np.arange(1, 11), [1.0, 2.0, 3.0])
    assert embedding_std(z) == pytest.approx(0.0, abs=1e-7)
    assert embedding_std(np.zeros((10, 3))) == 0


def test_embedding_std_of_two_opposite_points():
    assert embedding_std(np.array([[5.0, 0.0], [-0.1, 0.0]])) == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------------------- RankMe


def test_rankme_of_orthogonal_features_is_their_number():
    q = np.linalg.qr(gaussian(50, 12))[0]
    assert rankme(q) == pytest.approx(12, rel=1e-4)
    assert rankme(7 * q) == pytest.approx(12, rel=1e-4)


def test_rankme_of_one_direction_is_one():
    assert rankme(np.outer(np.arange(1.0, 51), np.ones(12))) == pytest.approx(1, abs=1e-3)


def test_rankme_of_nothing_is_no_direction_and_counts_as_collapse():
    assert rankme(np.zeros((20, 4))) == 0
    assert History({}, 1, [{"embedding_std": 0.5, "rankme": rankme(np.zeros((20, 4)))}]).collapsed


def test_rankme_takes_singular_values_not_their_squares():
    z = np.zeros((10, 2))
    z[0, 0], z[1, 1] = 3.0, 1.0
    p = np.array([0.75, 0.25])
    assert rankme(z) == pytest.approx(math.exp(-sum(p * np.log(p))), rel=1e-4)


def test_rankme_does_not_centre_the_features():
    z = gaussian(500, 20)
    assert rankme(z + 100) < 0.5 * rankme(z)


def test_rankme_is_computed_in_double_precision():
    z = gaussian(200, 16)
    assert rankme(z.astype(np.float32)) == pytest.approx(rankme(z), rel=1e-5)


# ---------------------------------------------------------------------------------- alignment and uniformity


def test_alignment_is_zero_for_equal_directions():
    a = gaussian(20, 5)
    assert alignment(a, 3 * a) == pytest.approx(0, abs=1e-12)


def test_alignment_of_orthogonal_and_of_opposite_views():
    a = np.eye(4)
    assert alignment(a, np.roll(a, 1, axis=0)) == pytest.approx(2)
    assert alignment(a, -a) == pytest.approx(4)


def test_alignment_equals_the_second_writing():
    a, b = gaussian(9, 4), gaussian(9, 4, seed=1)
    expected = sum(sum((unit(x) - unit(y)) ** 2) for x, y in zip(a, b, strict=True)) / 9
    assert alignment(a, b) == pytest.approx(expected)


def test_uniformity_is_zero_at_collapse():
    assert uniformity(np.ones((10, 4))) == pytest.approx(0, abs=1e-9)


def test_uniformity_of_two_opposite_points():
    assert uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-8)


@pytest.mark.parametrize("t", [1.0, 2.0])
def test_uniformity_equals_the_second_writing(t):
    z = [unit(row) for row in gaussian(9, 4)]
    pairs = [(i, j) for i in range(9) for j in range(i)]
    expected = math.log(sum(math.exp(-t * sum((z[i] - z[j]) ** 2)) for i, j in pairs) / len(pairs))
    assert uniformity(gaussian(9, 4), t) == pytest.approx(expected)


def test_uniformity_of_128_isotropic_dimensions():
    assert uniformity(gaussian(1000, 128)) == pytest.approx(-3.94, abs=0.01)


# -------------------------------------------------------------------------------------------------------- kNN


def knn_by_loops(train: np.ndarray, labels: np.ndarray, query: np.ndarray, k: int) -> int:
    similarity = [float(unit(query) @ unit(row)) for row in train]
    nearest = sorted(range(len(train)), key=lambda i: -similarity[i])[:k]
    votes = {c: sum(math.exp(similarity[i] / 0.1) for i in nearest if labels[i] == c) for c in set(labels.tolist())}
    return max(votes, key=votes.get)


def test_knn_equals_the_second_writing():
    train, labels, test = gaussian(60, 3), np.arange(60) % 3, gaussian(80, 3, seed=1)
    expected = np.array([knn_by_loops(train, labels, query, k=9) for query in test])
    plain = KNeighborsClassifier(9, metric="cosine").fit(train, labels).predict(test)
    assert (expected != plain).any(), "the weights must matter for the comparison to show that they are right"
    assert knn_accuracy(train, labels, test, expected, k=9) == 1.0
    assert knn_accuracy(train, labels, test, (expected + 1) % 3, k=9) == 0.0


def test_knn_ignores_the_length_of_features():
    train, labels, test = gaussian(60, 3), np.arange(60) % 3, gaussian(40, 3, seed=1)
    expected = knn_accuracy(train, labels, test, np.arange(40) % 3)
    assert knn_accuracy(train * np.linspace(1, 9, 60)[:, None], labels, test, np.arange(40) % 3) == expected


def test_knn_on_separate_and_on_meaningless_labels():
    labels = np.arange(400) % 2
    features = gaussian(400, 5) + 8 * np.eye(5)[labels]
    assert knn_accuracy(features[:200], labels[:200], features[200:], labels[200:]) > 0.95
    noise = gaussian(400, 5, seed=2)
    assert knn_accuracy(noise[:200], labels[:200], noise[200:], labels[200:]) == pytest.approx(0.5, abs=0.12)


def test_knn_with_fewer_cases_than_neighbours():
    assert knn_accuracy(np.eye(2), np.array([0, 1]), np.eye(2), np.array([0, 1]), k=20) == 1.0
