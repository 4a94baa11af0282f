"""Data: a catalog, a cache that trusts only official bytes, containers, stand-ins and a duplicate report."""

from .card import Card
from .cards import KINDS as CARD_FRAUDS
from .cards import simulate_card_payments, simulate_cards
from .catalog import CATALOG, Container, DataFile, DataSet
from .duplicates import duplicates
from .errors import DataError, Offline
from .histories import EntityDays, event_codes, histories, item_histories, last_events
from .images import Images, ImageSplit
from .interactions import Holdout, Interactions
from .scenes import VOID, Scenes, SceneSplit
from .shop import shop_log, simulate_shop
from .simulate import simulate_breast_ultrasound, simulate_chest_films
from .simulate_rows import simulate_claims, simulate_creditcard
from .store import cache_dir, fetch, find
from .streets import simulate_streets
from .tracks import Tracks, TrackSplit, centred, simulate_tracks
from .transactions import Transactions, TransactionSplit

__all__ = [
    "CARD_FRAUDS",
    "CATALOG",
    "Card",
    "DataError",
    "DataFile",
    "DataSet",
    "EntityDays",
    "Holdout",
    "ImageSplit",
    "Images",
    "Interactions",
    "Offline",
    "SceneSplit",
    "Scenes",
    "TrackSplit",
    "Tracks",
    "TransactionSplit",
    "Transactions",
    "VOID",
    "cache_dir",
    "centred",
    "duplicates",
    "event_codes",
    "fetch",
    "find",
    "histories",
    "item_histories",
    "last_events",
    "load",
    "shop_log",
    "simulate_breast_ultrasound",
    "simulate_card_payments",
    "simulate_cards",
    "simulate_chest_films",
    "simulate_claims",
    "simulate_creditcard",
    "simulate_shop",
    "simulate_shop",
    "simulate_streets",
    "simulate_tracks",
]


def load(name: str, source: str = "auto") -> Container:
    """Return a data set of the catalog.

    Parameters
    ----------
    name : key of `CATALOG`.
    source : "real" reads the cache and downloads what it lacks; "simulated" draws the stand-in; "auto" is
        "real" where that is possible, and draws the stand-in, saying so loudly, where the data are not in the
        cache and their hosts cannot be reached (decided within five seconds).

    Raises
    ------
    Offline : `source="real"`, not in the cache, and no host answers.
    DataError : unknown name or source; a file with a wrong hash (never replaced by the stand-in); a cache
        that cannot be written.
    """
    if source not in ("auto", "real", "simulated"):
        raise DataError(f"source is {source!r}; choose 'auto', 'real' or 'simulated'.")
    entry = find(name)
    if source == "simulated":
        return entry.simulator()
    try:
        return entry.loader(entry, fetch(name))
    except Offline as error:
        if source == "real":
            raise
        _say_simulated(name, error)
        return entry.simulator()


def _say_simulated(name: str, reason: Offline) -> None:
    line = "=" * 100
    print(
        f"{line}\nSIMULATED DATA instead of {name}.\n{reason}\n"
        "You get a stand-in drawn by a generator: good for learning the steps, worthless as evidence.\n"
        f"For the real data run `python data_scripts/fetch.py {name}`, then this cell again.\n{line}"
    )
