"""Rotation prediction: by how many quarter turns was the picture rotated? (Gidaris, Singh & Komodakis 2018)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.views import Augment


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate picture i by ``turns[i]`` x 90 degrees, counter-clockwise.

    Parameters
    ----------
    images : tensor, shape (n, channels, size, size)
    turns : int64 tensor, shape (n,), values 0 to 3
    """
    rotated = torch.empty_like(images)
    for k in range(4):
        rotated[turns == k] = torch.rot90(images[turns == k], k, dims=(2, 3))
    return rotated


class RotationPrediction(nn.Module):
    """Classify the quarter turn of an augmented picture."""

    def __init__(self, encoder: nn.Module, augment: Augment):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.classifier = nn.Linear(encoder.out_features, 4)

    def forward(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        turns = torch.randint(4, (len(images),), generator=generator, device=images.device)
        return self.classifier(self.encoder(quarter_turns(self.augment(images, generator), turns))), turns

    def loss(self, logits: Tensor, turns: Tensor) -> Tensor:
        """Cross-entropy; logits (n, 4), turns (n,)."""
        return F.cross_entropy(logits.float(), turns)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Chance among four answers, and a solved task."""
        return {"chance": math.log(4), "floor": 0.0}
