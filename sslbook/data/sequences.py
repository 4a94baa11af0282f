"""From events to sequences: one per entity, and one row per entity and day."""

from functools import cached_property

import numpy as np
import pandas as pd

DAY = 86400  # seconds


def time_since_last(time: np.ndarray, entities: np.ndarray) -> np.ndarray:
    """Seconds since the previous event of the same entity; a month for its first one."""
    return pd.Series(time).groupby(entities).diff().fillna(30 * DAY).to_numpy()


def histories(codes: np.ndarray, entities: np.ndarray, longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Put the events of each entity side by side.

    Parameters
    ----------
    codes : int array (n, fields), events in time order.
    entities : int array (n,), codes from 0.
    longest : of longer histories only so many of the last events are kept; None keeps all.

    Returns
    -------
    sequences : int16 array (entities, longest, fields), -1 after the last event of an entity.
    rows : int array (entities, longest), the row of ``codes`` that each event is, -1 after the last.
    """
    by_entity = pd.Series(entities).groupby(entities)
    place = by_entity.cumcount().to_numpy()
    if longest is not None:
        place = place - np.maximum(by_entity.transform("size").to_numpy() - longest, 0)
    rows = np.full((entities.max() + 1, place.max() + 1), -1)
    rows[entities[place >= 0], place[place >= 0]] = np.flatnonzero(place >= 0)
    sequences = codes[rows].astype(np.int16, copy=False)
    np.copyto(sequences, -1, where=(rows < 0)[..., None])  # in place: histories of long tables fill the memory
    return sequences, rows


def last_events(sequences: np.ndarray, rows: np.ndarray, wanted: np.ndarray, length: int) -> np.ndarray:
    """The ``length`` events of an entity that end with each wanted row, padded with -1 behind a shorter history.

    Parameters
    ----------
    sequences, rows : from ``histories``.
    wanted : int array (n,), rows of the table of events.

    Returns
    -------
    int16 array (n, length, fields), -1 throughout where no history holds the row.
    """
    entity, place = np.nonzero(rows >= 0)
    position = np.full((rows.max() + 1, 2), -1)
    position[rows[entity, place]] = np.stack([entity, place], axis=1)
    entity, end = position[wanted].T
    begin = np.maximum(end - length + 1, 0)
    place = begin[:, None] + np.arange(length)
    taken = sequences[entity[:, None], np.minimum(place, sequences.shape[1] - 1)]
    return np.where((place <= end[:, None])[..., None], taken, -1)


class EntityDays:
    """The days on which each entity had an event, and sums over days.

    Dense arrays have one row per entity and one column per day from the first one on; ``at`` picks the days with events
    out of them.

    Parameters
    ----------
    entities, days : int arrays (n,), of each event.

    Attributes
    ----------
    entity, day : int arrays (m,), one per entity and day with an event, by entity and then by day.
    last : int array (m,), the last event of that day.
    """

    def __init__(self, entities: np.ndarray, days: np.ndarray):
        first = int(days.min())
        self.shape = (int(entities.max()) + 1, int(days.max()) - first + 1)
        self.cell = entities * self.shape[1] + days - first
        self.active, first_reversed = np.unique(self.cell[::-1], return_index=True)
        self.last = len(entities) - 1 - first_reversed
        self.entity, self.day = self.active // self.shape[1], self.active % self.shape[1] + first

    def __len__(self) -> int:
        return len(self.active)

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.cell, kind="stable")
        return order, np.searchsorted(self.cell[order], self.active)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum of the values of the events of each day, dense."""
        return np.bincount(self.cell, values, np.prod(self.shape)).reshape(self.shape)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Largest value of the events of each day with events, shape (m,)."""
        order, starts = self._order
        return np.maximum.reduceat(values[order], starts)

    def window(self, dense: np.ndarray, days: int, lag: int = 0) -> np.ndarray:
        """Sum over ``days`` days, of which the last is ``lag`` days ago, dense."""
        sums = np.cumsum(np.pad(dense, ((0, 0), (1, 0))), axis=1)
        until = np.maximum(np.arange(self.shape[1]) + 1 - lag, 0)
        return sums[:, until] - sums[:, np.maximum(until - days, 0)]

    def at(self, dense: np.ndarray) -> np.ndarray:
        """Values of a dense array on the days with events, shape (m,)."""
        return dense.ravel()[self.active]

    def deviations(self, values: np.ndarray) -> np.ndarray:
        """How each day differs from the habits of its entity, for every column of values.

        Parameters
        ----------
        values : float array (n, k), of each event.

        Returns
        -------
        float32 array (m, 6 k): of each column the largest and the mean of the day, and how far its sum over 1, 3 and 7
        days is above what as many events had in the 30 days before the last 3; and the sum over 3 days.
        """
        count = self.total(np.ones(len(values)))
        earlier = self.window(count, 30, lag=3)
        found = np.empty((len(self), 6 * values.shape[1]), np.float32)
        for i, column in enumerate(values.T):
            total = self.total(column)
            habit = self.window(total, 30, lag=3) / np.maximum(earlier, 1)
            excess = [self.window(total, days) - habit * self.window(count, days) for days in (1, 3, 7)]
            new = [self.largest(column), self.at(total / np.maximum(count, 1)), *map(self.at, excess),
                   self.at(self.window(total, 3))]  # fmt: skip
            found[:, 6 * i : 6 * i + 6] = np.stack(new, axis=1)
        return found
