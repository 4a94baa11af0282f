"""Next-event prediction: how likely was this event, given the history of its owner?"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.encoders.events import EventEncoder


def random_windows(events: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """One stretch of ``length`` consecutive events of each history; short histories are taken whole.

    Parameters
    ----------
    events : int tensor, shape (n, longest, fields), -1 behind the last event.

    Returns
    -------
    int tensor, shape (n, length, fields)
    """
    count = (events[..., 0] >= 0).sum(dim=1)
    free = (count - length + 1).clamp(min=1)
    start = (torch.rand(len(events), generator=generator, device=events.device) * free).long()
    place = start[:, None] + torch.arange(length, device=events.device)
    return events_at(events, torch.arange(len(events), device=events.device), place)


def events_at(events: Tensor, history: Tensor, place: Tensor) -> Tensor:
    """Events (m, length, fields) at the places (m, length) of histories (m,), -1 where a history has ended."""
    inside = place < events.shape[1]
    return torch.where(inside[..., None], events[history[:, None], place.clamp(max=events.shape[1] - 1)], -1)


class NextEvent(nn.Module):
    r"""Predict the fields of the next event one after the other, each from the history and the fields before it.

    .. math:: -\log p(x_t \mid x_{<t}) = -\sum_f \log p(x_{t,f} \mid h_{t-1}, x_{t,1}, \ldots, x_{t,f-1})

    The negative logarithm of the probability of what did happen is the *surprise*.

    Parameters
    ----------
    encoder : its fields are predicted in their order.
    length : events of a history in one batch.
    hidden : size of the layer between the state and the prediction of each field.
    """

    def __init__(self, encoder: EventEncoder, length: int = 64, hidden: int = 32):
        super().__init__()
        self.encoder, self.length = encoder, length
        width = encoder.embedding
        self.from_state = nn.ModuleList(nn.Linear(encoder.out_features, hidden) for _ in encoder.codes)
        self.from_fields = nn.ModuleList(nn.Linear(i * width, hidden, bias=False) for i in range(1, len(encoder.codes)))
        self.to_field = nn.ModuleList(nn.Linear(hidden, n) for n in encoder.codes)

    def surprise(self, events: Tensor) -> Tensor:
        """Surprise of every field of every event, shape (n, length, fields), in nats; 0 behind the last event."""
        embedded = self.encoder.embed(events)
        states = self.encoder.gru(embedded)[0]
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)
        real = events[..., 0] >= 0
        before, embedded, target = before[real], embedded[real], events[real].long()
        fields = []
        for f in range(target.shape[1]):
            hidden = self.from_state[f](before)
            if f > 0:
                hidden = hidden + self.from_fields[f - 1](embedded[:, : f * self.encoder.embedding])
            fields.append(F.cross_entropy(self.to_field[f](F.relu(hidden)).float(), target[:, f], reduction="none"))
        out = events.new_zeros(events.shape, dtype=torch.float32)
        out[real] = torch.stack(fields, dim=1)
        return out

    def forward(self, events: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        window = random_windows(events, self.length, generator)
        return self.surprise(window).sum(dim=2), window[..., 0] >= 0

    def loss(self, surprise: Tensor, real: Tensor) -> Tensor:
        """Mean surprise of an event; ``surprise`` and ``real`` have shape (n, length)."""
        return surprise.sum() / real.sum().clamp(min=1)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """All codes of all fields equally likely."""
        return {"chance": sum(math.log(n) for n in self.encoder.codes)}
