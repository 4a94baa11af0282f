"""The container of tracks, what it refuses, how windows are cut, and the frame in which a walker sees a track."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sslbook.data.card import own_data_card
from sslbook.domains import motion
from sslbook.domains.motion import FUTURE, PAST, STEP, Tracks, centred
from tests.conftest import refuses

SCENES = ("eth", "hotel", "eth", "eth corrected", "street 1", "street 2", "street 1 by night", "street 10")


@pytest.fixture
def tracks() -> Tracks:
    """Two windows of one walker in each of the scenes, and a second walker of eth."""
    rng = np.random.default_rng(0)
    n = 2 * len(SCENES)
    angle = np.cumsum(rng.normal(0, 0.2, (n, PAST + FUTURE)), axis=1)
    steps = rng.uniform(1, 4, (n, 1, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    positions = (rng.normal(0, 100, (n, 1, 2)) + np.cumsum(steps, axis=1)).astype(np.float32)
    walkers = np.repeat([f"{i} of {scene}" for i, scene in enumerate(SCENES)], 2)
    card = own_data_card("mine", "My tracks", ())
    return Tracks(positions, np.repeat(SCENES, 2), walkers, np.tile([0, 0.4], len(SCENES)), card)


# ----------------------------------------------------------------------------------------------------- container


def test_what_tracks_say_of_themselves(tracks):
    assert tracks.names == ("eth", "hotel", *SCENES[3:])
    assert tracks.counts().loc["eth"].to_dict() == {"windows": 4, "walkers": 2}
    assert tracks.counts().index.tolist() == list(tracks.names) and tracks.counts()["windows"].sum() == len(tracks)
    assert "My tracks" in tracks._repr_html_() and "street 10" in tracks._repr_html_()
    assert repr(tracks) == "Tracks(mine: 16 windows of 8 walkers)" and tracks.source == "real"


@pytest.mark.parametrize("index", [np.array([5, 0]), np.arange(16) % 5 == 0])
def test_a_subset_keeps_what_belongs_together(tracks, index):
    part = tracks.subset(index)
    for name in ("positions", "scenes", "walkers", "starts"):
        assert (getattr(part, name) == getattr(tracks, name)[index]).all()
    assert part.data_card is tracks.data_card


@pytest.mark.parametrize(
    ("scene", "gone"),
    [
        ("eth", {"eth corrected"}),
        ("eth corrected", {"eth"}),
        ("hotel", set()),
        ("street 1", {"street 1 by night"}),
        ("street 1 by night", {"street 1"}),
        ("street 10", set()),
    ],
)
def test_no_place_is_on_both_sides(tracks, scene, gone):
    others, left = tracks.leave_out(scene)
    assert left.names == (scene,) and len(left) == tracks.counts().loc[scene, "windows"]
    assert set(others.names) == set(tracks.names) - gone - {scene}
    assert len(others) == np.isin(tracks.scenes, others.names).sum()


def test_what_cannot_be_left_out(tracks):
    with refuses("mine has no scene 'zara9'; choose one of eth, hotel, eth corrected"):
        tracks.leave_out("zara9")
    with refuses("All scenes of mine are of one place, 'eth'; bring tracks of another"):
        tracks.subset(np.char.startswith(tracks.scenes, "eth")).leave_out("eth")


def test_positions_of_another_kind_are_refused(tracks):
    with refuses("positions of mine are float64 of shape (16, 20, 2); give float32 of shape (n, 20, 2)"):
        replace(tracks, positions=tracks.positions.astype(float))
    with refuses("give float32 of shape (n, 20, 2)"):
        replace(tracks, positions=tracks.positions[:, :19])
    for what in ("scenes", "walkers", "starts"):
        with refuses(f"The {what} of mine are ", "of shape (15,); give ", "of shape (16,)"):
            replace(tracks, **{what: getattr(tracks, what)[1:]})
    with refuses("The walkers of mine are int64 of shape (16,); give str of shape (16,)"):
        replace(tracks, walkers=np.arange(16))
    with refuses("The starts of mine are int64 of shape (16,); give float64"):
        replace(tracks, starts=np.arange(16))
    with refuses("Track 1 of mine starts at nan; give seconds"):
        replace(tracks, starts=np.where(np.arange(16) == 1, np.nan, 0))
    spoilt = tracks.positions.copy()
    spoilt[1, 4, 0] = np.nan
    with refuses("Track 1 of mine has a position that is no number; leave the track out"):
        replace(tracks, positions=spoilt)


def test_a_walker_is_in_one_scene(tracks):
    with refuses("Walker 'me' of mine is in eth and hotel; name the walkers of each scene apart"):
        replace(tracks, walkers=np.full(16, "me"))


# ------------------------------------------------------------------------------------------------------- windows


def walks(seed: int = 0) -> pd.DataFrame:
    """Walks in two scenes, with 10 and with 6 frames between positions, with gaps, in any order of rows."""
    rng, rows = np.random.default_rng(seed), []
    for scene, apart in (("park", 10), ("quay", 6)):
        for pedestrian in range(12):  # the same numbers in both
            at = apart * (rng.integers(0, 50) + np.arange(rng.integers(5, 70)))
            at = np.delete(at, rng.integers(0, len(at), rng.integers(0, 3)))
            at = np.where(np.arange(len(at)) < 60, at, at + 3)  # late steps between those of the others
            rows += [(scene, frame, pedestrian, *rng.normal(size=2)) for frame in at]
    table = pd.DataFrame(rows, columns=["scene", "frame", "pedestrian", "x", "y"])
    return table.sample(frac=1, random_state=seed).reset_index(drop=True)


def brute_force(table: pd.DataFrame, frames: dict[str, int]) -> dict[tuple[str, float], list]:
    """Look up the 19 next positions of every position."""
    place = {(s, p, f): (x, y) for s, f, p, x, y in table.itertuples(index=False)}
    found = {}
    for scene, pedestrian, frame in place:
        path = [place.get((scene, pedestrian, frame + k * frames[scene])) for k in range(20)]
        if None not in path:
            found[f"{pedestrian} of {scene}", round(frame / frames[scene] * 0.4, 6)] = path
    return found


@pytest.mark.parametrize("seed", range(5))
def test_windows_are_those_of_brute_force(seed):
    table, frames = walks(seed), {"park": 10, "quay": 6}
    tracks, expected = motion.windows(table, frames), brute_force(table, frames)
    assert len(tracks) == len(expected) > 50 and set(tracks.names) == {"park", "quay"}
    for who, start, scene, path in zip(tracks.walkers, tracks.starts, tracks.scenes, tracks.positions, strict=True):
        assert path == pytest.approx(np.array(expected.pop((who, round(start, 6)))), abs=1e-5)
        assert who.endswith(f" of {scene}")
    assert not expected


def walk(n: int, **columns) -> pd.DataFrame:
    straight = {"scene": "park", "frame": np.arange(n) * 10, "pedestrian": 7, "x": np.arange(n) * 0.5, "y": 0.0}
    return pd.DataFrame(straight | columns)


def test_one_window_for_each_start_in_the_order_of_time():
    tracks = motion.windows(walk(23))
    assert tracks.starts == pytest.approx(np.arange(4) * STEP)
    assert tracks.positions[:, 0, 0].tolist() == [0, 0.5, 1, 1.5]
    assert (tracks.positions.dtype, tracks.walkers[0], tracks.name) == (np.float32, "7 of park", "tracks")


def test_a_window_crosses_no_gap_and_no_recording():
    assert len(motion.windows(walk(45).drop(index=22))) == 3 + 3
    two = walk(40, scene=np.repeat(["park", "quay"], 20), frame=np.arange(40) * 10)
    assert motion.windows(two).scenes.tolist() == ["park", "quay"], "one each, though the frames go on"
    two = walk(40, pedestrian=np.repeat([1, 2], 20))
    assert motion.windows(two).walkers.tolist() == ["1 of park", "2 of park"]


def test_names_stay_as_they_are_written():
    tracks = motion.windows(walk(20, scene="car park 1", pedestrian="007"))
    assert (tracks.walkers.tolist(), tracks.names) == (["007 of car park 1"], ("car park 1",))
    assert motion.windows(walk(20, pedestrian=7.0)).walkers.tolist() == ["7 of park"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (walk(20).drop(columns="y"), "The table of positions has no column 'y'; it has 'scene', 'frame', 'pedestrian'"),
        (walk(20).drop(index=range(20)), "has no rows"),
        (walk(20, x=np.where(np.arange(20) == 3, np.nan, 1)), "no x (row 3); complete the row, or leave it out"),
        (walk(20, x=np.where(np.arange(20) == 3, np.inf, 1)), "an infinite x (row 3"),
        (walk(20, y="left"), "a y that is not a number (row 0: 'left'"),
        (walk(20, frame=np.arange(20) * 2.5), "a frame that is no whole number (row 1: '2.5'"),
        (walk(20, pedestrian=None), "no pedestrian (row 0, row 1"),
        (walk(21, frame=np.minimum(np.arange(21), 19) * 10), "a pedestrian twice in one frame (row 20); keep one of"),
        (walk(19), "No pedestrian has 20 positions 0.4 s apart; correct frames, or bring longer tracks"),
        (walk(40, frame=np.arange(40)), "No pedestrian has 20 positions"),
    ],
)
def test_tables_that_are_refused(table, said):
    with refuses(said):
        motion.windows(table)


def test_every_scene_needs_its_frames():
    with refuses("Nothing says how many frames of scene 'park' are 0.4 s; name it among frames"):
        motion.windows(walk(20), {"quay": 6})


# ------------------------------------------------------------------------------------------------------- centred


def test_a_centred_track_is_at_the_origin_and_looks_along_x(tracks):
    c = tracks.centred
    assert c.dtype == np.float32 and (c[:, PAST - 1] == 0).all()
    last = c[:, PAST - 1] - c[:, PAST - 2]
    moves = np.linalg.norm(last, axis=1) > 0.21
    assert (last[moves, 0] > 0).all()
    assert last[moves, 1] == pytest.approx(np.zeros(moves.sum()), abs=1e-3)


def test_centring_keeps_distances(tracks):
    raw, c = tracks.positions.astype(np.float64), tracks.centred
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
