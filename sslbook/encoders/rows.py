"""A multilayer perceptron for rows of a table."""

from torch import Tensor, nn


class MLP(nn.Module):
    """A multilayer perceptron for rows of a table (Bahri et al. 2022 use four layers of 256).

    Parameters
    ----------
    in_features : columns, standardised.
    width, layers : of the hidden layers; the last one gives the features.
    """

    def __init__(self, in_features: int, width: int = 128, layers: int = 3):
        super().__init__()
        self.out_features = width
        sizes = [in_features] + [width] * layers
        self.layers = nn.Sequential(
            *(part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU()))
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (n, in_features) to features (n, width)."""
        return self.layers(rows)
