"""Crops, turns and mirrors, one affine map per picture."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw n numbers between low and high on the generator's device."""
    return torch.rand(n, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw n numbers between low and high whose logarithms are uniform: halving is as likely as doubling."""
    return torch.exp(uniform(n, math.log(low), math.log(high), generator))


def chosen(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Choose each of n pictures with the same probability, bool (n,)."""
    return uniform(n, 0, 1, generator) < probability


def affine_maps(size: Tensor, centre: Tensor, mirrored: Tensor, angle: Tensor | None = None) -> Tensor:
    """Maps of crops, one per picture; a picture reaches from -1 to 1 both ways.

    Parameters
    ----------
    size, centre : float tensors, shape (n, 2), x before y; at size 1 a crop is as large as its picture.
    mirrored : bool tensor, shape (n,), crops whose left and right change places.
    angle : optional float tensor, shape (n,), radians by which a crop is turned.

    Returns
    -------
    float tensor, shape (n, 2, 3): from output to input coordinates in [-1, 1], as ``affine_grid`` takes them.
    """
    (width, height), (x, y), mirror = size.T, centre.T, 1 - 2 * mirrored.float()
    angle = torch.zeros_like(width) if angle is None else angle
    cos, sin = angle.cos(), angle.sin()
    rows = [width * cos * mirror, -width * sin, x, height * sin * mirror, height * cos, y]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def random_affine(
    n: int, area: tuple[float, float], aspect: tuple[float, float], rotation: float, flip: float,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Draw one crop per picture, turned and mirrored; returns ``affine_maps``.

    Parameters
    ----------
    area : smallest and largest share of the picture that the crop covers.
    aspect : smallest and largest width / height of the crop.
    rotation : largest angle in degrees, both ways.
    flip : probability of mirroring left and right.
    """
    side = uniform(n, *area, generator).sqrt()
    ratio = log_uniform(n, *aspect, generator).sqrt()
    size = torch.stack([side * ratio, side / ratio], dim=1).clamp(max=1)
    centre = (1 - size) * torch.stack([uniform(n, -1, 1, generator) for _ in range(2)], dim=1)
    mirrored = chosen(n, flip, generator)
    return affine_maps(size, centre, mirrored, uniform(n, -rotation, rotation, generator) * (math.pi / 180))


def crop(images: Tensor, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut one view of the given height and width out of each picture; ``maps`` as of ``affine_maps``."""
    grid = F.affine_grid(maps, [len(images), images.shape[1], *size], align_corners=False)
    views = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    return views.contiguous(memory_format=torch.channels_last)
