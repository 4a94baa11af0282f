"""Networks with a feature pyramid, for frames: what a place is, and what lies around it."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.tensors import to_tensor
from sslbook.encoders.residual import ResidualBlock

CELL = 4  # pixels of a frame that a cell of the feature map covers, each way


class FeaturePyramid(nn.Module):
    """What every network for frames shares: levels of a backbone, added up in cells of 4 x 4 pixels (Lin et al. 2017).

    A subclass gives ``levels``. The coarse ones know what kind of street this is, the fine ones where the kerb runs.

    Parameters
    ----------
    channels : of the levels.
    steps, offsets : pixels between the middles of two neighbours of each level, and from the first pixel to the middle
        of the first. Without them a label would be learnt a pixel or more beside what it stands for.
    out_features : channels of the pyramid.
    groups : of the last 3 x 3 convolution.
    """

    reads = "pictures"

    def __init__(
        self, channels: tuple[int, ...], steps: tuple[int, ...], offsets: tuple[float, ...], out_features: int,
        groups: int = 1,
    ):  # fmt: skip
        super().__init__()
        self.steps, self.offsets, self.out_features = steps, offsets, out_features
        self.lateral = nn.ModuleList(nn.Conv2d(c, out_features, 1) for c in channels)
        convolution = nn.Conv2d(out_features, out_features, 3, 1, 1, groups=groups, bias=False)
        self.smooth = nn.Sequential(convolution, nn.BatchNorm2d(out_features), nn.ReLU(inplace=True))

    def levels(self, frames: Tensor) -> list[Tensor]:
        """Outputs of the backbone for frames (n, 3, height, width) in [0, 1], the finest first."""
        raise NotImplementedError

    def in_cells(self, levels: list[Tensor], frames: Tensor) -> list[Tensor]:
        """Levels read in the middle of each cell of the frames, (n, channels, height / 4, width / 4)."""
        return [
            at_cells(x, frames.shape[2:], *where) for x, *where in zip(levels, self.steps, self.offsets, strict=True)
        ]

    def feature_map(self, frames: Tensor) -> Tensor:
        """Map frames (n, 3, height, width) to features (n, out_features, height / 4, width / 4)."""
        levels = [lateral(level) for lateral, level in zip(self.lateral, self.levels(frames), strict=True)]
        return self.smooth(sum(self.in_cells(levels, frames)))

    def forward(self, frames: Tensor) -> Tensor:
        """One vector per frame, the mean over positions, shape (n, out_features)."""
        return self.feature_map(frames).mean(dim=(2, 3))


class SceneEncoder(FeaturePyramid):
    """A small residual network with a light pyramid, for frames of 64 to 240 pixels.

    Parameters
    ----------
    width : channels of the stem; the blocks have 2, 4 and 4 times as many. ``width=24`` has 0.35 million parameters.
    out_features : channels of the pyramid.
    """

    def __init__(self, width: int = 24, out_features: int = 64):
        channels = (2 * width, 4 * width, 4 * width)
        super().__init__(channels, (4, 8, 16), (0, 0, 0), out_features, groups=out_features)
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in zip((width, *channels), channels, strict=False))
        self.to(memory_format=torch.channels_last)

    def levels(self, frames: Tensor) -> list[Tensor]:
        """Outputs of the three blocks, at a quarter, an eighth and a sixteenth of the size."""
        x = self.stem((frames - 0.5) / 0.25)
        return [x := block(x) for block in self.blocks]


def at_cells(level: Tensor, shape: tuple[int, int], step: int, offset: float) -> Tensor:
    """Read a level in the middle of each cell of a frame, linearly between its values, at the edge the nearest one.

    Parameters
    ----------
    level : float tensor (n, c, rows, columns), whose value i has its middle at pixel ``offset + step * i``.
    shape : height and width of the frame.

    Returns
    -------
    float tensor (n, c, height / 4, width / 4)
    """
    down, across = (
        _between(-(-pixels // CELL), there, step, offset).to(level)
        for pixels, there in zip(shape, level.shape[2:], strict=True)
    )
    return torch.einsum("yh,nchw,xw->ncyx", down, level, across).contiguous(memory_format=torch.channels_last)


def _between(cells: int, there: int, step: int, offset: float) -> Tensor:
    """Weights (cells, there) of the two values on either side of the middle of each cell."""
    middle = CELL * torch.arange(cells) + (CELL - 1) / 2
    place = ((middle - offset) / step).clamp(0, there - 1)
    return (1 - (place[:, None] - torch.arange(there)).abs()).clamp(min=0)


@torch.inference_mode()
def hypercolumns(
    encoder: FeaturePyramid, frames: np.ndarray, batch_size: int = 32, dtype: type = np.float32, enlarged: int = 1
) -> np.ndarray:
    """Frozen features of every cell: all levels on top of one another (Hariharan et al. 2015).

    Parameters
    ----------
    frames : uint8 array, shape (n, height, width, 3); height and width are multiples of 4.
    dtype : of the result; ``np.float16`` takes half the memory, and is precise enough for a probe.
    enlarged : times as large as they are, frames are read; a cell has the mean of what is then in it.

    Returns
    -------
    array, shape (n, features, height / 4, width / 4)
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = []
    for i in range(0, len(frames), batch_size):
        x = to_tensor(frames[i : i + batch_size], device)
        x = F.interpolate(x, scale_factor=enlarged, mode="bilinear") if enlarged > 1 else x
        stacked = torch.cat(encoder.in_cells(encoder.levels(x), x), dim=1).float()
        batches.append(F.avg_pool2d(stacked, enlarged).cpu().numpy().astype(dtype, order="C"))
    return np.concatenate(batches)
