"""Pedestrians of ETH and UCY from the official files: what is made of them, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sslbook import data
from sslbook.data.card import own_data_card
from sslbook.domains import motion
from sslbook.domains.motion import eth_ucy
from tests.conftest import refuses

CARD = own_data_card("eth_ucy", "Pedestrians", ())


def recording(seed: int, apart: int = 10) -> np.ndarray:
    """Rows of frame, pedestrian, x and y: three pedestrians, 22 positions each."""
    rng = np.random.default_rng(seed)
    return np.array([(apart * k, who, *rng.normal(0, 5, 2).round(2)) for k in range(22) for who in (1, 2, 3)])


@pytest.fixture
def official(tmp_path) -> list[Path]:
    """All recordings as the official files write them."""
    for seed, name in enumerate(eth_ucy.RECORDINGS):
        rows = recording(seed, 6 if name == eth_ucy.CORRECTED else 10)
        if name == eth_ucy.CORRECTED:
            frame, who, x, y = rows.T
            np.savetxt(tmp_path / "seq_eth_obsmat.txt", np.stack([frame, who, x, 0 * x, y, x, x, y], axis=1), "%16.7e")
        else:
            np.savetxt(tmp_path / f"{name}.txt", rows, "%s", delimiter="\t")
    return sorted(tmp_path.glob("*.txt"))


def test_scenes_are_those_of_the_field(official):
    tracks = eth_ucy.read_tracks(official, CARD)
    assert tracks.names == ("eth", "hotel", "univ", "zara1", "zara2", "zara3", "univ examples", "eth corrected")
    assert tracks.counts().loc["univ"].to_dict() == {"windows": 18, "walkers": 6}, "two recordings"
    assert (tracks.counts().drop(index="univ") == [9, 3]).all(axis=None)
    assert tuple(name for name in tracks.names if name in motion.FIVE) == motion.FIVE
    for scene in ("eth", "eth corrected"):
        assert tracks.subset(tracks.scenes == scene).starts[:3] == pytest.approx([0, 0.4, 0.8])


def test_coordinates_are_those_of_the_file(official):
    tracks = eth_ucy.read_tracks(official, CARD)
    for seed, (name, scene) in enumerate(eth_ucy.RECORDINGS.items()):
        rows = recording(seed)
        path = tracks.positions[tracks.walkers == f"2 of {name}"][1]
        assert path == pytest.approx(rows[rows[:, 1] == 2][1:21, 2:].astype(np.float32))
        assert set(tracks.scenes[tracks.walkers == f"2 of {name}"]) == {scene}


def test_one_table_holds_the_same_as_the_files(official, tmp_path):
    tables = pd.concat([eth_ucy.read_recording(path) for path in official[::-1]])
    tables.rename(columns={"pedestrian": "agent"}).to_parquet(tmp_path / "all.parquet")
    one, many = (eth_ucy.read_tracks(paths, CARD) for paths in ([tmp_path / "all.parquet"], official))
    for part in ("positions", "scenes", "walkers", "starts"):
        assert (getattr(one, part) == getattr(many, part)).all()


def test_a_recording_that_is_left_out_trains_no_scene_of_its_place(official):
    others, left = eth_ucy.read_tracks(official, CARD).leave_out("univ")
    assert (left.names, others.names) == (("univ",), ("eth", "hotel", "zara1", "zara2", "zara3", "eth corrected"))


def test_the_digest_is_that_of_the_numbers(tmp_path):
    rows = recording(0)
    digests = []
    for name, lines, form in (("a", rows, "%s"), ("b", rows[::-1], "%.9f"), ("c", rows + [0, 0, 0.01, 0], "%s")):
        np.savetxt(tmp_path / f"{name}.txt", lines, form, delimiter="\t")
        digests.append(eth_ucy.digest_of_positions(tmp_path / f"{name}.txt"))
    assert digests[0] == digests[1] != digests[2]
    assert digests[0] != eth_ucy.digest_of_table(eth_ucy.read_recording(tmp_path / "a.txt").iloc[1:])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<html>\n", "cannot be read"),
        ("", "has 1 columns, not 4 or 8"),
        ("1 2 3\n", "has 3 columns, not 4 or 8"),
        ("1 2 3 4\n1 2 3\n", "cannot be read"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_files_of_another_kind_are_refused(tmp_path, text, said):
    (tmp_path / "biwi_eth.txt").write_text(text)
    with refuses(str(tmp_path / "biwi_eth.txt"), said, "place the official file there"):
        eth_ucy.read_recording(tmp_path / "biwi_eth.txt")


def test_a_table_of_another_kind_is_refused(tmp_path):
    pd.DataFrame({"x": [1.0]}).to_parquet(tmp_path / "eth_ucy.parquet")
    with refuses("lacks the columns agent; place the official file there"):
        eth_ucy.read_tracks([tmp_path / "eth_ucy.parquet"], CARD)


def test_a_changed_file_is_never_read(cache, official):
    file = data.catalog()["eth_ucy"].files[0]
    place = cache / file.folder / file.name
    place.parent.mkdir(parents=True)
    place.write_bytes(official[0].read_bytes())
    with refuses("biwi_eth.txt is not the official file: expected sha256 1189a132", "delete it and run again"):
        data.load("eth_ucy", "real")


@pytest.fixture(scope="module")
def payload(tmp_path_factory) -> bytes:
    """A recording as the host sends it; it takes the place of conftest's."""
    path = tmp_path_factory.mktemp("official") / "biwi_eth.txt"
    np.savetxt(path, recording(0), "%s", delimiter="\t")
    return path.read_bytes()


def test_a_download_is_verified_by_its_numbers(cache, host, payload, tmp_path, monkeypatch):
    (tmp_path / "biwi_eth.txt").write_bytes(payload.replace(b"\t", b"   "))
    entry = data.catalog()["eth_ucy"]
    digest = eth_ucy.digest_of_positions(tmp_path / "biwi_eth.txt")
    for path, outcome in (("/short", "expected sha256"), ("/good", "")):
        file = replace(entry.files[0], urls=(host + path,), sha256=digest)
        monkeypatch.setitem(data.catalog(), "eth_ucy", replace(entry, files=(file,)))
        if outcome:
            with refuses(outcome, "run again"):
                data.load("eth_ucy", "real")
    assert data.load("eth_ucy", "real").names == ("eth",)
    assert (cache / "raw" / "eth_ucy" / "biwi_eth.txt").read_bytes() == payload


def test_without_network_the_stand_in_is_drawn_aloud(cache, monkeypatch, capsys):
    monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
    tracks = data.load("eth_ucy")
    assert tracks.source == "simulated" and "SIMULATED DATA instead of eth_ucy" in capsys.readouterr().out


def test_every_file_has_an_official_address():
    for file in data.catalog()["eth_ucy"].files:
        name = "obsmat.txt" if "obsmat" in file.name else file.name
        assert len(file.urls) > 1 and all(url.endswith(f"/{name}") for url in file.urls)
