"""Simulated fraud: schema, rates, kinds of fraud, every knob, and how hard it is for an analyst with labels."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslbook.data.sequences import EntityDays
from sslbook.domains.fraud import card_aggregates
from sslbook.domains.fraud.data import COMPONENTS, LEGITIMATE, Transactions
from sslbook.worlds.fraud import (
    CATEGORIES,
    KINDS,
    REGIONS,
    START,
    WARM_UP,
    creditcard_table,
    simulate_card_payments,
    simulate_cards,
    simulate_claims,
    simulate_creditcard,
)
from tests.conftest import refuses

ROOT = Path(__file__).parents[2]
SMALL = {"n_cards": 200, "days": 60}


def draw(**knobs) -> pd.DataFrame:
    return simulate_card_payments(**SMALL | knobs)


def day_of(times: pd.Series) -> pd.Series:
    """Days since the start, with their fraction."""
    return (times - START) / pd.Timedelta("1D")


def fraud_rows(payments: pd.DataFrame) -> pd.DataFrame:
    return payments[payments["fraud"] == 1]


class TestCardPayments:
    def test_schema(self):
        payments = draw()
        columns = "time card amount category region merchant fraud kind reported"
        assert list(payments) == columns.split()
        assert payments["time"].is_monotonic_increasing
        assert payments["time"].min() >= START and day_of(payments["time"]).max() < 60
        assert (payments["amount"] >= 0.2).all() and (payments["amount"] == payments["amount"].round(2)).all()
        assert tuple(payments["category"].cat.categories) == CATEGORIES
        assert (
            len(payments["region"].cat.categories) == REGIONS + 1 and payments["region"].cat.categories[-1] == "online"
        )
        assert set(payments["fraud"]) == {0, 1}
        assert list(payments["kind"].cat.categories) == ["", *KINDS]
        assert payments.drop(columns="reported").notna().all(axis=None)
        assert sorted(payments["card"].unique()) == list(range(200))
        assert not payments.duplicated().any()

    def test_frauds_have_a_kind_and_a_report_and_others_have_none(self):
        payments = draw()
        fraud = payments["fraud"] == 1
        assert ((payments["kind"] != "") == fraud).all()
        assert (payments["reported"].notna() == fraud).all()

    def test_a_merchant_is_of_one_category_and_one_region(self):
        merchants = draw().groupby("merchant")
        assert (merchants["category"].nunique() == 1).all() and (merchants["region"].nunique() == 1).all()
        assert draw()["merchant"].max() < len(CATEGORIES) * (REGIONS + 1) * 40

    def test_same_seed_same_table(self):
        first, again, other = (draw(seed=seed) for seed in (3, 3, 4))
        pd.testing.assert_frame_equal(first, again)
        assert not first.equals(other)

    def test_about_one_and_a_half_payments_per_card_and_day_to_the_last_day(self):
        payments = draw(days=81)  # not whole weeks
        per_day = day_of(payments["time"]).astype(int).value_counts().sort_index()
        assert 1.2 < per_day.mean() / 200 < 1.8
        for weekday in range(7):
            same = per_day[per_day.index % 7 == weekday]
            assert (abs(same / same.mean() - 1) < 0.25).all()

    def test_habits_last_as_long_as_they_are_lived(self):
        holders = draw(nuisance=0).query("fraud == 0").groupby("card")
        early, late = (holders.apply(lambda p, s=s: set(p["category"][s(day_of(p["time"]))])) for s in (
            lambda day: day < 30, lambda day: day >= 30))  # fmt: skip
        shared = [len(a & b) / len(a | b) for a, b in zip(early, late, strict=True)]
        strangers = [len(a & b) / len(a | b) for a, b in zip(early, np.roll(late, 1), strict=True)]
        assert np.mean(shared) > np.mean(strangers) + 0.2


class TestRates:
    @pytest.mark.parametrize("prevalence", [0.1, 0.2, 0.5])
    def test_share_of_cards_with_a_fraud(self, prevalence):
        payments = draw(prevalence=prevalence)
        assert fraud_rows(payments)["card"].nunique() == pytest.approx(200 * prevalence, abs=1)

    def test_kinds_in_equal_parts_and_one_kind_per_card(self):
        frauds = fraud_rows(draw(prevalence=0.4))
        assert (frauds.groupby("card")["kind"].nunique() == 1).all()
        cards = frauds.groupby("kind", observed=True)["card"].nunique()
        assert set(cards.index) == set(KINDS) and (abs(cards - 20) <= 1).all()

    def test_at_least_one_of_each_kind(self):
        payments = simulate_card_payments(50, 45, prevalence=0.001)
        assert set(fraud_rows(payments)["kind"]) == set(KINDS)

    def test_no_fraud_in_the_first_month(self):
        first = [day_of(fraud_rows(draw(seed=s, n_cards=100, prevalence=0.5))["time"]).min() for s in range(12)]
        assert min(first) >= WARM_UP

    @pytest.mark.parametrize("label_delay", [0, 2, 7.5])
    def test_frauds_are_reported_within_the_label_delay(self, label_delay):
        frauds = fraud_rows(draw(label_delay=label_delay, prevalence=0.4))
        late = (frauds["reported"] - frauds["time"]) / pd.Timedelta("1D")
        assert late.min() >= 0 and late.max() <= label_delay
        assert late.mean() == pytest.approx(label_delay / 2, rel=0.25)

    @pytest.mark.parametrize("seed", range(3))
    def test_without_signal_as_many_labels(self, seed):
        on, off = (draw(seed=seed, prevalence=0.4, signal=signal) for signal in (True, False))
        assert off["fraud"].sum() == pytest.approx(on["fraud"].sum(), rel=0.25)
        assert fraud_rows(off)["card"].nunique() == pytest.approx(fraud_rows(on)["card"].nunique(), rel=0.15)
        assert set(fraud_rows(off)["kind"]) == set(KINDS)
        honest, whole = on.query("fraud == 0"), off
        assert np.array_equal(honest["amount"], whole["amount"]), "no payment is added, and none is changed"


class TestKinds:
    """What each kind of fraud is, on a world with many of them."""

    @pytest.fixture(scope="class")
    @classmethod
    def payments(cls):
        return draw(n_cards=300, prevalence=0.5)

    def test_large_amounts(self, payments):
        frauds = payments[payments["kind"] == "large_amount"]
        assert frauds["amount"].median() > 8 * payments.query("fraud == 0")["amount"].median()
        assert frauds.groupby("card").size().between(1, 4).all()
        assert (frauds.groupby("card")["time"].agg(np.ptp) < pd.Timedelta("1D")).all()

    def test_compromised_merchants_are_known_to_the_card(self, payments):
        for card, frauds in payments[payments["kind"] == "compromised_merchant"].groupby("card"):
            assert frauds["merchant"].nunique() == 1
            begin = frauds["time"].iloc[0]
            known = payments[(payments["card"] == card) & (payments["fraud"] == 0) & (payments["time"] < begin)]
            same = known[known["merchant"] == frauds["merchant"].iloc[0]]
            assert len(same) > 0, "bought there before it charged again"
            assert (begin - same["time"].max()) < pd.Timedelta("12D")

    def test_takeovers_stay_within_the_amounts_of_the_victim(self, payments):
        for card, frauds in payments[payments["kind"] == "takeover"].groupby("card"):
            own = payments.loc[(payments["card"] == card) & (payments["fraud"] == 0), "amount"]
            assert own.min() - 0.01 <= frauds["amount"].min() and frauds["amount"].max() <= own.max() + 0.01
            assert np.ptp(frauds["time"]) < pd.Timedelta("5D")

    def test_takeovers_go_elsewhere(self, payments):
        def share_of_new_merchants(kind: str) -> float:
            new = []
            for card, frauds in payments[payments["kind"] == kind].groupby("card"):
                known = payments.loc[(payments["card"] == card) & (payments["fraud"] == 0), "merchant"]
                new.append((~frauds["merchant"].isin(known)).mean())
            return np.mean(new)

        assert share_of_new_merchants("takeover") > 0.7 > 0.1 > share_of_new_merchants("compromised_merchant")

    def test_slow_tests_are_small_and_online(self, payments):
        frauds = payments[payments["kind"] == "slow_testing"]
        assert (frauds["region"] == "online").all()
        assert set(frauds["category"]) <= {"digital", "online_retail", "transport"}
        assert frauds["amount"].median() < 6
        assert frauds.groupby("card").size().between(1, 8).all() and frauds.groupby("card").size().median() >= 4


class TestKnobs:
    def test_difficulty_changes_the_frauds_only(self):
        easy, hard = (draw(difficulty=difficulty, prevalence=0.4) for difficulty in (0.5, 2))
        honest = [p.query("fraud == 0").drop(columns="kind").reset_index(drop=True) for p in (easy, hard)]
        pd.testing.assert_frame_equal(*honest)
        large = [p.loc[p["kind"] == "large_amount", "amount"].median() for p in (easy, hard)]
        assert large[0] == pytest.approx(90 + 260 / 0.5, rel=0.35) and large[1] == pytest.approx(90 + 130, rel=0.35)
        small = [p.loc[p["kind"] == "slow_testing", "amount"].median() for p in (easy, hard)]
        assert small[0] < small[1]

    def test_without_nuisance_nobody_travels(self):
        def places(payments: pd.DataFrame) -> pd.Series:
            own = payments.query("fraud == 0 and region != 'online'")
            return own.groupby("card")["region"].nunique()

        assert places(draw(nuisance=0)).max() <= 2, "home and work"
        share = (places(draw()) > 2).mean()
        assert 0.2 < share < 0.45
        assert (places(draw(nuisance=2)) > 2).mean() > share + 0.2

    def test_more_cards_and_days_more_payments(self):
        sizes = [len(draw(n_cards=n, days=d)) for n, d in ((100, 60), (200, 60), (200, 120))]
        assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.15)
        assert sizes[2] == pytest.approx(2 * sizes[1], rel=0.1)

    @pytest.mark.parametrize(
        ("knob", "value", "said"),
        [
            ("n_cards", 49, "at least 50 cards"), ("days", 44, "45 days"), ("prevalence", 0, "one in (0, 0.5]"),
            ("prevalence", 0.51, "one in (0, 0.5]"), ("difficulty", 0, "one above 0"),
            ("difficulty", -1, "one above 0"), ("nuisance", -0.1, "not below 0"),
            ("label_delay", -1, "not below 0"),
        ],
    )  # fmt: skip
    def test_silly_knobs(self, knob, value, said):
        with refuses(f"{knob} ", str(value), said):
            draw(**{knob: value})
        with refuses(said):
            simulate_cards(**SMALL | {knob: value})


class TestContainer:
    KNOBS = {"n_cards": 200, "days": 90, "prevalence": 0.4}

    def test_columns_and_data_card(self):
        payments = simulate_cards(**self.KNOBS)
        assert (payments.name, payments.source, payments.start) == ("cards", "simulated", START)
        assert payments.numeric_names == ("amount",)
        assert payments.categorical_names == ("category", "region")
        assert list(payments.everything.details) == ["card", "merchant", "kind", "reported"]
        assert "SIMULATED" in payments._repr_html_()
        assert len(payments.everything) == len(simulate_card_payments(**self.KNOBS))
        assert payments.counts().loc["validation", "rows"] == 0

    @pytest.mark.parametrize("label_delay", [3, 7])
    def test_the_gap_is_the_label_delay(self, label_delay):
        payments = simulate_cards(**self.KNOBS, label_delay=label_delay)
        assert payments.delay == label_delay * 86_400
        begin = payments.everything.time[np.isin(payments.split, ["test", "removed"])].min()
        assert begin - payments.train.time.max() == pytest.approx(payments.delay, abs=3600)
        known = payments.train.details["reported"][payments.train.labels == 1]
        assert (known <= START + pd.Timedelta(seconds=begin)).all(), "labels of training are known by then"

    def test_cards_known_to_be_compromised_are_not_tested(self):
        payments = simulate_cards(**self.KNOBS)
        train, test = payments.train, payments.test
        stolen = np.unique(train.entities[train.labels == 1])
        assert len(stolen) > 10 and not np.isin(test.entities, stolen).any()
        assert np.isin(payments.part("removed").entities, stolen).all() and len(payments.part("removed")) > 0

    def test_validation_on_demand(self):
        counts = simulate_cards(validation=0.2, test=0.2, **self.KNOBS).counts()
        assert counts.loc["validation", "findings"] > 0 and counts.loc["test", "findings"] > 0


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))


def trees():
    return LGBMClassifier(n_estimators=40, num_leaves=8, n_jobs=1, verbosity=-1)


class TestSignal:
    """What an analyst's aggregates find: much where there is a signal, nothing where there is none."""

    @staticmethod
    def worlds(signal: bool, seeds: int) -> list[tuple]:
        """Aggregates of card-days, whether one had a fraud, and which are of training and of test."""
        found = []
        for seed in range(seeds):
            payments = simulate_cards(n_cards=200, days=90, prevalence=0.5, seed=seed, signal=signal)
            events = payments.everything
            days = EntityDays(events.entities, events.days)
            labels, part = days.largest(events.labels), payments.split[days.last]
            found.append((card_aggregates(payments, days), labels, part == "train", part == "test"))
        return found

    @pytest.fixture(scope="class")
    @classmethod
    def with_signal(cls):
        return cls.worlds(True, 2)

    @pytest.fixture(scope="class")
    @classmethod
    def without(cls):
        return cls.worlds(False, 6)

    @staticmethod
    def scores(model, worlds) -> tuple[np.ndarray, np.ndarray]:
        """AUC of each world, and average precision over prevalence."""
        auc, lift = [], []
        for features, labels, train, test in worlds:
            score = model().fit(features[train], labels[train]).predict_proba(features[test])[:, 1]
            auc.append(roc_auc_score(labels[test], score))
            lift.append(average_precision_score(labels[test], score) / labels[test].mean())
        return np.array(auc), np.array(lift)

    @pytest.mark.parametrize("model", [logistic, trees])
    def test_with_signal_much_is_found(self, with_signal, model):
        auc, lift = self.scores(model, with_signal)
        assert (auc > 0.7).all() and auc.mean() > 0.8
        assert (lift > 5).all()

    @pytest.mark.parametrize("model", [logistic, trees])
    def test_without_signal_nothing_is_found(self, without, model):
        auc, lift = self.scores(model, without)
        interval = 2.6 * auc.std(ddof=1) / np.sqrt(len(auc))
        assert abs(auc.mean() - 0.5) < interval < 0.1
        assert lift.mean() == pytest.approx(1, abs=0.35)

    def test_without_signal_no_column_tells_the_label(self, without):
        """Above all not the number of payments, which tells it where every payment has its own label."""
        names = list(without[0][0])
        auc = np.mean([[roc_auc_score(labels[test], features[n][test]) for n in names]
                       for features, labels, _, test in without], axis=0)  # fmt: skip
        assert abs(auc[names.index("count_1")] - 0.5) < 0.04
        assert np.abs(auc - 0.5).max() < 0.08

    def test_labels_of_their_own_for_every_payment_would_be_found(self, without):
        rng = np.random.default_rng(0)
        features, labels, _, _ = without[0]
        count = features["count_1"].to_numpy()
        drawn = labels * (rng.random(len(labels)) < 1 - 0.7**count)
        assert roc_auc_score(drawn, count) > 0.55


MEASURE = """
import resource, sys, time
from sslbook.worlds.fraud import simulate_card_payments
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
simulate_card_payments(n_cards=int(sys.argv[1]))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_5000_cards_take_seconds_and_less_than_a_gigabyte():
    """A fifth of them, in a process of its own, times five."""
    command, environment = [sys.executable, "-c", MEASURE, "1000"], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds, kilobytes = map(float, done.stdout.split())
    assert 5 * seconds < 30
    assert 5 * kilobytes < 1_000_000


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
    claims = Transactions.from_frame(
        simulate_claims(**knobs), "claim_date", label="fraud", entity="policy", validation=0, test=0.4
    )
    train, test = (columns(part.labelled, claims.categories) for part in (claims.train, claims.test))
    model.fit(train, claims.train.labelled.labels)
    return roc_auc_score(claims.test.labelled.labels, model.predict_proba(test)[:, 1])


def regression():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))


@pytest.mark.parametrize("draw", [creditcard_table, simulate_claims])
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
        payments = simulate_creditcard()
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
        scores = [average_precision(simulate_creditcard(seed=seed)) for seed in range(4)]
        assert all(0.5 < score < 0.9 for score in scores)
        assert 0.65 < np.mean(scores) < 0.8

    def test_difficulty_moves_frauds_only(self):
        scores = [average_precision(simulate_creditcard(difficulty=d)) for d in (0.5, 1, 2, 1000)]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] < 0.02
        easy, hard = (creditcard_table(difficulty=d) for d in (1, 3))
        honest = easy["Class"] == 0
        pd.testing.assert_frame_equal(easy[honest], hard[honest])
        assert (easy.loc[~honest, COMPONENTS] != hard.loc[~honest, COMPONENTS]).any(axis=1).all()

    def test_nuisance_makes_tails(self):
        tails = [creditcard_table(nuisance=x).query("Class == 0")[COMPONENTS].kurt().median() for x in (0, 1, 2)]
        assert tails == sorted(tails)
        assert tails[0] < 1

    def test_drawing_takes_about_a_second(self):
        start = time.process_time()
        simulate_creditcard()
        assert time.process_time() - start < 3

    @pytest.mark.parametrize("knobs", [{"n": 999}, {"difficulty": 0}, {"nuisance": -1}])
    def test_silly_knobs(self, knobs):
        with refuses(next(iter(knobs))):
            simulate_creditcard(**knobs)


class TestClaims:
    def test_schema(self):
        claims = simulate_claims()
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
        claims = simulate_claims(seed=1, signal=signal)
        assert (claims["fraud"].dropna() == "yes").mean() == pytest.approx(0.06, abs=0.015)
        assert claims["fraud"].isna().mean() == pytest.approx(0.3, abs=0.03)
        for column in ("age", "vehicle_age", "garage", "police_report"):
            assert 0.01 < claims[column].isna().mean() < 0.25
        assert claims.drop(columns=["age", "vehicle_age", "garage", "police_report", "fraud"]).notna().all(axis=None)

    def test_one_policy_one_holder(self):
        by_policy = simulate_claims().groupby("policy")
        for column in ("age", "vehicle_age", "region"):
            assert (by_policy[column].nunique() <= 1).all()

    def test_nothing_is_refused_and_nothing_leaks(self, recwarn):
        claims = Transactions.from_frame(simulate_claims(), "claim_date", label="fraud", entity="policy", delay="30D")
        assert len(recwarn) == 0
        assert len(claims.part("removed")) > 10
        assert claims.numeric_names == ("amount", "days_since_policy_start", "age", "vehicle_age")
        assert claims.categorical_names[1:] == ("region", "garage", "claim_type", "channel", "police_report")

    def test_fraud_lies_in_what_comes_together(self):
        line = np.mean([claims_auc(regression(), seed=seed) for seed in range(3)])
        trees = np.mean([claims_auc(HistGradientBoostingClassifier(max_iter=60), seed=seed) for seed in range(3)])
        assert 0.65 < line < 0.9
        assert trees > line + 0.02

    def test_without_signal_nothing_can_be_learnt(self):
        scores = [claims_auc(regression(), seed=seed, signal=False) for seed in range(4)]
        assert np.mean(scores) == pytest.approx(0.5, abs=0.06)

    def test_signal_changes_the_label_only(self):
        on, off = (simulate_claims(signal=signal).drop(columns="fraud") for signal in (True, False))
        pd.testing.assert_frame_equal(on, off)

    def test_too_few(self):
        with refuses("n is 100", "200"):
            simulate_claims(100)
