"""Every notebook keeps to the house rules, and every house rule catches a notebook that breaks it."""

import json
from collections.abc import Callable

import pytest

from sslbook.report import MIME
from tests.house_rules import NOTEBOOKS, RULES, SECTIONS, Notebook

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))


def test_the_book_holds_its_first_two_pages():
    assert {"00_start_here.ipynb", "10_medical_imaging.ipynb"} <= {path.name for path in PATHS}
    for path in PATHS:
        assert path.name[:2].isdigit() and path.name[2] == "_", f"{path.name} does not begin with its number"


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_keeps_to(path, name):
    assert list(RULES[name](Notebook.read(path))) == []


# ------------------------------------------------------------------------------------------------- broken copies


def markdown(cell_id: str, text: str) -> dict:
    return {"cell_type": "markdown", "id": cell_id, "metadata": {}, "source": text}


def code(cell_id: str, text: str, *data: dict, **metadata) -> dict:
    outputs = [{"output_type": "display_data", "data": d, "metadata": {}} for d in data]
    return {"cell_type": "code", "id": cell_id, "metadata": metadata, "source": text, "outputs": outputs,
            "execution_count": 0}  # fmt: skip


def good_case() -> dict:
    """A synthetic chapter that keeps to every rule."""
    record = {"name": "seconds/chapter", "value": 1.0, "low": None, "high": None, "unit": "s", "n": 1,
              "source": "real", "dataset": "xrays"}  # fmt: skip
    opening = "# X-rays\n\nYou need nothing.\n\n1. **a**\n2. **b**\n3. **c**\n\n| | 2 cores | T4 |\n|---|---|---|\n"
    cells = [
        markdown("title", opening + "word " * 2200),
        code("setup", "try:\n    import sslbook\nexcept ImportError:\n    raise SystemExit('install it') from None"),
        code("parameters", "SEED = 0\nSOURCE = 'auto'", tags=["parameters"]),
    ]
    cells += [markdown(f"s{i}", f"## {title}\n\nText of a 95 % interval.") for i, title in enumerate(SECTIONS)]
    cells[-2]["source"] += "\n\n- **a**\n- **b**\n- **c**"
    cells[5:5] = [code(f"c{i}", f"x = {i}, SEED, SOURCE\nassert x") for i in range(30)]
    cells[6:6] = [code("figure", "draw()", {"image/png": "x", "text/plain": "<Figure>"}), markdown("read", "It rises.")]
    cells += [code("close", "record()", {MIME: record, "text/plain": "seconds/chapter = 1 s"})]
    for count, cell in enumerate((c for c in cells if c["cell_type"] == "code"), start=1):
        cell["execution_count"] = count
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "sslbook": {"smoke": {"SEED": 1}}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def complaints(name: str, content: dict, notebook: str = "10_xrays") -> list[str]:
    return list(RULES[name](Notebook(notebook, json.dumps(content))))


def cell(content: dict, cell_id: str) -> dict:
    return next(c for c in content["cells"] if c["id"] == cell_id)


def record_of(content: dict) -> dict:
    return cell(content, "close")["outputs"][0]["data"][MIME]


def say(cell_id: str, text: str) -> Callable[[dict], None]:
    """Append to the source of a cell."""
    return lambda content: cell(content, cell_id).update(source=cell(content, cell_id)["source"] + text)


def write(cell_id: str, text: str) -> Callable[[dict], None]:
    return lambda content: cell(content, cell_id).update(source=text)


def put_out(cell_id: str, **output) -> Callable[[dict], None]:
    return lambda content: cell(content, cell_id)["outputs"].append({"output_type": "stream", "metadata": {}, **output})


def drop(cell_id: str) -> Callable[[dict], None]:
    return lambda content: content["cells"].remove(cell(content, cell_id))


def tag(cell_id: str, *names: str) -> Callable[[dict], None]:
    return lambda content: cell(content, cell_id)["metadata"].update(tags=list(names))


def repeat(cell_id: str, times: int) -> Callable[[dict], None]:
    return lambda content: content["cells"].extend([cell(content, cell_id)] * times)


def statements(n: int) -> str:
    return "\n".join(f"x{i} = {i}" for i in range(n))


def only_two_asserts(content: dict) -> None:
    for i in range(2, 30):
        write(f"c{i}", "x")(content)


def long_median(content: dict) -> None:
    for i in range(30):
        write(f"c{i}", statements(9))(content)


BREAKS = {
    "two titles": ("headings", say("s3", "\n\n# Another")),
    "no title first": ("headings", write("title", "X-rays\n\n# X-rays")),
    "skipped level": ("headings", say("s3", "\n\n#### Detail")),
    "a step misspelt": ("sections", write("s4", "## 5 Training")),
    "a step missing": ("sections", drop("s1")),
    "steps out of order": ("sections", lambda c: c["cells"].append(c["cells"].pop(c["cells"].index(cell(c, "s2"))))),
    "a heading too many": ("sections", say("s8", "\n\n## Afterthought")),
    "no limits": ("sections", drop("s9")),
    "no aims": ("opening", write("title", "# X-rays\n\nYou need nothing.\n\n| | T4 |")),
    "no time table": ("opening", write("title", "# X-rays\n\nYou need nothing.\n\n1. a\n2. b\n3. c")),
    "recap forgets an aim": ("opening", write("s10", "## Recap\n\n- a\n- b")),
    "a cell of 41 lines": ("lengths", write("c3", statements(41))),
    "a long median": ("lengths", long_median),
    "too few words": ("lengths", write("title", "# X-rays")),
    "too many words": ("lengths", say("s2", " word" * 1400)),
    "too few code cells": ("lengths", lambda c: [drop(f"c{i}")(c) for i in range(5)]),
    "too many code cells": ("lengths", repeat("c1", 30)),
    "over a megabyte": ("lengths", put_out("c1", name="stdout", text="x" * 1_000_000)),
    "a figure unread": ("figures_are_read", drop("read")),
    "a figure before a heading only": ("figures_are_read", write("read", "## Next")),
    "a shell line": ("plain_python", write("c1", "!ls")),
    "a magic": ("plain_python", write("c1", "%pip install x")),
    "no message when the package is missing": ("setup", write("setup", "import sslbook")),
    "no parameters": ("parameters", tag("parameters")),
    "parameters twice": ("parameters", tag("c1", "parameters")),
    "a computed parameter": ("parameters", say("parameters", "\nSEED = 2 * 3")),
    "a list as parameter": ("parameters", say("parameters", "\nSEED = [1, 2]")),
    "a lower-case parameter": ("parameters", say("parameters", "\nlater = 1")),
    "two names in a line": ("parameters", say("parameters", "\nA, B = 1, 2")),
    "an import among the parameters": ("parameters", say("parameters", "\nimport math")),
    "a parameter without use": ("parameters", say("parameters", "\nUNUSED = 1")),
    "no small repeats": ("smoke", lambda c: c["metadata"].pop("sslbook")),
    "small repeats of nothing": ("smoke", lambda c: c["metadata"].update(sslbook={"smoke": {}})),
    "small repeats of no parameter": ("smoke", lambda c: c["metadata"]["sslbook"]["smoke"].update(x=1)),
    "small repeats of another type": ("smoke", lambda c: c["metadata"]["sslbook"]["smoke"].update(SEED=1.0)),
    "an unknown tag": ("tags", tag("c1", "nbval_skip")),
    "a tag that skips the cell": ("tags", tag("c1", "nbval-skip")),
    "a comment that skips the cell": ("tags", say("c1", "\n# NBVAL_SKIP")),
    "too few asserts": ("asserts", only_two_asserts),
    "an id twice": ("ids", lambda c: cell(c, "c1").update(id="c2")),
    "an id missing": ("ids", lambda c: cell(c, "c1").pop("id")),
    "an old format": ("ids", lambda c: c.update(nbformat_minor=4)),
    "never run": ("outputs", lambda c: cell(c, "c1").update(execution_count=None)),
    "run out of order": ("outputs", lambda c: cell(c, "c1").update(execution_count=40)),
    "an error": ("outputs", put_out("c1", output_type="error", ename="E", evalue="", traceback=[])),
    "output to stderr": ("outputs", put_out("c1", name="stderr", text="progress")),
    "a warning": ("outputs", put_out("c1", name="stdout", text="x.py:1: UserWarning: old")),
    "a simulated run": ("outputs", put_out("c1", name="stdout", text="SIMULATED: stand-in")),
    "a simulated record": ("outputs", lambda c: record_of(c).update(source="simulated", dataset="pneumoniamnist")),
    "no record of the time": ("records", drop("close")),
    "a record twice": ("records", repeat("close", 1)),
    "an AUC in prose": ("typed_numbers", say("s6", " The AUC reaches 0.953.")),
    "an AUC over a line break": ("typed_numbers", say("s6", " The AUC\nreaches .95 here.")),
    "a percentage before its metric": ("typed_numbers", say("s6", " We got 93 % accuracy.")),
    "a measured sensitivity": ("typed_numbers", say("s6", " The sensitivity was 97.5%.")),
    "a metric in a table": ("typed_numbers", say("s6", "\n\n| balanced accuracy | 0.88 |")),
    "labels saved": ("typed_numbers", say("s6", " It saves about 130 labels.")),
    "a path in the source": ("machine_paths", write("c1", "open('/home/me/x')")),
    "a path in the output": ("machine_paths", put_out("c1", name="stdout", text="C:\\Users\\me")),
    "a path in prose": ("machine_paths", say("s3", " See /tmp/x.")),
    "a path in the metadata": ("machine_paths", lambda c: c["metadata"].update(papermill={"in": "/root/x.ipynb"})),
}  # fmt: skip


def test_a_page_with_its_own_generator_says_simulated_but_hides_no_stand_in():
    page = good_case()
    record_of(page).update(source="simulated", dataset="cards")
    put_out("c1", name="stdout", text="SIMULATED: pay for surprise at 25 fraud cards.")(page)
    assert complaints("outputs", page) == []
    put_out("c2", name="stdout", text="SIMULATED DATA instead of creditcard.")(page)
    assert len(complaints("outputs", page)) == 1


@pytest.mark.parametrize("name", RULES)
def test_a_good_chapter_passes(name):
    assert complaints(name, good_case()) == []


@pytest.mark.parametrize("name, spoil", BREAKS.values(), ids=list(BREAKS))
def test_a_broken_copy_is_caught(name, spoil):
    content = good_case()
    spoil(content)
    assert complaints(name, content)


def test_every_rule_has_a_broken_copy():
    assert {name for name, _ in BREAKS.values()} == set(RULES)


@pytest.mark.parametrize(
    "text",
    [
        "The AUC is 0.5 by guessing.",
        "A promise of at least 95 % sensitivity.",
        "`auc = 0.953` and $AUC = 0.953$",
        "```python\nauc = 0.953\n```",
        "An error bar is a 95 % bootstrap interval.",
        "Accuracy at 1 % of the labels.",
        "Two X-rays in three. The recall rises from 2023 on.",
    ],
)
def test_definitions_and_code_are_not_typed_measurements(text):
    content = good_case()
    say("s6", "\n\n" + text)(content)
    assert complaints("typed_numbers", content) == []


def test_a_page_that_is_no_case_needs_no_sections_no_length_and_no_small_repeats():
    content = good_case()
    content["cells"] = [c for c in content["cells"] if c["id"] in ("title", "setup", "parameters", "c0", "c1", "close")]
    del content["metadata"]["sslbook"]
    for name in ("sections", "opening", "lengths", "smoke"):
        assert complaints(name, content, "00_xrays") == []
        assert complaints(name, content, "10_xrays") or name == "opening"
