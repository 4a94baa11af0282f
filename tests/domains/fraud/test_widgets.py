"""The slider over the reviews a day, without a browser."""

from unittest import mock

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sslbook.domains.fraud.alerts import rank_card_days
from sslbook.domains.fraud.widgets import alert_budget_slider, alert_report


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def queue(n: int = 300) -> dict[str, np.ndarray]:
    """Three days of single payments of 50 euros each, in perfect order: ten frauds a day, then the others."""
    rank = np.arange(n) // 3
    return {
        "labels": (rank < 10).astype(int),
        "scores": 1 - rank / n,
        "amounts": np.full(n, 50.0),
        "days": np.arange(n) % 3,
    }


def test_alert_report_says_and_draws_what_the_reviews_bring(capsys):
    figure = alert_report(rank_card_days(**queue()), reviews=30, cost_per_review=5, title="SIMULATED: alerts")
    assert capsys.readouterr().out.strip() == (
        "30 reviews a day find 10.0 fraudulent cards and raise 20.0 false alarms; they save EUR 350 a day. "
        "Of 8 numbers tried, 10 save most: EUR 450."
    )
    left, right = figure.axes
    found, alarms = (dict(zip(*line.get_data(), strict=True)) for line in left.lines[:2])
    saved = dict(zip(*right.lines[0].get_data(), strict=True))
    assert (found[5], found[10], found[100], alarms[10], alarms[100]) == pytest.approx((5, 10, 10, 0, 90))
    assert (saved[1], saved[10], saved[100]) == pytest.approx((45, 450, 0))
    assert figure.get_suptitle() == "SIMULATED: alerts"
    assert all(ax.get_title(loc="left") or ax.get_title() for ax in figure.axes)
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in figure.axes)


def test_alert_report_of_a_thinned_test_counts_what_the_payments_stand_for(capsys):
    case = queue()
    weights = np.where(case["labels"] == 1, 1.0, 20.0)
    figure = alert_report(rank_card_days(**case), 110, 5, weights, currency="USD")
    assert "find 10.0 fraudulent cards and raise 100.0 false alarms; they save USD -50" in capsys.readouterr().out
    assert figure.axes[0].lines[0].get_xdata()[-1] == 10 + 90 * 20, "up to the cards of the busiest day"


def test_alert_budget_slider_reports_the_chosen_number_of_reviews(shown):
    alert_budget_slider(**queue(), cost_per_review=5)
    slider = shown.controls["reviews a day"]
    assert tuple(slider.options) == (1, 2, 5, 10, 20, 50, 100)
    assert f"{slider.value} reviews a day" in shown.outputs["text/plain"]
    assert "image/png" in shown.outputs
    asked, report = [], alert_report
    with mock.patch(
        "sslbook.domains.fraud.widgets.alert_report", side_effect=lambda *a: asked.append(a[1]) or report(*a)
    ):
        slider.value = 50
    assert asked == [50] and plt.get_fignums() == []
