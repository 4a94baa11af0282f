"""Texts that should get one vector: one read twice (SimCSE, Gao et al. 2021), or two that belong together."""

import torch
from torch import Tensor, nn

from sslbook.encoders.tokens import TokenTransformer, mean_state
from sslbook.pretext.items import ItemObjective
from sslbook.pretext.simclr import nt_xent, nt_xent_reference


class SimCSE(nn.Module):
    """Contrast two readings of each text with the rest of the batch; dropout is all that makes them differ.

    Parameters
    ----------
    encoder : with a share to drop above 0.
    temperature : see ``nt_xent``; the paper's is 0.05.
    deleted : share of the tokens that each reading lacks, so that the question becomes harder (Wu et al. 2020, CLEAR).
    """

    def __init__(self, encoder: TokenTransformer, temperature: float = 0.05, deleted: float = 0.0):
        super().__init__()
        self.encoder, self.temperature, self.deleted = encoder, temperature, deleted

    arrange = ItemObjective.arrange  # texts of like length together

    def forward(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        a, b = (mean_state(self.encoder, self.read(histories, generator), generator) for _ in range(2))
        return a, b

    def read(self, histories: Tensor, generator: torch.Generator) -> Tensor:
        """Texts (n, length) without a random share of their tokens; one at least stays."""
        if not self.deleted:
            return histories
        chance = torch.rand(histories.shape, generator=generator, device=histories.device)
        chance = torch.where(histories >= 0, chance, -1.0)
        kept = (chance >= self.deleted) | (chance == chance.amax(dim=1, keepdim=True))
        order = torch.argsort((~kept).int(), dim=1, stable=True)  # what stays moves to the front
        return torch.where(kept, histories, -1).gather(1, order)

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return nt_xent(a, b, self.temperature)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return nt_xent_reference(batch_size, self.temperature)


class FirstOfPair(nn.Module):
    """An encoder of the first text of a pair; both texts lie in one row, the second begins half-way."""

    reads = "items"

    def __init__(self, network: TokenTransformer):
        super().__init__()
        self.network, self.out_features = network, network.out_features

    def forward(self, pairs: Tensor) -> Tensor:
        """Map pairs (n, 2 length) to features, shape (n, width)."""
        return self.network(pairs.chunk(2, dim=1)[0])


class PairContrast(nn.Module):
    """Two texts that belong together, such as title and description, should be alike, and unlike those of others.

    With one network for both it is a two-tower model of a search box, trained without a click (Huang et al. 2020).

    Parameters
    ----------
    network : of both texts; kept as ``objective.encoder.network``.
    temperature : see ``nt_xent``.
    """

    def __init__(self, network: TokenTransformer, temperature: float = 0.05):
        super().__init__()
        self.encoder, self.temperature = FirstOfPair(network), temperature

    arrange = ItemObjective.arrange  # by the length of both texts

    def forward(self, pairs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        a, b = (mean_state(self.encoder.network, text, generator) for text in pairs.chunk(2, dim=1))
        return a, b

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return nt_xent(a, b, self.temperature)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return nt_xent_reference(batch_size, self.temperature)
