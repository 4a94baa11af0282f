"""The full study of a chapter: that it is written, goes on, and that another run is held against it."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from scipy.stats import t as student

from sslbook import evidence, report
from tests.chapters.claims import disagreements

RECORDS = """
import numpy as np
from sslbook import parallel, report
from sslbook.intervals import spread
from sslbook.runs import Store

def score(pair):
    with open("log", "a") as log:
        log.write("run ")
    return 0.8 + 0.01 * np.random.default_rng(pair).normal()

pairs = [(d, s) for d in range(DRAWS) for s in range(SEEDS)]
grid = np.array(parallel.map_all(score, pairs, "scores", Store())).reshape(DRAWS, SEEDS)
found = spread([grid])
record = report.Recorder("digits", "real")
record("auc/net@10", grid.mean(), grid.mean() - found.half_width, grid.mean() + found.half_width, n=grid.size,
       spread=found, repeats=(DRAWS, SEEDS))
record("seconds/chapter", 3.0, unit="s")
record("seconds/said", 3.0, unit="s", verdict="net against pixels: gain")
"""


@pytest.fixture
def chapter(tmp_path) -> Path:
    parameters = new_code_cell("DRAWS = 3\nSEEDS = 2", metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[parameters, new_code_cell(RECORDS)])
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["sslbook"] = {"evidence": {"DRAWS": 6, "SEEDS": 4}}
    nbformat.write(notebook, tmp_path / "42_chapter.ipynb")
    return tmp_path / "42_chapter.ipynb"


def test_a_full_study_is_written_with_its_repeats_and_goes_on_where_it_was(chapter, tmp_path, monkeypatch):
    monkeypatch.setenv("SSLBOOK_RUNS", "")  # put back afterwards
    assert evidence.load(chapter) is None
    path = evidence.run(chapter, tmp_path / "store")
    found = evidence.load(chapter)
    assert path == tmp_path / "evidence" / "42.json" and sorted(path.parent.iterdir()) == [path]
    assert list(found) == [
        "records", "parameters", "repeats", "variance", "verdicts", "package", "date", "processor", "seconds",
    ]  # fmt: skip
    assert found["parameters"] == {"DRAWS": 6, "SEEDS": 4} and found["repeats"] == {"auc/net@10": [6, 4]}
    assert {r["name"]: r["n"] for r in found["records"]} == {"auc/net@10": 24, "seconds/chapter": 1, "seconds/said": 1}
    assert found["verdicts"] == {"seconds/said": "net against pixels: gain"}
    assert set(found["records"][0]) == {"name", "value", "low", "high", "unit", "n", "source", "dataset"}
    assert found["variance"]["auc/net@10"].keys() == {"draws", "seeds", "residual", "cases", "df"}
    assert len((tmp_path / "log").read_text().split()) == 24
    evidence.run(chapter, tmp_path / "store")
    assert len((tmp_path / "log").read_text().split()) == 24, "finished runs are not repeated"
    assert evidence.load(chapter)["records"] == found["records"]


def test_a_notebook_without_repeats_has_no_full_study(chapter, tmp_path):
    notebook = nbformat.read(chapter, 4)
    del notebook.metadata["sslbook"]
    nbformat.write(notebook, chapter)
    with pytest.raises(ValueError, match="lists no repeats"):
        evidence.run(chapter, tmp_path)


def test_a_cluster_is_put_behind_the_parameters(chapter):
    cells = evidence._on_cluster(nbformat.read(chapter, 4), "tcp://here:1").cells
    assert "Client('tcp://here:1')" in cells[1].source and 'parallel_config("dask")' in cells[1].source
    assert [cell.source for cell in cells[::2]] == ["DRAWS = 3\nSEEDS = 2", RECORDS]


VARIANCE = {"draws": 4e-4, "seeds": 1e-4, "residual": 9e-4, "cases": 1e-3, "df": 12.0}
FULL = {
    "records": [{"name": "auc/net@10", "value": 0.8, "low": 0.78, "high": 0.82}],
    "repeats": {"auc/net@10": [10, 5]},
    "variance": {"auc/net@10": VARIANCE},
    "verdicts": {"auc/net@10": "net against pixels at 10 labels: auc +0.020: gain"},
    "parameters": {"DRAWS": 10, "NETWORK_SEEDS": 5},
    "date": "2030-01-02",
}


def test_the_range_of_another_run_follows_from_the_variance_components():
    low, high = evidence.expected_range(FULL, "auc/net@10", (5, 3))
    variance = 4e-4 / 5 + 1e-4 / 3 + 9e-4 / 15 + 4e-4 / 10 + 1e-4 / 5 + 9e-4 / 50  # the test cases are the same
    half = student.ppf(0.975, 12) * np.sqrt(variance) + evidence.FLOOR
    assert (low, high) == pytest.approx((0.8 - half, 0.8 + half))
    narrow, wide = (np.ptp(evidence.expected_range(FULL, "auc/net@10", r)) for r in ((10, 5), (2, 1)))
    assert narrow < high - low < wide
    assert np.ptp(evidence.expected_range(FULL, "auc/net@10", (5, 3), at_once=50)) > high - low


def test_of_one_seed_nobody_knows_what_another_processor_makes():
    alone = FULL | {"repeats": {"auc/net@10": [10, 1]}, "variance": {"auc/net@10": dict.fromkeys(VARIANCE, 0.0)}}
    assert evidence.expected_range(alone, "auc/net@10", (5, 1)) == pytest.approx((0.75, 0.85))
    many = alone | {"repeats": {"auc/net@10": [10, 5]}}
    assert evidence.expected_range(many, "auc/net@10", (5, 1)) == pytest.approx((0.79, 0.81))


def test_other_runs_lie_inside_as_often_as_promised():
    rng, inside = np.random.default_rng(0), 0
    size = {"draws": (400, 1), "seeds": (1, 400), "residual": (400, 400)}
    world = sum(np.sqrt(VARIANCE[part]) * rng.normal(size=shape) for part, shape in size.items())
    for _ in range(300):
        full, reading = (
            world[np.ix_(rng.choice(400, d, replace=False), rng.choice(400, s, replace=False))].mean()
            for d, s in ((10, 5), (3, 2))
        )
        found = FULL | {"records": [{"name": "auc/net@10", "value": full}]}
        low, high = evidence.expected_range(found, "auc/net@10", (3, 2))
        inside += low + evidence.FLOOR <= reading <= high - evidence.FLOOR
    assert 0.93 < inside / 300 <= 1


def outputs_of(value: float, sentence: str = "net against pixels at 10 labels: auc +0.0: undecided") -> dict:
    record = {"name": "auc/net@10", "value": value, "low": None, "high": None}
    beside = {report.VARIANCE: VARIANCE | {"repeats": [5, 3]}, report.VERDICT: sentence}
    loose = {"data": {report.MIME: {"name": "seconds/chapter", "value": 1e9}}, "metadata": {}}
    return {"cells": [{"outputs": [{"data": {report.MIME: record}, "metadata": beside}, loose]}, {}]}


def test_a_run_that_the_full_study_does_not_expect_is_named():
    assert disagreements(FULL, outputs_of(0.81)) == []
    for broken in (0.7, 0.9):
        (said,) = disagreements(FULL, outputs_of(broken))
        assert said.startswith(f"auc/net@10 is {broken:.3f}, and the full study expects 0.7")


def test_a_comparison_with_another_rival_is_not_held_against_the_full_study():
    assert disagreements(FULL, outputs_of(0.7, "net against trees at 10 labels: auc -0.1: loss")) == []


@pytest.fixture
def studied(tmp_path) -> Path:
    """Path of a notebook that has a full study."""
    place = evidence.place(tmp_path / "42_chapter.ipynb")
    place.parent.mkdir()
    place.write_text(json.dumps(FULL))
    return tmp_path / "42_chapter.ipynb"


def test_verdicts_of_this_run_stand_above_those_of_the_full_study(studied):
    mine = {"auc/net@10": "net against pixels at 10 labels: auc +0.030: undecided", "auc/net@20": "net: no"}
    assert evidence.beside(mine, studied).splitlines() == [
        "net against pixels at 10 labels",
        "   this run        auc +0.030: undecided",
        "   the full study  auc +0.020: gain",
        "net",
        "   this run        no",
    ]
    other = evidence.beside({"auc/net@10": "net against trees at 10 labels: auc +0.030: gain"}, studied)
    assert "   the full study  (net against pixels at 10 labels) auc +0.020: gain" in other
    assert "full study" not in evidence.beside(mine, studied.with_name("43_other.ipynb"))


def test_the_answer_of_a_chapter_is_that_of_its_full_study(studied):
    head, sentence = evidence.answer(studied, ["auc/net@10"]).splitlines()
    assert head == "The full study (draws: 10, network seeds: 5; 2030-01-02) found:"
    assert sentence == FULL["verdicts"]["auc/net@10"]
    every_budget = [said for name, said in FULL["verdicts"].items() if name.startswith("auc/net@")]
    assert evidence.answer(studied, ["auc/net", "auc/absent"]).splitlines()[1:] == every_budget
    assert "notebooks/evidence/43.json" in evidence.answer(studied.with_name("43_other.ipynb"), ["auc/net@10"])
