"""The README says what the records say, and nothing measured besides."""

import re
from pathlib import Path

import pytest

from sslbook.results import refresh_readme
from tests.house_rules import DEFINED, NOTEBOOKS, PLACE, TYPED, without_code

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


def test_results_are_those_of_the_committed_notebooks():
    assert refresh_readme(README, PATHS) == README, "the README is stale; run `make readme`"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_notebook_has_its_row_with_its_time(path):
    rows = [line for line in README.splitlines() if line.startswith("|") and f"(notebooks/{path.name})" in line]
    assert len(rows) == 1 and f"<!-- time {path.stem} -->" in rows[0]


def test_no_measured_number_is_typed():
    typed = re.sub(r"<!-- results -->.*<!-- end of results -->", "", README, flags=re.S)
    assert TYPED.findall(DEFINED.sub(" ", without_code(typed))) == []


def test_no_path_of_one_machine():
    assert PLACE.findall(README) == []


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
