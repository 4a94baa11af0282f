"""Set-up: what is imported is declared, what is declared is pinned, and every path installs the same."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M))
STEPS = ("lint", "test-units", "test-chapters", "test-short")  # of .ci/run, beside the installation
DISTRIBUTION = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "lightning_fabric": "lightning-fabric",
    "IPython": "ipython",
    "python_calamine": "python-calamine",
    "lazy_loader": "lazy-loader",
}


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", requirement)[0].lower() for requirement in requirements}


def foreign(nodes: Iterable[ast.AST]) -> set[str]:
    """Distributions that import statements among some nodes need, beside Python itself."""
    imported = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module.split(".")[0])
    return {DISTRIBUTION.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"sslbook"}}


def test_what_the_package_imports_is_declared():
    """What an optional extra brings may be imported inside a function only."""
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in [*(ROOT / "sslbook").rglob("*.py"), *(ROOT / "data_scripts").glob("*.py")]
    ]
    always = names(PROJECT["dependencies"])
    extras = {group: names(needed) for group, needed in PROJECT["optional-dependencies"].items()}
    assert foreign(node for tree in trees for node in tree.body) <= always
    wherever = foreign(node for tree in trees for node in ast.walk(tree))
    assert wherever <= always | extras["video"] | extras["cluster"] | extras["evidence"]


def test_what_is_declared_is_pinned():
    extras = [requirement for group in PROJECT["optional-dependencies"].values() for requirement in group]
    assert names(PROJECT["dependencies"] + extras) - {"sslbook"} <= {name.lower() for name in PINS}
    assert PINS["torch"] == "2.13.0"


def test_conda_installs_the_same_package_extras_and_pins():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert dependencies[-1] == {"pip": ["--constraint constraints.txt", "--editable .[lab,test]"]}
    for file in ("Makefile", "README.md"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert '".[lab,test]"' in text and "--constraint constraints.txt" in text


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_without_a_python_make_says_what_to_do(tmp_path):
    command = ["make", "--silent", "lab", "PYTHON=", f"VENV={tmp_path}/none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert done.stderr.startswith("sslbook needs Python 3.11 or newer") and "make PYTHON=" in done.stderr


def commands(target: str) -> list[str]:
    """What make would run for a target, once everything is installed."""
    command = ["make", "--dry-run", "--always-make", "PYTHON=python3", target]
    dry = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert dry.returncode == 0, dry.stderr
    return re.findall(r"-m (?:pytest|ruff) .*", dry.stdout.replace("\\\n", " "))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_test_runs_units_on_all_cores_then_every_notebook_with_its_claims():
    units, chapters = commands("test")
    assert "-n auto --dist worksteal" in units and "--ignore=tests/chapters" in units and units.endswith(" tests")
    assert "-n auto" not in chapters and " notebooks tests/chapters" in chapters
    left_out = re.findall(r"--ignore=(\S+)", units)
    assert [path for path in left_out if path not in chapters] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_what_make_test_leaves_out_has_a_step_of_its_own():
    marked = re.search(r'-m "not (\w+) and not (\w+)"', commands("test-chapters")[0]).groups()
    assert f'-m "{" or ".join(marked)}" tests/chapters' in commands("test-short")[0]


def test_ci_runs_every_step_and_says_its_seconds():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    assert tuple(re.findall(r"^step .* ([a-z-]+)$", script, re.M)) == STEPS
    assert "seconds" in script and "set -euo pipefail" in script
    assert re.search(r"SSLBOOK_OFFLINE=1.*no-data", script)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_ci_stops_at_the_first_step_that_fails(tmp_path):
    """With a make that only writes down what it is asked for, and fails at the notebooks."""
    shutil.copytree(ROOT / ".ci", tmp_path / "copy" / ".ci")
    (tmp_path / "make").write_text('#!/bin/sh\necho "asked for $2"\ntest "$2" != test-chapters\n')
    (tmp_path / "make").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(tmp_path / "copy/.ci/run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    asked = re.findall(r"^asked for (\S+)$", done.stdout, re.M)
    assert done.returncode != 0 and asked[1:] == ["lint", "test-units", "test-chapters"]
    assert len(re.findall(r"^== .*: \d+ seconds$", done.stdout, re.M)) == 3
