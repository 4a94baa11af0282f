"""Tracks of vehicles: where they were, and where they went."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described
from sslbook.data.errors import DataError

PAST, FUTURE = 8, 12  # steps; the last of the past is the present
STEP = 0.4  # seconds
AT_REST = 0.2  # metres; the heading cannot be told from a shorter step


@dataclass(frozen=True, eq=False)
class TrackSplit:
    """One split: tracks of vehicles, and the road of each.

    Parameters
    ----------
    name : of the split.
    positions : float32 array (n, 20, 2), metres on the map, one every 0.4 s: 8 of the past (the last is the present)
        and 12 of the future.
    roads : str array (n,)

    Raises
    ------
    DataError : positions of another type or shape or not finite, or unequal lengths.
    """

    name: str
    positions: np.ndarray
    roads: np.ndarray

    def __post_init__(self) -> None:
        if self.positions.dtype != np.float32 or self.positions.shape[1:] != (PAST + FUTURE, 2):
            raise DataError(
                f"The positions of {self.name} are {self.positions.dtype} of shape {self.positions.shape}; give "
                f"float32 of shape (n, {PAST + FUTURE}, 2)."
            )
        for i in np.flatnonzero(~np.isfinite(self.positions).all(axis=(1, 2)))[:1]:
            raise DataError(f"Track {i} of {self.name} has a position that is no number; leave the track out.")
        if self.roads.shape != (len(self),):
            raise DataError(f"There are {len(self)} tracks but roads of shape {self.roads.shape}; give one for each.")

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"TrackSplit({self.name}: {len(self)} tracks on {len(np.unique(self.roads))} roads)"

    @property
    def centred(self) -> np.ndarray:
        """The positions as the vehicle sees them, float32 (n, 20, 2); see the function ``centred``."""
        return centred(self.positions)


@dataclass(frozen=True, eq=False)
class Tracks(Described):
    """Tracks of vehicles with their splits; no road is in two of them.

    Raises
    ------
    DataError : a road in two splits.
    """

    train: TrackSplit
    validation: TrackSplit
    test: TrackSplit
    data_card: DataCard

    def __post_init__(self) -> None:
        owner: dict[str, str] = {}
        for split in self.splits:
            for road in np.unique(split.roads):
                if owner.setdefault(road, split.name) != split.name:
                    found = f"Road {str(road)!r} of {self.name} is in {owner[road]} and in {split.name}"
                    raise DataError(f"{found}; keep all tracks of a road in one split.")

    @property
    def splits(self) -> tuple[TrackSplit, TrackSplit, TrackSplit]:
        """Train, validation and test."""
        return self.train, self.validation, self.test

    def counts(self) -> pd.DataFrame:
        """Tracks and roads (columns) of each split (rows)."""
        rows = {split.name: (len(split), len(np.unique(split.roads))) for split in self.splits}
        return pd.DataFrame(rows, index=["tracks", "roads"]).T

    def _repr_html_(self) -> str:
        return f"{self.data_card._repr_html_()}{self.counts().to_html()}"


def centred(positions: np.ndarray) -> np.ndarray:
    """Turn and shift each track: the present to (0, 0), the last step before it along x.

    Of a vehicle that stands, the last step is noise; then the last one counts that is longer than 0.2 m.

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
