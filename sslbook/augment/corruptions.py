"""Weather and bad sensors, at strengths 1 to 5, to see how a segmenter degrades: never shown to it in training.

After ImageNet-C (Hendrycks and Dietterich 2019). Noise and blur have its strengths; its blur is as wide as pictures of
224 pixels need, so ours scales with the height. Its fog is equally thick near and far, and it has no night: ours are
written for what a camera on a road sees.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslbook.augment.tensors import to_tensor

HORIZON = 0.45  # height of the horizon, as a share of the frame from its top: about there for a camera in a car
Corruption = Callable[[Tensor, int, torch.Generator], Tensor]


def fog(images: Tensor, strength: int, generator: torch.Generator) -> Tensor:
    """Light scattered into the view: image * t + grey * (1 - t) with t = exp(-density * distance) (Koschmieder 1924).

    A frame says nothing of distances, so they are those of a flat road: 1 at the horizon, falling to 0.15 at the lower
    edge. Everything above the horizon counts as 1, so that a near house is hidden like a far one. Patches of fog are
    noise of a few sizes, in place of the plasma fractal of ImageNet-C.

    Parameters
    ----------
    images : float tensor, shape (n, 3, height, width), values in [0, 1].
    strength : 0 (returns the images) to 5.
    generator : source of every random number; the same one gives the same patches at each strength.
    """
    density = (0, 0.5, 0.8, 1.2, 1.7, 2.4)[strength]
    n, _, height, width = images.shape
    below = (torch.arange(height, device=images.device) + 0.5) / height - HORIZON
    distance = 1 / (1 + 10 * below.clamp(min=0)).view(1, 1, height, 1)
    patches = sum(
        F.interpolate(
            torch.rand((n, 1, 2 * size, 2 * size), generator=generator, device=images.device) / size,
            size=(height, width), mode="bilinear",
        )
        for size in (1, 2, 4)
    )  # fmt: skip
    seen = torch.exp(-density * distance * (0.5 + patches / 1.75))
    return images * seen + 0.8 * (1 - seen)


def night(images: Tensor, strength: int, generator: torch.Generator) -> Tensor:
    """Little light, bluish, and the grain of a sensor that has to amplify it; lamps are not drawn.

    Parameters are those of ``fog``.
    """
    light = (1, 0.75, 0.55, 0.4, 0.3, 0.22)[strength]
    tint = torch.tensor([0.8, 0.9, 1.0], device=images.device).view(1, 3, 1, 1) ** (strength / 5)
    grain = torch.randn(images.shape, generator=generator, device=images.device)
    return (light * tint * images ** (1 + 0.1 * strength) + 0.008 * strength * grain).clamp(0, 1)


def noise(images: Tensor, strength: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise on every value, with the deviations of ImageNet-C. Parameters are those of ``fog``."""
    deviation = (0, 0.08, 0.12, 0.18, 0.26, 0.38)[strength]
    grain = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + deviation * grain).clamp(0, 1)


def blur(images: Tensor, strength: int, generator: torch.Generator) -> Tensor:
    """Gaussian blur, with the widths of ImageNet-C; nothing is random. Parameters are those of ``fog``."""
    if strength == 0:
        return images
    width = (1, 2, 3, 4, 6)[strength - 1] * images.shape[2] / 224
    reach = int(3 * width + 0.5)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / width) ** 2)
    kernel = (taps / taps.sum()).expand(3, 1, 1, -1)
    across = F.conv2d(F.pad(images, (reach, reach, 0, 0), mode="replicate"), kernel, groups=3)
    return F.conv2d(F.pad(across, (0, 0, reach, reach), mode="replicate"), kernel.transpose(2, 3), groups=3)


CORRUPTIONS: dict[str, Corruption] = {"fog": fog, "night": night, "noise": noise, "blur": blur}


def corrupt(frames: np.ndarray, name: str, strength: int, seed: int = 0) -> np.ndarray:
    """Corrupt stored frames; the same seed gives the same patches and grain at each strength.

    Parameters
    ----------
    frames : uint8 array, shape (n, height, width, 3)
    name : "fog", "night", "noise" or "blur".
    strength : 0 (returns the frames) to 5.

    Raises
    ------
    ValueError
        If the corruption or the strength is unknown.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"there is no corruption {name!r}; choose one of {', '.join(CORRUPTIONS)}.")
    if strength not in range(6):
        raise ValueError(f"the strength is {strength}; choose a whole number from 0 (none) to 5.")
    generator = torch.Generator().manual_seed(seed)
    corrupted = np.empty_like(frames)
    for i in range(0, len(frames), 64):
        part = CORRUPTIONS[name](to_tensor(frames[i : i + 64]), strength, generator)
        corrupted[i : i + 64] = (part * 255).round().byte().permute(0, 2, 3, 1)
    return corrupted
