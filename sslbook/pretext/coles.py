"""CoLES: slices of one history should agree, slices of different histories should not (Babaev et al. 2022)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.encoders.events import EventEncoder
from sslbook.pretext.next_event import events_at


def random_slices(events: Tensor, slices: int, shortest: int, longest: int, generator: torch.Generator) -> Tensor:
    """Several stretches of consecutive events of each history, of random length and place.

    Parameters
    ----------
    events : int tensor, shape (n, history, fields), -1 behind the last event.
    shortest, longest : events in a slice; fewer only where a history has fewer.

    Returns
    -------
    int tensor, shape (n * slices, longest, fields); the slices of a history follow each other.
    """
    device = events.device
    history = torch.arange(len(events), device=device).repeat_interleave(slices)
    draw = torch.rand(2, len(history), generator=generator, device=device)
    count = (events[..., 0] >= 0).sum(dim=1)[history]
    length = torch.minimum(shortest + (draw[0] * (longest - shortest + 1)).long(), count)
    start = (draw[1] * (count - length + 1)).long()
    offset = torch.arange(longest, device=device)
    taken = events_at(events, history, start[:, None] + offset)
    return torch.where((offset < length[:, None])[..., None], taken, -1)


def coles_loss(z: Tensor, slices: int, margin: float = 0.5, hard: int = 5) -> Tensor:
    r"""Contrastive loss with hard negatives (Hadsell et al. 2006; Babaev et al. 2022, section 3.2).

    .. math:: \ell = \frac{1}{n}\Big(\sum_{\text{same}} d_{ij}^2 + \sum_{\text{hard}} \max(0, m - d_{ij})^2\Big)

    Parameters
    ----------
    z : float tensor, shape (n, d); embeddings of slices, those of a history follow each other; need not be normalised.
    slices : of each history.
    margin : m; slices of different histories that are further apart do not count.
    hard : nearest slices of other histories that count, for each slice.

    Returns
    -------
    scalar tensor; every pair of slices of one history counts once. (The paper sums; the mean over slices does not
    depend on the size of the batch.)
    """
    z = F.normalize(z.float(), dim=1)
    squared = (2 - 2 * z @ z.T).clamp(min=0)
    owner = torch.arange(len(z), device=z.device) // slices
    same = owner[:, None] == owner
    distance = (squared + 1e-12).sqrt().masked_fill(same, torch.inf)
    nearest = distance.topk(min(hard, len(z) - slices), largest=False).values
    positive = squared.masked_fill(~same, 0).triu(1).sum()
    return (positive + F.relu(margin - nearest).square().sum()) / len(z)


class CoLES(nn.Module):
    """Contrast random slices of each history with those of the other histories in the batch.

    Parameters
    ----------
    encoder : reads a slice; its last state is the embedding.
    slices, shortest, longest : see ``random_slices``.
    margin, hard : see ``coles_loss``.
    """

    def __init__(
        self, encoder: EventEncoder, slices: int = 4, shortest: int = 2, longest: int = 8, margin: float = 0.5,
        hard: int = 5,
    ):  # fmt: skip
        super().__init__()
        self.encoder, self.slices, self.shortest, self.longest = encoder, slices, shortest, longest
        self.margin, self.hard = margin, hard

    def forward(self, events: Tensor, generator: torch.Generator) -> tuple[Tensor]:
        z = self.encoder(random_slices(events, self.slices, self.shortest, self.longest, generator))
        return (z.view(len(events), self.slices, -1),)

    def loss(self, z: Tensor) -> Tensor:
        """``coles_loss`` of embeddings (n, slices, d)."""
        return coles_loss(z.flatten(0, 1), self.slices, self.margin, self.hard)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """All embeddings equal; and perfect: slices of one history equal, all others beyond the margin."""
        return {"collapse": self.hard * self.margin**2, "floor": 0.0}


def slice_retrieval(first: Tensor, second: Tensor) -> float:
    """Share of histories whose second slice is the nearest of all second slices to their first: recall at 1.

    Parameters
    ----------
    first, second : embeddings, shape (n, d); row i of both is of history i.
    """
    similarity = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T
    hits = similarity.argmax(dim=1) == torch.arange(len(first), device=first.device)
    return float(hits.float().mean())
