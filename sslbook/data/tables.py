"""Read tables, and say what every column is; what cannot be used is refused, naming its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Number
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from sslbook.data.errors import DataError, shorten

UNKNOWN = -1  # the label of a row, image or event whose class is not known
NOTHING_FOUND = frozenset("0 no non not none normal negative neg healthy benign control false".split())
NO_FINDING = NOTHING_FOUND | frozenset("f n legit legitimate genuine good ok valid".split())
FEW_VALUES = 10  # whole numbers with no more distinct values are categories
FEWEST_FINDINGS = 20  # a column is not judged a leak by fewer
LEAK = 0.995  # AUC
ZONE = re.compile(r"(?:[zZ]|[T ]\S*[+-]\d\d(?::?\d\d)?)$")
DATE = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")


@dataclass(frozen=True, eq=False)
class Table:
    """A table, and what to call it and its rows in messages.

    Parameters
    ----------
    frame : the index holds the number of each row in the source.
    name : file name, or what else to call it.
    unit : what the index counts: "row" (from 0) or "line" (of a file, from 1).
    """

    frame: pd.DataFrame
    name: str
    unit: str

    def where(self, bad: np.ndarray, values: pd.Series | None = None) -> str:
        """Name the first rows of a boolean mask."""
        found = [f"{self.unit} {row}" for row in self.frame.index[bad]]
        if values is not None:
            found = [f"{row}: {str(value)!r}" for row, value in zip(found, values[bad], strict=True)]
        return shorten(found)

    def refuse(self, bad: np.ndarray, what: str, mend: str, values: pd.Series | None = None) -> None:
        """Raise if rows are bad, naming the first of them."""
        bad = np.asarray(bad, dtype=bool)
        if bad.any():
            raise DataError(f"{self.name} has {what} ({self.where(bad, values)}); {mend}.")

    def take(self, index: np.ndarray) -> Table:
        """Return the rows at ``index`` (positions or a boolean mask)."""
        return Table(self.frame[index] if index.dtype == bool else self.frame.iloc[index], self.name, self.unit)


def table_of(frame: pd.DataFrame, name: str, unit: str = "row") -> Table:
    """Return a table of tidy cells: no blanks around names and words, empty words are missing.

    Raises
    ------
    DataError : not a DataFrame, no rows, or two columns of one name.
    """
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{name} is a {type(frame).__name__}; give a pandas DataFrame.")
    if frame.empty:
        raise DataError(f"{name} has no rows; add at least one.")
    frame = frame.set_axis(frame.columns.map(lambda column: str(column).strip()), axis="columns")
    for column in frame.columns[frame.columns.duplicated()][:1]:
        raise DataError(f"{name} has two columns called {column!r}; rename one.")
    if unit == "row":
        frame = frame.set_axis(range(len(frame)), axis="index")
    return Table(frame.apply(_tidy_column), name, unit)


def read_table(path: Path | str, text: Sequence[str | None] = ()) -> Table:
    """Read a comma-separated file in UTF-8 with a header, or a .parquet file.

    Parameters
    ----------
    path : the file.
    text : columns whose cells are taken exactly as they are written, but for blanks around them: 007 stays "007", and
        "NA" a word; only an empty cell is missing. For ids and labels; a Parquet file says itself what is text.

    Raises
    ------
    DataError : no such file, or it cannot be read.
    """
    path = Path(path)
    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        frame = pd.read_parquet(path).reset_index(drop=True) if parquet else _read_csv(path, text)
    except FileNotFoundError:
        raise DataError(f"There is no table {path}; mend its path.") from None
    except (ValueError, OSError) as error:
        why, kind = " ".join(str(error).split()).rstrip("."), "Parquet" if parquet else "comma-separated table in UTF-8"
        raise DataError(f"{path} cannot be read ({why}); save it as a {kind} file.") from error
    return table_of(frame, path.name, "row" if parquet else "line")


def _read_csv(path: Path, text: Sequence[str | None]) -> pd.DataFrame:
    """Return the rows that are not empty, with their line numbers as index."""
    options = {"encoding": "utf-8-sig", "skip_blank_lines": False, "low_memory": False}
    frame = pd.read_csv(path, **options)
    if not frame.index.equals(pd.RangeIndex(len(frame))):  # pandas took the first cells for names of the rows
        raise ValueError("its rows have more cells than its header")
    as_written = [name for name in frame if name.strip() in text]
    if as_written:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=as_written, **options)
        frame[as_written] = cells.where(cells != "")
    return frame.set_axis(frame.index + 2, axis="index").dropna(how="all")


def check_columns(table: Table, columns: Sequence[str | None], roles: str) -> None:
    """Refuse columns that are not there, and a column named twice; None stands for a role without a column."""
    used = [column for column in columns if column is not None]
    for column in used:
        if column not in table.frame:
            found = ", ".join(repr(name) for name in table.frame)
            raise DataError(f"{table.name} has no column {column!r}; it has {found}: name the right one.")
        if used.count(column) > 1:
            raise DataError(f"Column {column!r} is named twice among {roles}; give it one role.")


def check_official(path: Path, table: Table, columns: Sequence[str]) -> None:
    """Refuse a file that is not the official one, since it has not its columns."""
    missing = [column for column in columns if column not in table.frame]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}; place the official file there.")


def _tidy_column(column: pd.Series) -> pd.Series:
    """Return numbers and dates as they are, numbers among missing values as numbers, all else tidied."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return column
    values = column.astype(object)
    try:
        once = values.dropna().unique()
    except TypeError:  # lists and the like
        once = [()]
    if not all(map(pd.api.types.is_scalar, once)):
        values = values.map(str, na_action="ignore")
        once = values.dropna().unique()
    if len(once) and all(isinstance(value, Number | Decimal) and not isinstance(value, bool) for value in once):
        return values if isinstance(column.dtype, pd.CategoricalDtype) else values.astype(np.float64)
    return _each(values, lambda value: value.strip() or None if isinstance(value, str) else value)


def _each(values: pd.Series, change: Callable[[object], object]) -> pd.Series:
    """Change every known value, None where it is missing; cells of equal value share one object."""
    codes, known = pd.factorize(values)
    changed = np.empty(len(known) + 1, dtype=object)  # the last, None, is where the codes are -1
    changed[:-1] = [change(value) for value in known]
    return pd.Series(changed[codes], values.index, dtype=object, name=values.name)


def seconds_of(table: Table, column: str) -> tuple[np.ndarray, pd.Timestamp | None]:
    """Return times as seconds, and the midnight they count from (None where they are numbers already).

    Times of several zones are put on one clock, UTC.

    Returns
    -------
    float64 array (n,); Timestamp or None

    Raises
    ------
    DataError : a time is missing or cannot be read; only some have a zone; numbers that are dates or milliseconds.
    """
    values = table.frame[column]
    table.refuse(values.isna(), f"no {column}", "fill it in or delete the row")
    if pd.api.types.is_numeric_dtype(values):
        return _number_times(table, column), None
    parsed = pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")
    mend = "write times like 2024-01-31 or 2024-01-31 13:05:00, or give seconds as numbers"
    table.refuse(parsed.isna(), f"a {column} that is not a time", mend, values)
    aware = np.full(len(values), getattr(values.dtype, "tz", None) is not None)
    if not pd.api.types.is_datetime64_any_dtype(values):
        aware = values.map(_has_zone).to_numpy(dtype=bool)
    if aware.any() and not aware.all():
        raise DataError(
            f"{table.name} has {column} with a time zone ({table.where(aware)}) and without ({table.where(~aware)}); "
            "give all a zone, or none."
        )
    start = parsed.min().normalize()
    seconds = ((parsed - start) / pd.Timedelta(seconds=1)).to_numpy(dtype=np.float64)
    return seconds, start if aware.all() else start.tz_localize(None)


def _number_times(table: Table, column: str) -> np.ndarray:
    seconds = table.frame[column].to_numpy(dtype=np.float64)
    table.refuse(~np.isfinite(seconds), f"an infinite {column}", "correct it or delete the row")
    if (np.abs(seconds) > 1e11).all():
        raise DataError(f"Column {column!r} of {table.name} looks like milliseconds since 1970; divide it by 1000.")
    if ((seconds > 19_000_000) & (seconds < 21_010_000) & (seconds % 100 <= 31) & (seconds % 1 == 0)).all():
        if pd.to_datetime(table.frame[column].astype(int).astype(str), format="%Y%m%d", errors="coerce").notna().all():
            raise DataError(
                f"Column {column!r} of {table.name} holds dates written as numbers ({seconds[0]:.0f}); convert it "
                "with pd.to_datetime(..., format='%Y%m%d')."
            )
    return seconds


def _has_zone(value: object) -> bool:
    return bool(ZONE.search(value)) if isinstance(value, str) else getattr(value, "tzinfo", None) is not None


def findings_of(table: Table, column: str, positive: object = None) -> np.ndarray:
    """Return labels, int64 (n,): 1 for the finding, 0 for the other value, ``UNKNOWN`` where there is none.

    Parameters
    ----------
    positive : the value that is the finding; by default the one whose first word is not like no, 0, false,
        normal, legit. Beside 0 and 1, a label of -1 means unknown.

    Raises
    ------
    DataError : not exactly two values, or none or both of them look like a finding.
    """
    words = words_of(table.frame[column])
    if set(words.dropna()) == {str(UNKNOWN), "0", "1"}:
        words = words.mask(words == str(UNKNOWN), None)
    values = sorted(words.dropna().unique())
    if len(values) != 2:
        held = f"{len(values)} values ({shorten([repr(v) for v in values])})" if values else "no value at all"
        mend = "merge them to two" if len(values) > 2 else "add events of the other kind, or say label=None"
        raise DataError(f"Label column {column!r} of {table.name} holds {held}; {mend}.")
    found = [v for v in values if re.split(r"[\W_]+", v.lower())[0] not in NO_FINDING | {""}]
    if positive is not None:
        found = [v for v in values if v.lower() == words_of(pd.Series([positive], dtype=object))[0].lower()]
    if len(found) != 1:
        raise DataError(
            f"Label column {column!r} of {table.name} holds {values[0]!r} and {values[1]!r}, and positive is "
            f"{positive!r}; say positive={values[0]!r} or positive={values[1]!r}, whichever is the finding."
        )
    return np.where(words.isna(), UNKNOWN, words == found[0]).astype(np.int64)


def words_of(column: pd.Series) -> pd.Series:
    """Return every value as a word, whole numbers without a point, None where it is missing."""

    def word(value: object) -> str:
        whole = isinstance(value, float | np.floating) and np.isfinite(value) and value == int(value)
        return str(int(value)) if whole else str(value)

    return _each(column.astype(object), word)


def numbers_of(table: Table, column: str, mend: str = "correct it, or list the column as categorical") -> np.ndarray:
    """Return a column as float32 (n,), NaN where it is missing; ``mend`` says what to do with text.

    Raises
    ------
    DataError : something that is not a number, or is infinite, naming rows and column.
    """
    values = table.frame[column]
    if pd.api.types.is_datetime64_any_dtype(values):
        raise DataError(f"Column {column!r} of {table.name} holds dates; turn it into a number, such as days.")
    numbers = pd.to_numeric(values, errors="coerce").astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan)
    broken = np.isnan(numbers) & values.notna().to_numpy()
    table.refuse(broken, f"a {column} that is not a number", mend, values)
    with np.errstate(over="ignore"):
        numbers = numbers.astype(np.float32)
    table.refuse(np.isinf(numbers), f"an infinite {column}", "correct it, or leave it empty", values)
    return numbers


def codes_of(column: pd.Series, training: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return int64 codes (n,), and the values behind codes 1, 2, ...: those of the training rows, sorted.

    Missing values and values that no training row has get code 0.
    """
    words = words_of(column)
    categories = tuple(sorted(words[training].dropna().unique()))
    code = {word: i for i, word in enumerate(categories, start=1)}
    return words.map(code).fillna(0).to_numpy(dtype=np.int64), categories


def kind_of(column: pd.Series) -> str:
    """Tell what a column is: "number", "category", "constant", "date", "identifier" or "counter".

    Whole numbers of at most ten distinct values are a category, words that are mostly different an
    identifier, and whole numbers that rise with every row a counter.
    """
    known = column.dropna()
    if is_constant(column):
        return "constant"
    if pd.api.types.is_datetime64_any_dtype(known):
        return "date"
    if pd.api.types.is_bool_dtype(known):
        return "category"
    if pd.api.types.is_numeric_dtype(known):
        numbers = known.to_numpy(dtype=np.float64)
        whole = (numbers == np.floor(numbers)).all()
        if whole and known.nunique() <= FEW_VALUES:
            return "category"
        return "counter" if whole and known.is_unique and known.is_monotonic_increasing else "number"
    words = words_of(pd.Series(known.unique(), dtype=object))
    if words.map(lambda word: bool(DATE.match(word))).all():
        return "date"
    return "identifier" if words.nunique() > len(known) / 2 else "category"


def is_constant(column: pd.Series) -> bool:
    """Tell whether every row has one value, or none has any."""
    different = column.nunique()
    return different == 0 or (different == 1 and column.notna().all())


def leaks(labels: np.ndarray, numeric: np.ndarray, categorical: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return the columns that alone tell the label of nearly every training row, with their AUC.

    A number is judged by its order, either way round, and by whether it is missing; a category by the share
    of findings among the other rows that have it (values of a single row are left out).

    Parameters
    ----------
    labels : int64 array (n,), ``UNKNOWN`` where not known; with fewer than 20 findings nothing is judged.
    numeric, categorical : arrays (n, k) and (n, c) of the same rows.
    names : of the k + c columns.
    """
    known = labels != UNKNOWN
    finding = labels[known] == 1
    aucs = [max(_auc(finding, x), _auc(finding, np.isnan(x))) for x in numeric[known].T]
    for codes in categorical[known].T:
        rows, findings = np.bincount(codes)[codes], np.bincount(codes, weights=finding)[codes]
        rate = np.divide(findings - finding, rows - 1, out=np.full(len(codes), np.nan), where=rows > 1)
        aucs.append(_auc(finding, rate, either_way=False))
    return {name: auc for name, auc in zip(names, aucs, strict=True) if auc >= LEAK}


def _auc(finding: np.ndarray, scores: np.ndarray, either_way: bool = True) -> float:
    """Return the AUC of the scores that are not NaN, 0 where they are too few to judge."""
    held = ~np.isnan(scores)
    finding = finding[held]
    if finding.sum() < FEWEST_FINDINGS or finding.all():
        return 0.0
    auc = roc_auc_score(finding, scores[held])
    return max(auc, 1 - auc) if either_way else auc
