"""Simulated card payments: schema, rates, the four kinds of fraud, every knob, and the switch of the signal."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslbook import data
from sslbook.baselines import card_aggregates
from sslbook.data.cards import CATEGORIES, KINDS, REGIONS, START, WARM_UP

from .conftest import refuses

ROOT = Path(__file__).parents[2]
SMALL = {"n_cards": 200, "days": 60}


def draw(**knobs) -> pd.DataFrame:
    return data.simulate_card_payments(**SMALL | knobs)


def day_of(times: pd.Series) -> pd.Series:
    """Days since the start, with their fraction."""
    return (times - START) / pd.Timedelta("1D")


def fraud_rows(payments: pd.DataFrame) -> pd.DataFrame:
    return payments[payments["fraud"] == 1]


class TestTable:
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
        payments = data.simulate_card_payments(50, 45, prevalence=0.001)
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
            ("n_cards", 49, "at least 50 cards"), ("days", 44, "45 days"), ("prevalence", 0, "prevalence in (0, 0.5]"),
            ("prevalence", 0.51, "prevalence in (0, 0.5]"), ("difficulty", 0, "difficulty above 0"),
            ("difficulty", -1, "difficulty above 0"), ("nuisance", -0.1, "not below 0"),
            ("label_delay", -1, "not below 0"),
        ],
    )  # fmt: skip
    def test_silly_knobs(self, knob, value, said):
        with refuses(f"{knob} ", str(value), said):
            draw(**{knob: value})
        with refuses(said):
            data.simulate_cards(**SMALL | {knob: value})


class TestContainer:
    KNOBS = {"n_cards": 200, "days": 90, "prevalence": 0.4}

    def test_columns_and_card(self):
        payments = data.simulate_cards(**self.KNOBS)
        assert (payments.name, payments.source, payments.start) == ("cards", "simulated", START)
        assert payments.numeric_names == ("amount",)
        assert payments.categorical_names == ("category", "region")
        assert list(payments.everything.details) == ["card", "merchant", "kind", "reported"]
        assert "SIMULATED" in payments._repr_html_()
        assert len(payments.everything) == len(data.simulate_card_payments(**self.KNOBS))
        assert payments.counts().loc["validation", "rows"] == 0

    @pytest.mark.parametrize("label_delay", [3, 7])
    def test_the_gap_is_the_label_delay(self, label_delay):
        payments = data.simulate_cards(**self.KNOBS, label_delay=label_delay)
        assert payments.delay == label_delay * 86_400
        begin = payments.everything.time[np.isin(payments.split, ["test", "removed"])].min()
        assert begin - payments.train.time.max() == pytest.approx(payments.delay, abs=3600)
        known = payments.train.details["reported"][payments.train.labels == 1]
        assert (known <= START + pd.Timedelta(seconds=begin)).all(), "labels of training are known by then"

    def test_cards_known_to_be_compromised_are_not_tested(self):
        payments = data.simulate_cards(**self.KNOBS)
        train, test = payments.train, payments.test
        stolen = np.unique(train.entities[train.labels == 1])
        assert len(stolen) > 10 and not np.isin(test.entities, stolen).any()
        assert np.isin(payments.removed.entities, stolen).all() and len(payments.removed) > 0

    def test_validation_on_demand(self):
        counts = data.simulate_cards(validation=0.2, test=0.2, **self.KNOBS).counts()
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
            payments = data.simulate_cards(n_cards=200, days=90, prevalence=0.5, seed=seed, signal=signal)
            events = payments.everything
            days = data.EntityDays(events.entities, events.days)
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
from sslbook.data.cards import simulate_card_payments
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
