"""The plugin that lets one run of a notebook serve nbval and the claims, tried on a tiny project of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
CLAIMS = """
def test_claim(executed):
    assert [(r["name"], r["value"]) for r in executed["10_tiny"]] == [("auc/a@10", {value})]
"""
UNIT = """
import os

def test_unit():
    print("\\nkept in", os.environ["SSLBOOK_RUNS"])
    assert os.listdir(os.environ["SSLBOOK_RUNS"]) == []
"""
AGAIN = """
import pytest

@pytest.mark.smoke
def test_again():
    pass
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the plugin, a test of each kind and a notebook of two cells that records 0.75."""
    for folder in ("tests", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['smoke']\n")
    (tmp_path / "tests/__init__.py").touch()
    shutil.copy(ROOT / "tests/notebook_records.py", tmp_path / "tests")
    (tmp_path / "tests/test_claims.py").write_text(CLAIMS.format(value=0.75))
    (tmp_path / "tests/test_unit.py").write_text(UNIT)
    (tmp_path / "tests/test_again.py").write_text(AGAIN)
    write_notebook(tmp_path, "value = 0.75")
    return tmp_path


def write_notebook(project: Path, first: str) -> None:
    second = "from sslbook import report\nreport.Recorder('xrays', 'real')('auc/a@10', value)"
    cells = [nbformat.v4.new_code_cell(text) for text in (first, second)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), project / "notebooks/10_tiny.ipynb")


def run(project: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "tests.notebook_records", "-p", "no:cacheprovider",
               "--nbval-lax", "--nbval-current-env", *arguments]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_units_come_first_then_the_notebook_then_its_claims_then_short_runs(project):
    code, output = run(project, "notebooks", "tests", "-s")
    assert code == 0, output
    places = [output.index(name) for name in ("test_unit.py", "10_tiny", "test_claims.py", "test_again.py")]
    assert places == sorted(places)
    assert re.search(r"seconds of each notebook =+\n+ +\d+\.\d s  10_tiny\n", output)
    folder = re.search(r"kept in (\S+)", output)[1]
    assert not Path(folder).exists(), "finished runs are removed"


def test_a_claim_that_the_run_does_not_bear_out_fails(project):
    (project / "tests/test_claims.py").write_text(CLAIMS.format(value=0.9))
    code, output = run(project)
    assert code == 1 and "1 failed, 4 passed" in output


def test_a_cell_that_fails_takes_its_records_and_the_claim_with_it(project):
    write_notebook(project, "raise RuntimeError('broken on purpose')")
    code, output = run(project)
    assert code == 1 and "broken on purpose" in output and "test_claims.py::test_claim FAILED" in output


def test_a_notebook_outside_the_run_has_no_entry(project):
    (project / "tests/test_claims.py").write_text("def test_claim(executed):\n    assert executed == {}\n")
    assert run(project, "tests")[0] == 0
