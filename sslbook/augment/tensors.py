"""From stored cases to the tensors that a network reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Cases = np.ndarray | Mapping[str, np.ndarray]  # arrays by name: several streams of one case
Tensors = Tensor | dict[str, Tensor]


def to_tensor(pictures: np.ndarray, device: str | torch.device = "cpu") -> Tensor:
    """Turn stored pictures into network input.

    Parameters
    ----------
    pictures : uint8 array, shape (n, height, width, channels)

    Returns
    -------
    float32 tensor, shape (n, channels, height, width), values in [0, 1], channels-last in memory.
    """
    stacked = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    # In memory (n, height, width, channels) already is PyTorch's channels-last layout of (n, channels, height, width).
    return stacked.permute(0, 3, 1, 2).float().div_(255).contiguous(memory_format=torch.channels_last)


def reads(network: Any) -> str | Mapping[str, str]:
    """What a network says it reads: "pictures", "items" or "numbers", or one of them for each stream of a case.

    A network says it by its attribute ``reads``; an objective reads what its encoder does.
    """
    return getattr(getattr(network, "encoder", network), "reads", "numbers")


def network_input(network: Any, cases: Cases, device: str | torch.device = "cpu") -> Tensors:
    """Stored cases as the network reads them: pictures as of ``to_tensor``, numbers as they are.

    Raises
    ------
    ValueError
        If cases are bytes, as pictures are, and the network does not say that it reads pictures.
    """
    kinds = reads(network)
    if isinstance(cases, Mapping):
        return {name: _as(kinds if isinstance(kinds, str) else kinds[name], x, device) for name, x in cases.items()}
    return _as(kinds, cases, device)


def _as(kind: str, values: np.ndarray, device: str | torch.device) -> Tensor:
    if kind == "pictures":
        return to_tensor(values, device)
    if values.dtype == np.uint8:
        raise ValueError("the cases are bytes; if they are pictures, the network must say reads = 'pictures'.")
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def take(cases: Any, index: Any) -> Any:
    """Some of the cases, of arrays or tensors, by position or slice."""
    return {name: x[index] for name, x in cases.items()} if isinstance(cases, Mapping) else cases[index]


def count(cases: Any) -> int:
    """Number of cases."""
    return len(next(iter(cases.values()))) if isinstance(cases, Mapping) else len(cases)
