"""Drawn traffic: its schema, what drivers do, the frame of a track, and the cut by road."""

import dataclasses

import numpy as np
import pytest

from sslbook.domains.driving.tracks import FUTURE, PAST, STEP, TrackSplit, centred
from sslbook.worlds.driving import NOISE, ROADS, WARM_UP, _Traffic, simulate_tracks
from tests.conftest import refuses


@pytest.fixture(scope="module")
def tracks():
    return simulate_tracks()


@pytest.fixture(scope="module")
def traffic():
    """Vehicles on ten roads for 60 s, and where they were: (roads, vehicles, steps, 2)."""
    drawn = _Traffic(np.random.default_rng(0), 10, 60.0, 1.0)
    return drawn, drawn.drive()


def everything(tracks):
    return np.concatenate([split.centred for split in (tracks.train, tracks.validation, tracks.test)])


def speeds(positions):
    return np.linalg.norm(np.diff(positions, axis=-2), axis=-1) / STEP


def test_tracks_have_the_schema_of_tracks(tracks):
    assert tracks.source == "simulated" and "SIMULATED" in tracks._repr_html_()
    assert tracks.counts()["roads"].to_dict() == ROADS
    assert tracks.counts()["tracks"].sum() == 3000
    assert tracks.train.positions.shape == (1800, PAST + FUTURE, 2)
    assert tracks.train.positions.dtype == np.float32
    assert repr(tracks.test) == "TrackSplit(test: 800 tracks on 8 roads)"


@pytest.mark.parametrize("n", [300, 517, 5000])
def test_as_many_tracks_as_asked_for_alike_many_of_each_road(n):
    drawn = simulate_tracks(n)
    assert drawn.counts()["tracks"].sum() == n
    for split in (drawn.train, drawn.validation, drawn.test):
        count = np.unique(split.roads, return_counts=True)[1]
        assert count.min() >= n // 30 and count.max() <= n // 30 + 1


def test_no_road_is_in_two_splits(tracks):
    roads = [set(split.roads) for split in (tracks.train, tracks.validation, tracks.test)]
    assert len(set.union(*roads)) == sum(map(len, roads)) == 30
    with refuses("Road 'road 1' of tracks is in train and in test; keep all tracks of a road in one split"):
        dataclasses.replace(tracks, test=dataclasses.replace(tracks.train, name="test"))


def test_tracks_follow_from_the_seed(tracks):
    again, other = simulate_tracks(), simulate_tracks(seed=1)
    assert (again.test.positions == tracks.test.positions).all()
    assert not (other.test.positions == tracks.test.positions).any()


def test_no_track_is_there_twice_and_none_shares_its_time_with_another_of_its_vehicle(tracks):
    assert len(np.unique(tracks.train.positions.reshape(1800, -1), axis=0)) == 1800
    points = tracks.train.positions.reshape(-1, 2)
    assert len(np.unique(points, axis=0)) == len(points)


def test_a_part_of_a_split_is_a_split(tracks):
    part = tracks.test.subset(np.arange(5))
    assert len(part) == 5 and (part.positions == tracks.test.positions[:5]).all()
    assert part.name == "test" and part.roads.tolist() == tracks.test.roads[:5].tolist()


# ------------------------------------------------------------------------------------------------------- drivers


def test_drivers_keep_to_what_cars_can_do(traffic):
    _, positions = traffic
    velocity = np.diff(positions, axis=2) / STEP
    pull = np.linalg.norm(np.diff(velocity, axis=2), axis=-1) / STEP
    assert np.linalg.norm(velocity, axis=-1).max() < 17.5
    assert np.percentile(pull, 99) < 4 and pull.max() < 8


def test_vehicles_do_not_stand_in_each_other(traffic):
    _, positions = traffic
    away = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    away[:, np.arange(16), np.arange(16)] = np.inf
    assert np.percentile(away.min(axis=2), 0.5) > 3.4, "two lanes are 3.5 m apart, cars 4.5 m long"


def test_lights_stop_vehicles_and_let_them_go_on(traffic):
    speed = speeds(traffic[1])
    stands = speed < 0.3
    assert 0.05 < stands.mean() < 0.3
    leaves = stands[..., :-12] & (speed[..., 12:] > 5)
    assert leaves.any(axis=(1, 2)).all(), "on every road"


def test_no_vehicle_passes_a_red_light():
    drawn = _Traffic(np.random.default_rng(3), 10, 60.0, 1.0)
    ahead, passed, seen = drawn._ahead, 0, 0

    def watched(time):
        nonlocal passed, seen
        front = drawn.s[..., None] - (drawn.junctions[:, None] - 12)
        red = (time > WARM_UP) & ((time + drawn.offset) % 50 > 3) & ((time + drawn.offset) % 50 < 22)
        over = (front > 0) & (front <= drawn.speed[..., None] * 0.1) & red[:, None]
        passed, seen = passed + int((over & (drawn.s < drawn.exit)[..., None]).sum()), seen + int(red.any())
        return ahead(time)

    drawn._ahead = watched
    drawn.drive()
    assert seen > 100 and passed == 0


def test_who_turns_off_slows_down_before(traffic):
    drawn, positions = traffic
    speed = speeds(positions)
    moved = np.diff(positions, axis=2)
    angle = np.unwrap(np.arctan2(moved[..., 1], moved[..., 0]))
    always = np.minimum.reduce([speed[..., k : k - 9 or None] for k in range(10)]) > 2
    sharp = (np.abs(angle[..., 9:] - angle[..., :-9]) > 1.3) & always
    road, vehicle, at = np.nonzero(sharp)
    late = at > 8
    assert len(np.unique(np.stack([road, vehicle]), axis=1).T) > 20, "many turn"
    assert np.isfinite(drawn.exit[road, vehicle]).all(), "and only who has planned to"
    before, turning = (speed[road, vehicle, at - k][late].mean() for k in (8, -4))
    assert before > 1.3 * turning


def test_vehicles_overtake():
    drawn = _Traffic(np.random.default_rng(0), 10, 60.0, 1.0)
    first = drawn.lane.copy()
    drawn.drive()
    moved = first != drawn.lane
    assert moved.sum() >= 5 and np.isinf(drawn.exit[moved]).all()
    assert (np.abs(drawn.d) <= 1.75 + 1e-9).all()


def test_a_way_is_in_one_piece_where_it_leaves_the_road():
    drawn = _Traffic(np.random.default_rng(0), 4, 30.0, 1.0)
    away = np.linspace(-20, 60, 801)
    s = np.where(np.isfinite(drawn.exit), drawn.exit, 300.0)[..., None] + away
    way = drawn._positions(s, np.zeros_like(s))
    step = np.linalg.norm(np.diff(way, axis=2), axis=-1)
    assert np.abs(step - 0.1).max() < 0.003, "0.1 m on the way are 0.1 m on the map"
    heading = np.unwrap(np.arctan2(*np.moveaxis(np.diff(way, axis=2), -1, 0)[::-1]))
    turned = (heading[..., -1] - heading[..., 150]) * drawn.side
    off = np.isfinite(drawn.exit)
    assert turned[off] == pytest.approx(np.full(off.sum(), np.pi / 2), abs=0.15), "a quarter, to the planned side"


def test_without_turns_all_go_straight_on_at_one_speed():
    calm = everything(simulate_tracks(600, turns=0))
    at = np.arange(PAST + FUTURE) - 9.5
    slope = np.einsum("t,ntd->nd", at, calm) / (at**2).sum()
    rest = calm - calm.mean(axis=1, keepdims=True) - at[:, None] * slope[:, None]
    assert rest.std() * np.sqrt(20 / 18) == pytest.approx(NOISE, rel=0.05), "what no line explains is noise"
    assert speeds(calm).min() > 6, "and none stands"


def test_turns_make_the_future_hard_to_foretell():
    errors = []
    for turns in (0.0, 0.4, 1.0):
        c = everything(simulate_tracks(900, turns=turns))
        straight = np.arange(1, FUTURE + 1)[:, None] * (c[:, PAST - 1] - c[:, PAST - 2])[:, None]
        errors.append(np.linalg.norm(straight - c[:, PAST:], axis=2).mean())
    assert errors[0] < 0.4 * min(errors[1:])


# --------------------------------------------------------------------------------------------------------- frame


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


# ---------------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize("knobs", [{"n": 299}, {"turns": -0.1}, {"turns": 1.1}, {"turns": float("nan")}])
def test_knobs_out_of_range_are_refused(knobs):
    with refuses("draw at least 300 tracks, with turns from 0 to 1"):
        simulate_tracks(**knobs)


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


def test_traffic_has_settled_before_the_first_track(traffic):
    assert traffic[1].shape[2] == round((60 - WARM_UP) / STEP)
