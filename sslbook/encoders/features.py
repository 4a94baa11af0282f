"""Frozen features of stored cases."""

import numpy as np
import torch
from torch import nn

from sslbook.augment.tensors import Cases, count, network_input, take


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


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
