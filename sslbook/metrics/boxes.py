"""How well boxes are found: matches of found boxes with true ones, and their average precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sslbook.metrics.base import Metric

EDGES = ["left", "top", "right", "bottom"]
BLOCK = 2**20  # weights of found boxes that are float at once: 8 MB


@dataclass(frozen=True, eq=False)
class Detection:
    """How well boxes were found in the test frames, as a study keeps it.

    Attributes
    ----------
    found : columns by name, one value per found box: frame, class, score, right (bool), area (of the true box that it
        found, else its own; pixels).
    truth : the same of the true boxes: frame, class, height and area (pixels), found (bool).
    n_frames, n_classes : numbers of test frames and classes.
    """

    found: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    n_frames: int
    n_classes: int


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4), each left, top, right, bottom; shape (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    both = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return both / np.maximum(areas[0][:, None] + areas[1] - both, 1e-12)


def score_boxes(truth: pd.DataFrame, found: pd.DataFrame, n_frames: int, n_classes: int, iou: float = 0.5) -> Detection:
    """Match found boxes to true ones, the surest first; each true box is found at most once (Everingham et al. 2010).

    A found box takes the free true one of its frame and class with the highest IoU, if that is at least ``iou``.
    """
    found, truth = found.sort_values("score", ascending=False, kind="stable"), truth.reset_index(drop=True)
    edges, true_edges = (boxes[EDGES].to_numpy(dtype=float) for boxes in (found, truth))
    area, true_area = ((e[:, 2:] - e[:, :2]).prod(axis=1) for e in (edges, true_edges))
    match, there = np.full(len(found), -1), truth.groupby(["frame", "class"]).indices
    for key, rows in found.groupby(["frame", "class"]).indices.items():
        free = there.get(key, np.empty(0, dtype=int))
        for row, overlap in zip(rows, shared := box_iou(edges[rows], true_edges[free]), strict=True):
            if overlap.max(initial=0) >= iou:
                match[row] = free[best := overlap.argmax()]
                shared[:, best] = -1
    right = match >= 0
    area[right] = true_area[match[right]]
    truth = truth[["frame", "class"]].assign(height=truth["bottom"] - truth["top"], area=true_area)
    truth["found"] = np.isin(truth.index, match)
    found = found[["frame", "class", "score"]].assign(right=right, area=area)
    found = found.astype({"frame": np.int32, "class": np.int16, "score": np.float32, "area": np.float32})
    return Detection(*({name: part[name].to_numpy() for name in part} for part in (found, truth)), n_frames, n_classes)


def detection_average_precision(
    detection: Detection, weights: np.ndarray | None = None, classes: Sequence[int] | None = None
) -> np.ndarray:
    """Mean over classes of the area under the precision-recall curve, all points (Everingham et al. 2010).

    Precision at a recall is the highest at this recall or a larger one. Boxes of one score come in together.

    Parameters
    ----------
    weights : optional array, shape (replicates, n_frames), the multiplicity of each frame in a bootstrap sample.
    classes : places of the classes that count, None for all; one without a true box in a sample does not.

    Returns
    -------
    float array, shape (replicates,), or a scalar without weights. NaN where a sample has no true box.
    """
    w = np.ones((1, detection.n_frames)) if weights is None else np.asarray(weights)
    truth, found = pd.DataFrame(detection.truth), pd.DataFrame(detection.found).sort_values("score", ascending=False)
    kinds = range(detection.n_classes) if classes is None else classes
    parts = [(found[found["class"] == kind], truth[truth["class"] == kind]) for kind in kinds]
    blocks = np.array_split(w, -(-len(w) * (len(found) + 1) // BLOCK))
    areas = np.concatenate([np.stack([_area(block, *part) for part in parts], axis=1) for block in blocks])
    present = ~np.isnan(areas)
    with np.errstate(invalid="ignore"):
        value = np.where(present, areas, 0).sum(axis=1) / present.sum(axis=1)
    return value[0] if weights is None else value


def _area(weights: np.ndarray, found: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Area under the precision-recall curve of one class, shape (replicates,); NaN where there is no true box."""
    there = weights[:, truth["frame"]].sum(axis=1, dtype=float)
    last = np.flatnonzero(np.diff(found["score"], append=-np.inf))  # of those with one score
    weights = weights[:, found["frame"]]
    said = weights.cumsum(axis=1, dtype=float)[:, last]
    right = (weights * found["right"].to_numpy()).cumsum(axis=1, dtype=float)[:, last]
    precision = np.maximum.accumulate((right / np.maximum(said, 1e-12))[:, ::-1], axis=1)[:, ::-1]
    gained = (np.diff(right, axis=1, prepend=0) * precision).sum(axis=1)
    return np.divide(gained, there, out=np.full(len(there), np.nan), where=there > 0)


def box_metric(classes: Sequence[int] | None = None) -> Metric:
    """``detection_average_precision`` of all classes, or of those at these places, as a metric of a study."""
    return Metric(lambda said, weights=None: detection_average_precision(said, weights, classes))
