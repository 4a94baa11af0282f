"""Frames and masks as readers keep them, in folders, to arrays; nothing dropped on the way."""

import colorsys
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sslbook.data.errors import DataError, shorten
from sslbook.data.pictures import VOID, image_files, open_picture, over_black, read_each
from sslbook.data.splits import SPLIT_NAMES

MOST_CLASSES = UNNAMED = VOID - 1  # in a table of colours, UNNAMED marks those that the palette lacks
Colour = tuple[int, int, int]
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class FrameFile:
    """A frame that was found; ``name`` is its path without ending, ``split`` is "" where the folders tell none."""

    path: Path
    name: str
    split: str
    mask: Path | None


def find_frames(root: Path, masks: Path | None) -> tuple[list[FrameFile], list[str]]:
    """Return the frames of a folder, each with its mask, in natural order (2 before 10); and what is no picture.

    Folders called train, val and test (there must be train) are the official splits: the masks of train are then in
    trainannot, or in train within ``masks``.

    Raises
    ------
    DataError : no such folder, no pictures, two of one name, or a mask without a frame.
    """
    for folder in filter(None, (root, masks)):
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}; mend its path.")
    found, other = [], []
    for folder, split, of_masks in _places(root, masks):
        frames, no_frames = _by_name(folder, of_masks)
        mask_of, no_masks = _masks_by_frame(of_masks, folder, frames) if of_masks else ({}, [])
        other += no_frames + no_masks
        found += [FrameFile(path, name, split, mask_of.get(name)) for name, path in frames.items()]
    if len(found) < 2:
        raise DataError(f"Folder {root} has one frame, {found[0].path.name}; give at least two.")
    return sorted(found, key=lambda file: [int(x) if x.isdecimal() else x for x in DIGITS.split(file.name)]), other


def _places(root: Path, masks: Path | None) -> list[tuple[Path, str, Path | None]]:
    """Return (folder of frames, split, folder of masks)."""
    folders = [child for child in sorted(root.iterdir()) if child.is_dir()]
    splits = {folder.name: SPLIT_NAMES[folder.name.lower()] for folder in folders if folder.name.lower() in SPLIT_NAMES}
    if "train" not in splits.values():
        return [(root, "", masks)]
    of_masks = {name: root / f"{name}annot" if masks is None else masks / name for name in splits}
    stray = {folder.name for folder in folders} - {*splits, *(folder.name for folder in of_masks.values())}
    stray = [name for name in sorted(stray) if not name.startswith(".") and root / name != masks]
    if stray:
        raise DataError(f"Folder {root} has splits and beside them {shorten(stray)}; move these into the splits.")
    return [(root / name, split, of_masks[name] if of_masks[name].is_dir() else None) for name, split in splits.items()]


def _by_name(folder: Path, but: Path | None) -> tuple[dict[str, Path], list[str]]:
    """Return the pictures of a folder by their path without ending, those in the folder ``but`` left out."""
    files, other = image_files(folder)
    if but is not None and folder.resolve() in but.resolve().parents:
        within = folder / but.resolve().relative_to(folder.resolve())
        files = [file for file in files if not file.is_relative_to(within)]
    found: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{folder} has {found[name].name} and {file.name} for one frame; keep one of them.")
        found[name] = file
    if not found:
        raise DataError(f"Folder {folder} has no frames beside the masks in {but}; put the frames in it.")
    return found, other


def _masks_by_frame(masks: Path, folder: Path, frames: Mapping[str, Path]) -> tuple[dict[str, Path], list[str]]:
    """Return the mask of each frame that has one: the same path without ending, or the one frame of the same name."""
    found, other = _by_name(masks, None)
    by_stem: dict[str, list[str]] = {}
    for name in frames:
        by_stem.setdefault(name.rpartition("/")[2], []).append(name)
    mask_of: dict[str, Path] = {}
    for name, path in found.items():
        meant = [name] if name in frames else by_stem.get(path.stem, [])
        if len(meant) != 1:
            what = f"could be of {shorten(meant)}" if meant else "has no frame"
            raise DataError(f"Mask {path} {what} in {folder}; give it the path and name of its frame, or remove it.")
        if meant[0] in mask_of:
            raise DataError(f"Frame {meant[0]} has the masks {mask_of[meant[0]]} and {path}; keep one of them.")
        mask_of[meant[0]] = path
    return mask_of, other


def drives_of(names: Sequence[str], drives: Mapping[str, str] | Callable[[str], str] | None) -> np.ndarray:
    """Return the drive of each frame: what ``drives`` says of its name, or its folder, or what its name begins with.

    Raises
    ------
    DataError : a name that ``drives`` lacks, or every frame would be a drive of its own.
    """
    if drives is None:
        found = [_drive(name) for name in names]
        if len(set(found)) == len(found):
            alone = f"Every frame would be a drive of its own ({shorten(found)})"
            raise DataError(f"{alone}; put the frames of a drive in one folder, or say with drives which is of which.")
    elif callable(drives):
        found = [drives(name) for name in names]
    else:
        for name in names:
            if name not in drives:
                raise DataError(f"Frame {name} has no drive in drives; add it.")
        found = [drives[name] for name in names]
    return np.array([str(drive) for drive in found])


def _drive(name: str) -> str:
    """Return the folder, or what stands before the last number and the letter that may lead it: 0006R0_f01470."""
    folder, _, stem = name.rpartition("/")
    before = re.fullmatch(r"(.+?)[\W_]+[A-Za-z]?[0-9]+|(.*?)[0-9]+[^0-9]*", stem)
    return folder or (before and (before[1] or before[2])) or (stem if before is None else "drive")


def read_frames(paths: Sequence[Path], size: tuple[int, int]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Read frames of any size and pixel format.

    Returns
    -------
    uint8 array (n, height, width, 3), and the (width, height) that each file has
    """

    def read(path: Path) -> tuple[np.ndarray, tuple[int, int]]:
        picture = open_picture(path)
        if picture.mode.startswith(("I", "F")):
            raise DataError("has more than 8 bits: save it with 8")
        return reduced(over_black(picture).convert("RGB"), size), picture.size

    check_size(size)
    frames, sizes = zip(*read_each(read, paths, [path.name for path in paths], "frames"), strict=True)
    return np.stack(frames), list(sizes)


def check_size(size: tuple[int, int]) -> None:
    """Refuse what is no height and width."""
    if len(size) != 2 or not all(isinstance(side, int) and side >= 8 for side in size):
        raise DataError(f"size is {size}; give height and width in pixels, at least 8 each.")


def reduced(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Average the pixels that fall into each of the result; uint8 (height, width, channels)."""
    height, width = size
    if picture.width < width or picture.height < height:
        found = f"{picture.width} x {picture.height}"
        raise DataError(f"is {found} pixels, less than {width} x {height}: give a smaller size")
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX))


def stretched(sizes: Sequence[tuple[int, int]], size: tuple[int, int]) -> list[str]:
    """Say how many frames of (width, height) do not keep their proportions in a (height, width)."""
    ratios = np.array([width / height for width, height in sizes]) * size[0] / size[1]
    off = np.abs(ratios - 1)
    if off.max() <= 0.01:
        return []
    width, height = sizes[int(off.argmax())]
    return [
        f"{(off > 0.01).sum()} of {len(sizes)} frames, as of {width} x {height} pixels, were reduced to {size[1]} x "
        f"{size[0]}, not in proportion; another size can keep it."
    ]


def read_masks(
    files: Sequence[FrameFile], sizes: Sequence[tuple[int, int]], size: tuple[int, int], table: np.ndarray | None,
    void: int,
) -> np.ndarray:  # fmt: skip
    """Read the masks of frames of (width, height) ``sizes``; each pixel of the result is that of the nearest one.

    Parameters
    ----------
    size : height and width of the result.
    table : what ``colour_table`` makes of a palette, or None: the masks hold class numbers, or are pictures with a
        palette of their own, whose positions are the class numbers.
    void : class number that stands for no class.

    Returns
    -------
    uint8 array (n, height, width), ``VOID`` where there is no class
    """

    def read(job: tuple[FrameFile, tuple[int, int]]) -> np.ndarray:
        file, of_frame = job
        if file.mask is None:
            return np.full(size, VOID, np.uint8)
        picture = open_picture(file.mask)
        if picture.size != of_frame:
            given, wanted = (f"{width} x {height}" for width, height in (picture.size, of_frame))
            raise DataError(f"is {given} pixels, its frame {wanted}: save them in one size")
        numbers = _numbers(picture) if table is None else _named(picture, table)
        numbers[numbers == void] = VOID
        return np.asarray(Image.fromarray(numbers).resize(size[::-1], Image.Resampling.NEAREST))

    names = ["" if file.mask is None else file.mask.name for file in files]
    return np.stack(read_each(read, list(zip(files, sizes, strict=True)), names, "masks"))


def _numbers(picture: Image.Image) -> np.ndarray:
    if len(picture.getbands()) > 1:
        raise DataError("is in colours: say with palette which is which class, or save one channel of class numbers")
    numbers = np.asarray(picture)
    if picture.mode == "F" or numbers.max() > VOID or numbers.min() < 0:
        raise DataError(f"has values from {numbers.min()} to {numbers.max()}: save class numbers from 0 to {VOID}")
    return numbers.astype(np.uint8)


def _named(picture: Image.Image, table: np.ndarray) -> np.ndarray:
    codes = np.asarray(picture.convert("RGB")) @ np.array([65536, 256, 1])
    numbers = table[codes]
    unnamed, pixels = np.unique(codes[numbers == UNNAMED], return_counts=True)
    if len(unnamed):
        red, rest = divmod(int(unnamed[pixels.argmax()]), 65536)
        lacks = f"{len(unnamed)} colours that palette lacks, as {(red, *divmod(rest, 256))} in {pixels.max():,} pixels"
        raise DataError(f"has {lacks}: add them")
    return numbers


def colour_table(palette: Mapping[Colour, str | None], classes: Sequence[str]) -> np.ndarray:
    """Return the class number of each colour, by its red * 65536 + green * 256 + blue; uint8 (16777216,).

    A colour whose class is None is void.
    """
    if len(classes) > MOST_CLASSES:
        raise DataError(f"palette has {len(classes)} classes; a mask holds at most {MOST_CLASSES}: merge some.")
    table = np.full(1 << 24, UNNAMED, np.uint8)
    for colour, name in palette.items():
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise DataError(f"palette has {colour}; give red, green and blue from 0 to 255.")
        if name is not None and name not in classes:
            raise DataError(f"palette calls {colour} {name!r}, but the classes are {', '.join(classes)}; name one.")
        table[colour[0] << 16 | colour[1] << 8 | colour[2]] = VOID if name is None else classes.index(name)
    return table


def distinct_colours(k: int) -> np.ndarray:
    """Return colours that differ, the same ones each time; uint8 (k, 3)."""
    colours = [colorsys.hsv_to_rgb(0.618 * i % 1, 0.75 - 0.25 * (i % 2), 0.95 - 0.3 * (i % 3 == 2)) for i in range(k)]
    return (255 * np.array(colours).reshape(k, 3)).astype(np.uint8)
