"""Random views of pictures, drawn for a whole batch of tensors at once.

An augmentation says what a representation should ignore. It is the one place where knowledge of the domain enters
self-supervised learning, so each domain has a preset here, and a test that the preset keeps what the label depends on.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslbook.augment.geometry import chosen, crop, random_affine, uniform


def change_light(images: Tensor, contrast: float, brightness: float, generator: torch.Generator) -> Tensor:
    """Change contrast and brightness, each picture by its own draw; ``contrast`` and ``brightness`` as in ``Augment``.

    Values may leave [0, 1].
    """
    gain = uniform(len(images), 1 - contrast, 1 + contrast, generator).view(-1, 1, 1, 1)
    offset = uniform(len(images), -brightness, brightness, generator).view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * gain + (mean + offset)


def jitter_colours(
    images: Tensor, generator: torch.Generator, brightness: float = 0.2, contrast: float = 0.5, cast: float = 0.25,
    grey: float = 0.0,
) -> Tensor:  # fmt: skip
    """Change the light of colour pictures, each by its own draw.

    Parameters
    ----------
    images : float tensor, shape (n, 3, height, width), values in [0, 1].
    brightness, contrast : as in ``Augment``.
    cast : each channel is multiplied by a number between 1 - cast and 1 + cast.
    grey : probability that a picture loses its colours.
    """
    n = len(images)
    cast_by = 1 + cast * (2 * torch.rand(n, 3, 1, 1, generator=generator, device=images.device) - 1)
    images = change_light(images * cast_by, contrast, brightness, generator)
    without = chosen(n, grey, generator).view(n, 1, 1, 1)
    return torch.where(without, images.mean(dim=1, keepdim=True), images).clamp(0, 1)


@dataclass(frozen=True)
class Augment:
    """A recipe for random views; every picture of a batch gets its own draw.

    The geometry of a batch is one ``grid_sample``; brightness, contrast, blur and noise follow.

    Attributes
    ----------
    area : share of the picture that a crop covers, smallest and largest.
    aspect : width / height of the crop, smallest and largest.
    rotation : largest angle in degrees, both ways.
    flip : probability of mirroring left and right.
    brightness : largest amount added or taken away (picture values lie in [0, 1]).
    contrast : contrast is multiplied by a number between 1 - contrast and 1 + contrast.
    blur : probability of a 3 x 3 binomial blur.
    noise : standard deviation of the pixel noise.
    invert : probability of exchanging black and white.
    size : height and width of the views; None keeps the size of the pictures. Smaller views train faster, and a network
        that averages over positions reads full-size pictures afterwards (Touvron et al. 2019).
    """

    area: tuple[float, float] = (1.0, 1.0)
    aspect: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    invert: float = 0.0
    size: int | None = None

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return one random view of each picture.

        Parameters
        ----------
        images : float tensor, shape (n, channels, height, width), values in [0, 1].
        generator : source of every random number, on the device of ``images``.

        Returns
        -------
        float tensor, shape (n, channels, height, width) or (n, channels, size, size), values in [0, 1].
        """
        n = len(images)
        maps = random_affine(n, self.area, self.aspect, self.rotation, self.flip, generator)
        views = crop(images, maps, (self.size, self.size) if self.size else images.shape[2:])
        if self.blur:
            views = torch.where(chosen(n, self.blur, generator).view(n, 1, 1, 1), _binomial_blur(views), views)
        if self.contrast or self.brightness:
            views = change_light(views, self.contrast, self.brightness, generator)
        if self.invert:
            views = torch.where(chosen(n, self.invert, generator).view(n, 1, 1, 1), 1 - views, views)
        if self.noise:
            views = views + self.noise * torch.randn(views.shape, generator=generator, device=views.device)
        return views.clamp_(0, 1).contiguous(memory_format=torch.channels_last)


def _binomial_blur(images: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 2.0, 1.0], device=images.device) / 4
    kernel = (taps[:, None] * taps[None, :]).expand(images.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), kernel, groups=images.shape[1])


PRESETS = {
    "chest_xray": Augment(
        (0.3, 1.0), (0.75, 1.33), rotation=10, flip=0.5, brightness=0.1, contrast=0.4, blur=0.5, noise=0.03
    ),
    "digits": Augment(area=(0.5, 1.0), aspect=(0.8, 1.25), rotation=15, contrast=0.4),
    "photo": Augment(area=(0.3, 1.0), aspect=(0.75, 1.33), flip=0.5, brightness=0.2, contrast=0.4, blur=0.3),
}
