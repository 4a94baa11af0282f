"""The pretext for rows of a table: restore what was corrupted."""

import math

import torch
from torch import Tensor, nn

from sslbook.encoders.rows import MLP


class Corruption(nn.Module):
    """Replace a share of the features of each row, each by an independent draw from its column (Bahri et al. 2022).

    Not by noise, and not by another row: the values are real, their combination is not.

    Parameters
    ----------
    values : float tensor, shape (n, d), the training rows to draw from.
    share : of the features of each row, .6 in the paper.
    """

    def __init__(self, values: Tensor, share: float = 0.6):
        super().__init__()
        self.register_buffer("values", values, persistent=False)
        self.share = share

    def extra_repr(self) -> str:
        return f"{tuple(self.values.shape)}, share={self.share}"

    def forward(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return a corrupted copy of rows (n, d)."""
        return self.corrupt(rows, generator)[0]

    def corrupt(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a corrupted copy of rows (n, d), and where it was corrupted, bool (n, d)."""
        n, d = rows.shape
        rank = torch.rand(n, d, generator=generator, device=rows.device).argsort(dim=1).argsort(dim=1)
        chosen = rank < math.floor(self.share * d)
        donor = torch.randint(len(self.values), (n, d), generator=generator, device=rows.device)
        return torch.where(chosen, self.values.gather(0, donor), rows), chosen


class MaskedFeatures(nn.Module):
    """Restore the features that were replaced, and only those count (Yoon et al. 2020 restore all of them).

    Parameters
    ----------
    encoder : reads rows.
    corruption : what hides the features.
    """

    def __init__(self, encoder: MLP, corruption: Corruption):
        super().__init__()
        self.encoder, self.corruption = encoder, corruption
        self.decoder = nn.Linear(encoder.out_features, corruption.values.shape[1])

    def forward(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        corrupted, hidden = self.corruption.corrupt(rows, generator)
        return (self.decoder(self.encoder(corrupted)) - rows).square(), hidden

    def loss(self, error: Tensor, hidden: Tensor) -> Tensor:
        """Mean squared error of the hidden features; both (n, d)."""
        return (error * hidden).sum() / hidden.sum().clamp(min=1)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Always guessing the mean of a standardised column."""
        return {"guessing the mean": 1.0}
