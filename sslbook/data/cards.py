"""Simulated card payments: holders with habits, merchants, and four kinds of fraud of graded difficulty.

A holder has *routines*: a category of merchant, a place, weekdays, an hour, an amount, a weekly rate and a favourite
merchant. Fraud is laid over the holder's own payments, which go on. What the generator is told to make hard stays
hard: the account takeover uses another holder's real payments, with amounts moved to the victim's own, so that each
field alone looks like the victim and only the combination does not.
"""

import numpy as np
import pandas as pd

from .card import simulated_card
from .errors import DataError
from .transactions import Transactions

# category, where, weekdays (Monday first), hour, its spread, median euros, payments a week, share of holders
ROUTINES = (
    ("groceries", "home", "1111100", 18.0, 1.2, 27, 1.6, 0.70),
    ("groceries", "home", "0000010", 11.0, 1.5, 72, 0.8, 0.60),
    ("bakery", "home", "1111111", 7.5, 0.7, 5, 2.2, 0.35),
    ("bakery", "work", "1111100", 8.6, 0.5, 4, 3.0, 0.35),
    ("restaurant", "work", "1111100", 12.4, 0.5, 11, 2.4, 0.40),
    ("restaurant", "home", "0000110", 20.0, 1.0, 46, 0.6, 0.45),
    ("bar", "home", "0000111", 22.8, 1.2, 19, 0.7, 0.25),
    ("fuel", "work", "1111100", 7.3, 0.8, 54, 0.7, 0.30),
    ("fuel", "home", "0000011", 15.0, 2.5, 58, 0.4, 0.30),
    ("transport", "home", "1111100", 7.2, 0.6, 3, 3.0, 0.30),
    ("transport", "work", "1111100", 17.6, 0.8, 3, 2.5, 0.25),
    ("transport", "home", "0000110", 1.0, 1.0, 18, 0.3, 0.20),
    ("online_retail", "online", "1111111", 20.8, 1.5, 38, 0.8, 0.55),
    ("online_retail", "online", "1111100", 13.0, 1.0, 30, 0.5, 0.25),
    ("digital", "online", "1111111", 22.0, 1.8, 9, 0.9, 0.35),
    ("digital", "online", "1111111", 4.0, 0.3, 12, 0.25, 0.55),
    ("pharmacy", "home", "1111110", 14.0, 3.0, 17, 0.3, 0.40),
    ("clothing", "home", "0000010", 15.0, 1.8, 58, 0.4, 0.40),
    ("electronics", "online", "1111111", 20.0, 2.5, 170, 0.08, 0.35),
    ("home", "home", "0000011", 12.0, 2.0, 49, 0.4, 0.30),
    ("leisure", "home", "1111100", 18.8, 0.9, 14, 0.9, 0.30),
    ("leisure", "home", "0000011", 16.0, 2.0, 32, 0.5, 0.35),
    ("travel", "online", "1111111", 21.0, 2.0, 240, 0.05, 0.40),
    ("cash", "home", "1111110", 13.0, 3.0, 90, 0.4, 0.45),
    ("luxury", "home", "0000010", 15.5, 1.5, 260, 0.03, 0.15),
)
CATEGORIES = tuple(dict.fromkeys(r[0] for r in ROUTINES))
REGIONS = 24  # and one for payments online
KINDS = ("large_amount", "compromised_merchant", "takeover", "slow_testing")
WARM_UP = 30  # days without fraud, so that every holder has a history
START = pd.Timestamp("2025-01-06")  # a Monday


def simulate_card_payments(
    n_cards: int = 5000, days: int = 180, seed: int = 0, prevalence: float = 0.2, difficulty: float = 1.0,
    nuisance: float = 1.0, label_delay: float = 7.0, signal: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Draw card payments with frauds.

    Parameters
    ----------
    n_cards, days : 5,000 cards and 180 days give about 1.3 million payments.
    seed : the same seed draws the same table.
    prevalence : share of the cards that suffer one fraud, between day 30 and the end. Real portfolios have far fewer;
        more are drawn so that a test has enough of them to measure with.
    difficulty : above 0; smaller makes frauds stand out more from the habits of their victims.
    nuisance : trips, changes of habit and unusual payments of honest holders; 0 leaves them out.
    label_delay : days; a fraud is reported at a random time within so many days.
    signal : False draws no fraudulent payments and puts as many labels on honest ones at random.

    Returns
    -------
    DataFrame in time order: time, card, amount (euros), category, region, merchant, fraud (0 or 1), kind ("" or one
    of `KINDS`), reported (time the fraud is known, or missing).

    Raises
    ------
    DataError : too few cards or days, or a knob out of range.
    """
    if n_cards < 50 or days < WARM_UP + 15:
        raise DataError(f"n_cards is {n_cards} and days {days}; draw at least 50 cards and {WARM_UP + 15} days.")
    if not (0 < prevalence <= 0.5 and difficulty > 0 and nuisance >= 0 and label_delay >= 0):  # NaN fails, too
        raise DataError(
            f"prevalence is {prevalence}, difficulty {difficulty}, nuisance {nuisance}, label_delay {label_delay}; "
            "give a prevalence in (0, 0.5], a difficulty above 0, and the others not below 0."
        )
    rng = np.random.default_rng(seed)
    habits = _habits(rng, n_cards, days, nuisance)
    honest = _payments(rng, habits, days)
    honest = _trips(rng, honest, n_cards, days, nuisance)
    victims = _episodes(rng, n_cards, days, prevalence)
    if signal:
        frauds = [
            kind(rng, honest, victims[victims["kind"] == name], days, difficulty)
            for name, kind in zip(KINDS, (_large_amount, _compromised_merchant, _takeover, _slow_testing), strict=True)
        ]
        table = pd.concat([honest.assign(fraud=0, kind=""), *frauds], ignore_index=True)
    else:
        table = _random_labels(honest, victims)
    return _finish(rng, table, days, label_delay)


def simulate_cards(validation: float = 0.0, test: float = 0.35, **knobs) -> Transactions:
    """Draw card payments as a container; the gap between training and test is the label delay.

    Parameters
    ----------
    validation, test : shares of the payments, at the end.
    knobs : of ``simulate_card_payments``.
    """
    payments = simulate_card_payments(**knobs)
    return Transactions.from_frame(
        payments, time="time", label="fraud", entity="card", numeric=["amount"], categorical=["category", "region"],
        validation=validation, test=test, delay=f"{knobs.get('label_delay', 7.0)}D", card=simulated_card(
            "cards", "Simulated card payments", "sslbook.data.cards",
            ("Drawn by a program: habits and frauds are as regular as its author made them.",
             "Far more cards suffer a fraud than in a real portfolio, so that there is something to measure with."),
        ),
    )  # fmt: skip


def _habits(rng: np.random.Generator, n_cards: int, days: int, nuisance: float) -> pd.DataFrame:
    """One row per routine of a holder, with the days between which it is lived."""
    n = len(ROUTINES)
    share = np.array([r[7] for r in ROUTINES])
    has = rng.random((n_cards, n)) < share
    has[~has.any(axis=1), 0] = True
    moves = (rng.random(n_cards) < 0.12 * nuisance)[:, None]  # these change half of their routines on one day
    change = np.where(moves, rng.uniform(WARM_UP, days, (n_cards, 1)), days)
    later = moves & ~has & (rng.random((n_cards, n)) < share)
    rare = ~has & ~later & (rng.random((n_cards, n)) < 0.06 * nuisance)
    given_up = np.where(rng.random((n_cards, n)) < 0.5, days, change)
    home, work = rng.integers(REGIONS, size=(2, n_cards))
    wealth, clock, activity = rng.normal(0, 0.35, n_cards), rng.normal(0, 0.8, n_cards), rng.lognormal(0, 0.4, n_cards)
    card, routine = np.nonzero(has | later | rare)
    at, m = (card, routine), len(card)
    habits = pd.DataFrame({
        "card": card, "thin": np.where(rare[at], 0.15, 1.0),
        "begin": np.where(later[at], change[card, 0], 0), "end": np.where(has[at], given_up[at], days),
    })  # fmt: skip
    where = np.array([("home", "work", "online").index(r[1]) for r in ROUTINES])[routine]
    region = np.choose(where, [home[card], work[card], np.full(m, REGIONS)])
    weekdays = np.array([[int(d) for d in r[2]] for r in ROUTINES])[routine] * (rng.random((m, 7)) < 0.7)
    empty = ~weekdays.any(axis=1)
    weekdays[empty] = np.array([[int(d) for d in r[2]] for r in ROUTINES])[routine[empty]]
    category = np.array([CATEGORIES.index(r[0]) for r in ROUTINES])[routine]
    return habits.assign(
        category=category, region=region, weekdays=list(weekdays),
        hour=np.array([r[3] for r in ROUTINES])[routine] + clock[card] + rng.normal(0, 0.8, m),
        hour_spread=np.array([r[4] for r in ROUTINES])[routine] * rng.uniform(0.3, 0.9, m),
        log_amount=np.log([r[5] for r in ROUTINES])[routine] + wealth[card] + rng.normal(0, 0.25, m),
        amount_spread=rng.uniform(0.12, 0.45, m),
        rate=np.array([r[6] for r in ROUTINES])[routine] * activity[card] * rng.lognormal(0, 0.3, m) * habits["thin"],
        favourite=_merchant(rng, category, region),
    )  # fmt: skip


def _merchant(rng: np.random.Generator, category: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Draw a merchant: 40 of each category in each region, the first ones more popular."""
    rank = np.minimum(rng.geometric(0.08, len(category)) - 1, 39)
    return (category * (REGIONS + 1) + region) * 40 + rank


def _payments(rng: np.random.Generator, habits: pd.DataFrame, days: int) -> pd.DataFrame:
    """The honest payments of all routines; `time` is in days since the start."""
    weekdays = np.stack(habits["weekdays"])
    # Whole weeks are drawn, and cut to the days of the habit afterwards.
    first = np.floor(habits["begin"].to_numpy() / 7)
    weeks = np.ceil(habits["end"].to_numpy() / 7) - first
    count = rng.poisson(habits["rate"].to_numpy() * weeks)
    row = np.repeat(np.arange(len(habits)), count)
    drawn = habits.drop(columns=["weekdays", "thin", "rate"]).iloc[row].reset_index(drop=True)
    week = first[row] + np.floor(rng.random(len(row)) * weeks[row])
    cumulative = weekdays.cumsum(axis=1)
    weekday = (rng.random(len(row)) * cumulative[row, -1])[:, None] >= cumulative[row]
    hour = drawn["hour"] + drawn["hour_spread"] * rng.normal(size=len(row))
    time = week * 7 + weekday.sum(axis=1) + hour / 24
    other = rng.random(len(row)) < 0.3
    merchant = np.where(
        other, _merchant(rng, drawn["category"].to_numpy(), drawn["region"].to_numpy()), drawn["favourite"]
    )
    amount = np.exp(drawn["log_amount"] + drawn["amount_spread"] * rng.normal(size=len(row)))
    payments = drawn[["card", "category", "region"]].assign(time=time, amount=amount, merchant=merchant)
    payments = payments[(time >= drawn["begin"]) & (time < drawn["end"])]
    return payments.sort_values(["card", "time"], ignore_index=True)


def _trips(rng: np.random.Generator, honest: pd.DataFrame, n_cards: int, days: int, nuisance: float) -> pd.DataFrame:
    """Move the payments of travelling holders elsewhere, at other hours and prices."""
    begin = np.where(rng.random(n_cards) < 0.5 * nuisance, rng.uniform(0, days, n_cards), np.inf)
    end, place = begin + rng.uniform(3, 12, n_cards), rng.integers(REGIONS, size=n_cards)
    card, time = honest["card"].to_numpy(), honest["time"].to_numpy()
    away = (time >= begin[card]) & (time < end[card]) & (honest["region"].to_numpy() < REGIONS)
    region = np.where(away, place[card], honest["region"])
    category = np.where(
        away & (rng.random(len(honest)) < 0.4), CATEGORIES.index("restaurant"), honest["category"].to_numpy()
    )
    hour = time % 1 + rng.normal(0, 2.5 / 24, len(time))
    shifted = np.floor(time) + np.where((hour > 0.3) & (hour < 0.99), hour, rng.uniform(0.3, 0.99, len(time)))
    merchant = np.where(away, _merchant(rng, category, region), honest["merchant"])
    amount = honest["amount"] * np.where(away, rng.lognormal(0.25, 0.3, len(honest)), 1)
    time = np.where(away, shifted, time)
    moved = honest.assign(region=region, category=category, merchant=merchant, amount=amount, time=time)
    return moved.sort_values(["card", "time"], ignore_index=True)


def _episodes(rng: np.random.Generator, n_cards: int, days: int, prevalence: float) -> pd.DataFrame:
    """Which cards suffer a fraud, of which kind, from which day on."""
    victims = rng.choice(n_cards, max(len(KINDS), round(prevalence * n_cards)), replace=False)
    return pd.DataFrame({
        "card": victims, "kind": np.array(KINDS)[np.arange(len(victims)) % len(KINDS)],
        "begin": rng.uniform(WARM_UP, days - 3, len(victims)),
    })  # fmt: skip


def _fraud(kind: str, **columns) -> pd.DataFrame:
    return pd.DataFrame(columns).assign(fraud=1, kind=kind)


def _large_amount(rng, honest: pd.DataFrame, victims: pd.DataFrame, days: int, difficulty: float) -> pd.DataFrame:
    """One to four expensive purchases within a day, at hours of the day shops are open."""
    row = np.repeat(np.arange(len(victims)), 1 + np.minimum(rng.poisson(1, len(victims)), 3))
    wanted = [CATEGORIES.index(c) for c in ("electronics", "luxury", "online_retail", "clothing", "travel")]
    category = rng.choice(wanted, len(row))
    online = rng.random(len(row)) < 0.6
    region = np.where(online, REGIONS, rng.integers(REGIONS, size=len(row)))
    time = np.floor(victims["begin"].to_numpy()[row]) + rng.uniform(8, 23.5, len(row)) / 24
    amount = rng.lognormal(np.log(90 + 260 / difficulty), 0.5, len(row))
    return _fraud("large_amount", card=victims["card"].to_numpy()[row], category=category, region=region, time=time,
                  amount=amount, merchant=_merchant(rng, category, region))  # fmt: skip


def _compromised_merchant(
    rng, honest: pd.DataFrame, victims: pd.DataFrame, days: int, difficulty: float
) -> pd.DataFrame:
    """A merchant of the holder's last days charges the card again, a few times within a day or two."""
    first = honest["card"].searchsorted(victims["card"])
    last = honest["card"].searchsorted(victims["card"], side="right")
    card_time = honest["time"].to_numpy()
    parts = []
    for card, begin, lo, hi in zip(victims["card"], victims["begin"], first, last, strict=True):
        away = np.abs(card_time[lo:hi] - (begin - 2))
        seen = honest.iloc[lo + rng.choice(np.flatnonzero(away <= max(5, away.min())))]
        n = 2 + rng.poisson(1.5 / difficulty)
        time = max(seen["time"], begin - 1, WARM_UP) + np.cumsum(rng.exponential(0.35 * difficulty, n))
        parts.append(_fraud("compromised_merchant", card=card, category=seen["category"], region=seen["region"],
                            time=time, amount=seen["amount"] * rng.lognormal(0, 0.2, n),
                            merchant=seen["merchant"]))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _takeover(rng, honest: pd.DataFrame, victims: pd.DataFrame, days: int, difficulty: float) -> pd.DataFrame:
    """Somebody else lives from the account for two to five days: another holder's payments, the victim's amounts."""
    n_cards = honest["card"].iloc[-1] + 1
    bounds = honest["card"].searchsorted(np.arange(n_cards + 1))
    home = honest[honest["region"] < REGIONS].groupby("card")["region"].agg(lambda r: r.mode().iloc[0])
    time, parts = honest["time"].to_numpy(), []
    for card, begin in zip(victims["card"], victims["begin"], strict=True):
        end, lived = begin + rng.uniform(2, 5), np.array([], dtype=int)
        while len(lived) < 2:
            donor = rng.integers(n_cards)
            rows = np.arange(bounds[donor], bounds[donor + 1])
            lived = rows[(time[rows] >= begin) & (time[rows] < end)] if donor != card else lived[:0]
        copied = honest.iloc[lived]
        own = np.sort(honest["amount"].to_numpy()[bounds[card] : bounds[card + 1]])
        rank = copied["amount"].rank(pct=True).to_numpy() * 0.8 + rng.uniform(0, 0.2, len(copied))
        near = (rng.random(len(copied)) < 1 - 0.35 / difficulty) & (copied["region"].to_numpy() < REGIONS)
        region = np.where(near, home.get(card, 0), copied["region"])
        parts.append(_fraud("takeover", card=card, category=copied["category"].to_numpy(), region=region,
                            time=copied["time"].to_numpy(), amount=np.quantile(own, np.clip(rank, 0, 1)),
                            merchant=_merchant(rng, copied["category"].to_numpy(), region)))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def _slow_testing(rng, honest: pd.DataFrame, victims: pd.DataFrame, days: int, difficulty: float) -> pd.DataFrame:
    """Four to eight small payments online, some hours apart, to see whether the card still works."""
    n = 4 + rng.integers(5, size=len(victims))
    row = np.repeat(np.arange(len(victims)), n)
    waited = pd.Series(rng.exponential(0.45 * difficulty, len(row))).groupby(row).cumsum().to_numpy()
    time = victims["begin"].to_numpy()[row] + waited
    wanted = [CATEGORIES.index(c) for c in ("digital", "online_retail", "transport")]
    category = rng.choice(wanted, len(row), p=[0.5, 0.3, 0.2])
    region = np.full(len(row), REGIONS)
    amount = rng.lognormal(np.log(1 + 2.5 * difficulty), 0.6, len(row))
    return _fraud("slow_testing", card=victims["card"].to_numpy()[row], category=category, region=region, time=time,
                  amount=amount, merchant=_merchant(rng, category, region))  # fmt: skip


def _random_labels(honest: pd.DataFrame, victims: pd.DataFrame) -> pd.DataFrame:
    """Call all payments of three days fraud, of as many cards: how much is paid on a day says nothing of its label."""
    begin = np.full(honest["card"].iloc[-1] + 1, np.inf)
    kind = np.full(len(begin), "", dtype=object)
    begin[victims["card"]], kind[victims["card"]] = victims["begin"], victims["kind"]
    since = np.floor(honest["time"].to_numpy()) - np.floor(begin)[honest["card"]]
    fraud = (since >= 0) & (since < 3)
    return honest.assign(fraud=fraud.astype(int), kind=np.where(fraud, kind[honest["card"]], ""))


def _finish(rng: np.random.Generator, table: pd.DataFrame, days: int, label_delay: float) -> pd.DataFrame:
    """Round, name the codes, and put everything in time order."""
    table = table[table["time"] < days].sort_values("time", kind="stable", ignore_index=True)
    time = START + pd.to_timedelta((table["time"] * 86400).round(), unit="s")
    lag = pd.to_timedelta(rng.uniform(0, label_delay * 86400, table["card"].max() + 1).round(), unit="s")
    regions = np.array([f"region_{i:02d}" for i in range(REGIONS)] + ["online"])
    return pd.DataFrame({
        "time": time, "card": table["card"].to_numpy(dtype=int),
        "amount": table["amount"].clip(lower=0.2).round(2),
        "category": pd.Categorical.from_codes(table["category"].astype(int), CATEGORIES),
        "region": pd.Categorical.from_codes(table["region"].astype(int), regions),
        "merchant": table["merchant"].to_numpy(dtype=int), "fraud": table["fraud"].to_numpy(),
        "kind": pd.Categorical(table["kind"], ["", *KINDS]),
        "reported": (time + lag[table["card"]]).where(table["fraud"] == 1),
    })  # fmt: skip
