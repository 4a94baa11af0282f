"""How well pixels are classified: intersection over union."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslbook.data.pictures import VOID


def confusion_counts(masks: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Pixels of each frame by true class (rows) and class they were called (columns); void is left out.

    Parameters
    ----------
    masks : uint8 array, shape (n, height, width), the truth: 0 to n_classes - 1, or VOID.
    labels : uint8 array, shape (n, height, width), the class each pixel was called: 0 to n_classes - 1.

    Returns
    -------
    int64 array, shape (n, n_classes, n_classes)

    Raises
    ------
    ValueError
        If the shapes differ, or a number is no class.
    """
    if masks.shape != labels.shape:
        raise ValueError(f"masks have shape {masks.shape}, labels {labels.shape}; give one label per pixel of a mask.")
    said = masks != VOID
    check_classes("masks", masks[said], n_classes)
    check_classes("labels", labels, n_classes)
    frame = np.repeat(np.arange(len(masks)) * n_classes**2, said.sum(axis=(1, 2)))
    cell = frame + masks[said].astype(np.int64) * n_classes + labels[said]
    return np.bincount(cell, minlength=len(masks) * n_classes**2).reshape(len(masks), n_classes, n_classes)


def check_classes(name: str, values: np.ndarray, n_classes: int) -> None:
    """Refuse numbers that are no class."""
    if values.max(initial=0) >= n_classes:
        raise ValueError(
            f"{name} hold the number {values.max()}, and there are {n_classes} classes (0 to {n_classes - 1})."
        )


def classes_in(masks: np.ndarray, n_classes: int) -> np.ndarray:
    """Numbers of the classes that masks hold, ascending.

    Raises
    ------
    ValueError
        If a number is no class, or no pixel has a class.
    """
    present = np.flatnonzero(np.bincount(masks.ravel(), minlength=VOID)[:VOID])
    if present.size == 0:
        raise ValueError("every pixel of the masks is void; draw frames with a mask.")
    check_classes("masks", present, n_classes)
    return present


def iou(confusion: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of each class, TP / (TP + FP + FN), the pixels of all frames counted together.

    Parameters
    ----------
    confusion : int array, shape (n, n_classes, n_classes), of ``confusion_counts``.
    weights : optional array, shape (replicates, n), the multiplicity of each frame in a bootstrap sample.

    Returns
    -------
    float array, shape (replicates, n_classes), or (n_classes,) without weights. NaN where no pixel is of the class.
    """
    w = np.ones((1, len(confusion))) if weights is None else np.asarray(weights, dtype=float)
    truth, called = confusion.sum(axis=2), confusion.sum(axis=1)
    hits, truth, called = (w @ counts for counts in (np.diagonal(confusion, axis1=1, axis2=2), truth, called))
    value = np.full(hits.shape, np.nan)
    np.divide(hits, truth + called - hits, out=value, where=truth > 0)
    return value[0] if weights is None else value


def mean_iou(
    confusion: np.ndarray, weights: np.ndarray | None = None, numbers: Sequence[int] | None = None
) -> np.ndarray:
    """Mean of ``iou`` over all classes, or over those of the given numbers; classes without a pixel do not count.

    Returns
    -------
    float array, shape (replicates,), or a scalar without weights. NaN where a sample has none of the classes.
    """
    value = iou(confusion, weights)
    value = value if numbers is None else value[..., list(numbers)]
    present = ~np.isnan(value)
    with np.errstate(invalid="ignore"):
        return np.where(present, value, 0).sum(axis=-1) / present.sum(axis=-1)
