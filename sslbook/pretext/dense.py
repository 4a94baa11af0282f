"""Dense pretexts: what a frame shows at a place, not only what it shows as a whole.

Each cuts crops out of frames and asks the encoder's feature map about them: ``PatchContrast`` whether two crops show
the same region, ``DenseContrast`` which points of two crops are the same, ``Inpainting`` what was hidden and which
colour it had, ``TimeContrast`` whether a crop of the next frame shows the same place.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.geometry import affine_maps, chosen, crop, log_uniform
from sslbook.augment.views import jitter_colours
from sslbook.encoders.scenes import FeaturePyramid
from sslbook.pretext.simclr import nt_xent, projection_head

SIZE = (64, 96)


def region_pair(
    n: int, share: tuple[float, float], scale: tuple[float, float], shift: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw two crops of one region for each of n frames.

    Both lie around one random centre. Each has its own size, is moved by its own shift, and is mirrored or not.

    Parameters
    ----------
    share : height and width of a crop at scale 1, as shares of the frame's.
    scale : smallest and largest zoom of a crop.
    shift : largest shift, in halves of the crop's height and width; crops never leave the frame.

    Returns
    -------
    two float tensors, shape (n, 2, 3): see ``affine_maps``.
    """
    centre = 0.6 * (2 * torch.rand(n, 2, generator=generator, device=generator.device) - 1)
    return _around(centre, share, scale, shift, generator), _around(centre, share, scale, shift, generator)


def _around(
    centre: Tensor, share: tuple[float, float], scale: tuple[float, float], shift: float, generator: torch.Generator
) -> Tensor:
    n = len(centre)
    zoom = log_uniform(n, *scale, generator)
    size = torch.stack([zoom * share[1], zoom * share[0]], dim=1).clamp(max=1)
    moved = centre + shift * size * (2 * torch.rand(n, 2, generator=generator, device=generator.device) - 1)
    inside = torch.maximum(torch.minimum(moved, 1 - size), size - 1)
    return affine_maps(size, inside, chosen(n, 0.5, generator))


def shared_points(first: Tensor, second: Tensor, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw points that both crops show, and say where each shows them.

    Parameters
    ----------
    first, second : maps of two crops, from ``region_pair``, shape (n, 2, 3).

    Returns
    -------
    two float tensors, shape (n, points, 2): x and y in [-1, 1] within the first and within the second crop.
    """
    (size_a, place_a), (size_b, place_b) = ((m[:, (0, 1), (0, 1)], m[:, :, 2]) for m in (first, second))
    low = torch.maximum(place_a - size_a.abs(), place_b - size_b.abs())
    high = torch.minimum(place_a + size_a.abs(), place_b + size_b.abs())
    drawn = torch.rand(len(first), points, 2, generator=generator, device=first.device)
    in_frame = low[:, None] + (high - low)[:, None] * drawn
    return tuple((in_frame - place[:, None]) / size[:, None] for size, place in ((size_a, place_a), (size_b, place_b)))


def features_at(feature_map: Tensor, points: Tensor) -> Tensor:
    """Read a feature map (n, c, rows, columns) at points (n, p, 2) between -1 and 1; returns (n, p, c)."""
    read = F.grid_sample(feature_map.float(), points[:, :, None], padding_mode="border", align_corners=False)
    return read[..., 0].transpose(1, 2)


class PatchContrast(nn.Module):
    """Two crops of one region, in different light, should agree; crops of other frames should not.

    SimCLR (Chen et al. 2020) on regions: the features of a crop are the mean of its feature map.

    Parameters
    ----------
    encoder : ``FeaturePyramid``.
    size : height and width of the crops in pixels.
    scale, shift : see ``region_pair``; at scale 1 a crop has the frame's own resolution.
    temperature : see ``nt_xent``.
    """

    def __init__(
        self, encoder: FeaturePyramid, size: tuple[int, int] = SIZE, scale: tuple[float, float] = (0.6, 1.2),
        shift: float = 0.25, temperature: float = 0.2,
    ):  # fmt: skip
        super().__init__()
        self.encoder, self.size, self.scale, self.shift, self.temperature = encoder, size, scale, shift, temperature
        self.projection_head = projection_head(encoder.out_features)

    def views(self, frames: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Two crops per frame, (2n, 3, *size), and their maps."""
        pair = self.frame_pair(frames)
        share = self.size[0] / pair[0].shape[2], self.size[1] / pair[0].shape[3]
        maps = region_pair(len(frames), share, self.scale, self.shift, generator)
        crops = crop(torch.cat(pair), torch.cat(maps), self.size)
        return jitter_colours(crops, generator, grey=0.2).contiguous(memory_format=torch.channels_last), *maps

    def frame_pair(self, cases: Tensor) -> tuple[Tensor, Tensor]:
        return cases, cases

    def forward(self, cases: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views, *_ = self.views(cases, generator)
        return self.projection_head(self.encoder(views)).chunk(2)

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return nt_xent(a, b, self.temperature)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Chance (= full collapse), ln(2N - 1)."""
        return {"chance and collapse": math.log(2 * batch_size - 1)}


class TimeContrast(PatchContrast):
    """The same place in a frame and in the next one of its drive should agree.

    A case is such a pair, one frame above the other: (2 height, width, 3), from ``SceneSplit.neighbours``.
    """

    def frame_pair(self, cases: Tensor) -> tuple[Tensor, Tensor]:
        return cases.chunk(2, dim=2)


class DenseContrast(PatchContrast):
    """One point seen in two crops should have one vector, other points others (after Wang et al. 2021, DenseCL).

    Of ``points`` points per frame the loss contrasts each with all others of the batch. Most of those show road or sky
    as it does (false negatives), so the loss cannot become small, and need not.

    Parameters
    ----------
    points : points that are compared in a frame.
    """

    def __init__(self, encoder: FeaturePyramid, points: int = 16, **settings):
        super().__init__(encoder, **settings)
        self.points = points

    def forward(self, cases: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views, first, second = self.views(cases, generator)
        places = torch.cat(shared_points(first, second, self.points, generator))
        read = features_at(self.encoder.feature_map(views), places)
        vectors = self.projection_head(read.flatten(0, 1)).view(*read.shape[:2], -1)
        return vectors.chunk(2)

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return nt_xent(a.flatten(0, 1), b.flatten(0, 1), self.temperature)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return super().reference_values(batch_size * self.points)


class Inpainting(nn.Module):
    """Restore the colours of a grey crop, also where blocks of it are hidden.

    After context encoders (Pathak et al. 2016) and colourisation (Zhang et al. 2016): the colour of a place and what is
    hidden there follow from what it is.

    Parameters
    ----------
    encoder : ``FeaturePyramid``.
    share : of the blocks that are hidden.
    block : side of a block in pixels.
    """

    def __init__(self, encoder: FeaturePyramid, share: float = 0.4, block: int = 8, size: tuple[int, int] = SIZE):
        super().__init__()
        self.encoder, self.share, self.block, self.size = encoder, share, block, size
        self.decoder = nn.Conv2d(encoder.out_features, 3 * 16, 1)

    def views(self, frames: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Two crops per frame with their colours, and the same, grey, in another light and with hidden blocks."""
        share = self.size[0] / frames.shape[2], self.size[1] / frames.shape[3]
        maps = torch.cat(region_pair(len(frames), share, (0.6, 1.4), 0.25, generator))
        wanted = crop(torch.cat([frames, frames]), maps, self.size)
        grey = jitter_colours(wanted, generator, brightness=0.1, contrast=0.3, cast=0.0, grey=1.0)
        blocks = [len(wanted), 1, self.size[0] // self.block, self.size[1] // self.block]
        hidden = torch.rand(blocks, generator=generator, device=frames.device) < self.share
        hidden = F.interpolate(hidden.float(), size=self.size) > 0
        return wanted, grey.masked_fill(hidden, 0.5).contiguous(memory_format=torch.channels_last)

    def forward(self, frames: Tensor, generator: torch.Generator) -> tuple[Tensor]:
        wanted, seen = self.views(frames, generator)
        restored = F.pixel_shuffle(self.decoder(self.encoder.feature_map(seen)).float(), 4)
        return ((restored - (wanted - 0.5) / 0.25).abs().mean(dim=(1, 2, 3)).view(2, -1).T,)

    def loss(self, error: Tensor) -> Tensor:
        """Mean absolute error, in units of a quarter of the range of values (n, 2)."""
        return error.mean()

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return {}
