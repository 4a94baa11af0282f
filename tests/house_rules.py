"""What every notebook of the book keeps to. ``python -m tests.house_rules`` prints what is wrong with them."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

from sslbook.data import catalog
from sslbook.report import MIME

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SECTIONS = (
    "1 Define the objective", "2 Select a pretext task", "3 Prepare the data", "4 Choose the framework", "5 Train",
    "6 Evaluate representations", "7 Iterate and optimise",
    "Check yourself", "Your own data", "Limits: when this does not work", "Recap", "Further reading",
)  # fmt: skip
TAGS = {"parameters", "hide-input", "hide-output", "hide-cell"}
Complaints = Iterator[str]
RULES: dict[str, Callable[["Notebook"], Complaints]] = {}


@dataclass(frozen=True)
class Notebook:
    """A notebook as the rules read it; one whose name begins with 1 is an industry case and keeps to more of them."""

    name: str
    text: str

    @classmethod
    def read(cls, path: Path) -> "Notebook":
        return cls(path.stem, path.read_text(encoding="utf-8"))

    @cached_property
    def content(self) -> dict:
        return json.loads(self.text)

    @cached_property
    def cells(self) -> list[dict]:
        return self.content["cells"]

    @cached_property
    def code(self) -> list[dict]:
        return [c for c in self.cells if c["cell_type"] == "code" and source(c).strip()]

    @cached_property
    def prose(self) -> list[dict]:
        return [c for c in self.cells if c["cell_type"] == "markdown"]

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        """(level, text) of every heading; a number may be followed by a dot or a colon."""
        found = (m for c in self.prose for m in re.finditer(r"^(#+)\s+(.+?)\s*$", without_code(source(c)), re.M))
        return [(len(m[1]), re.sub(r"^(\d)[.:]", r"\1", m[2])) for m in found]

    @cached_property
    def defaults(self) -> dict:
        """The parameters, as far as they are plain values."""
        tagged = [c for c in self.code if "parameters" in c["metadata"].get("tags", ())]
        nodes = [n for c in tagged for n in parsed(c).body if isinstance(n, ast.Assign)]
        return {ast.unparse(n.targets[0]): n.value.value for n in nodes if isinstance(n.value, ast.Constant)}

    @property
    def smoke(self) -> dict | None:
        """Parameters of the short run that shows that every cell runs, from the metadata."""
        return self.content["metadata"].get("sslbook", {}).get("smoke")

    @property
    def has_own_generator(self) -> bool:
        """Whether the page studies simulated data that stand in for no real set, and says so in its records."""
        return any(r["source"] == "simulated" and r["dataset"] not in catalog() for c in self.code for r in recorded(c))

    @property
    def is_case(self) -> bool:
        return self.name.startswith("1")


def source(cell: dict) -> str:
    return "".join(cell["source"])


def where(cell: dict) -> str:
    return f"cell {cell.get('id', '?')}"


def without_code(markdown: str) -> str:
    """Markdown without fenced code, inline code, formulas and addresses."""
    return re.sub(r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]+\$|https?://\S+", " ", markdown, flags=re.S)


def output_text(cell: dict) -> str:
    """All that a cell puts out except pictures."""
    parts = []
    for output in cell.get("outputs", ()):
        data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
        parts.append(json.dumps({**output, "data": data}, ensure_ascii=False))
    return "\n".join(parts)


def recorded(cell: dict) -> list[dict]:
    """The records that a cell puts out."""
    return [o["data"][MIME] for o in cell["outputs"] if MIME in o.get("data", ())]


def parsed(cell: dict) -> ast.Module:
    try:
        return ast.parse(source(cell))
    except SyntaxError:
        return ast.Module([], [])


def rule(function: Callable[[Notebook], Complaints]) -> Callable[[Notebook], Complaints]:
    RULES[function.__name__] = function
    return function


# ---------------------------------------------------------------------------------------------- shape of the page


@rule
def headings(book: Notebook) -> Complaints:
    levels = [level for level, _ in book.headings]
    if levels.count(1) != 1 or levels[0] != 1 or not source(book.cells[0]).startswith("# "):
        yield "the first cell begins with the one `#` title, and no other heading has that level"
    for (before, _), (level, text) in zip(book.headings, book.headings[1:], strict=False):
        if level > before + 1:
            yield f"heading '{text}' skips a level"


@rule
def sections(book: Notebook) -> Complaints:
    if not book.is_case:
        return
    found = [text for level, text in book.headings if level == 2]
    found = found[found.index(SECTIONS[0]) :] if SECTIONS[0] in found else found
    if found != list(SECTIONS):
        yield f"the `##` headings from step 1 on are {found}, and should be {list(SECTIONS)}"


@rule
def opening(book: Notebook) -> Complaints:
    if not book.is_case:
        return
    first = source(book.cells[0])
    aims = _points(first)
    if not 3 <= aims <= 5:
        yield f"the opening lists {aims} things the reader will be able to do, and should list 3 to 5"
    if not re.search(r"^\|.*T4.*\|", first, re.M) or not re.search(r"(?i)you need|prerequisites", first):
        yield "the opening says what you need, and has a time table with a column for a T4"
    recap = [source(c) for c in book.prose if source(c).startswith("## Recap")]
    if recap and _points(recap[0]) != aims:
        yield f"the recap has {_points(recap[0])} points, and should mirror the {aims} of the opening"


def _points(markdown: str) -> int:
    return len(re.findall(r"^(?:\d+\.|[-*]) ", markdown, re.M))


@rule
def lengths(book: Notebook) -> Complaints:
    lines = {where(c): sum(bool(line.strip()) for line in source(c).splitlines()) for c in book.code}
    yield from (f"{cell} has {n} lines, and should have at most 40" for cell, n in lines.items() if n > 40)
    if lines and median(lines.values()) > 8:
        yield f"the median code cell has {median(lines.values())} lines, and should have at most 8"
    if len(book.text.encode()) > 1_000_000:
        yield f"the file has {len(book.text.encode()) / 1e6:.2f} MB, and should have at most 1"
    words = sum(len(source(c).split()) for c in book.prose)
    if book.is_case and not 2000 <= words <= 3500:
        yield f"the page has {words} words, and should have 2000 to 3500"
    if book.is_case and not 30 <= len(book.code) <= 55:
        yield f"the page has {len(book.code)} code cells, and should have 30 to 55"


@rule
def figures_are_read(book: Notebook) -> Complaints:
    for cell, after in zip(book.cells, [*book.cells[1:], None], strict=True):
        drawn = any(key.startswith("image/") for o in cell.get("outputs", ()) for key in o.get("data", ()))
        sentence = after and after["cell_type"] == "markdown" and re.search(r"^(?!#)\S", source(after), re.M)
        if drawn and not sentence:
            yield f"the figure of {where(cell)} is not followed by a sentence that reads it"


# ------------------------------------------------------------------------------------------------ what the code is


@rule
def plain_python(book: Notebook) -> Complaints:
    for cell in book.code:
        try:
            ast.parse(source(cell))
        except SyntaxError as error:
            yield f"{where(cell)} is not plain Python ({error.msg}); failing shell lines and magics pass unseen"


@rule
def setup(book: Notebook) -> Complaints:
    guards = [n for c in book.code for n in ast.walk(parsed(c)) if isinstance(n, ast.Try)]
    if not any("import sslbook" in ast.unparse(n) and "raise SystemExit" in ast.unparse(n) for n in guards):
        yield "no cell says what to do when sslbook is missing (try: import sslbook ... raise SystemExit)"


@rule
def parameters(book: Notebook) -> Complaints:
    tagged = [c for c in book.code if "parameters" in c["metadata"].get("tags", ())]
    if len(tagged) != 1:
        yield f"{len(tagged)} cells are tagged `parameters`, and should be one"
        return
    names = []
    for node in parsed(tagged[0]).body:
        line = ast.unparse(node)
        if not isinstance(node, ast.Assign) or not re.fullmatch(r"[A-Z][A-Z0-9_]*", ast.unparse(node.targets[0])):
            yield f"parameter line `{line}` is not NAME = value, upper case"
            continue
        names.append(ast.unparse(node.targets[0]))
        try:
            value = ast.literal_eval(node.value)
        except ValueError:
            value = object()
        if not isinstance(value, bool | int | float | str | None):
            yield f"parameter line `{line}` is not a plain scalar"
    later = book.code[book.code.index(tagged[0]) + 1 :]
    read = {n.id for c in later for n in ast.walk(parsed(c)) if isinstance(n, ast.Name)}
    yield from (f"parameter {name} is never used" for name in names if name not in read)


@rule
def smoke(book: Notebook) -> Complaints:
    if not book.smoke:
        if book.is_case or book.smoke is not None:
            yield "the metadata list no small repeats: sslbook.smoke, as in {'EPOCHS': 2}"
        return
    for name, value in book.smoke.items():
        if name not in book.defaults:
            yield f"sslbook.smoke sets {name}, which is no parameter"
        elif type(value) is not type(book.defaults[name]):
            yield f"sslbook.smoke sets {name} to {value!r}, and its default is {book.defaults[name]!r}: another type"


@rule
def tags(book: Notebook) -> Complaints:
    for cell in book.cells:
        for tag in set(cell["metadata"].get("tags", ())) - TAGS:
            yield f"{where(cell)} has the tag {tag!r}; known are {sorted(TAGS)}"
        if cell["cell_type"] == "code" and re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)_", source(cell)):
            yield f"{where(cell)} has an nbval marker in a comment"


@rule
def asserts(book: Notebook) -> Complaints:
    found = sum(any(isinstance(n, ast.Assert) for n in ast.walk(parsed(c))) for c in book.code)
    least = 4 if book.is_case else 2
    if found < least:
        yield f"{found} cells hold an assert, and at least {least} should: a cell that only runs proves little"


@rule
def ids(book: Notebook) -> Complaints:
    found = [c.get("id") for c in book.cells]
    version = (book.content["nbformat"], book.content["nbformat_minor"])
    if not all(found) or len(set(found)) < len(found) or version < (4, 5):
        yield "every cell has its own id (notebook format 4.5)"


# ------------------------------------------------------------------------------------------- what stands under it


@rule
def outputs(book: Notebook) -> Complaints:
    counts = [c.get("execution_count") for c in book.code]
    if counts != list(range(1, len(counts) + 1)):
        yield "the code cells were not all run, once, from top to bottom in a fresh kernel"
    for cell in book.code:
        text = output_text(cell)
        for output in cell["outputs"]:
            if output["output_type"] == "error" or output.get("name") == "stderr":
                yield f"{where(cell)} is committed with an error or with output to stderr"
        if "Warning" in text:
            yield f"{where(cell)} is committed with a warning"
        said = "SIMULATED" in text and (not book.has_own_generator or "SIMULATED DATA instead of" in text)
        if said or any(r["source"] == "simulated" and r["dataset"] in catalog() for r in recorded(cell)):
            yield f"{where(cell)} is committed with outputs from a stand-in for real data"


@rule
def records(book: Notebook) -> Complaints:
    found = [r for c in book.code for r in recorded(c)]
    keys = [(r["dataset"], r["name"]) for r in found]
    if "seconds/chapter" not in [name for _, name in keys]:
        yield "no record seconds/chapter"
    yield from (f"record {name} of {data} is given twice" for data, name in set(keys) if keys.count((data, name)) > 1)


METRIC = (
    r"(?:\b(?:auc|auroc|accurac|sensitivit|specificit|precision|recall|average precision|ndcg|hit rate|f1|m?iou|dice|"
    r"error|reduction|lift|rankme)\w*)"
)
NUMBER = r"(?<![\w.,])(?:0?\.\d{2,}|\d{1,3}(?:\.\d+)?\s?%)"
TYPED = re.compile(
    rf"{METRIC}[^.\n]{{0,40}}?{NUMBER}|{NUMBER}[^.\n]{{0,25}}?{METRIC}|sav\w+ (?:about |at least )?\d[\d,]* labels",
    re.I,
)
DEFINED = re.compile(
    r"95\s?% (?:\w+ )?intervals?|\bat (?:least )?\d+\s?% (?:sensitivity|specificity)|\d+\s?% of (?:the |all )?labels",
    re.I,
)


@rule
def typed_numbers(book: Notebook) -> Complaints:
    """A metric's name and a measured-looking number in one sentence of prose."""
    for cell in book.prose:
        text = re.sub(r"(?<!\n)\n(?![\n|#*-])", " ", DEFINED.sub(" ", without_code(source(cell))))
        yield from (f"{where(cell)} types a number that code should print: «{m[0]}»" for m in TYPED.finditer(text))


PLACE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|tmp|opt|mnt|var/folders)/\w|[A-Za-z]:\\+Users", re.I)


@rule
def machine_paths(book: Notebook) -> Complaints:
    for cell in book.cells:
        if found := PLACE.search(source(cell) + "\n" + output_text(cell) + json.dumps(cell["metadata"])):
            yield f"{where(cell)} holds a path of one machine, {found[0]}..."
    if PLACE.search(json.dumps(book.content["metadata"])):
        yield "the notebook's metadata hold a path of one machine"


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        for name, check in RULES.items():
            for complaint in check(Notebook.read(path)):
                print(f"{path.name}: {name}: {complaint}")
