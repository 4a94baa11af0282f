"""Read frozen feature maps with few labelled frames: one linear classifier, the same at every place."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslbook.metrics.segmentation import classes_in, mean_iou

PENALTIES = (1e-2, 1e-3, 1e-4)
BLOCK = 16  # frames, or channels, that are float32 at once
Maps = np.ndarray | Sequence[np.ndarray]


def check_pairs(n_frames: int, n_masks: int) -> None:
    """Refuse frames and masks of unequal number."""
    if n_frames != n_masks:
        raise ValueError(f"there are {n_frames} frames and {n_masks} masks; give the same frames.")


def cell_counts(masks: np.ndarray, cells: tuple[int, int], n_classes: int) -> np.ndarray:
    """Pixels of each class in every cell of a grid laid over the masks; void is left out.

    Parameters
    ----------
    masks : uint8 array, shape (n, height, width)
    cells : rows and columns of the grid.

    Returns
    -------
    float32 array, shape (n, rows, columns, n_classes)

    Raises
    ------
    ValueError
        If the cells do not divide the masks, or as ``classes_in`` says.
    """
    n, height, width = masks.shape
    if height % cells[0] or width % cells[1]:
        raise ValueError(
            f"masks of {height} x {width} pixels do not fall into {cells[0]} x {cells[1]} cells; use frames whose "
            "height and width are multiples of those of the features."
        )
    blocks = masks.reshape(n, cells[0], height // cells[0], cells[1], width // cells[1])
    counts = np.zeros((n, *cells, n_classes), dtype=np.float32)
    for number in classes_in(masks, n_classes):
        counts[..., number] = (blocks == number).sum(axis=(2, 4))
    return counts


def confusion_of_cells(counts: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Pixels by true and called class, (1, n_classes, n_classes), of counts (..., n_classes) in cells called (...)."""
    return np.stack([counts[called == number].sum(axis=0) for number in range(counts.shape[-1])], axis=1)[None]


def frame_folds(n: int, folds: int = 3) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cross-validation over frames in the order of drive and time; a fold is a stretch, for neighbours look alike.

    Yields
    ------
    int arrays : frames to learn from, frames held out. Nothing for fewer than 4 frames.
    """
    for held in np.array_split(np.arange(n), folds) if n >= 4 else ():
        yield np.setdiff1d(np.arange(n), held), held


def enlarged_labels(scores: Tensor, shape: tuple[int, int]) -> np.ndarray:
    """Class of the highest score at full resolution, the scores interpolated between cells.

    Parameters
    ----------
    scores : float tensor, shape (n, n_classes, rows, columns)
    shape : height and width of the labels.

    Returns
    -------
    uint8 array, shape (n, height, width)
    """
    enlarged = (F.interpolate(part, shape, mode="bilinear") for part in scores.split(BLOCK))
    return torch.cat([part.max(dim=1).indices.byte() for part in enlarged]).numpy()  # argmax takes five times as long


def moments(maps: Maps) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel over an unlabelled pool of feature maps (see ``dense_probe``); both (c,)."""
    found = []
    for part in _parts(maps):
        for i in range(0, part.shape[1], BLOCK):
            channels = part[:, i : i + BLOCK].astype(np.float32)
            found.append((channels.mean(axis=(0, 2, 3)), channels.std(axis=(0, 2, 3))))
    mean, deviation = map(np.concatenate, zip(*found, strict=True))
    return mean, np.where(deviation > 1e-8, deviation, 1)


def dense_probe(
    features: Maps, masks: np.ndarray, test_features: Maps, n_classes: int, pool: tuple[np.ndarray, np.ndarray],
    seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """A 1 x 1 convolution on frozen feature maps: multinomial logistic regression, the same at every cell.

    A cell's target is the share of each class among its pixels; a cell of void only does not count. A pixel weighs one
    over the square root of the frequency of its class. The L2 penalty with the best mean IoU in cross-validation over
    frames is taken; for fewer than 4 frames, 0.001.

    Parameters
    ----------
    features, test_features : float arrays, shape (n, c, rows, columns) and (n_test, c, rows, columns), frozen; or
        sequences of such arrays of the same frames, whose channels are taken together. Half precision will do: only a
        few frames are float32 at a time.
    masks : uint8 array, shape (n, height, width), of the drawn frames, by drive and time.
    pool : ``moments`` of the unlabelled pool.
    seed : draws the cells that are learnt from, where there are more than 20,000.

    Returns
    -------
    uint8 array, shape (n_test, height, width), the class of every pixel.

    Raises
    ------
    ValueError
        If frames and masks do not match; see ``cell_counts``.
    """
    parts, rng = _parts(features), np.random.default_rng(seed)
    for part in parts:
        check_pairs(len(part), len(masks))
    counts = cell_counts(masks, parts[0].shape[2:], n_classes)
    balanced = counts / np.sqrt(np.maximum(counts.mean(axis=(0, 1, 2)), 1e-6))
    mean, deviation = (torch.from_numpy(values) for values in pool)
    quality, weights = np.array([0, 1e-9, 0]), [torch.zeros(len(mean) + 1, n_classes)] * len(PENALTIES)
    for train, held in frame_folds(len(masks)):
        x, y = _drawn_cells(parts, balanced, train, 3000, rng)
        for i, penalty in enumerate(PENALTIES):
            weights[i] = _logistic_fit((x - mean) / deviation, y, penalty, start=weights[max(i - 1, 0)])
        for i, scores in enumerate(_scores([part[held[0] : held[-1] + 1] for part in parts], weights, pool)):
            quality[i] += mean_iou(confusion_of_cells(counts[held], scores.argmax(dim=1).numpy()))
    best = quality.argmax()
    x, y = _drawn_cells(parts, balanced, np.arange(len(masks)), 20_000, rng)
    final = _logistic_fit((x - mean) / deviation, y, PENALTIES[best], start=weights[best])
    return enlarged_labels(_scores(_parts(test_features), [final], pool)[0], masks.shape[1:])


def _parts(maps: Maps) -> list[np.ndarray]:
    return [maps] if isinstance(maps, np.ndarray) else list(maps)


def _scores(parts: list[np.ndarray], weights: list[Tensor], pool: tuple[np.ndarray, np.ndarray]) -> list[Tensor]:
    """Scores of every class in every cell, (n, n_classes, rows, columns), for each of several weights."""
    mean, deviation = (torch.from_numpy(values) for values in pool)
    kernels = [w[:-1] / deviation[:, None] for w in weights]  # standardising is linear, so it goes into the weights
    biases = [w[-1] - mean @ kernel for w, kernel in zip(weights, kernels, strict=True)]
    scores = [[] for _ in weights]
    for i in range(0, len(parts[0]), BLOCK):
        x = torch.from_numpy(np.concatenate([part[i : i + BLOCK] for part in parts], axis=1, dtype=np.float32))
        for blocks, kernel, bias in zip(scores, kernels, biases, strict=True):
            blocks.append(F.conv2d(x, kernel.T[:, :, None, None], bias))
    return [torch.cat(blocks) for blocks in scores]


def _drawn_cells(
    parts: list[np.ndarray], counts: np.ndarray, frames: np.ndarray, most: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Features (m, c) and class counts (m, n_classes) of labelled cells of some frames, at most so many, at random."""
    cells = np.flatnonzero(counts[frames].sum(axis=-1))
    cells = rng.choice(cells, most, replace=False) if len(cells) > most else cells
    frame, row, column = np.unravel_index(cells, (len(frames), *counts.shape[1:3]))
    place = frames[frame], slice(None), row, column
    drawn = np.concatenate([part[place] for part in parts], axis=1, dtype=np.float32)
    return torch.from_numpy(drawn), torch.from_numpy(counts[frames[frame], row, column])


def _logistic_fit(x: Tensor, counts: Tensor, penalty: float, start: Tensor) -> Tensor:
    """Weights (c + 1, n_classes), the last row the bias, by full-batch L-BFGS."""
    target = counts / counts.sum()
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=30, tolerance_change=1e-6, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = torch.addmm(weights[-1], x, weights[:-1])
        value = -(target * logits.log_softmax(dim=1)).sum() + penalty * weights[:-1].square().sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    return weights.detach()
