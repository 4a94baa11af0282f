"""Label-free measures against closed forms and against second writings in plain loops."""

import math

import numpy as np
import pytest

from sslbook.diagnose import embedding_std, rankme
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
