"""How well pixels are classified: intersection over union, and connected regions that are found or overlooked."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from sslbook.data.pictures import VOID

# Shares of the height of the frame. Of one kind of thing, the height of its box falls with one over the distance;
# Dollar et al. (2012) part pedestrians in the same way, at 80 and 30 of 480 pixels. The row of the lowest pixel would
# need the horizon, and says nothing of signs, or where a car hides the feet. No camera of ours is calibrated: a proxy.
DISTANCE_BANDS = {"far": 0, "middle": 30 / 480, "near": 80 / 480}
# Shares of the area of the frame: the 32 x 32 and 96 x 96 of 640 x 480 pixels of COCO (Lin et al. 2014).
SIZE_BANDS = {"small": 0, "medium": 1 / 300, "large": 3 / 100}


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


def region_recall(masks: np.ndarray, labels: np.ndarray, numbers: Sequence[int], min_pixels: int = 8) -> pd.DataFrame:
    """Connected regions of some classes in every frame, and how much of each was called by its class.

    People who overlap are one region. A region is found when at least half of its pixels are: the usual half of
    benchmarks (Everingham et al. 2010), but of the region and not of the union, for labels have no instances, and a
    crowd called in one piece is found. That alone would reward calling everything a pedestrian; mind the false alarms
    of ``region_counts``.

    Parameters
    ----------
    masks, labels : uint8 arrays, shape (n, height, width), the truth and what was said.
    numbers : of the classes whose regions are wanted.
    min_pixels : smaller regions are left out: nobody could tell what they are.

    Returns
    -------
    one row per region, by frame and class: frame, class, pixels, height (of its box, in pixels), bottom (row of its
    lowest pixel), share (of its pixels called by its class), distance_band ("near", "middle" or "far", a proxy by its
    height, see ``DISTANCE_BANDS``), size_band ("small", "medium" or "large", by its pixels), touched (any pixel called
    by its class) and found (half of them)
    """
    height, width = masks.shape[1:]
    parts = []
    for number in numbers:
        pixel, region = _connected(masks == number)
        first, last = np.empty((2, region.max(initial=-1) + 1), dtype=np.int64)
        first[region[::-1]], last[region] = pixel[::-1] // width, pixel // width
        columns = {"frame": first // height, "class": number, "pixels": np.bincount(region)}
        columns |= {"height": last - first + 1, "bottom": last % height}
        columns["share"] = np.bincount(region, labels.ravel()[pixel] == number) / columns["pixels"]
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts)
    table = table[table["pixels"] >= min_pixels].sort_values(["frame", "class"], kind="stable", ignore_index=True)
    table["distance_band"] = _band(table["height"] / height, DISTANCE_BANDS)
    table["size_band"] = _band(table["pixels"] / (height * width), SIZE_BANDS)
    return table.assign(touched=table["share"] > 0, found=table["share"] >= 0.5)


def _connected(there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Regions of a boolean array (n, height, width), diagonals touching, none across frames.

    Returns
    -------
    int arrays : places of the true pixels in the flat array, ascending, and the region of each, from 0.
    """
    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = True
    pixel = np.flatnonzero(there)
    return pixel, ndimage.label(there, touching)[0].ravel()[pixel].astype(np.int64) - 1


def _band(shares: pd.Series, bands: dict[str, float]) -> pd.Categorical:
    codes = np.searchsorted(list(bands.values()), shares, side="right") - 1
    return pd.Categorical.from_codes(codes, list(bands), ordered=True)


def region_counts(
    masks: np.ndarray, labels: np.ndarray, numbers: Sequence[int], n_classes: int, min_pixels: int = 8
) -> np.ndarray:
    """Per frame and class: regions there are, regions found, and false alarms.

    A false alarm is a region of the labels that holds no pixel of its class; what lies on void does not count.

    Parameters
    ----------
    masks, labels, numbers, min_pixels : as for ``region_recall``.
    n_classes : number of classes; those that are not among ``numbers`` have zeros.

    Returns
    -------
    int64 array, shape (n, n_classes, 3)
    """
    counts = np.zeros((len(masks), n_classes, 3), dtype=np.int64)
    table = region_recall(masks, labels, numbers, min_pixels)
    np.add.at(counts[:, :, 0], (table["frame"], table["class"]), 1)
    np.add.at(counts[:, :, 1], (table["frame"], table["class"]), table["found"])
    for number in numbers:
        pixel, region = _connected(labels == number)
        truth = masks.ravel()[pixel]
        frame = np.zeros(region.max(initial=-1) + 1, dtype=np.int64)
        frame[region] = pixel // masks[0].size
        alarm = (np.bincount(region, truth != VOID) >= min_pixels) & (np.bincount(region, truth == number) == 0)
        counts[:, number, 2] = np.bincount(frame[alarm], minlength=len(masks))
    return counts


def found_regions(
    counts: np.ndarray, weights: np.ndarray | None = None, numbers: Sequence[int] | None = None
) -> np.ndarray:
    """Share of the regions that are found, all classes or those of the given numbers counted together.

    Parameters
    ----------
    counts : int array, shape (n, n_classes, 3), of ``region_counts``.
    weights : optional array, shape (replicates, n), the multiplicity of each frame in a bootstrap sample.

    Returns
    -------
    float array, shape (replicates,), or a scalar without weights. NaN where a sample has no region.
    """
    counts = counts if numbers is None else counts[:, list(numbers)]
    w = np.ones((1, len(counts))) if weights is None else np.asarray(weights, dtype=float)
    there, found = (w @ counts[:, :, which].sum(axis=1) for which in (0, 1))
    with np.errstate(invalid="ignore"):
        value = found / there
    return value[0] if weights is None else value
