"""Data: a catalog, a cache that trusts only official bytes, and what all containers share."""

from typing import Any

from sslbook.data.card import DataCard
from sslbook.data.catalog import DataFile, DataSet, catalog, find, stand_ins
from sslbook.data.errors import DataError, Offline
from sslbook.data.sequences import EntityDays, histories, last_events, time_since_last
from sslbook.data.store import cache_dir, fetch, to_download

LARGE = 100_000_000  # bytes that are downloaded only when asked for


def load(name: str, source: str = "auto") -> Any:
    """Return a data set of the catalog.

    Parameters
    ----------
    name : key of ``catalog()``.
    source : "real" reads the cache and downloads what is not in it; "simulated" draws the stand-in; "auto" is "real"
        where that is possible, and draws the stand-in, saying so loudly, where the data are not in the cache and their
        hosts cannot be reached (decided within five seconds), or where more than 100 MB would have to be downloaded.

    Raises
    ------
    Offline : ``source="real"``, not in the cache, and no host answers.
    DataError : unknown name or source; a file with a wrong hash (never replaced by the stand-in); a cache that cannot
        be written.
    """
    if source not in ("auto", "real", "simulated"):
        raise DataError(f"source is {source!r}; choose 'auto', 'real' or 'simulated'.")
    entry = find(name)
    if source == "simulated":
        return stand_ins()[name]()
    try:
        if source == "auto" and (size := to_download(entry)) > LARGE:
            raise Offline(f"It is not in {cache_dir()}, and {size / 1e6:.0f} MB are downloaded only when asked for.")
        return entry.loader(entry, fetch(name))
    except Offline as error:
        if source == "real":
            raise
        _say_simulated(name, error)
        return stand_ins()[name]()


def _say_simulated(name: str, reason: Offline) -> None:
    line = "=" * 100
    print(
        f"{line}\nSIMULATED DATA instead of {name}.\n{reason}\n"
        "You get a stand-in drawn by a generator: good for learning the steps, worthless as evidence.\n"
        f"For the real data run ``python data_scripts/fetch.py {name}``, then this cell again; or say "
        f"``load({name!r}, 'real')``.\n{line}"
    )
