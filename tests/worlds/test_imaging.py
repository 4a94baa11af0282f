"""Simulated pictures of bodies: schema, switches, and the difficulty that makes them teach what the real sets teach."""

import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sslbook.domains.imaging.data import Images
from sslbook.worlds.imaging import simulate_lgg_mri, simulate_pneumoniamnist
from tests.conftest import refuses


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


def test_same_seed_same_images():
    first, again, other = (simulate_pneumoniamnist(n_train=40, seed=seed) for seed in (0, 0, 1))
    assert (first.train.images == again.train.images).all()
    assert not (first.train.images == other.train.images).all()


def test_schema_of_the_real_sets():
    xrays = simulate_pneumoniamnist()
    assert [len(split) for split in xrays.splits.values()] == [1200, 150, 300]
    assert [round(split.labels.mean(), 2) for split in xrays.splits.values()] == [0.74, 0.74, 0.63]
    assert xrays.source == "simulated"
    assert xrays.shape == (28, 28, 1)
    assert 40 < xrays.train.images.std() < 70
    assert (xrays.train.images == 255).mean() < 0.05


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


@pytest.mark.parametrize("knobs", [{"n_train": 3}, {"difficulty": 0}, {"nuisance": -1}])
def test_silly_knobs(knobs):
    with refuses(next(iter(knobs))):
        simulate_pneumoniamnist(**knobs)


@pytest.fixture(scope="module")
def heads() -> Images:
    return simulate_lgg_mri()


class TestHeads:
    def test_schema_of_the_real_set(self, heads):
        assert (heads.shape, heads.source, heads.positive) == ((64, 64, 1), "simulated", 1)
        assert [len(set(split.groups)) for split in heads.splits.values()] == [27, 0, 13]
        for split in (heads.train, heads.test):
            for patient in np.unique(split.groups):
                number = split.order[split.groups == patient]
                assert number.tolist() == list(range(1, len(number) + 1))
                assert 20 <= len(number) <= 36
            assert 0.3 < split.labels.mean() < 0.5
        assert heads.train.names[1] == "patient 0 slice 2"
        again, other = simulate_lgg_mri(seed=0), simulate_lgg_mri(seed=1)
        assert (heads.test.images == again.test.images).all()
        assert len(heads.train) != len(other.train) or (heads.train.images != other.train.images).any()

    def test_drawing_takes_under_two_seconds(self):
        start = time.process_time()
        simulate_lgg_mri()
        assert time.process_time() - start < 2

    def test_tumours_span_neighbouring_slices_of_most_patients(self):
        split = simulate_lgg_mri(n_patients=120).train
        runs = {}
        for patient in np.unique(split.groups):
            seen = split.labels[split.groups == patient]
            runs[patient] = (np.diff(seen, prepend=0) == 1).sum()
            assert seen.sum() == 0 or seen.sum() >= 2
        assert set(runs.values()) == {0, 1}
        assert 0.8 < np.mean(list(runs.values())) < 0.97

    def test_a_label_tells_that_the_tumour_is_seen(self):
        with_tumour, without = (simulate_lgg_mri(difficulty=d).train for d in (1, 1e6))
        changed = np.abs(with_tumour.images.astype(int) - without.images).max(axis=(1, 2, 3))
        assert (changed[with_tumour.labels == 0] == 0).all()
        assert (changed[with_tumour.labels == 1] > 10).mean() > 0.9
        assert (with_tumour.labels == without.labels).all()

    def test_slices_of_a_patient_are_alike(self, heads):
        images, patient = heads.train.images.astype(float), heads.train.groups
        neighbours = patient[1:] == patient[:-1]
        near = np.abs(images[1:] - images[:-1])[neighbours].mean()
        same_height = np.flatnonzero(heads.train.order == 14)
        assert near < 0.5 * np.abs(images[same_height[1:]] - images[same_height[:-1]]).mean()

    def test_neither_brightness_nor_place_nor_pixels_solve_it(self):
        found = []
        for seed in range(4):
            heads = simulate_lgg_mri(seed=seed)
            train, test = ({"x": s.images.reshape(len(s), -1) / 255, "y": s.labels, "order": s.order, "who": s.groups}
                           for s in (heads.train, heads.test))  # fmt: skip
            eight = [np.isin(train["who"], [f"patient {i}" for i in range(at, at + 8)]) for at in (0, 8, 16)]
            pixels = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=300))
            curve = make_pipeline(PolynomialFeatures(2), StandardScaler(), LogisticRegression())
            found.append([
                np.mean([score(pixels, train["x"][k], train["y"][k], test["x"], test["y"]) for k in eight]),
                score(curve, train["order"][:, None], train["y"], test["order"][:, None], test["y"]),
                *(max(auc, 1 - auc) for level in (0.9, 0.97, 0.99)
                  for auc in [roc_auc_score(test["y"], np.quantile(test["x"], level, axis=1))]),
            ])  # fmt: skip
        pixels, place, *brightness = np.mean(found, axis=0)
        assert 0.68 < pixels < 0.80
        assert 0.65 < place < 0.80
        assert max(brightness) < 0.72

    def test_difficulty_and_nuisance(self):
        def pixels(**knobs) -> float:
            heads = simulate_lgg_mri(**knobs)
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=300))
            x, held = (s.images.reshape(len(s), -1) / 255 for s in (heads.train, heads.test))
            return score(model, x, heads.train.labels, held, heads.test.labels)

        assert pixels(difficulty=0.5) > pixels() + 0.03 > pixels(difficulty=4) + 0.03
        assert pixels(nuisance=0) > pixels(nuisance=1) + 0.03
        alike = simulate_lgg_mri(n_patients=12, nuisance=0).train
        crowns = [alike.images[alike.groups == patient][-1].astype(float) for patient in np.unique(alike.groups)]
        assert np.std(crowns, axis=0).mean() < 6

    @pytest.mark.parametrize("knobs", [{"n_patients": 5}, {"difficulty": 0}, {"nuisance": -1}])
    def test_silly_knobs(self, knobs):
        with refuses(next(iter(knobs))):
            simulate_lgg_mri(**knobs)

    @pytest.mark.parametrize("seed", range(6))
    def test_few_patients_can_be_drawn(self, seed):
        assert len(set(simulate_lgg_mri(n_patients=6, seed=seed).test.groups)) == 2


def score(model, x, labels, held, held_labels) -> float:
    return roc_auc_score(held_labels, model.fit(x, labels).decision_function(held))
