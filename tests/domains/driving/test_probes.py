"""The probe of feature maps: maps that hold the answer, a second writing of its fit, several maps, half precision."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sslbook.data.pictures import VOID
from sslbook.domains.driving.probes import (
    _logistic_fit,
    cell_counts,
    dense_probe,
    enlarged_labels,
    frame_folds,
    moments,
)
from tests.domains.driving.test_methods import score, world


def one_hot_maps(masks: np.ndarray, n_classes: int, cell: int = 4) -> np.ndarray:
    """Feature maps that say which class the cells hold, (n, classes, rows, columns)."""
    counts = cell_counts(masks, (masks.shape[1] // cell, masks.shape[2] // cell), n_classes)
    return np.ascontiguousarray(counts.transpose(0, 3, 1, 2) / cell**2)


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
        (np.full((1, 8, 8), VOID), (4, 4), "every pixel of the masks is void; draw frames with a mask"),
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
    masks = world(3)[1]
    maps = one_hot_maps(masks, 4)
    with pytest.raises(ValueError, match="2 frames and 3 masks"):
        dense_probe(maps[:2], masks, maps, 4, moments(maps))
    with pytest.raises(ValueError, match="do not fall into 12 x 16 cells"):
        dense_probe(maps, masks[:, :47], maps, 4, moments(maps))


def test_several_maps_are_read_as_if_they_were_joined():
    masks, test_masks = world(40)[1], world(9, seed=1)[1]
    rng = np.random.default_rng(0)
    parts, test_parts = (
        [(one_hot_maps(m, 4) + rng.normal(0, 0.5, (len(m), 4, 12, 16))).astype(np.float16) for _ in range(2)]
        for m in (masks, test_masks)
    )
    joined, test_joined = (np.concatenate(p, axis=1).astype(np.float32) for p in (parts, test_parts))
    for apart, whole in zip(moments(parts), moments(joined), strict=True):
        assert np.array_equal(apart, whole)
    labels = dense_probe(joined, masks, test_joined, 4, moments(joined))
    assert np.array_equal(dense_probe(parts, masks, test_parts, 4, moments(parts)), labels)
    assert score(test_masks, labels) > score(
        test_masks, dense_probe(parts[0], masks, test_parts[0], 4, moments(parts[0]))
    )


def test_every_part_has_all_frames():
    masks = world(6)[1]
    maps = one_hot_maps(masks, 4)
    with pytest.raises(ValueError, match="5 frames and 6 masks; give the same frames"):
        dense_probe([maps, maps[:5]], masks, [maps, maps], 4, moments([maps, maps]))
