"""What the chapters found, as tables for the README and the start page, and as a JSON file.

``python -m sslbook.results --help`` reads the records of executed notebooks and of their full studies.
"""

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sslbook import evidence
from sslbook.report import Record, records_in, simulated, value_text


def results_table(records: Sequence[Record]) -> str:
    """Markdown tables of records: per data set, methods by budget for every metric, then the single figures.

    Records whose name begins with ``own_`` are left out: they belong to the reader's own data.
    """
    blocks = []
    for dataset in dict.fromkeys(r["dataset"] for r in records):
        mine = [r for r in records if r["dataset"] == dataset and not r["name"].startswith("own_")]
        if not mine:
            continue
        blocks.append(f"**{simulated(mine[0]['source'])}{dataset}**")
        by_metric: dict[str, list[Record]] = {}
        for record in mine:
            by_metric.setdefault(record["name"].split("/")[0], []).append(record)
        curves = {metric: rows for metric, rows in by_metric.items() if len({_budget(r) for r in rows} - {""}) > 1}
        blocks += [_curve_table(metric, rows) for metric, rows in curves.items()]
        single = [r for r in mine if r["name"].split("/")[0] not in curves]
        if single:
            rows = [(_words(r["name"]), value_text(r), r["n"]) for r in single]
            blocks.append(_markdown(["figure", "value [95 % interval]", "runs"], rows))
    return "\n\n".join(blocks)


def _curve_table(metric: str, records: Sequence[Record]) -> str:
    budgets = sorted({_budget(r) for r in records}, key=lambda b: (not b.isdigit(), int(b) if b.isdigit() else 0, b))
    cells = {(r["name"].split("/")[1].split("@")[0], _budget(r)): value_text(r) for r in records}
    methods = dict.fromkeys(method for method, _ in cells)
    head = [_words(metric)] + [_labels(b) for b in budgets]
    return _markdown(head, [[_words(e), *(cells.get((e, b), "") for b in budgets)] for e in methods])


def _markdown(head: Sequence, rows: Iterable[Sequence]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _budget(record: Record) -> str:
    return record["name"].partition("@")[2]


def _words(name: str) -> str:
    what, _, budget = name.partition("@")
    text = what.replace("/", ", ").replace("_", " ")
    return f"{text}, {_labels(budget)}" if budget else text


def _labels(budget: str) -> str:
    return f"{int(budget):,} labels" if budget.isdigit() else budget.replace("_", " ")


def chapters_table(notebooks: Iterable[Path]) -> str:
    """Markdown table of chapters, as their notebooks and full studies say; where only one is at hand, a sentence."""
    rows = []
    for path in sorted(notebooks):
        book = json.loads(path.read_text(encoding="utf-8"))
        records, full = records_in(book), evidence.load(path)
        heading = "".join(book["cells"][0]["source"]).partition("\n")[0].lstrip("# ")
        mine = {r["dataset"]: r["source"] for r in records if not r["name"].startswith("own_")}
        measured_on = ", ".join(f"{d}{' (simulated)' * (source == 'simulated')}" for d, source in mine.items())
        found = full["date"] if full else "not yet"
        rows.append((f"[{path.stem}]({path.name})", heading, measured_on, _chapter_time(records), found))
    if len(rows) < 2:
        return "The other chapters are not in this folder. You find them in the folder `notebooks` of the book."
    return _markdown(["page", "title", "data", "time", "full study"], rows)


def _chapter_time(records: Sequence[Record]) -> str:
    seconds = [r["value"] for r in records if r["name"] == "seconds/chapter"]
    return f"{seconds[0] / 60:.1f} min" if seconds else "not measured"


def refresh_readme(text: str, notebooks: Iterable[Path]) -> str:
    """The README with its results and its chapter times replaced by what the records say.

    Results are those of the full study where there is one, with its verdicts, else those of the committed notebook.
    They stand between ``<!-- results -->`` and ``<!-- end of results -->``; the time of a chapter between
    ``<!-- time NAME -->`` and ``<!-- end -->``.
    """
    results = []
    for path in sorted(notebooks):
        records, full, link = records_in(path), evidence.load(path), f"[{path.stem}](notebooks/{path.name})"
        table = results_table(full["records"] if full else records)
        if table and full:
            said = "\n".join(f"- {sentence}" for sentence in dict.fromkeys(full["verdicts"].values()))
            results.append(f"From {evidence.described(full)} of {link}:\n\n{table}\n\nVerdicts:\n\n{said}")
        elif table:
            results.append(f"From one reading run of {link}:\n\n{table}")
        text = re.sub(rf"(<!-- time {path.stem} -->).*?(<!-- end -->)", rf"\g<1>{_chapter_time(records)}\g<2>", text)
    body = "\n\n".join(results) or "No chapter has recorded results yet."
    begin, end = "<!-- results -->", "<!-- end of results -->"
    if begin not in text or end not in text:
        raise ValueError(f"the README lacks the lines {begin} and {end}; put them where the results table belongs.")
    return f"{text.partition(begin)[0]}{begin}\n{body}\n{end}{text.partition(end)[2]}"


def main(argv: list[str] | None = None) -> None:
    """Collect records of executed notebooks into a JSON file, into the README, or both."""
    parser = argparse.ArgumentParser(prog="python -m sslbook.results", description=main.__doc__)
    parser.add_argument("notebooks", nargs="+", type=Path, help="executed notebooks")
    parser.add_argument("--json", type=Path, help="write the records, by notebook, to this file")
    parser.add_argument("--readme", type=Path, help="rewrite the results and times in this file")
    arguments = parser.parse_args(argv)
    if arguments.json:
        records = {path.stem: records_in(path) for path in arguments.notebooks}
        arguments.json.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    if arguments.readme:
        old = arguments.readme.read_text(encoding="utf-8")
        arguments.readme.write_text(refresh_readme(old, arguments.notebooks), encoding="utf-8")


if __name__ == "__main__":
    main()
