"""Find images that a data set holds twice, or nearly so: a nuisance within a split, a leak across splits."""

from dataclasses import replace

import numpy as np
import pandas as pd

from sslbook.data.tables import UNKNOWN
from sslbook.domains.imaging.data import Images

THUMBNAIL = 14  # pixels
CHUNK = 1024  # images compared with all others at once
COLUMNS = "kind split_a index_a name_a split_b index_b name_b same_label distance".split()


def duplicates(images: Images, threshold: float = 0.05) -> pd.DataFrame:
    """List pairs of equal or nearly equal images, within and across splits.

    Exact copies have the same pixels; each is listed once, next to the first image with these pixels (in the order
    train, validation, test). Nearly equal images have a correlation distance (1 - Pearson correlation) below
    ``threshold`` between their 14 x 14 thumbnails. Every thumbnail is standardised, and the mean thumbnail of the data
    set is subtracted: all chest X-rays show the same anatomy, and would all count as alike otherwise. The default
    threshold lies between the distances of frames of one scan (most below 0.02) and those of the nearest images of
    different patients (above 0.06) in the two medical data sets of the book. An image of a single grey value can only
    be an exact copy.

    Parameters
    ----------
    images : the data set; every image of the three splits is compared with every other.
    threshold : 0 to 2.

    Returns
    -------
    DataFrame, one row per pair: kind ("exact" or "near"), split, index in the split and name of both images,
    same_label (False also where a label is not known), distance; exact copies first, then by distance.
    """
    splits = images.splits
    where = pd.DataFrame(
        {
            "split": np.repeat(list(splits), [len(split) for split in splits.values()]),
            "index": np.concatenate([np.arange(len(split)) for split in splits.values()]),
            "name": np.concatenate([split.names for split in splits.values()]),
            "label": np.concatenate([split.labels for split in splits.values()]),
        }
    )
    pixels = np.concatenate([split.images for split in splits.values()])
    original = _first_equal(pixels)
    copies = np.flatnonzero(original != np.arange(len(pixels)))
    a, b, distance = _near_pairs(_thumbnails(pixels), threshold)
    near = original[a] != original[b]
    a, b = np.concatenate([original[copies], a[near]]), np.concatenate([copies, b[near]])
    left, right = where.iloc[a].reset_index(drop=True), where.iloc[b].reset_index(drop=True)
    pairs = left.add_suffix("_a").join(right.add_suffix("_b"))
    pairs["kind"] = np.repeat(["exact", "near"], [len(copies), near.sum()])
    pairs["same_label"] = (pairs["label_a"] == pairs["label_b"]) & (pairs["label_a"] != UNKNOWN)
    pairs["distance"] = np.concatenate([np.zeros(len(copies)), distance[near]])
    return pairs.sort_values(["kind", "distance"], kind="stable", ignore_index=True)[COLUMNS]


def without_copies(images: Images, threshold: float = 0.05) -> Images:
    """The data set without those training images that have an equal or nearly equal one in another split.

    Parameters
    ----------
    images, threshold : as for ``duplicates``.
    """
    held_out = {image.tobytes() for split in (images.validation, images.test) for image in split.images}
    equal = [i for i, image in enumerate(images.train.images) if image.tobytes() in held_out]
    near = duplicates(images, threshold).query("kind == 'near' and split_a == 'train' and split_b != 'train'")
    kept = np.setdiff1d(np.arange(len(images.train)), [*equal, *near["index_a"]])
    return replace(images, train=images.train.subset(kept))


def _first_equal(pixels: np.ndarray) -> np.ndarray:
    """Return for each image the position of the first image with the same pixels, (n,)."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(image.tobytes(), i) for i, image in enumerate(pixels)], dtype=np.int64)


def _thumbnails(pixels: np.ndarray) -> np.ndarray:
    """Return (n, 196) reduced images of mean 0 and length 1, less their mean; zeros for images of one grey value.

    The mean is taken as if there were ten flat images more: a handful of images would vanish in their own mean.
    """
    down, across = (_area_weights(length) for length in pixels.shape[1:3])
    small = np.stack([down @ image.mean(axis=-1, dtype=np.float32) @ across.T for image in pixels])
    rows = small.reshape(len(small), -1)
    rows = _unit(rows - rows.mean(axis=1, keepdims=True))
    common = rows.sum(axis=0) / (len(rows) + 10)
    return _unit(np.where(rows.any(axis=1, keepdims=True), rows - common, 0))


def _area_weights(length: int) -> np.ndarray:
    """Return (14, length): the share of each pixel in each of 14 equal stretches of the line."""
    edges, pixel = np.linspace(0, length, THUMBNAIL + 1), np.arange(length)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (overlap.clip(0) * THUMBNAIL / length).astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 1e-3)


def _near_pairs(rows: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs a < b of unit rows with 1 - correlation below ``threshold``, and that distance."""
    found = []
    for start in range(0, len(rows), CHUNK):
        distance = 1 - rows[start : start + CHUNK] @ rows[start:].T
        a, b = np.nonzero(np.triu(distance < threshold, k=1))
        found.append((start + a, start + b, distance[a, b].clip(0)))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
