"""The command-line programs of data_scripts/."""

import dataclasses
import inspect
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sslbook import data
from sslbook.domains import driving, fraud, imaging, shop
from sslbook.worlds import driving as driving_world
from sslbook.worlds import fraud as fraud_world
from sslbook.worlds import imaging as imaging_world
from sslbook.worlds import shop as shop_world
from sslbook.worlds.fraud import creditcard_table

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "data_scripts").glob("*.py"))


def program(name):
    return runpy.run_path(str(ROOT / "data_scripts" / f"{name}.py"))["main"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_runs_from_the_command_line(script):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script), "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_fetch_lists_the_catalog(cache, capsys):
    program("fetch")(["--list"])
    printed = capsys.readouterr().out
    for name in data.catalog():
        assert name in printed
    assert "4.2 MB, CC BY 4.0, not fetched yet" in printed
    assert not cache.exists()


def test_fetch_downloads_what_is_named(tiny, host, capsys):
    path = tiny(f"{host}/good")
    program("fetch")(["tiny"])
    assert path.exists()
    assert str(path) in capsys.readouterr().out


def test_fetch_goes_on_after_a_failure_and_says_so(tiny, host, capsys):
    path = tiny(f"{host}/good")
    with pytest.raises(SystemExit, match="no data set 'nope'"):
        program("fetch")(["nope", "tiny"])
    assert path.exists()


def test_simulate_writes_what_the_container_reads(tmp_path, capsys):
    program("simulate")(["pneumoniamnist", str(tmp_path / "x.npz"), "--n-train", "40", "--seed", "3"])
    images = imaging.Images.from_npz(tmp_path / "x.npz")
    assert images.source == "simulated"
    assert (images.train.images == imaging_world.simulate_pneumoniamnist(n_train=40, seed=3).train.images).all()
    assert "SIMULATED" in capsys.readouterr().out


def test_simulate_fails_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="was not written"):
        program("simulate")(["pneumoniamnist", "gone/x.npz"])


def test_fetch_says_that_another_file_serves(tiny, host, payload, monkeypatch, capsys):
    path = tiny(f"{host}/good")
    entry = data.catalog()["tiny"]
    sample = dataclasses.replace(entry.files[0], name="sample.npz", urls=(), folder="prepared")
    monkeypatch.setitem(data.catalog(), "tiny", dataclasses.replace(entry, alternative=(sample,)))
    place = path.parents[1] / "prepared" / "sample.npz"
    place.parent.mkdir(parents=True)
    place.write_bytes(payload)
    program("fetch")(["tiny"])
    program("fetch")(["tiny", "--list"])
    printed = capsys.readouterr().out
    assert str(place) in printed
    assert printed.count("in place of tiny.npz; to download that, move it away") == 2
    assert not path.exists()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_simulate_writes_tables_that_the_container_reads(tmp_path, capsys, ending):
    path = tmp_path / f"claims.{ending}"
    program("simulate")(["claims", str(path), "--n", "1000", "--seed", "3"])
    claims = fraud.Transactions.from_csv(path, "claim_date", label="fraud", entity="policy")
    drawn = fraud.Transactions.from_frame(
        fraud_world.simulate_claims(1000, seed=3), "claim_date", label="fraud", entity="policy"
    )
    assert claims.counts().equals(drawn.counts())
    assert np.array_equal(claims.everything.numeric, drawn.everything.numeric, equal_nan=True)
    assert (claims.everything.categorical == drawn.everything.categorical).all()
    assert "1000 rows, SIMULATED" in capsys.readouterr().out


def test_simulate_passes_the_knobs_of_tables(tmp_path):
    program("simulate")(["creditcard_table", str(tmp_path / "x.csv"), "--n", "1000", "--difficulty", "3"])
    assert pd.read_csv(tmp_path / "x.csv")["V14"].to_numpy() == pytest.approx(
        creditcard_table(1000, difficulty=3)["V14"].to_numpy()
    )
    program("simulate")(["claims", str(tmp_path / "y.csv"), "--n", "500", "--no-signal"])
    assert list(pd.read_csv(tmp_path / "y.csv")["amount"]) == list(
        fraud_world.simulate_claims(500, signal=False)["amount"]
    )


def test_simulate_writes_card_payments(tmp_path, capsys):
    knobs = {"n_cards": 60, "days": 50, "prevalence": 0.4, "label_delay": 3.0, "difficulty": 2.0, "nuisance": 0.5}
    options = [str(word) for name, value in knobs.items() for word in (f"--{name.replace('_', '-')}", value)]
    program("simulate")(["card_payments", str(tmp_path / "cards.csv"), "--seed", "3", *options])
    drawn = fraud_world.simulate_card_payments(seed=3, **knobs)
    assert f"{len(drawn)} rows, SIMULATED, with the columns time, card, amount" in capsys.readouterr().out
    payments = fraud.Transactions.from_csv(
        tmp_path / "cards.csv", "time", label="fraud", entity="card", numeric=["amount"],
        categorical=["category", "region"], validation=0, test=0.15, delay="3D",
    )  # fmt: skip
    assert payments.everything.numeric[:, 0] == pytest.approx(drawn["amount"].to_numpy())
    assert payments.everything.labels.tolist() == drawn["fraud"].tolist()
    program("simulate")(
        ["card_payments", str(tmp_path / "x.parquet"), "--n-cards", "60", "--days", "50", "--no-signal"]
    )
    read = pd.read_parquet(tmp_path / "x.parquet")
    assert read["fraud"].tolist() == fraud_world.simulate_card_payments(60, 50, signal=False)["fraud"].tolist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["card_payments", "x.csv", "--days", "10"], "days 10; draw at least 50 cards and 45 days"),
        (["streets", "x", "--drives", "2"], "drives is 2"),
        (["streets", "gone/x"], "gone"),
        (["shop_log", "x.csv", "--order", "2"], "order is 2.0; give a number from 0 to 1"),
        (["claims", "x.npz"], "does not end in .csv or .parquet"),
        (["claims", "gone/x.csv"], "gone"),
    ],
)
def test_simulate_refuses_what_cannot_be_drawn_or_written(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=f"was not written: .*{said}"):
        program("simulate")(arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope", "x.npz"], "invalid choice: 'nope'"),
        (["beauty", "x.csv"], "invalid choice: 'beauty'"),  # drawn in memory only
        (["claims", "x.csv", "--nuisance", "2"], "unrecognized arguments: --nuisance 2"),
        (["pneumoniamnist", "x.npz", "--no-signal"], "unrecognized arguments: --no-signal"),
        (["card_payments", "x.csv", "--order", "1"], "unrecognized arguments: --order 1"),
        (["camvid", "x", "--drives", "4"], "unrecognized arguments: --drives 4"),
        (["claims", "x.csv", "--n", "many"], "invalid int value: 'many'"),
    ],
)
def test_simulate_refuses_names_and_options_that_there_are_not(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        program("simulate")(arguments)
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_simulate_has_every_argument_as_an_option(capsys):
    drawers = runpy.run_path(str(ROOT / "data_scripts" / "simulate.py"))["simulators"]()
    assert {"camvid", "streets", "claims", "card_payments", "pneumoniamnist"} <= set(drawers)
    assert {creditcard_table, shop_world.shop_log} <= set(drawers.values())
    for name, draw in drawers.items():
        with pytest.raises(SystemExit, match="0"):
            program("simulate")([name, "--help"])
        printed = capsys.readouterr().out
        for knob in inspect.signature(draw).parameters:
            assert knob.replace("_", "-") in printed
        assert inspect.getdoc(draw) in printed


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_simulate_writes_a_log_that_the_container_reads(tmp_path, capsys, ending):
    path = tmp_path / f"shop.{ending}"
    knobs = ["--n-users", "90", "--n-items", "120", "--order", "0.5", "--season", "0", "--repeats", "0.3"]
    program("simulate")(["shop_log", str(path), "--seed", "2", *knobs])
    assert "SIMULATED, with the columns user, item, time, title, price, quantity" in capsys.readouterr().out
    drawn = shop_world.simulate_shop(n_users=90, n_items=120, seed=2, order=0.5, season=0, repeats=0.3)
    columns = {column: column for column in ("user", "item", "time", "title", "price", "quantity")}
    log = shop.Interactions.from_parquet(path, **columns)
    assert (log.items == drawn.items).all()
    assert (log.time == drawn.time).all()
    assert (log.titles == drawn.titles).all()


def test_simulate_writes_frames_and_masks_in_the_layout_of_camvid(tmp_path, capsys):
    knobs = ["--drives", "3", "--frames-per-drive", "2", "--weather", "0.5", "--detail", "0.5", "--seed", "3"]
    program("simulate")(["streets", str(tmp_path / "drawn"), *knobs, "--size", "60", "80"])
    drawn = driving_world.simulate_streets(3, 2, seed=3, weather=0.5, detail=0.5, size=(60, 80))
    assert "Drawn streets, SIMULATED" in capsys.readouterr().out
    read = driving.Scenes.from_folder(tmp_path / "drawn", classes=drawn.classes, size=drawn.shape)
    for split, written in zip(drawn.splits.values(), read.splits.values(), strict=True):
        for field in ("frames", "masks", "drives", "time"):
            assert (getattr(written, field) == getattr(split, field)).all()
    with pytest.raises(SystemExit, match="drawn was not written: .*exists"):
        program("simulate")(["streets", str(tmp_path / "drawn")])


def test_prepare_folder(folder, tmp_path, capsys):
    (folder / "sick" / "copy.png").write_bytes(next((folder / "healthy").glob("*.png")).read_bytes())
    program("prepare_images")([str(folder), str(tmp_path / "x.npz"), "--size", "12", "--positive", "healthy"])
    images = imaging.Images.from_npz(tmp_path / "x.npz")
    assert images.shape == (12, 12, 1)
    assert images.positive == 0
    printed = capsys.readouterr().out
    assert "1 pairs of equal or nearly equal images" in printed
    assert "No groups were given" in printed


def test_prepare_table(folder, tmp_path, capsys):
    files = sorted(folder.rglob("*.png"))
    table = pd.DataFrame({"file": files, "finding": [f.parent.name for f in files]})
    table = table.assign(child=range(16), visit=range(16))
    table.to_csv(tmp_path / "xrays.csv", index=False)
    columns = ["--path", "file", "--label", "finding", "--group", "child", "--image-folder", str(folder)]
    columns += ["--order", "visit"]
    program("prepare_images")([str(tmp_path / "xrays.csv"), str(tmp_path / "x.npz"), "--colour", *columns])
    images = imaging.Images.from_npz(tmp_path / "x.npz")
    assert images.shape == (28, 28, 3)
    assert len(set(images.train.groups) & set(images.test.groups)) == 0
    assert images.test.order.astype(str).tolist() == images.test.groups.tolist()


def test_prepare_fails_with_a_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(SystemExit, match="was not written: There is no folder"):
        program("prepare_images")([str(tmp_path / "gone"), str(tmp_path / "x.npz")])
    assert list(tmp_path.iterdir()) == []
