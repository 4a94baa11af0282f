"""Pedestrians and cyclists at a crossing in Aschaffenburg, from a folder that the reader downloads by hand."""

from pathlib import Path

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard
from sslbook.data.errors import DataError
from sslbook.domains.motion.data import STEP, Tracks, windows

KINDS = ("pedestrians", "cyclists")
WHERE = "https://www.th-ab.de/vru-trajectory-dataset"
GAP = 0.5  # seconds; across a longer one nothing is filled in
CARD = DataCard(
    "crossing", "VRU trajectories: pedestrians and cyclists at a crossing", "real", "none stated: do not pass it on",
    f"VRU Trajectory Dataset, Technische Hochschule Aschaffenburg, {WHERE}",
    "Followed by cameras (heads of pedestrians, 50 Hz) and LiDAR (centres of cyclists, 12.5 Hz); read here every 0.4 "
    "s, between two measurements along a straight line.",
    ("The two kinds were measured by different sensors: noise alone tells them apart.", "One crossing, filmed once."),
)  # fmt: skip


def read_crossing(folder: str | Path) -> Tracks:
    """Read the unpacked VRU Trajectory Dataset: ``pedestrians/moving/12.csv`` and so on, one file for each walker.

    Parameters
    ----------
    folder : that holds the folders pedestrians and cyclists, or one of them.

    Returns
    -------
    Tracks : the scenes are "crossing pedestrians" and "crossing cyclists", one place; a walker is named after his file.

    Raises
    ------
    DataError : there is no such file, one lacks the columns timestamp, x and y or a number in them, its times (seconds)
        go backwards, or no track is 8 seconds long.
    """
    folder = Path(folder).expanduser()
    found = [(kind, path) for kind in KINDS for path in sorted(folder.glob(f"{kind}/**/*.csv"))]
    if not found:
        raise DataError(f"{folder} holds no {' or '.join(f'{k}/**/*.csv' for k in KINDS)}; unpack {WHERE} there.")
    tables = [every_step(path).assign(scene=f"crossing {kind}", pedestrian=named(path)) for kind, path in found]
    return windows(pd.concat(tables), 1, CARD)


def named(path: Path) -> str:
    return "/".join(path.with_suffix("").parts[-2:])


def every_step(path: Path) -> pd.DataFrame:
    """Frame (number of the step of 0.4 s), x and y (metres) of one file."""
    rows = pd.read_csv(path)
    for column in {"timestamp", "x", "y"} - set(rows.columns):
        raise DataError(f"{path} has no column {column!r}; place the official file there.")
    numbers = rows[["timestamp", "x", "y"]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    for row in np.flatnonzero(~np.isfinite(numbers).all(axis=1))[:1]:
        raise DataError(f"{path}, line {row + 2}, lacks a number; place the official file there.")
    seconds, x, y = numbers.T
    for row in np.flatnonzero(np.diff(seconds) < 0)[:1]:
        raise DataError(f"{path}, line {row + 3}, is earlier than the line before; place the official file there.")
    if len(seconds) < 2:
        return pd.DataFrame({"frame": [], "x": [], "y": []})
    asked = np.arange(seconds[0], seconds[-1] + 1e-6, STEP)
    near = np.diff(seconds)[np.searchsorted(seconds, asked - 1e-6).clip(1) - 1] <= GAP
    found = {"x": np.interp(asked, seconds, x), "y": np.interp(asked, seconds, y)}
    return pd.DataFrame({"frame": range(len(asked)), **found})[near]
