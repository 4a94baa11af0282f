"""Every chapter has its file of claims, and a claim is caught when the records do not bear it out."""

import importlib
import math
from pathlib import Path

import pytest

from tests.chapters.claims import Chapter, Claim, check
from tests.house_rules import NOTEBOOKS

CHAPTERS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
FILES = sorted(path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_[0-9]*.py"))


def test_every_chapter_has_its_file():
    assert FILES == CHAPTERS


@pytest.mark.parametrize("name", FILES)
def test_a_chapter_has_claims_on_every_run_of_it(name):
    module = importlib.import_module(f"tests.chapters.test_{name}")
    (chapter,) = (c for c in vars(module).values() if isinstance(c, type) and issubclass(c, Chapter) and c != Chapter)
    assert chapter().path.is_file() and chapter.REAL and chapter.RECORDED
    if name.startswith("1"):
        assert chapter.SIMULATED and chapter.SMOKE


@pytest.mark.parametrize(
    "claim",
    [
        Claim("real", "xrays", "auc/probe@47", 0.9, 1.0),
        Claim("simulated", "xrays", "error_reduction/a_vs_b@47.low", 0.0, math.inf),
        Claim("real", "xrays", "seconds/chapter", -math.inf, 360.0),
    ],
    ids=lambda claim: claim.figure,
)
def test_a_claim_fails_on_a_broken_copy(claim):
    good, *broken = claim.broken_copies()
    check([claim], good)
    assert len(broken) >= 7
    for records in broken:
        with pytest.raises(AssertionError):
            check([claim], records)
