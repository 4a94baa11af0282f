"""Residual networks for small pictures."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu_(self.norm1(self.conv1(x)))
        return F.relu_(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """A small residual network for pictures of 28 to 64 pixels.

    Three residual blocks of ``width``, 2 ``width`` and 4 ``width`` channels, then the mean over positions.
    ``width=32`` has about 0.3 million parameters, ``width=16`` about 0.08 million.

    Parameters
    ----------
    in_channels : 1 for grey pictures, 3 for colour.
    width : channels of the first block.
    stem_stride : 2 halves the resolution at once (28 pixels), 1 keeps it (8-pixel digits).
    """

    reads = "pictures"

    def __init__(self, in_channels: int = 1, width: int = 32, stem_stride: int = 2):
        super().__init__()
        self.in_channels = in_channels
        self.out_features = 4 * width
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(width, width, 1),
            ResidualBlock(width, 2 * width, 2),
            ResidualBlock(2 * width, 4 * width, 2),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map pictures (n, channels, height, width) in [0, 1] to features (n, out_features)."""
        return self.blocks(self.stem((images - 0.5) / 0.25)).mean(dim=(2, 3))
