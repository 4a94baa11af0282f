"""A video file to frames, one every so many seconds."""

from pathlib import Path
from typing import Any

import numpy as np

from sslbook.data.errors import DataError
from sslbook.domains.driving.files import check_size, reduced

TOLERATED = 1.0  # seconds that the last frame of a whole file may lack to the length that it says


def read_video(path: Path, every: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Read the first frame of each stretch of ``every`` seconds.

    Returns
    -------
    uint8 array (n, height, width, 3), float64 array (n,) of seconds since the first frame of the file, and the (width,
    height) that it has

    Raises
    ------
    DataError : PyAV is not installed; no such file, no video in it, it breaks off, or has one such frame only.
    """
    check_size(size)
    if not every > 0:
        raise DataError(f"every is {every}; give the seconds from one frame to the next, above 0.")
    try:
        import av
    except ImportError:
        raise DataError("Reading a video needs PyAV; install it with ``pip install av``.") from None
    if not path.is_file():
        raise DataError(f"There is no file {path}; mend its path.")
    try:
        with av.open(str(path)) as video:
            if not video.streams.video or video.format.name == "tty":  # so FFmpeg takes any text for a picture
                raise DataError("has no video in it: give a file that has")
            return _sampled(video, every, size)
    except av.FFmpegError as error:
        why = f"cannot be read as a video ({error.strerror}): copy it anew, or save it as MP4"
    except DataError as error:
        why = str(error)
    raise DataError(f"{path} {why}.")


def _sampled(video: Any, every: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    frames, times, start, last = [], [], None, 0.0
    for frame in video.decode(video=0):
        start = frame.time if start is None else start
        last = frame.time - start + 1e-6  # times are rounded
        if not times or last // every > times[-1] // every:
            frames.append(reduced(frame.to_image(), size))
            times.append(last)
    missing = _length(video) - last
    if missing > TOLERATED:
        raise DataError(f"breaks off {missing:.1f} seconds before its end: copy it anew, or save what is left")
    if len(frames) < 2:
        raise DataError(f"has one frame every {every:g} seconds: give a shorter every, or a longer video")
    stream = video.streams.video[0]
    return np.stack(frames), np.round(times, 5), (stream.width, stream.height)


def _length(video: Any) -> float:
    """Return the seconds from the first to the last frame, as the file says; 0 where it does not."""
    stream = video.streams.video[0]
    if stream.duration is not None:
        seconds = float(stream.duration * stream.time_base)
    else:
        seconds = (video.duration or 0) / 1e6 if len(video.streams) == 1 else 0.0
    return seconds - float(1 / stream.average_rate if stream.average_rate else 0)
