"""VICReg: agreement without negatives; spread and decorrelation prevent collapse (Bardes, Ponce & LeCun 2022)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.views import Augment
from sslbook.pretext.simclr import projection_head


def vicreg_loss(
    a: Tensor, b: Tensor, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
) -> Tensor:
    """Variance-invariance-covariance loss (Bardes et al. 2022, equations 1 to 6).

    Parameters
    ----------
    a, b : float tensors, shape (N, d), not normalised. Row i of both comes from picture i.
    invariance, variance, covariance : weights of the mean squared difference, of the hinge that keeps the standard
        deviation of every dimension above 1, and of the squared off-diagonal covariances.

    Returns
    -------
    scalar tensor. Full collapse (all embeddings equal) gives ``variance * (1 - sqrt(1e-4))``, 24.75 by default.
    """
    a, b = a.float(), b.float()

    def spread(z: Tensor) -> Tensor:
        return F.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean()

    def correlation(z: Tensor) -> Tensor:
        cov = torch.cov(z.T)
        return (cov.square().sum() - cov.diagonal().square().sum()) / z.shape[1]

    return (
        invariance * F.mse_loss(a, b)
        + variance * (spread(a) + spread(b)) / 2
        + covariance * (correlation(a) + correlation(b))
    )


class VICReg(nn.Module):
    """Pull two views together while every embedding dimension keeps its variance and its own information."""

    def __init__(self, encoder: nn.Module, augment: Augment):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.projection_head = projection_head(encoder.out_features, hidden=256, out_features=256)

    def forward(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views = torch.cat([self.augment(images, generator), self.augment(images, generator)])
        a, b = self.projection_head(self.encoder(views)).chunk(2)
        return a, b

    def loss(self, a: Tensor, b: Tensor) -> Tensor:
        return vicreg_loss(a, b)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Full collapse; the floor of the loss is 0."""
        return {"collapse": 24.75, "floor": 0.0}
