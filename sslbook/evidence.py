"""The full study of a chapter: run it, keep what it found, and hold another run of the same notebook against it."""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

import sslbook
from sslbook.report import VARIANCE, VERDICT, beside_records, records_in

FLOOR = 0.01  # of a score: what another processor may change (other orders of adding, other paths of an optimiser)
ONE_SEED = 0.05  # the same where one seed was run: to a training another processor is another seed, of unknown effect
ON_CLUSTER = """import joblib
from distributed import Client

client = Client({address!r})
joblib.parallel_config("dask")
client"""


def place(notebook: str | Path) -> Path:
    """File with the evidence of a notebook: ``evidence/NN.json`` beside it."""
    path = Path(notebook)
    return path.parent / "evidence" / f"{path.stem.partition('_')[0]}.json"


def load(notebook: str | Path) -> dict[str, Any] | None:
    """What the full study of a chapter found, None where it has not been run or its file is not at hand.

    Returns
    -------
    dict with ``records``, and beside them ``parameters``, ``repeats`` and ``variance`` (both by name of the record),
    ``verdicts`` (sentences by name of the record), ``package``, ``date``, ``processor``, ``seconds``.
    """
    path = place(notebook)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def run(notebook: str | Path, store: str | Path, cluster: str = "") -> Path:
    """Execute a notebook with the repeats that its metadata lists under ``sslbook.evidence``; write its evidence.

    Finished runs of its studies lie in the store, so that a run that was killed goes on where it was.

    Parameters
    ----------
    store : folder.
    cluster : address of a Dask scheduler that shall do the runs; empty for the cores of this machine.

    Raises
    ------
    ValueError
        If the notebook lists no repeats for a full study.
    """
    import nbformat
    import papermill

    notebook, begin = Path(notebook), time.perf_counter()
    repeats = nbformat.read(notebook, 4)["metadata"].get("sslbook", {}).get("evidence")
    if not repeats:
        raise ValueError(f"{notebook} lists no repeats; put the parameters of a full study under sslbook.evidence.")
    os.environ["SSLBOOK_RUNS"] = str(Path(store).absolute())
    with tempfile.TemporaryDirectory() as folder:
        source, done = notebook, Path(folder) / "done.ipynb"
        if cluster:
            source = Path(folder) / notebook.name
            nbformat.write(_on_cluster(nbformat.read(notebook, 4), cluster), source)
        papermill.execute_notebook(source, done, repeats, cwd=notebook.parent, kernel_name="python3")
        found = json.loads(done.read_text(encoding="utf-8"))
    variance = beside_records(found, VARIANCE)
    evidence = {
        "records": records_in(found), "parameters": repeats,
        "repeats": {name: parts.pop("repeats") for name, parts in variance.items()}, "variance": variance,
        "verdicts": beside_records(found, VERDICT), "package": sslbook.__version__, "date": date.today().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores", "seconds": round(time.perf_counter() - begin),
    }  # fmt: skip
    path = place(notebook)
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(evidence, indent=1) + "\n", encoding="utf-8")
    os.replace(partial, path)
    return path


def _on_cluster(notebook: Any, address: str) -> Any:
    """The notebook with a cell behind its parameters that sends all runs to a cluster."""
    from nbformat.v4 import new_code_cell

    at = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ()))
    notebook.cells.insert(at + 1, new_code_cell(ON_CLUSTER.format(address=address)))
    return notebook


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def expected_range(
    evidence: dict[str, Any], name: str, repeats: Sequence[int], at_once: int = 1
) -> tuple[float, float]:
    """Range in which another run of the same notebook must lie, by the variance components of the full study.

    A 95 % prediction interval for the mean of so many other draws and seeds on the same test cases, widened by
    ``FLOOR`` for another processor.

    Parameters
    ----------
    name : of a record that has variance components.
    repeats : draws and seeds of the other run.
    at_once : number of records that are looked at together; all of them lie inside in 95 % of runs (Bonferroni).
    """
    parts, (draws, seeds) = evidence["variance"][name], evidence["repeats"][name]
    value = next(r["value"] for r in evidence["records"] if r["name"] == name)
    variance = sum(
        parts["draws"] / d + parts["seeds"] / s + parts["residual"] / (d * s) for d, s in (repeats, (draws, seeds))
    )
    half = student.ppf(1 - 0.025 / at_once, max(parts["df"], 1)) * np.sqrt(variance) + (
        ONE_SEED if seeds == 1 else FLOOR
    )
    return value - half, value + half


def described(evidence: dict[str, Any]) -> str:
    """The full study with its repeats and its date, in words."""
    repeats = ", ".join(f"{name.replace('_', ' ').lower()}: {n}" for name, n in evidence["parameters"].items())
    return f"the full study ({repeats}; {evidence['date']})"


def answer(notebook: str | Path, names: Sequence[str]) -> str:
    """The verdicts of the full study on these records, named with their budget or without; or where to find them."""
    full = load(notebook)
    if full is None:
        return f"The full study is not at hand here; it lies in notebooks/evidence/{place(notebook).name} of the book."
    found = [said for name in names for key, said in full["verdicts"].items() if name in (key, key.rpartition("@")[0])]
    return "\n".join([f"{described(full).capitalize()} found:", *found])


def curve(evidence: dict[str, Any], name: str) -> dict[int, tuple[float, float, float]]:
    """Value and interval of the records ``name@budget``, by budget."""
    split = ((*r["name"].rpartition("@"), (r["value"], r["low"], r["high"])) for r in evidence["records"])
    return {int(budget): interval for stem, _, budget, interval in split if stem == name}


def beside(verdicts: Mapping[str, object], notebook: str | Path) -> str:
    """Verdicts of this run, each above the same of the full study.

    Parameters
    ----------
    verdicts : of this run, by the name of their record.
    """
    said, lines = (load(notebook) or {"verdicts": {}})["verdicts"], []
    for name, verdict in verdicts.items():
        (compared, _, mine), (other, _, theirs) = (text.partition(": ") for text in (str(verdict), said.get(name, "")))
        lines += [compared, f"   this run        {mine}"]
        lines += [f"   the full study  {'' if other == compared else f'({other}) '}{theirs}"] if theirs else []
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Run the full study of a chapter and write its evidence."""
    parser = argparse.ArgumentParser(prog="python -m sslbook.evidence", description=main.__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--store", type=Path, default=Path("build/evidence"), help="folder of finished runs")
    parser.add_argument("--cluster", default="", help="address of a Dask scheduler")
    print(run(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
