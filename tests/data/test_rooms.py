"""What is imported when: a room loads no other room, and no container a library that only others need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from sslbook import domains
from sslbook.data.catalog import rooms

PACKAGE = Path(domains.__file__).parents[1]


def loaded_by(code: str) -> set[str]:
    """Return the modules of a new interpreter that has run some code."""
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def libraries_of(pattern: str) -> set[str]:
    """Return what some modules import from outside the package, also inside functions."""
    found = set()
    for file in PACKAGE.glob(pattern):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"sslbook"}


@pytest.fixture(scope="module")
def modelling() -> set[str]:
    """Libraries for networks, classical models, pictures on screen and so on: all the containers can do without."""
    everything = libraries_of("**/*.py")
    assert {"torch", "lightgbm", "implicit", "ipywidgets", "matplotlib"} <= everything
    reading = libraries_of("data/*.py") | libraries_of("domains/*/catalog.py")
    return everything - reading - loaded_by("import lazy_loader, sklearn.metrics")


@pytest.mark.parametrize("room", rooms())
def test_a_room_is_empty_until_a_name_of_it_is_used(room, modelling):
    loaded = loaded_by(f"import sslbook.domains.{room}")
    assert {name for name in loaded if name.startswith("sslbook.domains.")} == {f"sslbook.domains.{room}"}
    assert not loaded & (modelling | libraries_of("data/*.py"))


@pytest.mark.parametrize("room", rooms())
def test_a_container_loads_no_other_room_and_no_library_of_models(room, modelling):
    loaded = loaded_by(f"import sslbook.domains.{room}.data, sslbook.domains.{room}.catalog")
    assert f"sslbook.domains.{room}.data" in loaded
    assert not loaded & {f"sslbook.domains.{other}" for other in rooms() if other != room}
    assert not loaded & modelling


def test_the_catalog_and_the_stand_ins_load_no_library_of_models(modelling):
    loaded = loaded_by("from sslbook import data; data.catalog(); data.stand_ins()")
    assert {f"sslbook.worlds.{room}" for room in rooms()} <= loaded
    assert not loaded & modelling
