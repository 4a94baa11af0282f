"""Fetch the files of a data set into a cache, and trust only those with the official hash."""

import errno
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import pooch
import requests
from tqdm.auto import tqdm
from tqdm.utils import CallbackIOWrapper
from urllib3.exceptions import HTTPError

from sslbook.data.catalog import DataFile, DataSet, find
from sslbook.data.errors import DataError, Offline

pooch.get_logger().setLevel("WARNING")  # the progress bar says it already
PATIENCE = 4.5  # seconds until "no network" is certain; with the hashing it stays under five


def cache_dir() -> Path:
    """Folder of the data cache: ``$SSLBOOK_DATA``, or the platform's cache folder."""
    chosen = os.environ.get("SSLBOOK_DATA")
    return Path(chosen).expanduser() if chosen else Path(pooch.os_cache("sslbook"))


def local_path(file: DataFile) -> Path:
    """Where the cache keeps ``file``, whether or not it is there yet."""
    return cache_dir() / file.folder / file.name


def fetch(name: str) -> list[Path]:
    """Return the files of a data set, downloading those that are not in the cache.

    A file placed in the cache by hand is used when its hash is right. Complete files are not fetched again: a second
    run goes on where the first was interrupted. Where a file is missing and the alternative of the entry is in the
    cache, the alternative is returned and nothing downloaded.

    Raises
    ------
    Offline : a file is missing and none of its hosts answers (decided within five seconds), or ``$SSLBOOK_OFFLINE`` is
        set.
    DataError : a file has the wrong size or hash, or the cache cannot be written.
    """
    return [_fetch_file(file) for file in wanted(find(name))]


def wanted(entry: DataSet) -> tuple[DataFile, ...]:
    """Return the files that serve: the official ones, or the alternative that is in the cache when they are not."""
    official, other = (all(local_path(file).exists() for file in files) for files in (entry.files, entry.alternative))
    return entry.alternative if entry.alternative and other and not official else entry.files


def to_download(entry: DataSet) -> int:
    """Return how many bytes ``fetch`` would download."""
    return sum(file.size for file in wanted(entry) if not local_path(file).exists())


def _fetch_file(file: DataFile) -> Path:
    path = local_path(file)
    if path.exists():
        _verify(file, path)
        return path
    if os.environ.get("SSLBOOK_OFFLINE"):
        raise _offline(file, path, "SSLBOOK_OFFLINE forbids it")
    urls, failures = _answering(file.urls, PATIENCE)
    if not urls:
        raise _offline(file, path, "; ".join(failures))
    found = []
    for url in urls:
        try:
            _download(file, url, path)
            return path
        except DataError as error:
            found.append(str(error))
        except OSError as error:
            full = error.errno == errno.ENOSPC
            raise DataError(
                f"{file.name} ({file.size:,} bytes) cannot be kept in {path.parent}: "
                f"{'the disk is full; free some space' if full else 'it is not writable; allow it'}, or set "
                "SSLBOOK_DATA to another folder."
            ) from error
    raise DataError(
        f"Download of {file.name} failed: expected {_expected(file)}, found "
        f"{'; '.join(dict.fromkeys(found))}; run again, and if it stays place the official file in "
        f"{path.parent} by hand."
    )


def _verify(file: DataFile, path: Path) -> None:
    size, digest = path.stat().st_size, file.digest(path)
    if digest != file.sha256:
        raise DataError(
            f"{path} is not the official file: expected {_expected(file)}, found {size:,} bytes with "
            f"sha256 {digest}; delete it and run again to download it anew."
        )


def _expected(file: DataFile) -> str:
    return f"{f'{file.size:,} bytes with ' if file.digest is pooch.file_hash else ''}sha256 {file.sha256}"


def _offline(file: DataFile, path: Path, why: str) -> Offline:
    return Offline(
        f"{file.name} is not in {path.parent} and cannot be downloaded ({why}); connect and run again, or "
        "place the official file there by hand."
    )


def _answering(urls: Sequence[str], seconds: float) -> tuple[list[str], list[str]]:
    """Ask all ``urls`` at once, and wait for the first that answers.

    Each is asked in a daemon thread, because a name look-up cannot be given a time limit.

    Returns
    -------
    The urls that did not fail, the one that answered first; none if none answered within ``seconds``. And what was
    wrong with those that failed.
    """
    answers: queue.Queue[tuple[str, str | None]] = queue.Queue()

    def ask(url: str) -> None:
        try:
            with requests.get(url, stream=True, timeout=seconds) as response:
                answers.put((url, None if response.ok else f"answered with status {response.status_code}"))
        except requests.RequestException as error:
            answers.put((url, f"could not be reached ({type(error).__name__})"))

    for url in urls:
        threading.Thread(target=ask, args=(url,), daemon=True).start()
    deadline, failures = time.monotonic() + seconds, {}
    while len(failures) < len(urls):
        try:
            url, failure = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if failure is None:
            return [url, *(other for other in urls if other != url and other not in failures)], []
        failures[url] = failure
    silent = dict.fromkeys(urls, f"did not answer within {seconds:g} s")
    return [], list(dict.fromkeys(f"{_host(url)} {why}" for url, why in (silent | failures).items()))


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _download(file: DataFile, url: str, path: Path) -> None:
    """Download ``url`` beside ``path``, verify it, and only then give it its name.

    Raises
    ------
    DataError : says what was found in place of the official file.
    OSError : nothing can be written there.
    """

    def stream(url: str, target: str, _pooch: object) -> None:
        failure = ""
        with tqdm(desc=file.name, total=file.size, unit="B", unit_scale=True) as bar:
            try:
                if file.receive is None:
                    pooch.HTTPDownloader(progressbar=bar, chunk_size=2**13, timeout=30)(url, target, None)
                else:
                    _receive(file.receive, url, Path(target), bar)
            except requests.RequestException as error:
                failure = f", broken off ({type(error).__name__})"
        size = os.path.getsize(target)
        if file.prepare is not None:
            _prepare(file.prepare, Path(target), f"{size:,} bytes from {_host(url)}{failure}")
        digest = file.digest(Path(target))
        if digest != file.sha256:
            raise DataError(f"{size:,} bytes with sha256 {digest} from {_host(url)}{failure}")

    pooch.retrieve(url, None, fname=path.name, path=path.parent, downloader=stream)


def _prepare(prepare: Callable[[Path], None], path: Path, found: str) -> None:
    try:
        prepare(path)
    except DataError as error:
        raise DataError(f"{found}: {str(error).rstrip('.')}") from error


def _receive(receive: Callable[[BinaryIO, Path], None], url: str, path: Path, bar: tqdm) -> None:
    try:
        with requests.get(url, stream=True, timeout=30) as response:
            response.raise_for_status()
            receive(CallbackIOWrapper(bar.update, response.raw), path)
    except (requests.RequestException, HTTPError, DataError) as error:
        why = str(error).rstrip(".") if isinstance(error, DataError) else f"broken off ({type(error).__name__})"
        raise DataError(f"{bar.n:,} bytes from {_host(url)}: {why}") from error
