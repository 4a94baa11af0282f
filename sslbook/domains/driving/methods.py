"""Segmenters: what each of some classical methods and probes says about every pixel of the test frames.

Each learns from a few labelled frames and returns labels, uint8 (n_test, height, width). Settings are fixed, or chosen
by cross-validation inside the frames given.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, uniform_filter
from torch import Tensor, nn

from sslbook.augment.geometry import crop, uniform
from sslbook.augment.tensors import to_tensor
from sslbook.augment.views import jitter_colours
from sslbook.baselines import import_lightgbm
from sslbook.data.pictures import VOID
from sslbook.domains.driving.regions import found_regions
from sslbook.draws import _check_frames
from sslbook.encoders.scenes import SceneEncoder
from sslbook.metrics import Metric
from sslbook.metrics.segmentation import check_classes, mean_iou
from sslbook.train import OneCycle, default_precision


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
        If the cells do not divide the masks, or as ``_classes_of`` says.
    """
    n, height, width = masks.shape
    if height % cells[0] or width % cells[1]:
        raise ValueError(
            f"masks of {height} x {width} pixels do not fall into {cells[0]} x {cells[1]} cells; use frames whose "
            "height and width are multiples of those of the features."
        )
    blocks = masks.reshape(n, cells[0], height // cells[0], cells[1], width // cells[1])
    counts = np.zeros((n, *cells, n_classes), dtype=np.float32)
    for number in _classes_of(masks, n_classes):
        counts[..., number] = (blocks == number).sum(axis=(2, 4))
    return counts


def _classes_of(masks: np.ndarray, n_classes: int) -> np.ndarray:
    """Numbers in the masks, ascending; refuses those that are no class, and masks that are void all over."""
    present = np.flatnonzero(np.bincount(masks.ravel(), minlength=VOID)[:VOID])
    if present.size == 0:
        raise ValueError("the masks are void all over; draw frames with a mask.")
    check_classes("masks", present, n_classes)
    return present


def _check_pairs(frames: np.ndarray, masks: np.ndarray) -> None:
    if len(frames) != len(masks):
        raise ValueError(f"there are {len(frames)} frames and {len(masks)} masks; give the same frames.")


def frame_folds(n: int, folds: int = 3) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cross-validation over frames in the order of drive and time; a fold is a stretch, for neighbours look alike.

    Yields
    ------
    int arrays : frames to learn from, frames held out. Nothing for fewer than 4 frames.
    """
    for held in np.array_split(np.arange(n), folds) if n >= 4 else ():
        yield np.setdiff1d(np.arange(n), held), held


def enlarged_labels(scores: Tensor, shape: tuple[int, int], block: int = 16) -> np.ndarray:
    """Class of the highest score at full resolution, the scores interpolated between cells.

    Parameters
    ----------
    scores : float tensor, shape (n, classes, rows, columns)
    shape : height and width of the labels.

    Returns
    -------
    uint8 array, shape (n, height, width)
    """
    enlarged = (F.interpolate(part, shape, mode="bilinear") for part in scores.split(block))
    return torch.cat([part.max(dim=1).indices.byte() for part in enlarged]).numpy()  # argmax takes five times as long


BANDWIDTHS = (2.0, 4.0, 8.0, 16.0)  # pixels


def position_prior(masks: np.ndarray, n_test: int, n_classes: int) -> np.ndarray:
    """The most likely class at each position, whatever the frame shows: what a segmenter has to beat.

    Counts are blurred over neighbouring positions; how far is chosen by cross-validation from ``BANDWIDTHS``, the
    second widest where frames are too few for that.

    Parameters
    ----------
    masks : uint8 array, shape (n, height, width), of the drawn frames, by drive and time.
    """
    present = _classes_of(masks, n_classes)
    quality = np.zeros(len(BANDWIDTHS))
    quality[-2] = 1e-9
    for train, held in frame_folds(len(masks)):
        truth, known = (_position_counts(masks[part], present) for part in (held, train))
        for i, bandwidth in enumerate(BANDWIDTHS):
            quality[i] += mean_iou(_confusion_of(truth, _most_likely(known, bandwidth))[None])
    labels = present[_most_likely(_position_counts(masks, present), BANDWIDTHS[quality.argmax()])]
    return np.repeat(labels[None].astype(np.uint8), n_test, axis=0)


def _position_counts(masks: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Frames that show each of some classes at each position, (height, width, classes)."""
    return np.stack([(masks == c).sum(axis=0) for c in present], axis=-1).astype(np.float32)


def _most_likely(counts: np.ndarray, bandwidth: float) -> np.ndarray:
    """Class with the highest blurred count, (height, width) of (height, width, classes); the commonest far from any."""
    blurred = gaussian_filter(counts, (bandwidth, bandwidth, 0), mode="nearest")
    return (blurred + 1e-6 * counts.mean(axis=(0, 1))).argmax(axis=-1)


def _confusion_of(counts: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Pixels by true and called class, (classes, classes), of counts (..., classes) in cells called (...)."""
    classes = counts.shape[-1]
    return np.stack([counts[called == c].sum(axis=0) for c in range(classes)], axis=1)


SCALES = (3, 9, 21)  # widths of the windows around a pixel, in pixels of the features


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
    columns = [small, colour, relative, _positions(light.shape), above]
    for scale in SCALES:
        mean = _window(basis, scale)
        columns += [mean, np.sqrt(np.maximum(_window(basis**2, scale) - mean**2, 0)), _window(edges, scale)]
    return np.concatenate(columns, axis=3)


def _halved(values: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels."""
    n, height, width = values.shape[:3]
    return values.reshape(n, height // 2, 2, width // 2, 2, *values.shape[3:]).mean(axis=(2, 4))


def _colours(picture: np.ndarray) -> np.ndarray:
    """Logarithm of the light, two opponent colours that hardly depend on it, and saturation."""
    red, green, blue = np.moveaxis(picture + 0.05, 3, 0)
    total = red + green + blue
    largest, least = (f(picture, axis=3) for f in (np.max, np.min))
    return np.stack(
        [np.log(total), (red - green) / total, (red + green - 2 * blue) / total, (largest - least) / (largest + 0.05)],
        axis=3,
    )


def _positions(shape: tuple[int, int, int]) -> np.ndarray:
    """Row, and distance from the middle column, as shares."""
    rows, columns = np.meshgrid(np.linspace(0, 1, shape[1]), np.linspace(-1, 1, shape[2]), indexing="ij")
    return np.broadcast_to(np.stack([rows, np.abs(columns)], axis=2).astype(np.float32), (*shape, 2))


def _edges(light: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Strength of upright and of level edges, slant between them, and detail against the neighbours."""
    x = np.gradient(light, axis=2) / spread
    y = np.gradient(light, axis=1) / spread
    fine = np.abs(light - _window(light[..., None], 3)[..., 0]) / spread
    return _halved(np.stack([np.abs(x), np.abs(y), x * y, fine], axis=3))


def _window(values: np.ndarray, size: int) -> np.ndarray:
    """Means over windows of size x size pixels."""
    return uniform_filter(values, (0, size, size, 0), mode="nearest")


ROUNDS = 40


TREES = {
    "objective": "multiclass", "num_leaves": 10, "learning_rate": 0.15, "max_bin": 63, "feature_fraction": 0.3,
    "bagging_fraction": 0.7, "bagging_freq": 1, "min_child_samples": 30, "lambda_l2": 1.0, "deterministic": True,
    "force_row_wise": True, "n_jobs": 1, "verbosity": -1,
}  # fmt: skip


def colour_trees(
    features: np.ndarray, masks: np.ndarray, test_features: np.ndarray, n_classes: int, seed: int = 0
) -> np.ndarray:
    """LightGBM on sampled pixels, each on its own: colour, position, texture and surroundings.

    Rare classes are sampled in proportion to their pixels to the power 0.4. Every second cell of the test features is
    classified, and the probabilities are interpolated.

    Parameters
    ----------
    features, test_features : float arrays, shape (n, rows, columns, f), of ``pixel_features``.
    masks : uint8 array, shape (n, height, width)
    """
    _check_pairs(features, masks)
    present = _classes_of(masks, n_classes)
    x, y = _sampled_pixels(features, masks, present, seed)
    cells = test_features[:, 1::2, 1::2]
    scores = np.zeros((*cells.shape[:3], n_classes), dtype=np.float32)
    if len(present) == 1:
        scores[..., present] = 1
    else:
        lightgbm = import_lightgbm()
        settings = TREES | {"num_class": len(present), "seed": seed}
        model = lightgbm.train(settings, lightgbm.Dataset(x, y, params=settings), ROUNDS)
        said = model.predict(cells.reshape(-1, cells.shape[-1]), num_threads=1)
        scores[..., present] = said.reshape(*cells.shape[:3], -1)
    return enlarged_labels(torch.from_numpy(scores).permute(0, 3, 1, 2).contiguous(), masks.shape[1:])


def _sampled_pixels(
    features: np.ndarray, masks: np.ndarray, present: np.ndarray, seed: int, per_frame: int = 400, most: int = 20_000
) -> tuple[np.ndarray, np.ndarray]:
    """Features (m, f) and classes (m,), as places in ``present``, of drawn pixels; one may be drawn several times."""
    flat = masks.ravel()
    pixels = np.bincount(flat, minlength=VOID)[present]
    share = pixels**0.4 / (pixels**0.4).sum()
    quota = np.ceil(min(per_frame * len(masks), most) * share).astype(int)
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(np.flatnonzero(flat == c), size) for c, size in zip(present, quota, strict=True)]
    frame, row, column = np.unravel_index(np.concatenate(drawn), masks.shape)
    down, across = masks.shape[1] // features.shape[1], masks.shape[2] // features.shape[2]
    return features[frame, row // down, column // across], np.repeat(np.arange(len(present)), quota)


PENALTIES = (1e-2, 1e-3, 1e-4)


def moments(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel over an unlabelled pool of feature maps (n, c, rows, columns); both (c,)."""
    mean, deviation = maps.mean(axis=(0, 2, 3)), maps.std(axis=(0, 2, 3))
    return mean, np.where(deviation > 1e-8, deviation, 1)


def dense_probe(
    features: np.ndarray, masks: np.ndarray, test_features: np.ndarray, n_classes: int,
    pool: tuple[np.ndarray, np.ndarray], seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """A 1 x 1 convolution on frozen feature maps: multinomial logistic regression, the same at every cell.

    A cell's target is the share of each class among its pixels; a cell of void only does not count. A pixel weighs one
    over the square root of the frequency of its class. The L2 penalty with the best mean IoU in cross-validation over
    frames is taken; for fewer than 4 frames, 0.001.

    Parameters
    ----------
    features, test_features : float32 arrays, shape (n, c, rows, columns) and (n_test, c, rows, columns), frozen.
    masks : uint8 array, shape (n, height, width), of the drawn frames, by drive and time.
    pool : ``moments`` of the unlabelled pool.
    seed : draws the cells that are learnt from, where there are more than 20,000.

    Raises
    ------
    ValueError
        If frames and masks do not match; see ``cell_counts``.
    """
    _check_pairs(features, masks)
    counts = cell_counts(masks, features.shape[2:], n_classes)
    balanced = counts / np.sqrt(np.maximum(counts.mean(axis=(0, 1, 2)), 1e-6))
    mean, deviation = (values.astype(np.float32)[:, None, None] for values in pool)
    x = ((features - mean) / deviation).transpose(0, 2, 3, 1)
    rng = np.random.default_rng(seed)
    quality, weights = np.array([0, 1e-9, 0]), [torch.zeros(x.shape[-1] + 1, n_classes)] * len(PENALTIES)
    for train, held in frame_folds(len(masks)):
        drawn = _drawn_cells(x[train], balanced[train], 3000, rng)
        for i, penalty in enumerate(PENALTIES):
            weights[i] = _logistic_fit(*drawn, penalty, start=weights[max(i - 1, 0)])
            called = (torch.from_numpy(x[held]) @ weights[i][:-1] + weights[i][-1]).argmax(dim=-1).numpy()
            quality[i] += mean_iou(_confusion_of(counts[held], called)[None])
    best = quality.argmax()
    final = _logistic_fit(*_drawn_cells(x, balanced, 20_000, rng), PENALTIES[best], start=weights[best])
    kernel = final[:-1] / torch.from_numpy(deviation[:, :, 0])
    bias = final[-1] - torch.from_numpy(mean[:, 0, 0]) @ kernel
    return enlarged_labels(F.conv2d(torch.from_numpy(test_features), kernel.T[:, :, None, None], bias), masks.shape[1:])


def _drawn_cells(x: np.ndarray, counts: np.ndarray, most: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Features (m, c) and class counts (m, classes) of cells with a label, at most so many, at random."""
    cells = np.flatnonzero(counts.sum(axis=-1))
    cells = rng.choice(cells, most, replace=False) if len(cells) > most else cells
    place = np.unravel_index(cells, counts.shape[:-1])
    return torch.from_numpy(x[place]), torch.from_numpy(counts[place])


def _logistic_fit(x: Tensor, counts: Tensor, penalty: float, start: Tensor) -> Tensor:
    """Weights (c + 1, classes), the last row the bias, by full-batch L-BFGS."""
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


@dataclass(frozen=True)
class SceneRecipe:
    """How a segmentation network is trained; the same for every network, pretrained or not.

    Attributes
    ----------
    steps, batch_size : optimiser steps, and crops in each.
    learning_rate : peak of the one-cycle schedule of AdamW.
    size : height and width of the crops in pixels, multiples of 4.
    zoom : smallest and largest zoom of a crop; at 1 it has the frame's own resolution.
    """

    steps: int = 600
    batch_size: int = 4
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    size: tuple[int, int] = (96, 128)
    zoom: tuple[float, float] = (0.5, 1.25)


def fit_segmenter(
    encoder: SceneEncoder, frames: np.ndarray, masks: np.ndarray, n_classes: int, recipe: SceneRecipe, seed: int
) -> nn.Module:
    """Train a copy of the encoder and a new 1 x 1 convolution on labelled frames.

    Crops are zoomed, mirrored and put in another light. As in ``dense_probe``, a cell's target is the share of each
    class among its pixels, and a class weighs one over the square root of its frequency.

    Parameters
    ----------
    encoder : fresh for training from scratch, pretrained for fine-tuning; not changed.
    frames, masks : uint8 arrays, shape (n, height, width, 3) and (n, height, width).

    Returns
    -------
    module that maps frames (n, 3, height, width) to logits (n, n_classes, height / 4, width / 4), in evaluation mode.

    Raises
    ------
    ValueError
        If frames and masks do not match, or as ``_classes_of`` says.
    """
    _check_pairs(frames, masks)
    _classes_of(masks, n_classes)
    device = next(encoder.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    head = nn.Conv2d(encoder.out_features, n_classes, 1, device=device)
    nn.init.normal_(head.weight, std=0.05, generator=generator)
    nn.init.zeros_(head.bias)
    model = SceneSegmenter(copy.deepcopy(encoder), head).train()
    descent = OneCycle(model, recipe.steps, recipe.learning_rate, recipe.weight_decay)
    weight = _class_weights(masks, n_classes).to(device)
    x, y = to_tensor(frames, device), torch.from_numpy(masks).to(device)
    for batch in _batches(len(x), recipe.steps, recipe.batch_size, generator):
        maps = random_zoom(len(batch), recipe.size, x.shape[2:], recipe.zoom, generator)
        views = jitter_colours(crop(x[batch], maps, recipe.size), generator, 0.15, 0.4, 0.15)
        target = weight[_crop_masks(y[batch], maps, recipe.size, n_classes)].permute(0, 3, 1, 2)
        target = F.avg_pool2d(target, 2)
        with torch.autocast(device.type, torch.bfloat16, enabled=default_precision() == "bf16-mixed"):
            logits = model(views.contiguous(memory_format=torch.channels_last))
        loss = -(target * logits.float().log_softmax(dim=1)).sum() / target.sum().clamp(min=1e-6)  # of void only: 0
        descent.step(loss)
    return model.eval()


class SceneSegmenter(nn.Module):
    """An encoder with a 1 x 1 convolution on its feature map."""

    def __init__(self, encoder: SceneEncoder, head: nn.Conv2d):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, frames: Tensor) -> Tensor:
        return self.head(self.encoder.feature_map(frames))


@torch.inference_mode()
def segment(model: nn.Module, frames: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Labels uint8 (n, height, width) of stored frames, from a model of ``fit_segmenter``."""
    device = next(model.parameters()).device
    labels = []
    for i in range(0, len(frames), batch_size):
        logits = model(to_tensor(frames[i : i + batch_size], device)).cpu()
        labels.append(enlarged_labels(logits, frames.shape[1:3]))
    return np.concatenate(labels)


def random_zoom(
    n: int, size: tuple[int, int], frame: tuple[int, int], zoom: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Draw a crop of n frames, zoomed and mirrored; maps (n, 2, 3) as ``affine_grid`` takes them."""
    scale = torch.exp(uniform(n, math.log(zoom[0]), math.log(zoom[1]), generator))
    height, width = scale * size[0] / frame[0], scale * size[1] / frame[1]
    shift_x = (1 - width).clamp(min=0) * uniform(n, -1, 1, generator)
    shift_y = (1 - height).clamp(min=0) * uniform(n, -1, 1, generator)
    mirror = 1 - 2 * (uniform(n, 0, 1, generator) < 0.5).float()
    zero = torch.zeros_like(width)
    return torch.stack([width * mirror, zero, shift_x, zero, height, shift_y], dim=1).view(n, 2, 3)


def _crop_masks(masks: Tensor, maps: Tensor, size: tuple[int, int], n_classes: int) -> Tensor:
    """Classes at every second pixel of the crops, int64 (n, height / 2, width / 2); void and outside is ``classes``."""
    numbers = masks.clamp(max=n_classes).float()[:, None] - n_classes
    grid = F.affine_grid(maps, [len(masks), 1, size[0] // 2, size[1] // 2], align_corners=False)
    return (F.grid_sample(numbers, grid, mode="nearest", align_corners=False)[:, 0].round() + n_classes).long()


def _class_weights(masks: np.ndarray, n_classes: int) -> Tensor:
    """One row per class with its weight in its own column, and a row of zeros for void, (classes + 1, n_classes)."""
    counts = np.bincount(masks.ravel(), minlength=VOID)[:n_classes]
    frequency = counts / counts.sum()
    weight = np.where(counts > 0, 1 / np.sqrt(np.maximum(frequency, 1e-4)), 0)
    return torch.cat([torch.diag(torch.from_numpy(weight).float()), torch.zeros(1, n_classes)])


def _batches(n: int, steps: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of so many batches; every frame is seen once before one is seen again."""
    passes = math.ceil(steps * batch_size / n)
    order = torch.cat([torch.randperm(n, generator=generator, device=generator.device) for _ in range(passes)])
    return iter(order[: steps * batch_size].view(steps, batch_size))


def draw_frames(drives: np.ndarray, budget: int, draw: int) -> np.ndarray:
    """Indices of ``budget`` random frames, each drive in proportion; a larger budget of a draw adds to a smaller one.

    The frames of each drive are shuffled and laid out evenly from 0 to 1, all drives side by side; the first are taken,
    and returned ascending, so by drive and time.

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
    place = np.empty(len(drives))
    for drive in np.unique(drives):
        frames = np.flatnonzero(drives == drive)
        place[rng.permutation(frames)] = (np.arange(len(frames)) + rng.random()) / len(frames)
    return np.sort(np.argsort(place, kind="stable")[:budget])


def iou_metric(numbers: Sequence[int] | None = None) -> Metric:
    """``mean_iou`` over all classes, or over the numbers given, as a metric of a study."""
    return Metric(lambda said, weights=None: mean_iou(said.confusion, weights, numbers))


def found_metric(numbers: Sequence[int] | None = None) -> Metric:
    """``found_regions`` of all classes whose regions were counted, or of the numbers given, as a metric of a study."""
    return Metric(lambda said, weights=None: found_regions(said.regions, weights, numbers))
