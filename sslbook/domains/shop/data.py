"""The container of a shop's log: who took which item, and when."""

from __future__ import annotations

import html
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.tables import Table, read_table, table_of
from sslbook.domains.shop.purchases import Columns, core_of, read_log, titles_of

PARTS = {"validation": 2, "test": 1}  # how many events or baskets from the end the target is


FEWEST = 3  # events or baskets of a user who has targets: something to know, validation, test


@dataclass(frozen=True, eq=False)
class Interactions(Described):
    """Events of a shop: who took which item, and when; sorted by user, then time, then order in the source.

    Parameters
    ----------
    users : int64 array (n,), codes from 0, ascending.
    items : int64 array (n,), codes from 0.
    time : float64 array (n,), seconds since `start`; 0, 1, 2, ... within a user where the source keeps only the order.
    basket : int64 array (n,), ascending; the events of one user at one time have one number.
    user_names, item_names : str arrays (n_users,) and (n_items,).
    data_card : source, licence and known problems.
    quantity : float32 array (n,), pieces; None where not known.
    price : float32 array (n,), of one piece, NaN where missing; None where not known.
    titles : str array (n_items,), or None.
    attributes : bool csr_array (n_items, k), what is known of the items, or None.
    start : the midnight that times count from; None where the source has seconds or only an order.

    Raises
    ------
    DataError : unequal lengths, codes without a name, events out of order, or baskets that are not the events of one
        user at one time.
    """

    users: np.ndarray
    items: np.ndarray
    time: np.ndarray
    basket: np.ndarray
    user_names: np.ndarray
    item_names: np.ndarray
    data_card: DataCard
    quantity: np.ndarray | None = None
    price: np.ndarray | None = None
    titles: np.ndarray | None = None
    attributes: csr_array | None = None
    start: pd.Timestamp | None = None

    def __post_init__(self) -> None:
        for field in ("items", "time", "basket", "quantity", "price"):
            given = getattr(self, field)
            if given is not None and len(given) != len(self):
                raise DataError(f"There are {len(self)} events but {len(given)} values of {field}; give one for each.")
        for field in ("titles", "attributes"):
            given = getattr(self, field)
            if given is not None and given.shape[0] != self.n_items:
                raise DataError(f"There are {self.n_items} items but {given.shape[0]} {field}; give one for each.")
        for what, codes, n in (("users", self.users, self.n_users), ("items", self.items, self.n_items)):
            for code in codes[(codes < 0) | (codes >= n)][:1]:
                raise DataError(f"Code {code} of {what} has no name in {self.name}; codes go from 0 to {n - 1}.")
        later, same = np.diff(self.time), np.diff(self.users) == 0
        for i in np.flatnonzero((np.diff(self.users) < 0) | (same & (later < 0)))[:1]:
            raise DataError(f"Event {i + 1} of {self.name} stands before event {i}; sort them by user, then time.")
        next_basket = np.diff(self.basket)
        for i in np.flatnonzero((next_basket < 0) | ((next_basket == 0) != (same & (later == 0))))[:1]:
            raise DataError(
                f"Event {i + 1} of {self.name} has basket {self.basket[i + 1]} after {self.basket[i]}; events of one "
                "user at one time share a basket, and numbers rise."
            )

    def __len__(self) -> int:
        return len(self.users)

    @property
    def n_users(self) -> int:
        """Number of users, those without an event too."""
        return len(self.user_names)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.item_names)

    @property
    def bounds(self) -> np.ndarray:
        """Where the events of each user begin: those of user u are `bounds[u]:bounds[u + 1]`; int64 (n_users + 1,)."""
        return np.searchsorted(self.users, np.arange(self.n_users + 1)).astype(np.int64)

    @property
    def item_prices(self) -> np.ndarray:
        """Median price of each item's events, float64 (n_items,); NaN where none is known."""
        if self.price is None:
            return np.full(self.n_items, np.nan)
        median = pd.Series(self.price, dtype=np.float64).groupby(self.items).median()
        return median.reindex(range(self.n_items)).to_numpy()

    def matrix(self, weights: np.ndarray | None = None) -> csr_array:
        """Return the sum of weights (1 for each event by default) of each user and item.

        Parameters
        ----------
        weights : array (n,), one for each event.

        Returns
        -------
        float32 csr_array (n_users, n_items)
        """
        weights = np.ones(len(self)) if weights is None else weights
        shape = (self.n_users, self.n_items)
        matrix = csr_array((weights.astype(np.float32), self.items, self.bounds), shape=shape, copy=True)
        matrix.sum_duplicates()
        return matrix

    @property
    def pairs(self) -> csr_array:
        """1 for each user and item that have an event; float32 csr_array (n_users, n_items)."""
        pairs = self.matrix()
        pairs.data[:] = 1
        return pairs

    def subset(self, mask: np.ndarray) -> Interactions:
        """Return the events of a boolean mask (n,), with the same codes, names and card."""
        chosen = ("users", "items", "time", "basket", "quantity", "price")
        return replace(self, **{f: getattr(self, f)[mask] for f in chosen if getattr(self, f) is not None})

    def holdout(self, part: str, by: str = "event") -> Holdout:
        """Leave the last two of each user out: the last but one is the target of validation, the last that of test.

        Parameters
        ----------
        part : "validation" or "test"; the history of the test includes the target of validation.
        by : "event", one item is the target, and the rest of its basket may be in the history; or "basket", all
            different items of one basket are. Users with fewer than three events or baskets have no target, and all
            they did is history.
        """
        if part not in PARTS or by not in ("event", "basket"):
            raise DataError(f"part is {part!r} and by {by!r}; say 'validation' or 'test', and 'event' or 'basket'.")
        unit = np.arange(len(self)) if by == "event" else np.unique(self.basket, return_inverse=True)[1]
        last = np.full(self.n_users, -1)
        last[self.users] = unit  # the last assignment stays
        different = np.unique(unit, return_index=True)[1]
        many = np.bincount(self.users[different], minlength=self.n_users) >= FEWEST
        if not many.any():
            raise DataError(f"No user of {self.name} has {FEWEST} {by}s or more; bring a longer log.")
        from_end = np.where(many[self.users], last[self.users] - unit + 1, len(self))
        target, users = from_end == PARTS[part], np.flatnonzero(many)
        return Holdout(self.subset(from_end > PARTS[part]), users, self.subset(target).pairs[users])

    def counts(self) -> pd.DataFrame:
        """Return one row: users, items, events, baskets, events per user, density and share of repeats.

        Density is the share of the pairs of user and item that have an event, and a repeat is an event of a user and
        an item that had one before.
        """
        pairs = self.pairs.nnz
        row = {
            "users": len(np.unique(self.users)),
            "items": len(np.unique(self.items)),
            "events": len(self),
            "baskets": len(np.unique(self.basket)),
        }
        row["events per user"] = len(self) / max(row["users"], 1)
        row["density"] = pairs / (row["users"] * row["items"] or 1)
        row["share of repeats"] = 1 - pairs / max(len(self), 1)
        return pd.DataFrame(row, index=[self.name])

    def __repr__(self) -> str:
        return f"Interactions({self.name}: {len(self)} events of {self.n_users} users and {self.n_items} items)"

    def _repr_html_(self) -> str:
        known = [f for f in ("quantity", "price", "titles", "attributes") if getattr(self, f) is not None]
        since = "without dates" if self.start is None else f"from {self.start:%Y-%m-%d}"
        text = f"Events {since}; known beside user and item: {shorten(known) or 'nothing'}."
        return f"{self.data_card._repr_html_()}<p>{html.escape(text)}</p>{self.counts().to_html()}"

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame | Table,
        user: str,
        item: str,
        time: str,
        title: str | None = None,
        price: str | None = None,
        quantity: str | None = None,
        core: int = 5,
        name: str = "own log",
        title_of_set: str | None = None,
        data_card: DataCard | None = None,
    ) -> Interactions:
        """Take a log that is in memory, one event per row; the card says what was merged or left out.

        Rows without a user (guests) or an item are left out. Rows of one user, item and time are merged. Rows of
        negative quantity are cancellations: they take pieces back from the latest earlier purchases of the same user
        and item, and a purchase without pieces goes; rows of quantity 0 are left out.

        Parameters
        ----------
        frame : the log, as a DataFrame or as `sslbook.data.tables.read_table` gives it.
        user, item : columns of who and what; 17850.0 is read as "17850".
        time : column of ISO dates or times, with or without a zone, or of numbers that rise with time.
        title : column of what the item is called; its most frequent text is taken.
        price : column of the price of one piece; 0 or empty where it is not known.
        quantity : column of the number of pieces.
        core : users and items with fewer events are removed, again and again until none is left; 1 keeps all.
        name, title_of_set : for records, figures and reports.
        data_card : of a known data set; what is found here is added to its known problems.

        Raises
        ------
        DataError : a column lacks or has two roles, a time or number cannot be read, a price is negative, or fewer
            than two users or items are left.
        """
        table = frame if isinstance(frame, Table) else table_of(frame, "The table")
        notes: list[str] = []
        log, start = read_log(table, Columns(user, item, time, title, price, quantity), notes)
        log = core_of(log, core, table.name, notes)
        users, user_names = pd.factorize(log["user"].astype(object), sort=True)
        items, item_names = pd.factorize(log["item"].astype(object), sort=True)
        seconds = log["time"].to_numpy()
        order = np.lexsort((seconds, users))
        users, seconds = users[order].astype(np.int64), seconds[order]
        basket = baskets(users, seconds)
        _say_ties_and_short(users, basket, notes)
        item_names = item_names.to_numpy(dtype=str)
        titles = None if title is None else titles_of(log, item_names, notes)
        data_card = data_card or own_data_card(name, title_of_set or name, ())
        return cls(
            users,
            items[order].astype(np.int64),
            seconds,
            basket,
            user_names.to_numpy(dtype=str),
            item_names,
            replace(data_card, known_problems=(*data_card.known_problems, *notes)),
            quantity=None if quantity is None else log["quantity"].to_numpy(np.float32)[order],
            price=None if price is None else log["price"].to_numpy(np.float32)[order],
            titles=titles,
            start=start,
        )

    @classmethod
    def from_csv(cls, path: Path | str, user: str, item: str, time: str, **options: Any) -> Interactions:
        """Read a comma-separated file in UTF-8 with a header; options as for `from_frame`."""
        path = Path(path)
        defaults = {"name": path.stem, "title_of_set": f"Log {path.name}"}
        return cls.from_frame(read_table(path), user, item, time, **defaults | options)

    @classmethod
    def from_parquet(cls, path: Path | str, user: str, item: str, time: str, **options: Any) -> Interactions:
        """Read a .parquet file; options as for `from_frame`."""
        return cls.from_csv(path, user, item, time, **options)


@dataclass(frozen=True, eq=False)
class Holdout:
    """What may be known, and what is to be foretold from it.

    Parameters
    ----------
    history : events that may be known, of all users, with the codes of the whole log.
    users : int64 array (m,), codes of the users that have a target, ascending.
    targets : float32 csr_array (m, n_items), 1 for the items that each of them takes next.
    """

    history: Interactions
    users: np.ndarray
    targets: csr_array

    @property
    def seen(self) -> csr_array:
        """1 for the items in the history of each of `users`; float32 csr_array (m, n_items)."""
        return self.history.pairs[self.users]

    def new_only(self) -> Holdout:
        """Return only the targets that their user has not had before; users left without one go."""
        new = csr_array(self.targets - self.targets * self.seen)
        new.eliminate_zeros()
        held = np.diff(new.indptr) > 0
        return Holdout(self.history, self.users[held], new[held])

    def __repr__(self) -> str:
        return f"Holdout({self.history.name}: {self.targets.nnz} targets of {len(self.users)} users)"


def baskets(users: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Number the baskets of sorted events: those of one user at one time share one; int64 (n,)."""
    new = (np.diff(users) != 0) | (np.diff(time) != 0)
    return np.concatenate([[0], np.cumsum(new)]).astype(np.int64)


def _say_ties_and_short(users: np.ndarray, basket: np.ndarray, notes: list[str]) -> None:
    """Note how many events have no order among themselves, and how many users have no target."""
    tied = np.bincount(basket)[basket] > 1
    if tied.any():
        notes.append(
            f"{tied.sum():,} of {len(users):,} events have the time of another of the same user: they share a basket, "
            "and their order, which is not known, is that of the source."
        )
    per_user = {"events": np.bincount(users), "baskets": np.bincount(users[np.unique(basket, return_index=True)[1]])}
    for what, counts in per_user.items():
        if (counts < FEWEST).any():
            notes.append(
                f"{(counts < FEWEST).sum():,} users have fewer than {FEWEST} {what}: no target by {what[:-1]}."
            )


def item_histories(log: Interactions, longest: int = 50) -> np.ndarray:
    """Return the last ``longest`` items of every user, in order, -1 behind the last; int32 (n_users, longest)."""
    ends = log.bounds[1:]
    from_end = ends[log.users] - 1 - np.arange(len(log))
    kept = from_end < longest
    place = np.minimum(np.diff(log.bounds), longest)[log.users] - 1 - from_end
    out = np.full((log.n_users, longest), -1, np.int32)
    out[log.users[kept], place[kept]] = log.items[kept]
    return out
