"""Simulated X-rays and scans: schema, switches, and the difficulty that makes them teach what the real sets teach."""

import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslbook.domains.imaging.data import Images
from sslbook.worlds.imaging import simulate_breastmnist, simulate_pneumoniamnist
from tests.conftest import refuses

GENERATORS = [simulate_pneumoniamnist, simulate_breastmnist]


def auc(images: Images, n_labels: int, split: str = "test", draws: int = 5) -> float:
    """Return the mean test AUC of logistic regression on pixels, over label draws."""
    scores = []
    train, held = images.train, images.splits[split]
    for draw in range(draws):
        order = np.random.default_rng(draw).permutation(len(train))
        chosen = np.concatenate([order[train.labels[order] == label][: n_labels // 2] for label in (0, 1)])
        if n_labels == len(train):
            chosen = order
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        model.fit(train.images[chosen].reshape(len(chosen), -1), train.labels[chosen])
        scores.append(roc_auc_score(held.labels, model.decision_function(held.images.reshape(len(held), -1))))
        if n_labels == len(train):
            break
    return float(np.mean(scores))


@pytest.mark.parametrize("simulate", GENERATORS)
def test_same_seed_same_images(simulate):
    first, again, other = (simulate(n_train=40, seed=seed) for seed in (0, 0, 1))
    assert (first.train.images == again.train.images).all()
    assert not (first.train.images == other.train.images).all()


def test_schema_of_the_real_sets():
    xrays = simulate_pneumoniamnist()
    assert [len(split) for split in xrays.splits.values()] == [1200, 150, 300]
    assert [round(split.labels.mean(), 2) for split in xrays.splits.values()] == [0.74, 0.74, 0.63]
    scans = simulate_breastmnist()
    assert [len(split) for split in scans.splits.values()] == [300, 60, 120]
    assert all(split.labels.mean() == pytest.approx(0.73, abs=0.01) for split in scans.splits.values())
    for images in (xrays, scans):
        assert images.source == "simulated"
        assert images.shape == (28, 28, 1)
        assert 40 < images.train.images.std() < 70 or images is scans
        assert (images.train.images == 255).mean() < 0.05


def test_drawing_takes_well_under_a_second():
    start = time.process_time()
    simulate_pneumoniamnist()
    assert time.process_time() - start < 1


@pytest.mark.parametrize("seed", [0, 1])
def test_chest_xrays_are_as_hard_as_the_real_ones(seed):
    xrays = simulate_pneumoniamnist(seed=seed)
    few, all_labels = auc(xrays, 47), auc(xrays, 1200)
    assert 0.78 < few < 0.90
    assert 0.88 < all_labels < 0.96
    assert auc(xrays, 1200, "validation") > all_labels + 0.02


def test_difficulty_weakens_the_signal_and_nothing_else():
    scores = [auc(simulate_pneumoniamnist(difficulty=d), 1200) for d in (0.5, 1, 2, 1000)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == pytest.approx(0.5, abs=0.08)
    easy, hard = (simulate_pneumoniamnist(difficulty=d).train for d in (1, 3))
    healthy = easy.labels == 0
    assert (easy.images[healthy] == hard.images[healthy]).all()
    assert not (easy.images[~healthy] == hard.images[~healthy]).all()


def test_nuisance_hides_the_signal():
    scores = [auc(simulate_pneumoniamnist(nuisance=n), 47) for n in (0, 1, 2)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.93


def test_posed_alike_without_nuisance():
    xrays = simulate_pneumoniamnist(n_train=100, nuisance=0).train
    healthy = xrays.images[xrays.labels == 0].astype(float)
    assert healthy.std(axis=0).mean() < 10


def test_ultrasound_is_hard_but_not_hopeless():
    scans = simulate_breastmnist()
    assert 0.60 < auc(scans, 47) < 0.80
    assert 0.70 < auc(scans, 300) < 0.90
    assert auc(simulate_breastmnist(difficulty=1000), 300) < 0.70


@pytest.mark.parametrize("simulate", GENERATORS)
@pytest.mark.parametrize("knobs", [{"n_train": 3}, {"difficulty": 0}, {"nuisance": -1}])
def test_silly_knobs(simulate, knobs):
    with refuses(next(iter(knobs))):
        simulate(**knobs)
