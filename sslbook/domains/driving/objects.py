"""Boxes around things: from masks, by a light centre-point detector (Zhou et al. 2019), and how well they are found."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from sslbook.encoders.scenes import CELL
from sslbook.metrics.boxes import EDGES, Detection, detection_average_precision, score_boxes
from sslbook.metrics.segmentation import DISTANCE_BANDS, SIZE_BANDS, _band, _connected
from sslbook.study import Method
from sslbook.train import OneCycle, batches_of, default_precision

# One row per box: frame, class (place in the numbers asked for), left, top, right, bottom (pixels, from the upper left
# corner of the frame; right and bottom are the first beyond the box), and score where it was found.
Boxes = pd.DataFrame
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


def size_and_distance(detection: Detection, shape: tuple[int, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Average precision by size (``SIZE_BANDS``), and recall by class and distance (``DISTANCE_BANDS``).

    Sizes as COCO has them (Lin et al. 2014): a true box of another size is left out, with the box that found it; a
    false one counts where its own size lies.

    Parameters
    ----------
    shape : height and width of the frames in pixels.
    """
    rows, parts = {}, (pd.DataFrame(detection.found), pd.DataFrame(detection.truth))
    bands = [_band(part["area"] / (shape[0] * shape[1]), SIZE_BANDS) for part in parts]
    for name in SIZE_BANDS:
        found, truth = (dict(part[band == name]) for part, band in zip(parts, bands, strict=True))
        value = float(detection_average_precision(replace(detection, found=found, truth=truth)))
        rows[name] = {"boxes": len(truth["frame"]), "average_precision": value}
    by_size = pd.DataFrame.from_dict(rows, orient="index").rename_axis("size_band")
    table = parts[1].assign(distance_band=_band(parts[1]["height"] / shape[0], DISTANCE_BANDS))
    grouped = table.groupby(["class", "distance_band"], observed=False)["found"]
    return by_size, grouped.agg(boxes="size", recall="mean")


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
