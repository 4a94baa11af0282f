"""Features of an analyst, and what approvals cost, against a loop."""

import numpy as np
import pandas as pd
import pytest

from sslbook.domains import credit
from sslbook.metrics.base import bootstrap_weights
from sslbook.metrics.classification import Prediction, roc_auc
from sslbook.worlds.credit import simulate_credit_default


def case(n: int = 300, seed: int = 0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, n), rng.random(n).round(1), rng.gamma(1, 100, n)


def by_hand(labels, scores, owed, approved):
    """Dollar by dollar: all of a lower score first, of those with one score an equal part of each."""
    room, lost = approved * owed.sum(), 0.0
    for score in np.unique(scores):
        group = scores == score
        part = min(1.0, room / owed[group].sum())
        lost += part * owed[group & (labels == 1)].sum()
        room -= part * owed[group].sum()
    return 100 * lost / owed.sum()


@pytest.mark.parametrize("approved", [0.1, 0.5, 0.8, 1.0])
def test_expected_loss_goes_through_the_scores_dollar_by_dollar(approved):
    labels, scores, owed = case()
    found = credit.expected_loss(labels, scores, owed, approved)
    assert found == pytest.approx(by_hand(labels, scores, owed, approved))
    assert credit.expected_loss(labels, np.stack([1 - scores, scores], 1), owed, approved) == found


def test_expected_loss_in_closed_form():
    labels, owed = np.array([0, 1, 0, 1]), np.array([10.0, 20, 30, 40])
    order = np.array([0.1, 0.2, 0.3, 0.4])
    assert [credit.expected_loss(labels, order, owed, a) for a in (0, 0.1, 0.3, 0.6, 1)] == [0, 0, 20, 20, 60]
    assert credit.expected_loss(labels, order, owed, 0.2) == 10, "half of the second"
    assert credit.expected_loss(labels, np.zeros(4), owed, 0.5) == 30
    assert credit.expected_loss(labels, order, owed * [1, 1, 0, 1], 1) == pytest.approx(600 / 7), "nothing owed"


def test_refusing_large_sums_does_not_pay_by_itself():
    rng = np.random.default_rng(0)
    owed, labels = rng.lognormal(5, 1.5, 20_000), (rng.random(20_000) < 0.2).astype(int)
    assert credit.expected_loss(labels, owed, owed, 0.8) == pytest.approx(0.8 * 20, rel=0.1)


def test_a_borrower_of_weight_two_is_two():
    labels, scores, owed = case()
    weights = bootstrap_weights(300, 5, seed=1)
    found = credit.expected_loss(labels, scores, owed, 0.7, weights)
    for row, value in zip(weights.astype(int), found, strict=True):
        many = np.repeat(np.arange(300), row)
        assert value == pytest.approx(credit.expected_loss(labels[many], scores[many], owed[many], 0.7))


def test_metrics_are_bound_to_their_test():
    labels, scores, owed = case()
    said = Prediction(np.stack([1 - scores, scores], axis=1), (scores > 0.5).astype(int))
    metrics = credit.credit_metrics(labels, owed, 0.8)
    assert metrics["auc"].higher_is_better and not metrics["expected_loss"].higher_is_better
    assert metrics["auc"](said) == pytest.approx(roc_auc(labels, said.scores))
    assert metrics["expected_loss"](said) == pytest.approx(credit.expected_loss(labels, scores, owed, 0.8))


def test_features_are_numbers_and_each_row_is_made_of_itself():
    inputs = simulate_credit_default(1000).inputs
    found = credit.features(inputs)
    assert found.shape == (1000, 65) and np.isfinite(found).all(axis=None)
    alone = pd.concat([credit.features(inputs.iloc[[i]]) for i in (0, 500, 999)])
    assert found.iloc[[0, 500, 999]].equals(alone)


def test_features_of_a_known_borrower():
    inputs = (
        simulate_credit_default(1000)
        .inputs.iloc[:1]
        .assign(limit_bal=1000, education=2, pay_0=2, pay_2=-1, bill_amt1=500, bill_amt2=250, pay_amt1=50)
    )
    (row,) = credit.features(inputs).to_dict("records")
    assert row["log_limit"] == pytest.approx(np.log(1000)) and row["education_2"] == 1 and row["education_1"] == 0
    assert row["pay_0_is_2"] == 1 and row["pay_0_behind"] == 2 and row["pay_2_behind"] == 0 and row["pay_2_is_-1"] == 1
    assert row["bill_amt1_of_limit"] == 0.5 and row["log_bill_amt1"] == pytest.approx(np.log(501))
    assert row["pay_amt1_share"] == 0.2, "what is paid is of the bill of the month before"
