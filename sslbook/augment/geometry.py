"""Crops, turns and mirrors, one affine map per picture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw n numbers between low and high on the generator's device."""
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def random_affine(
    n: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    rotation: float,
    flip: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw one affine map per picture: a crop, turned and mirrored.

    Parameters
    ----------
    area : smallest and largest share of the picture that the crop covers.
    aspect : smallest and largest width / height of the crop.
    rotation : largest angle in degrees, both ways.
    flip : probability of mirroring left and right.

    Returns
    -------
    float tensor, shape (n, 2, 3): from output to input coordinates in [-1, 1], as ``affine_grid`` takes them.
    """
    size = uniform(n, *area, generator).sqrt()
    ratio = torch.exp(uniform(n, math.log(aspect[0]), math.log(aspect[1]), generator)).sqrt()
    width, height = (size * ratio).clamp(max=1), (size / ratio).clamp(max=1)
    shift_x = (1 - width) * uniform(n, -1, 1, generator)
    shift_y = (1 - height) * uniform(n, -1, 1, generator)
    mirror = 1 - 2 * (uniform(n, 0, 1, generator) < flip).float()
    angle = uniform(n, -rotation, rotation, generator) * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    rows = [width * cos * mirror, -width * sin, shift_x, height * sin * mirror, height * cos, shift_y]
    return torch.stack(rows, dim=1).view(n, 2, 3)


def crop(images: Tensor, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut one view of the given size out of each picture; ``maps`` (n, 2, 3) as ``random_affine`` gives them."""
    grid = F.affine_grid(maps, [len(images), images.shape[1], *size], align_corners=False)
    views = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return views.contiguous(memory_format=torch.channels_last)
