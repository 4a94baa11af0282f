"""Histories and days of entities, against loops; codes that know nothing of what comes later; draws of frauds."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from sslbook.data.card import own_data_card
from sslbook.data.sequences import EntityDays, histories, last_events, time_since_last
from sslbook.domains.fraud.data import Transactions
from sslbook.domains.fraud.methods import GAP_BINS, draw_findings, event_codes
from sslbook.domains.shop.data import Interactions, item_histories
from tests.conftest import refuses

DAY = 86400


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


def some_events(n: int = 300, seed: int = 0, owners: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, 3), the first of which numbers the events, and whom they are of; two owners have none."""
    rng = np.random.default_rng(seed)
    owner = rng.choice(np.setdiff1d(np.arange(owners), [3, 7]), n)
    owner[-1] = owners - 1
    return np.column_stack([np.arange(n), rng.integers(0, 9, n), rng.integers(0, 4, n)]), owner


class TestHistories:
    def test_against_loops(self):
        codes, owner = some_events()
        sequences, rows = histories(codes, owner)
        assert sequences.dtype == np.int16
        assert sequences.shape == (17, max(np.bincount(owner)), 3) and rows.shape == sequences.shape[:2]
        for i in range(17):
            mine = [k for k in range(300) if owner[k] == i]
            assert rows[i].tolist() == mine + [-1] * (rows.shape[1] - len(mine))
            assert sequences[i, : len(mine)].tolist() == codes[mine].tolist()
            assert (sequences[i, len(mine) :] == -1).all()

    def test_every_event_is_in_one_history(self):
        codes, owner = some_events()
        rows = histories(codes, owner)[1]
        assert sorted(rows[rows >= 0]) == list(range(300))

    def test_of_long_histories_the_last_events_are_kept(self):
        codes, owner = some_events()
        sequences, rows = histories(codes, owner, longest=18)
        assert sequences.shape == (17, 18, 3) and rows.shape == (17, 18)
        assert max(np.bincount(owner)) > 18 > min(np.bincount(owner)[np.unique(owner)])
        for i in range(17):
            mine = [k for k in range(300) if owner[k] == i][-18:]
            assert rows[i].tolist() == mine + [-1] * (18 - len(mine))
            assert sequences[i, : len(mine)].tolist() == codes[mine].tolist()
        for all_of_it in (None, 300):
            assert np.array_equal(histories(codes, owner, all_of_it)[0], histories(codes, owner)[0])

    def test_rows_that_no_history_holds_have_no_events(self):
        codes, owner = some_events()
        sequences, rows = histories(codes, owner, longest=9)
        gone = np.setdiff1d(np.arange(rows.max()), rows)
        assert len(gone) > 50 and (last_events(sequences, rows, gone, 5) == -1).all()
        others = np.flatnonzero((owner != 4) & (np.arange(300) < rows[4].max()))
        assert (last_events(sequences[[4]], rows[[4]], others, 5) == -1).all()
        assert (last_events(sequences[[4]], rows[[4]], rows[4, :2], 5)[:, 0, 0] == rows[4, 0]).all()

    @pytest.mark.parametrize("length", [1, 4, 200])
    def test_last_events_end_with_the_row_asked_for(self, length):
        codes, owner = some_events()
        wanted = np.random.default_rng(1).permutation(300)[:120]
        taken = last_events(*histories(codes, owner), wanted, length)
        assert taken.shape == (120, length, 3) and taken.dtype == np.int16
        for row, history in zip(wanted, taken, strict=True):
            mine = [k for k in range(row + 1) if owner[k] == owner[row]][-length:]
            assert history[: len(mine)].tolist() == codes[mine].tolist()
            assert history[len(mine) - 1, 0] == row
            assert (history[len(mine) :] == -1).all()

    def test_last_events_do_not_know_later_ones(self):
        codes, owner = some_events()
        later = codes.copy()
        later[150:] = 5
        wanted = np.arange(150)
        before, after = (last_events(*histories(c, owner), wanted, 12) for c in (codes, later))
        assert np.array_equal(before, after)
        assert np.array_equal(before, last_events(*histories(codes[:150], owner[:150]), wanted, 12))


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

    def test_a_gap_of_the_first_event_is_a_month(self):
        since = time_since_last(np.array([0.0, 5.0, 7.0, 90.0]), np.array([1, 0, 1, 1]))
        assert since.tolist() == [30 * DAY, 30 * DAY, 7, 83]

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
        with refuses("own table says of no event whom it is of", "entity="):
            event_codes(table_of(visits(), entity=None))

    def test_more_codes_than_fit(self):
        events = table_of(visits())
        crowded = dataclasses.replace(events, categories=(tuple(f"shop {i}" for i in range(40_000)),))
        with refuses("Column 'shop' of own table has 40,001 codes", "group rare values"):
            event_codes(crowded)


class TestEntityDays:
    """Against loops over entities and days."""

    def setup_method(self):
        rng = np.random.default_rng(0)
        self.entities = np.concatenate([rng.integers(0, 6, 120), [0, 5]])
        self.dates = np.sort(np.concatenate([rng.integers(0, 45, 120), [0, 44]]))
        self.values = rng.normal(size=122)
        self.days = EntityDays(self.entities, self.dates)

    def of(self, entity: int, first: int, last: int) -> np.ndarray:
        """Events of an entity on the days from first to last."""
        return np.flatnonzero((self.entities == entity) & (self.dates >= first) & (self.dates <= last))

    def test_one_row_per_entity_and_day_with_an_event(self):
        pairs = sorted(set(zip(self.entities.tolist(), self.dates.tolist(), strict=True)))
        assert list(zip(self.days.entity.tolist(), self.days.day.tolist(), strict=True)) == pairs
        assert len(self.days) == len(pairs)
        assert self.days.shape == (6, 45)

    def test_last_is_the_last_event_of_the_day(self):
        expected = [self.of(e, d, d)[-1] for e, d in zip(self.days.entity, self.days.day, strict=True)]
        assert self.days.last.tolist() == expected

    def test_total_and_largest(self):
        total, largest = self.days.total(self.values), self.days.largest(self.values)
        for e, d in np.ndindex(6, 45):
            assert total[e, d] == pytest.approx(self.values[self.of(e, d, d)].sum())
        pairs = list(zip(self.days.entity, self.days.day, strict=True))
        assert largest.tolist() == [self.values[self.of(e, d, d)].max() for e, d in pairs]
        assert self.days.at(total).tolist() == [total[e, d] for e, d in pairs]

    @pytest.mark.parametrize(("span", "lag"), [(1, 0), (7, 0), (30, 3), (60, 1), (3, 50)])
    def test_window(self, span, lag):
        window = self.days.window(self.days.total(self.values), span, lag)
        for e, d in np.ndindex(6, 45):
            mine = self.of(e, d - lag - span + 1, d - lag)
            assert window[e, d] == pytest.approx(self.values[mine].sum(), abs=1e-12)

    def test_deviations(self):
        values = np.stack([self.values, np.abs(self.values)], axis=1)
        found = self.days.deviations(values)
        assert found.shape == (len(self.days), 12) and found.dtype == np.float32
        for row, e, d in zip(found, self.days.entity, self.days.day, strict=True):
            today, month = self.of(e, d, d), self.of(e, d - 32, d - 3)
            expected = []
            for column in values.T:
                habit = column[month].sum() / max(len(month), 1)
                spans = [self.of(e, d - span + 1, d) for span in (1, 3, 7)]
                expected += [column[today].max(), column[today].mean()]
                expected += [column[mine].sum() - habit * len(mine) for mine in spans]
                expected += [column[spans[1]].sum()]
            assert row == pytest.approx(expected, abs=1e-5)

    def test_later_events_change_no_earlier_day(self):
        values = self.values[:, None]
        early = self.dates < 30
        cut = EntityDays(self.entities[early], self.dates[early])
        assert np.array_equal(cut.deviations(values[early]), self.days.deviations(values)[self.days.day < 30])

    def test_days_may_count_from_anywhere(self):
        far = EntityDays(self.entities, self.dates + 19_000)
        assert far.shape == self.days.shape, "a column per day since 1970 would not fit into memory"
        assert (far.day == self.days.day + 19_000).all() and (far.entity == self.days.entity).all()
        values = self.values[:, None]
        assert np.array_equal(far.deviations(values), self.days.deviations(values))
        assert (EntityDays(self.entities, self.dates - 5).day == self.days.day - 5).all()


@pytest.mark.parametrize("longest", [1, 3, 10])
def test_the_last_items_of_every_user(longest):
    rng = np.random.default_rng(0)
    users = np.sort(rng.integers(6, size=25))
    users[users == 4] = 3  # user 4 did nothing
    items, time = rng.integers(9, size=25), np.arange(25.0)
    names = np.arange(9).astype(str)
    log = Interactions(users, items, time, np.arange(25), names[:6], names, own_data_card("mine", "My shop", ()))
    for user, row in enumerate(item_histories(log, longest)):
        last = items[users == user][-longest:].tolist()
        assert row.tolist() == last + [-1] * (longest - len(last))


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
