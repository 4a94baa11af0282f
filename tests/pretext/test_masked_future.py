"""Masked futures: what is hidden, what the encoder sees of it, what counts, and the reference values."""

import math

import numpy as np
import pytest
import torch

from sslbook import train
from sslbook.encoders.features import count_parameters, encode
from sslbook.encoders.tracks import TrackEncoder
from sslbook.pretext.masked_future import MaskedFuture
from sslbook.worlds.motion import simulate_tracks


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def tracks() -> torch.Tensor:
    return torch.from_numpy(simulate_tracks(600).subset(np.arange(360)).centred)


def masked(tracks: torch.Tensor, **settings) -> MaskedFuture:
    torch.manual_seed(0)
    return MaskedFuture(TrackEncoder(width=32), tracks, **settings)


# ------------------------------------------------------------------------------------------------------- encoder


def test_the_encoder_has_about_thirty_thousand_numbers_and_reads_any_length(tracks):
    encoder = TrackEncoder()
    assert 25_000 < count_parameters(encoder) < 35_000
    assert encoder(tracks).shape == (len(tracks), encoder.out_features) == (len(tracks), 128)
    hidden = tracks.clone()
    hidden[:, 8:] = math.nan
    assert torch.equal(encoder(hidden), encoder(tracks[:, :8])), "what is cut off counts as hidden"


def test_features_of_stored_tracks(tracks):
    features = encode(TrackEncoder(), tracks[:, :8].numpy())
    assert features.shape == (len(tracks), 128) and np.isfinite(features).all() and features.std(axis=0).max() > 0.01


def test_the_encoder_knows_hidden_from_zero(tracks):
    encoder, zero, hidden = TrackEncoder(), torch.zeros(1, 20, 2), torch.zeros(1, 20, 2)
    hidden[:, 5] = math.nan
    assert not torch.allclose(encoder(zero), encoder(hidden))


# -------------------------------------------------------------------------------------------------- what is hidden


def test_mostly_the_future_is_hidden(tracks):
    hidden = masked(tracks, share_future=0.75).hidden(20_000, generator())
    future = torch.arange(20) >= 8
    whole = (hidden == future).all(dim=1)
    assert whole.float().mean() == pytest.approx(0.75 + 0.25 / 12 / 7, abs=0.01)
    assert (masked(tracks, share_future=1.0).hidden(500, generator()) == future).all()


def test_the_rest_hides_one_stretch_and_never_the_first_two_positions(tracks):
    hidden = masked(tracks, share_future=0.0).hidden(20_000, generator())
    assert not hidden[:, :2].any()
    starts = hidden & ~hidden.roll(1, dims=1)
    assert (starts.sum(dim=1) == 1).all(), "one stretch each"
    length = hidden.sum(dim=1)
    assert length.unique().tolist() == list(range(1, 13))
    assert length.float().mean() == pytest.approx(6.5, abs=0.1)
    assert hidden[:, 2].any() and hidden[:, 19].any()


def test_what_is_hidden_follows_from_the_generator(tracks):
    objective = masked(tracks)
    first, again, other = (objective.hidden(50, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


# ----------------------------------------------------------------------------------------------------------- loss


def test_hidden_positions_cannot_be_seen(tracks):
    objective = masked(tracks, share_future=1.0)
    other = tracks.clone()
    other[:, 8:] += 5
    with torch.no_grad():
        distance, hidden = objective(tracks, generator())
        moved, _ = objective(other, generator())
    assert torch.allclose(distance[:, :8], moved[:, :8]) and not torch.allclose(distance[:, 8:], moved[:, 8:])
    assert distance.shape == hidden.shape == (len(tracks), 20)


def test_the_loss_is_the_mean_distance_of_hidden_positions(tracks):
    distance = torch.tensor([[1.0, 50.0, 3.0], [70.0, 5.0, 90.0]])
    hidden = torch.tensor([[True, False, True], [False, True, False]])
    assert masked(tracks).loss(distance, hidden).item() == pytest.approx(3)


@pytest.mark.parametrize("share", [0.0, 0.75, 1.0])
def test_guessing_the_mean_costs_what_the_reference_says(tracks, share):
    objective = masked(tracks, share_future=share)
    objective.predict = lambda seen: tracks.mean(dim=0).expand(len(seen), -1, -1)
    losses = [objective.loss(*objective(tracks, generator(seed))).item() for seed in range(20)]
    assert objective.reference_values(64)["guessing the mean track"] == pytest.approx(np.mean(losses), rel=0.03)


def test_pretraining_restores_better_than_the_mean_and_can_be_taken_up_again(tracks, tmp_path, monkeypatch):
    objective, again, save = masked(tracks), masked(tracks), train.save_checkpoint
    settings = {"epochs": 20, "batch_size": 64, "learning_rate": 1e-2, "progress": False}
    history = train.pretrain(objective, tracks.numpy(), **settings)
    assert history.epochs[-1]["loss"] < 0.4 * history.reference["guessing the mean track"]
    assert not history.collapsed

    def save_and_stop(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(train, "save_checkpoint", save_and_stop)
        train.pretrain(again, tracks.numpy(), **settings, checkpoint=tmp_path / "run.pt")
    resumed = masked(tracks)
    train.pretrain(resumed, tracks.numpy(), **settings, checkpoint=tmp_path / "run.pt")
    assert torch.equal(resumed.decoder.weight, objective.decoder.weight)
    assert "spread" not in objective.state_dict()
