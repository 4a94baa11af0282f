"""SimCLR: two views of one picture should agree, views of different pictures should not (Chen et al. 2020)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.views import Augment


def projection_head(in_features: int, hidden: int = 128, out_features: int = 64) -> nn.Sequential:
    """The small network between the features and the loss; it is thrown away after pretraining."""
    return nn.Sequential(
        nn.Linear(in_features, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True),
        nn.Linear(hidden, out_features),
    )  # fmt: skip


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    r"""Normalised temperature-scaled cross-entropy (Chen et al. 2020, equation 1).

    For each of the 2N views the other view of the same picture is the right answer among 2N - 1 candidates:

    .. math:: \ell = -\frac{1}{2N}\sum_i \log \frac{\exp(z_i z_{p(i)} / t)}{\sum_{j \ne i} \exp(z_i z_j / t)}

    Parameters
    ----------
    a, b : float tensors, shape (N, d). Row i of both comes from picture i; need not be normalised.
    temperature : t. Small values look hard at the nearest wrong candidates.

    Returns
    -------
    scalar tensor. All embeddings equal gives ln(2N - 1).
    """
    z = F.normalize(torch.cat([a, b]).float(), dim=1)
    similarity = z @ z.T / temperature
    similarity.fill_diagonal_(-torch.inf)
    partner = torch.arange(len(z), device=z.device).roll(len(a))
    return F.cross_entropy(similarity, partner)


def nt_xent_reference(batch_size: int, temperature: float) -> dict[str, float]:
    """Chance (= full collapse) ln(2N - 1), and the floor: positives equal, all others orthogonal."""
    floor = math.log(1 + (2 * batch_size - 2) * math.exp(-1 / temperature))
    return {"chance and collapse": math.log(2 * batch_size - 1), "floor": floor}


class SimCLR(nn.Module):
    """Contrast two random views of each picture with the rest of the batch.

    Parameters
    ----------
    encoder : module with ``out_features``.
    augment : recipe for the views; what it varies, the features learn to ignore.
    temperature : see ``nt_xent``.
    """

    def __init__(self, encoder: nn.Module, augment: Augment, temperature: float = 0.2):
        super().__init__()
        self.encoder, self.augment, self.temperature = encoder, augment, temperature
        self.projection_head = projection_head(encoder.out_features)

    def forward(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views = torch.cat([self.augment(half, generator) for half in self.pair(images)])
        a, b = self.projection_head(self.encoder(views)).chunk(2)
        return a, b

    def pair(self, cases: Tensor) -> tuple[Tensor, Tensor]:
        """The two pictures that the views are taken of: twice the same."""
        return cases, cases

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return nt_xent(a, b, self.temperature)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        return nt_xent_reference(batch_size, self.temperature)


class NeighbourSimCLR(SimCLR):
    """Views of two neighbouring pictures of one patient should agree, for example of slices of one scan.

    What changes from a slice to the next is then ignored as well (after Zeng et al. 2021, PCL: positional contrastive
    learning). A case is such a pair, one picture above the other: (2 height, width, channels).
    """

    def pair(self, cases: Tensor) -> tuple[Tensor, Tensor]:
        return cases.chunk(2, dim=2)
