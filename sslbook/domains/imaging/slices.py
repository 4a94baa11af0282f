"""Slices of a scan: where they lie, which are neighbours, and what one who reads scans would look at."""

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from sslbook.domains.imaging.data import ImageSplit

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def position(split: ImageSplit) -> np.ndarray:
    """Where in its scan a slice lies, from 0 to 1, and how far from the middle, squared.

    Parameters
    ----------
    split : with ``groups``, one scan each, and ``order``.

    Returns
    -------
    float64 array, shape (n, 2)
    """
    place = split.order / pd.Series(split.order).groupby(split.groups).transform("max").to_numpy()
    return np.stack([place, (place - 0.5) ** 2], axis=1)


def slice_pairs(split: ImageSplit) -> np.ndarray:
    """Each slice above the next one of its scan, for ``pretext.NeighbourSimCLR``; never slices of two scans.

    Returns
    -------
    uint8 array, shape (pairs, 2 height, width, channels)
    """
    order = np.lexsort((split.order, split.groups))
    lower, upper = order[:-1], order[1:]
    near = (split.groups[lower] == split.groups[upper]) & (split.order[upper] - split.order[lower] == 1)
    return np.concatenate([split.images[lower[near]], split.images[upper[near]]], axis=1)


def hand_made(split: ImageSplit) -> np.ndarray:
    """Numbers for a slice of a head without learning: its grey values, bright patches, left against right.

    Brightness is relative to the median of the scan, and left is held against right about the middle of the head. At
    three scales: the brightest patch inside the head and anywhere, the largest difference between the sides and its
    99 % quantile, and the share of the picture that is inside and a third brighter than the scan.

    Parameters
    ----------
    split : grey pictures with ``groups``, one scan each.

    Returns
    -------
    float32 array, shape (n, 23)
    """
    light = split.images[..., 0].astype(np.float32)
    for scan in (split.groups == group for group in np.unique(split.groups)):
        lit = light[scan][light[scan] > light[scan].max() / 10]
        light[scan] /= np.median(lit) if len(lit) else 1
    head, width = light > 0.4, light.shape[2]
    middle = (head.sum(axis=1) * np.arange(width)).sum(axis=1) / head.sum(axis=(1, 2)).clip(1)
    turned = [np.roll(x[:, ::-1], round(2 * m) - width + 1, axis=1) for x, m in zip(light, middle, strict=True)]
    greys = [np.quantile(x[h], SHARES) if h.any() else np.zeros(len(SHARES)) for x, h in zip(light, head, strict=True)]
    inside = gaussian_filter(head.astype(np.float32), (0, 2, 2)) > 0.9
    found = [head.mean(axis=(1, 2)), *np.transpose(greys)]
    for scale in (1, 2, 3):
        smooth, apart = (gaussian_filter(x, (0, scale, scale)) for x in (light, light - np.stack(turned)))
        found += [x.max(axis=(1, 2)) for x in (smooth * inside, smooth, apart)]
        found += [np.quantile(apart, 0.99, axis=(1, 2)), (inside & (smooth > 1.3)).mean(axis=(1, 2))]
    return np.stack(found, axis=1).astype(np.float32)
