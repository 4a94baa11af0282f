"""Image files of any size and pixel format as one uint8 array; arrays of any kind in .npz files."""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from sslbook.data.errors import DataError, shorten

UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises
IMAGE_SUFFIXES = frozenset(".bmp .gif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())
DEPTHS = (8, 10, 12, 14, 16)  # bits per pixel that cameras and scanners use
VOID = 255  # in a mask: nothing is said of this pixel

Item, Result = TypeVar("Item"), TypeVar("Result")


def read_images(paths: Sequence[Path], names: Sequence[str], size: int, colour: bool) -> np.ndarray:
    """Read image files into one array.

    Every image is turned as its EXIF tag says, laid on black where it is transparent, made grey (ITU-R 601) or RGB,
    cropped to the square in its centre and resized with an anti-aliased Lanczos filter. Pixels of more than 8 bits are
    scaled by one factor for *all* images, because exposure may carry the label: by the smallest depth (8, 10, 12, 14 or
    16 bits) that holds the brightest of them.

    Parameters
    ----------
    paths, names : the files, and what to call each when it cannot be read.
    size : height and width of the result, pixels.
    colour : three channels instead of one.

    Returns
    -------
    uint8 array (n, size, size, channels)

    Raises
    ------
    DataError : some files cannot be read; names the first five and counts the others.
    """
    if size < 8:
        raise DataError(f"size is {size} pixels; give at least 8.")
    results = read_each(lambda path: _read_image(path, size, colour), paths, names, "image files")
    deep = [top for _, top in results if top is not None]
    scale = 255 / full_scale(max(deep)) if deep else 1.0
    pixels = np.stack([image if top is None else image * scale for image, top in results])
    return pixels.round().clip(0, 255).astype(np.uint8)


def read_each(read: Callable[[Item], Result], items: Sequence[Item], names: Sequence[str], what: str) -> list[Result]:
    """Return what ``read`` makes of each item, which is never a str; raise one error for all that cannot be read."""

    def attempt(item: Item) -> Result | str:
        try:
            return read(item)
        except UNREADABLE as error:
            return str(error) if isinstance(error, DataError) else reason(error)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, items))
    bad = [f"{name} ({result})" for name, result in zip(names, results, strict=True) if isinstance(result, str)]
    if bad:
        raise DataError(f"{len(bad)} of {len(items)} {what} cannot be read: {shorten(bad)}; replace or remove them.")
    return results


def full_scale(brightest: float) -> int:
    """Return the largest value of the smallest usual bit depth that holds ``brightest``."""
    return next(2**bits - 1 for bits in DEPTHS if brightest < 2**bits)


def _read_image(path: Path, size: int, colour: bool) -> tuple[np.ndarray, float | None]:
    """Return float32 (size, size, channels), and the brightest value if a pixel has more than 8 bits."""
    image = open_picture(path)
    top = None
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.float32)
        top = float(values.max())
        if values.min() < 0 or top >= 2 ** DEPTHS[-1]:
            raise DataError("has pixel values beyond 16 bits: save it with 8 or 16 bits")
        image = Image.fromarray(values)
    elif image.mode == "F":
        raise DataError("has floating-point pixels, whose range is not known: save it with 8 or 16 bits")
    else:
        image = over_black(image).convert("RGB" if colour else "L")
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS), dtype=np.float32)
    pixels = pixels.reshape(size, size, -1)
    return np.broadcast_to(pixels, (size, size, 3 if colour else 1)), top


def open_picture(path: Path) -> Image.Image:
    """Return the one picture of a file, turned as its EXIF tag says."""
    with Image.open(path) as opened:
        frames = getattr(opened, "n_frames", 1)
        if frames > 1 and opened.format != "MPO":  # the other frames of a phone's MPO are previews
            raise DataError(f"holds {frames} frames: save each as a file of its own")
        image = ImageOps.exif_transpose(opened)
        image.load()
    return image


def over_black(image: Image.Image) -> Image.Image:
    """Lay a picture on black where it is transparent."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)


def reason(error: Exception) -> str:
    """Say in one line why a picture cannot be read."""
    text = "not an image" if type(error).__name__ == "UnidentifiedImageError" else str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def image_files(root: Path) -> tuple[list[Path], list[str]]:
    """Return the image files under ``root`` in order, and the names of all other files."""
    shown = (
        file
        for file in root.rglob("*")
        if file.is_file() and not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(root).parts)
    )
    files = sorted(shown, key=lambda file: file.relative_to(root).as_posix())  # alike on every system
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    other = [file.relative_to(root).as_posix() for file in files if file.suffix.lower() not in IMAGE_SUFFIXES]
    if not images:
        found = f"it holds only {shorten(other)}" if other else "it is empty"
        raise DataError(f"Folder {root} has no images ({found}); put PNG, JPEG, TIFF or BMP files in it.")
    return images, other


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz file, never unpickling."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    except FileNotFoundError:
        raise DataError(f"There is no file {path}; correct the path.") from None
    except (ValueError, OSError, zipfile.BadZipFile, TypeError, AttributeError) as error:
        raise DataError(f"{path.name} is not an .npz file of plain arrays ({error}); prepare it anew.") from error


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to one compressed file, which gets its name only when it is complete.

    Raises
    ------
    OSError : the folder does not exist or cannot be written, or the disk is full; nothing is left behind.
    """
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def digest_of_arrays(path: Path) -> str:
    """Return the sha256 of the arrays of an .npz file, which does not depend on how they were compressed."""
    sha = hashlib.sha256()
    for key, array in sorted(read_npz(path).items()):
        content = "\n".join(array.tolist()).encode() if array.dtype.kind == "U" else np.ascontiguousarray(array)
        sha.update(f"{key} {array.dtype.kind} {array.shape}\n".encode())
        sha.update(content)
    return sha.hexdigest()
