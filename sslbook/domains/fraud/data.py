"""The container of tables of events, such as payments and claims, cut by time, or at random where there is none."""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslbook.data import tables
from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.sequences import DAY
from sslbook.data.splits import remove_known, split_in_time
from sslbook.data.tables import UNKNOWN, Table  # fmt: skip

PARTS = ("train", "gap", "validation", "test", "removed")
COMPONENTS = [f"V{i}" for i in range(1, 29)]
LEGITIMATE = 284_315 / 15_347  # real rows for each legitimate row of the sample
WHY_DETAIL = {
    "constant": "has one value in training",
    "date": "holds dates",
    "identifier": "is text that is mostly different in every row",
    "counter": "counts the rows",
}


@dataclass(frozen=True, eq=False)
class TransactionSplit:
    """Some events of a table, each described by numbers and categories.

    Parameters
    ----------
    time : float64 array (n,), seconds since ``Transactions.start``.
    numeric : float32 array (n, k), NaN where a value is missing.
    categorical : int64 array (n, c), codes; 0 stands for a missing value and for one that no training row has.
    labels : int64 array (n,), 1 = the finding (a fraud), 0 = none, ``UNKNOWN`` where nobody said.
    entities : int64 array (n,), number of the card, customer or policy of each event; None where not given.
    weights : float64 array (n,), how many real events the row stands for.
    rows : int64 array (n,), number of the row in its source: lines of a .csv file, otherwise counted from 0.
    details : the other columns, n rows, for people to read; no model sees them.

    Raises
    ------
    DataError : fields of unequal length.
    """

    time: np.ndarray
    numeric: np.ndarray
    categorical: np.ndarray
    labels: np.ndarray
    entities: np.ndarray | None
    weights: np.ndarray
    rows: np.ndarray
    details: pd.DataFrame

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            if given is not None and len(given) != len(self):
                raise DataError(f"There are {len(self)} events but {len(given)} {field.name}; give one for each.")

    def __len__(self) -> int:
        return len(self.time)

    def __repr__(self) -> str:
        findings = int((self.labels == 1).sum())
        return (
            f"TransactionSplit({len(self)} events, {findings} findings, "
            f"{self.numeric.shape[1]} numeric and {self.categorical.shape[1]} categorical columns)"
        )

    def subset(self, index: np.ndarray) -> TransactionSplit:
        """Return the events at ``index`` (positions or a boolean mask)."""
        parts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "details"}
        parts = {name: None if part is None else part[index] for name, part in parts.items()}
        return TransactionSplit(**parts, details=self.details.iloc[index].reset_index(drop=True))

    @property
    def labelled(self) -> TransactionSplit:
        """The events whose label is known."""
        return self.subset(self.labels != UNKNOWN)

    @property
    def days(self) -> np.ndarray:
        """Day of each event, counted from ``Transactions.start``, int64 (n,)."""
        return np.floor(self.time / DAY).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Transactions(Described):
    """A table of events in time order, cut so that training uses only what was known when evaluation begins.

    Parameters
    ----------
    everything : all events, also those of the gap and the removed ones: the history of an entity needs them.
    split : str array (n,): "train"; "gap", the last events before evaluation begins, too recent for their labels to be
        known; "validation"; "test"; "removed", later events of an entity that has a finding in training (a blocked
        card).
    numeric_names, categorical_names : names of the columns.
    categories : for each categorical column, the values behind codes 1, 2, ...
    data_card : source, licence and known problems.
    start : the midnight that times count from; None where the source has seconds.
    delay : seconds from an event until its label is known.
    timed : False where the source has no time: then ``time`` is a random order.

    Raises
    ------
    DataError : times out of order, splits that overlap in time or lie nearer than ``delay``, an entity in evaluation
        that has a finding in training, training or test with one class only.
    """

    everything: TransactionSplit
    split: np.ndarray
    numeric_names: tuple[str, ...]
    categorical_names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    data_card: DataCard
    start: pd.Timestamp | None
    delay: float
    timed: bool = True

    def __post_init__(self) -> None:
        time, labels = self.everything.time, self.everything.labels
        for i in np.flatnonzero(np.diff(time) < 0)[:1]:
            raise DataError(f"Event {i + 1} of {self.name} is earlier than the one before it; sort them by time.")
        for i in np.flatnonzero(~np.isin(self.split, PARTS))[:1]:
            raise DataError(f"Event {i} of {self.name} is in {self.split[i]!r}; say one of {', '.join(PARTS)}.")
        self._check_order(time)
        again = remove_known(self.split, labels, self.everything.entities) != self.split
        for i in np.flatnonzero(again)[:1]:
            raise DataError(
                f"Event {i} of {self.name} is in {self.split[i]}, but its entity has a finding in training; mark "
                "it as 'removed'."
            )
        for part in ("train", "test") if (labels != UNKNOWN).any() else ():
            known = labels[(self.split == part) & (labels != UNKNOWN)]
            if len(np.unique(known)) < 2:
                raise DataError(
                    f"The {part} split of {self.name} holds {int((known == 1).sum())} findings and "
                    f"{int((known == 0).sum())} other labelled events, and needs both; change the shares of validation "
                    "and test, shorten the delay, or bring a longer table."
                )

    def _check_order(self, time: np.ndarray) -> None:
        """Check that each split begins after the one before it has ended, and evaluation after the delay."""
        parts = [(name, time[self.split == name]) for name in PARTS[:4] if (self.split == name).any()]
        for (before, early), (after, late) in zip(parts, parts[1:], strict=False):
            if early[-1] >= late[0]:
                raise DataError(f"The {after} split of {self.name} begins before {before} ends; cut them by time.")
        train, evaluation = (time[np.isin(self.split, names)] for names in (PARTS[:1], PARTS[2:]))
        if len(train) and len(evaluation) and evaluation[0] - train[-1] < self.delay - 1e-3:  # rounding
            raise DataError(
                f"Evaluation of {self.name} begins {evaluation[0] - train[-1]:g} s after training ends, but labels "
                f"are known {self.delay:g} s late; leave a gap of that length."
            )

    @property
    def train(self) -> TransactionSplit:
        """The events to learn from."""
        return self.part("train")

    @property
    def validation(self) -> TransactionSplit:
        """The first events of evaluation."""
        return self.part("validation")

    @property
    def test(self) -> TransactionSplit:
        """The last events of evaluation."""
        return self.part("test")

    def part(self, name: str) -> TransactionSplit:
        """Return the events of one value of ``split``, such as the gap."""
        return self.everything.subset(self.split == name)

    def __repr__(self) -> str:
        rows = ", ".join(f"{name} {(self.split == name).sum()}" for name in PARTS)
        return f"Transactions({self.name}: {rows})"

    def counts(self) -> pd.DataFrame:
        """Rows, findings, rows without a label and entities (columns) in each split (rows).

        Where rows stand for several real events, ``stands_for`` has their sum.
        """
        whole, masks = self.everything, {name: self.split == name for name in PARTS}
        columns: dict[str, list] = {
            "rows": [int(mask.sum()) for mask in masks.values()],
            "findings": [int((whole.labels[mask] == 1).sum()) for mask in masks.values()],
            "unlabelled": [int((whole.labels[mask] == UNKNOWN).sum()) for mask in masks.values()],
        }
        if whole.entities is not None:
            columns["entities"] = [len(np.unique(whole.entities[mask])) for mask in masks.values()]
        if (whole.weights != 1).any():
            columns["stands_for"] = [round(float(whole.weights[mask].sum())) for mask in masks.values()]
        return pd.DataFrame(columns, index=list(masks))

    def _repr_html_(self) -> str:
        span, since = np.ptp(self.everything.time) / DAY, "" if self.start is None else f" from {self.start:%Y-%m-%d}"
        cut = f"{span:.3g} days{since}, labels known {self.delay / DAY:.3g} days late"
        text = (
            f"{cut if self.timed else 'no time, split at random'}; {len(self.numeric_names)} numeric columns "
            f"({shorten(self.numeric_names)}), {len(self.categorical_names)} categorical columns "
            f"({shorten(self.categorical_names)})"
        ).replace(" ()", "")
        return f"{self.data_card._repr_html_()}<p>{html.escape(text)}</p>{self.counts().to_html()}"

    def thin(self, ratio: float, seed: int = 0) -> Transactions:
        """Keep every finding and every event without a label, and one in ``ratio`` (1 or more) of the others.

        The gap and the removed events stay whole. In each split the weights of the events kept make up for those left
        out. Compute the histories of entities first: they need every event.
        """
        if ratio < 1:
            raise DataError(f"ratio is {ratio}; give a number from 1: one in so many events is kept.")
        rng, whole = np.random.default_rng(seed), self.everything
        keep, weights = np.ones(len(whole), dtype=bool), whole.weights.copy()
        for name in ("train", "validation", "test"):
            others = np.flatnonzero((self.split == name) & (whole.labels == 0))
            if len(others):
                chosen = rng.choice(others, max(1, round(len(others) / ratio)), replace=False)
                keep[others], keep[chosen] = False, True
                weights[chosen] *= len(others) / len(chosen)
        note = f"Thinned: one in {ratio:g} events without a finding is kept; weights make up for it."
        data_card = self.data_card.noting(note)
        events = replace(whole, weights=weights).subset(keep)
        return replace(self, everything=events, split=self.split[keep], data_card=data_card)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame | Table, time: str | None, label: str | None = None, entity: str | None = None,
        numeric: Sequence[str] | None = None, categorical: Sequence[str] | None = None, positive: object = None,
        weight: str | None = None, validation: float = 0.15, test: float = 0.25, delay: str | float = "7D",
        name: str = "own table", title: str | None = None, data_card: DataCard | None = None,
    ) -> Transactions:  # fmt: skip
        """Take a table that is in memory, one event per row, and cut it by time, or at random.

        Parameters
        ----------
        frame : the table, as a DataFrame or as ``sslbook.data.tables.read_table`` gives it.
        time : column of ISO dates or times, with or without a zone, or of seconds. None where there is no time: rows
            are split at random, those of one entity together, and the data card says so.
        label : column of two values; empty where the label is not known. None: no label is known.
        entity : column that says which card, customer or policy an event belongs to.
        numeric, categorical : columns to learn from; the others go to ``details``. Where both are None: numbers are
            numeric; words, booleans and whole numbers of at most ten values are categorical; dates, text that is mostly
            different in every row, and row counters go to ``details``, and the data card says so.
        positive : label value of the finding; by default the one unlike no, 0, false, normal or legit.
        weight : column of how many real events a row stands for.
        validation, test : shares of the events, at the end of the table.
        delay : (with a time) from an event until its label is known, such as "7D", "12h", or seconds.
        name, title : for records, figures and reports.
        data_card : of a known data set; what is found here is added to its known problems.

        Raises
        ------
        DataError : a column that is not there or has two roles, an unreadable time, an infinite number, a label without
            exactly two values, equal events with different labels, no events or a single class in a split.

        Warns
        -----
        UserWarning : a column alone tells the training labels (AUC of 0.995 or more); it stays in.
        """
        table = frame if isinstance(frame, Table) else tables.table_of(frame, "The table")
        _check_columns(table, (time, label, entity, weight), numeric, categorical)
        notes: list[str] = []
        seconds, start = tables.seconds_of(table, time) if time else (_at_random(table, entity, notes), None)
        labels = np.full(len(seconds), UNKNOWN)
        if label is not None:
            labels = tables.findings_of(table, label, positive)
        kept = _in_order(table, (time, label), seconds, labels, notes)
        table, seconds, labels = table.take(kept), seconds[kept], labels[kept]
        entities = _entity_codes(table, entity, notes)
        late = _seconds(delay) if time else 0.0
        split = remove_known(split_in_time(seconds, validation, test, late), labels, entities)
        training = split == "train"
        others = [column for column in table.frame if column not in (time, label, entity, weight)]
        judged = table.frame[training] if time else table.frame[training].sort_index()  # counters rise in the source
        numeric, categorical = _input_columns(table, numeric, categorical, others, judged, notes)
        numbers, codes, categories = _inputs(table, numeric, categorical, training, notes)
        used = (time, label, weight, *numeric, *categorical)
        details = table.frame[[column for column in table.frame if column not in used]].reset_index(drop=True)
        rows = table.frame.index.to_numpy(dtype=np.int64)
        weights = _weights(table, weight)
        events = TransactionSplit(seconds, numbers, codes, labels, entities, weights, rows, details)
        _warn_of_leaks(table.name, events.subset(training), (*numeric, *categorical), notes)
        data_card = data_card or own_data_card(name, title or name, ())
        data_card = data_card.noting(*notes)
        return cls(events, split, numeric, categorical, categories, data_card, start, late, time is not None)

    @classmethod
    def from_csv(cls, path: Path | str, time: str | None, **options: Any) -> Transactions:
        """Read a comma-separated file in UTF-8 with a header; options as for ``from_frame``."""
        path = Path(path)
        called = {"name": path.stem, "title": f"Table {path.name}"}
        return cls.from_frame(tables.read_table(path), time, **called | options)

    @classmethod
    def from_parquet(cls, path: Path | str, time: str | None, **options: Any) -> Transactions:
        """Read a .parquet file; options as for ``from_frame``."""
        return cls.from_csv(path, time, **options)


def _check_columns(
    table: Table, roles: Sequence[str | None], numeric: Sequence[str] | None, categorical: Sequence[str] | None
) -> None:
    """Refuse columns that are not there, and columns with two roles."""
    for what, names in (("numeric", numeric), ("categorical", categorical)):
        if isinstance(names, str):
            raise DataError(f"{what} is {names!r}; give a list of columns, [{names!r}].")
    named = "time, label, entity, weight, numeric and categorical"
    tables.check_columns(table, (*roles, *(numeric or ()), *(categorical or ())), named)


def _seconds(delay: str | float) -> float:
    """Return a delay such as "7D" or 3600 in seconds."""
    try:
        seconds = pd.Timedelta(delay, unit=None if isinstance(delay, str) else "s").total_seconds()
    except (ValueError, OverflowError):
        seconds = np.nan
    if not 0 <= seconds < np.inf:
        raise DataError(f"delay is {delay!r}; give a time such as '7D' or '12h', or seconds from 0.")
    return seconds


def _in_order(
    table: Table, named: tuple[str | None, str | None], time: np.ndarray, labels: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Return the positions of the rows to keep, in time order.

    Of rows that are equal but for the label, the first with a label stays.
    """
    order, same = np.argsort(time, kind="stable"), table.frame.drop(columns=[column for column in named if column])
    if named[0]:
        same = same.assign(**{named[0]: time})
        if (np.diff(time) < 0).any():
            notes.append(f"The rows were not in the order of {named[0]}; they have been sorted.")
    group = same.groupby(list(same), dropna=False, sort=False).ngroup().to_numpy()
    known = pd.Series(np.where(labels == UNKNOWN, np.nan, labels)).groupby(group)
    table.refuse(
        known.transform("nunique") > 1,
        f"equal rows with different values of {named[1]}",
        "correct the label, or add a column that tells the rows apart",
    )
    labelled_first = order[np.argsort(labels[order] == UNKNOWN, kind="stable")]
    _, first = np.unique(group[labelled_first], return_index=True)
    kept = np.zeros(len(time), dtype=bool)
    kept[labelled_first[first]] = True
    if not kept.all():
        notes.append(f"{(~kept).sum():,} rows that repeat another in every column were removed ({table.where(~kept)}).")
    return order[kept[order]]


def _at_random(table: Table, entity: str | None, notes: list[str]) -> np.ndarray:
    """A random place in the order for each row, float64 (n,), the same for all rows of an entity."""
    notes.append(f"There is no time: rows were split at random{f', those of one {entity} together' if entity else ''}.")
    codes = pd.factorize(tables.words_of(table.frame[entity]) if entity else np.arange(len(table.frame)))[0]
    return np.random.default_rng(0).permutation(codes.max() + 1)[codes].astype(np.float64)


def _entity_codes(table: Table, entity: str | None, notes: list[str]) -> np.ndarray | None:
    """Number entities by their first event, so that later events change no code."""
    if entity is None:
        notes.append("No entity was given: events of one card or customer are on both sides of the splits.")
        return None
    words = tables.words_of(table.frame[entity])
    table.refuse(words.isna(), f"no {entity}", "fill it in, or leave out entity=")
    return pd.factorize(words)[0].astype(np.int64)


def _weights(table: Table, weight: str | None) -> np.ndarray:
    if weight is None:
        return np.ones(len(table.frame))
    weights = tables.numbers_of(table, weight).astype(np.float64)
    table.refuse(~(weights > 0), f"a {weight} that is not above 0", "mend it", table.frame[weight])
    return pd.to_numeric(table.frame[weight]).to_numpy(dtype=np.float64)


def _input_columns(
    table: Table, numeric: Sequence[str] | None, categorical: Sequence[str] | None, others: Sequence[str],
    judged: pd.DataFrame, notes: list[str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:  # fmt: skip
    """Return the numeric and the categorical columns, judged by rows of training; note those that are no input."""
    if numeric is None and categorical is None:
        kinds = {column: tables.kind_of(judged[column]) for column in others}
    else:
        kinds = dict.fromkeys(numeric or (), "number") | dict.fromkeys(categorical or (), "category")
        kinds |= {column: "constant" for column in kinds if tables.is_constant(judged[column])}
    for column, kind in kinds.items():
        if kind in WHY_DETAIL:
            notes.append(f"Column {column!r} {WHY_DETAIL[kind]}; it is no input, and kept in details.")
    numeric, categorical = (tuple(c for c in kinds if kinds[c] == kind) for kind in ("number", "category"))
    if not numeric and not categorical:
        raise DataError(f"{table.name} has no column to learn from; add some beside time, label and entity.")
    return numeric, categorical


def _inputs(
    table: Table, numeric: Sequence[str], categorical: Sequence[str], training: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[str, ...], ...]]:
    """Return the numbers (n, k), the codes (n, c) and their categories; note how many values are missing or new."""
    numbers = [tables.numbers_of(table, column) for column in numeric]
    coded = [tables.codes_of(table.frame[column], training) for column in categorical]
    for column, values in zip(numeric, numbers, strict=True):
        if np.isnan(values).any():
            notes.append(f"Column {column!r} is missing in {np.isnan(values).sum():,} rows.")
    for column, (codes, _) in zip(categorical, coded, strict=True):
        missing = table.frame[column].isna().to_numpy()
        new = (codes == 0) & ~missing
        if missing.any():
            notes.append(f"Column {column!r} is missing in {missing.sum():,} rows; they have code 0.")
        if new.any():
            values = shorten([repr(word) for word in tables.words_of(table.frame[column][new]).unique()])
            notes.append(
                f"Column {column!r} has values in {new.sum():,} rows that no training row has ({values}): code 0."
            )
    return (
        np.column_stack([np.empty((len(training), 0), np.float32), *numbers]),
        np.column_stack([np.empty((len(training), 0), np.int64), *(codes for codes, _ in coded)]),
        tuple(categories for _, categories in coded),
    )


def _warn_of_leaks(name: str, train: TransactionSplit, columns: Sequence[str], notes: list[str]) -> None:
    """Warn of each column that tells the label without the others, and note it."""
    for column, auc in tables.leaks(train.labels, train.numeric, train.categorical, columns).items():
        note = (
            f"Column {column!r} alone tells the label in training (AUC {auc:.3f}): it may have been filled in after "
            "the finding was known; leave it out if so."
        )
        warnings.warn(f"{name}: {note}", stacklevel=3)
        notes.append(note)


def cut_creditcard(table: pd.DataFrame | Table, data_card: DataCard, legitimate: float = 1.0) -> Transactions:
    """Cut a table with the columns of creditcard.csv: the last 40 % are test, labels are known after an hour.

    Parameters
    ----------
    table : columns Time (s), V1 to V28, Amount, Class.
    data_card : where it is from.
    legitimate : real rows that each legitimate row stands for.
    """
    table = table if isinstance(table, Table) else tables.table_of(table, "The table")
    weight = np.where(table.frame["Class"] == 0, legitimate, 1.0)
    return Transactions.from_frame(
        replace(table, frame=table.frame.assign(weight=weight)), time="Time", label="Class", weight="weight",
        numeric=[*COMPONENTS, "Amount"], validation=0, test=0.4, delay="1h", data_card=data_card,
    )  # fmt: skip
