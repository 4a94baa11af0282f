"""What folders and arrays of readers say: the split, class and pixels of each image, and which class is the finding."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sslbook.data.errors import DataError, shorten
from sslbook.data.pictures import full_scale
from sslbook.data.splits import SPLIT_NAMES
from sslbook.data.tables import NOTHING_FOUND, UNKNOWN

UNLABELLED_FOLDERS = frozenset({"unlabelled", "unlabeled"})


def positive_index(classes: tuple[str, ...], positive: str | None) -> int:
    """Return the number of the class that is the finding."""
    if positive is not None and positive not in classes:
        raise DataError(f"positive is {positive!r}, but the classes are {', '.join(classes)}; name one of them.")
    if positive is not None:
        return classes.index(positive)
    found = [i for i, name in enumerate(classes) if re.split(r"[\W_]+", name.lower())[0] not in NOTHING_FOUND]
    return found[-1] if found else max(len(classes) - 1, 0)


def has_official_splits(root: Path) -> bool:
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


def split_and_class(relative: Path, official: bool) -> tuple[str, str | None]:
    """Return the split and the class that a path stands for."""
    folders = list(relative.parts[:-1])
    split = "train"
    if official and folders and folders[0].lower() in SPLIT_NAMES:
        split = SPLIT_NAMES[folders.pop(0).lower()]
    unlabelled = not folders or folders[0].lower() in UNLABELLED_FOLDERS
    return split, None if unlabelled else folders[0]


def pixels_from_array(images: np.ndarray) -> np.ndarray:
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


def whole_numbers(values: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Return values as int64 (n,), and which of them, bool (n,), are no whole numbers and 0 there."""
    numbers = pd.to_numeric(pd.Series(values), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    broken = ~((np.abs(numbers) < 2**53) & (numbers == np.rint(numbers)))
    return np.where(broken, 0, numbers).astype(np.int64), broken


def label_names(labels: Sequence | None, n: int, classes: Sequence[str] | None) -> list[str | None]:
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
