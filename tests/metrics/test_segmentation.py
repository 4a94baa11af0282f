"""Segmentation metrics against scikit-learn and second writings, regions drawn by hand, void, weights and bad input."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from sslbook.data.pictures import VOID
from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.segmentation import (
    classes_in,
    confusion_counts,
    found_regions,
    iou,
    mean_iou,
    region_counts,
    region_recall,
)


def random_frames(n: int = 6, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Masks of four classes with a tenth of void, and labels of which half are right."""
    rng = np.random.default_rng(seed)
    masks, guesses = rng.integers(0, classes, (2, n, 12, 16)).astype(np.uint8)
    labels = np.where(rng.random(masks.shape) < 0.5, masks, guesses)
    return np.where(rng.random(masks.shape) < 0.1, VOID, masks).astype(np.uint8), labels


def painted(*rows: str) -> np.ndarray:
    """One frame, a sign for each pixel: a dot is class 0, A, B and C are 1, 2 and 3, a question mark is void."""
    signs = dict(zip(".ABC?", (0, 1, 2, 3, VOID), strict=True))
    return np.array([[[signs[sign] for sign in row] for row in rows]], dtype=np.uint8)


def test_counts_are_the_confusion_matrix_of_each_frame():
    masks, labels = random_frames()
    counts = confusion_counts(masks, labels, 4)
    for frame, mask, said in zip(counts, masks, labels, strict=True):
        known = mask != VOID
        assert np.array_equal(frame, confusion_matrix(mask[known], said[known], labels=range(4)))


def test_iou_is_the_jaccard_score_of_all_pixels():
    masks, labels = random_frames()
    known, counts = masks != VOID, confusion_counts(masks, labels, 4)
    np.testing.assert_allclose(iou(counts), jaccard_score(masks[known], labels[known], average=None))
    assert mean_iou(counts) == pytest.approx(jaccard_score(masks[known], labels[known], average="macro"))
    assert mean_iou(counts, numbers=[1, 3]) == pytest.approx(iou(counts)[[1, 3]].mean())


def test_iou_by_hand():
    counts = confusion_counts(painted("AAB.", "??B."), painted("AB..", "AAB."), 4)
    assert counts.sum() == 6, "void is left out, whatever it was called"
    np.testing.assert_allclose(iou(counts)[:3], [2 / 3, 1 / 2, 1 / 3])
    assert np.isnan(iou(counts)[3]), "no pixel is of class C"
    assert mean_iou(counts) == pytest.approx(0.5) and np.isnan(mean_iou(counts, numbers=[3]))


def test_a_class_that_is_only_called_costs_the_others_and_does_not_count():
    counts = confusion_counts(painted("AA", "AA"), painted("AB", "AA"), 3)
    assert np.isnan(iou(counts)[[0, 2]]).all()
    assert mean_iou(counts) == pytest.approx(3 / 4)


def test_void_changes_nothing():
    masks, labels = random_frames()
    other = np.where(masks == VOID, 3 - labels, labels).astype(np.uint8)
    assert np.array_equal(confusion_counts(masks, labels, 4), confusion_counts(masks, other, 4))
    nothing_said = np.full_like(masks, VOID)
    assert confusion_counts(nothing_said, labels, 4).sum() == 0
    assert np.isnan(mean_iou(confusion_counts(nothing_said, labels, 4)))


def test_weights_are_repetitions_of_frames():
    masks, labels = random_frames()
    counts, weights = confusion_counts(masks, labels, 4), bootstrap_weights(6, 20, seed=1)
    rows = [np.repeat(np.arange(6), row.astype(int)) for row in weights]
    expected = np.array([iou(confusion_counts(masks[r], labels[r], 4)) for r in rows])
    np.testing.assert_allclose(iou(counts, weights), expected)
    np.testing.assert_allclose(mean_iou(counts, weights), expected.mean(axis=1))
    np.testing.assert_allclose(mean_iou(counts, weights, numbers=[0, 2]), expected[:, [0, 2]].mean(axis=1))


def test_a_resample_without_a_class_is_a_mean_over_the_others():
    masks, labels = np.concatenate([painted("AA"), painted(".A")]), np.concatenate([painted("A."), painted(".A")])
    counts = confusion_counts(masks, labels, 2)
    np.testing.assert_allclose(mean_iou(counts, np.array([[1.0, 0], [0, 1], [1, 1]])), [1 / 2, 1, (2 / 3 + 1 / 2) / 2])


def test_one_frame_and_perfect_labels():
    masks, _ = random_frames(n=1)
    labels = np.where(masks == VOID, 0, masks).astype(np.uint8)
    counts = confusion_counts(masks, labels, 4)
    assert counts.shape == (1, 4, 4) and mean_iou(counts) == 1 and mean_iou(counts, np.ones((1, 1))).shape == (1,)


@pytest.mark.parametrize(
    ("masks", "labels", "message"),
    [
        (painted("AA"), painted("AAA"), r"masks have shape \(1, 1, 2\), labels \(1, 1, 3\); give one label per pixel"),
        (painted("AC"), painted("AA"), r"masks hold the number 3, and there are 2 classes \(0 to 1\)"),
        (painted("AA"), painted("AB"), r"labels hold the number 2, and there are 2 classes \(0 to 1\)"),
        (painted("AA"), painted("A?"), "labels hold the number 255"),
    ],
)
def test_pixels_that_cannot_be_counted(masks, labels, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(masks, labels, 2)


def test_classes_of_masks_are_their_numbers_without_void():
    masks = np.array([[[3, VOID], [0, 3]]], dtype=np.uint8)
    assert classes_in(masks, 4).tolist() == [0, 3]
    with pytest.raises(ValueError, match=r"masks hold the number 3, and there are 3 classes \(0 to 2\)"):
        classes_in(masks, 3)
    with pytest.raises(ValueError, match="every pixel of the masks is void; draw frames with a mask"):
        classes_in(np.full_like(masks, VOID), 4)


# ------------------------------------------------------------------------------------------------------- regions

STREET = painted(
    "AAA.......",
    "AAA....B..",
    "AAA....B..",
    "...A...B..",
    "....A..B..",
    "..........",
    "A.A...AAA.",
    "A.....AAA.",
    "......AAA.",
    "..........",
)


def test_regions_by_hand():
    table = region_recall(STREET, STREET, [1, 2], min_pixels=2)
    columns = ["frame", "class", "pixels", "height", "bottom"]
    assert sorted(map(tuple, table[columns].to_numpy().tolist())) == [
        (0, 1, 2, 2, 7), (0, 1, 9, 3, 8), (0, 1, 11, 5, 4), (0, 2, 4, 4, 4),
    ], "corners touch, and what is smaller is left out"  # fmt: skip
    assert len(region_recall(STREET, STREET, [1], min_pixels=1)) == 4 and len(region_recall(STREET, STREET, [3])) == 0


def test_regions_end_with_their_frame():
    masks = np.concatenate([STREET, STREET * 0, STREET])
    table = region_recall(masks, masks, [2], min_pixels=1)
    assert table["frame"].tolist() == [0, 2] and table["pixels"].tolist() == [4, 4]
    assert table["bottom"].tolist() == [4, 4]


def test_bands_follow_the_height_of_the_box_and_the_area():
    masks = np.zeros((1, 120, 160), np.uint8)
    masks[0, 0:19, 0:1] = 1  # less than 80 / 480 of the height, 19 pixels
    masks[0, 0:20, 10:16] = 1  # just that, 120 pixels
    masks[0, 100:107, 30:40] = 1  # less than 30 / 480
    masks[0, 60:68, 60:140] = 1  # more, 640 pixels
    table = region_recall(masks, masks, [1]).set_index("pixels")
    assert table.loc[[70, 19, 640, 120], "distance_band"].tolist() == ["far", "middle", "middle", "near"]
    assert table.loc[[19, 70, 120, 640], "size_band"].tolist() == ["small", "medium", "medium", "large"]
    assert table["distance_band"].cat.ordered


def test_a_region_is_found_by_half_of_its_pixels():
    labels = STREET.copy()
    labels[0, 1:3, 7] = 0  # two of four pixels of B are left
    labels[0, 6:8, 6:9] = 2  # three of nine of the box of A
    labels[0, 0:5, 0:5] = 0  # none of the large A
    table = region_recall(STREET, labels, [1, 2], min_pixels=3).sort_values("pixels")
    assert table["pixels"].tolist() == [4, 9, 11]
    assert table["share"].tolist() == pytest.approx([1 / 2, 1 / 3, 0])
    assert table["found"].tolist() == [True, False, False] and table["touched"].tolist() == [True, True, False]


def test_false_alarms_hold_no_pixel_of_their_class_and_void_is_none():
    masks = painted("AA....????", "AA....????", "..........")
    labels = painted("A..BB...AA", "AA.BB...AA", "..........")
    counts = region_counts(masks, labels, [1, 2], n_classes=4, min_pixels=2)
    assert counts[0].tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0]]
    on_the_edge = painted("A.....AAAA", "A..B......", "..........")
    assert region_counts(masks, on_the_edge, [1, 2], 3, min_pixels=2)[0, :, 2].tolist() == [0, 0, 0], (
        "void does not count"
    )


def second_writing(masks: np.ndarray, labels: np.ndarray, number: int, least: int) -> list[list[int]]:
    """Regions, found and false alarms of each frame, by filling from pixel to pixel."""

    def parts(there: np.ndarray) -> list[set[tuple[int, int]]]:
        left, found = set(map(tuple, np.argwhere(there).tolist())), []
        while left:
            part, edge = set(), {left.pop()}
            while edge:
                part |= edge
                edge = {(y + i, x + j) for y, x in edge for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
                left -= edge
            found.append(part)
        return found

    rows = []
    for mask, said in zip(masks, labels, strict=True):
        true = [part for part in parts(mask == number) if len(part) >= least]
        found = [part for part in true if sum(said[p] == number for p in part) >= len(part) / 2]
        called = [[mask[p] for p in part if mask[p] != VOID] for part in parts(said == number)]
        rows.append([len(true), len(found), sum(len(part) >= least and number not in part for part in called)])
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_region_counts_equal_a_second_writing(seed):
    rng = np.random.default_rng(seed)
    masks = np.where(rng.random((5, 14, 18)) < 0.25, 1, 0).astype(np.uint8)
    masks[rng.random(masks.shape) < 0.15] = VOID
    labels = np.where(rng.random(masks.shape) < 0.3, 1, masks % VOID).astype(np.uint8)
    labels[:, :, :6] = rng.random((5, 14, 6)) < 0.3
    counts = region_counts(masks, labels, [1], n_classes=2, min_pixels=3)
    assert counts[:, 1].tolist() == second_writing(masks, labels, 1, 3)
    assert counts.sum() > 20 and (counts[:, 0] == 0).all()


def test_found_regions_of_classes_and_resamples():
    counts = np.array([[[4, 1, 9], [2, 2, 0]], [[0, 0, 3], [2, 0, 0]]])
    assert found_regions(counts) == pytest.approx(3 / 8)
    assert found_regions(counts, numbers=[1]) == pytest.approx(1 / 2)
    weights = np.array([[1.0, 0], [1, 3], [0, 1]])
    np.testing.assert_allclose(found_regions(counts, weights), [3 / 6, 3 / 12, 0])
    assert np.isnan(found_regions(counts, weights, [0])[2]), "a sample without a region"
