"""Boxes around things: from masks, by a light centre-point detector (Zhou et al. 2019), and how well they are found."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.geometry import chosen
from sslbook.augment.tensors import to_tensor
from sslbook.augment.views import jitter_colours
from sslbook.domains.driving.probes import moments
from sslbook.metrics import Metric
from sslbook.metrics.segmentation import DISTANCE_BANDS, SIZE_BANDS, _band, _connected
from sslbook.study import Method
from sslbook.train import OneCycle, batches_of, default_precision

# One row per box: frame, class (place in the numbers asked for), left, top, right, bottom (pixels, from the upper left
# corner of the frame; right and bottom are the first beyond the box), and score where it was found.
Boxes = pd.DataFrame
EDGES = ["left", "top", "right", "bottom"]
CELL = 4  # pixels: cell i covers pixels 4 i to 4 i + 3, and its centre is at 4 i + 2
BLOCK = 2**20  # weights of found boxes that are float at once: 8 MB
Targets = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class DetectorRecipe:
    """How a detector is trained: steps, frames in each, peak of AdamW's one-cycle and decay, channels of the head."""

    steps: int = 300
    batch_size: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    width: int = 64


class Detector(nn.Module):
    """A small head on frozen feature maps, or on an encoder of its own: heat maps of centres, sizes and offsets."""

    def __init__(self, in_features: int, n_classes: int, width: int, encoder: nn.Module | None = None):
        super().__init__()
        self.encoder, self.outputs = encoder, (n_classes, 2, 2)
        self.register_buffer("mean", torch.zeros(in_features, 1, 1))
        self.register_buffer("deviation", torch.ones(in_features, 1, 1))
        self.head = nn.Sequential(
            nn.Conv2d(in_features, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(width, sum(self.outputs), 1),
        )  # fmt: skip

    def read(self, inputs: np.ndarray) -> Tensor:
        """Stored frames or feature maps as float32 tensors on the network's device."""
        device = self.mean.device
        return to_tensor(inputs, device) if self.encoder else torch.from_numpy(inputs.astype(np.float32)).to(device)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of heat (n, n_classes, rows, columns), size and offset (n, 2, rows, columns) as of ``targets_of``."""
        maps = self.encoder.feature_map(x) if self.encoder else x
        return self.head((maps - self.mean) / self.deviation).float().split(self.outputs, dim=1)


def boxes_of(masks: np.ndarray, numbers: Sequence[int], min_pixels: int = 8) -> Boxes:
    """Boxes around the connected regions of some classes, diagonals touching; things that overlap share a box.

    Of labels that a segmenter predicted they are found boxes, the larger the surer.

    Parameters
    ----------
    masks : uint8 array, shape (n, height, width).
    numbers : of the classes; a box's class is the place in here.
    min_pixels : smaller regions are left out.

    Returns
    -------
    ``Boxes``, by class and frame; score is the number of pixels of the region.
    """
    parts = []
    for place, number in enumerate(numbers):
        pixel, region = _connected(masks == number)
        spots = pd.DataFrame(np.stack(np.unravel_index(pixel, masks.shape), axis=1), columns=["frame", "row", "column"])
        grouped = spots.groupby(region)
        low, beyond = grouped.min(), grouped.max() + 1
        edges = dict(zip(EDGES, (low["column"], low["row"], beyond["column"], beyond["row"]), strict=True))
        parts.append(pd.DataFrame({"frame": low["frame"], "class": place, **edges, "score": grouped.size()}))
    boxes = pd.concat(parts).astype(dict.fromkeys([*EDGES, "score"], float))
    return boxes[boxes["score"] >= min_pixels].reset_index(drop=True)


def targets_of(boxes: Boxes, n_frames: int, cells: tuple[int, int], n_classes: int) -> Targets:
    """What the network should say of each cell.

    Heat is 1 in the cell of a box's centre, and falls off as a Gaussian whose deviation is a sixth of the box's height
    and width (as by Liu et al. 2020), at least half a cell. Of boxes that share a cell, the smallest is taught.

    Parameters
    ----------
    cells : rows and columns of the feature map.

    Returns
    -------
    float tensors : heat (n_frames, n_classes, rows, columns); size, the logarithms of height and width in cells, and
    offset of the box's centre from the cell's, down and to the right in cells, both (n_frames, 2, rows, columns)
    bool tensor : cells with a centre, shape (n_frames, rows, columns)

    Raises
    ------
    ValueError
        If a box is of no such frame, place or class.
    """
    heat, (size, offset) = np.zeros((n_frames, n_classes, *cells)), np.zeros((2, n_frames, 2, *cells))
    centre = np.zeros((n_frames, *cells), dtype=bool)
    corners = boxes[["top", "left", "bottom", "right"]].to_numpy(dtype=float).reshape(-1, 2, 2) / CELL
    middle, sides = corners.mean(axis=1), corners[:, 1] - corners[:, 0]
    places = np.column_stack([boxes["frame"], boxes["class"], np.floor(middle)]).astype(int)
    if ((places < 0) | (places >= heat.shape)).any():
        raise ValueError("a box has a frame, class or centre that is not there; give the boxes of these very inputs.")
    rows, columns = np.arange(cells[0])[:, None], np.arange(cells[1])
    for i in np.argsort(-sides.prod(axis=1), kind="stable"):
        frame, kind, row, column = places[i]
        down, across = np.maximum(sides[i] / 6, 0.5)
        bump = np.exp(-(((rows - row) / down) ** 2 + ((columns - column) / across) ** 2) / 2)
        np.maximum(heat[frame, kind], bump, out=heat[frame, kind])
        size[frame, :, row, column], centre[frame, row, column] = np.log(sides[i]), True
        offset[frame, :, row, column] = middle[i] - places[i, 2:] - 0.5
    return *(torch.from_numpy(values).float() for values in (heat, size, offset)), torch.from_numpy(centre)


def mirrored(x: Tensor, targets: Targets, which: Tensor) -> tuple[Tensor, Targets]:
    """Mirror some of a batch left and right, inputs (n, c, height, width) and ``targets_of``; which is bool (n,)."""
    x, heat, size, offset, centre = (
        torch.where(which.view(-1, *[1] * (part.ndim - 1)), part.flip(-1), part) for part in (x, *targets)
    )
    offset[which, 1] *= -1
    return x, (heat, size, offset, centre)


def fit_detector(
    inputs: np.ndarray, boxes: Boxes, n_classes: int, recipe: DetectorRecipe, seed: int,
    encoder: nn.Module | None = None,
) -> Detector:  # fmt: skip
    """Train a detector on frozen feature maps, or together with a copy of an encoder on frames.

    Batches are mirrored at random, frames also put in another light.

    Parameters
    ----------
    inputs : without an encoder, float array (n, c, rows, columns), one cell for 4 x 4 pixels, standardised in here by
        its own ``moments``; with one, uint8 frames (n, height, width, 3), height and width multiples of 4.
    boxes : whose frames are positions in ``inputs``.
    encoder : as ``sslbook.encoders.scenes.SceneEncoder``; not changed.

    Raises
    ------
    ValueError
        As ``targets_of`` says.
    """
    device = "cpu" if encoder is None else next(encoder.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    in_features = inputs.shape[1] if encoder is None else encoder.out_features
    model = Detector(in_features, n_classes, recipe.width, copy.deepcopy(encoder)).to(device).train()
    for layer in model.head[::2]:
        nn.init.kaiming_normal_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    nn.init.normal_(model.head[-1].weight, std=0.02, generator=generator)
    nn.init.constant_(model.head[-1].bias[:n_classes], -4)  # at first a centre is unlikely everywhere
    cells = inputs.shape[2:] if encoder is None else (inputs.shape[1] // CELL, inputs.shape[2] // CELL)
    if encoder is None:
        for buffer, values in zip((model.mean, model.deviation), moments(inputs), strict=True):
            buffer.copy_(torch.from_numpy(values)[:, None, None])
    targets = [part.to(device) for part in targets_of(boxes, len(inputs), cells, n_classes)]
    descent = OneCycle(model, recipe.steps, recipe.learning_rate, recipe.weight_decay)
    for batch in batches_of(len(inputs), recipe.steps, recipe.batch_size, generator):
        x = model.read(inputs[batch.cpu().numpy()])
        x = x if encoder is None else jitter_colours(x, generator, 0.15, 0.4, 0.15)
        x, aims = mirrored(x, [part[batch] for part in targets], chosen(len(batch), 0.5, generator))
        with torch.autocast(x.device.type, torch.bfloat16, enabled=default_precision() == "bf16-mixed"):
            said = model(x)
        descent.step(detector_loss(said, aims))
    return model.eval()


def detector_loss(said: tuple[Tensor, Tensor, Tensor], targets: Targets) -> Tensor:
    """Penalty-reduced focal loss of the heat, and L1 of size and offset at centres, per centre (Zhou et al. 2019)."""
    (logits, *said), (heat, *aims, centre) = said, targets
    chance = logits.sigmoid()
    hit = (heat == 1) * (1 - chance) ** 2 * F.logsigmoid(logits)
    miss = (1 - heat) ** 4 * chance**2 * F.logsigmoid(-logits)
    away = sum((values - aim).abs().sum(dim=1)[centre].sum() for values, aim in zip(said, aims, strict=True))
    return (away - hit.sum() - miss.sum()) / centre.sum().clamp(min=1)


@torch.inference_mode()
def detect(model: Detector, inputs: np.ndarray, most: int = 30, batch_size: int = 32) -> Boxes:
    """Boxes that a detector finds in inputs as of ``fit_detector``, at most so many per frame, the surest."""
    found = []
    for i in range(0, len(inputs), batch_size):
        logits, size, offset = model(model.read(inputs[i : i + batch_size]))
        found.append(boxes_at(logits.sigmoid(), size, offset, most))
        found[-1]["frame"] += i
    return pd.concat(found, ignore_index=True)


def boxes_at(heat: Tensor, size: Tensor, offset: Tensor, most: int) -> Boxes:
    """Boxes at the peaks of heat maps, at most so many per frame, the hottest; tensors as of ``targets_of``."""
    rows, columns = heat.shape[2:]
    most = min(most, heat[0].numel())
    peaks = torch.where(F.max_pool2d(heat, 3, 1, 1) == heat, heat, 0).flatten(1)
    score, place = (values.cpu().numpy().ravel() for values in peaks.topk(most))
    frame = np.repeat(np.arange(len(heat)), most)
    kind, row, column = np.unravel_index(place, (heat.shape[1], rows, columns))
    size, offset = (values.cpu().numpy()[frame, :, row, column] for values in (size, offset))
    middle, half = np.stack([row, column], axis=1) + 0.5 + offset, np.exp(size) / 2
    (top, left), (bottom, right) = (CELL * np.clip(middle + way * half, 0, (rows, columns)).T for way in (-1, 1))
    found = pd.DataFrame({"frame": frame, "class": kind, "left": left, "top": top, "right": right, "bottom": bottom})
    return found.assign(score=score)[score > 0].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Detection:
    """How well boxes were found in the test frames, as a study keeps it.

    Attributes
    ----------
    found : one row per found box: frame, class, score, right (bool), area (of the true box that it found, else its
        own; pixels).
    truth : one row per true box: frame, class, height and area (pixels), found (bool).
    n_frames, n_classes : numbers of test frames and classes.
    cv_scores : scores by cross-validation inside the drawn frames, by metric.
    """

    found: pd.DataFrame
    truth: pd.DataFrame
    n_frames: int
    n_classes: int
    cv_scores: dict[str, float] = field(default_factory=dict)


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4) and (m, 4), each left, top, right, bottom; shape (n, m)."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    both = (high - low).clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return both / np.maximum(areas[0][:, None] + areas[1] - both, 1e-12)


def score_boxes(truth: Boxes, found: Boxes, n_frames: int, n_classes: int, iou: float = 0.5) -> Detection:
    """Match found boxes to true ones, the surest first; each true box is found at most once (Everingham et al. 2010).

    Parameters
    ----------
    iou : a found box is right if its IoU with a true box of its frame and class, that is still free, is at least this;
        it takes the one with the highest.
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
    return Detection(found.reset_index(drop=True), truth, n_frames, n_classes)


def average_precision(
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
    found, truth = detection.found.sort_values("score", ascending=False), detection.truth
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
    """``average_precision`` of all classes, or of those at these places, as a metric of a study."""
    return Metric(lambda said, weights=None: average_precision(said, weights, classes))


def average_precision_by_size(detection: Detection, shape: tuple[int, int]) -> pd.DataFrame:
    """Number of true boxes and average precision by size (``SIZE_BANDS``), as COCO does (Lin et al. 2014).

    A true box of another size is left out, with the box that found it; a false one counts where its own size lies.

    Parameters
    ----------
    shape : height and width of the frames in pixels.
    """
    rows, parts = {}, (detection.found, detection.truth)
    bands = [_band(part["area"] / (shape[0] * shape[1]), SIZE_BANDS) for part in parts]
    for name in SIZE_BANDS:
        found, truth = (part[band == name] for part, band in zip(parts, bands, strict=True))
        value = float(average_precision(replace(detection, found=found, truth=truth)))
        rows[name] = {"boxes": len(truth), "average_precision": value}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("size_band")


def recall_by_distance(detection: Detection, height: int) -> pd.DataFrame:
    """Number of true boxes and share of them found, by class and by ``DISTANCE_BANDS`` of frames of this height."""
    table = detection.truth.assign(distance_band=_band(detection.truth["height"] / height, DISTANCE_BANDS))
    return table.groupby(["class", "distance_band"], observed=False)["found"].agg(boxes="size", recall="mean")


def detector_method(
    name: str, family: str, detect_on: Callable[[np.ndarray, int], Boxes], scenes_masks: np.ndarray,
    numbers: Sequence[int], **settings: Any,
) -> Method:  # fmt: skip
    """A detector as a method of a study, which predicts a ``Detection``.

    Parameters
    ----------
    detect_on : maps (indices of the drawn frames, seed) to the boxes that it finds in the test frames.
    scenes_masks : of the test frames, uint8 (n_test, height, width); ``boxes_of`` them and ``numbers`` are the truth.
    settings : of ``Method``.
    """
    truth = boxes_of(scenes_masks, numbers)

    def fit(index: np.ndarray, seed: int) -> Detection:
        return score_boxes(truth, detect_on(index, seed), len(scenes_masks), len(numbers))

    return Method(name, family, fit, **settings)
