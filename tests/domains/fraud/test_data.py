"""The container of events: times, labels, kinds of columns, the cut by time, and own tables good, odd and bad."""

import dataclasses
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from sslbook.data.card import own_data_card
from sslbook.data.splits import remove_known, split_in_time
from sslbook.data.tables import kind_of, words_of
from sslbook.domains.fraud.data import Transactions, TransactionSplit
from tests.conftest import refuses

DAY = 86400


def payments(n=200, seed=0, **columns):
    """Return n payments, one every six hours; columns replace or add, None drops."""
    rng = np.random.default_rng(seed)
    table = {
        "when": pd.date_range("2024-01-01", periods=n, freq="6h"),
        "card": rng.integers(0, 60, n),
        "amount": rng.lognormal(3, 1, n),
        "shop": rng.choice(["food", "fuel", "travel"], n),
        "fraud": (np.arange(n) % 9 == 4).astype(int),
    }
    table |= columns
    return pd.DataFrame({name: column for name, column in table.items() if column is not None})


def read(frame, **options):
    return Transactions.from_frame(frame, **{"time": "when", "label": "fraud"} | options)


def notes(events):
    return " ".join(events.data_card.known_problems)


def small(time, split, labels=None, entities=None, delay=0.0):
    """Return a Transactions of bare events."""
    n = len(time)
    labels = np.arange(n) % 2 if labels is None else np.array(labels)
    events = TransactionSplit(
        np.array(time, dtype=float),
        np.zeros((n, 1), np.float32),
        np.zeros((n, 0), np.int64),
        labels,
        None if entities is None else np.array(entities),
        np.ones(n),
        np.arange(n),
        pd.DataFrame(index=range(n)),
    )
    return Transactions(events, np.array(split), ("a",), (), (), own_data_card("mine", "Mine", ()), None, delay)


class TestContainer:
    def test_views(self):
        events = read(payments(), entity="card")
        assert (events.name, events.source, events.delay) == ("own table", "real", 7 * DAY)
        assert events.numeric_names == ("amount",)
        assert events.categorical_names == ("shop",)
        assert events.categories == (("food", "fuel", "travel"),)
        assert events.start == pd.Timestamp("2024-01-01")
        counts = events.counts()
        assert list(counts) == ["rows", "findings", "unlabelled", "entities"]
        assert counts["rows"].sum() == 200
        assert counts["rows"].to_dict() == {part: len(events.part(part)) for part in counts.index}
        assert counts.loc["train", "findings"] == (events.train.labels == 1).sum()
        assert repr(events).startswith(f"Transactions(own table: train {len(events.train)}, gap ")
        shown = events._repr_html_()
        for text in ("2024-01-01", "7 days late", "amount", "own table", "removed"):
            assert text in shown
        for view in map(events.part, counts.index):
            assert (np.diff(view.time) > 0).all()
        assert repr(events.part("gap")) == (
            f"TransactionSplit({len(events.part('gap'))} events, {(events.part('gap').labels == 1).sum()} findings, "
            "1 numeric and 1 categorical columns)"
        )

    def test_types_and_shapes(self):
        train = read(payments(), entity="card").train
        n = len(train)
        kinds = {"time": "f8", "numeric": "f4", "categorical": "i8", "labels": "i8", "weights": "f8", "rows": "i8"}
        assert {name: getattr(train, name).dtype.str[1:] for name in kinds} == kinds
        assert train.numeric.shape == train.categorical.shape == (n, 1)
        assert train.entities.dtype == np.int64
        assert list(train.details) == ["card"]
        assert list(train.details.index) == list(range(n))

    def test_subset_keeps_everything_aligned(self):
        whole = read(payments(), entity="card").everything
        part = whole.subset(np.array([7, 3]))
        for name in ("time", "numeric", "categorical", "labels", "entities", "weights", "rows"):
            assert (getattr(part, name) == getattr(whole, name)[[7, 3]]).all()
        assert list(part.details["card"]) == list(whole.details["card"][[7, 3]])
        assert list(part.details.index) == [0, 1]
        assert len(whole.subset(whole.labels == 1)) == (whole.labels == 1).sum()

    def test_labelled_and_days(self):
        whole = read(payments(fraud=[None, "yes", "no", "no"] * 50)).everything
        assert len(whole.labelled) == 150
        assert list(whole.days[:6]) == [0, 0, 0, 0, 1, 1]

    @pytest.mark.parametrize("field", ["labels", "numeric", "details", "entities"])
    def test_unequal_lengths(self, field):
        whole = read(payments()).everything
        with refuses("200 events", field, "one for each"):
            dataclasses.replace(whole, **{field: pd.DataFrame(index=range(3))})

    def test_hand_made(self):
        events = small([0, 1, 5, 6], ["train", "train", "test", "test"], delay=4)
        assert len(events.train) == len(events.test) == 2
        assert len(events.validation) == 0

    def test_times_out_of_order(self):
        with refuses("Event 2", "earlier", "sort"):
            small([0, 2, 1, 6], ["train", "train", "test", "test"])

    def test_splits_that_overlap(self):
        with refuses("test split", "before train ends"):
            small([0, 1, 2, 3, 4], ["train", "train", "test", "train", "test"])
        with refuses("test split", "before train ends"):
            small([0, 1, 1, 3], ["train", "train", "test", "test"])

    def test_gap_that_is_too_short(self):
        with refuses("begins 4 s after training ends", "known 5 s late"):
            small([0, 1, 5, 6], ["train", "train", "test", "test"], delay=5)

    @pytest.mark.parametrize("part", ["validation", "test"])
    def test_known_entity_in_evaluation(self, part):
        split = np.array(["train", "train", "validation", "validation", "test", "test"])
        labels, entities = [0, 1, 0, 1, 0, 1], np.array([1, 2, 3, 4, 5, 6])
        small(range(6), split, labels, entities)
        entities[np.flatnonzero(split == part)[0]] = 2
        with refuses(part, "its entity has a finding in training", "'removed'"):
            small(range(6), split, labels, entities)

    def test_unknown_part(self):
        with refuses("Event 1", "'training'", "train, gap"):
            small([0, 1], ["train", "training"])

    @pytest.mark.parametrize("part", ["train", "test"])
    def test_one_class_in_a_split(self, part):
        labels = {"train": [0, 0, 0, 1], "test": [0, 1, 1, 1]}[part]
        with refuses(f"{part} split", "needs both", "shares"):
            small(range(4), ["train", "train", "test", "test"], labels)

    def test_thin(self):
        frame = payments(900)
        frame["fraud"] = [1 if i % 20 == 4 else (None if i % 20 == 5 else 0) for i in range(900)]
        events = read(frame, entity="card", delay="3D")
        thin = events.thin(4, seed=1)
        before, after = events.counts(), thin.counts()
        assert (after["findings"] == before["findings"]).all()
        assert (after["unlabelled"] == before["unlabelled"]).all()
        for part in ("train", "validation", "test"):
            kept = (thin.part(part).labels == 0).sum()
            assert kept == round((events.part(part).labels == 0).sum() / 4)
            assert thin.part(part).weights.sum() == pytest.approx(before.loc[part, "rows"])
            assert (thin.part(part).weights[thin.part(part).labels != 0] == 1).all()
        assert (after.loc[["gap", "removed"], "rows"] == before.loc[["gap", "removed"], "rows"]).all()
        assert (after["stands_for"] == before["rows"]).all()
        assert "Thinned: one in 4" in notes(thin)
        assert (events.thin(4, seed=1).everything.rows == thin.everything.rows).all()
        assert len(events.thin(4, seed=2).everything) == len(thin.everything)
        assert not np.array_equal(events.thin(4, seed=2).everything.rows, thin.everything.rows)
        assert np.isin(thin.everything.rows, events.everything.rows).all()
        with refuses("ratio is 0.5", "from 1"):
            events.thin(0.5)


class TestSplit:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize(("validation", "test", "delay"), [(0.15, 0.25, 5.0), (0, 0.4, 20.0), (0.3, 0.1, 0)])
    def test_against_plain_loops(self, seed, validation, test, delay):
        rng = np.random.default_rng(seed)
        time = np.sort(rng.integers(0, 100, 300)).astype(float)  # many ties
        labels, entities = rng.choice([-1, 0, 1], 300, p=[0.1, 0.8, 0.1]), rng.integers(0, 90, 300)
        split = remove_known(split_in_time(time, validation, test, delay), labels, entities)
        begin, last = time[round(300 * (1 - validation - test))], time[round(300 * (1 - test))]
        stolen = {e for t, y, e in zip(time, labels, entities, strict=True) if t + delay < begin and y == 1}
        for t, e, part in zip(time, entities, split, strict=True):
            expected = "train" if t + delay < begin else "gap" if t < begin else "validation" if t < last else "test"
            if expected in ("validation", "test") and e in stolen:
                expected = "removed"
            assert part == expected
        assert set(np.unique(entities[split == "removed"])) <= stolen

    def test_without_entities_nothing_is_removed(self):
        events = read(payments())
        assert events.everything.entities is None
        assert len(events.part("removed")) == 0
        assert "No entity was given" in notes(events)
        assert "entities" not in events.counts()

    def test_findings_in_the_gap_remove_nobody(self):
        split, labels = np.array(["train", "gap", "test", "test"]), np.array([0, 1, 0, 1])
        assert list(remove_known(split, labels, np.array([1, 2, 2, 3]))) == list(split)

    def test_equal_times_stay_together(self):
        split = split_in_time(np.repeat([0.0, 1, 2, 3], 25), 0.3, 0.3, 0)
        assert set(split) == {"train", "validation", "test"}
        for value in range(4):
            assert len(np.unique(split[25 * value : 25 * value + 25])) == 1

    @pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.1, 0), (0.5, 0.5), (0.1, 1), (1, 0.1)])
    def test_impossible_shares(self, validation, test):
        with refuses(f"validation share is {validation}", f"test share {test}", "below 1"):
            read(payments(), validation=validation, test=test)

    def test_delay_longer_than_the_table(self):
        with refuses("49.8 days", "30 days", "90 days late", "shorter delay"):
            read(payments(), delay="90D")

    def test_all_events_at_one_moment(self):
        with refuses("No training events", "0 days"):
            read(payments(when=1.0), delay=0)

    def test_no_validation_events(self):
        with refuses("No validation events", "validation=0"):
            read(payments(when=np.repeat([0.0, 1.0], 100)), delay=0, validation=0.1, test=0.4)

    @pytest.mark.parametrize("delay", ["soon", -1, "-3D", np.nan, np.inf])
    def test_delay_that_is_none(self, delay):
        with refuses("delay is", "'7D'"):
            read(payments(), delay=delay)

    def test_delay_in_seconds_or_words(self):
        assert read(payments(), delay=2 * DAY).delay == read(payments(), delay="2D").delay == 2 * DAY

    def test_without_labels(self):
        events = Transactions.from_frame(payments(fraud=None), time="when")
        assert (events.everything.labels == -1).all()
        assert len(events.train.labelled) == 0

    def test_later_rows_change_nothing_in_training(self):
        frame = payments(shop=np.random.default_rng(1).choice(["b", "d", "f"], 200), rank=np.arange(200) % 3)
        changed, late = frame.copy(), frame.index >= 120
        changed.loc[late, "shop"] = [["a", "c", "zz"][i % 3] for i in range(late.sum())]
        changed.loc[late, "amount"] = -5.0
        changed.loc[late, "rank"] = np.arange(late.sum()) + 100
        changed.loc[late, "card"] = np.arange(late.sum()) + 1000
        before, after = (read(table, entity="card") for table in (frame, changed))
        assert before.categories == after.categories
        assert (before.numeric_names, before.categorical_names) == (after.numeric_names, after.categorical_names)
        for name in ("time", "numeric", "categorical", "labels", "entities", "weights", "rows"):
            assert (getattr(before.train, name) == getattr(after.train, name)).all()
        assert (after.test.categorical == 0).all()


class TestTimes:
    def test_unsorted_rows_are_sorted_and_said(self):
        frame = payments()
        shuffled = frame.sample(frac=1, random_state=0)
        events = read(shuffled.reset_index(drop=True))
        assert "sorted" in notes(events)
        assert "sorted" not in notes(read(frame))
        assert (events.everything.time == read(frame).everything.time).all()
        assert (
            shuffled["amount"].to_numpy(np.float32)[events.everything.rows] == events.everything.numeric[:, 1]
        ).all()

    def test_equal_times_keep_their_order(self):
        frame = payments(when=np.repeat(np.arange(50.0), 4))
        assert (read(frame, delay=0).everything.rows == np.arange(200)).all()

    def test_iso_words(self):
        frame = payments()
        words = read(frame.assign(when=frame["when"].dt.strftime("%Y-%m-%dT%H:%M:%S"))).everything
        assert (words.time == read(frame).everything.time).all()

    def test_days_begin_at_midnight(self):
        events = read(payments(when=pd.date_range("2024-03-05 20:00", periods=200, freq="6h")))
        assert events.start == pd.Timestamp("2024-03-05")
        assert list(events.everything.days[:3]) == [0, 1, 1]

    def test_zones_are_put_on_one_clock(self):
        utc = pd.date_range("2024-01-01", periods=200, freq="6h", tz="UTC")
        mixed = [t.tz_convert(zone).isoformat() for t, zone in zip(utc, ["UTC", "Asia/Tokyo"] * 100, strict=True)]
        for when in (utc, utc.tz_convert("America/New_York"), mixed):
            events = read(payments(when=when))
            assert events.start == pd.Timestamp("2024-01-01", tz="UTC")
            assert (np.diff(events.everything.time) == DAY / 4).all()

    def test_zones_beside_none(self):
        when = pd.date_range("2024-01-01", periods=200, freq="6h").map(lambda t: t.isoformat()).to_numpy(dtype=object)
        when[3] += "+02:00"
        with refuses("with a time zone (row 3)", "without (row 0, row 1", "all a zone, or none"):
            read(payments(when=when))

    def test_seconds(self):
        events = read(payments(when=np.arange(200) * 3600), delay="1D")
        assert events.start is None
        assert (events.everything.time == np.arange(200) * 3600).all()

    @pytest.mark.parametrize("bad", ["31/12/2024", "tomorrow", "2024-02-30"])
    def test_unreadable(self, bad):
        when = pd.date_range("2024-01-01", periods=200, freq="6h").astype(str).to_numpy(dtype=object)
        when[[5, 8]] = bad
        with refuses("a when that is not a time", f"row 5: '{bad}', row 8", "2024-01-31"):
            read(payments(when=when))

    @pytest.mark.parametrize("missing", [None, pd.NaT, ""])
    def test_missing(self, missing):
        when = pd.date_range("2024-01-01", periods=200, freq="6h").astype(str).to_numpy(dtype=object)
        when[7] = missing
        with refuses("no when (row 7)", "delete the row"):
            read(payments(when=when))

    def test_infinite(self):
        with refuses("an infinite when (row 199)"):
            read(payments(when=[*range(199), np.inf]))

    def test_dates_written_as_numbers(self):
        when = pd.date_range("2024-01-01", periods=200).strftime("%Y%m%d").astype(int)
        with refuses("'when'", "dates written as numbers", "20240101", "to_datetime"):
            read(payments(when=when))

    def test_milliseconds(self):
        with refuses("'when'", "milliseconds", "divide it by 1000"):
            read(payments(when=1_700_000_000_000 + np.arange(200) * 1000))


class TestLabels:
    @pytest.mark.parametrize(
        ("no", "yes"),
        [(0, 1), (False, True), ("no", "yes"), ("legit", "fraud"), (0.0, 1.0), ("N", "Y"), ("not fraud", "Fraud")],
    )
    def test_two_values(self, no, yes):
        fraud = [yes if i % 9 == 4 else no for i in range(200)]
        assert (read(payments(fraud=fraud)).everything.labels == (np.arange(200) % 9 == 4)).all()

    def test_positive_names_the_finding(self):
        fraud = ["b" if i % 9 == 4 else "a" for i in range(200)]
        with refuses("'fraud'", "'a' and 'b'", "positive=", "whichever"):
            read(payments(fraud=fraud))
        assert read(payments(fraud=fraud), positive="b").everything.labels.sum() == 22
        assert read(payments(), positive=0).everything.labels.sum() == 178
        with refuses("positive is 'c'", "positive='a'"):
            read(payments(fraud=fraud), positive="c")

    @pytest.mark.parametrize("empty", [None, np.nan, "", " "])
    def test_empty_is_unknown(self, empty):
        fraud = [empty if i % 4 == 0 else "yes" if i % 9 == 4 else "no" for i in range(200)]
        labels = read(payments(fraud=fraud)).everything.labels
        assert (labels[::4] == -1).all()
        assert (np.delete(labels, np.arange(0, 200, 4)) >= 0).all()

    def test_minus_one_beside_both_is_unknown(self):
        fraud = np.where(np.arange(200) % 5 == 0, -1, np.arange(200) % 9 == 4)
        assert (read(payments(fraud=fraud)).everything.labels == fraud).all()

    @pytest.mark.parametrize(
        ("fraud", "held", "mend"),
        [
            (["a", "b", "c", "d"] * 50, "holds 4 values ('a', 'b', 'c', 'd')", "merge"),
            ([0] * 200, "holds 1 values ('0')", "add events"),
            ([None] * 200, "no value at all", "label=None"),
        ],
    )
    def test_not_two_values(self, fraud, held, mend):
        with refuses("'fraud'", held, mend):
            read(payments(fraud=fraud))

    @pytest.mark.parametrize(("part", "where"), [("train", slice(150, None)), ("test", slice(100))])
    def test_one_class_in_a_split(self, part, where):
        fraud = np.zeros(200, dtype=int)
        fraud[where] = np.arange(200)[where] % 9 == 4
        with refuses(f"The {part} split", "0 findings", "needs both", "delay"):
            read(payments(fraud=fraud))


class TestColumns:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (np.linspace(0, 1, 30), "number"),
            ([0, 1] * 15, "category"),
            ([0.0, 1.0, np.nan] * 10, "category"),
            (np.arange(10).repeat(3), "category"),
            (np.arange(11).repeat(3), "number"),
            (np.arange(30), "counter"),
            (np.arange(30)[::-1], "number"),
            ([0.5, 1.5] * 15, "number"),
            ([True, False] * 15, "category"),
            (["a", "b", "c"] * 10, "category"),
            (pd.Categorical(["a", "b", "c"] * 10), "category"),
            ([f"id {i}" for i in range(30)], "identifier"),
            ([f"id {i % 15}" for i in range(30)], "category"),
            (["2024-01-01", "2023-05-09 10:00"] * 15, "date"),
            (["31/12/2024"] * 15 + ["1.2.2024"] * 15, "date"),
            (pd.date_range("2024", periods=30), "date"),
            ([5] * 30, "constant"),
            ([None] * 30, "constant"),
            (["x"] * 30, "constant"),
            (["x", None] * 15, "category"),
        ],
    )
    def test_kinds(self, values, kind):
        assert kind_of(pd.Series(values)) == kind

    def test_what_is_no_input_is_kept_and_said(self):
        extra = {
            "opened": pd.date_range("2020-01-01", periods=200),
            "id": [f"P{i:04d}" for i in range(200)],
            "row": np.arange(200) + 7,
            "currency": "EUR",
            "paid": [True, False] * 100,
            "level": [1, 2, 3, 4] * 50,
        }
        events = read(payments(**extra), entity="card")
        assert events.numeric_names == ("amount",)
        assert events.categorical_names == ("shop", "paid", "level")
        assert events.categories[1:] == (("False", "True"), ("1", "2", "3", "4"))
        assert list(events.train.details) == ["card", "opened", "id", "row", "currency"]
        for said in ("'opened' holds dates", "'id' is text", "'row' counts the rows", "'currency' has one value"):
            assert said in notes(events)

    def test_named_columns(self):
        events = read(payments(code=np.arange(200) % 50), numeric=["amount"], categorical=["code"])
        assert events.numeric_names == ("amount",)
        assert events.categorical_names == ("code",)
        assert list(events.train.details) == ["card", "shop"]
        only = read(payments(), categorical=["shop"])
        assert only.numeric_names == ()
        assert only.train.numeric.shape == (len(only.train), 0)

    def test_named_column_that_is_constant(self):
        events = read(payments(fee=1.0), numeric=["amount", "fee"], categorical=["shop"])
        assert events.numeric_names == ("amount",)
        assert "'fee' has one value" in notes(events)

    def test_missing_numbers_stay_missing_and_are_counted(self):
        amount = np.linspace(1, 2, 200)
        amount[::10] = np.nan
        events = read(payments(amount=amount))
        assert np.isnan(events.everything.numeric[:, 1]).sum() == 20
        assert "'amount' is missing in 20 rows" in notes(events)

    def test_missing_and_unseen_categories_have_code_0(self):
        shop = np.array(["food", "fuel"] * 100, dtype=object)
        shop[::20], shop[[190, 195]] = None, "moon"
        events = read(payments(shop=shop)).everything
        assert (events.categorical[::20, 0] == 0).all()
        assert (events.categorical[[190, 195], 0] == 0).all()
        assert (events.categorical[:, 0] == 0).sum() == 12
        said = notes(read(payments(shop=shop)))
        assert "missing in 10 rows" in said
        assert "in 2 rows that no training row has ('moon')" in said

    def test_codes_stand_for_categories(self):
        frame = payments()
        events = read(frame)
        assert [events.categories[0][code - 1] for code in events.everything.categorical[:, 0]] == list(frame["shop"])

    def test_blanks_do_not_make_another_category(self):
        frame = payments().rename(columns={"shop": " shop "})
        frame[" shop "] = [f" {shop}" if i % 2 else f"{shop} " for i, shop in enumerate(frame[" shop "])]
        assert read(frame).categories == (("food", "fuel", "travel"),)

    def test_entities_are_numbered_by_first_event(self):
        events = read(payments(card=[f"c{(7 * i) % 60}" for i in range(200)]), entity="card").everything
        assert list(events.entities[:3]) == [0, 1, 2]
        assert list(events.details["card"][:2]) == ["c0", "c7"]
        assert events.entities.max() == 59

    def test_weights(self):
        events = read(payments(w=np.linspace(1, 2, 200)), weight="w")
        assert events.everything.weights == pytest.approx(np.linspace(1, 2, 200))
        assert "w" not in (*events.numeric_names, *events.everything.details)
        assert "stands_for" in events.counts()

    def test_words_of_numbers(self):
        assert list(words_of(pd.Series([1.0, 2.5, None]))) == ["1", "2.5", None]
        assert list(words_of(pd.Series([True, False]))) == ["True", "False"]

    def test_numbers_among_objects(self):
        amount = [Decimal(i) / 4 if i % 5 else None for i in range(200)]
        events = read(payments(amount=pd.Series(amount, dtype=object)), entity="card")
        assert events.numeric_names == ("amount",)
        assert events.everything.numeric[1, 0] == 0.25

    @pytest.mark.parametrize(
        "convert",
        [
            lambda frame: frame.convert_dtypes(),
            lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
            lambda frame: frame.astype(object),
            lambda frame: frame.astype({"shop": "category", "fraud": "category"}),
        ],
        ids=["nullable", "arrow", "object", "category"],
    )
    def test_every_way_pandas_stores_them(self, convert):
        frame = payments(
            shop=["a", None, "b", "c"] * 50,
            amount=[None if i % 7 == 0 else i / 3 for i in range(200)],
            level=[1, 2, None, 4] * 50,
            paid=[True, False, None, True] * 50,
        )
        plain, other = read(frame), read(convert(frame))
        assert other.numeric_names == plain.numeric_names == ("card", "amount")
        assert other.categories == plain.categories == (("a", "b", "c"), ("1", "2", "4"), ("False", "True"))
        for name in ("time", "numeric", "categorical", "labels"):
            mine, theirs = (getattr(events.everything, name) for events in (plain, other))
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs, equal_nan=name == "numeric")

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_lists_in_cells(self, kind):
        tags = pd.Series([kind([i % 3]) if i % 4 else None for i in range(200)], dtype=object)
        events = read(payments(tags=tags), entity="card")
        assert events.categories[1] == tuple(str(kind([i])) for i in range(3))
        assert (events.everything.categorical[::4, 1] == 0).all()


class TestRepeated:
    def test_repeated_rows_are_removed_and_said(self):
        frame = payments()
        events = read(pd.concat([frame, frame.iloc[[5, 5, 9]]]), entity="card")
        assert len(events.everything) == 200
        assert "3 rows that repeat another in every column were removed (row 200, row 201, row 202)" in notes(events)
        assert (events.everything.rows == np.arange(200)).all()

    def test_missing_values_repeat_too(self):
        frame = payments(amount=np.where(np.arange(200) == 5, np.nan, np.arange(200) / 7))
        assert len(read(pd.concat([frame, frame.iloc[[5]]])).everything) == 200

    def test_one_column_that_differs_keeps_both(self):
        frame = payments()
        assert len(read(pd.concat([frame, frame.iloc[[5]].assign(amount=1.0)])).everything) == 201

    def test_the_row_with_a_label_stays(self):
        frame = payments(fraud=[None] + ["yes" if i % 9 == 4 else "no" for i in range(199)])
        events = read(pd.concat([frame, frame.iloc[[0]].assign(fraud="no")])).everything
        assert len(events) == 200
        assert events.rows[0] == 200
        assert events.labels[0] == 0

    def test_different_labels_are_refused(self):
        frame = payments()
        with refuses("equal rows with different values of fraud (row 5, row 200)", "correct the label"):
            read(pd.concat([frame, frame.iloc[[5]].assign(fraud=1 - frame["fraud"][5])]))


class TestLeaks:
    def quiet(self, frame, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read(frame, **options)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_number(self, sign):
        frame = payments(600)
        frame["loss"] = sign * frame["fraud"] * 10 + np.random.default_rng(3).random(600)
        with pytest.warns(UserWarning, match="'loss' alone tells the label in training"):
            events = read(frame)
        assert "'loss' alone tells" in notes(events)
        assert "loss" in events.numeric_names

    def test_category(self):
        frame = payments(600)
        frame["status"] = np.where(frame["fraud"] == 1, "blocked", np.random.default_rng(3).choice(["a", "b"], 600))
        with pytest.warns(UserWarning, match="'status'"):
            read(frame)

    def test_missing_only_where_there_is_no_finding(self):
        frame = payments(600)
        frame["refund"] = np.where(frame["fraud"] == 1, np.random.default_rng(3).random(600), np.nan)
        with pytest.warns(UserWarning, match="'refund'"):
            read(frame)

    def test_good_columns_are_no_leak(self):
        frame = payments(600)
        frame["score"] = frame["fraud"] * 2 + np.random.default_rng(3).normal(size=600)
        self.quiet(frame)

    def test_many_rare_values_are_no_leak(self):
        frame = payments(2000, fraud=(np.random.default_rng(1).random(2000) < 0.02).astype(int))
        frame["shop"] = [f"s{i}" for i in np.random.default_rng(2).integers(0, 600, 2000)]
        events = self.quiet(frame)
        assert events.categorical_names == ("shop",)

    def test_too_few_findings_to_judge(self):
        frame = payments(fraud=(np.arange(200) % 20 == 4).astype(int))
        frame["loss"] = frame["fraud"] * 10 + np.random.default_rng(3).random(200)
        self.quiet(frame)


class TestFiles:
    def test_csv(self, tmp_path):
        path = tmp_path / "my payments.csv"
        frame = payments(shop=["food", "fuel, diesel"] * 100)
        path.write_text("\ufeff" + frame.to_csv(index=False) + "\n\n", encoding="utf-8")
        events = Transactions.from_csv(path, time="when", label="fraud", entity="card")
        assert (events.name, events.data_card.title) == ("my payments", "Table my payments.csv")
        assert events.categories == (("food", "fuel, diesel"),)
        whole, memory = events.everything, read(frame, entity="card").everything
        assert (whole.time == memory.time).all()
        assert whole.numeric == pytest.approx(memory.numeric)
        assert (whole.rows == np.arange(200) + 2).all()

    def test_parquet(self, tmp_path):
        path = tmp_path / "payments.parquet"
        payments().to_parquet(path)
        events = Transactions.from_parquet(path, "when", label="fraud", title="Mine", test=0.4)
        assert (events.name, events.data_card.title) == ("payments", "Mine")
        assert (events.everything.numeric == read(payments()).everything.numeric).all()

    def test_lines_are_named(self, tmp_path):
        path = tmp_path / "payments.csv"
        frame = payments(amount=[str(i) for i in range(200)])
        frame.loc[[3, 8], "amount"] = "12 EUR"
        frame.to_csv(path, index=False)
        with refuses("payments.csv", "amount that is not a number", "line 5: '12 EUR', line 10", "categorical"):
            Transactions.from_csv(path, "when", label="fraud", numeric=["amount"])

    @pytest.mark.parametrize("name", ["gone.csv", "gone.parquet"])
    def test_no_file(self, tmp_path, name):
        with refuses("There is no table", name, "mend its path"):
            Transactions.from_csv(tmp_path / name, "when")

    @pytest.mark.parametrize(("name", "mend"), [("x.csv", "comma-separated"), ("x.parquet", "Parquet")])
    def test_not_a_table(self, tmp_path, name, mend):
        (tmp_path / name).write_bytes(b'\xff\xfe\x00"broken\n1,2,3\n')
        with refuses(name, "cannot be read", mend):
            Transactions.from_csv(tmp_path / name, "when")

    def test_empty_file(self, tmp_path):
        (tmp_path / "x.csv").write_text("when,fraud\n")
        with refuses("x.csv has no rows"):
            Transactions.from_csv(tmp_path / "x.csv", "when")


class TestBadTables:
    def test_no_frame(self):
        with refuses("The table is a list", "pandas DataFrame"):
            read([1, 2])

    def test_no_rows(self):
        with refuses("The table has no rows"):
            read(payments().iloc[:0])

    def test_two_columns_of_one_name(self):
        with refuses("two columns called 'amount'", "rename"):
            read(payments().rename(columns={"card": "amount"}))

    @pytest.mark.parametrize("role", ["time", "label", "entity", "weight"])
    def test_missing_column(self, role):
        with refuses("no column 'nope'", "'when', 'card', 'amount', 'shop', 'fraud'", "name the right one"):
            read(payments(), **{role: "nope"})
        with refuses("no column 'nope'"):
            read(payments(), numeric=["amount", "nope"])

    @pytest.mark.parametrize(
        "options",
        [
            {"numeric": ["amount", "amount"]},
            {"numeric": ["amount"], "categorical": ["amount"]},
            {"numeric": ["amount", "fraud"]},
            {"categorical": ["when"]},
            {"entity": "fraud"},
        ],
    )
    def test_column_with_two_roles(self, options):
        with refuses("named twice", "one role"):
            read(payments(), **options)

    def test_word_in_place_of_a_list(self):
        with refuses("numeric is 'amount'", "['amount']"):
            read(payments(), numeric="amount")

    @pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
    def test_infinite(self, value):
        amount = np.linspace(1, 2, 200)
        amount[6] = value
        with refuses("an infinite amount (row 6", "leave it empty"):
            read(payments(amount=amount))

    def test_words_listed_as_numbers(self):
        with refuses("shop that is not a number (row 0: ", "categorical"):
            read(payments(), numeric=["shop"])

    def test_dates_listed_as_numbers(self):
        with refuses("'opened'", "holds dates", "days"):
            read(payments(opened=pd.date_range("2020-01-01", periods=200)), numeric=["opened"])

    def test_missing_entity(self):
        with refuses("no card (row 4)", "entity="):
            read(payments(card=[None if i == 4 else f"c{i}" for i in range(200)]), entity="card")

    @pytest.mark.parametrize("value", [0, -1, None])
    def test_weight_that_is_not_above_0(self, value):
        with refuses("a w that is not above 0 (row 2", "mend it"):
            read(payments(w=pd.Series([value if i == 2 else 1.5 for i in range(200)], dtype=float)), weight="w")

    def test_nothing_to_learn_from(self):
        with refuses("no column to learn from"):
            read(payments(amount=None, shop=None, card=None))


class TestWithoutTime:
    """Tables of borrowers and the like say nothing of when; they are split at random."""

    @staticmethod
    def people(n: int = 400, each: int = 1) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        who = np.repeat(np.arange(n // each), each)
        return pd.DataFrame({"who": who, "amount": rng.random(n).round(6), "paid": rng.random(n) < 0.5})

    def test_rows_are_split_at_random_and_the_card_says_so(self):
        frame = self.people()
        split = Transactions.from_frame(frame, None, "paid", positive=True, validation=0)
        assert not split.timed and split.delay == 0 and (split.split == "test").sum() == 100
        assert "gap" not in split.split
        assert not (np.diff(split.everything.rows[split.split == "test"]) > 0).all(), "not the last rows"
        assert any("no time: rows were split at random" in said for said in split.data_card.known_problems)
        assert "no time, split at random" in split._repr_html_()
        again = Transactions.from_frame(frame, None, "paid", positive=True, validation=0)
        assert (again.everything.rows == split.everything.rows).all()
        assert frame["amount"][split.everything.rows].to_numpy() == pytest.approx(split.everything.numeric[:, 0])

    def test_rows_of_one_entity_stay_together(self):
        split = Transactions.from_frame(self.people(each=4), None, "paid", entity="who", positive=True, validation=0.2)
        parts = [set(split.part(name).entities) for name in ("train", "validation", "test")]
        assert not parts[0] & parts[1] and not parts[1] & parts[2] and not parts[0] & parts[2]
        assert "those of one who together" in " ".join(split.data_card.known_problems)
        assert not (split.split == "removed").any()

    def test_what_repeats_is_kept_once_and_contradictions_are_refused(self):
        frame = self.people()
        twice = pd.concat([frame, frame.iloc[:3]], ignore_index=True)
        assert len(Transactions.from_frame(twice, None, "paid", positive=True).everything) == 400
        twice.loc[400, "paid"] = ~twice.loc[400, "paid"]
        with refuses("equal rows with different values of paid"):
            Transactions.from_frame(twice, None, "paid", positive=True)
