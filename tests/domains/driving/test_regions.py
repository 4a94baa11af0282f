"""Regions drawn by hand and against a second writing: found, overlooked and false alarms."""

import numpy as np
import pytest

from sslbook.data.pictures import VOID
from sslbook.domains.driving.regions import found_regions, recall_by_band, region_counts, region_recall
from tests.metrics.test_segmentation import painted

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


def test_recall_by_band_counts_and_means():
    masks = np.concatenate([STREET, STREET])
    labels = np.concatenate([STREET, STREET * 0])
    table = recall_by_band(region_recall(masks, labels, [1, 2], min_pixels=3), "distance_band")
    assert table.loc[(1, "near"), "regions"] == 4 and table.loc[(1, "near"), "recall"] == 0.5
    assert table.loc[(2, "far"), "regions"] == 0 and np.isnan(table.loc[(2, "far"), "recall"])
    assert recall_by_band(region_recall(masks, labels, [2], 3), "size_band")["regions"].sum() == 2


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
