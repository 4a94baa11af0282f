"""Histories and days of entities, against loops."""

import numpy as np
import pytest

from sslbook.data.sequences import DAY, EntityDays, histories, last_events, time_since_last


def test_a_gap_of_the_first_event_is_a_month():
    since = time_since_last(np.array([0.0, 5.0, 7.0, 90.0]), np.array([1, 0, 1, 1]))
    assert since.tolist() == [30 * DAY, 30 * DAY, 7, 83]


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
