"""SimCSE: a text read twice, each time with other numbers dropped, should get one vector (Gao et al. 2021)."""

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
