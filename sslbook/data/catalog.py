"""The catalog: where each data set comes from, what it may be used for, and what is wrong with it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from pooch import file_hash

from sslbook.data.card import DataCard
from sslbook.data.errors import DataError


@dataclass(frozen=True)
class DataFile:
    """One file of a data set, as its official host names it.

    Parameters
    ----------
    name : file name, also in the cache.
    urls : official addresses: the first that answers is used, then the others. Without any, the file is placed by hand.
    size : bytes to download.
    sha256 : hexadecimal digest; nothing with another digest is ever read.
    folder : folder of the cache that holds it.
    prepare : turns what was downloaded into the file, in its place; None where the download is the file.
    receive : reads the download as a stream and writes the file, in the place of ``prepare``: for an archive that is
        large beside what is kept of it. It may stop before the end.
    digest : what is compared with ``sha256``; for a file that was prepared or received, a digest of its content.
    """

    name: str
    urls: tuple[str, ...]
    size: int
    sha256: str
    folder: str = "raw"
    prepare: Callable[[Path], None] | None = None
    receive: Callable[[BinaryIO, Path], None] | None = None
    digest: Callable[[Path], str] = file_hash


@dataclass(frozen=True)
class DataSet:
    """One entry of the catalog; ``loader`` turns its files into a container.

    ``classes`` and the number of the ``positive`` one are for data with labels. The ``alternative`` are files that are
    taken from the cache where ``files`` are not all there, before any download.
    """

    name: str
    title: str
    files: tuple[DataFile, ...]
    licence: str
    citation: str
    provenance: str
    known_problems: tuple[str, ...]
    loader: Callable[[DataSet, list[Path]], Any]
    classes: tuple[str, ...] = ()
    positive: int = 0
    alternative: tuple[DataFile, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)

    @property
    def data_card(self) -> DataCard:
        """What a reader must know about the real data."""
        return DataCard(
            self.name, self.title, "real", self.licence, self.citation, self.provenance, self.known_problems
        )


def rooms() -> list[str]:
    """Names of the rooms there are, one per industry."""
    package = importlib.import_module("sslbook.domains")
    return sorted(room.name for room in pkgutil.iter_modules(package.__path__) if room.ispkg)


@cache
def catalog() -> dict[str, DataSet]:
    """All data sets of the book by name: the ``ENTRIES`` of the ``catalog`` module of every room."""
    modules = [importlib.import_module(f"sslbook.domains.{room}.catalog") for room in rooms()]
    return {entry.name: entry for module in modules for entry in module.ENTRIES}


def find(name: str) -> DataSet:
    """Return the catalog entry called ``name``.

    Raises
    ------
    DataError : there is none; the message lists those there are.
    """
    if name not in catalog():
        raise DataError(f"There is no data set {name!r} in the catalog; choose one of {', '.join(catalog())}.")
    return catalog()[name]


@cache
def stand_ins() -> dict[str, Callable[..., Any]]:
    """What can be drawn, by name: every function ``simulate_NAME`` of the worlds."""
    found = {}
    for room in rooms():
        world = importlib.import_module(f"sslbook.worlds.{room}")
        names = [name for name in vars(world) if name.startswith("simulate_")]
        found |= {name.removeprefix("simulate_"): getattr(world, name) for name in names}
    return found
