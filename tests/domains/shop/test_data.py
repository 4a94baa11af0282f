"""The container of a shop's log, and what it leaves out for evaluation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from sslbook.data.card import own_data_card
from sslbook.domains import shop
from tests.conftest import refuses

# user, item, time; user 0 has three baskets, user 1 five events of one item each, user 2 two events, user 3 none
EVENTS = [
    (0, 0, 1), (0, 1, 1), (0, 2, 2), (0, 0, 3), (0, 3, 3),
    (1, 1, 0), (1, 2, 1), (1, 1, 2), (1, 4, 3), (1, 2, 4),
    (2, 0, 5), (2, 4, 9),
]  # fmt: skip


def log_of(events, n_users=4, n_items=5, **known):
    """A container of (user, item, time)."""
    users, items, time = (np.array(column) for column in zip(*events, strict=True))
    names = [np.array([f"{letter}{i}" for i in range(n)]) for letter, n in (("u", n_users), ("i", n_items))]
    return shop.Interactions(users, items, time.astype(float), *names, own_data_card("own", "Own", ()), **known)


@pytest.fixture
def log():
    return log_of(EVENTS, price=np.arange(1, 13, dtype=np.float32))


def random_log(seed, n=600, n_users=40, n_items=30):
    """Some users have ties, some few events, some none."""
    rng = np.random.default_rng(seed)
    events = zip(rng.zipf(1.3, n) % n_users, rng.integers(n_items, size=n), rng.integers(25, size=n), strict=True)
    return log_of(sorted(events, key=lambda event: (event[0], event[2])), n_users, n_items)


class TestContainer:
    def test_sizes(self, log):
        assert (len(log), log.n_users, log.n_items) == (12, 4, 5)
        assert log.bounds.tolist() == [0, 5, 10, 12, 12]
        assert log.bounds.dtype == np.int64
        assert log.basket.tolist() == [0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]
        assert (log.name, log.source) == ("own", "real")
        assert repr(log) == "Interactions(own: 12 events of 4 users and 5 items)"

    def test_matrix_counts_the_events_of_each_pair(self, log):
        assert log.matrix().dtype == np.float32
        assert log.matrix().toarray().tolist() == [[2, 1, 1, 1, 0], [0, 2, 2, 0, 1], [1, 0, 0, 0, 1], [0] * 5]
        assert log.matrix(log.price).toarray()[0].tolist() == [1 + 4, 2, 3, 5, 0]
        assert log.matrix().has_canonical_format

    def test_matrix_leaves_the_container_alone(self):
        log = log_of([(0, 4, 0), (0, 1, 1), (0, 4, 2)], 1)
        log.matrix()
        assert log.items.tolist() == [4, 1, 4]

    def test_item_prices_are_medians(self):
        price = np.array([1, 2, 9, np.nan, 5], dtype=np.float32)
        log = log_of([(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 3), (0, 3, 4)], 1, price=price)
        assert log.item_prices == pytest.approx([2, np.nan, np.nan, 5, np.nan], nan_ok=True)
        assert np.isnan(replace(log, price=None).item_prices).all()

    def test_subset_keeps_codes_and_names(self, log):
        part = log.subset(log.items == 4)
        assert part.users.tolist() == [1, 2]
        assert part.price.tolist() == [9, 12]
        assert part.basket.tolist() == [0, 1]
        assert (part.n_users, part.n_items, part.data_card) == (4, 5, log.data_card)
        assert len(log.subset(np.zeros(12, dtype=bool))) == 0

    def test_counts(self, log):
        row = log.counts().loc["own"]
        assert row[["users", "items", "events", "baskets"]].tolist() == [3, 5, 12, 10]
        assert row["events per user"] == 4
        assert row["density"] == 9 / 15
        assert row["share of repeats"] == pytest.approx(3 / 12)
        assert log.subset(np.zeros(12, dtype=bool)).counts().loc["own", "events"] == 0

    def test_page(self, log):
        page = log._repr_html_()
        assert "known beside user and item: price" in page
        assert "SIMULATED" not in page
        assert "<table" in page

    def test_events_of_one_user_at_one_time_share_a_basket(self):
        log = log_of([(0, 0, 1), (0, 1, 1), (0, 2, 2), (1, 0, 2), (1, 1, 2)])
        assert log.basket.tolist() == [0, 0, 1, 2, 2]
        assert log.basket.dtype == np.int64
        assert log.subset(np.zeros(5, dtype=bool)).basket.tolist() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"items": np.zeros(11, int)}, ["12 events but 11 values of items"]),
        ({"price": np.ones(3)}, ["12 events but 3 values of price"]),
        ({"titles": np.array(["a"])}, ["5 items but 1 values of titles"]),
        ({"attributes": csr_array((4, 2), dtype=bool)}, ["5 items but 4 values of attributes"]),
        ({"items": np.full(12, 5)}, ["Code 5 of items has no name", "0 to 4"]),
        ({"users": np.full(12, -1)}, ["Code -1 of users has no name"]),
        ({"users": np.arange(12)[::-1] // 3}, ["Event 3 of own stands before event 2", "sort them"]),
        ({"time": np.arange(12.0)[::-1]}, ["Event 1 of own stands before event 0"]),
    ],
)
def test_a_container_that_is_not_in_order_is_refused(log, change, said):
    with refuses(*said):
        replace(log, **change)


class TestHoldout:
    def test_last_events(self, log):
        validation, test = log.holdout("validation"), log.holdout("test")
        assert validation.users.tolist() == test.users.tolist() == [0, 1]
        assert validation.targets.toarray().tolist() == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
        assert test.targets.toarray().tolist() == [[0, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
        assert validation.history.bounds.tolist() == [0, 3, 6, 8, 8]
        assert test.history.bounds.tolist() == [0, 4, 8, 10, 10]
        assert test.seen.toarray().tolist() == [[1, 1, 1, 0, 0], [0, 1, 1, 0, 1]]
        assert test.seen.dtype == test.targets.dtype == np.float32
        assert repr(test) == "Holdout(own: 2 targets of 2 users)"

    def test_last_baskets(self, log):
        validation, test = log.holdout("validation", by="basket"), log.holdout("test", by="basket")
        assert validation.targets.toarray().tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
        assert test.targets.toarray().tolist() == [[1, 0, 0, 1, 0], [0, 0, 1, 0, 0]]
        assert validation.history.bounds.tolist() == [0, 2, 5, 7, 7]
        assert test.history.bounds.tolist() == [0, 3, 7, 9, 9]

    def test_an_item_twice_in_a_basket_is_one_target(self):
        test = log_of([(0, 0, 0), (0, 1, 1), (0, 2, 2), (0, 2, 2)], 1).holdout("test", by="basket")
        assert test.targets.toarray().tolist() == [[0, 0, 1, 0, 0]]

    def test_new_only(self, log):
        new = log.holdout("test", by="basket").new_only()
        assert new.users.tolist() == [0]  # user 1 takes what he had
        assert new.targets.toarray().tolist() == [[0, 0, 0, 1, 0]]
        assert new.targets.nnz == 1
        assert len(new.history) == 9
        assert (new.targets * new.seen).sum() == 0

    @pytest.mark.parametrize("by", ["event", "basket"])
    @pytest.mark.parametrize("part", ["validation", "test"])
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_against_a_second_writing(self, part, by, seed):
        log = random_log(seed)
        history, targets = [], {}
        for user in range(log.n_users):
            mine = list(zip(log.time[log.users == user], log.items[log.users == user], strict=True))
            units = [[event] for event in mine]
            if by == "basket":
                units = [[event for event in mine if event[0] == time] for time in sorted({time for time, _ in mine})]
            end = {"validation": -2, "test": -1}[part]
            if len(units) >= 3:
                targets[user] = sorted({item for _, item in units[end]})
                units = units[:end]
            history += [(user, item, time) for unit in units for time, item in unit]
        found = log.holdout(part, by)
        known = found.history
        assert list(zip(known.users, known.items, known.time, strict=True)) == history
        assert found.users.tolist() == list(targets)
        assert [np.flatnonzero(row).tolist() for row in found.targets.toarray()] == list(targets.values())
        assert set(found.targets.data) == {1}
        assert (found.seen.toarray() == (known.matrix().toarray()[found.users] > 0)).all()

    @pytest.mark.parametrize("by", ["event", "basket"])
    def test_history_ends_before_the_target(self, by):
        log = random_log(3)
        for part in ("validation", "test"):
            found = log.holdout(part, by)
            place = {"validation": -2, "test": -1}[part]
            for user in found.users:
                mine = log.basket[log.users == user]
                known = found.history.basket[found.history.users == user]
                if by == "basket":
                    assert known.max() < np.unique(mine)[place]
                else:
                    assert len(known) == len(mine) + place

    @pytest.mark.parametrize("by", ["event", "basket"])
    def test_histories_of_validation_know_nothing_of_the_last_two(self, by):
        log = random_log(4)
        before = log.holdout("validation", by)
        last = (log.bounds[before.users + 1][:, None] - [1, 2]).ravel()
        items = log.items.copy()
        items[last] = (items[last] + 1) % log.n_items
        after = replace(log, items=items).holdout("validation", by)
        assert (after.history.items == before.history.items).all()
        assert (after.history.time == before.history.time).all()
        assert (after.seen != before.seen).nnz == 0

    def test_history_of_the_test_holds_the_target_of_validation(self):
        log = random_log(5)
        validation, test = log.holdout("validation"), log.holdout("test")
        assert (validation.targets * test.seen).sum() == validation.targets.sum()
        assert len(test.history) == len(validation.history) + len(validation.users)

    @pytest.mark.parametrize(("part", "by"), [("train", "event"), ("test", "day")])
    def test_unknown_part_or_unit(self, log, part, by):
        with refuses(repr(part), repr(by), "'validation' or 'test'"):
            log.holdout(part, by)

    @pytest.mark.parametrize("by", ["event", "basket"])
    def test_nobody_has_enough(self, by):
        with refuses(f"No user of own has 3 {by}s or more", "longer log"):
            log_of([(0, 0, 0), (0, 1, 1), (1, 0, 0)]).holdout("test", by)


class TestFromFrame:
    ROWS = pd.DataFrame(
        {
            "who": ["b", "a", "a", "b", "a", "b"],
            "what": [10, 2, 10, 2, 10, 2],
            "when": ["2024-05-02", "2024-05-01 12:00", "2024-05-01 12:00", "2024-05-03", "2024-05-04", "2024-05-01"],
            "name": ["Ten", "Two", "Ten", "Zwei", "Ten", "Two"],
            "each": [1.5, 0.0, 1.5, 2.0, 1.7, 2.0],
            "pieces": [1, 2, 3, 4, 5, 6],
        }
    )
    COLUMNS = {"user": "who", "item": "what", "time": "when"}
    ALL = COLUMNS | {"title": "name", "price": "each", "quantity": "pieces"}

    def test_all_columns(self):
        log = shop.Interactions.from_frame(self.ROWS, **self.ALL, core=1)
        assert log.user_names.tolist() == ["a", "b"]
        assert log.item_names.tolist() == ["10", "2"]
        assert log.users.tolist() == [0, 0, 0, 1, 1, 1]
        assert log.items.tolist() == [1, 0, 0, 1, 0, 1]  # at one time in the order of the source
        assert (log.time / 3600).tolist() == [12, 12, 72, 0, 24, 48]
        assert log.basket.tolist() == [0, 0, 1, 2, 3, 4]
        assert log.quantity.tolist() == [2, 3, 5, 6, 1, 4]
        assert log.price == pytest.approx([np.nan, 1.5, 1.7, 2, 1.5, 2], nan_ok=True)
        assert log.titles.tolist() == ["Ten", "Two"]
        assert log.start == pd.Timestamp("2024-05-01")
        assert (log.users.dtype, log.items.dtype, log.basket.dtype) == (np.int64,) * 3
        assert (log.time.dtype, log.quantity.dtype, log.price.dtype) == (np.float64, np.float32, np.float32)
        assert (log.name, log.source, log.data_card.title) == ("own log", "real", "own log")
        assert log.data_card.known_problems == (
            "1 rows have a each of 0 or none: it is taken as not known.",
            "2 of 6 events have the time of another of the same user: they share a basket, and their order, which is "
            "not known, is that of the source.",
            "1 users have fewer than 3 baskets: no target by basket.",
        )

    def test_needed_columns_only(self):
        log = shop.Interactions.from_frame(self.ROWS, **self.COLUMNS, core=1, name="My shop")
        assert (log.titles, log.price, log.quantity, log.attributes) == (None,) * 4
        assert (log.name, log.data_card.title) == ("My shop", "My shop")

    def test_times_may_be_numbers(self):
        log = shop.Interactions.from_frame(self.ROWS.assign(when=[3, 1, 2, 5, 4, 0]), **self.COLUMNS, core=1)
        assert log.time.tolist() == [1, 2, 4, 0, 3, 5]
        assert log.start is None
        assert log.data_card.known_problems == ()

    def test_the_order_of_the_rows_does_not_matter_but_at_ties(self):
        rng = np.random.default_rng(0)
        rows = pd.DataFrame({"who": rng.integers(9, size=200), "what": rng.integers(8, size=200), "when": range(200)})
        one, two = (shop.Interactions.from_frame(f, **self.COLUMNS, core=3) for f in (rows, rows.sample(frac=1)))
        for field in ("users", "items", "time", "basket", "user_names", "item_names"):
            assert (getattr(one, field) == getattr(two, field)).all()

    def test_core_is_5_by_default(self):
        rows = pd.DataFrame({"who": [*"aaaaabbbbbcccc"], "what": [*"xxxyyxxyyyzzzz"], "when": range(14)})
        log = shop.Interactions.from_frame(rows, **self.COLUMNS)
        assert log.user_names.tolist() == ["a", "b"]
        assert log.item_names.tolist() == ["x", "y"]
        assert log.data_card.known_problems[0].startswith("core=5: 1 users and 1 items")

    def test_users_with_few_events_are_counted(self):
        rows = pd.DataFrame({"who": [*"aaab"], "what": [*"xyxy"], "when": range(4)})
        log = shop.Interactions.from_frame(rows, **self.COLUMNS, core=1)
        assert log.data_card.known_problems == (
            "1 users have fewer than 3 events: no target by event.",
            "1 users have fewer than 3 baskets: no target by basket.",
        )
        assert log.holdout("test").users.tolist() == [0]

    def test_a_known_card_keeps_its_problems(self):
        card = own_data_card("shop", "Shop", ("Small.",))
        log = shop.Interactions.from_frame(self.ROWS, **self.ALL, core=1, data_card=card)
        assert log.name == "shop"
        assert log.data_card.known_problems[0] == "Small."
        assert len(log.data_card.known_problems) == 4

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_files(self, tmp_path, ending):
        path = tmp_path / "orders.2024.csv"
        path = path.with_suffix(f".{ending}")
        if ending == "csv":
            self.ROWS.to_csv(path, index=False)
            log = shop.Interactions.from_csv(path, **self.ALL, core=1)
        else:
            self.ROWS.to_parquet(path)
            log = shop.Interactions.from_parquet(path, **self.ALL, core=1)
        same = shop.Interactions.from_frame(self.ROWS, **self.ALL, core=1)
        assert (log.name, log.data_card.title) == ("orders.2024", "orders.2024")
        for field in ("users", "items", "time", "basket", "quantity", "titles"):
            assert (getattr(log, field) == getattr(same, field)).all()

    def test_messages_name_the_line_of_a_file(self, tmp_path):
        self.ROWS.assign(when=["2024-05-02", *["soon"] * 5]).to_csv(tmp_path / "orders.csv", index=False)
        with refuses("orders.csv has a when that is not a time (line 3: 'soon'"):
            shop.Interactions.from_csv(tmp_path / "orders.csv", **self.COLUMNS)

    def test_no_such_file(self, tmp_path):
        with refuses("There is no table", "gone.csv"):
            shop.Interactions.from_csv(tmp_path / "gone.csv", **self.COLUMNS)

    @pytest.mark.parametrize(
        ("rows", "options", "said"),
        [
            (ROWS.iloc[:0], {}, ["The table has no rows"]),
            (ROWS, {"user": "buyer"}, ["The table has no column 'buyer'", "'who', 'what', 'when'"]),
            (ROWS, {"time": None}, ["time is None"]),
            (ROWS, {"item": "who"}, ["'who' is named twice"]),
            (ROWS, {"core": 0}, ["core is 0"]),
            (ROWS, {"core": 5}, ["0 users and 0 items with at least 5 events", "lower core="]),
            (
                ROWS.assign(who="a"),
                {"core": 1},
                ["holds 1 users and 2 items with at least 1 events, and needs two of each"],
            ),
            (ROWS.assign(what=7), {"core": 1}, ["holds 2 users and 1 items"]),
            (ROWS.assign(each=-1.0), {"price": "each"}, ["a negative each (row 0"]),
            ([1, 2], {}, ["is a list; give a pandas DataFrame"]),
        ],
    )
    def test_bad_input(self, rows, options, said):
        with refuses(*said):
            shop.Interactions.from_frame(rows, **self.COLUMNS | options)
