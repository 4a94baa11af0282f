"""Simulated borrowers: what is drawn, and that the label is in it."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslbook.domains import credit
from sslbook.metrics.classification import roc_auc
from sslbook.worlds.credit import simulate_credit_default
from tests.conftest import refuses


def auc(people, columns=None):
    x, train = credit.features(people.inputs), people.split == "train"
    x = x if columns is None else x[columns]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x[train], people.labels[train])
    return roc_auc(people.labels[~train], model.predict_proba(x[~train]))


def test_the_same_seed_draws_the_same():
    one, two, other = (simulate_credit_default(1000, seed) for seed in (3, 3, 4))
    assert one.inputs.equals(two.inputs) and (one.labels == two.labels).all()
    assert not one.inputs.equals(other.inputs)


def test_borrowers_look_like_the_real_ones():
    people = simulate_credit_default()
    assert people.labels.mean() == pytest.approx(0.22, abs=0.015)
    assert set(np.unique(people.inputs["pay_0"])) <= set(range(-2, 9))
    assert (people.inputs["limit_bal"].between(10_000, 1_000_000)).all()
    assert (people.inputs[[f"pay_amt{m}" for m in range(1, 7)]] >= 0).all(axis=None)
    assert people.audit["age"].between(21, 79).all()


def test_the_label_is_in_the_history_and_can_be_taken_out():
    assert 0.72 < auc(simulate_credit_default()) < 0.80
    assert auc(simulate_credit_default(), ["pay_0_behind"]) < 0.72, "not in one column"
    assert auc(simulate_credit_default(difficulty=4)) < 0.66
    noise = [auc(simulate_credit_default(6000, seed, signal=False)) for seed in range(3)]
    assert np.mean(noise) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("knobs", [{"n": 999}, {"difficulty": 0}, {"difficulty": float("nan")}])
def test_impossible_knobs_are_refused(knobs):
    with refuses("draw at least 1,000 borrowers"):
        simulate_credit_default(**knobs)
