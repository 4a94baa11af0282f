"""Boxes of masks, what a detector is taught and learns, and average precision against plain loops."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage
from torch import nn

from sslbook.domains.driving import objects
from sslbook.domains.driving.methods import draw_frames
from sslbook.domains.driving.objects import (
    DetectorRecipe,
    boxes_at,
    boxes_of,
    detect,
    detector_loss,
    detector_method,
    fit_detector,
    mirrored,
    size_and_distance,
    targets_of,
)
from sslbook.encoders.scenes import SceneEncoder, hypercolumns
from sslbook.metrics.boxes import EDGES, box_metric, detection_average_precision, score_boxes
from sslbook.study import budget_study
from sslbook.worlds.driving import simulate_streets
from tests.metrics.test_boxes import random_boxes, table

SHAPE = (48, 64)


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Networks as small as these are slower in bfloat16, and round otherwise on other machines."""
    monkeypatch.setattr(objects, "default_precision", lambda: "32-true")


def sorted_edges(boxes: pd.DataFrame) -> np.ndarray:
    return boxes.sort_values(["frame", "class", *EDGES])[["frame", "class", *EDGES]].to_numpy(dtype=float)


# ---------------------------------------------------------------------------------------------------- boxes of masks


def test_a_region_has_one_box_and_diagonals_touch():
    masks = np.zeros((3, 12, 16), dtype=np.uint8)
    masks[0, 2:5, 3:7], masks[0, 5:7, 7:9] = 4, 4  # touch at a corner
    masks[1, 0:3, 0:3], masks[2, 0:3, 0:3] = 4, 4  # in two frames: two regions
    masks[1, 8:12, 14:16], masks[1, 8:12, 13], masks[0, 10, 0:7] = 2, 4, 2  # 7 pixels are too few
    expected = table(
        (0, 1, 3.0, 2.0, 9.0, 7.0, 16.0), (1, 1, 0.0, 0.0, 3.0, 3.0, 9.0), (2, 1, 0.0, 0.0, 3.0, 3.0, 9.0),
        (1, 0, 14.0, 8.0, 16.0, 12.0, 8.0),
    )  # fmt: skip
    found = boxes_of(masks, (2, 4))
    assert list(found.columns) == list(expected.columns) and (found.dtypes[2:] == np.float64).all()
    assert np.array_equal(sorted_edges(found), sorted_edges(expected))
    assert sorted(found["score"]) == [8, 9, 9, 16]
    assert len(boxes_of(masks, (2, 4), min_pixels=1)) == 6 and len(boxes_of(masks, (9,))) == 0


def test_boxes_of_masks_against_scipy():
    masks = np.random.default_rng(0).integers(0, 3, (5, 20, 30)).astype(np.uint8)
    rows = []
    for frame, mask in enumerate(masks):
        for place, number in enumerate((2, 0)):
            regions = ndimage.label(mask == number, np.ones((3, 3)))[0]
            for i, (y, x) in enumerate(ndimage.find_objects(regions), start=1):
                if (regions == i).sum() >= 4:
                    rows.append((frame, place, x.start, y.start, x.stop, y.stop, (regions == i).sum()))
    found = boxes_of(masks, (2, 0), min_pixels=4)
    assert np.array_equal(sorted_edges(found), sorted_edges(table(*rows)))
    assert sorted(found["score"]) == sorted(row[-1] for row in rows)


# ----------------------------------------------------------------------------------------------- what is to be learnt


def test_targets_of_one_box():
    heat, size, offset, centre = targets_of(table((1, 2, 10, 12, 18, 44)), 2, (12, 16), 3)
    assert heat.shape == (2, 3, 12, 16) and size.shape == offset.shape == (2, 2, 12, 16) and centre.dtype == torch.bool
    assert centre.nonzero().tolist() == [[1, 7, 3]], "the centre, 28 pixels down and 14 to the right"
    assert size[1, :, 7, 3].exp().tolist() == pytest.approx([8, 2]), "cells"
    assert offset[1, :, 7, 3].tolist() == pytest.approx([-0.5, 0]), "the cell's centre is at 30 and 14"
    assert heat[1, 2, 7, 3] == 1 and heat[0].max() == heat[1, :2].max() == 0
    assert heat[1, 2, 9, 3].item() == pytest.approx(np.exp(-((2 / (8 / 6)) ** 2) / 2))
    assert heat[1, 2, 7, 4].item() == pytest.approx(np.exp(-2)), "a deviation of half a cell at least"
    assert heat[1, 2, 8, 2].item() == pytest.approx(np.exp(-((1 / (8 / 6)) ** 2) / 2 - 2))


def test_heat_of_neighbours_is_the_higher_and_the_smaller_of_two_in_a_cell_is_taught():
    small, large = (0, 0, 16, 16, 28, 28), (0, 0, 4, 4, 40, 40)
    alone = [targets_of(table(box), 1, (12, 16), 1) for box in (small, large)]
    for rows in ((small, large), (large, small)):
        heat, size, _, centre = targets_of(table(*rows), 1, (12, 16), 1)
        assert torch.equal(heat, torch.maximum(alone[0][0], alone[1][0])) and centre.sum() == 1
        assert torch.equal(size, alone[0][1])


@pytest.mark.parametrize("box", [(2, 0, 0, 0, 8, 8), (0, 3, 0, 0, 8, 8), (0, 0, 60, 0, 80, 8), (0, 0, 0, -20, 8, 8)])
def test_boxes_that_are_of_other_frames(box):
    with pytest.raises(ValueError, match="a frame, class or centre that is not there; give the boxes of these very"):
        targets_of(table(box), 2, (12, 16), 3)


def spread_boxes() -> pd.DataFrame:
    """Boxes of drawn streets, none of which shares a cell with another."""
    boxes = boxes_of(simulate_streets(3, 8, seed=1).train.masks, (6, 8, 9, 10))
    cell = [boxes["frame"], (boxes["left"] + boxes["right"]) // 8, (boxes["top"] + boxes["bottom"]) // 8]
    return boxes[~pd.concat(cell, axis=1).duplicated(keep=False)].reset_index(drop=True)


def test_decoded_targets_are_the_boxes():
    boxes = spread_boxes()
    heat, size, offset, _ = targets_of(boxes, 8, (30, 40), 4)
    found = boxes_at(heat, size, offset, most=200)
    found = found[found["score"] == 1]
    assert len(boxes) > 60 and len(found) == len(boxes)
    keys = [boxes["left"] + boxes["right"], boxes["top"] + boxes["bottom"], boxes["class"], boxes["frame"]]
    order = np.lexsort([np.round(key, 2) for key in keys])
    keys = [found["left"] + found["right"], found["top"] + found["bottom"], found["class"], found["frame"]]
    found = found.iloc[np.lexsort([np.round(key, 2) for key in keys])]
    columns = ["frame", "class", *EDGES]
    np.testing.assert_allclose(found[columns], boxes.iloc[order][columns], atol=1e-3)


def test_peaks_are_the_hottest_of_their_neighbours_and_boxes_end_with_the_frame():
    heat = torch.zeros(2, 2, 6, 8)
    heat[0, 0, 2, 2], heat[0, 0, 2, 3], heat[0, 0, 4, 6], heat[0, 1, 2, 3], heat[1, 1, 0, 0] = 0.9, 0.8, 0.3, 0.5, 0.4
    size = torch.full((2, 2, 6, 8), 2.0).log()
    found = boxes_at(heat, size, torch.zeros(2, 2, 6, 8), most=2)
    assert found[["frame", "class"]].values.tolist() == [[0, 0], [0, 1], [1, 1]]
    assert found["score"].tolist() == pytest.approx([0.9, 0.5, 0.4])
    expected = [[6, 6, 14, 14], [10, 6, 18, 14], [0, 0, 6, 6]]
    np.testing.assert_allclose(found[EDGES], expected, atol=1e-5)


def test_mirrored_targets_are_those_of_mirrored_boxes():
    boxes = spread_boxes().assign(left=lambda b: b["left"] + 0.3)  # no centre between two cells
    other = boxes.assign(left=160 - boxes["right"], right=160 - boxes["left"])
    which = torch.arange(8) % 2 == 0
    mixed = boxes.where(boxes["frame"] % 2 == 1, other)
    x = torch.rand(8, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    flipped, targets = mirrored(x, targets_of(boxes, 8, (30, 40), 4), which)
    assert torch.equal(flipped[1::2], x[1::2]) and torch.equal(flipped[::2], x[::2].flip(3))
    for got, expected in zip(targets, targets_of(mixed, 8, (30, 40), 4), strict=True):
        torch.testing.assert_close(got, expected)


def test_the_loss_against_a_loop():
    rng = np.random.default_rng(0)
    boxes = random_boxes(6, 0, frames=2)
    heat, size, offset, centre = targets_of(boxes, 2, (8, 8), 3)
    said = [torch.from_numpy(rng.normal(0, 1, (2, k, 8, 8))).float() for k in (3, 2, 2)]
    expected = 0.0
    for place in np.ndindex(heat.shape):
        p, y = 1 / (1 + np.exp(-said[0][place].item())), heat[place].item()
        expected -= (1 - p) ** 2 * np.log(p) if y == 1 else (1 - y) ** 4 * p**2 * np.log(1 - p)
    for n, row, column in centre.nonzero().tolist():
        for aim, values in ((size, said[1]), (offset, said[2])):
            expected += (aim - values)[n, :, row, column].abs().sum().item()
    assert detector_loss(said, (heat, size, offset, centre)).item() == pytest.approx(expected / centre.sum().item())
    empty = detector_loss(said, targets_of(boxes[:0], 2, (8, 8), 3))
    assert torch.isfinite(empty) and empty > 0


# --------------------------------------------------------------------------------------------------------- detectors


def streets() -> tuple[np.ndarray, pd.DataFrame]:
    train = simulate_streets(3, 6, seed=0).train
    return train.frames, boxes_of(train.masks, (8, 9, 6))


def new_encoder(width: int = 12) -> SceneEncoder:
    torch.manual_seed(0)
    return SceneEncoder(width, 32).eval()


@pytest.mark.parametrize("frozen", [True, False])
def test_a_detector_finds_what_it_has_learnt_from(frozen):
    frames, boxes = streets()
    encoder = new_encoder()
    recipe = DetectorRecipe(steps=150, batch_size=4, learning_rate=1e-2)
    inputs = hypercolumns(encoder, frames, dtype=np.float16) if frozen else frames
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model = fit_detector(inputs, boxes, 3, recipe, seed=0, encoder=None if frozen else encoder)
    found = detect(model, inputs)
    assert detection_average_precision(score_boxes(boxes, found, len(frames), 3)) > 0.6
    assert list(found.columns) == ["frame", "class", *EDGES, "score"] and found["score"].between(0, 1).all()
    assert found.groupby("frame").size().max() <= 30 and not model.training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    few = detect(model, inputs, most=3, batch_size=4)
    best = found.sort_values("score", ascending=False, kind="stable").groupby("frame").head(3)
    assert sorted(few["score"]) == pytest.approx(sorted(best["score"]), rel=1e-3)
    assert few["frame"].nunique() == len(frames), "frames of every batch have numbers of their own"


def test_a_detector_follows_from_its_seed_and_standardises_frozen_maps():
    rng = np.random.default_rng(0)
    maps, boxes = rng.normal(0, 1, (4, 5, 8, 8)).astype(np.float32), random_boxes(12, 0, frames=4)
    recipe = DetectorRecipe(steps=4, batch_size=2, width=8)
    state = fit_detector(maps, boxes, 3, recipe, seed=0).state_dict()
    torch.manual_seed(123)
    again, other = (fit_detector(maps, boxes, 3, recipe, seed).state_dict() for seed in (0, 1))
    assert all(torch.equal(value, again[name]) for name, value in state.items())
    assert not torch.equal(state["head.0.weight"], other["head.0.weight"])
    scaled = maps * 50 + np.arange(5, dtype=np.float32)[:, None, None]
    one, two = (detect(fit_detector(x, boxes, 3, recipe, seed=0), x) for x in (maps, scaled))
    np.testing.assert_allclose(two[EDGES], one[EDGES], atol=0.05)


class Spy(nn.Module):
    """An encoder that keeps what it is shown."""

    out_features = 3

    def __init__(self):
        super().__init__()
        self.scale, self.shown = nn.Parameter(torch.ones(1)), []

    def feature_map(self, frames: torch.Tensor) -> torch.Tensor:
        self.shown.append(frames.detach())
        return self.scale * nn.functional.avg_pool2d(frames, 4)

    def __deepcopy__(self, memo: dict) -> "Spy":
        return self


def test_frames_are_mirrored_and_put_in_another_light_in_training_alone():
    frames = np.zeros((1, *SHAPE, 3), dtype=np.uint8)
    frames[:, :, 32:], frames[:, :, :32] = 140, 100
    spy = Spy()
    boxes = table((0, 0, 4, 4, 20, 20))
    model = fit_detector(frames, boxes, 1, DetectorRecipe(steps=60, batch_size=1, width=4), seed=0, encoder=spy)
    shown = torch.cat(spy.shown)
    right = (shown[..., 32:].mean(dim=(1, 2, 3)) > shown[..., :32].mean(dim=(1, 2, 3))).float().mean()
    assert 0.3 < right < 0.7, "half of them mirrored"
    assert shown.mean(dim=(1, 2, 3)).std() > 0.03 and shown.min() >= 0 and shown.max() <= 1
    spy.shown.clear()
    detect(model, frames)
    torch.testing.assert_close(spy.shown[0], torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)


# ------------------------------------------------------------------------------------------------ by size and distance


def test_a_size_ignores_true_boxes_of_another_and_what_found_them():
    shape = (100, 300)  # small: below 100 pixels; large: from 900
    truth = table((0, 0, 0, 0, 9, 9), (0, 0, 50, 0, 70, 20), (0, 0, 100, 0, 140, 40), (0, 0, 200, 0, 220, 20))
    found = table(
        (0, 0, 100, 0, 138, 40, 0.9), (0, 0, 50, 0, 70, 20, 0.8), (0, 0, 0, 0, 10, 11, 0.7), (0, 0, 0, 60, 5, 65, 0.95),
        (0, 0, 250, 60, 270, 80, 0.6),
    )  # fmt: skip
    by_size = size_and_distance(score_boxes(truth, found, 1, 1), shape)[0]
    assert by_size.index.tolist() == ["small", "medium", "large"] and by_size["boxes"].tolist() == [1, 2, 1]
    # Small: a false alarm is surer than the box that is right, and larger than 100 pixels itself. Medium: one of two is
    # found, the false alarm comes last.
    assert by_size["average_precision"].tolist() == pytest.approx([1 / 2, 1 / 2, 1])


def test_recall_by_distance_counts_by_height():
    truth = table((0, 0, 0, 0, 9, 20), (0, 0, 20, 0, 29, 20), (0, 0, 40, 0, 49, 7), (1, 1, 0, 0, 9, 4))
    found = truth.iloc[[0, 3]].assign(score=0.5)
    recall = size_and_distance(score_boxes(truth, found, 2, 2), (100, 300))[1]
    assert recall["boxes"].loc[0].to_dict() == {"far": 0, "middle": 1, "near": 2}
    assert recall["recall"].loc[0, "near"] == 0.5 and recall["recall"].loc[0, "middle"] == 0
    assert recall.loc[(1, "far"), ["boxes", "recall"]].tolist() == [1, 1]


# ---------------------------------------------------------------------------------------------------------- in a study


def test_a_study_of_detectors_is_kept(tmp_path):
    scenes = simulate_streets(4, 6, seed=2)
    masks, numbers = scenes.test.masks, (8, 9, 6)
    truth = boxes_of(masks, numbers)

    def some(index: np.ndarray, seed: int) -> pd.DataFrame:
        return truth.sample(frac=len(index) / 12, random_state=len(index))

    methods = [
        detector_method("some", "classical", some, masks, numbers, draws=1),
        detector_method("regions", "trivial", lambda *_: boxes_of(np.roll(masks, 1, axis=2), numbers), masks, numbers),
    ]
    draw = partial(draw_frames, scenes.train.drives)
    metrics = {"ap": box_metric(), "ap_cars": box_metric([0])}
    result = budget_study(methods, metrics, len(masks), [3, 12], draw, 2, replicates=50, unit="frames", store=tmp_path)
    scores = result.scores("ap")
    assert scores.loc["some", 12] == 1 > scores.loc["some", 3] > 0 and 0 < scores.loc["regions", 3] < 1
    for row, said in zip(result.frame.itertuples(), result.predictions, strict=True):
        assert row.ap_cars == pytest.approx(detection_average_precision(said, classes=[0]))
        assert len(said.truth["frame"]) == len(truth)
    mean, low, high = result.interval("ap", "some", 3)
    assert low < mean < high and len(list(tmp_path.glob("*.npz"))) == len(result.frame)
