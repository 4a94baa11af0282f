"""What a run leaves behind: records for tests and the README, and the decision memo for whoever pays."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import display

if TYPE_CHECKING:  # reading records needs no torch
    from sslbook.intervals import Spread
    from sslbook.study import Study
    from sslbook.verdict import LabelsSaved, Verdict


MIME = "application/vnd.sslbook.record+json"
VARIANCE, VERDICT = "sslbook.variance", "sslbook.verdict"  # in the metadata of an output with a record


NAME = re.compile(r"[a-z0-9_]+/[a-z0-9_]+(@[0-9a-z_]+)?")


Record = dict[str, Any]


@dataclass(frozen=True)
class Recorder:
    """Writes figures of one data set into the output of a cell, where tests and the README find them.

    Attributes
    ----------
    dataset : name of the data set.
    source : "real" or "simulated".
    """

    dataset: str
    source: str

    def __post_init__(self) -> None:
        if self.source not in ("real", "simulated"):
            raise ValueError(f"source is {self.source!r}; give 'real' or 'simulated'.")

    def __call__(
        self, name: str, value: float, low: float | None = None, high: float | None = None, unit: str = "", n: int = 1,
        spread: Spread | None = None, repeats: tuple[int, int] = (1, 1), verdict: Verdict | LabelsSaved | None = None,
    ) -> None:  # fmt: skip
        """Display one record.

        Parameters
        ----------
        name : ``<metric>/<method>@<budget>`` or ``<quantity>/<what>``, lower case, digits and underscores.
        value : the figure, finite.
        low, high : its 95 % interval; None where none applies.
        unit : of the value; empty for a share or a score.
        n : number of runs behind it.
        spread, repeats : variance components of the figure and the draws and seeds it was found with; kept beside the
            record, so that another run can be held against it (see ``sslbook.evidence``).
        verdict : that the figure belongs to; its sentence is kept beside the record.

        Raises
        ------
        ValueError
            If the name has another form, a number is not finite, or the interval is upside down.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"record name {name!r} is not of the form metric/method@budget; use a-z, 0-9 and _.")
        if low is not None and high is not None and low > high:
            raise ValueError(f"record {name}: the interval [{low}, {high}] is upside down; give low before high.")
        value, low, high = (_number(name, x) for x in (value, low, high))
        record = dict(name=name, value=value, low=low, high=high, unit=unit, n=int(n),
                      source=self.source, dataset=self.dataset)  # fmt: skip
        text = f"{simulated(self.source)}{name} = {value_text(record)} (n = {n})"
        beside = {} if spread is None else {VARIANCE: spread.components | {"repeats": list(repeats)}}
        beside |= {} if verdict is None else {VERDICT: str(verdict)}
        display({MIME: record, "text/plain": text}, raw=True, metadata=beside)

    def scores(self, study: Study, metric: str, name: str | None = None, all_from: float = math.inf) -> None:
        """Display a record of the score of every method at every budget of a study.

        Parameters
        ----------
        name : of the records before the @, with ``{}`` for the method; None for ``metric/{}``.
        all_from : budgets from this one on are called "all".
        """
        for (method, budget), runs in study.frame.groupby(["method", "budget"], sort=False):
            repeats = runs["draw"].nunique(), runs["seed"].nunique()
            interval, spread = study.interval(metric, method, budget), study.spread(metric, {method: 1.0}, budget)
            at = budget if budget < all_from else "all"
            self(f"{(name or metric + '/{}').format(method)}@{at}", *interval, "", len(runs), spread, repeats)

    def difference(self, name: str, verdict: Verdict) -> None:
        """Display a record of the difference that a verdict is about."""
        v = verdict
        self(name, v.difference, v.low, v.high, "", v.n, v.spread, v.repeats, v)

    def saved(self, name: str, saved: LabelsSaved, n: int) -> None:
        """Display a record of labels saved, cut off where the curve of the rivals ends."""
        self(name, *map(saved.clipped, (saved.saved, saved.low, saved.high)), saved.unit, n, verdict=saved)


def _number(name: str, number: float | None) -> float | None:
    """A finite Python float of six significant digits."""
    if number is None:
        return None
    if not math.isfinite(number):
        raise ValueError(f"record {name}: {number} is not a finite number; find out why before you record it.")
    return float(f"{number:.6g}")


def records_in(source: str | Path | dict | Iterable[dict]) -> list[Record]:
    """Records in a notebook file, in a notebook as a dictionary, or in a list of cell outputs."""
    if isinstance(source, str | Path):
        source = json.loads(Path(source).read_text(encoding="utf-8"))
    if isinstance(source, dict):
        source = [output for cell in source["cells"] for output in cell.get("outputs", ())]
    return [dict(output["data"][MIME]) for output in source if MIME in output.get("data", ())]


def beside_records(notebook: dict, key: str) -> dict[str, Any]:
    """What stands beside the records of a notebook, by the name of the record.

    Parameters
    ----------
    key : ``VARIANCE`` for variance components, ``VERDICT`` for sentences.
    """
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    kept = [output for output in outputs if key in output.get("metadata", ())]
    return {output["data"][MIME]["name"]: output["metadata"][key] for output in kept}


def value_text(record: Record) -> str:
    """``0.953 [0.941, 0.964] s``."""
    low, high = record["low"], record["high"]
    interval = "" if low is None and high is None else f" [{_text(low)}, {_text(high)}]"
    return f"{_text(record['value'])}{interval} {record['unit']}".rstrip()


def _text(number: float | None) -> str:
    if number is None:
        return "?"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3f}" if abs(number) < 1 else f"{number:.3g}"


def simulated(source: str) -> str:
    return "SIMULATED: " if source == "simulated" else ""


@dataclass(frozen=True)
class DecisionMemo:
    """Scores, money and one sentence, for whoever decides whether to pay.

    Attributes
    ----------
    recommendation : one sentence, computed from the verdicts.
    scores : one row per method and budget: score, low, high, setup_seconds, seconds, peak_mb, compute_cost.
    verdicts, savings : what the recommendation rests on, as sentences.
    metric, currency, source : of the scores, of the money, of the data.
    unit : what a budget counts, in words.
    """

    recommendation: str
    scores: pd.DataFrame
    verdicts: tuple[str, ...]
    savings: tuple[str, ...]
    metric: str
    currency: str
    source: str
    unit: str = "labels"

    def _repr_html_(self) -> str:
        banner = (
            "<p style='background:#b00020;color:white;font-weight:bold;padding:.5em'>SIMULATED: measured on stand-in "
            "data drawn by a generator. Decide nothing on it.</p>"
            if self.source == "simulated"
            else ""
        )
        columns = ["method", "budget", "setup_seconds", "seconds", "peak_mb", "compute_cost"]
        largest = self.scores.loc[self.scores.groupby("method", sort=False)["budget"].idxmax(), columns].rename(
            columns={
                "budget": self.unit,
                "setup_seconds": "CPU-seconds, once",
                "seconds": "CPU-seconds per fit",
                "peak_mb": "memory of the process, MB",
                "compute_cost": f"compute cost, {self.currency}",
            }
        )
        return (
            f"{banner}<h3>Decision memo</h3><p><b>{html.escape(self.recommendation)}</b></p>"
            f"<h4>Score: {html.escape(self.metric)}, mean and 95 % interval, by number of {html.escape(self.unit)}</h4>"
            f"{self._score_table().to_html()}"
            f"<h4>What was compared</h4>{_bullets(self.verdicts)}"
            f"<h4>{html.escape(self.unit.capitalize())} saved</h4>{_bullets(self.savings)}"
            f"<h4>Compute, at the largest number of {html.escape(self.unit)}</h4>"
            f"{largest.to_html(index=False, float_format='{:.3g}'.format)}"
        )

    def _score_table(self) -> pd.DataFrame:
        """Methods by budgets, as text."""
        cells = self.scores.assign(
            cell=[f"{r.score:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in self.scores.itertuples()]
        )
        table = cells.pivot(index="method", columns="budget", values="cell").fillna("")
        return table.reindex(cells["method"].unique()).rename_axis(index=None, columns=None)


def decision_memo(
    study: Study, verdicts: Sequence[Verdict], savings: Sequence[LabelsSaved], cost_per_label: float,
    currency: str = "EUR", cost_per_cpu_hour: float = 0.05, source: str = "real",
) -> DecisionMemo:  # fmt: skip
    """Turn a study and its verdicts into a memo; its budgets count what those of the study do (``Study.unit``).

    A method is recommended at a budget where it gains in every verdict, the labels it surely saves are worth more than
    its compute, and no method that costs less compute scores better. A verdict may well be in money: a metric of the
    study that counts euros at the capacity that binds.

    Parameters
    ----------
    study : the runs; the scores are in the metric of the first verdict.
    verdicts : comparisons of the methods that cost extra with the best of those that would do without, like with like.
    savings : labels saved; the lower end of the interval is what counts as saved.
    cost_per_label, cost_per_cpu_hour : in ``currency``; a label is one unit of the budget.
    source : "real" or "simulated", as the data say.

    Returns
    -------
    DecisionMemo
    """
    metric = verdicts[0].metric
    runs = study.frame.groupby(["method", "budget"], sort=False)[["seconds", "peak_mb"]].mean().reset_index()
    limits = [study.interval(metric, r.method, r.budget) for r in runs.itertuples()]
    scores = runs[["method", "budget"]].join(pd.DataFrame(limits, columns=["score", "low", "high"]))
    scores["setup_seconds"] = scores["method"].map(study.setup_seconds).fillna(0.0)
    scores = scores.join(runs[["seconds", "peak_mb"]])
    scores["compute_cost"] = (scores["setup_seconds"] + scores["seconds"]) / 3600 * cost_per_cpu_hour
    compute = scores.set_index(["method", "budget"])["compute_cost"].to_dict()
    asked = dict.fromkeys((v.method, v.budget) for v in verdicts)
    reasons = {key: _against(study, verdicts, savings, compute, cost_per_label, *key) for key in asked}
    return DecisionMemo(
        recommendation=simulated(source) + _recommend(reasons, verdicts[0].unit), scores=scores,
        verdicts=tuple(map(str, verdicts)),
        savings=tuple(_saving(s, compute[s.method, s.budget], cost_per_label, currency) for s in savings),
        metric=metric, currency=currency, source=source, unit=verdicts[0].unit,
    )  # fmt: skip


def _against(
    study: Study, verdicts: Sequence[Verdict], savings: Sequence[LabelsSaved], compute: dict[tuple[str, int], float],
    price: float, method: str, budget: int,
) -> tuple[str, str]:  # fmt: skip
    """What speaks against paying for a method at a budget: what to do, and why; ("pay for", "") if nothing does."""
    from sslbook.verdict import compare

    mine = [v for v in verdicts if (v.method, v.budget) == (method, budget)]
    outcomes = [v.outcome for v in mine]
    for outcome in ("loss", "no gain worth having", "too few runs", "undecided"):
        if outcome in outcomes:
            return ("do not pay for" if outcome in ("loss", "no gain worth having") else "not settled:", outcome)
    for saved in savings:
        worth = saved.clipped(saved.low) * price
        if (saved.method, saved.budget) == (method, budget) and not worth > compute[method, budget]:
            return "do not pay for", f"the {study.unit} it surely saves cost less than the compute"
    for other in study.methods():
        cheaper = compute.get((other, budget), math.inf) < compute[method, budget]
        if cheaper and compare(study, mine[0].metric, method, other, budget).outcome == "loss":
            return "do not pay for", f"{other} costs less and scores better"
    return "pay for", ""


def _recommend(reasons: dict[tuple[str, int], tuple[str, str]], unit: str) -> str:
    """One sentence: methods and budgets to pay for, those that are not settled, those not to pay for, and why."""
    grouped: dict[tuple[str, str, str], list[int]] = {}
    for (method, budget), (what, why) in sorted(reasons.items(), key=lambda item: item[0][1]):
        grouped.setdefault((what, method, why), []).append(budget)
    first = {"pay for": 0, "not settled:": 1, "do not pay for": 2}
    parts = [
        f"{what} {method} at {', '.join(f'{b:,}' for b in budgets)} {unit}{f' ({why})' if why else ''}"
        for (what, method, why), budgets in sorted(grouped.items(), key=lambda item: first[item[0][0]])
    ]
    sentence = "; ".join(parts) + "."
    return sentence[0].upper() + sentence[1:]


def _saving(saved: LabelsSaved, compute: float, price: float, currency: str) -> str:
    """Labels saved in money; no amount where the interval reaches 0."""
    if not (saved.low > 0 and saved.enough):
        return f"{saved}: no saving is sure, so it has no price"
    low, high = (f"{currency} {saved.clipped(s) * price:,.2f}" for s in (saved.low, saved.high))
    more = " or more" if math.isinf(saved.high) else ""
    return f"{saved}, worth {low} to {high}{more}, for {currency} {compute:,.4f} of compute"


def _bullets(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>" if lines else "<p>none</p>"
