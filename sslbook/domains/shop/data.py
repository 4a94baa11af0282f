"""The container of a shop's log, and the rules that make events of its rows; each says what it changed."""

from __future__ import annotations

import html
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.tables import Table, check_columns, numbers_of, read_table, seconds_of, table_of, words_of

PARTS = {"validation": 2, "test": 1}  # how many events or baskets from the end the target is
FEWEST = 3  # events or baskets of a user who has targets: something to know, validation, test
OF_EVENTS = ("users", "items", "time", "quantity", "price")


@dataclass(frozen=True, eq=False)
class Interactions(Described):
    """Events of a shop: who took which item, and when; sorted by user, then time, then order in the source.

    Parameters
    ----------
    users, items : int64 arrays (n,), codes from 0; users ascend.
    time : float64 array (n,), seconds since ``start``; 0, 1, 2, ... within a user where only the order is known.
    user_names, item_names : str arrays (n_users,) and (n_items,).
    data_card : source, licence and known problems.
    quantity, price : float32 arrays (n,), pieces, and price of one piece, NaN where missing; None where not known.
    titles : str array (n_items,), or None.
    attributes : bool csr_array (n_items, k), what is known of the items, or None.
    start : the midnight that times count from; None where the source has seconds or only an order.

    Raises
    ------
    DataError : unequal lengths, codes without a name, or events out of order.
    """

    users: np.ndarray
    items: np.ndarray
    time: np.ndarray
    user_names: np.ndarray
    item_names: np.ndarray
    data_card: DataCard
    quantity: np.ndarray | None = None
    price: np.ndarray | None = None
    titles: np.ndarray | None = None
    attributes: csr_array | None = None
    start: pd.Timestamp | None = None

    def __post_init__(self) -> None:
        lengths = [(field, "events", len(self)) for field in OF_EVENTS[1:]]
        for field, of, n in [*lengths, ("titles", "items", self.n_items), ("attributes", "items", self.n_items)]:
            given = getattr(self, field)
            if given is not None and given.shape[0] != n:
                raise DataError(f"There are {n} {of} but {given.shape[0]} values of {field}; give one for each.")
        for what, codes, n in (("users", self.users, self.n_users), ("items", self.items, self.n_items)):
            for code in codes[(codes < 0) | (codes >= n)][:1]:
                raise DataError(f"Code {code} of {what} has no name in {self.name}; codes go from 0 to {n - 1}.")
        later, same = np.diff(self.time), np.diff(self.users) == 0
        for i in np.flatnonzero((np.diff(self.users) < 0) | (same & (later < 0)))[:1]:
            raise DataError(f"Event {i + 1} of {self.name} stands before event {i}; sort them by user, then time.")

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
        """The events of user u are ``bounds[u]:bounds[u + 1]``; int64 (n_users + 1,)."""
        return np.searchsorted(self.users, np.arange(self.n_users + 1)).astype(np.int64)

    @property
    def basket(self) -> np.ndarray:
        """Number of the basket of each event, int64 (n,): the events of one user at one time share one."""
        new = (np.diff(self.users) != 0) | (np.diff(self.time) != 0)
        return np.cumsum(np.append(False, new)[: len(self)])

    @property
    def item_prices(self) -> np.ndarray:
        """Median price of each item's events, float64 (n_items,); NaN where none is known."""
        price = pd.Series(np.nan if self.price is None else self.price, range(len(self)), dtype=np.float64)
        return price.groupby(self.items).median().reindex(range(self.n_items)).to_numpy()

    def matrix(self, weights: np.ndarray | None = None) -> csr_array:
        """Sum of the weights (n,) of the events of each user and item, 1 each by default; csr_array as ``pairs``."""
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
        """Return the events of a boolean mask (n,), with the same codes, names and data card."""
        return replace(self, **{f: getattr(self, f)[mask] for f in OF_EVENTS if getattr(self, f) is not None})

    def holdout(self, part: str, by: str = "event") -> Holdout:
        """Leave out what each user did last: the test asks for his last event or basket, validation for the one before.

        Parameters
        ----------
        part : "validation" or "test"; the history of the test includes the target of validation.
        by : "event", one item is asked for, and others of its basket may be in the history; or "basket", all different
            items of one. Who has fewer than three events or baskets has no target, and all he did is history.
        """
        if part not in PARTS or by not in ("event", "basket"):
            raise DataError(f"part is {part!r} and by {by!r}; say 'validation' or 'test', and 'event' or 'basket'.")
        unit = np.arange(len(self)) if by == "event" else self.basket
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
        """One row of sizes; density is the share of possible pairs with an event, a repeat is a pair's later event."""
        events, pairs = len(self), self.pairs.nnz
        users, items, n_baskets = (len(np.unique(codes)) for codes in (self.users, self.items, self.basket))
        row = {"users": users, "items": items, "events": events, "baskets": n_baskets}
        row["events per user"], row["density"] = events / max(users, 1), pairs / (users * items or 1)
        return pd.DataFrame(row | {"share of repeats": 1 - pairs / max(events, 1)}, index=[self.name])

    def __repr__(self) -> str:
        return f"Interactions({self.name}: {len(self)} events of {self.n_users} users and {self.n_items} items)"

    def _repr_html_(self) -> str:
        known = [f for f in ("quantity", "price", "titles", "attributes") if getattr(self, f) is not None]
        since = "without dates" if self.start is None else f"from {self.start:%Y-%m-%d}"
        text = f"Events {since}; known beside user and item: {shorten(known) or 'nothing'}."
        return f"{self.data_card._repr_html_()}<p>{html.escape(text)}</p>{self.counts().to_html()}"

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame | Table, user: str, item: str, time: str, title: str | None = None,
        price: str | None = None, quantity: str | None = None, core: int = 5, name: str = "own log",
        data_card: DataCard | None = None,
    ) -> Interactions:  # fmt: skip
        """Take a log that is in memory, one event per row; the data card says what was merged or left out.

        Rows without a user (guests) or an item are left out. Rows of one user, item and time are merged. Rows of
        negative quantity are cancellations: they take pieces back from the latest earlier purchases of the same user
        and item, and a purchase without pieces goes; rows of quantity 0 are left out.

        Parameters
        ----------
        frame : the log, as a DataFrame or as ``sslbook.data.tables.read_table`` gives it.
        user, item : columns of who and what; 17850.0 is read as "17850".
        time : column of ISO dates or times, with or without a zone, or of numbers that rise with time.
        title : column of what the item is called; its most frequent text is taken.
        price, quantity : columns of the price of one piece, 0 or empty where not known, and of the number of pieces.
        core : users and items with fewer events are removed, again and again until none is left; 1 keeps all.
        name : for records, figures and reports.
        data_card : of a known data set; what is found here is added to its known problems.

        Raises
        ------
        DataError : a column lacks or has two roles, a time or number cannot be read, a price is negative, or fewer
            than two users or items are left.
        """
        table = frame if isinstance(frame, Table) else table_of(frame, "The table")
        notes: list[str] = []
        columns = {"user": user, "item": item, "time": time, "title": title, "price": price, "quantity": quantity}
        log, start = read_log(table, columns, notes)
        log = core_of(log, core, table.name, notes)
        users, user_names = pd.factorize(log["user"].astype(object), sort=True)
        items, item_names = pd.factorize(log["item"].astype(object), sort=True)
        order = np.lexsort((log["time"], users))
        events = [users.astype(np.int64), items.astype(np.int64), log["time"].to_numpy()]
        names = [user_names.to_numpy(dtype=str), item_names.to_numpy(dtype=str)]
        known = {f: log[f].to_numpy(np.float32)[order] for f in ("quantity", "price") if f in log}
        data_card = data_card or own_data_card(name, name, ())
        read = cls(*(codes[order] for codes in events), *names, data_card, start=start, **known)
        notes += order_notes(read)
        titles = titles_of(log, read.item_names, notes) if "title" in log else None
        data_card = data_card.noting(*notes)
        return replace(read, data_card=data_card, titles=titles)

    @classmethod
    def from_csv(cls, path: Path | str, user: str, item: str, time: str, **options: Any) -> Interactions:
        """Read a comma-separated file in UTF-8 with a header, or a .parquet file; options as for ``from_frame``."""
        return cls.from_frame(read_table(path), user, item, time, **{"name": Path(path).stem} | options)

    from_parquet = from_csv


@dataclass(frozen=True, eq=False)
class Holdout:
    """What may be known, and what is to be predicted from it.

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
        """1 for the items in the history of each of ``users``; float32 csr_array (m, n_items)."""
        return self.history.pairs[self.users]

    def new_only(self) -> Holdout:
        """Return only the targets that their user has not had before; users left without one go."""
        new = csr_array(self.targets - self.targets * self.seen)
        new.eliminate_zeros()
        held = np.diff(new.indptr) > 0
        return Holdout(self.history, self.users[held], new[held])

    def __repr__(self) -> str:
        return f"Holdout({self.history.name}: {self.targets.nnz} targets of {len(self.users)} users)"


def item_histories(log: Interactions, longest: int = 50, ends: bool = False) -> np.ndarray:
    """Return the last ``longest`` items of every user, in order, -1 behind the last; int32 (n_users, longest).

    With ``ends``, the code n_items stands behind every basket, and counts as an item of the history."""
    users, items = log.users, log.items
    if ends:
        last = np.flatnonzero(np.diff(log.basket, append=-1)) + 1
        users, items = np.insert(users, last, users[last - 1]), np.insert(items, last, log.n_items)
    from_end = np.searchsorted(users, users, side="right") - 1 - np.arange(len(users))
    kept = from_end < longest
    place = np.minimum(np.bincount(users, minlength=log.n_users), longest)[users] - 1 - from_end
    out = np.full((log.n_users, longest), -1, np.int32)
    out[users[kept], place[kept]] = items[kept]
    return out


def read_log(
    table: Table, columns: dict[str, str | None], notes: list[str]
) -> tuple[pd.DataFrame, pd.Timestamp | None]:
    """Return one row per event, in the order of the source, and the midnight that times count from, if they are dates.

    ``columns`` names the column of each role, None where there is none; what each rule found is added to ``notes``. The
    frame has user, item (str), time (float64, seconds), and title (str or None), price, quantity where they are given.
    """
    for role in ("user", "item", "time"):
        if columns[role] is None:
            raise DataError(f"{role} is None; name the column of {table.name} that holds it.")
    check_columns(table, [*columns.values()], "user, item, time, title, price and quantity")
    for role in ("user", "item"):
        missing = table.frame[columns[role]].isna().to_numpy()
        if missing.all():
            raise DataError(f"No row of {table.name} has a {columns[role]}; name another column as {role}.")
        if missing.any():
            notes.append(f"{missing.sum():,} of {len(missing):,} rows have no {role} and were left out.")
            table = table.take(~missing)
    seconds, start = seconds_of(table, columns["time"])
    log = pd.DataFrame({"user": "", "item": "", "time": seconds}, index=range(len(seconds)))
    for role in ("user", "item", "title"):
        if columns[role] is not None:
            log[role] = words_of(table.frame[columns[role]]).to_numpy()
    if columns["price"] is not None:
        log["price"] = _prices(table, columns["price"], notes)
    if columns["quantity"] is None:
        return _merged(log, notes), start
    log["quantity"] = numbers_of(table, columns["quantity"], "mend it").astype(np.float64)
    missing = log["quantity"].isna()
    table.refuse(missing, f"no {columns['quantity']}", "fill it in, 1 for one piece")
    zero, back = log["quantity"] == 0, log["quantity"] < 0
    if zero.any():
        notes.append(f"{zero.sum():,} rows of quantity 0 were left out ({table.where(zero.to_numpy())}).")
    return _taken_back(_merged(log[~zero & ~back], notes), log[back], notes), start


def _prices(table: Table, column: str, notes: list[str]) -> np.ndarray:
    """Return prices, NaN where they are not known."""
    prices = numbers_of(table, column, "mend it, or leave it empty").astype(np.float64)
    table.refuse(prices < 0, f"a negative {column}", "mend it, or leave it empty", table.frame[column])
    unknown = ~(prices > 0)
    if unknown.any():
        notes.append(f"{unknown.sum():,} rows have a {column} of 0 or none: it is taken as not known.")
    return np.where(unknown, np.nan, prices)


def _merged(log: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Merge the rows of one user, item and time: pieces are summed, title and price are the first that is known."""
    keys = ["user", "item", "time"]
    again = log.duplicated(keys)
    if not again.any():
        return log
    summed = " and their pieces summed" if "quantity" in log else ""
    notes.append(f"{again.sum():,} rows repeat user, item and time of another; they were merged{summed}.")
    for column in log.columns.drop(keys):
        merged = log.groupby(keys)[column].transform("sum" if column == "quantity" else "first")
        log = log.assign(**{column: merged})
    return log[~again]


def _taken_back(bought: pd.DataFrame, back: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Take the pieces of each cancellation from the latest earlier purchases of the same user and item."""
    if back.empty:
        return bought
    pieces, unmatched = bought["quantity"].to_dict(), 0
    rows = pd.concat([bought, back]).sort_values("time", kind="stable")  # at one time, purchases come first
    open_purchases: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, user, item, quantity in zip(rows.index, rows["user"], rows["item"], rows["quantity"], strict=True):
        earlier = open_purchases[user, item]
        if quantity > 0:
            earlier.append(row)
            continue
        owed = -quantity
        while owed > 0 and earlier:
            taken = min(owed, pieces[earlier[-1]])
            pieces[earlier[-1]] -= taken
            owed -= taken
            if pieces[earlier[-1]] == 0:
                earlier.pop()
        unmatched += owed > 0
    left = bought.index.map(pieces).to_numpy()
    notes.append(
        f"{len(back):,} rows of negative quantity are cancellations: {(left == 0).sum():,} purchases are wholly "
        f"cancelled and were left out, {((left > 0) & (left < bought['quantity'])).sum():,} have fewer pieces; "
        f"{unmatched:,} cancel more than was bought before, and what is over was left out. A cancelled purchase is "
        "missing from its own day on, so a history may know of a cancellation that was yet to come."
    )
    return bought.assign(quantity=left)[left > 0]


def core_of(log: pd.DataFrame, core: int, name: str, notes: list[str]) -> pd.DataFrame:
    """Remove users and items with fewer than ``core`` events, again and again until none is left; two of each stay."""
    if not isinstance(core, int | np.integer) or core < 1:
        raise DataError(f"core is {core!r}; give a whole number from 1, which keeps all.")
    whole, few = log, pd.Series([True])
    while few.any():
        sizes = [log.groupby(column)["time"].transform("size") for column in ("user", "item")]
        few = np.minimum(*sizes) < core
        log = log[~few]
    users, items = log["user"].nunique(), log["item"].nunique()
    if len(log) < len(whole):
        gone = f"{whole['user'].nunique() - users:,} users and {whole['item'].nunique() - items:,} items"
        notes.append(
            f"core={core}: {gone} with fewer than {core} events were removed, again and again until none was left, and "
            f"with them {len(whole) - len(log):,} events."
        )
    if min(users, items) < 2:
        raise DataError(
            f"{name} holds {users} users and {items} items with at least {core} events, and needs two of each; lower "
            "core=, check user= and item=, or bring a longer log."
        )
    return log


def titles_of(log: pd.DataFrame, items: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return the most frequent title of each of ``items`` (names), of equals the first; its name where it has none."""
    counts = log.groupby(["item", "title"], sort=False).size().sort_values(ascending=False, kind="stable")
    best = counts.reset_index().drop_duplicates("item").set_index("item")["title"].reindex(items)
    if best.isna().any():
        notes.append(f"{best.isna().sum():,} items have no title; their name stands for it.")
    return best.fillna(pd.Series(items, index=items)).to_numpy(dtype=str)


def order_notes(log: Interactions) -> list[str]:
    """Say how many events have no known order, and how many users have too short a history for a target."""
    tied = np.bincount(log.basket)[log.basket] > 1
    notes = []
    if tied.any():
        notes.append(
            f"{tied.sum():,} of {len(log):,} events have the time of another of the same user: they share a basket, "
            "and their order, which is not known, is that of the source."
        )
    first = np.unique(log.basket, return_index=True)[1]
    per_user = {"event": np.bincount(log.users), "basket": np.bincount(log.users[first])}
    short = {unit: (counts < FEWEST).sum() for unit, counts in per_user.items()}
    return notes + [f"{n:,} users have fewer than {FEWEST} {u}s: no target by {u}." for u, n in short.items() if n]
