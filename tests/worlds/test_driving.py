"""Drawn streets: masks that are exact, drives that differ, what each knob does."""

import numpy as np
import pytest
from sklearn.metrics import jaccard_score
from sklearn.tree import DecisionTreeClassifier

from sslbook.domains.driving.data import VOID
from sslbook.worlds import driving as world
from sslbook.worlds.driving import simulate_camvid, simulate_streets
from tests.conftest import refuses

SMALL = {"drives": 3, "frames_per_drive": 5, "size": (60, 80)}


@pytest.fixture(scope="module")
def streets():
    return simulate_streets(**SMALL)


@pytest.fixture(scope="module")
def camvid():
    return simulate_camvid()


def solved_by_colour(scenes):
    """Mean IoU, on the test drive, of a tree that sees the colour of one pixel."""
    (x, y), (test_x, truth) = (
        (split.frames[split.masks != VOID], split.masks[split.masks != VOID]) for split in (scenes.train, scenes.test)
    )
    found = DecisionTreeClassifier(max_depth=12, random_state=0).fit(x, y).predict(test_x)
    return jaccard_score(truth, found, labels=np.unique(truth), average="macro")


# ------------------------------------------------------------------------------------------------------- streets


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


def test_splits_are_of_whole_drives_in_the_order_of_time():
    scenes = simulate_streets(11, 2, size=(16, 20))
    drives = {name: np.unique(split.drives).tolist() for name, split in scenes.splits.items()}
    assert sum(drives.values(), []) == [f"street{i:02}" for i in range(11)]
    assert [len(names) for names in drives.values()] == [8, 1, 2]
    assert scenes.shared_drives == ()
    assert scenes.train.time[:4].tolist() == [0, 1, 0, 1]
    assert scenes.train.names[:3].tolist() == ["street00_00000", "street00_00030", "street01_00000"]
    assert (scenes.name, scenes.source, scenes.shape) == ("streets", "simulated", (16, 20))


def test_the_seed_decides(streets):
    assert (simulate_streets(**SMALL).test.frames == streets.test.frames).all()
    assert (simulate_streets(**SMALL, seed=1).test.masks != streets.test.masks).mean() > 0.1


def test_weather_darkens_the_first_drive_and_changes_all():
    noon, some, much = (simulate_streets(**SMALL, weather=weather) for weather in (0, 0.5, 1.5))
    assert 0.7 < noon.train.frames.mean() / noon.test.frames.mean() < 1.4
    assert much.train.frames.mean() < 0.65 * much.test.frames.mean()
    away = [np.abs(drawn.train.frames.astype(float) - noon.train.frames).mean() for drawn in (some, much)]
    assert 5 < away[0] < 0.7 * away[1]


def test_things_come_nearer_from_frame_to_frame():
    """Cut out larger, a frame is more like those that follow than like those before."""
    rng = np.random.default_rng(0)
    street = world._Street(rng, 3.0, dusk=False)
    frames = np.stack([street.frame(rng, i / 15, 0, 1, (120, 160))[0] for i in range(40)]).mean(axis=3)
    row, column = (np.round(0.5 * n + 0.9 * (np.arange(n) - 0.5 * n)).astype(int) for n in (120, 160))
    larger = frames[:, row[:, None], column]
    near, far = (np.abs(frames[:-k] - frames[k:]).mean() for k in (1, 15))
    assert near < 0.6 * far, "neighbouring frames look alike"
    assert np.abs(larger[:-8] - frames[8:]).mean() < 0.97 * np.abs(larger[8:] - frames[:-8]).mean()


# -------------------------------------------------------------------------------------------- stand-in of CamVid


def test_camvid_is_laid_out_as_the_real_one(camvid):
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


def test_camvid_leaks_as_the_real_one(camvid):
    assert camvid.shared_drives == ("0001TP",)
    honest = camvid.without_shared_drives()
    assert (len(honest.train), len(honest.test), honest.shared_drives) == (95, 80, ())
    time = camvid.train.time[camvid.train.drives == "0016E5"]
    assert time.min() < camvid.validation.time.min() and camvid.validation.time.max() < time.max()
    assert not np.isin(camvid.validation.time, time).any()
    assert np.diff(camvid.validation.time) == pytest.approx(np.full(29, 1 / 15))
    last, first = (split.time[split.drives == "0001TP"] for split in (camvid.train, camvid.test))
    assert last.max() + 1 == first.min(), "the test frames are the next ones"


def test_classes_are_about_as_frequent_as_in_the_real_one(camvid):
    shares = camvid.class_shares()
    assert (shares > 0.001).all(axis=None)
    order = ["Road", "Building", "Sky", "Tree", "Car", "Pavement", "Pole", "Pedestrian"]
    assert (np.diff(shares["train"][order]) < 0.02).all()
    assert shares["train"]["Road"] == pytest.approx(0.32, abs=0.04)
    vulnerable = [camvid.classes[number] for number in camvid.vulnerable]
    assert vulnerable == ["Pedestrian", "Bicyclist", "SignSymbol", "Pole"]
    assert shares.loc[vulnerable].sum().max() < 0.08
    assert all(0.02 < (split.masks == VOID).mean() < 0.05 for split in camvid.splits.values())


# ---------------------------------------------------------------------------------------------------- bad values


@pytest.mark.parametrize(
    ("simulate", "knobs", "said"),
    [
        (simulate_streets, {"drives": 2}, "drives is 2 and frames_per_drive 40; draw at least 3 drives of 2"),
        (simulate_streets, {"frames_per_drive": 1}, "frames_per_drive 1"),
        (simulate_streets, {"weather": -1}, "weather -1"),
        (simulate_camvid, {"weather": float("nan")}, "weather nan"),
        (simulate_camvid, {"detail": 1.5}, "detail 1.5"),
        (simulate_streets, {"size": (8, 160)}, "size (8, 160)"),
    ],
)
def test_knobs_out_of_range(simulate, knobs, said):
    with refuses(said):
        simulate(**knobs)
