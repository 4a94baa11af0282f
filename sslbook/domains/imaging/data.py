"""The container of image data sets, and one constructor per kind of data a reader may bring."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.pictures import image_files, read_images, read_npz, write_npz
from sslbook.data.splits import NPZ_KEYS, SPLIT_NAMES, complete_splits
from sslbook.data.tables import UNKNOWN, check_columns, read_table, words_of
from sslbook.domains.imaging import readers


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """One split: images with their labels, and whom they show.

    Parameters
    ----------
    images : uint8 array (n, height, width, channels).
    labels : int64 array (n,), ``UNKNOWN`` (-1) where the label is not known.
    groups : str array (n,), the patient or site of each image, or None where the data do not tell.
    names : str array (n,), what to call an image when something is wrong with it.
    order : int64 array (n,), the place of each image in its group (number of a slice, of a visit), or None.

    Raises
    ------
    DataError : pixels of another type or shape, unequal lengths, an order without groups, or two images of one group at
        the same place.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    names: np.ndarray
    order: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"The pixels are {self.images.dtype} of shape {self.images.shape}; give uint8 of shape "
                "(n, height, width, channels)."
            )
        for what, given in vars(self).items():
            if what != "images" and given is not None and given.shape != (len(self),):
                raise DataError(f"There are {len(self)} images but {what} of shape {given.shape}; give one for each.")
        if self.order is not None:
            self._check_order()

    def _check_order(self) -> None:
        if self.groups is None:
            raise DataError("An order is the place of an image in its group, and there are no groups; give them, too.")
        for i in np.flatnonzero(pd.DataFrame({"group": self.groups, "order": self.order}).duplicated())[:1]:
            group, place = self.groups[i], self.order[i]
            first = np.flatnonzero((self.groups == group) & (self.order == place))[0]
            raise DataError(
                f"Images {self.names[first]} and {self.names[i]} of group {str(group)!r} both have the order {place}; "
                "give every image of a group a number of its own."
            )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ImageSplit({len(self)} images of {' x '.join(map(str, self.images.shape[1:]))})"

    def subset(self, index: np.ndarray) -> ImageSplit:
        """Return the images at ``index`` (positions or a boolean mask)."""
        return ImageSplit(**{name: None if part is None else part[index] for name, part in vars(self).items()})

    @property
    def labelled(self) -> ImageSplit:
        """The images whose label is known."""
        return self.subset(self.labels != UNKNOWN)


@dataclass(frozen=True, eq=False)
class Images(Described):
    """An image data set with its splits; no group (patient, site) is in two of them.

    Parameters
    ----------
    train, validation, test : the splits; validation and test are empty when no label is known.
    classes : name of each label.
    positive : label of the finding, the class that a test is to detect.
    data_card : source, licence and known problems.

    Raises
    ------
    DataError : only one class, a label without a class, a class without training images, or a group in two splits.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    classes: tuple[str, ...]
    positive: int
    data_card: DataCard

    def __post_init__(self) -> None:
        if len(self.classes) == 1:
            raise DataError(
                f"{self.name} has one class only, {self.classes[0]!r}; give images of at least two classes, or label "
                "none. If the class folders lie deeper, give the folder that holds them."
            )
        for split in self.splits.values():
            for i in np.flatnonzero((split.labels < UNKNOWN) | (split.labels >= len(self.classes)))[:1]:
                raise DataError(
                    f"Image {split.names[i]} of {self.name} has the label {split.labels[i]}; labels go from 0 to "
                    f"{len(self.classes) - 1}, and {UNKNOWN} stands for unknown."
                )
        seen = np.bincount(self.train.labelled.labels, minlength=len(self.classes))
        for label in np.flatnonzero(seen == 0):
            raise DataError(
                f"Class {self.classes[label]!r} of {self.name} has no labelled training image; add some or "
                "leave the class out."
            )
        self._check_groups()

    def _check_groups(self) -> None:
        owner: dict[str, str] = {}
        for split_name, split in self.splits.items():
            for group in [] if split.groups is None else np.unique(split.groups):
                if owner.setdefault(group, split_name) != split_name:
                    names = [
                        self.splits[s].names[self.splits[s].groups == group][0] for s in (owner[group], split_name)
                    ]
                    raise DataError(
                        f"Group {str(group)!r} of {self.name} is in {owner[group]} ({names[0]}) and in "
                        f"{split_name} ({names[1]}); keep all images of a group in one split."
                    )

    @property
    def splits(self) -> dict[str, ImageSplit]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return self.train.images.shape[1:]

    def counts(self) -> pd.DataFrame:
        """Images of each class (rows) in each split (columns)."""
        rows = {
            split_name: [int((split.labels == label).sum()) for label in (*range(len(self.classes)), UNKNOWN)]
            for split_name, split in self.splits.items()
        }
        table = pd.DataFrame(rows, index=[*self.classes, "unlabelled"])
        return table if table.loc["unlabelled"].any() else table.drop(index="unlabelled")

    def _repr_html_(self) -> str:
        height, width, channels = self.shape
        finding = f", finding: {self.classes[self.positive]}" if self.classes else ""
        text = f"{height} x {width} pixels, {channels} channel{'s' * (channels > 1)}{finding}"
        return f"{self.data_card._repr_html_()}<p>{html.escape(text)}</p>{self.counts().to_html()}"

    def to_npz(self, path: Path | str) -> None:
        """Write everything to one compressed file for ``from_npz``: the keys of MedMNIST, and some more."""
        arrays = {
            "classes": np.array(self.classes, dtype=str),
            "positive": np.array(self.positive),
            "card": np.array(json.dumps(asdict(self.data_card))),
        }
        for name, split in self.splits.items():
            arrays |= {f"{NPZ_KEYS[name]}_{k}": part for k, part in vars(split).items() if part is not None}
        write_npz(Path(path), arrays)

    @classmethod
    def from_npz(
        cls,
        path: Path | str,
        classes: Sequence[str] | None = None,
        positive: str | None = None,
        data_card: DataCard | None = None,
    ) -> Images:
        """Read a file written by ``to_npz``, or any MedMNIST file of 2-D images with one label each.

        Parameters
        ----------
        path : the file.
        classes, positive, data_card : what a MedMNIST file does not tell; by default the labels themselves, the last of
            them, and the name of the file.

        Raises
        ------
        DataError : not such a file, or an array is missing or has a wrong shape.
        """
        path = Path(path)
        arrays = read_npz(path)
        splits = {name: _npz_split(path, arrays, key) for name, key in NPZ_KEYS.items()}
        if classes is None:
            classes = arrays.get("classes", np.arange(splits["train"].labels.max() + 1).astype(str)).tolist()
        if positive is None and "positive" in arrays:
            index = int(arrays["positive"])
        else:
            index = readers.positive_index(tuple(classes), positive)
        if data_card is None and "card" in arrays:
            stored = json.loads(str(arrays["card"]))
            data_card = DataCard(**stored | {"known_problems": tuple(stored["known_problems"])})
        data_card = data_card or own_data_card(path.stem, f"File {path.name}", ())
        return cls(**splits, classes=tuple(classes), positive=index, data_card=data_card)

    @classmethod
    def from_folder(
        cls,
        path: Path | str,
        size: int = 28,
        colour: bool = False,
        validation: float = 0.15,
        test: float = 0.25,
        seed: int = 0,
        positive: str | None = None,
        title: str | None = None,
    ) -> Images:
        """Read a folder with one sub-folder of images per class.

        Images directly in the folder, or in a sub-folder called ``unlabelled``, have no label. Top folders called train
        (training), val (valid, validation) and test (testing) are official splits and hold the class folders; a split
        that is not there is taken out of train. Names that begin with a dot are left out; files without an image's
        ending are counted in the data card.

        Parameters
        ----------
        path : the folder.
        size : height and width in pixels; see ``sslbook.data.pictures.read_images``.
        colour : three channels instead of one.
        validation, test : shares of the labelled images, where there is no official split.
        seed : another seed draws another split.
        positive : class that is the finding; by default the last class whose name does not begin with a word like
            normal, no, negative, healthy or benign.
        title : for figures and reports.

        Raises
        ------
        DataError : no such folder, no images, unreadable images, one class only, a class with too few images.
        """
        root = Path(path)
        if not root.is_dir():
            raise DataError(f"There is no folder {root}; give the folder that holds the class folders.")
        files, other = image_files(root)
        official = readers.has_official_splits(root)
        places = [readers.split_and_class(file.relative_to(root), official) for file in files]
        names = [file.relative_to(root).as_posix() for file in files]
        problems = [f"{len(other)} files without an image's ending were left out: {shorten(other)}."] if other else []
        return _assemble(
            read_images(files, names, size, colour),
            [label for _, label in places],
            names=names,
            split=np.array([split for split, _ in places]),
            shares=(validation, test, seed),
            positive=positive,
            data_card=own_data_card(root.resolve().name, title or f"Folder {root.resolve().name}", problems),
        )

    @classmethod
    def from_csv(
        cls,
        csv: Path | str,
        image_folder: Path | str | None = None,
        path: str = "path",
        label: str | None = "label",
        group: str | None = None,
        split: str | None = None,
        order: str | None = None,
        size: int = 28,
        colour: bool = False,
        validation: float = 0.15,
        test: float = 0.25,
        seed: int = 0,
        positive: str | None = None,
        title: str | None = None,
    ) -> Images:
        """Read the images that a table lists, one per row.

        Parameters
        ----------
        csv : comma-separated table with a header, in UTF-8.
        image_folder : folder that the paths start from; by default the folder of the table.
        path, label, group, split, order : names of the columns. A label is the name of a class; where it is empty or
            "nan" it is not known, and ``label=None`` says that none is. Images of one group (patient, site) stay in one
            split. The split column, where given, says train, val or test; the order, a whole number, is the place of an
            image in its group.
        size, colour, validation, test, seed, positive, title : as for ``from_folder``.

        Raises
        ------
        DataError : a column is missing, a file does not exist or cannot be read, a file is listed twice, a row has no
            group, a group is in two splits, an order is no whole number or not that of one image of a group only, one
            class only, a class with too few images.
        """
        csv, columns = Path(csv), (path, label, group, split, order)
        folder = csv.parent if image_folder is None else Path(image_folder)
        table = read_table(csv, text=columns)
        check_columns(table, columns, "path, label, group, split and order")
        cells = {column: words_of(table.frame[column]) for column in columns if column is not None}
        names = cells[path].str.replace("\\", "/", regex=False)
        table.refuse(names.isna(), f"no {path}", "fill it in or delete the row")
        table.refuse(names.duplicated(), "a file that an earlier row has", "keep one row per file")
        missing = [not (folder / name).is_file() for name in names]
        table.refuse(missing, f"a file that is not in {folder}", "mend the path or give image_folder", names)
        if group is not None:
            table.refuse(cells[group].isna(), f"no {group}", "fill it in, so that no group is in two splits")
        if split is not None:
            splits = cells[split].str.lower().map(SPLIT_NAMES)
            table.refuse(splits.isna(), f"a {split} that is not train, val or test", "correct it", cells[split])
        if order is not None:
            places, broken = readers.whole_numbers(cells[order])
            table.refuse(broken, f"a {order} that is not a whole number", "correct it", cells[order])
        labels = [None] * len(names) if label is None else cells[label]
        return _assemble(
            read_images([folder / name for name in names], names.tolist(), size, colour),
            [None if name is None or name.lower() == "nan" else name for name in labels],
            groups=None if group is None else cells[group].to_numpy(dtype=str),
            order=None if order is None else places,
            names=names.tolist(),
            split=None if split is None else splits.to_numpy(dtype=str),
            shares=(validation, test, seed),
            positive=positive,
            data_card=own_data_card(csv.stem, title or f"Table {csv.name}", ()),
        )

    @classmethod
    def from_arrays(
        cls,
        images: np.ndarray,
        labels: Sequence | None = None,
        groups: Sequence | None = None,
        names: Sequence[str] | None = None,
        split: Sequence[str] | None = None,
        order: Sequence[int] | None = None,
        classes: Sequence[str] | None = None,
        validation: float = 0.15,
        test: float = 0.25,
        seed: int = 0,
        positive: str | None = None,
        title: str | None = None,
    ) -> Images:
        """Take images that are in memory.

        Parameters
        ----------
        images : array (n, height, width) or (n, height, width, channels): uint8; uint16 (scaled by the smallest of 8,
            10, 12, 14 or 16 bits that holds the brightest pixel of all); or floating point from 0 to 1.
        labels : (n,) class names, or numbers of ``classes``; None, NaN, "" or -1 where not known.
        groups : (n,) patient or site of each image; images of one group stay in one split.
        names : (n,) what to call each image; by default its number.
        split : (n,) official split of each image: train, val or test.
        order : (n,) place of each image in its group, whole numbers.
        classes : name of each label number; by default the labels themselves.
        validation, test, seed, positive, title : as for ``from_folder``.

        Raises
        ------
        DataError : wrong shape, type or range, unequal lengths, a missing group, a group in two splits, an order that
            is no whole number or not that of one image of a group only, one class only, a class with too few images.
        """
        pixels = readers.pixels_from_array(images)
        n = len(pixels)
        companions = {"labels": labels, "groups": groups, "names": names, "split": split, "order": order}
        for what, given in companions.items():
            if given is not None and len(given) != n:
                raise DataError(f"There are {n} images but {len(given)} {what}; give one for each image.")
        if groups is not None:
            groups = np.array(["" if pd.isna(group) else str(group) for group in groups])
            for i in np.flatnonzero(groups == "")[:1]:
                raise DataError(f"Image {i} has no group; give one, so that no group is in two splits.")
        if split is not None:
            given, split = split, np.array([SPLIT_NAMES.get(str(name).lower(), "") for name in split])
            for i in np.flatnonzero(split == "")[:1]:
                raise DataError(f"Image {i} has the split {given[i]!r}; say train, val or test.")
        if order is not None:
            given, (order, broken) = order, readers.whole_numbers(order)
            for i in np.flatnonzero(broken)[:1]:
                raise DataError(f"Image {i} has the order {given[i]!r}; give a whole number.")
        return _assemble(
            pixels,
            readers.label_names(labels, n, classes),
            groups=groups,
            order=order,
            names=[str(i) for i in range(n)] if names is None else list(names),
            split=split,
            shares=(validation, test, seed),
            classes=classes,
            positive=positive,
            data_card=own_data_card(title or "own images", title or "Images from memory", ()),
        )


def _assemble(
    pixels: np.ndarray,
    class_names: Sequence[str | None],
    names: Sequence[str],
    split: np.ndarray | None,
    shares: tuple[float, float, int],
    data_card: DataCard,
    groups: np.ndarray | None = None,
    order: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
) -> Images:
    """Cut the splits that are not given, and check the whole."""
    found = {x for x in class_names if x is not None}
    in_order = sorted(found, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    classes = tuple(in_order if classes is None else classes)
    number = {name: i for i, name in enumerate(classes)} | {None: UNKNOWN}
    labels = np.array([number[x] for x in class_names], dtype=np.int64)
    split = np.full(len(labels), "train", dtype="<U10") if split is None else split.astype("<U10")
    split = complete_splits(split, labels, groups, classes, *shares)
    whole = ImageSplit(pixels, labels, groups, np.array(names, dtype=str), order)
    parts = {name: whole.subset(split == name) for name in NPZ_KEYS}
    if groups is None:
        note = "No groups were given: images of one patient or site may be on both sides of a split."
        data_card = data_card.noting(note)
    return Images(**parts, classes=classes, positive=readers.positive_index(classes, positive), data_card=data_card)


def _npz_split(path: Path, arrays: dict[str, np.ndarray], key: str) -> ImageSplit:
    """Return one split of a file in the layout of MedMNIST."""
    if f"{key}_images" not in arrays or f"{key}_labels" not in arrays:
        raise DataError(f"{path.name} has no {key}_images or no {key}_labels; prepare it anew.")
    images, labels = arrays[f"{key}_images"], arrays[f"{key}_labels"]
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or labels.size != len(images):
        raise DataError(
            f"{path.name} has {key}_images of type {images.dtype} and shape {images.shape} with "
            f"{labels.size} labels; only uint8 images (n, height, width[, channels]) with one label each can "
            "be read."
        )
    names = arrays.get(f"{key}_names", np.array([f"{key} {i}" for i in range(len(images))]))
    groups, order = arrays.get(f"{key}_groups"), arrays.get(f"{key}_order")
    return ImageSplit(images, labels.reshape(-1).astype(np.int64), groups, names, order)
