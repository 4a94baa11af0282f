"""Networks that segment: an encoder, fresh, pretrained or borrowed, trained further with a few labelled frames."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.geometry import affine_maps, chosen, crop, log_uniform, uniform
from sslbook.augment.tensors import to_tensor
from sslbook.augment.views import jitter_colours
from sslbook.data.pictures import VOID
from sslbook.domains.driving.probes import check_pairs, enlarged_labels
from sslbook.encoders.pretrained import EfficientNetLite0
from sslbook.encoders.scenes import FeaturePyramid
from sslbook.metrics.segmentation import classes_in
from sslbook.train import OneCycle, batches_of, default_precision


class Lite0Scenes(FeaturePyramid):
    """The first two thirds of EfficientNet-Lite0 with a pyramid, for frames; weights of ImageNet's labels or random.

    Its blocks 2, 4 and 10 see a frame at a quarter, an eighth and a sixteenth of its size, with 24, 40 and 112
    channels. The pyramid is new, and starts from random weights.

    Parameters
    ----------
    pretrained : False for the same network with random weights.

    Raises
    ------
    ModuleNotFoundError : the packages of the extra "pretrained" are not installed.
    """

    LAST = (2, 4, 10)

    def __init__(self, pretrained: bool = True, out_features: int = 64):
        super().__init__((24, 40, 112), (4, 8, 16), (3, 7, 15), out_features)
        self.borrowed = EfficientNetLite0(128, pretrained)
        network = self.borrowed.network
        network._blocks = network._blocks[: self.LAST[-1] + 1]
        del network._conv_head, network._bn1  # what comes after the last block is not needed
        self.to(memory_format=torch.channels_last)

    def levels(self, frames: Tensor) -> list[Tensor]:
        """Outputs of three of the blocks, at a quarter, an eighth and a sixteenth of the size."""
        network, scaled = self.borrowed.network, (frames - self.borrowed.mean) / self.borrowed.std
        with torch.autocast("cpu", torch.bfloat16, enabled=self.borrowed.half_precision):
            x = network._swish(network._bn0(network._conv_stem(scaled)))
            found = [x := block(x) for block in network._blocks]
        return [found[i] for i in self.LAST]

    def frozen(self) -> "Lite0Scenes":
        """A copy for features only, as fast as the hardware allows; see ``EfficientNetLite0.frozen``."""
        copied = copy.deepcopy(self).eval()
        copied.borrowed = self.borrowed.frozen()
        return copied


@dataclass(frozen=True)
class SceneRecipe:
    """How a segmentation network is trained.

    Attributes
    ----------
    steps, batch_size : optimiser steps, and crops in each.
    learning_rate : peak of the one-cycle schedule of AdamW, of everything that starts from random weights.
    pretrained_rate : the same of what was pretrained; None takes ``learning_rate``.
    size : height and width of the crops in pixels, multiples of 4.
    zoom : smallest and largest zoom of a crop; at 1 it has the frame's own resolution.
    enlarged : times as large as they are, frames are read.
    """

    steps: int = 600
    batch_size: int = 4
    learning_rate: float = 4e-3
    pretrained_rate: float | None = None
    weight_decay: float = 0.01
    size: tuple[int, int] = (96, 128)
    zoom: tuple[float, float] = (0.5, 1.25)
    enlarged: int = 1


class SceneSegmenter(nn.Module):
    """An encoder with a 1 x 1 convolution on its feature map, for frames that are read ``enlarged`` times as large."""

    def __init__(self, encoder: FeaturePyramid, head: nn.Conv2d, enlarged: int = 1):
        super().__init__()
        self.encoder, self.head, self.enlarged = encoder, head, enlarged

    def forward(self, frames: Tensor) -> Tensor:
        """Map frames (n, 3, height, width), already enlarged, to logits (n, n_classes, height / 4, width / 4)."""
        return self.head(self.encoder.feature_map(frames))


def fit_segmenter(
    encoder: FeaturePyramid, frames: np.ndarray, masks: np.ndarray, n_classes: int, recipe: SceneRecipe, seed: int
) -> SceneSegmenter:
    """Train a copy of the encoder and a new 1 x 1 convolution on labelled frames.

    Crops are zoomed, mirrored and put in another light. As in ``dense_probe``, a cell's target is the share of each
    class among its pixels, and a class weighs one over the square root of its frequency.

    Parameters
    ----------
    encoder : fresh for training from scratch, pretrained for fine-tuning; not changed.
    frames, masks : uint8 arrays, shape (n, height, width, 3) and (n, height, width).

    Raises
    ------
    ValueError
        If frames and masks do not match, or as ``classes_in`` says.
    """
    check_pairs(len(frames), len(masks))
    classes_in(masks, n_classes)
    device = next(encoder.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    head = nn.Conv2d(encoder.out_features, n_classes, 1, device=device)
    nn.init.normal_(head.weight, std=0.05, generator=generator)
    nn.init.zeros_(head.bias)
    model = SceneSegmenter(copy.deepcopy(encoder), head, recipe.enlarged).train()
    descent = OneCycle(_rates(model, recipe), recipe.steps, recipe.learning_rate, recipe.weight_decay)
    weight, half = _class_weights(masks, n_classes).to(device), default_precision() == "bf16-mixed"
    x, y = to_tensor(frames, device), torch.from_numpy(masks).to(device)
    seen = tuple(recipe.enlarged * side for side in recipe.size)
    for batch in batches_of(len(x), recipe.steps, recipe.batch_size, generator):
        maps = random_zoom(len(batch), recipe.size, x.shape[2:], recipe.zoom, generator)
        views = jitter_colours(crop(x[batch], maps, seen), generator, 0.15, 0.4, 0.15)
        target = weight[_crop_masks(y[batch], maps, seen, n_classes)].permute(0, 3, 1, 2)
        target = F.avg_pool2d(target, 2)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = model(views.contiguous(memory_format=torch.channels_last))
        loss = -(target * logits.float().log_softmax(dim=1)).sum() / target.sum().clamp(min=1e-6)  # of void only: 0
        descent.step(loss)
    return model.eval()


def _rates(model: SceneSegmenter, recipe: SceneRecipe) -> list[dict]:
    """Parameter groups: all that is new, and what was pretrained, at its own rate."""
    pretrained = list(getattr(model.encoder, "borrowed", model.encoder).parameters())
    there = {id(p) for p in pretrained}
    rate = recipe.learning_rate if recipe.pretrained_rate is None else recipe.pretrained_rate
    return [{"params": [p for p in model.parameters() if id(p) not in there]}, {"params": pretrained, "lr": rate}]


@torch.inference_mode()
def segment(model: SceneSegmenter, frames: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Labels uint8 (n, height, width) of stored frames, from a model of ``fit_segmenter``."""
    device = next(model.parameters()).device
    labels = []
    for i in range(0, len(frames), batch_size):
        x = to_tensor(frames[i : i + batch_size], device)
        if model.enlarged > 1:
            x = F.interpolate(x, scale_factor=model.enlarged, mode="bilinear")
        labels.append(enlarged_labels(model(x).float().cpu(), frames.shape[1:3]))
    return np.concatenate(labels)


def random_zoom(
    n: int, size: tuple[int, int], frame: tuple[int, int], zoom: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """Draw a crop of n frames, zoomed and mirrored; returns ``affine_maps``.

    Parameters
    ----------
    size, frame : height and width of the crop at zoom 1 and of the frame; a crop larger than it lies around its middle.
    """
    scale = log_uniform(n, *zoom, generator)
    half = torch.stack([scale * size[1] / frame[1], scale * size[0] / frame[0]], dim=1)
    centre = (1 - half).clamp(min=0) * torch.stack([uniform(n, -1, 1, generator) for _ in range(2)], dim=1)
    return affine_maps(half, centre, chosen(n, 0.5, generator))


def _crop_masks(masks: Tensor, maps: Tensor, size: tuple[int, int], n_classes: int) -> Tensor:
    """Classes at every second pixel of the crops, int64 (n, height / 2, width / 2); void and outside is n_classes."""
    numbers = masks.clamp(max=n_classes).float()[:, None] - n_classes  # as grid_sample fills the outside with 0
    grid = F.affine_grid(maps, [len(masks), 1, size[0] // 2, size[1] // 2], align_corners=False)
    return (F.grid_sample(numbers, grid, mode="nearest", align_corners=False)[:, 0].round() + n_classes).long()


def _class_weights(masks: np.ndarray, n_classes: int) -> Tensor:
    """One row per class with its weight in its own column, and a row of zeros for void, (n_classes + 1, n_classes)."""
    counts = np.bincount(masks.ravel(), minlength=VOID)[:n_classes]
    weight = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts / counts.sum(), 1e-4)), 0)
    return torch.cat([torch.diag(torch.from_numpy(weight).float()), torch.zeros(1, n_classes)])
