"""Matches of boxes, and average precision against plain loops."""

import numpy as np
import pandas as pd
import pytest

from sslbook.metrics import bootstrap_weights, boxes
from sslbook.metrics.boxes import EDGES, Detection, box_iou, box_metric, detection_average_precision, score_boxes


def table(*rows: tuple) -> pd.DataFrame:
    """Boxes from rows of frame, class, left, top, right, bottom and, where found, score."""
    return pd.DataFrame(rows, columns=["frame", "class", *EDGES, "score"][: len(rows[0])])


def random_boxes(n: int, seed: int, frames: int = 6, classes: int = 3, levels: int = 8) -> pd.DataFrame:
    """Boxes that often overlap, many of one score."""
    rng = np.random.default_rng(seed)
    low, sides = rng.uniform(0, 24, (n, 2)), rng.uniform(4, 16, (n, 2))
    boxes = pd.DataFrame(np.hstack([low, low + sides]), columns=EDGES)
    boxes.insert(0, "class", rng.integers(0, classes, n))
    boxes.insert(0, "frame", rng.integers(0, frames, n))
    return boxes.assign(score=rng.integers(1, levels, n) / levels)


def found_near(truth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Boxes that lie near the true ones, some of them doubled, and others anywhere."""
    rng = np.random.default_rng(seed)
    near = pd.concat([truth, truth.sample(frac=0.5, random_state=seed)])
    near[EDGES] += rng.normal(0, 2, (len(near), 4))
    found = pd.concat([near, random_boxes(len(truth), seed + 1)], ignore_index=True)
    return found.assign(score=rng.integers(1, 9, len(found)) / 8)


# ------------------------------------------------------------------------------------------------------------ matching


def test_intersection_over_union_by_hand():
    a = np.array([[0, 0, 4, 4], [0, 0, 2, 2]], dtype=float)
    b = np.array([[0, 0, 4, 4], [2, 2, 6, 6], [4, 0, 8, 4], [5, 5, 5, 5]], dtype=float)
    np.testing.assert_allclose(box_iou(a, b), [[1, 4 / 28, 0, 0], [0.25, 0, 0, 0]])
    assert box_iou(a[:0], b).shape == (0, 4)


def test_the_surest_box_takes_the_best_that_is_free():
    truth = table((0, 0, 0, 0, 10, 10), (0, 0, 0, 2, 10, 13), (1, 0, 0, 0, 10, 10), (0, 1, 30, 30, 40, 46))
    found = table(
        (0, 0, 0, 1, 10, 11, 0.5), (0, 0, 0, 2, 10, 13, 0.9), (0, 0, 0, 2, 10, 12, 0.8), (0, 0, 0, 0, 10, 10, 0.4),
        (1, 1, 0, 0, 10, 10, 0.7), (0, 1, 30, 30, 40, 38, 0.3),
    )  # fmt: skip
    said = score_boxes(truth, found, 2, 2)
    assert said.found["score"].tolist() == pytest.approx([0.9, 0.8, 0.7, 0.5, 0.4, 0.3])
    # The second box of 0.8 takes what is left of the two, and the third and fourth have none left; the class of 0.7 is
    # another; the last one covers just the half.
    assert said.found["right"].tolist() == [True, True, False, False, False, True]
    assert said.found["area"].tolist() == [110, 100, 100, 100, 100, 160]
    assert said.truth["found"].tolist() == [True, True, False, True]
    assert said.truth["height"].tolist() == [10, 11, 10, 16] and said.truth["area"].tolist() == [100, 110, 100, 160]
    assert (said.n_frames, said.n_classes) == (2, 2)
    strict = score_boxes(truth, found, 2, 2, iou=0.9)
    assert strict.found["right"].tolist() == [True, False, False, False, True, False]


# ------------------------------------------------------------------------------------------------- average precision


def plain_average_precision(truth: pd.DataFrame, found: pd.DataFrame, copies: np.ndarray, classes: range) -> float:
    """Loops over classes, copies of frames, thresholds and boxes, matching anew."""
    values = []
    for kind in classes:
        said, total = [], 0
        for frame in np.repeat(np.arange(len(copies)), copies):
            mine = [b for b in truth.itertuples(index=False) if b[0] == frame and b[1] == kind]
            free, total = list(range(len(mine))), total + len(mine)
            theirs = [b for b in found.itertuples(index=False) if b[0] == frame and b[1] == kind]
            for box in sorted(theirs, key=lambda b: -b[6]):
                shares = [(plain_iou(box[2:6], mine[i][2:6]), -i) for i in free]
                hit = bool(shares) and max(shares)[0] >= 0.5
                if hit:
                    free.remove(-max(shares)[1])
                said.append((box[6], hit))
        if total:
            points = []
            for threshold in sorted({s for s, _ in said}):
                kept = [hit for s, hit in said if s >= threshold]
                points.append((sum(kept) / total, sum(kept) / len(kept)))
            recalls = sorted({0.0} | {r for r, _ in points})
            values.append(
                sum((b - a) * max(p for r, p in points if r >= b) for a, b in zip(recalls, recalls[1:], strict=False))
            )
    return float(np.mean(values))


def plain_iou(a: tuple, b: tuple) -> float:
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_against_loops_with_and_without_repeated_frames(seed):
    truth = random_boxes(25, seed)
    found = found_near(truth, seed)
    said = score_boxes(truth, found, 6, 3)
    assert 0.2 < said.truth["found"].mean() < 1 and 0.1 < said.found["right"].mean() < 0.9
    expected = plain_average_precision(truth, found, np.ones(6, dtype=int), range(3))
    assert (
        detection_average_precision(said) == pytest.approx(expected) and np.ndim(detection_average_precision(said)) == 0
    )
    one = plain_average_precision(truth, found, np.ones(6, dtype=int), range(1, 2))
    assert detection_average_precision(said, classes=(1,)) == pytest.approx(one)
    weights = bootstrap_weights(6, 5, seed, dtype=np.uint8)
    expected = [plain_average_precision(truth, found, copies, range(3)) for copies in weights]
    assert detection_average_precision(said, weights).tolist() == pytest.approx(expected)
    assert detection_average_precision(said, weights * np.float32(0.1)).tolist() == pytest.approx(expected)


def test_average_precision_in_blocks_is_that_in_one(monkeypatch):
    truth = random_boxes(25, 0)
    said, weights = score_boxes(truth, found_near(truth, 0), 6, 3), bootstrap_weights(6, 50)
    whole = detection_average_precision(said, weights)
    monkeypatch.setattr(boxes, "BLOCK", 300)
    assert np.array_equal(detection_average_precision(said, weights), whole) and whole.shape == (50,)


def curve(*right: bool, truth: int, scores: list[float] | None = None) -> Detection:
    """Boxes of one class in descending order of score, right or not, each in its frame, and so many true ones."""
    scores = np.linspace(1, 0.5, len(right)) if scores is None else scores
    found = pd.DataFrame({"frame": range(len(right)), "class": 0, "score": scores, "right": right, "area": 10.0})
    true = pd.DataFrame({"frame": range(truth), "class": 0, "height": 5.0, "area": 10.0, "found": False})
    return Detection(found, true, 10, 1)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (curve(True, True, True, truth=3), 1),
        (curve(True, False, False, truth=2), 1 / 2),
        (curve(False, True, truth=1), 1 / 2),
        (curve(False, False, truth=2), 0),
        (curve(True, False, True, truth=2), (1 + 2 / 3) / 2),
        (curve(False, True, True, truth=2), 2 / 3),  # the precision of 1/2 is raised to that of the larger recall
        (curve(True, False, True, True, truth=4), (1 + 2 * 3 / 4) / 4),
        (curve(True, False, truth=1, scores=[0.7, 0.7]), 1 / 2),  # of one score: in either order
        (curve(False, True, truth=1, scores=[0.7, 0.7]), 1 / 2),
        (curve(truth=3), 0),
    ],
)
def test_average_precision_in_closed_form(said, expected):
    assert detection_average_precision(said) == pytest.approx(expected)
    assert box_metric()(said).tolist() == pytest.approx([expected])


def test_classes_without_a_true_box_in_a_sample_do_not_count():
    truth = table((0, 0, 0, 0, 10, 10), (1, 1, 0, 0, 10, 10))
    found = table((0, 0, 0, 0, 10, 10, 0.9), (1, 1, 20, 20, 30, 30, 0.8), (0, 2, 0, 0, 10, 10, 0.7))
    said = score_boxes(truth, found, 3, 3)
    assert detection_average_precision(said) == 0.5
    weights = np.array([[1, 1, 0], [2, 0, 1], [0, 3, 0], [0, 0, 3]])
    np.testing.assert_array_equal(detection_average_precision(said, weights), [0.5, 1, 0, np.nan])
    np.testing.assert_array_equal(box_metric([1])(said, weights), [0, np.nan, 0, np.nan])
