"""Image files of any size and pixel format to one uint8 array, with nothing dropped on the way."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from .errors import DataError

SHOWN = 5  # how many bad files or rows an error names before it counts the rest
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow raises
Item, Result = TypeVar("Item"), TypeVar("Result")
DEPTHS = (8, 10, 12, 14, 16)  # bits per pixel that cameras and scanners use


def read_images(paths: Sequence[Path], names: Sequence[str], size: int, colour: bool) -> np.ndarray:
    """Read image files into one array.

    Every image is turned as its EXIF tag says, laid on black where it is transparent, made grey (ITU-R 601)
    or RGB, cut to the square in its centre and resized with an anti-aliased Lanczos filter. Pixels of 16 bits
    are scaled by the smallest common depth (8, 10, 12, 14 or 16 bits) that holds the brightest of *all* the
    images: by one factor, because exposure may carry the label.

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
    """Return what `read` makes of each item, never a str; or raise one error for all it cannot."""

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
    """Return the largest value of the smallest usual bit depth that holds `brightest`."""
    return next(2**bits - 1 for bits in DEPTHS if brightest < 2**bits)


def shorten(items: Sequence[str]) -> str:
    """Join the first five items and count the others."""
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


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
