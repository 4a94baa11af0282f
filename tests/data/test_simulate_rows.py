"""The stand-ins of tables: schema, rates, switches, and how hard they are for logistic regression."""

import time

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslbook import data
from sslbook.data.simulate_rows import COMPONENTS, LEGITIMATE, TABLES, creditcard_table

from .conftest import refuses


def average_precision(payments):
    """Return the weighted test average precision of logistic regression with all labels."""
    train, test = payments.train, payments.test
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(train.numeric, train.labels)
    scores = model.decision_function(test.numeric)
    return average_precision_score(test.labels, scores, sample_weight=test.weights)


def columns(split, categories):
    """Return numbers and one-hot categories, missing values at 0."""
    hot = [np.eye(len(values) + 1)[codes] for values, codes in zip(categories, split.categorical.T, strict=True)]
    return np.hstack([np.nan_to_num(split.numeric), *hot])


def claims_auc(model, **knobs):
    claims = data.Transactions.from_frame(
        data.simulate_claims(**knobs), "claim_date", label="fraud", entity="policy", validation=0, test=0.4
    )
    train, test = (columns(part.labelled, claims.categories) for part in (claims.train, claims.test))
    model.fit(train, claims.train.labelled.labels)
    return roc_auc_score(claims.test.labelled.labels, model.predict_proba(test)[:, 1])


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))


@pytest.mark.parametrize("draw", [TABLES["creditcard"], TABLES["claims"]])
def test_same_seed_same_rows(draw):
    first, again, other = (draw(1000, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


class TestCreditcard:
    def test_schema_of_the_official_file(self):
        table = creditcard_table()
        assert list(table) == ["Time", *COMPONENTS, "Amount", "Class"]
        assert len(table) == 16_000
        assert table["Time"].is_monotonic_increasing
        assert 0 <= table["Time"].min() and 170_000 < table["Time"].max() < 2 * 86_400
        assert table["Class"].mean() == pytest.approx(0.031, abs=1e-3)
        assert (table["Amount"] == table["Amount"].round(2)).all() and (table["Amount"] >= 0).all()
        assert not table.duplicated().any()
        assert not table.isna().any(axis=None)

    def test_container(self):
        payments = data.simulate_creditcard()
        assert (payments.name, payments.source, payments.delay) == ("creditcard", "simulated", 3600)
        counts = payments.counts()
        assert counts.loc["test", "rows"] == 6400
        assert counts.loc["validation", "rows"] == counts.loc["removed", "rows"] == 0
        assert (counts.loc[["train", "test"], "findings"] > 100).all()
        assert set(payments.everything.weights) == {1, LEGITIMATE}
        assert payments.everything.weights[payments.everything.labels == 1].max() == 1
        assert "SIMULATED" in payments._repr_html_()

    def test_components_of_honest_rows_are_uncorrelated(self):
        table = creditcard_table()
        honest = table.loc[table["Class"] == 0, COMPONENTS]
        correlation = np.corrcoef(honest.T)
        assert np.abs(correlation - np.eye(28)).max() < 0.05
        assert honest.std().iloc[[0, 27]].tolist() == pytest.approx([1.94, 0.32], abs=0.03)
        assert honest.kurt().median() > 1

    def test_as_hard_as_the_real_ones(self):
        scores = [average_precision(data.simulate_creditcard(seed=seed)) for seed in range(4)]
        assert all(0.5 < score < 0.9 for score in scores)
        assert 0.65 < np.mean(scores) < 0.8

    def test_difficulty_moves_frauds_only(self):
        scores = [average_precision(data.simulate_creditcard(difficulty=d)) for d in (0.5, 1, 2, 1000)]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] < 0.02
        easy, hard = (creditcard_table(difficulty=d) for d in (1, 3))
        honest = easy["Class"] == 0
        pd.testing.assert_frame_equal(easy[honest], hard[honest])
        assert not (easy.loc[~honest, "V14"] == hard.loc[~honest, "V14"]).any()

    def test_nuisance_makes_tails(self):
        tails = [creditcard_table(nuisance=x).query("Class == 0")[COMPONENTS].kurt().median() for x in (0, 1, 2)]
        assert tails == sorted(tails)
        assert tails[0] < 1

    def test_drawing_takes_about_a_second(self):
        start = time.process_time()
        data.simulate_creditcard()
        assert time.process_time() - start < 3

    @pytest.mark.parametrize("knobs", [{"n": 999}, {"difficulty": 0}, {"nuisance": -1}])
    def test_silly_knobs(self, knobs):
        with refuses(next(iter(knobs))):
            data.simulate_creditcard(**knobs)


class TestClaims:
    def test_schema(self):
        claims = data.simulate_claims()
        assert (
            list(claims)
            == (
                "claim_date policy amount days_since_policy_start age vehicle_age previous_claims region garage "
                "claim_type channel police_report fraud"
            ).split()
        )
        assert len(claims) == 6000
        assert claims["claim_date"].is_monotonic_increasing
        assert 500 < (claims["claim_date"].max() - claims["claim_date"].min()).days < 550
        assert claims["policy"].duplicated().any()
        assert 35 <= claims["garage"].nunique() <= 40
        assert set(claims["fraud"].dropna()) == set(claims["police_report"].dropna()) == {"yes", "no"}
        assert (claims["days_since_policy_start"] >= 0).all()

    @pytest.mark.parametrize("signal", [True, False])
    def test_rates(self, signal):
        claims = data.simulate_claims(seed=1, signal=signal)
        assert (claims["fraud"].dropna() == "yes").mean() == pytest.approx(0.06, abs=0.015)
        assert claims["fraud"].isna().mean() == pytest.approx(0.3, abs=0.03)
        for column in ("age", "vehicle_age", "garage", "police_report"):
            assert 0.01 < claims[column].isna().mean() < 0.25
        assert claims.drop(columns=["age", "vehicle_age", "garage", "police_report", "fraud"]).notna().all(axis=None)

    def test_one_policy_one_holder(self):
        by_policy = data.simulate_claims().groupby("policy")
        for column in ("age", "vehicle_age", "region"):
            assert (by_policy[column].nunique() <= 1).all()

    def test_nothing_is_refused_and_nothing_leaks(self, recwarn):
        claims = data.Transactions.from_frame(
            data.simulate_claims(), "claim_date", label="fraud", entity="policy", delay="30D"
        )
        assert len(recwarn) == 0
        assert len(claims.removed) > 10
        assert claims.numeric_names == ("amount", "days_since_policy_start", "age", "vehicle_age")
        assert claims.categorical_names[1:] == ("region", "garage", "claim_type", "channel", "police_report")

    def test_fraud_lies_in_what_comes_together(self):
        line = np.mean([claims_auc(logistic(), seed=seed) for seed in range(3)])
        trees = np.mean([claims_auc(HistGradientBoostingClassifier(max_iter=60), seed=seed) for seed in range(3)])
        assert 0.65 < line < 0.9
        assert trees > line + 0.02

    def test_without_signal_nothing_can_be_learnt(self):
        scores = [claims_auc(logistic(), seed=seed, signal=False) for seed in range(4)]
        assert np.mean(scores) == pytest.approx(0.5, abs=0.06)

    def test_signal_changes_the_label_only(self):
        on, off = (data.simulate_claims(signal=signal).drop(columns="fraud") for signal in (True, False))
        pd.testing.assert_frame_equal(on, off)

    def test_too_few(self):
        with refuses("n is 100", "200"):
            data.simulate_claims(100)
