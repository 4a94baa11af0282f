"""The container of image data sets, and one constructor per kind of data a reader may bring."""

import html
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps
from sklearn.model_selection import StratifiedGroupKFold

from .errors import DataError

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
IMAGE_SUFFIXES = frozenset(".bmp .gif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())
UNLABELLED_FOLDERS = frozenset({"unlabelled", "unlabeled"})
NOTHING_FOUND = ("normal", "no", "none", "negative", "neg", "healthy", "benign", "control")


@dataclass(frozen=True)
class Card:
    """What a reader must know about a data set before believing a number measured on it."""

    name: str
    title: str
    source: str
    licence: str
    citation: str
    provenance: str
    known_problems: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        banner = (
            '<p style="background:#b00020;color:white;font-weight:bold;padding:.5em">SIMULATED: a stand-in drawn by a '
            "generator. Nothing measured on it holds for the real data.</p>"
            if self.source == "simulated"
            else ""
        )
        rows = "".join(
            f"<tr><th style='text-align:left'>{key}</th><td style='text-align:left'>{html.escape(text)}</td></tr>"
            for key, text in (
                ("licence", self.licence),
                ("source", self.provenance),
                ("cite", self.citation),
                *(("known problem", problem) for problem in self.known_problems),
            )
            if text
        )
        return f"{banner}<p><b>{html.escape(self.title)}</b></p><table>{rows}</table>"


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """One split: images with their labels, and whom they show.

    Parameters
    ----------
    images : uint8 array (n, height, width, channels).
    labels : int64 array (n,), -1 where the label is not known.
    groups : str array (n,), the patient or site of each image, or None where the data do not tell.
    names : str array (n,), what to call an image when something is wrong with it.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None
    names: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, index: np.ndarray) -> "ImageSplit":
        """Return the images at `index` (positions or a boolean mask)."""
        groups = None if self.groups is None else self.groups[index]
        return ImageSplit(self.images[index], self.labels[index], groups, self.names[index])

    @property
    def labelled(self) -> "ImageSplit":
        """The images whose label is known."""
        return self.subset(self.labels >= 0)


@dataclass(frozen=True, eq=False)
class Images:
    """An image data set with its splits; no group (patient, site) is in two of them.

    Parameters
    ----------
    train, validation, test : the splits; validation and test are empty when no label is known.
    classes : name of each label.
    positive : label of the finding that sensitivity is about.
    card : source, licence and known problems.

    Raises
    ------
    DataError : only one class, a class without training images, or a group in two splits.
    """

    train: ImageSplit
    validation: ImageSplit
    test: ImageSplit
    classes: tuple[str, ...]
    positive: int
    card: Card

    def __post_init__(self) -> None:
        if len(self.classes) == 1:
            raise DataError(
                f"{self.name} has one class only, {self.classes[0]!r}; give images of at least two classes, or "
                "none with a label."
            )
        seen = np.bincount(self.train.labelled.labels, minlength=len(self.classes))
        for label in np.flatnonzero(seen == 0):
            raise DataError(
                f"Class {self.classes[label]!r} of {self.name} has no labelled training image; add some or leave "
                "the class out."
            )
        self._check_groups()

    def _check_groups(self) -> None:
        owner: dict[str, str] = {}
        for split_name, split in self.splits.items():
            for group in [] if split.groups is None else np.unique(split.groups):
                if owner.setdefault(group, split_name) != split_name:
                    names = [self.splits[s].names[self.splits[s].groups == group][0] for s in (owner[group], split_name)]
                    raise DataError(
                        f"Group {group!r} of {self.name} is in {owner[group]} ({names[0]}) and in {split_name} "
                        f"({names[1]}); keep all images of a group in one split."
                    )

    @property
    def splits(self) -> dict[str, ImageSplit]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def name(self) -> str:
        """Short name, for records and figure titles."""
        return self.card.name

    @property
    def source(self) -> str:
        """"real" or "simulated"."""
        return self.card.source

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        return self.train.images.shape[1:]

    def counts(self) -> pd.DataFrame:
        """Images of each class (rows) in each split (columns)."""
        rows = {
            split_name: [int((split.labels == label).sum()) for label in (*range(len(self.classes)), -1)]
            for split_name, split in self.splits.items()
        }
        table = pd.DataFrame(rows, index=[*self.classes, "unlabelled"])
        return table if table.loc["unlabelled"].any() else table.drop(index="unlabelled")

    def _repr_html_(self) -> str:
        height, width, channels = self.shape
        finding = f", finding: {self.classes[self.positive]}" if self.classes else ""
        text = f"<p>{height} x {width} pixels, {channels} channel{'s' * (channels > 1)}{html.escape(finding)}</p>"
        return self.card._repr_html_() + text + self.counts().to_html()

    def to_npz(self, path: Path | str) -> None:
        """Write all splits to one compressed file that `from_npz` reads (the MedMNIST keys, and some more)."""
        arrays: dict[str, np.ndarray] = {"classes": np.array(self.classes), "positive": np.array(self.positive)}
        arrays["title"] = np.array(self.card.title)
        arrays["source"] = np.array(self.card.source)
        for key, split in zip(("train", "val", "test"), self.splits.values(), strict=True):
            arrays |= {f"{key}_images": split.images, f"{key}_labels": split.labels, f"{key}_names": split.names}
            if split.groups is not None:
                arrays[f"{key}_groups"] = split.groups
        np.savez_compressed(path, **arrays)

    @classmethod
    def from_npz(
        cls,
        path: Path | str,
        classes: Sequence[str] | None = None,
        positive: int | None = None,
        card: Card | None = None,
    ) -> "Images":
        """Read a file written by `to_npz`, or any MedMNIST file of 2-D images with one label each."""
        path = Path(path)
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        splits = {}
        for key, split_name in zip(("train", "val", "test"), SPLITS, strict=True):
            images = arrays[f"{key}_images"]
            images = images[..., None] if images.ndim == 3 else images
            labels = arrays[f"{key}_labels"].reshape(len(images)).astype(np.int64)
            names = arrays.get(f"{key}_names", np.array([f"{key} {i}" for i in range(len(images))]))
            splits[split_name] = ImageSplit(images, labels, arrays.get(f"{key}_groups"), names)
        classes = tuple(str(name) for name in arrays["classes"]) if classes is None else tuple(classes)
        positive = int(arrays["positive"]) if positive is None else positive
        if card is None:
            card = Card(path.stem, str(arrays["title"]), str(arrays["source"]), "", "", "")
        return cls(**splits, classes=classes, positive=positive, card=card)
