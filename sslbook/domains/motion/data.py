"""The container of tracks: where somebody was for 3.2 seconds, and where they went in the next 4.8."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described, own_data_card
from sslbook.data.errors import DataError
from sslbook.data.tables import Table, check_columns, numbers_of, table_of, words_of

PAST, FUTURE = 8, 12  # steps; the last of the past is the present
STEP = 0.4  # seconds
AT_REST = 0.2  # metres; the heading cannot be told from a shorter step
COLUMNS = ("scene", "frame", "pedestrian", "x", "y")
PLACE = re.compile(r"\S*(?: \d+(?!\S))?")  # a word, with the number after it


@dataclass(frozen=True, eq=False)
class Tracks(Described):
    """Windows of 20 positions, one every 0.4 s, of those who walk or drive.

    Parameters
    ----------
    positions : float32 array (n, 20, 2), metres: 8 of the past (the last is the present) and 12 of the future.
    scenes : str array (n,), where and when it was filmed. The first word, with a number after it, is the place: "eth"
        and "eth corrected" are one place, "street 1" and "street 2" are two.
    walkers : str array (n,), who it is. Windows of one walker overlap: resample them together.
    starts : float64 array (n,), seconds from frame 0 of the recording to the first position.
    data_card : what must be known about them.

    Raises
    ------
    DataError : positions of another type or shape or not finite, parts of another length, or a walker in two scenes.
    """

    positions: np.ndarray
    scenes: np.ndarray
    walkers: np.ndarray
    starts: np.ndarray
    data_card: DataCard

    def __post_init__(self) -> None:
        if self.positions.dtype != np.float32 or self.positions.shape[1:] != (PAST + FUTURE, 2):
            raise DataError(
                f"The positions of {self.name} are {self.positions.dtype} of shape {self.positions.shape}; give "
                f"float32 of shape (n, {PAST + FUTURE}, 2)."
            )
        for i in np.flatnonzero(~np.isfinite(self.positions).all(axis=(1, 2)))[:1]:
            raise DataError(f"Track {i} of {self.name} has a position that is no number; leave the track out.")
        for what, kind in (("scenes", np.str_), ("walkers", np.str_), ("starts", np.float64)):
            given = getattr(self, what)
            if given.shape != (len(self),) or not np.issubdtype(given.dtype, kind):
                found = f"{what} of {self.name} are {given.dtype} of shape {given.shape}"
                raise DataError(f"The {found}; give {kind.__name__.strip('_')} of shape ({len(self)},).")
        for i in np.flatnonzero(~np.isfinite(self.starts))[:1]:
            raise DataError(f"Track {i} of {self.name} starts at {self.starts[i]}; give seconds.")
        pairs = pd.DataFrame({"walker": self.walkers, "scene": self.scenes}).drop_duplicates()
        for walker in pairs["walker"][pairs["walker"].duplicated()][:1]:
            places = " and ".join(pairs["scene"][pairs["walker"] == walker][:2])
            raise DataError(f"Walker {walker!r} of {self.name} is in {places}; name the walkers of each scene apart.")

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"Tracks({self.name}: {len(self)} windows of {len(np.unique(self.walkers))} walkers)"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the scenes, in the order in which they appear."""
        return tuple(dict.fromkeys(self.scenes.tolist()))

    @property
    def centred(self) -> np.ndarray:
        """The positions as the walker sees them, float32 (n, 20, 2); see the function ``centred``."""
        return centred(self.positions)

    def subset(self, index: np.ndarray) -> Tracks:
        """Return the windows at ``index`` (positions or a boolean mask)."""
        parts = ("positions", "scenes", "walkers", "starts")
        return replace(self, **{part: getattr(self, part)[index] for part in parts})

    def leave_out(self, scene: str) -> tuple[Tracks, Tracks]:
        """Return the windows of all other places, to learn from, and those of one scene, to test on.

        Other scenes of the same place are on neither side.

        Raises
        ------
        DataError : no such scene, or no other place.
        """
        if scene not in self.names:
            raise DataError(f"{self.name} has no scene {scene!r}; choose one of {', '.join(self.names)}.")
        others = [name for name in self.names if _place(name) != _place(scene)]
        if not others:
            raise DataError(f"All scenes of {self.name} are of one place, {_place(scene)!r}; bring tracks of another.")
        return self.subset(np.isin(self.scenes, others)), self.subset(self.scenes == scene)

    def counts(self) -> pd.DataFrame:
        """Windows and walkers (columns) of each scene (rows)."""
        table = pd.DataFrame({"scene": self.scenes, "walker": self.walkers})
        return table.groupby("scene", sort=False)["walker"].agg(windows="size", walkers="nunique")

    def _repr_html_(self) -> str:
        return f"{self.data_card._repr_html_()}{self.counts().to_html()}"


def _place(scene: str) -> str:
    return PLACE.match(scene)[0]


def windows(table: pd.DataFrame, frames: int | Mapping[str, int] = 10, data_card: DataCard | None = None) -> Tracks:
    """Cut every window of 20 positions, 0.4 s apart, of one pedestrian; one starts at each position that has 19 more.

    A window crosses no gap: where a position is missing, another begins after it.

    Parameters
    ----------
    table : the columns scene, frame (whole number), pedestrian (unique in a scene) and x and y (metres), in any order
        of rows.
    frames : between two positions 0.4 s apart, such as 10 of 25 a second; or one number for each scene, by its name.
    data_card : default: that of data of your own.

    Returns
    -------
    Tracks : by scene and pedestrian in the order of their first rows, then by time; "3 of park" is pedestrian 3 of the
        scene park.

    Raises
    ------
    DataError : a column, a value or the frames of a scene are missing, a frame is no whole number, a pedestrian is
        twice in a frame, or there is no window.
    """
    found = _checked(table_of(table, "The table of positions"))
    found["apart"] = found["scene"].map(frames) if isinstance(frames, Mapping) else frames
    for scene in found["scene"][found["apart"].isna()][:1]:
        raise DataError(f"Nothing says how many frames of scene {scene!r} are {STEP} s; name it among frames.")
    order = [pd.factorize(found[column])[0] for column in ("scene", "pedestrian")]
    found = found.iloc[np.lexsort((found["frame"], order[1], order[0]))]
    walker = (found["pedestrian"] + " of " + found["scene"]).to_numpy(dtype=str)
    frame, apart = found["frame"].to_numpy(), found["apart"].to_numpy(dtype=np.float64)
    stretch = np.cumsum((np.diff(frame, prepend=frame[:1]) != apart) | (walker != np.roll(walker, 1)))
    length = PAST + FUTURE
    first = np.flatnonzero(stretch[: 1 - length] == stretch[length - 1 :])
    if not len(first):
        raise DataError(f"No pedestrian has {length} positions {STEP} s apart; correct frames, or bring longer tracks.")
    positions = found[["x", "y"]].to_numpy(dtype=np.float32)[first[:, None] + np.arange(length)]
    starts = (frame / apart * STEP)[first]
    card = own_data_card("tracks", "Tracks of your own", ()) if data_card is None else data_card
    return Tracks(positions, found["scene"].to_numpy(dtype=str)[first], walker[first], starts, card)


def _checked(table: Table) -> pd.DataFrame:
    """Return the columns of a table of positions: two of words, three of numbers, none missing."""
    check_columns(table, COLUMNS, "the columns of positions")
    for column in COLUMNS:
        table.refuse(table.frame[column].isna(), f"no {column}", "complete the row, or leave it out")
    words = {column: words_of(table.frame[column]) for column in ("scene", "pedestrian")}
    numbers = {column: numbers_of(table, column, "correct it") for column in ("x", "y")}
    frame = pd.to_numeric(table.frame["frame"], errors="coerce").to_numpy(dtype=np.float64)
    table.refuse(~(frame % 1 == 0), "a frame that is no whole number", "number the frames", table.frame["frame"])
    found = pd.DataFrame({**words, "frame": frame, **numbers})
    twice = found.duplicated(["scene", "pedestrian", "frame"])
    table.refuse(twice, "a pedestrian twice in one frame", "keep one of the rows, or name the pedestrians apart")
    return found


def centred(positions: np.ndarray) -> np.ndarray:
    """Turn and shift each track: the present to (0, 0), the last step before it along x.

    Of somebody who stands, the last step is noise; then the last one counts that is longer than 0.2 m.

    Parameters
    ----------
    positions : array (n, steps, 2), the first 8 steps are the past.

    Returns
    -------
    float32 array of the same shape, metres
    """
    steps = np.diff(positions[:, :PAST].astype(np.float64), axis=1)
    far = np.hypot(*steps.T).T > AT_REST
    last = far.shape[1] - 1 - far[:, ::-1].argmax(axis=1)
    angle = np.arctan2(*steps[np.arange(len(steps)), last].T[::-1])
    shifted = positions - positions[:, PAST - 1 : PAST].astype(np.float64)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = shifted[..., 0], shifted[..., 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x], axis=-1).astype(np.float32)
