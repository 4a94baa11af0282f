"""Frozen features of stored cases."""

import numpy as np
import torch
from torch import nn

from sslbook.augment.tensors import Cases, count, network_input, take


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class WithNumbers(nn.Module):
    """An encoder of a picture beside which numbers are known, a place or an age: they are put behind its features.

    A case is a dict of a ``picture`` and its ``numbers``, shape (n, k).

    Parameters
    ----------
    encoder : of the picture.
    numbers : how many there are.
    """

    reads = {"picture": "pictures", "numbers": "numbers"}

    def __init__(self, encoder: nn.Module, numbers: int):
        super().__init__()
        self.network, self.out_features = encoder, encoder.out_features + numbers

    def forward(self, cases: dict[str, torch.Tensor]) -> torch.Tensor:
        """Map cases to features, shape (n, out_features)."""
        return torch.cat([self.network(cases["picture"]).float(), cases["numbers"].float()], dim=1)


@torch.no_grad()
def encode(encoder: nn.Module, cases: Cases, batch_size: int = 512) -> np.ndarray:
    """Frozen features of stored cases; the encoder is left in evaluation mode.

    Parameters
    ----------
    cases : what the encoder reads, see ``sslbook.augment.network_input``; at least one.

    Returns
    -------
    float32 array, shape (n, features)
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    parts = (take(cases, slice(i, i + batch_size)) for i in range(0, count(cases), batch_size))
    return torch.cat([encoder(network_input(encoder, part, device)).float().cpu() for part in parts]).numpy()
