"""The container of short texts with labels, such as messages to a support desk, and how a reader's own are read."""

from __future__ import annotations

import html
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.splits import SPLIT_NAMES, complete_splits, split_in_time
from sslbook.data.tables import UNKNOWN, Table, check_columns, read_table, seconds_of, table_of, words_of
from sslbook.domains.language import cleaning

SPLITS = ("train", "validation", "test")
FEWEST = 3  # texts of a class, so that it can be in every split


@dataclass(frozen=True, eq=False)
class TextSplit:
    """Some texts and their labels.

    Parameters
    ----------
    texts : str object array (n,).
    labels : int64 array (n,), ``UNKNOWN`` (-1) where the label is not known.
    groups : str array (n,), the customer or thread of each text, or None where the data do not tell.

    Raises
    ------
    DataError : parts of unequal length, or something that is no text.
    """

    texts: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None

    def __post_init__(self) -> None:
        for what, given in vars(self).items():
            if given is not None and given.shape != (len(self),):
                raise DataError(f"There are {len(self)} texts but {what} of shape {given.shape}; give one for each.")
        for i in [i for i, text in enumerate(self.texts) if not isinstance(text, str)][:1]:
            raise DataError(f"Text {i} is {self.texts[i]!r}; give words.")

    def __len__(self) -> int:
        return len(self.texts)

    def __repr__(self) -> str:
        return f"TextSplit({len(self)} texts, {int((self.labels != UNKNOWN).sum())} with a label)"

    def subset(self, index: np.ndarray) -> TextSplit:
        """Return the texts at ``index`` (positions or a boolean mask)."""
        return TextSplit(**{name: None if part is None else part[index] for name, part in vars(self).items()})

    @property
    def labelled(self) -> TextSplit:
        """The texts whose label is known."""
        return self.subset(self.labels != UNKNOWN)


@dataclass(frozen=True, eq=False)
class Texts(Described):
    """Short texts with their splits; no text is in two of them, whatever its case or white space, and no group.

    Parameters
    ----------
    train, validation, test : the splits; validation may be empty, and so is test when no label is known.
    classes : name of each label.
    data_card : source, licence and known problems.

    Raises
    ------
    DataError : no text, only one class, a label without a class, a class without a training text, or a text or a group
        in two splits.
    """

    train: TextSplit
    validation: TextSplit
    test: TextSplit
    classes: tuple[str, ...]
    data_card: DataCard

    def __post_init__(self) -> None:
        if not len(self.train):
            raise DataError(f"{self.name} has no training text; give some.")
        if len(self.classes) == 1:
            raise DataError(f"{self.name} has one class only, {self.classes[0]!r}; give two, or label=None.")
        owners: dict[str, dict[str, str]] = {"text": {}, "group": {}}
        for name, split in self.splits.items():
            for i in np.flatnonzero((split.labels < UNKNOWN) | (split.labels >= len(self.classes)))[:1]:
                raise DataError(
                    f"Text {i} of {name} has the label {split.labels[i]}, which no class of {self.name} is."
                )
            members = {
                "text": map(cleaning.plain_form, split.texts),
                "group": [] if split.groups is None else split.groups,
            }
            for what, found in members.items():
                for member in set(found):
                    if owners[what].setdefault(member, name) != name:
                        raise DataError(
                            f"{self.name} has the {what} {member!r} in {owners[what][member]} and in {name}."
                        )
        seen = np.bincount(self.train.labelled.labels, minlength=len(self.classes))
        for label in np.flatnonzero(seen == 0):
            raise DataError(
                f"Class {self.classes[label]!r} of {self.name} has no training text; add some or leave it out."
            )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split):,} in {name}" for name, split in self.splits.items() if len(split))
        return f"Texts({self.name}: {sizes}; {len(self.classes)} classes)"

    @property
    def splits(self) -> dict[str, TextSplit]:
        """The three splits by name."""
        return {name: getattr(self, name) for name in SPLITS}

    def counts(self) -> pd.DataFrame:
        """Texts, texts with a label, classes, and texts of the smallest class (columns) in each split (rows)."""
        rows = {}
        for name, split in self.splits.items():
            of_class = np.bincount(split.labelled.labels, minlength=len(self.classes))
            row = {"texts": len(split), "with a label": int(of_class.sum()), "classes": int((of_class > 0).sum())}
            rows[name] = row | {"fewest of a class": int(of_class.min(initial=len(split)))}
        return pd.DataFrame(rows).T

    def _repr_html_(self) -> str:
        words = [len(text.split()) for text in self.train.texts]
        text = f"{len(self.classes)} classes; a text has {np.median(words):.0f} words (median), {max(words)} at most"
        return f"{self.data_card._repr_html_()}<p>{html.escape(text)}</p>{self.counts().to_html()}"

    @classmethod
    def from_csv(cls, path: Path | str, text: str = "text", label: str | None = "label", **columns: Any) -> Texts:
        """Read a comma-separated table in UTF-8 with a header, or a .parquet file; parameters as for ``from_frame``."""
        as_written = [text, label, columns.get("group"), columns.get("split")]
        table, stem = read_table(path, text=as_written), Path(path).stem
        return _assemble(table, text, label, **{"name": stem, "title": f"Table {Path(path).name}"} | columns)

    from_parquet = from_csv

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, text: str = "text", label: str | None = "label", **columns: Any) -> Texts:
        """Read a table in memory, one text per row.

        Texts and labels are taken as they are written, but for blanks around them. Left out, and counted in the data
        card, are rows without a text and copies of texts of another split (equal but for case and white space). E-mail
        addresses and numbers of cards and accounts are masked.

        Parameters
        ----------
        frame : the table.
        text, label : names of the columns; where the label is empty it is not known, and ``label=None`` says that none
            is. A class of fewer than three texts becomes unlabelled, where the split is drawn.
        group : column of the customer or thread; texts of a group stay in one split.
        time : column of the moment; then the last texts are the test. Without it the split is drawn at random.
        split : column of the official split: train, val or test.
        validation, test, seed : shares of the texts, where there is no official split; validation may be 0.
        masked : False leaves personal data in.
        name, title : for records, figures and reports.

        Raises
        ------
        DataError : a column is missing, a row has no group or time, only one class, or too few texts for a split.
        """
        return _assemble(
            table_of(frame, "the table"), text, label, **{"name": "own texts", "title": "Own texts"} | columns
        )

    @classmethod
    def from_folder(cls, path: Path | str, **settings: Any) -> Texts:
        """Read a folder with one sub-folder of .txt files per class; settings as for ``from_frame``.

        Files directly in the folder, or in a sub-folder called ``unlabelled``, have no label. Files of another kind are
        counted in the data card.

        Raises
        ------
        DataError : no such folder, no .txt file in it, or a file that is not UTF-8.
        """
        root = Path(path)
        if not root.is_dir():
            raise DataError(f"There is no folder {root}; give the folder that holds the class folders.")
        files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
        texts = [p for p in files if p.suffix.lower() == ".txt"]
        if not texts:
            raise DataError(f"{root} holds no .txt file; give the folder that holds the class folders.")
        rows = []
        for p in texts:
            inside, name = p.relative_to(root).parts, p.relative_to(root).as_posix()
            try:
                words = p.read_text(encoding="utf-8-sig")
            except UnicodeDecodeError:
                raise DataError(f"{name} is not UTF-8; save it so.") from None
            known = len(inside) > 1 and inside[0].lower() != "unlabelled"
            rows.append({"text": words, "label": inside[0] if known else None})
        other = [p.relative_to(root).as_posix() for p in files if p not in set(texts)]
        notes = [f"{len(other)} files that are not .txt were left out: {shorten(other)}."] if other else []
        name = root.resolve().name
        given = {"name": name, "title": f"Folder {name}", "notes": notes} | settings
        return _assemble(table_of(pd.DataFrame(rows), name), "text", "label", **given)


def _assemble(
    table: Table, text: str, label: str | None, group: str | None = None, time: str | None = None,
    split: str | None = None, validation: float = 0.0, test: float = 0.25, seed: int = 0, masked: bool = True,
    name: str = "", title: str = "", notes: list[str] | tuple[str, ...] = (), data_card: DataCard | None = None,
) -> Texts:  # fmt: skip
    """Clean the texts, cut the splits that are not given, and check the whole; the card says what was done."""
    check_columns(table, (text, label, group, time, split), "text, label, group, time and split")
    empty = words_of(table.frame[text]).isna().to_numpy()
    if empty.all():
        raise DataError(f"Column {text!r} of {table.name} holds no text; name the right one.")
    problems = [*notes]
    if empty.any():
        problems.append(f"{empty.sum():,} rows without a text were left out ({table.where(empty)}).")
    table = table.take(~empty)
    texts, labels, classes = words_of(table.frame[text]).tolist(), *_labels(table, label)
    if masked:
        texts, found = zip(*map(cleaning.mask_personal_data, texts), strict=True)
        if sum(found):
            problems.append(f"{sum(found):,} e-mail addresses and numbers of cards and accounts were masked.")
    groups = None if group is None else words_of(table.frame[group])
    if groups is not None:
        table.refuse(groups.isna(), f"no {group}", "fill it in, so that no group is in two splits")
        groups = groups.to_numpy(dtype=str)
    whole = TextSplit(np.array(texts, dtype=object), labels, groups)
    parts = _official(table, split) if split else np.full(len(whole), "train", dtype="<U10")
    if time is not None:
        parts = _by_time(table, time, validation, test, groups, problems)
    elif split is None:
        whole, classes = _without_rare(whole, classes, problems)
        parts = complete_splits(parts, whole.labels, groups, classes, validation, test, seed, "texts")
    kept = _without_copies(whole, parts, problems)
    _warn(whole.subset(parts == "train"), classes, problems)
    if groups is None:
        problems.append("No groups were given: texts of one customer may be on both sides of a split.")
    card = own_data_card(name, title, ()) if data_card is None else data_card
    splits = {part: whole.subset(kept & (parts == part)) for part in SPLITS}
    return Texts(**splits, classes=classes, data_card=card.noting(*problems))


def _labels(table: Table, label: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    if label is None:
        return np.full(len(table.frame), UNKNOWN), ()
    names = words_of(table.frame[label])
    classes = tuple(sorted(names.dropna().unique()))
    return names.map({name: i for i, name in enumerate(classes)}).fillna(UNKNOWN).to_numpy(dtype=np.int64), classes


def _official(table: Table, split: str) -> np.ndarray:
    names = words_of(table.frame[split])
    parts = names.str.lower().map(SPLIT_NAMES)
    table.refuse(parts.isna(), f"a {split} that is not train, val or test", "correct it", names)
    return parts.to_numpy(dtype="<U10")


def _by_time(
    table: Table, time: str, validation: float, test: float, groups: np.ndarray | None, problems: list[str]
) -> np.ndarray:
    """The last texts are the test; later texts of a group that is in an earlier split are in none."""
    seconds = seconds_of(table, time)[0]
    order = np.argsort(seconds, kind="stable")
    parts = np.empty(len(order), dtype="<U10")
    parts[order] = split_in_time(seconds[order], validation, test, 0.0)
    if groups is not None:
        place = pd.Series(parts).map({part: i for i, part in enumerate(SPLITS)})
        late = (place > place.groupby(groups).transform("min")).to_numpy()
        parts = np.where(late, "", parts)
        problems.append(f"{late.sum():,} texts of groups that are in an earlier split were left out.")
    return parts


def _without_rare(whole: TextSplit, classes: tuple[str, ...], problems: list[str]) -> tuple[TextSplit, tuple[str, ...]]:
    """Classes of fewer than three texts become unlabelled."""
    count = np.bincount(whole.labelled.labels, minlength=len(classes))
    rare = np.flatnonzero(count < FEWEST)
    if len(rare):
        names = shorten([f"{classes[i]!r} ({count[i]})" for i in rare])
        problems.append(f"{len(rare)} classes of fewer than {FEWEST} texts became unlabelled: {names}.")
    number = np.full(len(classes) + 1, UNKNOWN)  # the last for what has none
    number[np.flatnonzero(count >= FEWEST)] = np.arange((count >= FEWEST).sum())
    left = tuple(name for name, n in zip(classes, count, strict=True) if n >= FEWEST)
    return TextSplit(whole.texts, number[whole.labels], whole.groups), left


def _without_copies(whole: TextSplit, parts: np.ndarray, problems: list[str]) -> np.ndarray:
    """True for the texts that stay: a copy of a test text leaves the other splits, one of validation the training."""
    plain, kept, copies = pd.Series([cleaning.plain_form(text) for text in whole.texts]), parts != "", 0
    for i, part in enumerate(SPLITS):
        later = plain[np.isin(parts, SPLITS[i + 1 :])]
        copy = (parts == part) & plain.isin(set(later)).to_numpy()
        kept &= ~copy
        copies += copy.sum()
    if copies:
        problems.append(f"{copies:,} copies of texts of a later split (but for case and white space) were left out.")
    known = kept & (whole.labels != UNKNOWN)
    different = pd.Series(whole.labels[known]).groupby(plain[known].to_numpy()).nunique()
    if (different > 1).any():
        examples = shorten([repr(text) for text in different.index[different > 1]])
        problems.append(f"{(different > 1).sum():,} texts come with different labels: {examples}.")
    return kept


def _warn(training: TextSplit, classes: tuple[str, ...], problems: list[str]) -> None:
    leaks = cleaning.leaking_phrases(training.texts, training.labels, classes)
    said = [f"Nearly every text of {name!r} and hardly any other says {phrase!r}" for name, phrase in leaks.items()]
    said = [f"{shorten(said)}: will it be there when a new text comes?"] if said else []
    foreign = cleaning.not_english(training.texts)
    if foreign > cleaning.FOREIGN:
        said.append(f"{foreign:.0%} of the longer texts hold no common English word; the borrowed model reads English.")
    for warning in said:
        warnings.warn(warning, UserWarning, stacklevel=4)
    problems += said
