"""The rules that turn rows of a shop's log into events, and what each says."""

import numpy as np
import pandas as pd
import pytest

from sslbook.data.tables import table_of
from sslbook.domains.shop.data import core_of, read_log, titles_of
from tests.conftest import refuses


def columns_of(user, item, time, title=None, price=None, quantity=None):
    return {"user": user, "item": item, "time": time, "title": title, "price": price, "quantity": quantity}


SHOP = columns_of("user", "item", "time", quantity="pieces")


def read(rows, columns=SHOP, names=("user", "item", "time", "pieces")):
    """Events of rows, as tuples of the columns that are read, and the notes."""
    notes = []
    log, _ = read_log(table_of(pd.DataFrame(rows, columns=list(names)), "The table"), columns, notes)
    return [tuple(row) for row in log.to_numpy(dtype=object)], notes


def test_plain_rows_stay_as_they_are_and_in_their_order():
    rows = [("b", "x", 3.0, 1.0), ("a", "y", 1.0, 2.0), ("a", "x", 2.0, 1.0)]
    assert read(rows) == (rows, [])


def test_rows_without_user_or_item_are_left_out_and_counted():
    rows = [("a", "x", 1, 1), (None, "x", 2, 1), (" ", "x", 2, 1), ("a", None, 3, 1), ("a", "y", 4, 1)]
    events, notes = read(rows)
    assert [event[1] for event in events] == ["x", "y"]
    assert notes == ["2 of 5 rows have no user and were left out.", "1 of 3 rows have no item and were left out."]


def test_a_row_without_user_may_have_no_time_and_no_price():
    rows = [("a", "x", "2024-01-01", 1), (None, "x", None, -1)]
    events, _ = read(rows, columns_of("user", "item", "time", price="pieces"))
    assert len(events) == 1


@pytest.mark.parametrize("role", ["user", "item"])
def test_no_row_with_user_or_item(role):
    row = {"user": "a", "item": "x", "time": 1, "pieces": 1} | {role: None}
    with refuses("No row of The table has", f"name another column as {role}"):
        read([tuple(row.values())] * 3)


def test_ids_that_are_whole_numbers_have_no_point():
    rows = [(17850.0, 22423, 1, 1), (np.nan, 22423, 2, 1), (17850.0, "85123A", 3, 1)]
    events, _ = read(rows)
    assert [event[:2] for event in events] == [("17850", "22423"), ("17850", "85123A")]


def test_times_count_from_midnight():
    rows = [("a", "x", "2024-03-05 10:00:00", 1), ("a", "y", "2024-03-04 06:00:00", 1)]
    notes = []
    log, start = read_log(table_of(pd.DataFrame(rows, columns=["user", "item", "time", "pieces"]), "T"), SHOP, notes)
    assert start == pd.Timestamp("2024-03-04")
    assert log["time"].tolist() == [34 * 3600, 6 * 3600]


def test_repeated_rows_are_merged_and_their_pieces_summed():
    rows = [("a", "x", 1, 2), ("a", "y", 1, 1), ("a", "x", 1, 3), ("a", "x", 2, 1), ("b", "x", 1, 1)]
    events, notes = read(rows)
    assert events == [("a", "x", 1.0, 5.0), ("a", "y", 1.0, 1.0), ("a", "x", 2.0, 1.0), ("b", "x", 1.0, 1.0)]
    assert notes == ["1 rows repeat user, item and time of another; they were merged and their pieces summed."]


def test_repeated_rows_without_pieces():
    events, notes = read([("a", "x", 1, 0), ("a", "x", 1, 0), ("a", "x", 2, 0)], columns_of("user", "item", "time"))
    assert events == [("a", "x", 1.0), ("a", "x", 2.0)]
    assert notes == ["1 rows repeat user, item and time of another; they were merged."]


def test_merged_rows_take_the_first_title_and_price_that_are_known():
    columns = columns_of("user", "item", "time", title="name", price="price", quantity="pieces")
    rows = [("a", "x", 1, 1, None, 0.0), ("a", "x", 1, 1, "Cup", 2.5), ("a", "x", 1, 1, "Mug", 3.0)]
    events, _ = read(rows, columns, ("user", "item", "time", "pieces", "name", "price"))
    assert events == [("a", "x", 1.0, "Cup", 2.5, 3.0)]


@pytest.mark.parametrize(
    ("rows", "left", "said"),
    [
        ([(1, 3), (2, -3)], [], "1 purchases are wholly cancelled and were left out, 0 have fewer pieces; 0 cancel"),
        ([(1, 3), (2, -1)], [(1, 2)], "0 purchases are wholly cancelled and were left out, 1 have fewer pieces; 0"),
        ([(1, 3), (2, 4), (3, -2)], [(1, 3), (2, 2)], "1 have fewer pieces"),  # the latest first
        ([(1, 3), (2, 4), (3, -5)], [(1, 2)], "1 purchases are wholly cancelled and were left out, 1 have fewer"),
        ([(1, 3), (2, -1), (3, -1), (4, -1)], [], "3 rows of negative quantity are cancellations: 1 purchases"),
        ([(1, -3), (2, 3)], [(2, 3)], "1 cancel more than was bought before"),  # a later purchase is not taken back
        ([(1, 2), (2, -5), (3, 4)], [(3, 4)], "1 cancel more than was bought before"),
        ([(2, -1), (2, 1)], [], "1 purchases are wholly cancelled"),  # at one time, bought first
        ([(2, -1), (1, 1)], [], "1 purchases are wholly cancelled"),  # the order of the rows does not matter
        ([(1, 0.5), (2, -0.25)], [(1, 0.25)], "1 have fewer pieces"),
    ],
)
def test_cancellations_take_back_the_latest_earlier_purchases(rows, left, said):
    others = [("a", "y", 1.0, 5.0), ("b", "x", 1.0, 5.0)]  # another item, another user: never touched
    events, (note,) = read(others + [("a", "x", time, pieces) for time, pieces in rows])
    assert events == others + [("a", "x", time, pieces) for time, pieces in left]
    assert said in note
    assert "a history may know of a cancellation that was yet to come" in note


def test_cancellations_against_a_second_writing():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "user": rng.choice(["a", "b"], 400),
            "item": rng.choice(["x", "y", "z"], 400),
            "time": rng.permutation(400),
            "pieces": rng.choice([-4, -3, -2, -1, 1, 2, 3], 400),
        }
    )
    units = []  # one entry for each piece that is held
    for user, item, time, pieces in rows.sort_values("time").itertuples(index=False):
        units += [(user, item, time)] * pieces
        for _ in range(-pieces):
            held = [i for i, unit in enumerate(units) if unit[:2] == (user, item)]
            if held:
                units.pop(held[-1])
    events, _ = read(list(rows.itertuples(index=False)))
    assert sorted(events) == sorted((*unit, units.count(unit)) for unit in set(units))


def test_quantity_0_is_left_out():
    events, notes = read([("a", "x", 1, 1), ("a", "y", 2, 0)])
    assert [event[1] for event in events] == ["x"]
    assert notes == ["1 rows of quantity 0 were left out (row 1)."]


def test_prices_that_are_not_known():
    columns = columns_of("user", "item", "time", price="pieces")
    events, notes = read([("a", "x", 1, 2.5), ("a", "y", 2, 0), ("a", "z", 3, None)], columns)
    assert [event[3] for event in events] == pytest.approx([2.5, np.nan, np.nan], nan_ok=True)
    assert notes == ["2 rows have a pieces of 0 or none: it is taken as not known."]


@pytest.mark.parametrize(
    ("columns", "value", "said"),
    [
        (
            columns_of("user", "item", "time", price="pieces"),
            -2,
            ["a negative pieces (row 1: '-2.0')", "leave it empty"],
        ),
        (columns_of("user", "item", "time", price="pieces"), np.inf, ["an infinite pieces (row 1"]),
        (columns_of("user", "item", "time", price="pieces"), "dear", ["a pieces that is not a number (row 1: 'dear')"]),
        (SHOP, None, ["no pieces (row 1)", "1 for one piece"]),
        (SHOP, np.inf, ["an infinite pieces (row 1"]),
        (SHOP, "two", ["a pieces that is not a number (row 1: 'two'); mend it."]),
    ],
)
def test_numbers_that_cannot_be(columns, value, said):
    with refuses(*said):
        read([("a", "x", 1, 1.0), ("a", "y", 2, value)], columns)


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (None, ["no time (row 1)", "fill it in"]),
        ("soon", ["a time that is not a time (row 1: 'soon')", "2024-01-31"]),
        ("2024-01-01T00:00Z", ["with a time zone (row 1) and without (row 0)"]),
    ],
)
def test_times_that_cannot_be_read(time, said):
    with refuses(*said):
        read([("a", "x", "2024-01-01", 1), ("a", "y", time, 1)])


def test_infinite_time():
    with refuses("an infinite time (row 1)"):
        read([("a", "x", 1.0, 1), ("a", "y", np.inf, 1)])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (columns_of("who", "item", "time"), ["has no column 'who'", "'user', 'item', 'time', 'pieces'"]),
        (columns_of("user", "item", "time", title="name"), ["has no column 'name'"]),
        (
            columns_of("user", "user", "time"),
            ["'user' is named twice among user, item, time, title, price and quantity"],
        ),
        (columns_of("user", "item", None), ["time is None", "name the column"]),
        (columns_of(None, "item", "time"), ["user is None"]),
    ],
)
def test_columns_that_are_not_there(columns, said):
    with refuses(*said):
        read([("a", "x", 1, 1)], columns)


class TestCore:
    LOG = pd.DataFrame(
        # z is taken once, and without it c has one event
        [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x"), ("c", "z"), ("d", "x"), ("d", "y")],
        columns=["user", "item"],
    ).assign(time=range(8))

    def test_again_and_again(self):
        notes = []
        kept = core_of(self.LOG, 2, "T", notes)
        assert set(kept["user"]) == {"a", "b", "d"}
        assert set(kept["item"]) == {"x", "y"}
        assert notes == [
            "core=2: 1 users and 1 items with fewer than 2 events were removed, again and again until none was left, "
            "and with them 2 events."
        ]

    def test_one_keeps_all(self):
        notes = []
        assert core_of(self.LOG, 1, "T", notes).equals(self.LOG)
        assert notes == []

    def test_every_user_and_item_that_stays_has_enough(self):
        rng = np.random.default_rng(0)
        log = pd.DataFrame({"user": rng.zipf(1.5, 3000) % 300, "item": rng.zipf(1.4, 3000) % 200, "time": range(3000)})
        kept = core_of(log, 6, "T", [])
        assert kept["user"].value_counts().min() >= 6
        assert kept["item"].value_counts().min() >= 6
        assert 0 < len(kept) < len(log)

    def test_nothing_is_left(self):
        with refuses("T holds 0 users and 0 items with at least 5 events", "lower core="):
            core_of(self.LOG, 5, "T", [])

    @pytest.mark.parametrize(("column", "held"), [("user", "1 users and 3 items"), ("item", "4 users and 1 items")])
    def test_one_user_or_one_item(self, column, held):
        with refuses(f"T holds {held} with at least 1 events, and needs two", "check user= and item="):
            core_of(self.LOG.assign(**{column: "the same"}), 1, "T", [])

    @pytest.mark.parametrize("core", [0, -1, 2.5, "5", None])
    def test_is_a_whole_number_from_1(self, core):
        with refuses(f"core is {core!r}", "whole number from 1"):
            core_of(self.LOG, core, "T", [])

    def test_everything_cancelled(self):
        log, _ = read_log(
            table_of(
                pd.DataFrame([("a", "x", 1, 1), ("a", "x", 2, -1)], columns=["user", "item", "time", "pieces"]), "T"
            ),
            SHOP,
            [],
        )
        with refuses("T holds 0 users and 0 items with at least 1 events, and needs two"):
            core_of(log, 1, "T", [])


def test_titles_are_the_most_frequent_text():
    rows = [("x", "Cup"), ("x", "Mug"), ("x", "Mug"), ("y", "Old"), ("y", "New"), ("z", None), ("y", None), ("y", None)]
    notes = []
    titles = titles_of(pd.DataFrame(rows, columns=["item", "title"]), np.array(["x", "y", "z"]), notes)
    assert titles.tolist() == ["Mug", "Old", "z"]
    assert notes == ["1 items have no title; their name stands for it."]
