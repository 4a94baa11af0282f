"""Image files of any size and pixel format to one uint8 array, with nothing dropped on the way."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .errors import DataError

SHOWN = 5  # how many bad files or rows an error names before it counts the rest
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

    def read(path: Path) -> tuple[np.ndarray, float | None] | str:
        try:
            return _read_image(path, size, colour)
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            return str(error) if isinstance(error, DataError) else _reason(error)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(read, paths))
    bad = [f"{name} ({result})" for name, result in zip(names, results, strict=True) if isinstance(result, str)]
    if bad:
        raise DataError(
            f"{len(bad)} of {len(paths)} image files cannot be read: {shorten(bad)}; replace or remove them."
        )
    deep = [top for _, top in results if top is not None]
    scale = 255 / full_scale(max(deep)) if deep else 1.0
    pixels = np.stack([image if top is None else image * scale for image, top in results])
    return pixels.round().clip(0, 255).astype(np.uint8)


def full_scale(brightest: float) -> int:
    """Return the largest value of the smallest usual bit depth that holds `brightest`."""
    return next(2**bits - 1 for bits in DEPTHS if brightest < 2**bits)


def shorten(items: Sequence[str]) -> str:
    """Join the first five items and count the others."""
    rest = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _read_image(path: Path, size: int, colour: bool) -> tuple[np.ndarray, float | None]:
    """Return float32 (size, size, channels), and the brightest value if a pixel has more than 8 bits."""
    with Image.open(path) as opened:
        frames = getattr(opened, "n_frames", 1)
        if frames > 1 and opened.format != "MPO":  # the other frames of a phone's MPO are previews
            raise DataError(f"holds {frames} frames: save each as a file of its own")
        image = ImageOps.exif_transpose(opened)
        image.load()
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
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
        image = image.convert("RGB" if colour else "L")
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS), dtype=np.float32)
    pixels = pixels.reshape(size, size, -1)
    return np.broadcast_to(pixels, (size, size, 3 if colour else 1)), top


def _reason(error: Exception) -> str:
    text = "not an image" if type(error).__name__ == "UnidentifiedImageError" else str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
