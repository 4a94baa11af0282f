"""CamVid: drives through Cambridge, as the authors of SegNet split them; from the official PNG to arrays to scenes."""

import re
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from sslbook.data.card import DataCard
from sslbook.data.errors import DataError
from sslbook.data.pictures import VOID, read_npz, write_npz
from sslbook.data.splits import NPZ_KEYS
from sslbook.domains.driving.data import CLASSES, COLOURS, RATE, VULNERABLE, Scenes, SceneSplit
from sslbook.domains.driving.files import find_frames, read_frames, read_masks

OFFICIAL_VOID = len(CLASSES)
SIZE = (120, 160)  # height and width of the catalog's frames
PARTS = ("images", "masks", "names")
MEND = "take the official archive again"


def read_prepared(path: Path, data_card: DataCard) -> Scenes:
    """Return the scenes of a file of prepared arrays."""
    arrays = read_npz(path)
    for key in (f"{split}_{part}" for split in NPZ_KEYS.values() for part in PARTS):
        if key not in arrays:
            raise DataError(f"{path} has no array {key}; prepare it anew with data_scripts/prepare_camvid.py.")
    splits = {name: _split(name, *(arrays[f"{key}_{part}"] for part in PARTS)) for name, key in NPZ_KEYS.items()}
    return Scenes(**splits, classes=CLASSES, colours=COLOURS, vulnerable=VULNERABLE, data_card=data_card)


def _split(name: str, frames: np.ndarray, masks: np.ndarray, names: np.ndarray) -> SceneSplit:
    drives = np.array([frame.rpartition("_")[0] for frame in names.tolist()])
    time = np.array([int(re.sub(r".*\D", "", frame)) / RATE for frame in names.tolist()])
    return SceneSplit(name, frames, np.where(masks == OFFICIAL_VOID, VOID, masks).astype(np.uint8), drives, time, names)


def prepare_archive(path: Path) -> None:
    """Put prepared arrays in the place of the official archive; only its frames and masks are unpacked, for a while."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            pictures = [
                name for name in archive.namelist() if re.search(r"/(train|val|test)(annot)?/[^/]+\.png$", name)
            ]
            archive.extractall(folder, pictures)  # never outside of the folder, whatever the names
            roots = [found.parent for found in sorted(Path(folder).rglob("train"))]
            if not roots:
                raise DataError(f"the archive holds no folder train with PNG; {MEND}.")
            arrays = prepare(roots[0])
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"no readable archive ({error}); {MEND}.") from error
    write_npz(path, arrays)


def prepare(folder: Path, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """Read the official folder (train, trainannot, val, valannot, test, testannot) and reduce the frames.

    A pixel of a reduced frame is the mean of those it covers (``BOX``), that of a mask the one in their middle
    (``NEAREST``), as the mean of two class numbers is a third class.

    Parameters
    ----------
    size : height and width of the result; no larger than the official ones.

    Returns
    -------
    For train, val and test: ``_images`` uint8 (n, height, width, 3), ``_masks`` uint8 (n, height, width), 0 to 10, or
    11 for void, and ``_names`` (n,), in the order of the names.

    Raises
    ------
    DataError : a folder, frame or mask is missing, cannot be read, or is not what the official ones are.
    """
    for part in (folder / f"{key}{kind}" for key in NPZ_KEYS.values() for kind in ("", "annot")):
        if not part.is_dir():
            raise DataError(f"There is no folder {part}; give the folder that holds train, trainannot, val and so on.")
    files = sorted(find_frames(folder, None)[0], key=lambda file: file.name)
    frames, sizes = read_frames([file.path for file in files], size)
    for file, found in zip(files, sizes, strict=True):
        if file.mask is None:
            raise DataError(f"{file.path} has no mask of its name in {file.path.parent}annot; {MEND}.")
        if not re.fullmatch(r".+_\D*\d+", file.name):
            raise DataError(f"{file.path} is not called after drive and frame number; {MEND}.")
        if found != sizes[0]:
            given, usual = (f"{width} x {height}" for width, height in (found, sizes[0]))
            raise DataError(f"{file.path} is {given} pixels, not {usual}; {MEND}.")
    masks = read_masks(files, sizes, size, None, VOID)
    highest = masks.max(axis=(1, 2))
    for i in np.flatnonzero(highest > OFFICIAL_VOID)[:1]:
        raise DataError(
            f"{files[i].mask} has the value {highest[i]}; official masks have 0 to {OFFICIAL_VOID}: {MEND}."
        )
    names, split = np.array([(file.name, file.split) for file in files]).T
    arrays = {}
    for name, key in NPZ_KEYS.items():
        arrays |= {f"{key}_{part}": of[split == name] for part, of in zip(PARTS, (frames, masks, names), strict=True)}
    return arrays
