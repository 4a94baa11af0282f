"""Masked future: hide a stretch of a track, mostly all that is still to come, and say where it went."""

import math

import torch
from torch import Tensor, nn

from sslbook.encoders.tracks import TrackEncoder


class MaskedFuture(nn.Module):
    """Restore the hidden positions of a track from those that are seen.

    As the future is hidden more often than anything else, the pretext is the task itself: no label is needed, and what
    is trained can foretell at once. The other stretches ask where something was between two places.

    Parameters
    ----------
    encoder : reads tracks; what is hidden is NaN.
    tracks : float tensor (n, steps, 2), the training tracks, for the reference values.
    past : positions that are seen of a track whose future is hidden.
    share_future : of the cases, in which the whole future is hidden; in the others it is a random stretch.
    """

    def __init__(self, encoder: TrackEncoder, tracks: Tensor, past: int = 8, share_future: float = 0.75):
        super().__init__()
        self.encoder, self.past, self.share_future = encoder, past, share_future
        self.decoder = nn.Linear(encoder.out_features, 2 * encoder.steps)
        self.register_buffer("spread", (tracks - tracks.mean(dim=0)).norm(dim=2).mean(dim=0), persistent=False)

    def hidden(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw what is hidden of n tracks, bool (n, steps); the first two positions never are."""
        device, steps = generator.device, self.encoder.steps
        at = torch.arange(steps, device=device)
        length = torch.randint(1, steps - self.past + 1, (n, 1), generator=generator, device=device)
        start = 2 + (torch.rand(n, 1, generator=generator, device=device) * (steps - length - 1)).long()
        future = torch.rand(n, 1, generator=generator, device=device) < self.share_future
        return torch.where(future, at >= self.past, (at >= start) & (at < start + length))

    def predict(self, tracks: Tensor) -> Tensor:
        """All positions, (n, steps, 2) in metres, of tracks (n, up to steps, 2) with NaN where they are hidden."""
        return self.encoder.FAR * self.decoder(self.encoder(tracks)).view(len(tracks), -1, 2)

    def forward(self, tracks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(len(tracks), generator)
        seen = torch.where(hidden[..., None], math.nan, tracks)
        return (self.predict(seen) - tracks).norm(dim=2), hidden

    def loss(self, distance: Tensor, hidden: Tensor) -> Tensor:
        """Mean distance, in metres, of the hidden positions from where they are said to be; both (n, steps)."""
        return (distance * hidden).sum() / hidden.sum()

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Always guessing the mean of all tracks; in the mean over what may be hidden."""
        generator = torch.Generator(self.spread.device).manual_seed(0)
        return {
            "guessing the mean track": self.loss(self.spread, self.hidden(10_000, generator).float().mean(0)).item()
        }
