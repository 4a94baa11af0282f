"""From the rows of a shop's log to events: what is merged, taken back and left out; every rule says its count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sslbook.data.errors import DataError
from sslbook.data.tables import Table, check_columns, numbers_of, seconds_of, words_of


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a log; None where there is none."""

    user: str
    item: str
    time: str
    title: str | None = None
    price: str | None = None
    quantity: str | None = None


def read_log(table: Table, columns: Columns, notes: list[str]) -> tuple[pd.DataFrame, pd.Timestamp | None]:
    """Return one row per event, in the order of the source, and the midnight that times count from.

    Rows without a user or an item are left out. Rows of one user, item and time are merged. Rows of negative quantity
    take back earlier purchases.

    Parameters
    ----------
    notes : what each rule found is added to it.

    Returns
    -------
    DataFrame with columns user, item (str), time (float64, seconds), and title (str or None), price, quantity
    (float64) where they are given; Timestamp or None

    Raises
    ------
    DataError : a column lacks or has two roles, a time cannot be read, no row has both user and item, a number is
        missing, infinite or negative where it cannot be.
    """
    _check(table, columns)
    table = _with_user_and_item(table, columns, notes)
    seconds, start = seconds_of(table, columns.time)
    log = pd.DataFrame({"user": _names(table, columns.user), "item": _names(table, columns.item), "time": seconds})
    if columns.title is not None:
        log["title"] = words_of(table.frame[columns.title]).to_numpy()
    if columns.price is not None:
        log["price"] = _prices(table, columns.price, notes)
    if columns.quantity is None:
        return _merged(log, notes), start
    log["quantity"] = _pieces(table, columns.quantity)
    zero, back = log["quantity"] == 0, log["quantity"] < 0
    if zero.any():
        notes.append(f"{zero.sum():,} rows of quantity 0 were left out ({table.where(zero.to_numpy())}).")
    return _taken_back(_merged(log[~zero & ~back], notes), log[back], notes), start


def _check(table: Table, columns: Columns) -> None:
    for role in ("user", "item", "time"):
        if getattr(columns, role) is None:
            raise DataError(f"{role} is None; name the column of {table.name} that holds it.")
    check_columns(table, [*vars(columns).values()], "user, item, time, title, price and quantity")


def _with_user_and_item(table: Table, columns: Columns, notes: list[str]) -> Table:
    for role in ("user", "item"):
        missing = table.frame[getattr(columns, role)].isna().to_numpy()
        if missing.all():
            raise DataError(f"No row of {table.name} has a {getattr(columns, role)}; name another column as {role}.")
        if missing.any():
            notes.append(f"{missing.sum():,} of {len(missing):,} rows have no {role} and were left out.")
            table = table.take(~missing)
    return table


def _names(table: Table, column: str) -> np.ndarray:
    return words_of(table.frame[column]).to_numpy()


def _prices(table: Table, column: str, notes: list[str]) -> np.ndarray:
    """Return prices, NaN where they are not known."""
    prices = numbers_of(table, column, "mend it, or leave it empty").astype(np.float64)
    table.refuse(prices < 0, f"a negative {column}", "mend it, or leave it empty", table.frame[column])
    unknown = ~(prices > 0)
    if unknown.any():
        notes.append(f"{unknown.sum():,} rows have a {column} of 0 or none: it is taken as not known.")
    return np.where(unknown, np.nan, prices)


def _pieces(table: Table, column: str) -> np.ndarray:
    pieces = numbers_of(table, column, "mend it").astype(np.float64)
    table.refuse(np.isnan(pieces), f"no {column}", "fill it in, 1 for one piece")
    return pieces


def _merged(log: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Merge the rows of one user, item and time: pieces are summed, title and price are the first that is known."""
    how = {"title": "first", "price": "first", "quantity": "sum"}
    keys = ["user", "item", "time"]
    again = log.duplicated(keys)
    if not again.any():
        return log
    summed = " and their pieces summed" if "quantity" in log else ""
    notes.append(f"{again.sum():,} rows repeat user, item and time of another; they were merged{summed}.")
    rest = {column: how[column] for column in log.columns[3:]}
    if not rest:
        return log[~again]
    merged = log.groupby(keys, sort=False, as_index=False).agg(rest)
    return merged.set_axis(log.index[~again], axis="index")[[*log]]


def _taken_back(bought: pd.DataFrame, back: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Take the pieces of each cancellation from the latest earlier purchases of the same user and item."""
    if back.empty:
        return bought
    rows = pd.concat([bought, back])  # at one time, purchases come first
    pair = rows.groupby(["user", "item"], sort=False).ngroup().to_numpy()
    pieces, cancels = rows["quantity"].to_numpy(copy=True), np.arange(len(rows)) >= len(bought)
    concerned = np.flatnonzero(np.isin(pair, pair[cancels]))
    order = concerned[np.argsort(rows["time"].to_numpy()[concerned], kind="stable")]
    open_purchases: dict[int, list[int]] = {}
    unmatched = 0
    for i in order:
        earlier = open_purchases.setdefault(pair[i], [])
        if not cancels[i]:
            earlier.append(i)
            continue
        owed = -pieces[i]
        while owed > 0 and earlier:
            taken = min(owed, pieces[earlier[-1]])
            pieces[earlier[-1]] -= taken
            owed -= taken
            if pieces[earlier[-1]] == 0:
                earlier.pop()
        unmatched += owed > 0
    left = pieces[: len(bought)]
    notes.append(
        f"{len(back):,} rows of negative quantity are cancellations: {(left == 0).sum():,} purchases are wholly "
        f"cancelled and were left out, {((left > 0) & (left < bought['quantity'])).sum():,} have fewer pieces; "
        f"{unmatched:,} cancel more than was bought before, and what is over was left out. A purchase goes from the "
        "day it was made, so that histories know a little of later days."
    )
    return bought.assign(quantity=left)[left > 0]


def core_of(log: pd.DataFrame, core: int, name: str, notes: list[str]) -> pd.DataFrame:
    """Remove users and items with fewer than `core` events, again and again until none is left.

    Raises
    ------
    DataError : `core` is not a number from 1, or fewer than two users or items remain.
    """
    if not isinstance(core, int | np.integer) or core < 1:
        raise DataError(f"core is {core!r}; give a whole number from 1, which keeps all.")
    whole = log
    while True:
        few = pd.Series(False, index=log.index)
        for column in ("user", "item"):
            few |= log.groupby(column)["time"].transform("size") < core
        if not few.any():
            break
        log = log[~few]
    gone = {column: whole[column].nunique() - log[column].nunique() for column in ("user", "item")}
    if len(log) < len(whole):
        notes.append(
            f"core={core}: {gone['user']:,} users and {gone['item']:,} items with fewer than {core} events were "
            f"removed, again and again until none was left, and with them {len(whole) - len(log):,} events."
        )
    if min(log["user"].nunique(), log["item"].nunique()) < 2:
        cut = len(log) < len(whole)
        cause = f" with at least {core} events" if cut else ""
        mend = "lower core=, or bring a longer log" if cut else "check user= and item=, or bring a longer log"
        raise DataError(
            f"{name} holds {log['user'].nunique()} users and {log['item'].nunique()} items{cause}, and needs two of "
            f"each; {mend}."
        )
    return log


def titles_of(log: pd.DataFrame, items: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return the most frequent title of each item, of equally frequent ones the first; its name where it has none.

    Parameters
    ----------
    items : str array (n_items,), names.

    Returns
    -------
    str array (n_items,)
    """
    counts = log.groupby(["item", "title"], sort=False).size().sort_values(ascending=False, kind="stable")
    best = counts.reset_index().drop_duplicates("item").set_index("item")["title"].reindex(items)
    if best.isna().any():
        notes.append(f"{best.isna().sum():,} items have no title; their name stands for it.")
    return best.fillna(pd.Series(items, index=items)).to_numpy(dtype=str)
