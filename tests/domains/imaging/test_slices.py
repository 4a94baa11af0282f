"""Slices of scans: their place, their neighbours, and numbers made by hand."""

import numpy as np
import pytest

from sslbook.domains import imaging
from sslbook.domains.imaging.data import ImageSplit


def split(images: np.ndarray, groups: list[str], order: list[int]) -> ImageSplit:
    names = np.array([f"{group}_{place}" for group, place in zip(groups, order, strict=True)])
    labels = np.zeros(len(images), dtype=np.int64)
    return ImageSplit(images, labels, np.array(groups), names, np.array(order))


@pytest.fixture
def scans() -> ImageSplit:
    """Two patients, slices in disorder, one missing: every picture is filled with its own number."""
    groups, order = ["b", "a", "a", "b", "a", "b"], [1, 3, 2, 2, 1, 4]
    return split(np.repeat(np.arange(6, dtype=np.uint8), 64).reshape(6, 8, 8, 1), groups, order)


def test_neighbours_are_next_slices_of_one_patient(scans):
    pairs = imaging.slice_pairs(scans)
    assert pairs.shape == (3, 16, 8, 1)
    assert {(int(p[0, 0, 0]), int(p[8, 0, 0])) for p in pairs} == {(4, 2), (2, 1), (0, 3)}  # not b's second and fourth


def test_position_by_hand(scans):
    place = imaging.position(scans)
    assert place[:, 0] == pytest.approx([1 / 4, 1, 2 / 3, 2 / 4, 1 / 3, 1])
    assert place[:, 1] == pytest.approx([1 / 16, 1 / 4, 1 / 36, 0, 1 / 36, 1 / 4])


def heads(bright: tuple[int, int] | None, n: int = 2) -> ImageSplit:
    """A grey disc, in the last slice with a bright spot somewhere."""
    y, x = np.mgrid[:64, :64]
    images = np.repeat(np.uint8(100 * ((y - 32) ** 2 + (x - 31.5) ** 2 < 400))[None, ..., None], n, axis=0)
    if bright:
        images[-1, bright[0] - 3 : bright[0] + 3, bright[1] - 3 : bright[1] + 3] = 200
    return split(images, ["a"] * n, list(range(1, n + 1)))


def test_numbers_by_hand_see_a_bright_spot_and_that_it_is_on_one_side():
    without, aside, amid = (imaging.hand_made(heads(at))[-1] for at in (None, (32, 20), (32, 32)))
    assert without.shape == (23,) and np.isfinite([without, aside, amid]).all()
    inside, apart = 8, 10  # of the finest scale
    assert without[inside] == pytest.approx(1, abs=0.02) and min(aside[inside], amid[inside]) > 1.8
    assert without[apart] == pytest.approx(0, abs=0.02) and aside[apart] > 0.8 > 0.1 > amid[apart]


def test_numbers_by_hand_do_not_depend_on_the_brightness_of_the_scan_and_take_black_slices():
    bright = heads((32, 20), 3)
    bright.images[0] = 0
    darker = split(bright.images // 2, ["a"] * 3, [1, 2, 3])
    np.testing.assert_allclose(imaging.hand_made(darker), imaging.hand_made(bright), rtol=1e-5)
    assert imaging.hand_made(bright)[0].tolist() == [0] * 23
