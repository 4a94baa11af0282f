"""Simulated logs of shops: their schema, and what each knob does."""

import time

import numpy as np
import pandas as pd
import pytest

from sslbook.domains.shop.data import Interactions
from sslbook.worlds import shop as world
from sslbook.worlds.shop import (
    BRANDS,
    COLOURS,
    FOLLOWS,
    NOUNS,
    shop_log,
    simulate_beauty,
    simulate_online_retail,
    simulate_shop,
)
from tests.conftest import refuses

SMALL = {"n_users": 400, "n_items": 200}


def steps(log):
    """Pairs of items that follow each other in the log of one user."""
    codes, users = pd.factorize(log["item"])[0], pd.factorize(log["user"])[0]
    order = np.argsort(users, kind="stable")
    same = np.diff(users[order]) == 0
    return np.column_stack([codes[order][:-1], codes[order][1:]])[same]


def same_steps(log):
    """How often a pair of items that follow each other is met again: the same in any order if order tells nothing."""
    counts = np.unique(steps(log), axis=0, return_counts=True)[1]
    return (counts * (counts - 1)).sum() / counts.sum()


def shuffled(log):
    """The same log with the items of each user in another order."""
    user, rng = pd.factorize(log["user"])[0], np.random.default_rng(0)
    items = log["item"].to_numpy(copy=True)
    items[np.argsort(user, kind="stable")] = items[np.lexsort((rng.random(len(log)), user))]
    return log.assign(item=items)


def hit_rate(shop):
    """Share of users whose last item is among the ten that most often followed their last but one."""
    test = shop.holdout("test")
    history, last = test.history, test.history.items[test.history.bounds[test.users + 1] - 1]
    follows = np.zeros((shop.n_items, shop.n_items))
    same = np.diff(history.users) == 0
    np.add.at(follows, (history.items[:-1][same], history.items[1:][same]), 1)
    score = follows[last] + 1e-4 * np.bincount(history.items, minlength=shop.n_items)
    score[test.seen.toarray() > 0] = -1
    return test.targets.toarray()[np.arange(len(last))[:, None], np.argsort(-score, 1)[:, :10]].sum(1).mean()


def test_log_has_the_columns_and_rules_of_a_log():
    log = shop_log(**SMALL)
    assert list(log) == ["user", "item", "time", "title", "price", "quantity"]
    assert log["time"].is_monotonic_increasing
    assert log["time"].dt.year.unique().tolist() == [2024]
    assert log["user"].nunique() == 400
    assert log["user"].value_counts().min() >= 4  # five, less those that found nothing new
    assert 150 < log["item"].nunique() <= 200
    assert (log[["price", "quantity"]] > 0).all(axis=None)
    assert np.allclose(log["price"] * 100, (log["price"] * 100).round())
    assert not log.duplicated(["user", "item"]).any()
    assert (log.groupby("item")[["title", "price"]].nunique() == 1).all(axis=None)


def test_seed_decides():
    assert shop_log(**SMALL, seed=3).equals(shop_log(**SMALL, seed=3))
    assert not shop_log(**SMALL, seed=3).equals(shop_log(**SMALL, seed=4))


def test_shop_is_its_log_with_attributes(tmp_path):
    shop = simulate_shop(**SMALL)
    shop_log(**SMALL).to_csv(tmp_path / "shop.csv", index=False)
    columns = {column: column for column in ("user", "item", "time", "title", "price", "quantity")}
    read = Interactions.from_csv(tmp_path / "shop.csv", **columns)
    for field in ("users", "items", "time", "basket", "quantity", "price", "titles", "item_names"):
        assert (getattr(shop, field) == getattr(read, field)).all()
    assert (shop.name, shop.source) == ("shop", "simulated")
    assert shop.matrix().sum(0).min() >= 5
    assert (shop.attributes.sum(1) == 4).all()
    assert shop.attributes.dtype == bool


def test_titles_follow_the_attributes():
    shop = simulate_shop(**SMALL)
    brands, colours, nouns = (set(words) for words in zip(*(title.split() for title in shop.titles), strict=True))
    assert brands <= set(BRANDS)
    assert colours <= set(COLOURS)
    assert nouns == set(NOUNS)
    attributes = shop.attributes.toarray()
    noun = np.array([title.split()[2] for title in shop.titles])
    of_nouns = np.array([attributes[noun == word].mean(0) for word in NOUNS])
    assert ((of_nouns == 1) & (of_nouns.sum(0) == 1)).any(1).all(), "each noun has an attribute that is its own"


def test_few_items_are_sold_most():
    shares = np.sort(shop_log()["item"].value_counts(normalize=True))[::-1]
    assert 0.05 < shares[:12].sum() < 0.3  # of the first in a hundred


class TestOrder:
    def test_without_it_the_order_of_events_tells_nothing(self):
        log = shop_log(order=0, season=0)
        assert same_steps(log) == pytest.approx(same_steps(shuffled(log)), rel=0.08)

    def test_with_it_the_same_steps_come_again(self):
        log = shop_log(order=1, season=0)
        assert same_steps(log) > 4 * same_steps(shuffled(log))

    def test_what_follows_can_be_counted(self):
        rates = [hit_rate(simulate_beauty(order=order)) for order in (0, 0.5, 1)]
        assert rates[2] > 1.5 * rates[1]
        assert rates[1] > 1.2 * rates[0]
        assert rates[2] > 0.15

    @pytest.mark.parametrize("order", [0, 0.5, 1])
    def test_share_of_sequels(self, order, monkeypatch):
        """Somewhat fewer than 0.3 times order, as a sequel that the user has had is not taken again."""
        known, draw = [], world._sequels
        monkeypatch.setattr(world, "_sequels", lambda *given: known.append(draw(*given)) or known[-1])
        log = shop_log(order=order)
        number = log["item"].str[1:].astype(int).to_numpy() - 1
        rows = np.argsort(log["user"].to_numpy(), kind="stable")
        same = log["user"].to_numpy()[rows][1:] == log["user"].to_numpy()[rows][:-1]
        before, after = number[rows][:-1][same], number[rows][1:][same]
        share = (known[0][before] == after[:, None]).any(1).mean()
        assert share == pytest.approx(FOLLOWS * order, abs=0.04)


@pytest.mark.parametrize(("season", "low", "high"), [(0, 1.0, 1.6), (1, 5.0, 40.0)])
def test_season_moves_the_categories(season, low, high):
    log = shop_log(20_000, season=season)
    months = pd.crosstab(log["title"].str.split().str[2], log["time"].dt.month, normalize="columns")
    assert low < (months.max(axis=1) / months.min(axis=1)).median() < high


class TestHabits:
    def test_without_repeats_an_item_is_taken_once(self):
        assert simulate_shop(**SMALL).counts()["share of repeats"].item() == 0

    def test_repeats(self):
        log = shop_log(**SMALL, repeats=0.5, season=0)
        first_visit = log["time"] == log.groupby("user")["time"].transform("min")
        assert log[~first_visit].duplicated(["user", "item"]).mean() < 0.5
        assert log.duplicated(["user", "item"]).sum() / (~first_visit).sum() == pytest.approx(0.5, abs=0.03)

    def test_one_event_a_visit(self):
        assert shop_log(**SMALL).duplicated(["user", "time"]).mean() < 0.01

    @pytest.mark.parametrize("basket", [3, 8])
    def test_baskets(self, basket):
        log = shop_log(**SMALL, basket=basket, events=50)
        assert len(log) / len(log[["user", "time"]].drop_duplicates()) == pytest.approx(basket, rel=0.25)

    @pytest.mark.parametrize("events", [6, 9, 30])
    def test_events(self, events):
        log = shop_log(2000, events=events)
        assert len(log) / 2000 == pytest.approx(events, rel=0.1)


class TestStandIns:
    def test_beauty_knows_what_the_real_file_knows(self):
        shop = simulate_beauty(**SMALL)
        assert (shop.titles, shop.price, shop.quantity, shop.start) == (None,) * 4
        assert shop.attributes.shape[0] == shop.n_items
        assert (np.bincount(shop.basket) == 1).all()
        starts = shop.bounds[:-1]
        assert (shop.time[starts] == 0).all()
        assert (np.diff(shop.time)[np.diff(shop.users) == 0] == 1).all()
        assert shop.matrix().max() == 1
        assert (shop.name, shop.source) == ("beauty", "simulated")

    def test_retail_has_baskets_repeats_titles_and_prices(self):
        shop = simulate_online_retail()
        row = shop.counts().loc["online_retail"]
        assert 0.2 < row["share of repeats"] < 0.4  # 0.31 in the real log
        assert 6 < row["events"] / row["baskets"] < 15
        assert 950 < row["users"] <= 1000
        assert shop.start is not None
        assert np.isfinite(shop.item_prices).all()
        assert len(shop.holdout("test", by="basket").users) > 600
        assert len(shop.holdout("test", by="basket").new_only().users) > 500

    @pytest.mark.parametrize("draw", [simulate_beauty, simulate_online_retail])
    def test_quickly_and_as_the_seed_says(self, draw):
        begin = time.perf_counter()
        shop = draw(seed=1)
        assert time.perf_counter() - begin < 3
        assert (shop.items == draw(seed=1).items).all()
        assert any("says nothing about real shoppers" in problem for problem in shop.data_card.known_problems)
        assert "labels" not in shop.data_card.provenance


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"n_users": 10}, "n_users is 10 and n_items 1200; draw at least 50 users and 100 items"),
        ({"n_items": 50}, "n_items 50"),
        ({"order": 1.5}, "order is 1.5; give a number from 0 to 1"),
        ({"order": -0.1}, "order is -0.1"),
        ({"repeats": 2}, "repeats is 2"),
        ({"season": -1}, "season is -1"),
        ({"season": float("nan")}, "season is nan"),
        ({"events": 5}, "more than 5 events"),
        ({"basket": 0.5}, "basket 0.5"),
    ],
)
def test_knobs_out_of_range(knobs, said):
    with refuses(said):
        shop_log(**knobs)
