"""Segmenters: worlds whose answer is known, second writings, masks of other frames, and frames that cannot be."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from sslbook.augment.geometry import crop
from sslbook.data.pictures import VOID
from sslbook.domains import driving
from sslbook.domains.driving.methods import (
    SceneRecipe,
    _batches,
    _class_weights,
    _crop_masks,
    _logistic_fit,
    cell_counts,
    colour_trees,
    dense_probe,
    enlarged_labels,
    fit_segmenter,
    frame_folds,
    moments,
    pixel_features,
    position_prior,
    random_zoom,
    segment,
)
from sslbook.encoders.scenes import SceneEncoder
from sslbook.metrics.segmentation import confusion_counts, mean_iou

COLOURS = np.array([[120, 160, 220], [90, 90, 95], [60, 120, 50], [200, 40, 40]], dtype=np.uint8)


def world(n: int, seed: int = 0, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Frames and masks of sky over road, with a tree and a red car somewhere, each class of its own colour."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, *size), dtype=np.uint8)
    masks[:, size[0] // 2 :] = 1
    for mask in masks:
        for number, row in ((2, 8), (3, 28)):
            left = rng.integers(0, size[1] - 16)
            mask[row : row + 14, left : left + 14] = number
    frames = COLOURS[masks] + rng.normal(0, 6, (*masks.shape, 3))
    return frames.clip(0, 255).astype(np.uint8), masks


def one_hot_maps(masks: np.ndarray, classes: int, cell: int = 4) -> np.ndarray:
    """Feature maps that say which class the cells hold, (n, classes, rows, columns)."""
    counts = cell_counts(masks, (masks.shape[1] // cell, masks.shape[2] // cell), classes)
    return np.ascontiguousarray(counts.transpose(0, 3, 1, 2) / cell**2)


def score(masks: np.ndarray, labels: np.ndarray, classes: int = 4) -> float:
    return float(mean_iou(confusion_counts(masks, labels, classes)))


# ------------------------------------------------------------------------------------------------ cells and folds


def test_counts_of_cells_against_a_loop():
    masks = np.random.default_rng(0).integers(0, 5, (3, 8, 12)).astype(np.uint8)
    masks[masks == 4] = VOID
    counts = cell_counts(masks, (4, 3), 4)
    for i, row, column in np.ndindex(3, 4, 3):
        cell = masks[i, 2 * row : 2 * row + 2, 4 * column : 4 * column + 4]
        assert counts[i, row, column].tolist() == [(cell == c).sum() for c in range(4)]


@pytest.mark.parametrize(
    ("masks", "cells", "message"),
    [
        (np.zeros((1, 8, 8)), (3, 4), "8 x 8 pixels do not fall into 3 x 4 cells; use frames whose height and width"),
        (np.full((1, 8, 8), VOID), (4, 4), "void all over; draw frames with a mask"),
        (np.full((1, 8, 8), 7), (4, 4), r"masks hold the number 7, and there are 4 classes \(0 to 3\)"),
    ],
)
def test_masks_that_have_no_cells(masks, cells, message):
    with pytest.raises(ValueError, match=message):
        cell_counts(masks.astype(np.uint8), cells, 4)


@pytest.mark.parametrize("n", [4, 5, 20])
def test_folds_are_stretches_that_hold_out_every_frame_once(n):
    folds = list(frame_folds(n))
    assert np.concatenate([held for _, held in folds]).tolist() == list(range(n))
    for train, held in folds:
        assert (np.diff(held) == 1).all() and set(train) | set(held) == set(range(n)) and not set(train) & set(held)


def test_three_frames_have_no_folds():
    assert list(frame_folds(3)) == []


def test_enlarged_labels_of_equal_size_are_the_largest_scores_and_others_keep_their_place():
    scores = torch.randn(20, 5, 6, 8, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(enlarged_labels(scores, (6, 8)), scores.argmax(dim=1).numpy())
    halves = torch.zeros(1, 2, 4, 4)
    halves[:, 1, :, 2:] = 1
    halves[:, 0, :, :2] = 1
    assert np.array_equal(enlarged_labels(halves, (16, 16))[0], np.repeat([[0] * 8 + [1] * 8], 16, axis=0))


# ------------------------------------------------------------------------------------------------------- position


def test_the_position_prior_of_one_frame_is_that_frame_but_for_corners():
    mask = np.zeros((1, 40, 60), dtype=np.uint8)
    mask[:, 20:] = 3
    labels = position_prior(mask, 5, classes=6)
    assert labels.shape == (5, 40, 60) and labels.dtype == np.uint8
    assert np.array_equal(labels, np.repeat(mask, 5, axis=0))


def test_the_position_prior_fills_void_and_says_no_class_that_it_has_not_seen():
    mask = np.full((2, 40, 60), VOID, dtype=np.uint8)
    mask[:, :5], mask[:, 38:] = 2, 5
    labels = position_prior(mask, 1, classes=8)[0]
    assert set(np.unique(labels)) == {2, 5} and (labels[:5] == 2).all() and (labels[38:] == 5).all()


def test_the_position_prior_blurs_as_far_as_the_frames_ask_for():
    stripes = np.repeat((np.arange(48) // 6 % 2).astype(np.uint8)[None, :, None], 8, axis=0).repeat(60, axis=2)
    assert np.array_equal(position_prior(stripes, 1, 2)[0], stripes[0]), "the same stripes each time: hardly any blur"
    rng = np.random.default_rng(0)
    speckled = np.where(rng.random((4, 48, 60)) < 0.4, 1 - np.arange(48)[:, None] // 24, np.arange(48)[:, None] // 24)
    labels = position_prior(speckled.astype(np.uint8), 1, 2)[0]
    assert (labels[:20] == 0).all() and (labels[28:] == 1).all(), "speckles: blurred until they are gone"


def test_the_position_prior_needs_a_mask():
    with pytest.raises(ValueError, match="draw frames with a mask"):
        position_prior(np.full((2, 8, 8), VOID, dtype=np.uint8), 1, 3)


# ------------------------------------------------------------------------------------------------- pixels by trees


def test_pixel_features_are_finite_alike_in_any_batch_and_mirror_with_the_frame():
    frames = world(18)[0]
    features = pixel_features(frames)
    assert features.shape[:3] == (18, 24, 32) and features.dtype == np.float32 and np.isfinite(features).all()
    assert np.allclose(pixel_features(frames[17:]), features[17:], atol=1e-5)
    mirrored = pixel_features(frames[:2, :, ::-1])[:, :, ::-1]
    assert np.allclose(np.abs(mirrored), np.abs(features[:2]), atol=1e-4), "only slants change their sign"


def test_pixel_features_of_an_even_frame():
    assert np.isfinite(pixel_features(np.zeros((1, 20, 20, 3), dtype=np.uint8))).all()


@pytest.mark.parametrize("n", [1, 6])
def test_trees_learn_colours(n):
    frames, masks = world(n)
    test_frames, test_masks = world(8, seed=1)
    labels = colour_trees(pixel_features(frames), masks, pixel_features(test_frames), 4)
    assert labels.shape == test_masks.shape and labels.dtype == np.uint8
    assert score(test_masks, labels) > 0.6 > score(test_masks, position_prior(masks, 8, 4)) + 0.1
    again = colour_trees(pixel_features(frames), masks, pixel_features(test_frames), 4)
    assert np.array_equal(labels, again)


def test_trees_leave_void_and_absent_classes_out():
    frames, masks = world(4)
    masks[masks == 2] = VOID
    labels = colour_trees(pixel_features(frames), masks, pixel_features(frames), 6)
    assert set(np.unique(labels)) <= {0, 1, 3}
    masks[masks != 1] = VOID
    assert (colour_trees(pixel_features(frames), masks, pixel_features(frames), 6) == 1).all(), "one class is no choice"


def test_trees_learn_nothing_from_masks_of_other_frames():
    frames, masks = world(6)
    shuffled = np.random.default_rng(0).permutation(masks.ravel()).reshape(masks.shape)
    test_frames, test_masks = world(4, seed=1)
    assert score(test_masks, colour_trees(pixel_features(frames), shuffled, pixel_features(test_frames), 4)) < 0.25


# --------------------------------------------------------------------------------------------------- the dense probe


@pytest.mark.parametrize("n", [1, 3, 4, 12])
def test_the_probe_reads_maps_that_hold_the_classes(n):
    masks, test_masks = world(n)[1], world(8, seed=1)[1]
    maps, test_maps = one_hot_maps(masks, 4), one_hot_maps(test_masks, 4)
    labels = dense_probe(maps, masks, test_maps, 4, moments(maps))
    assert labels.shape == test_masks.shape and labels.dtype == np.uint8
    assert score(test_masks, labels) > 0.85, "all but borders of cells"


def test_the_fit_of_the_probe_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(300, 5)).astype(np.float32), rng.integers(0, 3, 300)
    x[np.arange(300), y] += 1
    counts = torch.nn.functional.one_hot(torch.from_numpy(y)).float() * 4
    fitted = _logistic_fit(torch.from_numpy(x), counts, 0.01, torch.zeros(6, 3))
    model = LogisticRegression(C=1 / (0.01 * 300), tol=1e-8, max_iter=1000).fit(x, y)
    assert np.allclose(fitted[:-1].T - fitted[:-1].mean(dim=1), model.coef_ - model.coef_.mean(axis=0), atol=2e-3)
    said = (torch.from_numpy(x) @ fitted[:-1] + fitted[-1]).softmax(dim=1).numpy()
    assert np.allclose(said, model.predict_proba(x), atol=2e-3)


def test_the_fit_takes_shares_of_classes_as_so_many_cells():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    counts = torch.randint(0, 4, (50, 2), generator=torch.Generator().manual_seed(1)).float()
    once = _logistic_fit(x, counts, 0.1, torch.zeros(4, 2))
    split = torch.cat([counts * torch.tensor([1.0, 0.0]), counts * torch.tensor([0.0, 1.0])])
    assert torch.allclose(once, _logistic_fit(torch.cat([x, x]), split, 0.1, torch.zeros(4, 2)), atol=1e-3)


def test_the_probe_does_not_depend_on_the_units_of_a_channel():
    masks, test_masks = world(6)[1], world(4, seed=1)[1]
    rng = np.random.default_rng(0)
    maps, test_maps = (one_hot_maps(m, 4) + rng.normal(0, 0.3, (len(m), 4, 12, 16)).astype(np.float32)
                       for m in (masks, test_masks))  # fmt: skip
    unit, offset = (np.array(v, dtype=np.float32)[:, None, None] for v in ([1, 10, 0.1, 3], [0, 5, -2, 1]))
    plain = dense_probe(maps, masks, test_maps, 4, moments(maps))
    other = dense_probe(maps * unit + offset, masks, test_maps * unit + offset, 4, moments(maps * unit + offset))
    assert (plain == other).mean() > 0.995


def test_the_probe_ignores_void_and_a_constant_channel():
    masks = world(6)[1]
    maps = np.concatenate([one_hot_maps(masks, 4), np.ones((6, 1, 12, 16), dtype=np.float32)], axis=1)
    masks[:, :, :32] = VOID
    spoilt = maps.copy()
    spoilt[:, :4, :, :8] = np.random.default_rng(0).normal(size=(6, 4, 12, 8))
    clean, dirty = (dense_probe(x, masks, maps, 4, moments(maps)) for x in (maps, spoilt))
    assert np.array_equal(clean, dirty)


def test_the_probe_never_says_a_class_that_it_has_not_seen():
    masks = world(6)[1]
    maps = one_hot_maps(masks, 4)
    assert dense_probe(maps, masks, maps, 11, moments(maps)).max() <= 3


def test_a_constant_channel_is_not_divided_by_zero():
    mean, deviation = moments(np.ones((2, 3, 4, 4), dtype=np.float32))
    assert mean.tolist() == [1, 1, 1] and deviation.tolist() == [1, 1, 1]


def test_features_and_masks_are_of_the_same_frames():
    frames, masks = world(3)
    with pytest.raises(ValueError, match="2 frames and 3 masks; give the same frames"):
        colour_trees(pixel_features(frames[:2]), masks, pixel_features(frames), 4)
    maps = one_hot_maps(masks, 4)
    with pytest.raises(ValueError, match="2 frames and 3 masks"):
        dense_probe(maps[:2], masks, maps, 4, moments(maps))
    with pytest.raises(ValueError, match="do not fall into 12 x 16 cells"):
        dense_probe(maps, masks[:, :47], maps, 4, moments(maps))


# ------------------------------------------------------------------------------------------- crops for a network


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_zoomed_crops_stay_in_the_frame_and_vary_as_told():
    maps = random_zoom(3000, (96, 128), (120, 160), (0.5, 1.25), generator())
    size, place = maps[:, (0, 1), (0, 1)], maps[:, :, 2]
    assert maps.shape == (3000, 2, 3) and (maps[:, 0, 1] == 0).all() and (maps[:, 1, 0] == 0).all()
    assert (size.abs() + place.abs() <= 1 + 1e-5).all()
    zoom = size.abs() / 0.8
    torch.testing.assert_close(zoom[:, 0], zoom[:, 1])
    assert 0.5 - 1e-4 < zoom.min() < 0.51 and 1.24 < zoom.max() < 1.25 + 1e-4
    assert (zoom < 0.5 * 1.25**0.5 * 2**0.5).float().mean().item() == pytest.approx(0.5, abs=0.05), "half above 0.79"
    assert (size[:, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05) and (size[:, 1] > 0).all()
    room = 1 - size.abs()
    reached = (place / room)[(room > 0.1).all(dim=1)]
    assert reached.min() < -0.99 and reached.max() > 0.99 and reached.mean(dim=0).abs().max() < 0.05


def test_a_crop_larger_than_the_frame_lies_around_its_middle():
    maps = random_zoom(50, (60, 80), (30, 40), (1, 1), generator())
    torch.testing.assert_close(maps.abs(), torch.tensor([[2.0, 0, 0], [0, 2, 0]]).expand(50, 2, 3))


def test_masks_follow_their_frames():
    y, x = ((torch.arange(side) + 0.5) / side for side in (120, 160))
    frames = torch.stack([x.expand(120, 160), y[:, None].expand(120, 160)]).repeat(40, 1, 1, 1)
    masks = ((3 * frames[:, 1]).floor() * 4 + (4 * frames[:, 0]).floor()).byte()
    maps = random_zoom(40, (96, 128), (120, 160), (0.5, 1.25), generator())
    numbers = _crop_masks(masks, maps, (96, 128), 12)
    seen = crop(frames, maps, (48, 64))
    assert numbers.shape == (40, 48, 64) and numbers.dtype == torch.int64 and numbers.max() < 12
    across, down = 4 * seen[:, 0], 3 * seen[:, 1]
    apart = ((across - across.round()).abs() > 0.03) & ((down - down.round()).abs() > 0.03)
    assert apart.float().mean() > 0.8
    assert torch.equal(numbers[apart], (down.floor() * 4 + across.floor()).long()[apart])


def test_void_and_what_lies_outside_have_no_class():
    masks = torch.full((2, 8, 12), 3, dtype=torch.uint8)
    masks[:, :4] = VOID
    whole, twice = torch.eye(2, 3).repeat(2, 1, 1), 2 * torch.eye(2, 3).repeat(2, 1, 1)
    inside = _crop_masks(masks, whole, (8, 12), 5)
    assert (inside[:, :2] == 5).all() and (inside[:, 2:] == 3).all()
    around = _crop_masks(masks, twice, (16, 24), 5)
    assert (around[:, 4:6, 3:9] == 3).all()
    around[:, 4:6, 3:9] = 5
    assert (around == 5).all()


def test_weights_of_classes_against_a_loop():
    masks = np.random.default_rng(0).choice([0, 1, 1, 1, 1, 1, 1, 3, VOID], (4, 8, 8)).astype(np.uint8)
    weights = _class_weights(masks, 5)
    assert weights.shape == (6, 5)
    for row, column in np.ndindex(6, 5):
        share = (masks == row).sum() / (masks != VOID).sum()
        expected = share**-0.5 if row == column and share else 0
        assert weights[row, column].item() == pytest.approx(expected, rel=1e-5)


def test_the_weight_of_a_very_rare_class_is_bounded():
    masks = np.zeros((10, 100, 100), dtype=np.uint8)
    masks[0, 0, 0] = 1
    assert _class_weights(masks, 2)[1, 1].item() == pytest.approx(100)


@pytest.mark.parametrize(("n", "steps", "batch_size"), [(10, 7, 4), (2, 5, 4), (1, 3, 4), (8, 2, 4)])
def test_every_frame_is_seen_once_before_one_is_seen_again(n, steps, batch_size):
    batches = list(_batches(n, steps, batch_size, generator()))
    assert [len(batch) for batch in batches] == [batch_size] * steps
    seen = torch.cat(batches)
    for part in seen.split(n):
        assert len(part.unique()) == len(part)
    assert seen.min() >= 0 and seen.max() < n


# ------------------------------------------------------------------------------------------ networks with labels

SHORT = SceneRecipe(steps=60, learning_rate=1e-2, size=(32, 48))


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Networks as small as these are slower in bfloat16, and round otherwise on other machines."""
    monkeypatch.setattr(segmenters, "default_precision", lambda: "32-true")


def quarters(n: int, seed: int = 0, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Frames of four classes, each of its own colour, in any order: a position says nothing."""
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(4) for _ in range(n)]).reshape(n, 2, 2).astype(np.uint8)
    masks = order.repeat(size[0] // 2, axis=1).repeat(size[1] // 2, axis=2)
    return (COLOURS[masks] + rng.normal(0, 6, (*masks.shape, 3))).clip(0, 255).astype(np.uint8), masks


def new_encoder(width: int = 8) -> SceneEncoder:
    torch.manual_seed(0)
    return SceneEncoder(width, 16)


def assert_same_weights(a: nn.Module, b: nn.Module) -> None:
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


def test_a_network_learns_colours_and_leaves_the_encoder_as_it_was():
    frames, masks = quarters(12)
    test_frames, test_masks = quarters(8, seed=1)
    encoder = new_encoder().eval()
    model = fit_segmenter(encoder, frames, masks, 4, SHORT, seed=0)
    labels = segment(model, test_frames)
    assert labels.shape == test_masks.shape and labels.dtype == np.uint8 and not model.training
    assert score(test_masks, labels) > 0.9
    assert np.array_equal(segment(model, test_frames, batch_size=3), labels)
    assert_same_weights(encoder, new_encoder())
    assert not encoder.training and all(p.grad is None for p in encoder.parameters())


def test_a_network_follows_from_its_seed_alone():
    frames, masks = quarters(4)
    recipe = SceneRecipe(steps=3, size=(16, 24))
    first = fit_segmenter(new_encoder(4), frames, masks, 4, recipe, seed=0)
    encoder = new_encoder(4)
    torch.manual_seed(123)
    assert_same_weights(first, fit_segmenter(encoder, frames, masks, 4, recipe, seed=0))
    other = fit_segmenter(new_encoder(4), frames, masks, 4, recipe, seed=1)
    assert not torch.equal(other.head.weight, first.head.weight)


def test_a_network_learns_no_more_than_the_position_from_masks_of_other_frames():
    frames, masks = world(12)
    test_frames, test_masks = world(8, seed=1)
    prior = score(test_masks, position_prior(masks, 8, 4))
    model = fit_segmenter(new_encoder(), frames, np.roll(masks, 5, axis=0), 4, SHORT, seed=0)
    assert score(test_masks, segment(model, test_frames)) == pytest.approx(prior, abs=0.1)


def test_a_class_weighs_one_over_the_root_of_its_frequency_and_void_nothing():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, 32, 48, 3), dtype=np.uint8)
    masks = rng.choice(np.array([0, 1, VOID], dtype=np.uint8), (8, 32, 48), p=[0.45, 0.05, 0.5])
    model = fit_segmenter(new_encoder(4), frames, masks, 3, SHORT, seed=0)
    with torch.no_grad():
        said = model(torch.rand(8, 3, 32, 48, generator=generator())).softmax(dim=1).mean(dim=(0, 2, 3))
    assert said.tolist() == pytest.approx([0.75, 0.25, 0.0], abs=0.05), "0.9 and 0.1 over their roots are 3 to 1"


def test_crops_without_a_label_teach_nothing_and_spoil_nothing():
    frames, masks = quarters(4, size=(64, 96))
    masks[:, 4:] = VOID
    model = fit_segmenter(new_encoder(4), frames, masks, 4, SceneRecipe(steps=20, batch_size=1, size=(16, 24)), seed=0)
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("size", [(120, 160), (30, 50)])
def test_labels_have_the_size_of_the_frames(size):
    frames = quarters(2, size=size)[0]
    model = driving.SceneSegmenter(new_encoder(4), nn.Conv2d(16, 5, 1)).eval()
    labels = segment(model, frames)
    assert labels.shape == (2, *size) and labels.dtype == np.uint8 and labels.max() < 5
    logits = model(torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)
    assert np.array_equal(enlarged_labels(logits.detach(), size), labels)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.full((2, 48, 64), VOID), "void all over; draw frames with a mask"),
        (np.full((2, 48, 64), 4), r"masks hold the number 4, and there are 4 classes \(0 to 3\)"),
        (np.zeros((3, 48, 64)), "2 frames and 3 masks; give the same frames"),
    ],
)
def test_masks_that_teach_no_network(masks, message):
    with pytest.raises(ValueError, match=message):
        fit_segmenter(new_encoder(4), quarters(2)[0], masks.astype(np.uint8), 4, SHORT, seed=0)
