"""The container of image data sets, and one constructor per kind of data a reader may bring."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.pictures import full_scale, image_files, read_images, read_npz, write_npz
from sslbook.data.splits import NPZ_KEYS, SPLIT_NAMES, complete_splits
from sslbook.data.tables import NOTHING_FOUND, UNKNOWN, check_columns, read_table, words_of

UNLABELLED_FOLDERS = frozenset({"unlabelled", "unlabeled"})


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """One split: images with their labels, and whom they show.

    Parameters
    ----------
    images : uint8 array (n, height, width, channels).
    labels : int64 array (n,), ``UNKNOWN`` (-1) where the label is not known.
    groups : str array (n,), the patient or site of each image, or None where the data do not tell.
    names : str array (n,), what to call an image when something is wrong with it.

    Raises
    ------
    DataError : pixels of another type or shape, or unequal lengths.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    names: np.ndarray

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise DataError(
                f"The pixels are {self.images.dtype} of shape {self.images.shape}; give uint8 of shape "
                "(n, height, width, channels)."
            )
        for what, given in (("labels", self.labels), ("groups", self.groups), ("names", self.names)):
            if given is not None and given.shape != (len(self),):
                raise DataError(f"There are {len(self)} images but {what} of shape {given.shape}; give one for each.")

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ImageSplit({len(self)} images of {' x '.join(map(str, self.images.shape[1:]))})"

    def subset(self, index: np.ndarray) -> ImageSplit:
        """Return the images at ``index`` (positions or a boolean mask)."""
        groups = None if self.groups is None else self.groups[index]
        return ImageSplit(self.images[index], self.labels[index], groups, self.names[index])

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
            parts = {"images": split.images, "labels": split.labels, "names": split.names, "groups": split.groups}
            arrays |= {f"{NPZ_KEYS[name]}_{k}": part for k, part in parts.items() if part is not None}
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
            index = _positive_index(tuple(classes), positive)
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
        official = _has_official_splits(root)
        places = [_place(file.relative_to(root), official) for file in files]
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
        path, label, group, split : names of the columns. A label is the name of a class; where it is empty or "nan" it
            is not known, and ``label=None`` says that none is. Images of one group (patient, site) stay in one split.
            The split column, where given, says train, val or test.
        size, colour, validation, test, seed, positive, title : as for ``from_folder``.

        Raises
        ------
        DataError : a column is missing, a file does not exist or cannot be read, a file is listed twice, a row has no
            group, a group is in two splits, one class only, a class with too few images.
        """
        csv, columns = Path(csv), (path, label, group, split)
        folder = csv.parent if image_folder is None else Path(image_folder)
        table = read_table(csv, text=columns)
        check_columns(table, columns, "path, label, group and split")
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
        labels = [None] * len(names) if label is None else cells[label]
        return _assemble(
            read_images([folder / name for name in names], names.tolist(), size, colour),
            [None if name is None or name.lower() == "nan" else name for name in labels],
            groups=None if group is None else cells[group].to_numpy(dtype=str),
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
        classes : name of each label number; by default the labels themselves.
        validation, test, seed, positive, title : as for ``from_folder``.

        Raises
        ------
        DataError : wrong shape, type or range, unequal lengths, a missing group, a group in two splits, one class only,
            a class with too few images.
        """
        pixels = _pixels_from_array(images)
        n = len(pixels)
        for what, given in (("labels", labels), ("groups", groups), ("names", names), ("split", split)):
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
        return _assemble(
            pixels,
            _label_names(labels, n, classes),
            groups=groups,
            names=[str(i) for i in range(n)] if names is None else list(names),
            split=split,
            shares=(validation, test, seed),
            classes=classes,
            positive=positive,
            data_card=own_data_card(title or "own images", title or "Images from memory", ()),
        )


def _assemble(
    pixels: np.ndarray,
    label_names: Sequence[str | None],
    names: Sequence[str],
    split: np.ndarray | None,
    shares: tuple[float, float, int],
    data_card: DataCard,
    groups: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    positive: str | None = None,
) -> Images:
    """Cut the splits that are not given, and check the whole."""
    found = {x for x in label_names if x is not None}
    in_order = sorted(found, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    classes = tuple(in_order if classes is None else classes)
    number = {name: i for i, name in enumerate(classes)} | {None: UNKNOWN}
    labels = np.array([number[x] for x in label_names], dtype=np.int64)
    split = np.full(len(labels), "train", dtype="<U10") if split is None else split.astype("<U10")
    split = complete_splits(split, labels, groups, classes, *shares)
    whole = ImageSplit(pixels, labels, groups, np.array(names, dtype=str))
    parts = {name: whole.subset(split == name) for name in NPZ_KEYS}
    if groups is None:
        note = "No groups were given: images of one patient or site may be on both sides of a split."
        data_card = data_card.noting(note)
    return Images(**parts, classes=classes, positive=_positive_index(classes, positive), data_card=data_card)


def _positive_index(classes: tuple[str, ...], positive: str | None) -> int:
    """Return the number of the class that is the finding."""
    if positive is not None and positive not in classes:
        raise DataError(f"positive is {positive!r}, but the classes are {', '.join(classes)}; name one of them.")
    if positive is not None:
        return classes.index(positive)
    found = [i for i, name in enumerate(classes) if re.split(r"[\W_]+", name.lower())[0] not in NOTHING_FOUND]
    return found[-1] if found else max(len(classes) - 1, 0)


def _has_official_splits(root: Path) -> bool:
    """Tell whether the top folders are splits; refuse splits beside other folders, and splits without train."""
    top = [child.name for child in root.iterdir() if child.is_dir() and not child.name.startswith((".", "__MACOSX"))]
    splits = [name for name in top if name.lower() in SPLIT_NAMES]
    stray = [name for name in top if name.lower() not in SPLIT_NAMES and name.lower() not in UNLABELLED_FOLDERS]
    if splits and stray:
        raise DataError(
            f"Folder {root} has the splits {shorten(splits)} and beside them {shorten(stray)}; move these "
            "into the splits, or give a folder with classes only."
        )
    if splits and "train" not in {SPLIT_NAMES[name.lower()] for name in splits}:
        raise DataError(f"Folder {root} has {shorten(splits)} but no train folder; add one or rename the folders.")
    return bool(splits)


def _place(relative: Path, official: bool) -> tuple[str, str | None]:
    """Return the split and the class that a path stands for."""
    folders = list(relative.parts[:-1])
    split = "train"
    if official and folders and folders[0].lower() in SPLIT_NAMES:
        split = SPLIT_NAMES[folders.pop(0).lower()]
    unlabelled = not folders or folders[0].lower() in UNLABELLED_FOLDERS
    return split, None if unlabelled else folders[0]


def _pixels_from_array(images: np.ndarray) -> np.ndarray:
    """Return uint8 (n, height, width, channels)."""
    try:
        images = np.asarray(images)
    except ValueError:
        raise DataError("The images have different sizes; resize them first, or use from_folder.") from None
    images = images[..., None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        hint = " (channels come last: transpose with (0, 2, 3, 1))" if images.ndim == 4 else ""
        raise DataError(
            f"The images have shape {images.shape}; give (n, height, width) or (n, height, width, 1 or 3){hint}."
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.uint16:
        return (images * (255 / full_scale(images.max()))).round().astype(np.uint8)
    if images.dtype.kind != "f":
        raise DataError(f"The images are {images.dtype}; give uint8, uint16, or floating point from 0 to 1.")
    for i in np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))[:1]:
        raise DataError(f"Image {i} has pixels that are NaN or infinite; mend or remove it.")
    if images.min() < 0 or images.max() > 1:
        found = f"from {images.min():.3g} to {images.max():.3g}"
        raise DataError(f"The images are floating point {found}; scale them to 0..1.")
    return (images * 255).round().astype(np.uint8)


def _label_names(labels: Sequence | None, n: int, classes: Sequence[str] | None) -> list[str | None]:
    """Return the class name of each label, None where it is not known."""
    if labels is None:
        return [None] * n
    values = np.asarray(labels, dtype=object).reshape(n, -1)
    if values.shape[1] != 1:
        raise DataError(f"There are {values.shape[1]} labels per image; give one.")
    names: list[str | None] = []
    for i, value in enumerate(values[:, 0]):
        if pd.isna(value) or value == "" or value == UNKNOWN:
            names.append(None)
            continue
        if isinstance(value, float | np.floating) and value == int(value):
            value = int(value)
        if classes is not None and not isinstance(value, str) and 0 <= value < len(classes):
            value = classes[int(value)]
        if classes is not None and value not in classes:
            raise DataError(f"Image {i} has the label {value!r}; the classes are {', '.join(classes)}.")
        names.append(str(value))
    return names


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
    return ImageSplit(images, labels.reshape(-1).astype(np.int64), arrays.get(f"{key}_groups"), names)
