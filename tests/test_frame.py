"""Set-up: what is imported is declared, what is declared is pinned, and every path installs the same."""

import ast
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
DISTRIBUTION = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "lightning_fabric": "lightning-fabric",
    "IPython": "ipython",
    "python_calamine": "python-calamine",
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
    assert foreign(node for tree in trees for node in tree.body) <= always
    wherever = foreign(node for tree in trees for node in ast.walk(tree))
    assert wherever <= always | names(PROJECT["optional-dependencies"]["video"])


def test_what_is_declared_is_pinned():
    extras = [requirement for group in PROJECT["optional-dependencies"].values() for requirement in group]
    assert names(PROJECT["dependencies"] + extras) <= {name.lower() for name in PINS}
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


def test_ci_runs_lint_every_test_and_the_chapters_again():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert (ROOT / ".ci/run").stat().st_mode & 0o100
    assert [t for t in ("lint", "test", "test-chapters") if not re.search(rf"make .* {t}$", script, re.M)] == []
