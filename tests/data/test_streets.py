"""Drawn streets: masks that are exact, drives that differ, and what each knob does."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from sslbook import data
from sslbook.data.streets import simulate_camvid, simulate_streets

from .conftest import refuses

SMALL = {"drives": 3, "frames_per_drive": 5, "size": (60, 80)}
VOID = data.VOID


@pytest.fixture(scope="module")
def streets():
    return simulate_streets(**SMALL)


@pytest.fixture(scope="module")
def camvid():
    return simulate_camvid()


def solved_by_colour(scenes):
    """Mean IoU, on the test drive, of a tree that sees the colour of one pixel."""
    said = [split.masks != VOID for split in (scenes.train, scenes.test)]
    colours = [split.frames[kept] for split, kept in zip((scenes.train, scenes.test), said, strict=True)]
    truth = [split.masks[kept] for split, kept in zip((scenes.train, scenes.test), said, strict=True)]
    found = DecisionTreeClassifier(max_depth=12, random_state=0).fit(colours[0], truth[0]).predict(colours[1])
    classes = np.unique(truth[1])
    return np.mean([((truth[1] == c) & (found == c)).sum() / ((truth[1] == c) | (found == c)).sum() for c in classes])


def test_without_weather_and_detail_the_colour_is_the_class(streets):
    plain = simulate_streets(**SMALL, weather=0, detail=0)
    for name, split in plain.splits.items():
        said = split.masks != VOID
        assert (split.frames[said] == plain.colours[split.masks[said]]).all()
        assert (split.masks == streets.splits[name].masks).all(), "the same things stand there in any weather"
        assert (split.frames != streets.splits[name].frames).mean() > 0.9
    assert solved_by_colour(plain) > 0.99


def test_colours_do_not_give_the_class_away():
    assert solved_by_colour(simulate_streets(5, 4, size=(60, 80))) < 0.3


def test_detail_goes_from_plain_colours_to_those_of_things():
    at = {detail: simulate_streets(**SMALL, weather=0, detail=detail).test.frames.astype(int) for detail in (0, 0.5, 1)}
    assert np.abs(at[0.5] - (at[0] + at[1]) / 2).max() <= 1


def test_splits_are_of_whole_drives_in_the_order_of_time():
    scenes = simulate_streets(11, 2, size=(16, 20))
    drives = {name: np.unique(split.drives).tolist() for name, split in scenes.splits.items()}
    assert sum(drives.values(), []) == [f"street{i:02}" for i in range(11)]
    assert [len(names) for names in drives.values()] == [8, 1, 2]
    assert scenes.shared_drives == ()
    assert scenes.train.time[:4].tolist() == [0, 1, 0, 1]
    assert scenes.train.names[:3].tolist() == ["street00_00000", "street00_00030", "street01_00000"]
    assert (scenes.name, scenes.source, scenes.shape) == ("streets", "simulated", (16, 20))


def test_seed_decides(streets):
    again, other = simulate_streets(**SMALL), simulate_streets(**SMALL, seed=1)
    assert (again.test.frames == streets.test.frames).all()
    assert (other.test.masks != streets.test.masks).mean() > 0.1


def test_drives_differ_more_than_the_frames_of_one(camvid):
    building = camvid.classes.index("Building")
    seen = {
        name: [frame[mask == building].mean(axis=0) for frame, mask in zip(*pair, strict=True)]
        for split in (camvid.train, camvid.test)
        for name in np.unique(split.drives).tolist()
        for pair in [(split.frames[split.drives == name], split.masks[split.drives == name])]
    }
    of_drive = np.array([np.median(tones, axis=0) for tones in seen.values()])
    within = np.mean([np.std(tones, axis=0).mean() for tones in seen.values()])
    assert of_drive.std(axis=0).mean() > 1.5 * within


def test_one_drive_is_at_dusk_unless_there_is_no_weather():
    bright = {
        weather: [split.frames.mean() for split in simulate_streets(**SMALL, weather=weather).splits.values()]
        for weather in (0, 1)
    }
    assert bright[1][0] < 0.65 * min(bright[1][1:])
    assert min(bright[0]) > 0.75 * max(bright[0])


def test_more_weather_is_farther_from_a_clear_noon():
    clear, *others = (
        simulate_streets(**SMALL, weather=weather).train.frames.astype(float) for weather in (0, 0.5, 1.5)
    )
    assert 5 < np.abs(others[0] - clear).mean() < 0.7 * np.abs(others[1] - clear).mean()


def test_things_come_nearer_from_frame_to_frame():
    """A frame is more like the one before, cut out larger, than the one before as it is."""
    frames = simulate_streets(3, 12, weather=0, size=(60, 80)).test.frames.mean(axis=3)
    middle = np.ix_(*[np.linspace(0.1 * n, 0.9 * n - 1, n).round().astype(int) for n in (60, 80)])
    larger = [np.abs(frame[middle] - then).mean() for frame, then in zip(frames, frames[1:], strict=False)]
    other = [np.abs(frame[middle] - then).mean() for frame, then in zip(frames, frames[6:], strict=False)]
    assert np.mean(larger) < 0.9 * np.mean(other)


class TestCamvid:
    def test_is_laid_out_as_the_real_one(self, camvid):
        assert {name: len(split) for name, split in camvid.splits.items()} == {
            "train": 120,
            "validation": 30,
            "test": 80,
        }
        assert (camvid.name, camvid.source, camvid.shape) == ("camvid", "simulated", (120, 160))
        frames = {name: np.unique(split.drives, return_counts=True) for name, split in camvid.splits.items()}
        assert {name: dict(zip(*counts, strict=True)) for name, counts in frames.items()} == {
            "train": {"0001TP": 25, "0006R0": 35, "0016E5": 60},
            "validation": {"0016E5": 30},
            "test": {"0001TP": 25, "Seq05VD": 55},
        }
        assert {camvid.train.names[0], camvid.train.names[25], camvid.train.names[60], camvid.test.names[25]} == {
            "0001TP_006690", "0006R0_f00930", "0016E5_00390", "Seq05VD_f00000"
        }  # fmt: skip

    def test_leaks_as_the_real_one(self, camvid):
        assert camvid.shared_drives == ("0001TP",)
        honest = camvid.without_shared_drives()
        assert (len(honest.train), len(honest.test), honest.shared_drives) == (95, 80, ())
        time = camvid.train.time[camvid.train.drives == "0016E5"]
        gap = (time.min() < camvid.validation.time.min()) & (camvid.validation.time.max() < time.max())
        assert gap and not np.isin(camvid.validation.time, time).any()
        assert np.diff(camvid.validation.time) == pytest.approx(np.full(29, 1 / 15))
        last, first = (split.time[split.drives == "0001TP"] for split in (camvid.train, camvid.test))
        assert last.max() + 1 == first.min(), "the test frames are the next ones"

    def test_classes_are_about_as_frequent_as_in_the_real_one(self, camvid):
        shares = camvid.class_shares()
        assert (shares > 0.0005).all(axis=None)
        order = ["Road", "Building", "Sky", "Tree", "Car", "Pavement", "Pole", "Pedestrian"]
        assert (np.diff(shares["train"][order]) < 0.02).all()
        assert shares["train"]["Road"] == pytest.approx(0.32, abs=0.06)
        vulnerable = [camvid.classes[number] for number in camvid.vulnerable]
        assert vulnerable == ["Pedestrian", "Bicyclist", "SignSymbol", "Pole"]
        assert shares.loc[vulnerable].sum().max() < 0.08
        for split in camvid.splits.values():
            assert 0.02 < (split.masks == VOID).mean() < 0.04

    def test_the_dusk_of_the_test_is_that_of_training(self, camvid):
        bright = [camvid.test.frames[(camvid.test.drives == "0001TP") == is_dusk].mean() for is_dusk in (True, False)]
        trained = camvid.train.frames[camvid.train.drives == "0001TP"].mean()
        assert bright[0] < 0.6 * bright[1]
        assert bright[0] == pytest.approx(trained, rel=0.4)


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"drives": 2}, "drives is 2 and frames_per_drive 40; draw at least 3 drives of 2"),
        ({"frames_per_drive": 1}, "frames_per_drive 1"),
        ({"weather": -1}, "weather is -1"),
        ({"weather": float("nan")}, "weather is nan"),
        ({"detail": 1.5}, "detail 1.5; give weather from 0 and detail from 0 to 1"),
        ({"size": (8, 160)}, "size is 8 x 160 pixels; draw at least 16 x 16"),
    ],
)
def test_knobs_out_of_range(knobs, said):
    with refuses(said):
        simulate_streets(**knobs)
