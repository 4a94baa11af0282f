"""Methods for frames with masks: what a study of them keeps and scores, and rivals that need no network.

A segmenter learns from a few labelled frames and returns labels, uint8 (n_test, height, width).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from sslbook.domains.driving.data import Scenes
from sslbook.domains.driving.probes import confusion_of_cells, frame_folds
from sslbook.draws import _check_frames
from sslbook.metrics import Metric
from sslbook.metrics.segmentation import classes_in, confusion_counts, found_regions, mean_iou, region_counts
from sslbook.study import Method

BANDWIDTHS = (2.0, 4.0, 8.0, 16.0)  # pixels
SCALES = (3, 9, 21)  # widths of the windows around a pixel, in pixels of the features


@dataclass(frozen=True, eq=False)
class Segmentation:
    """How well the test frames were segmented: counts of each frame, from which every metric follows.

    A study keeps hundreds of these; the labels themselves would take megabytes each.

    Attributes
    ----------
    confusion : int64 array, shape (n, n_classes, n_classes), of ``confusion_counts``.
    regions : int64 array, shape (n, n_classes, 3), of ``region_counts``; None where no classes were asked for.
    """

    confusion: np.ndarray
    regions: np.ndarray | None = None


def score_masks(labels: np.ndarray, masks: np.ndarray, n_classes: int, numbers: Sequence[int] = ()) -> Segmentation:
    """Count labels against masks, both uint8 (n, height, width); regions are those of the classes of these numbers."""
    regions = region_counts(masks, labels, numbers, n_classes) if len(numbers) else None
    return Segmentation(confusion_counts(masks, labels, n_classes), regions)


def segmenter_method(
    name: str, family: str, segment: Callable[[np.ndarray, int], np.ndarray], scenes: Scenes, **settings: Any
) -> Method:
    """A segmenter as a method of a study, which predicts a ``Segmentation`` of the test frames.

    Parameters
    ----------
    segment : maps (indices into ``scenes.train.labelled``, seed) to labels of the test frames, uint8 (n_test, height,
        width).
    scenes : the masks of its test split are the truth; regions are those of ``scenes.vulnerable``.
    settings : of ``Method``.

    Raises
    ------
    ValueError
        If no test frame has a mask.
    """
    if not len(scenes.test.labelled):
        raise ValueError("no test frame has a mask; label some frames of the test drives.")
    truth = scenes.test.masks, len(scenes.classes), scenes.vulnerable

    def fit(index: np.ndarray, seed: int) -> Segmentation:
        return score_masks(segment(index, seed), *truth)

    return Method(name, family, fit, **settings)


def iou_metric(numbers: Sequence[int] | None = None) -> Metric:
    """``mean_iou`` over all classes, or over those of the given numbers, as a metric of a study."""
    return Metric(lambda said, weights=None: mean_iou(said.confusion, weights, numbers))


def found_metric(numbers: Sequence[int] | None = None) -> Metric:
    """``found_regions`` of all classes whose regions were counted, or of the numbers given, as a metric of a study."""

    def score(said: Segmentation, weights: np.ndarray | None = None) -> np.ndarray:
        if said.regions is None:
            raise ValueError("no regions were counted; name the classes that matter in Scenes.vulnerable.")
        return found_regions(said.regions, weights, numbers)

    return Metric(score)


def draw_frames(drives: np.ndarray, budget: int, draw: int) -> np.ndarray:
    """Ascending indices of random frames, each drive in proportion; a larger budget of a draw adds to a smaller one.

    Parameters
    ----------
    drives : array, shape (n,), the drive of each frame.
    budget : number of frames; all of them are returned where it is n.
    draw : number of the draw; the same number gives the same frames.

    Raises
    ------
    ValueError
        If the budget exceeds the frames, or is less than one.
    """
    _check_frames(budget, len(drives))
    if budget == len(drives):
        return np.arange(budget)
    rng = np.random.default_rng(draw)
    place = np.empty(len(drives))  # the frames of each drive are shuffled and spread evenly from 0 to 1
    for drive in np.unique(drives):
        frames = np.flatnonzero(drives == drive)
        place[rng.permutation(frames)] = (np.arange(len(frames)) + rng.random()) / len(frames)
    return np.sort(np.argsort(place, kind="stable")[:budget])


def position_prior(masks: np.ndarray, n_test: int, n_classes: int) -> np.ndarray:
    """The most likely class at each position, whatever the frame shows: what a segmenter has to beat.

    Counts are blurred over neighbouring positions; how far is chosen by cross-validation from ``BANDWIDTHS``, the
    second widest where frames are too few for that.

    Parameters
    ----------
    masks : uint8 array, shape (n, height, width), of the drawn frames, by drive and time.
    """
    present = classes_in(masks, n_classes)
    quality = np.zeros(len(BANDWIDTHS))
    quality[-2] = 1e-9  # taken where all are equal
    for train, held in frame_folds(len(masks)):
        truth, known = (_position_counts(masks[part], present) for part in (held, train))
        for i, bandwidth in enumerate(BANDWIDTHS):
            quality[i] += mean_iou(confusion_of_cells(truth, _most_likely(known, bandwidth)))
    labels = present[_most_likely(_position_counts(masks, present), BANDWIDTHS[quality.argmax()])]
    return np.repeat(labels[None].astype(np.uint8), n_test, axis=0)


def _position_counts(masks: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Frames that show each present class at each position, float32 (height, width, len(present))."""
    return np.stack([(masks == c).sum(axis=0) for c in present], axis=-1).astype(np.float32)


def _most_likely(counts: np.ndarray, bandwidth: float) -> np.ndarray:
    """Place of the highest blurred count, (height, width) of (height, width, k); of the commonest far from any."""
    blurred = gaussian_filter(counts, (bandwidth, bandwidth, 0), mode="nearest")
    return (blurred + 1e-6 * counts.mean(axis=(0, 1))).argmax(axis=-1)


def pixel_features(frames: np.ndarray) -> np.ndarray:
    """Describe every second pixel by colour, position, texture and surroundings, for a classifier of pixels.

    Parameters
    ----------
    frames : uint8 array, shape (n, height, width, 3); height and width are even.

    Returns
    -------
    float32 array, shape (n, height / 2, width / 2, f)
    """
    return np.concatenate([_features_of(frames[i : i + 16]) for i in range(0, len(frames), 16)])


def _features_of(frames: np.ndarray) -> np.ndarray:
    """The features of a few frames."""
    picture = frames.astype(np.float32) / 255
    small = _halved(picture)
    light = small.mean(axis=3)
    spread = light.std(axis=(1, 2), keepdims=True) + 0.05
    relative = ((light - light.mean(axis=(1, 2), keepdims=True)) / spread)[..., None]
    colour, edges = _colours(small), _edges(picture.mean(axis=3), spread)
    basis = np.concatenate([relative, colour[..., 1:3]], axis=3)
    above = np.cumsum(basis, axis=1) / np.arange(1, light.shape[1] + 1, dtype=np.float32)[:, None, None]
    rows, columns = np.meshgrid(np.linspace(0, 1, light.shape[1]), np.linspace(-1, 1, light.shape[2]), indexing="ij")
    place = np.stack([rows, np.abs(columns)], axis=2).astype(np.float32)  # distance from the middle: mirrored alike
    found = [small, colour, relative, np.broadcast_to(place, (*light.shape, 2)), above]
    for scale in SCALES:
        mean = _window(basis, scale)
        found += [mean, np.sqrt(np.maximum(_window(basis**2, scale) - mean**2, 0)), _window(edges, scale)]
    return np.concatenate(found, axis=3)


def _halved(values: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels."""
    n, height, width = values.shape[:3]
    return values.reshape(n, height // 2, 2, width // 2, 2, *values.shape[3:]).mean(axis=(2, 4))


def _colours(picture: np.ndarray) -> np.ndarray:
    """Logarithm of the light, two opponent colours that hardly depend on it, and saturation."""
    red, green, blue = np.moveaxis(picture + 0.05, 3, 0)
    total, brightest = red + green + blue, picture.max(axis=3)
    opponent = (red - green) / total, (red + green - 2 * blue) / total
    return np.stack([np.log(total), *opponent, (brightest - picture.min(axis=3)) / (brightest + 0.05)], axis=3)


def _edges(light: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Strength of upright and of level edges, slant between them, and detail against the neighbours."""
    x, y = (np.gradient(light, axis=axis) / spread for axis in (2, 1))
    fine = np.abs(light - _window(light[..., None], 3)[..., 0]) / spread
    return _halved(np.stack([np.abs(x), np.abs(y), x * y, fine], axis=3))


def _window(values: np.ndarray, size: int) -> np.ndarray:
    """Means over windows of size x size pixels."""
    return uniform_filter(values, (0, size, size, 0), mode="nearest")
