"""The rooms of the package: who may import whom, and what nobody may do."""

import ast
from pathlib import Path

import pytest

from tests.house_rules import NOTEBOOKS, Notebook, parsed

ROOT = Path(__file__).parents[1]
FLOORS = (
    {"data"},
    {"augment", "encoders", "pretext"},
    {
        "diagnose",
        "train",
        "evaluate",
        "baselines",
        "ranking",
        "recommenders",
        "segmentation",
        "segmenters",
        "trajectories",
        "corruptions",
    },
    {"study"},
    {"report", "plots", "widgets"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FOREIGN = {"torchvision", "timm", "lightly", "medmnist", "open_clip"}
UNPICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
MODULES = sorted((ROOT / "sslbook").rglob("*.py"))
PROGRAMS = MODULES + sorted((ROOT / "data_scripts").glob("*.py")) + sorted((ROOT / "tests").rglob("*.py"))


def imports(tree: ast.Module, package: str = "") -> set[str]:
    """Full names of all that a module imports, wherever the import stands."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def rooms(names: set[str]) -> set[str]:
    """Rooms of sslbook among imported names."""
    return {name.split(".")[1] for name in names if name.startswith("sslbook.")} & set(FLOOR)


def wrong_imports(room: str, tree: ast.Module, package: str = "sslbook") -> list[str]:
    """What a module of a room imports and may not."""
    names = imports(tree, package)
    wrong = [f"{room} imports {other}, a room above it" for other in rooms(names) if FLOOR[other] > FLOOR[room]]
    if room == "pretext" and "data" in rooms(names):
        wrong.append("pretext knows a data set")
    if room == "data" and any(name.split(".")[0] in ("torch", "lightning_fabric") for name in names):
        wrong.append("data knows a torch model")
    return wrong


def unsafe(tree: ast.Module) -> list[str]:
    """Imports and calls that unpickle, or that could."""
    wrong = [name for name in imports(tree) if name.split(".")[0] in UNPICKLING]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            settings = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if call.endswith("read_pickle") or settings.get("allow_pickle", "False") != "False":
                wrong.append(ast.unparse(node))
            if call == "torch.load" and settings.get("weights_only") != "True":
                wrong.append(ast.unparse(node))
    return wrong


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "sslbook").parts[0].removesuffix(".py")


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).parts[:-1])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path == ROOT / "sslbook/__init__.py":
        assert rooms(imports(tree, "sslbook")) == set(), "the package itself imports no room"
    else:
        assert room_of(path) in FLOOR, f"{path.name} has no floor in the house"
        assert wrong_imports(room_of(path), tree, package_of(path)) == []


def test_no_room_imports_itself_in_a_circle():
    graph = {room: set() for room in FLOOR}
    for path in MODULES:
        if room_of(path) in FLOOR:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            graph[room_of(path)] |= rooms(imports(tree, package_of(path))) - {room_of(path)}
    while graph:
        leaves = [room for room, uses in graph.items() if not uses & set(graph)]
        assert leaves, f"a circle among {sorted(graph)}"
        for leaf in leaves:
            del graph[leaf]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_package_knows_no_chapter(path):
    text = path.read_text(encoding="utf-8")
    assert [book.stem for book in NOTEBOOKS.glob("*.ipynb") if book.stem in text] == []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_unpickled_and_nothing_foreign_imported(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert unsafe(tree) == []
    assert {name.split(".")[0] for name in imports(tree)} & FOREIGN == set()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_unpickle_nothing_and_import_nothing_foreign(path):
    for cell in Notebook.read(path).code:
        assert unsafe(parsed(cell)) == []
        assert {name.split(".")[0] for name in imports(parsed(cell))} & FOREIGN == set()


@pytest.mark.parametrize("path", sorted((ROOT / "data_scripts").glob("*.py")), ids=lambda path: path.stem)
def test_data_scripts_use_data_only(path):
    assert rooms(imports(ast.parse(path.read_text(encoding="utf-8")))) <= {"data"}


@pytest.mark.parametrize(
    "room, text",
    [
        ("augment", "from sslbook.study import Study"),
        ("train", "from sslbook import report"),
        ("data", "def f():\n    from sslbook import train"),
        ("data", "from ..pretext import SimCLR"),
        ("data", "import torch"),
        ("pretext", "import sslbook.data"),
        ("study", "import sslbook.plots as p"),
    ],
)
def test_an_import_the_wrong_way_is_caught(room, text):
    assert wrong_imports(room, ast.parse(text), "sslbook.data" if room == "data" else "sslbook")


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "pd.read_pickle(p)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
    ],
)
def test_unpickling_is_caught(text):
    assert unsafe(ast.parse(text))


def test_safe_loading_is_not_caught():
    assert unsafe(ast.parse("np.load(p)\nnp.load(p, allow_pickle=False)\ntorch.load(p, weights_only=True)")) == []
