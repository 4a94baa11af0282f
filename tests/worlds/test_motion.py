"""Drawn traffic: drivers who drive, scenes that share nothing, what each knob does."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from sslbook import data
from sslbook.domains.motion.data import FUTURE, PAST, STEP
from sslbook.worlds import motion as world
from sslbook.worlds.motion import simulate_eth_ucy, simulate_tracks
from tests.conftest import refuses


@pytest.fixture(scope="module")
def tracks():
    return simulate_tracks()


@pytest.fixture(scope="module")
def traffic():
    """Where vehicles on ten roads were in 48 s: (roads, vehicles, steps, 2)."""
    return world._traffic(np.random.default_rng(0), 10, 58.0, 1.0).reshape(10, 16, 120, 2)


def road_of(tracks):
    return np.array([walker.partition(" of ")[2] for walker in tracks.walkers])


def test_the_stand_in_has_the_name_of_the_real_data(tracks):
    drawn = data.load("eth_ucy", "simulated")
    assert (drawn.name, drawn.source, tracks.name) == ("eth_ucy", "simulated", "tracks")
    assert (drawn.positions == tracks.positions).all()
    assert not (simulate_eth_ucy(seed=1).positions == drawn.positions).any()


def test_the_seed_decides(tracks):
    assert (simulate_tracks().positions == tracks.positions).all()
    assert not (simulate_tracks(seed=1).positions == tracks.positions).any()


def test_each_scene_has_roads_of_its_own_and_can_be_left_out(tracks):
    assert tracks.names == tuple(f"street {i}" for i in range(1, 6))
    roads = [set(road_of(tracks)[tracks.scenes == name]) for name in tracks.names]
    assert [len(names) for names in roads] == [6] * 5 and len(set.union(*roads)) == 30
    others, left = tracks.leave_out("street 2")
    assert (len(others), others.names) == (2400, ("street 1", "street 3", "street 4", "street 5"))
    assert set(road_of(left)) == roads[1]


@pytest.mark.parametrize("n", [300, 517, 3000])
def test_as_many_tracks_as_asked_for_alike_many_of_each_road_and_none_twice(n):
    drawn = simulate_tracks(n)
    count = np.unique(road_of(drawn), return_counts=True)[1]
    assert len(count) == 30 and count.sum() == n and count.min() >= n // 30 and count.max() <= n // 30 + 1
    points = drawn.positions.reshape(-1, 2)
    assert len(np.unique(points, axis=0)) == len(points), "no two tracks of one vehicle share a time"
    windows = set(zip(drawn.walkers, drawn.starts, strict=True))
    assert len(windows) == n and set(drawn.starts % 8) == {0}


def test_the_next_window_of_a_vehicle_begins_a_step_after_the_last(tracks):
    """Walkers and starts belong to the positions."""
    place = {key: p for key, p in zip(zip(tracks.walkers, tracks.starts, strict=True), tracks.positions, strict=True)}
    pairs = [(p, place[who, start + 8]) for (who, start), p in place.items() if (who, start + 8) in place]
    assert len(pairs) > 1000
    gaps = np.array([np.linalg.norm(later[0] - p[-1]) for p, later in pairs])
    assert gaps.max() < 17.5 * STEP + 6 * world.NOISE


def test_drivers_keep_to_what_cars_can_do(traffic):
    velocity = np.diff(traffic, axis=2) / STEP
    pull = np.linalg.norm(np.diff(velocity, axis=2), axis=-1) / STEP
    assert np.linalg.norm(velocity, axis=-1).max() < 17.5
    assert np.percentile(pull, 99) < 4 and pull.max() < 8
    away = np.linalg.norm(traffic[:, :, None] - traffic[:, None], axis=-1)
    away[:, np.arange(16), np.arange(16)] = np.inf
    assert np.percentile(away.min(axis=2), 0.5) > 3.4, "two lanes are 3.5 m apart, cars 4.5 m long"


def test_lights_stop_vehicles_and_let_them_go_on(traffic):
    speed = np.linalg.norm(np.diff(traffic, axis=2), axis=-1) / STEP
    stands = speed < 0.3
    assert 0.05 < stands.mean() < 0.3
    assert (stands[..., :-12] & (speed[..., 12:] > 5)).any(axis=(1, 2)).all(), "on every road"


def test_who_turns_off_slows_down_before(traffic):
    moved = np.diff(traffic, axis=2) @ [1, 1j]
    speed, angle = np.abs(moved) / STEP, np.unwrap(np.angle(moved))
    always = np.minimum.reduce([speed[..., k : k - 9 or None] for k in range(10)]) > 2
    road, vehicle, at = np.nonzero((np.abs(angle[..., 9:] - angle[..., :-9]) > 1.3) & always)
    assert len(np.unique(np.stack([road, vehicle]), axis=1).T) > 20, "many turn"
    late = at > 8
    before, turning = (speed[road, vehicle, at - k][late].mean() for k in (8, -4))
    assert before > 1.3 * turning


def test_without_turns_all_go_straight_on_at_one_speed():
    calm = simulate_tracks(600, turns=0).centred
    at = np.arange(PAST + FUTURE) - 9.5
    slope = np.einsum("t,ntd->nd", at, calm) / (at**2).sum()
    rest = calm - calm.mean(axis=1, keepdims=True) - at[:, None] * slope[:, None]
    assert rest.std() * np.sqrt(20 / 18) == pytest.approx(world.NOISE, rel=0.05), "what no line explains is noise"
    assert np.linalg.norm(slope, axis=1).min() / STEP > 6, "and none stands"


def test_what_a_line_learns_is_worth_a_metre(tracks):
    """The claim of the chapter: straight on is far off, linear regression on the past less so."""
    errors = []
    for scene in tracks.names:
        known, later = (part.centred for part in tracks.leave_out(scene))
        straight = np.arange(1, FUTURE + 1)[:, None] * -later[:, PAST - 2, None]
        fit = Ridge().fit(known[:, :PAST].reshape(len(known), -1), known[:, PAST:].reshape(len(known), -1))
        said = fit.predict(later[:, :PAST].reshape(len(later), -1)).reshape(straight.shape)
        errors.append([np.linalg.norm(each - later[:, PAST:], axis=2).mean() for each in (straight, said)])
    straight, said = np.transpose(errors)
    assert 3 < straight.min() and straight.max() < 3.8
    assert 0.65 < (said / straight).min() and (said / straight).max() < 0.75


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"n": 299}, "n is 299"),
        ({"turns": 1.1}, "draw at least 300 tracks, with turns from 0 to 1"),
        ({"turns": float("nan")}, "turns nan"),
    ],
)
def test_knobs_out_of_range(knobs, said):
    with refuses(said):
        simulate_tracks(**knobs)
