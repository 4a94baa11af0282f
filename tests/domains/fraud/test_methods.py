"""Codes of payments, which know nothing of what comes later, and draws of frauds."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sslbook.data.sequences import DAY
from sslbook.domains.fraud.data import Transactions
from sslbook.domains.fraud.methods import GAP_BINS, draw_findings, event_codes
from tests.conftest import refuses


def visits(n: int = 400, seed: int = 0, **columns) -> pd.DataFrame:
    """n events of 23 customers over about 50 days; some numbers are missing."""
    rng = np.random.default_rng(seed)
    frame = {
        "when": pd.Timestamp("2024-03-06 04:00") + pd.to_timedelta(np.sort(rng.integers(0, 50 * DAY, n)), unit="s"),
        "who": rng.integers(0, 23, n),
        "paid": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(3, 1, n)),
        "age": rng.normal(40, 9, n),
        "shop": rng.choice(["food", "fuel", "travel"], n),
        "fraud": (np.arange(n) % 7 == 3).astype(int),
    }
    return pd.DataFrame(frame | columns)


def table_of(frame: pd.DataFrame, **options) -> Transactions:
    columns = {"numeric": ["paid", "age"], "categorical": ["shop"]}
    return Transactions.from_frame(frame, time="when", label="fraud", **{"entity": "who", **columns, **options})


class TestCodes:
    def test_when_an_event_was(self):
        events = table_of(visits())
        codes, fields = event_codes(events)
        assert list(fields) == ["gap", "weekday", "hour", "shop", "paid", "age"]
        frame = visits()
        assert codes[:, 1].tolist() == frame["when"].dt.day_of_week.tolist()
        assert codes[:, 2].tolist() == frame["when"].dt.hour.tolist()
        for row, code in enumerate(codes[:, 0]):
            before = frame["when"][:row][frame["who"][:row] == frame["who"][row]]
            hours = (frame["when"][row] - before.iloc[-1]) / pd.Timedelta("1h") if len(before) else np.inf
            assert code == sum(hours >= edge for edge in GAP_BINS)

    def test_every_code_is_below_its_count(self):
        codes, fields = event_codes(table_of(visits()))
        assert codes.dtype == np.int16
        assert (codes >= 0).all() and (codes < list(fields.values())).all()
        assert fields["shop"] == 4 and fields["weekday"] == 7 and fields["hour"] == 24

    def test_missing_numbers_and_unseen_words_have_code_0(self):
        frame = visits()
        frame.loc[390:, "shop"] = "casino"
        events = table_of(frame)
        codes, _ = event_codes(events)
        assert ((codes[:, 4] == 0) == np.isnan(events.everything.numeric[:, 0])).all()
        assert (codes[:, 4] == 0).sum() > 10 and (codes[:, 5] > 0).all()
        assert (codes[390:, 3] == 0).all() and (codes[:250, 3] > 0).all()

    def test_bins_rise_with_the_number_and_hold_alike_many(self):
        events = table_of(visits(6000, who=np.arange(6000) % 2000))
        codes, fields = event_codes(events)
        age, bins = events.everything.numeric[:, 1], codes[:, 5]
        assert (np.diff(bins[np.argsort(age)]) >= 0).all()
        share = np.bincount(bins[events.split == "train"], minlength=fields["age"]) / len(events.train)
        assert share[5:-5] == pytest.approx(np.full(len(share) - 10, 0.94 / 23), abs=0.01)
        assert max(share[1:4]) < 0.01 and max(share[-3:]) < 0.01, "the tails have bins of their own"

    def test_few_values_have_a_bin_each(self):
        codes, fields = event_codes(table_of(visits(age=np.arange(400) % 3)))
        assert len(np.unique(codes[:, 5])) == 3
        assert fields["age"] == 5

    def test_codes_of_training_do_not_know_later_rows(self):
        frame = visits()
        events = table_of(frame)
        late = np.flatnonzero(events.split != "train")
        changed = frame.copy()
        changed.loc[late, "paid"], changed.loc[late, "age"], changed.loc[late, "shop"] = 1e4, -50.0, "fuel"
        (before, fields), (after, again) = event_codes(events), event_codes(table_of(changed))
        assert fields == again
        assert np.array_equal(before[events.split == "train"], after[events.split == "train"])
        assert (after[late, 4] == fields["paid"] - 1).all() and (after[late, 5] == 1).all()

    def test_seconds_serve_as_times(self):
        frame = visits()
        seconds = (frame["when"] - pd.Timestamp("2024-03-04")) / pd.Timedelta("1s")  # a Monday
        by_date, by_second = (event_codes(table_of(f))[0] for f in (frame, frame.assign(when=seconds)))
        assert np.array_equal(by_date, by_second)

    def test_without_entity(self):
        with refuses("own table does not say of each event when it was and whom it is of", "entity="):
            event_codes(table_of(visits(), entity=None))

    def test_more_codes_than_fit(self):
        events = table_of(visits())
        crowded = dataclasses.replace(events, categories=(tuple(f"shop {i}" for i in range(40_000)),))
        with refuses("Column 'shop' of own table has 40,001 codes", "group rare values"):
            event_codes(crowded)


def stolen_cards() -> tuple[np.ndarray, np.ndarray]:
    """Rows of 100 cards, ten each; the first twelve are stolen, and one to five of their rows are fraud."""
    cards = np.random.default_rng(0).permutation(np.repeat(np.arange(100), 10))
    number = pd.Series(cards).groupby(cards).cumcount().to_numpy()
    return ((cards < 12) & (number <= cards % 5)).astype(int), cards


@pytest.mark.parametrize("budget", [2, 5, 11, 12])
def test_a_draw_of_findings_holds_whole_cards_and_rows_of_clean_ones(budget):
    labels, cards = stolen_cards()
    index = draw_findings(labels, budget, draw=3, groups=cards, negatives=200)
    assert len(index) == len(set(index))
    frauds, others = index[labels[index] == 1], index[labels[index] == 0]
    assert len(set(cards[frauds])) == budget
    assert set(frauds) == set(np.flatnonzero(np.isin(cards, cards[frauds]) & (labels == 1))), "all frauds of a card"
    assert len(others) == 200 and cards[others].min() >= 12, "what is not known to be fraud does not pass for clean"
    again, other = (draw_findings(labels, budget, draw, cards, 200) for draw in (3, 4))
    assert np.array_equal(index, again)
    assert (set(index) == set(other)) is (budget == 12), "all findings are drawn in one way"


def test_a_larger_budget_of_findings_holds_the_smaller_one():
    labels, cards = stolen_cards()
    small, large = (set(draw_findings(labels, budget, 1, cards, negatives=50)) for budget in (3, 8))
    assert small < large


def test_findings_without_groups_and_fewer_clean_rows_than_asked_for():
    labels = (np.arange(50) < 20).astype(int)
    index = draw_findings(labels, 5, draw=0, negatives=1000)
    assert labels[index].sum() == 5 and set(index[labels[index] == 0]) == set(range(20, 50))


@pytest.mark.parametrize(
    ("budget", "negatives", "message"),
    [
        (13, 100, "budget of 13 exceeds the 12 groups with a finding; use a smaller budget"),
        (1, 100, "budget of 1 groups with a finding leaves none to validate on; use 2 or more"),
        (5, 1, "1 rows of groups without a finding are too few; give 2 or more"),
    ],
)
def test_findings_that_cannot_be_drawn(budget, negatives, message):
    labels, cards = stolen_cards()
    with pytest.raises(ValueError, match=message):
        draw_findings(labels, budget, 0, cards, negatives)
