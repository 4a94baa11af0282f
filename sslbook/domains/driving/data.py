"""The container of drives: frames of a camera, masks of some of them, and which drive and second each is from."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError, shorten
from sslbook.data.pictures import VOID
from sslbook.data.splits import SPLITS, split_by_drive
from sslbook.domains.driving import files
from sslbook.domains.driving.video import read_video

# As in CamVid, in the colours of its makers, and in the streets that stand in for it.
CLASSES = tuple("Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist".split())
COLOURS = np.array([
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192), (128, 128, 0), (192, 128, 128),
    (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
], dtype=np.uint8)  # fmt: skip
VULNERABLE = tuple(CLASSES.index(name) for name in ("Pedestrian", "Bicyclist", "SignSymbol", "Pole"))
RATE = 30  # frames per second of the source


@dataclass(frozen=True, eq=False)
class SceneSplit:
    """One split: frames with their masks, and the drive and second that each is from.

    Parameters
    ----------
    name : "train", "validation" or "test".
    frames : uint8 array (n, height, width, 3).
    masks : uint8 array (n, height, width), class numbers from 0, ``VOID`` for pixels without a class; every pixel of a
        frame without a mask is ``VOID``.
    drives : str array (n,).
    time : float64 array (n,), seconds since the first frame of the drive in the source.
    names : str array (n,), of the frames.

    Raises
    ------
    DataError : pixels of another type or shape, unequal lengths, or a time that is not a number.
    """

    name: str
    frames: np.ndarray
    masks: np.ndarray
    drives: np.ndarray
    time: np.ndarray
    names: np.ndarray

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[3] != 3:
            raise DataError(
                f"The frames of {self.name} are {self.frames.dtype} of shape {self.frames.shape}; give uint8 of shape "
                "(n, height, width, 3)."
            )
        if self.masks.dtype != np.uint8 or self.masks.shape != self.frames.shape[:3]:
            raise DataError(
                f"The masks of {self.name} are {self.masks.dtype} of shape {self.masks.shape}; give uint8 of shape "
                f"{self.frames.shape[:3]}, one for each frame."
            )
        for what, given in (("drives", self.drives), ("times", self.time), ("names", self.names)):
            if given.shape != (len(self),):
                raise DataError(
                    f"There are {len(self)} frames of {self.name} but {what} of shape {given.shape}; give one for each."
                )
        for i in np.flatnonzero(~np.isfinite(self.time))[:1]:
            raise DataError(f"Frame {self.names[i]} of {self.name} has the time {self.time[i]}; give seconds.")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        height, width = self.frames.shape[1:3]
        masked, drives = len(self.labelled), len(np.unique(self.drives))
        return f"SceneSplit({self.name}: {len(self)} frames of {height} x {width}, {masked} masks, {drives} drives)"

    def subset(self, index: np.ndarray) -> SceneSplit:
        """Return the frames at ``index`` (positions or a boolean mask)."""
        parts = (self.frames, self.masks, self.drives, self.time, self.names)
        return SceneSplit(self.name, *(part[index] for part in parts))

    @property
    def labelled(self) -> SceneSplit:
        """The frames that have a mask: at least one pixel that is not ``VOID``."""
        return self.subset((self.masks != VOID).any(axis=(1, 2)))

    def blocks(self, seconds: float = 10.0) -> np.ndarray:
        """Number the stretches of so many seconds of each drive, int64 (n,): resample those of one stretch together."""
        drive = np.unique(self.drives, return_inverse=True)[1]
        stretch = np.floor(self.time / seconds).astype(np.int64)
        return np.unique(np.stack([drive, stretch], axis=1), axis=0, return_inverse=True)[1].reshape(-1)

    def neighbours(self, seconds: float = 2.0) -> np.ndarray:
        """Return each frame with the next of its drive, where that is at most so many seconds later; int64 (m, 2)."""
        order = np.lexsort((self.time, self.drives))
        pairs = np.stack([order[:-1], order[1:]], axis=1)
        same = self.drives[pairs[:, 0]] == self.drives[pairs[:, 1]]
        return pairs[same & (np.diff(self.time[order]) <= seconds + 1e-6)]  # as 1/30 s is no exact number


@dataclass(frozen=True, eq=False)
class Scenes(Described):
    """Frames of drives with their splits, each sorted by drive, then time.

    A drive may be in two splits, as it is in some official ones; see ``without_shared_drives``.

    Parameters
    ----------
    train, validation, test : the splits; validation and test may be empty.
    classes : name of each class number; none where no frame has a mask.
    colours : uint8 array (k, 3), to draw masks with.
    vulnerable : numbers of the classes that must not be overlooked.
    data_card : source, licence and known problems.

    Raises
    ------
    DataError : splits of different sizes, a class number without a name, not one colour for each class, frames out of
        order, or a frame in two splits.
    """

    train: SceneSplit
    validation: SceneSplit
    test: SceneSplit
    classes: tuple[str, ...]
    colours: np.ndarray
    vulnerable: tuple[int, ...]
    data_card: DataCard

    def __post_init__(self) -> None:
        k = len(self.classes)
        if k > files.MOST_CLASSES:
            raise DataError(f"{self.name} has {k} classes; a mask holds at most {files.MOST_CLASSES}: merge some.")
        if self.colours.shape != (k, 3) or self.colours.dtype != np.uint8:
            raise DataError(
                f"The colours of {self.name} are {self.colours.dtype} of shape {self.colours.shape}; give uint8 of "
                f"shape ({k}, 3), one for each class."
            )
        for number in set(self.vulnerable) - set(range(k)):
            raise DataError(f"Class {number} of {self.name} is called vulnerable; classes go from 0 to {k - 1}.")
        owner: dict[tuple[str, str], str] = {}
        for name, split in self.splits.items():
            self._check(split)
            for frame in zip(split.drives.tolist(), split.names.tolist(), strict=True):
                if owner.setdefault(frame, name) != name:
                    raise DataError(
                        f"Frame {frame[1]} of {self.name} is in {owner[frame]} and {name}; keep one, or name their "
                        "drives apart."
                    )

    def _check(self, split: SceneSplit) -> None:
        k = len(self.classes)
        if split.frames.shape[1:] != self.train.frames.shape[1:]:
            raise DataError(
                f"The frames of {split.name} are {split.frames.shape[1:3]} pixels and those of train "
                f"{self.train.frames.shape[1:3]}; resize them alike."
            )
        numbers = np.flatnonzero(np.bincount(split.masks.reshape(-1), minlength=VOID + 1))
        for number in numbers[(numbers >= k) & (numbers != VOID)][:1]:
            i = np.flatnonzero((split.masks == number).any(axis=(1, 2)))[0]
            raise DataError(
                f"The mask of frame {split.names[i]} of {self.name} has the class {number}; there are {k} classes, and "
                f"{VOID} stands for no class."
            )
        same, rises = split.drives[1:] == split.drives[:-1], split.drives[1:] > split.drives[:-1]
        for i in np.flatnonzero(~np.where(same, np.diff(split.time) > 0, rises))[:1]:
            raise DataError(
                f"Frame {split.names[i + 1]} of {self.name} stands after {split.names[i]} in {split.name} and is not "
                "later; sort frames by drive, then time."
            )

    @property
    def splits(self) -> dict[str, SceneSplit]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of a frame."""
        return self.train.frames.shape[1:3]

    @property
    def unlabelled(self) -> np.ndarray:
        """Frames that pretraining may see, uint8 (n, height, width, 3): train and validation without drives of test."""
        return np.concatenate([self._other_drives(split).frames for split in (self.train, self.validation)])

    @property
    def shared_drives(self) -> tuple[str, ...]:
        """Drives of the test split that train or validation have, too."""
        known = np.concatenate([self.train.drives, self.validation.drives])
        return tuple(np.intersect1d(self.test.drives, known).tolist())

    def without_shared_drives(self) -> Scenes:
        """Return the honest split: train and validation lose all frames of the drives that test has.

        Raises
        ------
        DataError : train has no other drive.
        """
        if not self.shared_drives:
            return self
        train, validation = self._other_drives(self.train), self._other_drives(self.validation)
        if not len(train):
            raise DataError(f"Train of {self.name} has only drives that test has; add frames of another drive.")
        note = (
            f"Test has drives of train or validation ({shorten(self.shared_drives)}): {len(self.train) - len(train)} "
            f"of {len(self.train)} training and {len(self.validation) - len(validation)} of {len(self.validation)} "
            "validation frames were left out."
        )
        data_card = self.data_card.noting(note)
        return replace(self, train=train, validation=validation, data_card=data_card)

    def _other_drives(self, split: SceneSplit) -> SceneSplit:
        return split.subset(~np.isin(split.drives, self.shared_drives))

    def counts(self) -> pd.DataFrame:
        """Frames, frames with a mask, drives, and minutes from first to last frame of a drive, of each split (rows)."""
        rows = []
        for split in self.splits.values():
            drives = np.unique(split.drives)
            seconds = sum(np.ptp(split.time[split.drives == drive]) for drive in drives)
            rows.append((len(split), len(split.labelled), len(drives), seconds / 60))
        return pd.DataFrame(rows, index=list(self.splits), columns=["frames", "with a mask", "drives", "minutes"])

    def class_shares(self) -> pd.DataFrame:
        """Share of the labelled pixels that each class (rows) has in each split (columns); NaN without masks."""
        k = len(self.classes)
        pixels = {s: np.bincount(split.masks.reshape(-1), minlength=k)[:k] for s, split in self.splits.items()}
        with np.errstate(invalid="ignore"):
            return pd.DataFrame({s: n / n.sum() for s, n in pixels.items()}, index=list(self.classes))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(split)} {name}" for name, split in self.splits.items())
        return f"Scenes({self.name}: {sizes} frames, {len(self.classes)} classes)"

    def _repr_html_(self) -> str:
        height, width = self.shape
        text = f"{height} x {width} pixels; classes that must not be overlooked: "
        text += ", ".join(self.classes[number] for number in self.vulnerable) or "none named"
        shares = self.class_shares().to_html(float_format="{:.1%}".format) if self.classes else ""
        counts = self.counts().to_html(float_format="{:.1f}".format)
        return f"{self.data_card._repr_html_()}<p>{html.escape(text)}</p>{counts}{shares}"

    @classmethod
    def from_folder(
        cls, frames: Path | str, masks: Path | str | None = None,
        drives: Mapping[str, str] | Callable[[str], str] | None = None, classes: Sequence[str] | None = None,
        palette: Mapping[files.Colour, str | None] | None = None, size: tuple[int, int] = (120, 160),
        vulnerable: Sequence[str] = (), validation: float = 0.0, test: float = 0.25, gap: float = 5.0,
        seconds_per_frame: float = 1.0, void: int = VOID, seed: int = 0, name: str = "own", title: str | None = None,
    ) -> Scenes:  # fmt: skip
        """Read a folder of frames, and of masks for all, some or none of them.

        Frames follow one another in the natural order of their names (2 before 10). A folder with train, val and test
        in it, as CamVid has, is split as it says, and the masks of train are then in trainannot (or in train within
        ``masks``); without masks all frames are for training. Otherwise whole drives are held out, or the last frames
        of the only drive that has masks.

        Parameters
        ----------
        frames : folder of pictures of any format and size.
        masks : folder of pictures with the names of their frames; the ending may differ. They hold class numbers, in
            one channel or as positions in the palette of the picture, or the colours of ``palette``.
        drives : the drive of a frame, by its name (path without ending). By default the folder it is in, or what
            stands before the last number of its name: 0001TP_006690 is of the drive 0001TP.
        classes : name of each class number; by default those of ``palette``, or "class 0" and so on.
        palette : class of each colour (red, green, blue) of the masks; None is void.
        size : height and width to reduce frames and masks to.
        vulnerable : names of the classes that must not be overlooked.
        validation, test : shares of the frames with masks, where the folders tell no split.
        gap : seconds between training and what is held out of the same drive; the frames in it are left out.
        seconds_per_frame : from one frame of a drive to the next.
        void : class number that stands for no class.
        seed : of the choice of drives.
        name, title : for records, figures and reports.

        Raises
        ------
        DataError : no such folder, one frame, a picture that cannot be read or is too small, a mask without a frame or
            of another size, a colour or class without a name, a single class, or no mask left for a split.
        """
        if not seconds_per_frame > 0:
            raise DataError(f"seconds_per_frame is {seconds_per_frame}; give a number above 0.")
        if palette is not None and classes is None:
            classes = tuple(dict.fromkeys(given for given in palette.values() if given is not None))
        table = None if palette is None else files.colour_table(palette, classes)
        found, other = files.find_frames(Path(frames), None if masks is None else Path(masks))
        pixels, sizes = files.read_frames([file.path for file in found], size)
        numbers = files.read_masks(found, sizes, size, table, void)
        held = np.unique(numbers[[file.mask is not None for file in found]])
        if void == VOID and table is None and held.tolist() == [0, VOID]:
            raise DataError(
                "All masks hold 0 and 255 only, and 255 is void: say with palette which colour is which class."
            )
        if classes is None:
            classes = [f"class {i}" for i in range(np.max(numbers + 1, where=numbers != VOID, initial=0))]
        names = [file.name for file in found]
        drive = files.drives_of(names, drives)
        time = pd.Series(drive).groupby(drive).cumcount().to_numpy(np.float64) * seconds_per_frame
        order = np.argsort(drive, kind="stable")
        whole = SceneSplit(name, pixels, numbers, drive, time, np.array(names)).subset(order)
        notes = _notes(found, other, whole) + files.stretched(sizes, size)
        split = np.array([file.split for file in found])[order]
        if not split.any():
            labelled = (whole.masks != VOID).any(axis=(1, 2))
            split = split_by_drive(whole.drives, whole.time, labelled, validation, test, gap, seed)
        if left_out := (split == "gap").sum():
            notes.append(f"{left_out} frames less than {gap:g} seconds from what is held out are left out.")
        for given in vulnerable:
            if given not in classes:
                raise DataError(f"vulnerable has {given!r}, but the classes are {', '.join(classes)}; name some.")
        data_card = own_data_card(name, title or f"Folder {Path(frames).resolve().name}", notes)
        important = tuple(list(classes).index(given) for given in vulnerable)
        return cls(*_parts(whole, split), tuple(classes), _colours(palette, classes), important, data_card)

    @classmethod
    def from_video(
        cls, path: Path | str, every: float = 1.0, size: tuple[int, int] = (120, 160), name: str | None = None
    ) -> Scenes:
        """Read one frame every so many seconds of a video with PyAV: one drive without masks, all of it for training.

        Parameters
        ----------
        path : the file.
        every : seconds from one frame to the next.
        size : height and width to reduce the frames to.
        name : of the drive, and for records; by default the name of the file.

        Raises
        ------
        DataError : PyAV is not installed; no such file, no video in it, or it breaks off.
        """
        path = Path(path)
        name = name or path.stem
        frames, time, of_file = read_video(path, every, size)
        masks, drives = np.full(frames.shape[:3], VOID, np.uint8), np.full(len(frames), name)
        names = np.array([f"{name}_{1000 * second:08.0f}" for second in time])
        whole = SceneSplit(name, frames, masks, drives, time, names)
        data_card = own_data_card(name, f"Video {path.name}", files.stretched([of_file] * len(frames), size))
        return cls(*_parts(whole, np.full(len(whole), "train")), (), files.distinct_colours(0), (), data_card)


def _parts(whole: SceneSplit, split: np.ndarray) -> list[SceneSplit]:
    return [replace(whole.subset(split == name), name=name) for name in SPLITS]


def _notes(found: Sequence[files.FrameFile], other: Sequence[str], whole: SceneSplit) -> list[str]:
    """Say what of a folder is not used, and which frames have no mask."""
    without, blank = sum(file.mask is None for file in found), len(whole) - len(whole.labelled)
    notes = {
        f"{len(other)} files that are no pictures were left out: {shorten(other)}.": other,
        f"{without} of {len(found)} frames have no mask.": without,
        f"{blank - without} masks have only void pixels, and count as missing.": blank - without,
    }
    return [note for note, there in notes.items() if there]


def _colours(palette: Mapping[files.Colour, str | None] | None, classes: Sequence[str]) -> np.ndarray:
    """Return the first colour that the palette has for each class, or colours of our own; uint8 (k, 3)."""
    colours = files.distinct_colours(len(classes))
    for colour, name in reversed((palette or {}).items()):
        if name is not None:
            colours[list(classes).index(name)] = colour
    return colours
