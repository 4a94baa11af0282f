"""Pedestrians of ETH and UCY: from the files that the field passes on to windows, scene by scene."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard
from sslbook.data.errors import DataError
from sslbook.data.tables import check_official, read_table
from sslbook.domains.motion.data import COLUMNS, Tracks, windows

FIVE = ("eth", "hotel", "univ", "zara1", "zara2")  # the scenes that the field tests on, each left out once
CORRECTED = "eth_obsmat_0.4s"
RECORDINGS = {  # the scene of each
    "biwi_eth": "eth",
    "biwi_hotel": "hotel",
    "students001": "univ",
    "students003": "univ",
    "crowds_zara01": "zara1",
    "crowds_zara02": "zara2",
    "crowds_zara03": "zara3",
    "uni_examples": "univ examples",
    CORRECTED: "eth corrected",
}
FRAMES = dict.fromkeys(RECORDINGS, 10) | {CORRECTED: 6}  # from one position to the next
KINDS = {"frame": np.int32, "pedestrian": np.int32, "x": np.float32, "y": np.float32}


def read_tracks(paths: Sequence[Path], data_card: DataCard) -> Tracks:
    """Return all windows of the official files, or of one table that holds what they do."""
    prepared = [path for path in paths if path.suffix == ".parquet"]
    table = read_positions(prepared[0]) if prepared else pd.concat([read_recording(path) for path in paths])
    parts = [table[table["scene"] == recording] for recording in RECORDINGS]
    tracks = windows(pd.concat(parts), FRAMES, data_card)
    recordings = pd.Series([walker.rpartition(" of ")[2] for walker in tracks.walkers])
    scenes = recordings.map(RECORDINGS).to_numpy(dtype=str)
    return Tracks(tracks.positions, scenes, tracks.walkers, tracks.starts, data_card)


def read_positions(path: Path) -> pd.DataFrame:
    """Return a prepared table with the columns of ``motion.windows``; its scenes are recordings."""
    table = read_table(path)
    check_official(path, table, ("agent",))
    return table.frame.rename(columns={"agent": "pedestrian"})


def read_recording(path: Path) -> pd.DataFrame:
    """Read an official file, called after its recording, with the columns of ``motion.windows``.

    Its lines are frame, pedestrian, x and y (metres); those of the eight columns of obsmat.txt are frame, pedestrian,
    position (x, height, y) and velocity (x, height, y).

    Raises
    ------
    DataError : lines of anything else.
    """
    try:
        rows = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise DataError(f"{path} cannot be read ({str(error).rstrip('.')}); place the official file there.") from error
    if not len(rows) or rows.shape[1] not in (4, 8):
        raise DataError(f"{path} has {rows.shape[1]} columns, not 4 or 8; place the official file there.")
    columns = rows[:, [0, 1, 2, 3] if rows.shape[1] == 4 else [0, 1, 2, 4]].T
    numbers = {name: column.astype(kind) for (name, kind), column in zip(KINDS.items(), columns, strict=True)}
    recording = CORRECTED if rows.shape[1] == 8 else path.stem
    return pd.DataFrame({"scene": recording, **numbers})[list(COLUMNS)]


def digest_of_positions(path: Path) -> str:
    """Return the sha256 of the numbers of an official file, whatever the order and the digits of its lines."""
    return digest_of_table(read_recording(path))


def digest_of_table(table: pd.DataFrame) -> str:
    """Return the sha256 of frame, pedestrian, x and y, by frame and pedestrian."""
    rows = table.sort_values(["frame", "pedestrian"])
    sha = hashlib.sha256()
    for column, kind in KINDS.items():
        sha.update(np.ascontiguousarray(rows[column].to_numpy(dtype=kind)))
    return sha.hexdigest()
