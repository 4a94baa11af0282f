"""A multilayer perceptron for tracks."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TrackEncoder(nn.Module):
    """A multilayer perceptron that reads where something was; positions that are NaN are hidden from it.

    It reads each position, each step between two of them that are seen, and which are seen.

    Parameters
    ----------
    steps : positions of a track; a shorter one counts as hidden from its end on.
    width : of the two layers; the second gives the features.
    """

    FAR, STEP = 10.0, 4.0  # metres, so that the network reads numbers around 1

    def __init__(self, steps: int = 20, width: int = 128):
        super().__init__()
        self.steps, self.out_features = steps, width
        self.layers = nn.Sequential(
            nn.Linear(5 * steps - 2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, tracks: Tensor) -> Tensor:
        """Map tracks (n, up to steps, 2), metres, the present at (0, 0), to features (n, width)."""
        tracks = F.pad(tracks, (0, 0, 0, self.steps - tracks.shape[1]), value=math.nan)
        seen = ~tracks.isnan().any(dim=2)
        parts = tracks / self.FAR, tracks.diff(dim=1) / self.STEP, seen.to(tracks.dtype)
        return self.layers(torch.cat([part.nan_to_num().flatten(1) for part in parts], dim=1))
