"""Rivals without a network, in worlds whose answer is known; what a study keeps of a segmenter, and its draws."""

from functools import partial

import numpy as np
import pytest

from sslbook.data.card import own_data_card
from sslbook.data.pictures import VOID
from sslbook.domains.driving.data import Scenes, SceneSplit
from sslbook.domains.driving.methods import (
    draw_frames,
    found_metric,
    iou_metric,
    pixel_features,
    position_prior,
    score_masks,
    segmenter_method,
)
from sslbook.metrics.segmentation import confusion_counts, mean_iou, region_counts
from sslbook.study import budget_study

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


def score(masks: np.ndarray, labels: np.ndarray, n_classes: int = 4) -> float:
    return float(mean_iou(confusion_counts(masks, labels, n_classes)))


# ------------------------------------------------------------------------------------------------------- position


def test_the_position_prior_of_one_frame_is_that_frame_but_for_corners():
    mask = np.zeros((1, 40, 60), dtype=np.uint8)
    mask[:, 20:] = 3
    labels = position_prior(mask, 5, n_classes=6)
    assert labels.shape == (5, 40, 60) and labels.dtype == np.uint8
    assert np.array_equal(labels, np.repeat(mask, 5, axis=0))


def test_the_position_prior_fills_void_and_says_no_class_that_it_has_not_seen():
    mask = np.full((2, 40, 60), VOID, dtype=np.uint8)
    mask[:, :5], mask[:, 38:] = 2, 5
    labels = position_prior(mask, 1, n_classes=8)[0]
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


def small_scenes() -> Scenes:
    """Two test drives of four frames a second apart in two stretches, and twelve training frames of two drives."""
    splits = {}
    for seed, (name, drives, n) in enumerate((("train", "ab", 6), ("validation", "", 0), ("test", "cd", 4))):
        frames, masks = world(len(drives) * n, seed)
        drive = np.repeat(np.array(list(drives), dtype="U1"), n)
        time = np.tile(np.r_[: n // 2, 10 : 10 + n - n // 2].astype(float), len(drives))
        names = np.array([f"{d}{t:g}" for d, t in zip(drive, time, strict=True)], dtype="U4")
        splits[name] = SceneSplit(name, frames, masks, drive, time, names)
    return Scenes(
        **splits, classes=("sky", "road", "tree", "car"), colours=COLOURS, vulnerable=(3,),
        data_card=own_data_card("x", "X", ()),
    )  # fmt: skip


def test_scores_of_masks_are_counts():
    masks = world(4)[1]
    labels = np.roll(masks, 3, axis=2)
    said = score_masks(labels, masks, 4, numbers=[2])
    assert np.array_equal(said.confusion, confusion_counts(masks, labels, 4))
    assert np.array_equal(said.regions, region_counts(masks, labels, [2], 4))
    assert score_masks(labels, masks, 4).regions is None


def test_a_study_of_segmenters_keeps_counts_and_resamples_stretches_of_drives():
    scenes = small_scenes()
    labelled, test = scenes.train.labelled, scenes.test

    def noisy(index: np.ndarray, seed: int) -> np.ndarray:
        wrong = np.random.default_rng(len(index)).random(test.masks.shape) < 1 / len(index)
        return np.where(wrong, 0, test.masks).astype(np.uint8)

    methods = [
        segmenter_method("prior", "trivial", lambda i, _: position_prior(labelled.masks[i], len(test), 4), scenes),
        segmenter_method("noisy", "classical", noisy, scenes, draws=2),
    ]
    metrics = {"mean_iou": iou_metric(), "car_iou": iou_metric([3]), "found": found_metric([3])}
    draw = partial(draw_frames, labelled.drives)
    result = budget_study(methods, metrics, len(test), [2, 6], draw, 2, groups=test.blocks(), unit="frames")
    assert len(result.frame) == 8 and result.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    for row, said in zip(result.frame.itertuples(), result.predictions, strict=True):
        assert said.confusion.shape == (8, 4, 4) and said.regions.shape == (8, 4, 3)
        assert row.mean_iou == pytest.approx(mean_iou(said.confusion))
        assert said.confusion.nbytes + said.regions.nbytes < test.masks.nbytes
    scores = result.scores("car_iou")
    assert scores.loc["noisy", 6] > scores.loc["noisy", 2] > scores.loc["prior", 2]
    mean, low, high = result.interval("found", "noisy", 2)
    assert low <= mean <= high
    assert result.spread("mean_iou", {"noisy": 1.0, "prior": -1.0}, 2, [0, 1]).units == 4, "stretches of drives"


def test_a_method_needs_a_mask_of_a_test_frame_and_regions_that_were_counted():
    scenes = small_scenes()
    scenes.test.masks[:] = VOID
    with pytest.raises(ValueError, match="no test frame has a mask; label some frames of the test drives"):
        segmenter_method("x", "trivial", lambda *_: None, scenes)
    masks = world(2)[1]
    with pytest.raises(ValueError, match="no regions were counted; name the classes that matter in Scenes.vulnerable"):
        found_metric()(score_masks(masks, masks, 4))


def test_drawn_frames_are_in_proportion_and_a_larger_budget_adds_to_a_smaller_one():
    drives = np.repeat(["a", "b"], [30, 10])
    for draw in range(5):
        small, large = draw_frames(drives, 8, draw), draw_frames(drives, 20, draw)
        assert set(small) <= set(large) and (np.diff(large) > 0).all() and len(set(large)) == 20
        assert 5 <= (drives[small] == "a").sum() <= 7 and 14 <= (drives[large] == "a").sum() <= 16
        assert np.array_equal(small, draw_frames(drives, 8, draw))
    assert not np.array_equal(draw_frames(drives, 8, 0), draw_frames(drives, 8, 1))
    assert draw_frames(drives, 40, 3).tolist() == list(range(40))
    for budget in (0, 41):
        with pytest.raises(ValueError, match=f"a budget of {budget} frames is not from 1 to the 40"):
            draw_frames(drives, budget, 0)
