"""The container of tracks, what it refuses, and the frame in which a vehicle sees its track."""

import dataclasses

import numpy as np
import pytest

from sslbook.data.card import own_data_card
from sslbook.domains.driving.tracks import FUTURE, PAST, Tracks, TrackSplit, centred
from tests.conftest import refuses


def split_of(name: str, roads: str, seed: int = 0) -> TrackSplit:
    """One curved track a letter, on the road of that name."""
    rng = np.random.default_rng(seed)
    angle = np.cumsum(rng.normal(0, 0.2, (len(roads), PAST + FUTURE)), axis=1)
    steps = rng.uniform(1, 4, (len(roads), 1, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    positions = rng.normal(0, 100, (len(roads), 1, 2)) + np.cumsum(steps, axis=1)
    return TrackSplit(name, positions.astype(np.float32), np.array(list(roads)))


@pytest.fixture
def tracks() -> Tracks:
    splits = {name: split_of(name, roads) for name, roads in (("train", "aabb"), ("validation", "c"), ("test", "ddde"))}
    return Tracks(**splits, data_card=own_data_card("mine", "My tracks", ()))


def test_what_tracks_say_of_themselves(tracks):
    assert tracks.counts()["tracks"].tolist() == [4, 1, 4] and tracks.counts()["roads"].tolist() == [2, 1, 2]
    assert "My tracks" in tracks._repr_html_() and tracks.source == "real"
    assert repr(tracks.test) == "TrackSplit(test: 4 tracks on 2 roads)"


def test_no_road_is_in_two_splits(tracks):
    with refuses("Road 'a' of mine is in train and in test; keep all tracks of a road in one split"):
        dataclasses.replace(tracks, test=split_of("test", "da"))


def test_a_centred_track_is_at_the_origin_and_looks_along_x(tracks):
    c = tracks.train.centred
    assert c.dtype == np.float32 and (c[:, PAST - 1] == 0).all()
    last = c[:, PAST - 1] - c[:, PAST - 2]
    moves = np.linalg.norm(last, axis=1) > 0.21
    assert (last[moves, 0] > 0).all()
    assert last[moves, 1] == pytest.approx(np.zeros(moves.sum()), abs=1e-3)


def test_centring_keeps_distances(tracks):
    raw, c = tracks.train.positions.astype(np.float64), tracks.train.centred
    away = [np.linalg.norm(p[:, :, None] - p[:, None], axis=-1) for p in (raw, c)]
    assert np.abs(away[1] - away[0]).max() < 2e-3


def test_centring_knows_neither_place_nor_direction_nor_future():
    track = np.cumsum(np.random.default_rng(0).normal(1, 0.3, (3, 20, 2)), axis=1)
    turned = track @ [[0, 1], [-1, 0]] + [500, -20]
    assert centred(turned) == pytest.approx(centred(track), abs=1e-4)
    other = track.copy()
    other[:, PAST:] += 3
    assert (centred(other)[:, :PAST] == centred(track)[:, :PAST]).all()
    assert (centred(track[:, :PAST]) == centred(track)[:, :PAST]).all(), "a past alone is centred as well"


def test_who_stands_looks_where_it_last_drove():
    track = np.zeros((2, 20, 2))
    track[0, :4, 1] = [-9, -6, -3, 0]  # up the map, then stands
    track[1] = np.random.default_rng(0).normal(0, 0.01, (20, 2))  # stands all the time
    c = centred(track)
    assert c[0, :4, 0] == pytest.approx([-9, -6, -3, 0], abs=1e-5) and np.abs(c[0, :, 1]).max() < 1e-5
    assert np.isfinite(c[1]).all()


def test_positions_of_another_kind_are_refused():
    good, roads = np.zeros((3, 20, 2), np.float32), np.array(["a", "a", "b"])
    with refuses("positions of mine are float64 of shape (3, 20, 2); give float32 of shape (n, 20, 2)"):
        TrackSplit("mine", good.astype(float), roads)
    with refuses("give float32 of shape (n, 20, 2)"):
        TrackSplit("mine", good[:, :19], roads)
    with refuses("3 tracks but roads of shape (2,); give one for each"):
        TrackSplit("mine", good, roads[:2])
    good[1, 4, 0] = np.nan
    with refuses("Track 1 of mine has a position that is no number; leave the track out"):
        TrackSplit("mine", good, roads)
