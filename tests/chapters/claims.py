"""What every chapter's test file has in common: its claims, checked on records, and runs with other parameters.

The file of a chapter is called as its notebook, with ``test_`` in front, and holds one class of bounds and names.
"""

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import papermill
import pytest

from sslbook import evidence
from sslbook.data import catalog
from sslbook.report import NAME, VARIANCE, VERDICT, Record, beside_records, records_in
from tests.house_rules import NOTEBOOKS, Notebook

# Data set -> figure -> (lowest, highest). A figure is a record's name, for its value; with ``.low`` or ``.high``
# appended, for that end of its interval.
Bounds = dict[str, dict[str, tuple[float, float]]]


@dataclass(frozen=True)
class Claim:
    """One figure of a chapter and the range it must lie in."""

    source: str
    dataset: str
    figure: str
    lowest: float
    highest: float

    def complaints(self, records: list[Record]) -> Iterator[str]:
        """What is wrong, unless exactly one record holds the figure, inside the range."""
        name, _, end = self.figure.partition(".")
        found = [r for r in records if (r["dataset"], r["source"], r["name"]) == (self.dataset, self.source, name)]
        if len(found) != 1:
            yield f"{len(found)} records of {name} for {self.dataset} ({self.source}), and should be one"
            return
        number = found[0][end or "value"]
        if number is None or not self.lowest <= number <= self.highest:
            where = f"outside [{self.lowest}, {self.highest}]"
            yield f"{self.dataset} ({self.source}) {self.figure} is {number}, {where}"

    def broken_copies(self) -> Iterator[list[Record]]:
        """Records that bear the claim out, then some that do not."""
        name, _, end = self.figure.partition(".")
        ends = [limit for limit in (self.lowest, self.highest) if math.isfinite(limit)]
        record = {"name": name, "value": 0.0, "low": None, "high": None, "source": self.source, "dataset": self.dataset}
        good = record | {end or "value": sum(ends) / len(ends)}
        yield [good]
        yield from ([], [good, good], [record | {end or "value": None}])
        yield from ([good | {key: "other/one"}] for key in ("dataset", "source", "name"))
        yield from ([good | {end or "value": limit + step}] for limit, step in zip(ends, self.steps(), strict=True))

    def steps(self) -> list[float]:
        """From each finite limit a little outside."""
        return [step for limit, step in ((self.lowest, -1e-6), (self.highest, 1e-6)) if math.isfinite(limit)]


def claims_of(source: str, bounds: Bounds) -> list[Claim]:
    return [Claim(source, dataset, f, *limits) for dataset, figures in bounds.items() for f, limits in figures.items()]


def check(claims: list[Claim], records: list[Record]) -> None:
    complaints = [complaint for claim in claims for complaint in claim.complaints(records)]
    assert not complaints, "\n".join(complaints)


def disagreements(full: dict, notebook: dict) -> list[str]:
    """Records of an executed notebook that its full study does not expect, as sentences.

    A verdict on the best rival is held against the full study only where both chose the same rival.
    """
    repeats = {name: parts["repeats"] for name, parts in beside_records(notebook, VARIANCE).items()}
    values = {r["name"]: r["value"] for r in records_in(notebook)}
    mine, theirs = beside_records(notebook, VERDICT), full["verdicts"]
    common = [n for n in repeats if n in full["variance"] and compared(mine.get(n, "")) == compared(theirs.get(n, ""))]
    ranges = {name: evidence.expected_range(full, name, repeats[name], len(common)) for name in common}
    return [
        f"{name} is {values[name]:.3f}, and the full study expects {low:.3f} to {high:.3f}"
        for name, (low, high) in ranges.items()
        if not low <= values[name] <= high
    ]


def compared(sentence: str) -> str:
    """What a verdict compares, without what it found."""
    return sentence.partition(": ")[0]


class Chapter:
    """Tests of one chapter; a subclass gives the data, and adds a test of the reader's own data.

    Attributes
    ----------
    FULL : what the chapter says of the full study: which interval lies above or below what. How far a reader's run may
        be from it follows from the variance components.
    REAL, SIMULATED : bounds of a reader's run, by where the data come from.
    SMOKE : bounds of the short run on stand-ins, which learns next to nothing; the lesson is proved on real data.
    RECORDED : names that the committed notebook holds at least, by data set.
    """

    FULL: ClassVar[Bounds] = {}
    REAL: ClassVar[Bounds] = {}
    SIMULATED: ClassVar[Bounds] = {}
    SMOKE: ClassVar[Bounds] = {}
    RECORDED: ClassVar[dict[str, list[str]]] = {}

    @property
    def name(self) -> str:
        return type(self).__module__.rpartition(".")[2].removeprefix("test_")

    @property
    def path(self) -> Path:
        return NOTEBOOKS / f"{self.name}.ipynb"

    @property
    def claims(self) -> list[Claim]:
        """Those of a reader's run."""
        return claims_of("real", self.REAL) + claims_of("simulated", self.SIMULATED)

    @property
    def full_claims(self) -> list[Claim]:
        """Those of the full study, which has real data but where a page draws its own."""
        drawn = self.SIMULATED.keys() - self.REAL.keys()
        return [
            claim
            for data, figures in self.FULL.items()
            for claim in claims_of("simulated" if data in drawn else "real", {data: figures})
        ]

    def test_committed_records_keep_to_the_claims(self):
        claims = [claim for claim in self.claims if claim.source == "real" or claim.dataset not in catalog()]
        check(claims, records_in(self.path))

    def test_what_must_be_recorded_is(self):
        found = {(r["dataset"], r["name"]) for r in records_in(self.path)}
        assert {(dataset, name) for dataset, names in self.RECORDED.items() for name in names} - found == set()

    def test_records_of_this_run_keep_to_the_claims(self, executed):
        if self.name not in executed:
            pytest.skip(f"{self.name} was not executed in this run")
        records = executed[self.name]
        source = {r["dataset"]: r["source"] for r in records}
        missing = {claim.dataset for claim in self.claims} - source.keys()
        assert not missing, f"the run recorded nothing for {missing}"
        check([claim for claim in self.claims if claim.source == source[claim.dataset]], records)

    def test_the_full_study_keeps_to_the_claims(self):
        check(self.full_claims, self.full_study()["records"])

    def test_committed_records_lie_where_the_full_study_expects_them(self):
        assert disagreements(self.full_study(), json.loads(self.path.read_text(encoding="utf-8"))) == []

    def test_records_of_this_run_lie_where_the_full_study_expects_them(self, executed_outputs):
        """Both runs on the real data."""
        outputs = executed_outputs.get(self.name) or {"cells": []}
        if not any(r["source"] == "real" for r in records_in(outputs)):
            pytest.skip(f"{self.name} was not executed on real data in this run")
        assert disagreements(self.full_study(), outputs) == []

    def full_study(self) -> dict:
        found = evidence.load(self.path)
        return found if found is not None else pytest.skip(f"{self.name} has no full study yet")

    def test_each_claim_can_be_checked_and_can_fail(self):
        for claim in self.claims + self.full_claims + claims_of("simulated", self.SMOKE):
            name, _, end = claim.figure.partition(".")
            assert NAME.fullmatch(name) and end in ("", "low", "high"), f"no record is called {claim.figure}"
            assert claim.lowest < claim.highest and (math.isfinite(claim.lowest) or math.isfinite(claim.highest))
            good, *broken = claim.broken_copies()
            assert list(claim.complaints(good)) == []
            assert all(list(claim.complaints(records)) for records in broken)

    @pytest.mark.smoke
    def test_every_cell_runs_offline(self, tmp_path, monkeypatch):
        """With an empty data folder and the small repeats of the notebook's metadata."""
        small = Notebook.read(self.path).smoke
        if small is None:
            pytest.skip(f"{self.name} lists no small repeats")
        (tmp_path / "data").mkdir()
        monkeypatch.setenv("SSLBOOK_DATA", str(tmp_path / "data"))
        monkeypatch.setenv("SSLBOOK_OFFLINE", "1")
        records = execute(self.path, small, tmp_path)
        assert {r["source"] for r in records if r["dataset"] in catalog()} == {"simulated"}
        assert all(math.isfinite(r["value"]) for r in records)
        found = {(r["dataset"], without_budget(r["name"])) for r in records}
        expected = {(dataset, without_budget(name)) for dataset, names in self.RECORDED.items() for name in names}
        assert expected - found == set()
        check(claims_of("simulated", self.SMOKE), records)

    def own_records(self, metric: str, own: dict, folder: Path) -> list[Record]:
        """Records of the reader's own data; the rest of the chapter runs on stand-ins with small repeats."""
        records = execute(self.path, Notebook.read(self.path).smoke | {"SOURCE": "simulated"} | own, folder)
        return [r for r in records if r["name"].startswith(f"{metric}/")]


def without_budget(name: str) -> str:
    return name.partition("@")[0]


def execute(path: Path, parameters: dict, folder: Path) -> list[Record]:
    """Records of a notebook that is executed with other parameters."""
    executed = folder / "executed.ipynb"
    settings = {"kernel_name": "python3", "progress_bar": False, "execution_timeout": 900}
    papermill.execute_notebook(path, executed, parameters, cwd=path.parent, **settings)
    return records_in(executed)


def real_data(place: str) -> Path:
    """A file or folder of ``$SSLBOOK_DATA``."""
    return Path(os.environ.get("SSLBOOK_DATA") or "nowhere").absolute() / place


def own_data(place: str) -> Callable:
    """Mark a test that puts a file or folder of ``$SSLBOOK_DATA`` in the place of the reader's own data."""
    missing = pytest.mark.skipif(not real_data(place).exists(), reason=f"there is no {place} in $SSLBOOK_DATA")
    return lambda test: pytest.mark.own_data(missing(test))
