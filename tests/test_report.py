"""Records, the README's tables and the decision memo."""

import json
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from sslbook import report
from sslbook.intervals import spread
from sslbook.metrics import Metric
from sslbook.study import Study
from sslbook.verdict import OUTCOMES, LabelsSaved, Verdict, compare

RECORD = {
    "name": "auc/simclr_probe@47",
    "value": 0.953,
    "low": 0.941,
    "high": 0.964,
    "unit": "",
    "n": 15,
    "source": "real",
    "dataset": "xrays",
}


def recorded(*arguments, source="real", **settings) -> dict:
    """The output of one call of a Recorder."""
    with mock.patch.object(report, "display") as display:
        report.Recorder("xrays", source)(*arguments, **settings)
    assert display.call_args.kwargs == {"raw": True, "metadata": {}}
    return display.call_args.args[0]


def notebook(*records: dict) -> dict:
    outputs = [{"output_type": "display_data", "data": {report.MIME: r}, "metadata": {}} for r in records]
    return {"cells": [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "source": "", "outputs": outputs}]}


def test_a_record_is_data_for_tests_and_a_line_for_readers():
    data = recorded("auc/simclr_probe@47", 0.953, 0.941, 0.964, n=15)
    assert data == {report.MIME: RECORD, "text/plain": "auc/simclr_probe@47 = 0.953 [0.941, 0.964] (n = 15)"}


def test_numbers_are_rounded_to_six_digits_and_survive_json():
    data = recorded("seconds/chapter", np.float32(123.4567891), unit="s")
    assert data[report.MIME]["value"] == 123.457
    assert json.loads(json.dumps(data)) == data
    assert data["text/plain"] == "seconds/chapter = 123 s (n = 1)"


def test_what_a_figure_owes_to_draws_and_seeds_is_kept_beside_its_record():
    found = spread([np.random.default_rng(0).normal(size=(5, 3))], 0.01, 40)
    with mock.patch.object(report, "display") as display:
        report.Recorder("xrays", "real")("auc/probe@47", 0.9, 0.8, 1.0, n=15, spread=found, repeats=(5, 3))
    (data,), settings = display.call_args.args, display.call_args.kwargs
    book = {"cells": [{"outputs": [{"data": data, "metadata": settings["metadata"]}, {"data": {}, "metadata": {}}]}]}
    assert data[report.MIME]["name"] == "auc/probe@47" and "variance" not in str(data)
    kept = report.beside_records(json.loads(json.dumps(book)), report.VARIANCE)
    assert kept["auc/probe@47"].pop("repeats") == [5, 3]
    assert kept == {"auc/probe@47": pytest.approx(found.components)}


def outputs_of(write) -> dict:
    """A notebook with what a call displays."""
    with mock.patch.object(report, "display") as display:
        write(report.Recorder("xrays", "real"))
    calls = [(call.args[0], call.kwargs["metadata"]) for call in display.call_args_list]
    return json.loads(json.dumps({"cells": [{"outputs": [{"data": d, "metadata": m} for d, m in calls]}]}))


def test_the_sentence_of_a_verdict_is_kept_beside_its_record():
    v = Verdict("auc", "a", "b", 47, 0.05, 0.02, 0.08, 0.3, 0.1, 0.5, 5)
    book = outputs_of(lambda record: record.difference("auc_difference/a_vs_best_other@47", v))
    assert report.beside_records(book, report.VERDICT) == {"auc_difference/a_vs_best_other@47": str(v)}
    assert report.beside_records(book, report.VARIANCE) == {}
    saved = LabelsSaved("auc", "a", "b", 47, np.inf, np.inf, -20.0, np.inf, (10, 400))
    book = outputs_of(lambda record: record.saved("labels_saved/a", saved, 5))
    (found,) = report.records_in(book)
    assert [found[key] for key in ("value", "low", "high", "unit", "n")] == [353, -20, 353, "labels", 5]
    assert report.beside_records(book, report.VERDICT) == {"labels_saved/a": str(saved)}


def test_a_simulated_record_says_so():
    assert recorded("auc/a@10", 0.5, source="simulated")["text/plain"].startswith("SIMULATED: ")


@pytest.mark.parametrize("name", ["auc", "AUC/probe@47", "auc/probe@", "auc/a b", "auc/a/b", "auc/a@47 "])
def test_a_name_of_another_form_is_refused(name):
    with pytest.raises(ValueError, match="is not of the form"):
        recorded(name, 0.5)


@pytest.mark.parametrize("numbers", [(np.nan,), (0.5, np.nan, 0.6), (np.inf,), (0.5, 0.4, np.inf)])
def test_a_number_that_is_not_finite_is_refused(numbers):
    with pytest.raises(ValueError, match="not a finite number"):
        recorded("auc/a@10", *numbers)


def test_an_interval_upside_down_and_an_unknown_source_are_refused():
    with pytest.raises(ValueError, match="upside down"):
        recorded("auc/a@10", 0.5, 0.6, 0.4)
    with pytest.raises(ValueError, match="'real' or 'simulated'"):
        report.Recorder("xrays", "fake")


def test_records_are_found_in_a_file_a_notebook_and_a_list_of_outputs(tmp_path):
    book = notebook(RECORD)
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(book))
    outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}, *book["cells"][1]["outputs"]]
    assert report.records_in(path) == report.records_in(book) == report.records_in(outputs) == [RECORD]


# ---------------------------------------------------------------------------------------------------- the memo


N_TEST = 40


def verdict(budget=47, low=0.01, high=0.03, method="probe", versus="rival", **settings) -> Verdict:
    return Verdict("auc", method, versus, budget, (low + high) / 2, low, high, 0.3, 0.1, 0.5, n=5, **settings)


def saved(low=80.0, high=200.0, saved=133.0) -> LabelsSaved:
    return LabelsSaved("auc", "probe", "rival", 47, 47 + saved, saved, low, high, (10, 4708))


def paid_study(scores: dict[str, float], setup: dict[str, float], unit: str = "labels") -> Study:
    """Methods whose test cases differ in the same way, at 47 and 471; a fit takes 36 seconds."""
    pattern = 0.1 * (-1) ** np.arange(N_TEST)
    rows, predictions = [], []
    for name, score in scores.items():
        for budget, draw, seed in np.ndindex(2, 5, 3):
            row = dict(method=name, family="supervised", budget=(47, 471)[budget], draw=draw, seed=seed, auc=score)
            rows.append(row | {"cv_auc": score, "seconds": 36.0, "peak_mb": 10.0})
            predictions.append(score + pattern)
    metrics = {"auc": Metric(per_case=lambda values: values)}
    return Study(pd.DataFrame(rows), predictions, metrics, N_TEST, setup, unit=unit)


def memo(verdicts, savings=(), price=2.0, source="real", scores=None, setup=None, unit="labels"):
    study = paid_study(scores or {"probe": 0.8, "rival": 0.8}, setup or {"probe": 324.0}, unit)
    return report.decision_memo(study, verdicts, savings, price, cost_per_cpu_hour=1.0, source=source)


def test_recommendation_follows_from_the_verdicts():
    assert memo([verdict()]).recommendation == "Pay for probe at 47 labels."
    assert memo([verdict(low=-0.01)]).recommendation == "Not settled: probe at 47 labels (undecided)."
    assert memo([verdict(low=-0.2, high=-0.1)]).recommendation == "Do not pay for probe at 47 labels (loss)."


REASONS = {
    "gain": ({}, "Pay for probe at 47 labels."),
    "loss": ({"low": -0.2, "high": -0.1}, "Do not pay for probe at 47 labels (loss)."),
    "no gain worth having": ({"worth": 0.05}, "Do not pay for probe at 47 labels (no gain worth having)."),
    "undecided": ({"low": -0.01}, "Not settled: probe at 47 labels (undecided)."),
    "too few runs": ({"enough": False}, "Not settled: probe at 47 labels (too few runs)."),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_its_reason(outcome):
    settings, sentence = REASONS[outcome]
    found = verdict(**settings)
    assert found.outcome == outcome and memo([found]).recommendation == sentence
    assert outcome in memo([found])._repr_html_()


def test_what_is_open_is_never_called_not_worth_paying_for():
    for open_one in (verdict(low=-0.01), verdict(enough=False), verdict(low=-0.2, high=-0.1, enough=False)):
        sentence = memo([open_one], [saved(low=-5.0)], price=0.001).recommendation
        assert sentence.startswith("Not settled: probe") and "do not pay" not in sentence.lower()


def test_one_lost_comparison_is_enough_not_to_pay():
    lost = verdict(versus="other", low=-0.03, high=-0.01)
    assert memo([verdict(), lost]).recommendation == "Do not pay for probe at 47 labels (loss)."
    assert memo([verdict(low=-0.01), lost]).recommendation == "Do not pay for probe at 47 labels (loss)."


def test_one_open_comparison_is_enough_to_leave_it_open():
    result = memo([verdict(), verdict(versus="other", low=-0.01)])
    assert result.recommendation == "Not settled: probe at 47 labels (undecided)."


def test_recommendation_names_the_budgets_where_it_pays_and_where_not():
    result = memo([
        verdict(), verdict(budget=471, low=-0.01), verdict(budget=47, method="rival", low=-0.03, high=-0.01),
        verdict(budget=471, method="rival", low=-0.03, high=-0.01),
    ])  # fmt: skip
    assert result.recommendation == (
        "Pay for probe at 47 labels; not settled: probe at 471 labels (undecided); "
        "do not pay for rival at 47, 471 labels (loss)."
    )


def test_a_method_that_a_cheaper_one_beats_is_not_paid_for():
    scores = {"probe": 0.8, "rival": 0.7, "trees": 0.9}
    result = memo([verdict()], [saved()], scores=scores)
    assert result.recommendation == "Do not pay for probe at 47 labels (trees costs less and scores better)."
    dearer = memo([verdict()], [saved()], scores=scores, setup={"probe": 324.0, "trees": 1000.0})
    assert dearer.recommendation == "Pay for probe at 47 labels."
    alike = memo([verdict()], [saved()], scores=scores | {"trees": 0.8})
    assert alike.recommendation == "Pay for probe at 47 labels."
    assert compare(paid_study(scores, {}), "auc", "probe", "trees", 47).outcome == "loss"


def test_labels_cheaper_than_the_compute_are_not_paid_for():
    assert memo([verdict()], [saved()], price=2.0).recommendation.startswith("Pay")
    for cheap in (
        memo([verdict()], [saved()], price=0.001),
        memo([verdict()], [saved(low=-5.0)]),
        memo([verdict()], [saved(low=-np.inf, high=np.inf)]),
    ):
        assert "cost less than the compute" in cheap.recommendation and cheap.recommendation.startswith("Do not pay")


def test_memo_shows_scores_money_and_compute():
    result = memo([verdict()], [saved()])
    page = result._repr_html_()
    half = student.ppf(0.975, N_TEST - 1) * 0.1 * np.sqrt(1 / (N_TEST - 1))
    assert "<th>memory of the process, MB</th>" in page
    assert f"0.800 [{0.8 - half:.3f}, {0.8 + half:.3f}]" in page
    assert "about 133 labels saved [80, 200], worth EUR 160.00 to EUR 400.00, for EUR 0.1000 of compute" in page
    assert result.scores.set_index(["method", "budget"]).loc[("probe", 47), "compute_cost"] == pytest.approx(0.1)


@pytest.mark.parametrize("low", [0.0, -5.0, -np.inf])
def test_a_saving_that_is_not_sure_has_no_price(low):
    result = memo([verdict()], [saved(low=low)])
    (line,) = result.savings
    assert line.endswith("200]: no saving is sure, so it has no price") and "EUR" not in line
    assert "worth EUR" not in result._repr_html_()


def test_a_saving_without_an_upper_end_is_worth_so_much_or_more():
    (line,) = memo([verdict()], [saved(high=np.inf)]).savings
    assert "[80, more than 4,661], worth EUR 160.00 to EUR 9,322.00 or more, for" in line
    (beyond,) = memo([verdict()], [saved(low=np.inf, high=np.inf, saved=np.inf)]).savings
    assert "more than 4,661 labels saved [more than 4,661, more than 4,661], worth EUR 9,322.00" in beyond


def test_a_score_below_every_rival_saves_fewer_than_so_many():
    below = saved(low=-np.inf, high=-5.0, saved=-np.inf)
    page = memo([verdict()], [below])._repr_html_()
    assert "against the curve of rival: fewer than -37 labels saved [fewer than -37, -5]: no saving is sure" in page


def test_the_memo_names_the_unit_of_the_budgets():
    unit = "fraud cards"
    result = memo([verdict(unit=unit)], [replace(saved(low=-5.0), unit=unit)], unit=unit)
    assert result.recommendation == (
        "Do not pay for probe at 47 fraud cards (the fraud cards it surely saves cost less than the compute)."
    )
    page = result._repr_html_()
    assert "<th>fraud cards</th>" in page and "about 133 fraud cards saved" in page and "labels" not in page


def test_a_memo_needs_nothing_from_outside_and_escapes_names():
    page = memo([verdict(versus="<script>")])._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "http" not in page and "src=" not in page and "SIMULATED" not in page


def test_a_simulated_memo_says_so_everywhere():
    result = memo([verdict()], source="simulated")
    assert result.recommendation.startswith("SIMULATED: ") and "SIMULATED: measured on stand-in" in result._repr_html_()
