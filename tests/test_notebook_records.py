"""The plugin that lets one run of a notebook serve nbval and the claims, tried on a tiny project of its own."""

import os
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


@pytest.fixture
def project(tmp_path):
    """A folder with the plugin, a test of each kind and a notebook of two cells that records 0.75."""
    for folder in ("tests", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "tests/__init__.py").touch()
    shutil.copy(ROOT / "tests/notebook_records.py", tmp_path / "tests")
    (tmp_path / "tests/test_claims.py").write_text(CLAIMS.format(value=0.75))
    (tmp_path / "tests/test_unit.py").write_text("def test_unit():\n    pass\n")
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


def test_unit_tests_run_first_then_the_notebook_then_its_claims(project):
    code, output = run(project, "notebooks", "tests")
    assert code == 0, output
    assert output.index("test_unit.py") < output.index("10_tiny") < output.index("test_claims.py")


def test_a_claim_that_the_run_does_not_bear_out_fails(project):
    (project / "tests/test_claims.py").write_text(CLAIMS.format(value=0.9))
    code, output = run(project)
    assert code == 1 and "1 failed, 3 passed" in output


def test_a_cell_that_fails_takes_its_records_and_the_claim_with_it(project):
    write_notebook(project, "raise RuntimeError('broken on purpose')")
    code, output = run(project)
    assert code == 1 and "broken on purpose" in output and "test_claims.py::test_claim FAILED" in output


def test_a_notebook_outside_the_run_has_no_entry(project):
    (project / "tests/test_claims.py").write_text("def test_claim(executed):\n    assert executed == {}\n")
    assert run(project, "tests")[0] == 0
