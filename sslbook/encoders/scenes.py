"""A residual network with a feature pyramid, for frames."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.tensors import to_tensor
from sslbook.encoders.residual import ResidualBlock


class SceneEncoder(nn.Module):
    """A small residual network with a light feature pyramid, for frames of 64 to 240 pixels (Lin et al. 2017).

    Three residual blocks see the frame at a quarter, an eighth and a sixteenth of its size; the pyramid adds what the
    coarse ones know of the surroundings to what the fine ones know of the place.

    Parameters
    ----------
    width : channels of the stem; the blocks have 2, 4 and 4 times as many. ``width=24`` has 0.35 million parameters.
    out_features : channels of the pyramid.
    """

    reads = "pictures"

    def __init__(self, width: int = 24, out_features: int = 64):
        super().__init__()
        channels = (2 * width, 4 * width, 4 * width)
        self.out_features = out_features
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in zip((width, *channels), channels, strict=False))
        self.lateral = nn.ModuleList(nn.Conv2d(c, out_features, 1) for c in channels)
        self.smooth = nn.Sequential(
            nn.Conv2d(out_features, out_features, 3, 1, 1, groups=out_features, bias=False),
            nn.BatchNorm2d(out_features),
            nn.ReLU(inplace=True),
        )
        self.to(memory_format=torch.channels_last)

    def levels(self, frames: Tensor) -> list[Tensor]:
        """Outputs of the three blocks for frames (n, 3, height, width) in [0, 1], the finest first."""
        x = self.stem((frames - 0.5) / 0.25)
        return [x := block(x) for block in self.blocks]

    def feature_map(self, frames: Tensor) -> Tensor:
        """Map frames (n, 3, height, width) to features (n, out_features, height / 4, width / 4)."""
        levels = self.levels(frames)
        top = self.lateral[2](levels[2])
        for lateral, level in ((self.lateral[1], levels[1]), (self.lateral[0], levels[0])):
            top = lateral(level) + _resized(top, level)
        return self.smooth(top)

    def forward(self, frames: Tensor) -> Tensor:
        """One vector per frame, the mean over positions, shape (n, out_features)."""
        return self.feature_map(frames).mean(dim=(2, 3))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


@torch.inference_mode()
def hypercolumns(
    encoder: SceneEncoder, frames: np.ndarray, batch_size: int = 32, dtype: type = np.float32
) -> np.ndarray:
    """Frozen features of every place: the three levels on top of one another (Hariharan et al. 2015).

    Parameters
    ----------
    frames : uint8 array, shape (n, height, width, 3); height and width are multiples of 4.
    dtype : of the result; ``np.float16`` takes half the memory, and is precise enough for a probe.

    Returns
    -------
    array, shape (n, features, height / 4, width / 4)
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = []
    for i in range(0, len(frames), batch_size):
        levels = encoder.levels(to_tensor(frames[i : i + batch_size], device))
        stacked = torch.cat([_resized(level, levels[0]) for level in levels], dim=1).cpu().numpy()
        batches.append(stacked.astype(dtype, order="C"))
    return np.concatenate(batches)
