"""Segmentation metrics against scikit-learn, by hand, with void, weights and bad input."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from sslbook.data.pictures import VOID
from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.segmentation import classes_in, confusion_counts, iou, mean_iou


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
