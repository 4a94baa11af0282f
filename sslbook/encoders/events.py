"""A recurrent network for histories of events."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn


class EventEncoder(nn.Module):
    """Embeddings of the fields of an event, and a recurrent network (GRU) that reads a history from left to right.

    Parameters
    ----------
    codes : number of codes of each field.
    width : size of the state, which is the feature vector.
    embedding : size of the embedding of each field.
    """

    def __init__(self, codes: Sequence[int], width: int = 64, embedding: int = 12):
        super().__init__()
        self.codes, self.embedding, self.out_features = tuple(codes), embedding, width
        # Code -1 fills short histories; its embedding stays zero.
        self.embeddings = nn.ModuleList(nn.Embedding(n + 1, embedding, padding_idx=0) for n in self.codes)
        self.gru = nn.GRU(embedding * len(self.codes), width, batch_first=True)

    def embed(self, events: Tensor) -> Tensor:
        """Map events (n, length, fields) to vectors (n, length, fields * embedding)."""
        parts = [table(events[..., i].long() + 1) for i, table in enumerate(self.embeddings)]
        return torch.cat(parts, dim=-1)

    def states(self, events: Tensor) -> Tensor:
        """What the network knows after each event, shape (n, length, width); later events cannot change it."""
        return self.gru(self.embed(events))[0]

    def forward(self, events: Tensor) -> Tensor:
        """Map histories (n, length, fields), -1 behind the last event, to the state after that event (n, width)."""
        last = (events[..., 0] >= 0).sum(dim=1).clamp(min=1) - 1
        return self.states(events)[torch.arange(len(events), device=events.device), last]


@torch.no_grad()
def encode_events(
    network: Callable[[Tensor], Tensor], sequences: np.ndarray, rows: np.ndarray, batch_size: int = 128
) -> np.ndarray:
    """Apply a network to whole histories and give each event its own output; histories of like length go together.

    Parameters
    ----------
    network : maps histories (n, length, fields) to outputs (n, length, k).
    sequences, rows : from ``sslbook.data.histories``, or some entities of it.

    Returns
    -------
    float32 array, shape (events, k), by row; zeros where no history holds the row.
    """
    lengths = (rows >= 0).sum(axis=1)
    owner = getattr(network, "__self__", network)
    device = next(owner.parameters()).device if isinstance(owner, nn.Module) else "cpu"
    out = None
    for batch in np.array_split(np.argsort(lengths), max(1, len(rows) // batch_size)):
        longest = max(1, lengths[batch].max())
        values = network(torch.from_numpy(sequences[batch, :longest]).to(device)).float().cpu().numpy()
        out = np.zeros((rows.max() + 1, values.shape[-1]), np.float32) if out is None else out
        here = rows[batch, :longest]
        out[here[here >= 0]] = values[here >= 0]
    return out
