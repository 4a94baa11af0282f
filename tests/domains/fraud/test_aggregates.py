"""What an analyst computes by hand, against loops over the payments of a card."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sslbook.baselines import boosted_trees
from sslbook.data.sequences import EntityDays, time_since_last
from sslbook.domains.fraud.aggregates import card_aggregates, rarity
from sslbook.domains.fraud.data import Transactions
from sslbook.metrics.classification import average_precision, roc_auc
from sslbook.worlds.fraud import simulate_cards


@pytest.fixture(scope="module")
def payments() -> Transactions:
    """No label, so that the table may be cut anywhere."""
    table = simulate_cards(n_cards=100, days=80, prevalence=0.5, difficulty=0.5, test=0.25)
    return replace(table, everything=replace(table.everything, labels=np.full(len(table.everything), -1)))


def aggregates_of(table: Transactions) -> pd.DataFrame:
    """Aggregates, with card and day as the index."""
    days = EntityDays(table.everything.entities, table.everything.days)
    columns = card_aggregates(table, days)
    assert len(columns) == len(days)
    return columns.set_index(pd.MultiIndex.from_arrays([days.entity, days.day]))


@pytest.fixture(scope="module")
def aggregates(payments) -> pd.DataFrame:
    return aggregates_of(payments)


def test_aggregates_are_numbers_for_every_card_and_day(payments, aggregates):
    events = payments.everything
    assert set(aggregates.index) == set(zip(events.entities, events.days, strict=True)) and aggregates.index.is_unique
    assert (aggregates.dtypes == np.float32).all()
    assert np.isfinite(aggregates).all(axis=None)
    assert (aggregates.std() > 0).all(), "no column is constant"
    assert not aggregates.columns.duplicated().any()


def test_later_payments_change_no_aggregate_of_earlier_days(payments, aggregates):
    events, early = payments.everything, aggregates[aggregates.index.get_level_values(1) < 55]
    before = events.days < 55
    cut = replace(payments, everything=events.subset(before), split=payments.split[before])
    pd.testing.assert_frame_equal(aggregates_of(cut), early, check_exact=True)
    rng = np.random.default_rng(0)

    def after(now: np.ndarray, other: np.ndarray) -> np.ndarray:
        return np.where(before.reshape(-1, *[1] * (now.ndim - 1)), now, other)

    merchant = after(events.details["merchant"].to_numpy(), rng.integers(10**6, 10**7, len(events)))
    changed = replace(
        events, numeric=after(events.numeric, events.numeric * 50 + 1000), details=events.details.assign(
            merchant=merchant), categorical=after(events.categorical, rng.permutation(events.categorical)),
        entities=after(events.entities, rng.permutation(events.entities)),
    )  # fmt: skip
    found = aggregates_of(replace(payments, everything=changed))
    pd.testing.assert_frame_equal(found[found.index.get_level_values(1) < 55], early, check_exact=True)
    assert not found.reindex(aggregates.index).equals(aggregates)


def test_aggregates_do_not_know_the_labels(payments, aggregates):
    labelled = simulate_cards(n_cards=100, days=80, prevalence=0.5, difficulty=0.5, test=0.25)
    bare = replace(labelled.everything, details=labelled.everything.details[["merchant"]])
    pd.testing.assert_frame_equal(aggregates_of(replace(labelled, everything=bare)), aggregates)


class TestColumns:
    """One column of each kind, against loops over the payments of a card."""

    @pytest.fixture(scope="class")
    @classmethod
    def some(cls, aggregates) -> pd.DataFrame:
        return aggregates.sample(200, random_state=0)

    @staticmethod
    def of_card(payments: Transactions, card: int) -> pd.DataFrame:
        events = payments.everything
        mine = events.entities == card
        category, region = events.categorical[mine].T
        return pd.DataFrame({
            "time": events.time[mine], "day": events.days[mine], "amount": events.numeric[mine, 0].astype(float),
            "category": category, "region": region, "merchant": events.details["merchant"][mine].to_numpy(),
        })  # fmt: skip

    def expect(self, payments: Transactions, some: pd.Series, column) -> None:
        """Compare a column with a function of the payments of a card until a day, and of that day."""
        for (card, day), value in some.items():
            mine = self.of_card(payments, card)
            assert value == pytest.approx(column(mine[mine["day"] <= day], day), rel=1e-4, abs=1e-4), (card, day)

    @pytest.mark.parametrize("span", [1, 7, 30])
    def test_counts_sums_and_means(self, payments, some, span):
        def within(mine, day):
            return mine[mine["day"] > day - span]

        self.expect(payments, np.expm1(some[f"count_{span}"]), lambda mine, day: len(within(mine, day)))
        self.expect(payments, some[f"sum_{span}"], lambda mine, day: math.log1p(within(mine, day)["amount"].sum()))
        self.expect(payments, some[f"mean_{span}"], lambda mine, day: math.log1p(within(mine, day)["amount"].mean()))

    def test_small_and_nightly_payments(self, payments, some):
        def share(mine, day):
            week = mine[mine["day"] > day - 7]
            return (week["time"] % 86_400 < 6 * 3600).sum()

        self.expect(payments, np.expm1(some["nightly_7"]), share)
        self.expect(
            payments, np.expm1(some["small_1"]), lambda mine, day: (mine["amount"][mine["day"] == day] < 5).sum()
        )
        assert some["nightly_7"].max() > 0 and some["small_1"].max() > 0

    @pytest.mark.parametrize("field", ["category", "region", "merchant"])
    @pytest.mark.parametrize("span", [7, 30])
    def test_what_a_card_has_not_had_for_so_many_days(self, payments, some, field, span):
        """The first time of all counts: what a card never had is newer than what it had five weeks ago."""

        def new(mine, day):
            found = 0
            for i in np.flatnonzero(mine["day"] == day):
                earlier = mine.iloc[:i]
                same = earlier["time"][earlier[field] == mine[field].iloc[i]]
                found += len(same) == 0 or mine["time"].iloc[i] - same.iloc[-1] >= span * 86_400
            return found

        self.expect(payments, np.expm1(some[f"new_{field}_{span}"]), new)
        assert some[f"new_{field}_{span}"].max() > 0

    def test_new_in_three_days_is_the_sum_of_three_days(self, aggregates):
        one, three = (np.expm1(aggregates[name]) for name in ("new_region_30", "new_region_30_in_3_days"))
        for card, day in aggregates.sample(200, random_state=1).index:
            assert three[card, day] == pytest.approx(sum(one.get((card, day - back), 0) for back in range(3)), abs=1e-4)

    def test_todays_largest_against_the_month_before(self, payments, some):
        def standard(mine, day):
            log = np.log(mine["amount"])
            month = log[(mine["day"] < day) & (mine["day"] >= day - 30)]
            mean, spread = (month.mean(), month.std(ddof=0)) if len(month) else (0, 0)
            return (log[mine["day"] == day].max() - mean) / max(spread, math.sqrt(0.05))

        self.expect(payments, some["largest_z"], standard)

    def test_repeats_at_one_merchant_within_two_days(self, payments, some):
        def repeats(mine, day):
            found = 0
            for i in np.flatnonzero(mine["day"] == day):
                earlier = mine.iloc[:i]
                same = earlier["time"][earlier["merchant"] == mine["merchant"].iloc[i]]
                found += len(same) > 0 and mine["time"].iloc[i] - same.iloc[-1] < 2 * 86_400
            return found

        self.expect(payments, np.expm1(some["repeats_1"]), repeats)
        assert some["repeats_1"].max() > 0

    def test_amounts_against_what_the_card_pays_in_that_category(self, payments, some):
        def above(mine, day):
            log, found = np.log(mine["amount"]), []
            for i in np.flatnonzero(mine["day"] == day):
                same = log.iloc[:i][mine["category"].iloc[:i] == mine["category"].iloc[i]]
                found.append(log.iloc[i] - same.mean() if len(same) > 1 else 0)
            return max(found)

        self.expect(payments, some["above_own_category"], above)

    def test_small_payments_online(self, payments, some):
        online = payments.categories[1].index("online") + 1

        def small(mine, day):
            return ((mine["amount"] < 5) & (mine["region"] == online) & (mine["day"] > day - 7)).sum()

        self.expect(payments, np.expm1(some["small_online_7"]), small)
        assert some["small_online_7"].max() > 0

    def test_gaps(self, payments, some):
        def since_last(mine, day):
            days = mine["day"][mine["day"] < day]
            return day - days.iloc[-1] if len(days) else 30

        self.expect(payments, some["days_since_last"], since_last)
        self.expect(payments, some["shortest_gap"], lambda mine, day: math.log(
            min(mine["time"].diff().fillna(30 * 86_400)[mine["day"] == day]) + 60))  # fmt: skip


def test_of_some_card_days_only(payments, aggregates):
    events, some = payments.everything, np.array([7, 3, 250])
    found = card_aggregates(payments, EntityDays(events.entities, events.days), some)
    assert list(found) == list(aggregates) and (found.to_numpy() == aggregates.iloc[some].to_numpy()).all()


def test_rarity_of_a_payment_is_that_of_its_fields_together(payments, aggregates):
    events = payments.everything
    gap = np.log(time_since_last(events.time, events.entities) + 60).astype(int)
    size = np.digitize(events.numeric[:, 0], np.geomspace(1, 1000, 15))
    fields = [*events.categorical.T, events.time % 86_400 // 7200, size, gap, events.days % 7]
    whole = sum(rarity(events.entities, codes.astype(int)) for codes in fields)
    days = EntityDays(events.entities, events.days)
    assert aggregates["rarity_payment_largest"].to_numpy() == pytest.approx(days.largest(whole), rel=1e-4)
    together = rarity(events.entities, events.categorical[:, 0].astype(int) * 100 + size)
    assert aggregates["rarity_amount_in_category_largest"].to_numpy() == pytest.approx(days.largest(together), rel=1e-4)


def test_rarity_by_loops():
    rng = np.random.default_rng(0)
    entities, codes = rng.integers(0, 5, 150), rng.choice([3, 900, 7, -1], 150, p=[0.6, 0.2, 0.15, 0.05])
    for i, value in enumerate(rarity(entities, codes, prior=5.0)):
        own = [codes[k] == codes[i] for k in range(i) if entities[k] == entities[i]]
        everybody = (sum(codes[:i] == codes[i]) + 1) / (i + len(set(codes[: i + 1])))
        assert value == pytest.approx(-math.log((sum(own) + 5 * everybody) / (len(own) + 5)))


def test_what_a_card_never_had_is_rarest():
    habit = np.tile([1, 1, 1, 2], 50)
    found = rarity(np.zeros(201, int), np.append(habit, 9))
    assert found.argmax() == 200 and found[199] > found[198] and found[198] == pytest.approx(-math.log(0.75), abs=0.05)


def test_aggregates_do_without_merchants_and_with_one_category(payments, aggregates):
    events = payments.everything
    bare = replace(events, details=events.details[[]], categorical=events.categorical[:, :1])
    found = aggregates_of(replace(
        payments, everything=bare, categorical_names=("category",), categories=payments.categories[:1]))  # fmt: skip
    assert not [name for name in found if "merchant" in name or "region" in name or name.startswith("repeats")]
    pd.testing.assert_frame_equal(found["new_category_30"].to_frame(), aggregates["new_category_30"].to_frame())


def test_categories_of_many_codes_are_not_mixed_up(payments):
    """Codes 1000 and up of the first category once looked like the next code of the second."""
    events = payments.everything
    wide = np.stack([events.categorical[:, 0] * 1000, events.categorical[:, 1]], axis=1)
    found = aggregates_of(replace(payments, everything=replace(events, categorical=wide), categories=(
        tuple(f"c{i}" for i in range(11_000)), payments.categories[1])))  # fmt: skip
    name = "new_category_and_region_30"
    pd.testing.assert_series_equal(found[name], aggregates_of(payments)[name])


def test_aggregates_find_plain_frauds():
    table = simulate_cards(n_cards=200, days=90, prevalence=0.5, difficulty=0.5)
    events = table.everything
    days = EntityDays(events.entities, events.days)
    columns, labels, part = card_aggregates(table, days), days.largest(events.labels), table.split[days.last]
    train, test = (columns[part == name].to_numpy() for name in ("train", "test"))
    prediction = boosted_trees(train, labels[part == "train"], test, groups=days.entity[part == "train"])
    truth = labels[part == "test"]
    assert roc_auc(truth, prediction.scores) > 0.85
    assert average_precision(truth, prediction.scores) > 8 * truth.mean()
