"""Training a whole network on labels: what it learns, what it sees how often, and that it follows from its seed."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sslbook import finetune, metrics, study
from sslbook.augment.views import Augment
from sslbook.encoders.features import encode
from sslbook.encoders.residual import ResNet
from sslbook.finetune import Recipe, fine_tune, fit_classifier, predict, training_length
from sslbook.metrics.classification import balanced_accuracy, roc_auc
from sslbook.parallel import map_all
from tests.conftest import refuses


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


QUICK = Recipe(learning_rate=5e-3, passes=1, min_steps=30)


def bars(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of a bright bar, upright (1) or lying (0), at a random place."""
    labels, where = rng(seed).permutation(np.arange(n) % 2), rng(seed + 1).integers(1, 9, n)
    images = rng(seed + 2).integers(0, 60, (n, 10, 10, 1), dtype=np.uint8)
    for image, label, place in zip(images, labels, where, strict=True):
        image[(slice(None), slice(place, place + 2)) if label else (slice(place, place + 2), slice(None))] += 180
    return images, labels


def new_encoder(seed: int = 0) -> ResNet:
    torch.manual_seed(seed)
    return ResNet(width=4, stem_stride=1)


def test_a_classifier_learns_a_trivial_task_and_leaves_the_encoder_as_it_was():
    images, labels = bars(160)
    encoder = new_encoder()
    before = copy.deepcopy(encoder.state_dict())
    model = fit_classifier(encoder, images[:60], labels[:60], 2, QUICK, seed=0)
    assert not model.training
    assert roc_auc(labels[60:], predict(model, images[60:])) > 0.95
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_unequal_classes_both_keep_features_of_their_own():
    images, labels = bars(400)
    rows = np.concatenate([np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)[:50]])
    model = fit_classifier(new_encoder(), images[rows], labels[rows], 2, QUICK, seed=0)
    evidence = model.head.weight[1] - model.head.weight[0]
    assert evidence.min() < 0 < evidence.max()
    assert (encode(model.encoder, images).max(axis=1) > 0.1).all(), (
        "a class whose features are all zero cannot be ranked"
    )


def test_training_follows_from_its_seed():
    images, labels = bars(60)
    recipe = replace(QUICK, augment=Augment(noise=0.1))
    weights = []
    for seed, noise in ((1, 1), (1, 2), (2, 1)):
        encoder = new_encoder()
        torch.manual_seed(noise)
        weights.append(fit_classifier(encoder, images, labels, 2, recipe, seed).head.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_predict_gives_probabilities():
    images, labels = bars(30)
    scores = predict(fit_classifier(new_encoder(), images, labels, 3, QUICK, seed=0), images)
    assert scores.shape == (30, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert scores.min() >= 0 and scores[:, 2].max() < 0.5


class Counting(Augment):
    """Counts the batches that pass through it and what is in them."""

    def __init__(self, batches: list):
        super().__init__()
        object.__setattr__(self, "batches", batches)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        self.batches.append(images)
        return images


def batches_of(recipe: Recipe, n: int) -> list[torch.Tensor]:
    """The batches of a training on n pictures, each of which has its number as grey value."""
    batches, images = [], np.tile(np.arange(n, dtype=np.uint8)[:, None, None, None], (1, 8, 8, 1))
    fit_classifier(new_encoder(), images, np.arange(n) % 2, 2, replace(recipe, augment=Counting(batches)), seed=0)
    return [(batch.mean(dim=(1, 2, 3)) * 255).round().int() for batch in batches]


def test_few_labels_are_trained_on_for_the_least_number_of_steps():
    assert len(batches_of(Recipe(passes=2, min_steps=15), n=20)) == 15


def test_many_labels_are_passed_over_so_many_times():
    batches = batches_of(Recipe(passes=5, min_steps=1), n=200)
    assert sum(map(len, batches)) == pytest.approx(5 * 200, abs=max(map(len, batches)))


def test_every_label_is_used_equally_often():
    seen = np.bincount(torch.cat(batches_of(Recipe(passes=1, min_steps=9), n=70)).numpy(), minlength=70)
    assert len(seen) == 70 and seen.max() - seen.min() <= 1


def test_fine_tune_learns_and_decides():
    images, labels = bars(160)
    prediction = fine_tune(new_encoder(), images[:60], labels[:60], images[60:], 2, QUICK)
    np.testing.assert_allclose(prediction.scores.sum(axis=1), 1, atol=1e-5)
    assert roc_auc(labels[60:], prediction.scores) > 0.95
    assert balanced_accuracy(labels[60:], prediction.decisions) > 0.85


@pytest.mark.parametrize("n", [12, 60, 260], ids=["few", "more", "many"])
def test_the_models_that_vote_are_fitted_on_all_labels_and_are_as_many_at_every_budget(monkeypatch, n):
    images, labels = bars(300)
    fitted, voted = [], []
    original_fit, original_predict = finetune.fit_classifier, finetune.predict

    def fit(encoder, cases, *rest):
        fitted.append((len(cases), original_fit(encoder, cases, *rest)))
        return fitted[-1][1]

    def predict(model, cases):
        if len(cases) == 30:
            voted.append(model)
        return original_predict(model, cases)

    monkeypatch.setattr(finetune, "fit_classifier", fit)
    monkeypatch.setattr(finetune, "predict", predict)
    quick = Recipe(passes=1, min_steps=2)
    fine_tune(new_encoder(), images[:n], labels[:n], images[-30:], 2, quick)
    assert len(voted) == finetune.VOTES
    assert [size for size, model in fitted if any(model is v for v in voted)] == [n] * finetune.VOTES
    assert all(size < n for size, model in fitted if not any(model is v for v in voted)), "the threshold is held out"


def test_fine_tune_reports_an_honest_score_inside_the_labels():
    images, labels = bars(460)
    honest = fine_tune(new_encoder(), images[:60], labels[:60], images[60:], 2, QUICK).cv_scores
    shuffled = rng(5).permutation(labels)
    blind = [
        fine_tune(new_encoder(), images[a : a + 60], shuffled[a : a + 60], images[:10], 2, QUICK).cv_scores["auc"]
        for a in range(0, 360, 60)
    ]
    assert honest["auc"] > 0.9 and honest["balanced_accuracy"] > 0.8
    assert np.mean(blind) == pytest.approx(0.5, abs=0.12)


def test_the_same_start_twice_has_no_favourite():
    """The pair that isolates pretraining: with equal starts, neither side is preferred."""
    images, labels = bars(260)
    quick = Recipe(learning_rate=5e-3, passes=1, min_steps=10)
    gaps = []
    for seed in range(12):
        starts = new_encoder(2 * seed), new_encoder(2 * seed + 1)
        index = rng(seed).permutation(160)[:24]
        a, b = (
            roc_auc(labels[160:], fine_tune(s, images[index], labels[index], images[160:], 2, quick, i).scores)
            for i, s in enumerate(starts)
        )
        gaps.append(a - b)
    assert abs(np.mean(gaps)) < 3 * np.std(gaps, ddof=1) / np.sqrt(len(gaps))


def test_fine_tune_is_the_same_again_whatever_the_number_of_threads():
    images, labels = bars(60)
    recipe = Recipe(Augment(area=(0.5, 1.0), noise=0.1), passes=1, min_steps=12)

    encoder = new_encoder()

    def run(seed: int) -> np.ndarray:
        return fine_tune(encoder, images[:30], labels[:30], images[30:], 2, recipe, seed).scores

    threads, results = torch.get_num_threads(), []
    try:
        for count, noise in ((1, 0), (2, 1), (2, 2)):
            torch.set_num_threads(count)
            torch.manual_seed(noise)
            results.append(map_all(run, [4, 4, 5]))  # as a study does: one thread per run
        torch.set_num_threads(2)
        alone = run(4)
    finally:
        torch.set_num_threads(threads)
    for result in results:
        assert np.array_equal(result[0], results[0][0]) and np.array_equal(result[1], results[0][0])
        assert not np.array_equal(result[2], result[0])
    np.testing.assert_allclose(alone, results[0][0], atol=0.02)  # two threads add up in another order


def test_fine_tune_on_shuffled_labels_gives_chance():
    images, labels = bars(460)
    labels = rng(5).permutation(labels)
    prediction = fine_tune(new_encoder(), images[:60], labels[:60], images[60:], 2, QUICK)
    assert roc_auc(labels[60:], prediction.scores) == pytest.approx(0.5, abs=0.1)


def test_fine_tuning_starts_from_the_features_that_were_learnt():
    images, labels = bars(200)
    short = Recipe(learning_rate=5e-3, passes=1, min_steps=12)
    taught = fit_classifier(new_encoder(), images[:100], labels[:100], 2, QUICK, seed=0).encoder
    few = np.r_[np.flatnonzero(labels[:100] == 0)[:4], np.flatnonzero(labels[:100] == 1)[:4]]
    pretrained, scratch = (
        fine_tune(encoder, images[few], labels[few], images[100:], 2, short).scores[np.arange(100), labels[100:]].mean()
        for encoder in (taught, new_encoder())
    )
    assert pretrained > scratch + 0.1


class TwoStreams(nn.Module):
    """Reads a picture and a row of numbers of every case."""

    reads = {"picture": "pictures", "row": "numbers"}
    out_features = 16

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.picture, self.row = new_encoder(), nn.Linear(1, 16)

    def forward(self, cases: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.picture(cases["picture"]) + self.row(cases["row"])


def test_cases_of_several_streams_are_learnt_from():
    images, labels = bars(160)
    noise, told = (np.float32(x[:, None]) for x in (rng().normal(size=160), 2 * labels - 1))
    for picture, row in ((images, noise), (np.zeros_like(images), told)):
        cases = {"picture": picture, "row": row}
        first, rest = ({name: x[part] for name, x in cases.items()} for part in (slice(60), slice(60, None)))
        prediction = fine_tune(TwoStreams(), first, labels[:60], rest, 2, QUICK)
        assert roc_auc(labels[60:], prediction.scores) > 0.95, "either stream alone tells the class"


def test_a_network_must_say_that_it_reads_pictures():
    silent = nn.Sequential(nn.Flatten(), nn.Linear(100, 4))
    silent.out_features = 4
    with refuses("cases are bytes", "the network must say reads = 'pictures'", error=ValueError):
        fit_classifier(silent, *bars(40), 2, QUICK, seed=0)


def test_the_training_length_is_the_shortest_that_no_longer_one_beats():
    noise = rng(0).normal(0, 0.002, (4, 3))

    def score(length: int, repeat: int) -> float:
        return 1 - 0.5 ** (min(length, 200) / 50) + noise[int(np.log2(length / 50)), repeat]

    found = training_length(score, (50, 100, 200, 400))
    assert found.chosen == 200 and found.reached and found.scores.shape == (4, 3)
    assert str(found).startswith("50: ") and str(found).endswith("200 are enough")


def test_a_training_that_still_improves_is_not_called_a_plateau():
    found = training_length(lambda length, repeat: length / 1000 + repeat / 10, (50, 100, 200))
    assert found.chosen == 200 and not found.reached
    assert str(found).endswith("200 are not yet the plateau")


def test_a_pair_of_networks_differs_in_its_start_alone(monkeypatch):
    images, labels = bars(60)
    seen = []

    def fit(encoder, *given):
        seen.append((encoder, given))
        return metrics.Prediction(np.full((20, 2), 0.5), np.zeros(20, int))

    monkeypatch.setattr(study, "fine_tune", fit)
    starts = [new_encoder(1), new_encoder(2)]
    for start in starts:
        study.network_method("net", "supervised", [start], images, labels, images[:20], QUICK).fit(np.arange(40), 0)
    (first, given), (second, other) = seen
    assert first is starts[0] and second is starts[1]
    assert all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(given, other, strict=True))
