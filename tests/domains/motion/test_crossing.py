"""Pedestrians and cyclists of the VRU Trajectory Dataset, as its folders hold them."""

import numpy as np
import pandas as pd
import pytest

from sslbook.domains import motion
from tests.conftest import refuses


def write(folder, name, seconds, speed=1.5):
    """One file as it is published: somebody who walks along x, 3 m beside it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.asarray(seconds, float)
    pd.DataFrame({"timestamp": seconds, "x": speed * seconds, "y": 3.0}).to_csv(path)
    return path


EVERY = np.arange(0, 8.005, 0.08).round(2)


def test_a_position_every_step_at_the_place_between_two_measurements(tmp_path):
    write(tmp_path, "cyclists/moving/7.csv", EVERY + 3, 5)
    write(tmp_path, "pedestrians/waiting/7.csv", np.arange(0, 7.62, 0.02), 1)
    tracks = motion.read_crossing(tmp_path)
    assert tracks.names == ("crossing pedestrians", "crossing cyclists")
    assert tracks.counts()["windows"].to_dict() == {"crossing pedestrians": 1, "crossing cyclists": 2}
    assert tracks.walkers[-1] == "moving/7 of crossing cyclists"
    for number, first, speed in ((0, 0.0, 1), (1, 3.0, 5), (2, 3.4, 5)):
        assert tracks.positions[number, :, 0] == pytest.approx(speed * (first + 0.4 * np.arange(20)), abs=1e-4)
        assert (tracks.positions[number, :, 1] == 3).all()


def test_both_kinds_are_one_place(tmp_path):
    for kind in ("pedestrians", "cyclists"):
        write(tmp_path, f"{kind}/1.csv", EVERY)
    with refuses("of one place"):
        motion.read_crossing(tmp_path).leave_out("crossing cyclists")


def test_nothing_is_filled_in_across_a_gap(tmp_path):
    for gap, windows in ((0.48, 2), (0.6, None)):
        there = EVERY[(EVERY <= 4) | (EVERY >= 4 + gap)]
        write(tmp_path, "cyclists/moving/1.csv", there)
        if windows:
            assert len(motion.read_crossing(tmp_path)) == windows
        else:
            with refuses("No pedestrian has 20 positions"):
                motion.read_crossing(tmp_path)


def test_who_is_too_short_is_no_window_but_no_hindrance(tmp_path):
    write(tmp_path, "cyclists/moving/1.csv", EVERY)
    write(tmp_path, "cyclists/moving/2.csv", [0.0])
    write(tmp_path, "cyclists/moving/3.csv", [])
    assert set(motion.read_crossing(tmp_path).walkers) == {"moving/1 of crossing cyclists"}


def test_what_cannot_be_read_is_refused_with_its_place(tmp_path):
    with refuses("holds no pedestrians"):
        motion.read_crossing(tmp_path)
    path = write(tmp_path, "cyclists/moving/1.csv", [0, 0.08, 0.04])
    with refuses(f"{path}, line 4, is earlier"):
        motion.read_crossing(tmp_path)
    path.write_text(",timestamp,x,y\n0,0.0,1,a\n")
    with refuses(f"{path}, line 2, lacks a number"):
        motion.read_crossing(tmp_path)
    path.write_text(",timestamp,x\n0,0.0,1\n")
    with refuses("has no column 'y'"):
        motion.read_crossing(tmp_path)
