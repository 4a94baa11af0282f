"""CamVid: drives through Cambridge, as the authors of SegNet split them; from the official PNG to arrays to scenes."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from sslbook.data.card import DataCard
from sslbook.data.errors import DataError
from sslbook.data.pictures import UNREADABLE, VOID, read_npz, reason
from sslbook.data.splits import NPZ_KEYS
from sslbook.domains.driving.data import CLASSES, COLOURS, RATE, VULNERABLE, Scenes, SceneSplit

OFFICIAL_VOID = len(CLASSES)


SIZE = (120, 160)  # height and width of the catalog's frames


PARTS = ("images", "masks", "names")


MEND = "take the official archive again"


def read_prepared(path: Path, data_card: DataCard) -> Scenes:
    """Return the scenes of a file that `write_prepared` wrote."""
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


def write_prepared(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Write prepared arrays, under the name of the file only when they are complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the sha256 of the arrays of a prepared file, which does not depend on how they were compressed."""
    sha = hashlib.sha256()
    for key, array in sorted(read_npz(path).items()):
        content = "\n".join(array.tolist()).encode() if array.dtype.kind == "U" else np.ascontiguousarray(array)
        sha.update(f"{key} {array.dtype.kind} {array.shape}\n".encode())
        sha.update(content)
    return sha.hexdigest()


def prepare_archive(path: Path) -> None:
    """Put prepared arrays in the place of the official archive; its members are read by name, in memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            folders = [re.fullmatch(r"(.*/)train/[^/]+\.png", name) for name in archive.namelist()]
            if not any(folders):
                raise DataError(f"the archive holds no folder train with PNG; {MEND}.")
            arrays = prepare(zipfile.Path(archive, next(filter(None, folders)).group(1)))
    except (zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"no readable archive ({error}); {MEND}.") from error
    write_prepared(arrays, path)


def prepare(folder: Path | zipfile.Path, size: tuple[int, int] = SIZE) -> dict[str, np.ndarray]:
    """Read the official folder (train, trainannot, val, valannot, test, testannot) and reduce the frames.

    A pixel of a reduced frame is the mean of those it covers (`BOX`), that of a mask the one in their middle
    (`NEAREST`), as the mean of two class numbers is a third class.

    Parameters
    ----------
    folder : the folder on disk or in an archive.
    size : height and width of the result; no larger than the official ones.

    Returns
    -------
    For train, val and test: `_images` uint8 (n, height, width, 3), `_masks` uint8 (n, height, width), 0 to 10 and, for
    void, 11, and `_names` (n,), in the order of the names.

    Raises
    ------
    DataError : a folder, frame or mask lacks, cannot be read, or is not what the official ones are.
    """
    arrays, source = {}, None
    for split in NPZ_KEYS.values():
        names = _names(folder, split)
        source = source or _open(folder / split / f"{names[0]}.png").size
        with ThreadPoolExecutor() as pool:
            pairs = [*pool.map(partial(_reduced, folder, split, source, size), names)]
        frames, masks = zip(*pairs, strict=True)
        arrays |= zip((f"{split}_{part}" for part in PARTS), map(np.stack, (frames, masks, names)), strict=True)
    return arrays


def _names(folder: Path | zipfile.Path, split: str) -> list[str]:
    """Return the names of the frames of a split in order, all of which have a mask."""
    stems = []
    for part in (folder / split, folder / f"{split}annot"):
        if not part.is_dir():
            raise DataError(f"There is no folder {part}; give the folder that holds train, trainannot, val and so on.")
        stems.append({file.stem for file in part.iterdir() if file.suffix == ".png" and not file.name.startswith(".")})
    for name in sorted(stems[0] ^ stems[1])[:1]:
        there, lacks = (split, f"{split}annot") if name in stems[0] else (f"{split}annot", split)
        raise DataError(f"{folder / there / name}.png has no partner {lacks}/{name}.png; {MEND}.")
    if not stems[0]:
        raise DataError(f"Folder {folder / split} holds no PNG; {MEND}.")
    for name in sorted(stems[0]):
        if not re.fullmatch(r".+_\D*\d+", name):
            raise DataError(f"{folder / split / name}.png is not called after drive and frame number; {MEND}.")
    return sorted(stems[0])


def _open(file: Path | zipfile.Path) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(file.read_bytes()))
        picture.load()
    except UNREADABLE as error:
        raise DataError(f"{file} cannot be read ({reason(error)}); {MEND}.") from error
    return picture


def _reduced(
    folder: Path | zipfile.Path, split: str, source: tuple[int, int], size: tuple[int, int], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return one frame and its mask, reduced."""
    reduced, width_and_height = [], size[::-1]
    for kind, mode, how in (("", "RGB", Image.Resampling.BOX), ("annot", "L", Image.Resampling.NEAREST)):
        file = folder / f"{split}{kind}" / f"{name}.png"
        picture = _open(file)
        if picture.size != source or picture.mode != mode:
            raise DataError(
                f"{file} is {picture.size[0]} x {picture.size[1]} pixels of mode {picture.mode}, not "
                f"{source[0]} x {source[1]} of mode {mode}; {MEND}."
            )
        if any(wanted > given for wanted, given in zip(width_and_height, source, strict=True)):
            raise DataError(
                f"{width_and_height[0]} x {width_and_height[1]} pixels are more than {file} has, {source[0]} x "
                f"{source[1]}; choose a smaller size."
            )
        reduced.append(np.asarray(picture.resize(width_and_height, how)))
    if (most := reduced[1].max()) > OFFICIAL_VOID:
        raise DataError(f"{file} has the value {most}; official masks have 0 to {OFFICIAL_VOID}: {MEND}.")
    return tuple(reduced)
