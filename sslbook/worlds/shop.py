"""Simulated logs of shops: shoppers with latent tastes, items with sequels, and seasons.

What a shopper takes next is drawn from his taste, the popularity of the items and the season, unless it is a *sequel*
of what he took last, or something he takes again. These have knobs, so that what they are worth is known.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sslbook.data.card import simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.shop.data import Interactions

NOUNS = (
    "mug candle lantern cushion teapot clock basket notebook umbrella apron doorstop garland jigsaw lunchbox "
    "photo-frame parasol hook jar tray ribbon napkin stool lamp blanket"
).split()
COLOURS = "red pink rose blue mint green ivory black silver gold".split()
BRANDS = [first + last for first in "Al Be Cor Da Fe Lu Mi No".split() for last in "bury dale ford more wick".split()]
KINDS = 8  # of shoppers
SEQUELS = np.array([0.35, 0.25, 0.15, 0.10, 0.08, 0.07])  # chances of the sequels of an item
FOLLOWS = 0.3  # share of the events that are sequels, where order is 1
SECOND_TASTE = 0.3  # share of the events that follow the second taste of a shopper
FEWEST = 5  # events of a shopper
START = pd.Timestamp("2024-01-01")
MINUTES = 366 * 24 * 60
TRIES = 10  # to draw something that the shopper has not had


def simulate_shop(name: str = "shop", title: str = "Stand-in for the log of a shop", **knobs: float) -> Interactions:
    """Draw the log of a shop, with titles, prices, pieces and attributes; users and items with few events are left out.

    Parameters
    ----------
    name, title : for records, figures and reports.
    knobs : as for ``shop_log``.

    Returns
    -------
    Interactions, 5-core; attributes are category, brand, colour and price band
    """
    log = shop_log(**knobs)
    problem = "Drawn by a formula: a number measured on it says nothing about real shoppers."
    data_card = simulated_data_card(name, title, "sslbook.worlds.shop", (problem,))
    data_card = replace(data_card, provenance="Drawn by sslbook.worlds.shop; tastes, sequels and seasons are known.")
    shop = Interactions.from_frame(log, **{column: column for column in log}, data_card=data_card)
    words = pd.DataFrame([words.split() for words in shop.titles], columns=["brand", "colour", "category"])
    words["price band"] = pd.qcut(shop.item_prices, 4, labels=False).astype(str)
    return replace(shop, attributes=csr_array(pd.get_dummies(words).to_numpy(dtype=bool)))


def simulate_beauty(
    n_users: int = 3000, n_items: int = 1200, seed: int = 0, order: float = 1.0, season: float = 1.0
) -> Interactions:
    """Draw the stand-in of Amazon Beauty: as there, only the order of the events and the attributes are known.

    Parameters
    ----------
    n_users, n_items, seed, order, season : as for ``shop_log``.
    """
    title = "Stand-in for Amazon Beauty: drawn shoppers"
    knobs = {"n_users": n_users, "n_items": n_items, "seed": seed, "order": order, "season": season}
    shop = simulate_shop("beauty", title, **knobs)
    place = np.arange(len(shop)) - shop.bounds[shop.users]
    return replace(shop, time=place.astype(np.float64), quantity=None, price=None, titles=None, start=None)


def simulate_online_retail(n_users: int = 1000, n_items: int = 1200, seed: int = 0, order: float = 1.0) -> Interactions:
    """Draw the stand-in of Online Retail: baskets of many items, and customers who take the same again.

    Parameters
    ----------
    n_users, n_items, seed, order : as for ``shop_log``.
    """
    title = "Stand-in for Online Retail: drawn customers"
    knobs = {"n_users": n_users, "n_items": n_items, "seed": seed, "order": order}
    return simulate_shop("online_retail", title, **knobs, repeats=0.4, events=60, basket=12)


def shop_log(
    n_users: int = 3000,
    n_items: int = 1200,
    seed: int = 0,
    order: float = 1.0,
    season: float = 1.0,
    repeats: float = 0.0,
    events: float = 9.0,
    basket: float = 1.0,
) -> pd.DataFrame:
    """Draw the log of a shop over one year.

    Parameters
    ----------
    n_users, n_items : shoppers, and items on sale.
    seed : another seed draws another shop.
    order : 0 to 1; an event is a sequel of an event of the visit before with this times 0.3 as its chance. Where order,
        season and repeats are 0, the order of a user's events tells nothing.
    season : from 0; at 1 a category sells 11 times as much in its best month as in its worst.
    repeats : 0 to 1, chance that an event after the first visit is an item of an earlier visit again; all other events
        are items that are new to the user.
    events : mean events of a user, above 5, which is the least.
    basket : about how many events a visit has, from 1; those of one visit have one time.

    Returns
    -------
    DataFrame with columns user, item, time, title, price, quantity, in the order of time
    """
    _check(n_users, n_items, {"order": order, "repeats": repeats}, season, events, basket)
    rng = np.random.default_rng(seed)
    items = _catalogue(n_items, rng)
    user, first, minute = _visits(n_users, n_items // 4, events, basket, rng)
    month = (minute * 12 // MINUTES).astype(np.int64)
    taken = _walk(items, user, first, month, (order * FOLLOWS, season, repeats), rng)
    known, held = items.iloc[taken], taken >= 0
    log = pd.DataFrame(
        {
            "user": [f"U{code + 1:05d}" for code in user],
            "item": known["item"].to_numpy(),
            "time": START + pd.to_timedelta(minute, unit="min"),
            "title": known["title"].to_numpy(),
            "price": known["price"].to_numpy(),
            "quantity": rng.geometric(0.7, len(user)),
        }
    )
    return log[held].sort_values("time", kind="stable", ignore_index=True)


def _check(n_users: int, n_items: int, chances: dict[str, float], season: float, events: float, basket: float) -> None:
    if n_users < 50 or n_items < 100:
        raise DataError(f"n_users is {n_users} and n_items {n_items}; draw at least 50 users and 100 items.")
    for name, value in chances.items():
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value}; give a number from 0 to 1.")
    if not (season >= 0 and events > FEWEST and basket >= 1):
        raise DataError(
            f"season is {season}, events {events} and basket {basket}; give a season from 0, more than {FEWEST} events "
            "and a basket from 1."
        )


def _catalogue(n_items: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw the items: a brand makes few categories, and a few items are sold most."""
    category = rng.integers(len(NOUNS), size=n_items)
    makes = rng.gamma(0.3, size=(len(NOUNS), len(BRANDS))) + 1e-3
    brand = (rng.random((n_items, 1)) < np.cumsum(makes / makes.sum(1, keepdims=True), 1)[category]).argmax(1)
    colour = rng.integers(len(COLOURS), size=n_items)
    level = rng.normal(1.6, 0.6, len(NOUNS))[category] + rng.normal(0, 0.4, len(BRANDS))[brand]
    names = zip(brand, colour, category, strict=True)
    return pd.DataFrame(
        {
            "item": [f"I{i + 1:05d}" for i in range(n_items)],
            "title": [f"{BRANDS[b]} {COLOURS[c]} {NOUNS[n]}" for b, c, n in names],
            "category": category,
            "brand": brand,
            "colour": colour,
            "price": (np.exp(level + rng.normal(0, 0.2, n_items)) + 0.1).round(2),
            "popularity": 1 / (rng.permutation(n_items) + 20) ** 0.8,
        }
    )


def _visits(
    n_users: int, most: int, events: float, basket: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw how many events each user has, and the visits they fall into.

    Returns
    -------
    int64 arrays (n,): user, ascending; position of the first event of the visit; minute from the start of the year
    """
    spread = 1.1
    extra = rng.lognormal(np.log(events - FEWEST + 0.5) - spread**2 / 2, spread, n_users).astype(np.int64)
    user = np.repeat(np.arange(n_users), np.minimum(FEWEST + extra, most))
    new = np.concatenate([[True], np.diff(user) > 0]) | (rng.random(len(user)) < 1 / basket)
    owner, since = user[new], rng.uniform(0, 0.6, n_users)
    moment = since[owner] + (1 - since[owner]) * rng.random(len(owner))
    moment = moment[np.lexsort((moment, owner))]
    visit = np.cumsum(new) - 1
    return user, np.flatnonzero(new)[visit], (moment * MINUTES).astype(np.int64)[visit]


def _walk(
    items: pd.DataFrame,
    user: np.ndarray,
    first: np.ndarray,
    month: np.ndarray,
    chances: tuple[float, float, float],
    rng: np.random.Generator,
) -> np.ndarray:
    """Let all users take one item after the other.

    Parameters
    ----------
    user, first, month : int64 arrays (n,), as ``_visits`` gives them, and 0 to 11.
    chances : of a sequel; spread of the seasons; of taking again.

    Returns
    -------
    int64 array (n,), number of the item; -1 where nothing was found that the user has not had
    """
    follows, season, repeats = chances
    chance, sequels, n = _tastes(items, season, rng), _sequels(items, rng), len(user)
    begin = np.searchsorted(user, np.arange(user[-1] + 2))
    likes = rng.integers(KINDS, size=(len(begin) - 1, 2))
    row = likes[user, (rng.random(n) < SECOND_TASTE).astype(np.int64)] * 12 + month
    last_visit, which = _between(first[first - 1], first, rng), rng.choice(len(SEQUELS), n, p=SEQUELS)
    any_visit, later = _between(begin[user], first, rng), first > begin[user]
    is_sequel, is_repeat = later & (rng.random(n) < follows), later & (rng.random(n) < repeats)
    taken, had = np.full(n, -1), np.zeros((len(begin) - 1, len(items)), dtype=bool)
    for step in range(np.diff(begin).max()):
        here = begin[:-1][np.diff(begin) > step] + step
        follower = sequels[taken[last_visit[here]], which[here]]
        item = np.where(is_sequel[here], follower, _drawn(chance, row[here], rng))
        for _ in range(TRIES):
            again = np.flatnonzero(had[user[here], item])
            item[again] = _drawn(chance, row[here[again]], rng)
        item = np.where(had[user[here], item], -1, item)
        item = np.where(is_repeat[here], taken[any_visit[here]], item)
        taken[here] = item
        had[user[here[item >= 0]], item[item >= 0]] = True
    return taken


def _between(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw whole numbers from ``low`` to below ``high``."""
    return low + (rng.random(len(low)) * (high - low)).astype(np.int64)


def _tastes(items: pd.DataFrame, season: float, rng: np.random.Generator) -> np.ndarray:
    """Return the chance of each item for a kind of shopper in a month, summed up, row after row.

    Returns
    -------
    float64 array (KINDS * 12 * n_items,); row r, of kind r // 12 and month r % 12, rises from r to r + 1
    """
    category, brand = items["category"].to_numpy(), items["brand"].to_numpy()
    likes = rng.normal(0, 1.2, (KINDS, len(NOUNS)))[:, category] + rng.normal(0, 0.8, (KINDS, len(BRANDS)))[:, brand]
    best = rng.integers(12, size=len(NOUNS))
    sells = 1.2 * season * np.cos(2 * np.pi * (np.arange(12)[:, None] - best[category]) / 12)
    chance = items["popularity"].to_numpy() * np.exp(likes[:, None] + sells)
    rows = np.cumsum(chance / chance.sum(-1, keepdims=True), axis=-1).reshape(KINDS * 12, -1)
    return (rows + np.arange(KINDS * 12)[:, None]).ravel()


def _sequels(items: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Draw what comes after each item, mostly of the same brand and of one other category; int64 (n_items, 6)."""
    category, brand = items["category"].to_numpy(), items["brand"].to_numpy()
    then = np.roll(rng.permutation(len(NOUNS)), 1)
    weight = np.log(items["popularity"].to_numpy()) / 2 + 3.0 * (category == then[category][:, None])
    weight = weight + 2.0 * (brand == brand[:, None])
    np.fill_diagonal(weight, -np.inf)
    return np.argsort(-(weight + rng.gumbel(size=weight.shape)), axis=1)[:, : len(SEQUELS)]


def _drawn(chance: np.ndarray, row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an item from each of the rows of ``chance``; int64 (len(row),)."""
    found = np.searchsorted(chance, row + rng.random(len(row)), side="right") - row * (len(chance) // (KINDS * 12))
    return np.minimum(found, len(chance) // (KINDS * 12) - 1)
