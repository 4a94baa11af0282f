"""Simulated fraud: payments of card holders with habits, card transactions as components, and insurance claims.

In each, what gives a fraud away can be weakened or removed; everything else is drawn alike for frauds and honest rows.
"""

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.decomposition import PCA

from sslbook.data.card import simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.fraud.data import COMPONENTS, LEGITIMATE, Transactions, cut_creditcard

# What a holder may do: weekdays from Monday, hour and its spread, median euros, payments a week, share of holders.
ROUTINES = pd.DataFrame(
    [
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
    ],
    columns=["category", "where", "weekdays", "hour", "hour_spread", "euros", "rate", "share"],
)
CATEGORIES = tuple(ROUTINES["category"].unique())
REGIONS = 24  # and one for payments online
KINDS = ("large_amount", "compromised_merchant", "takeover", "slow_testing")
WARM_UP = 30  # days without fraud, so that every holder has a history
START = pd.Timestamp("2025-01-06")  # a Monday


def simulate_card_payments(
    n_cards: int = 5000, days: int = 180, seed: int = 0, prevalence: float = 0.2, difficulty: float = 1.0,
    nuisance: float = 1.0, label_delay: float = 7.0, signal: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Draw card payments; frauds are laid over the holders' own payments, which go on.

    Parameters
    ----------
    n_cards, days, seed : 5,000 cards and 180 days give about 1.3 million payments; the same seed draws the same.
    prevalence : share of the cards that suffer one fraud, after day 30; far above real ones, to measure with.
    difficulty : above 0; smaller makes frauds stand out more from the habits of their victims.
    nuisance : trips, changes of habit and unusual payments of honest holders; 0 leaves them out.
    label_delay : days; a fraud is reported at a random time within so many days.
    signal : False draws no fraudulent payments and puts as many labels on honest ones at random.

    Returns
    -------
    DataFrame in time order: time, card, amount (euros), category, region, merchant, fraud (0 or 1), kind ("" or one
    of ``KINDS``), reported (time the fraud is known, or missing)

    Raises
    ------
    DataError : too few cards or days, or a knob out of range.
    """
    if n_cards < 50 or days < WARM_UP + 15:
        raise DataError(f"n_cards is {n_cards} and days {days}; draw at least 50 cards and {WARM_UP + 15} days.")
    if not (0 < prevalence <= 0.5 and label_delay >= 0):  # NaN fails, too
        raise DataError(
            f"prevalence is {prevalence} and label_delay {label_delay}; give one in (0, 0.5] and one not below 0."
        )
    _check(difficulty, nuisance)
    rng = np.random.default_rng(seed)
    honest = _trips(rng, _payments(rng, *_habits(rng, n_cards, days, nuisance)), n_cards, days, nuisance)
    cards = rng.choice(n_cards, max(len(KINDS), round(prevalence * n_cards)), replace=False)
    kinds, begin = np.resize(KINDS, len(cards)), rng.uniform(WARM_UP, days - 3, len(cards))
    victims = pd.DataFrame({"card": cards, "kind": kinds, "begin": begin})
    if signal:
        parts = [honest.assign(fraud=0, kind="")]
        for kind, draw in zip(KINDS, (_large_amount, _compromised_merchant, _takeover, _slow_testing), strict=True):
            parts.append(draw(rng, honest, victims[victims["kind"] == kind], difficulty).assign(fraud=1, kind=kind))
        table = pd.concat(parts, ignore_index=True)
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
    problems = (
        "Drawn by a program: habits and frauds are as regular as its author made them.",
        "Far more cards suffer a fraud than in a real portfolio, so that there is something to measure with.",
    )
    return Transactions.from_frame(
        simulate_card_payments(**knobs), time="time", label="fraud", entity="card",
        numeric=["amount"], categorical=["category", "region"],
        validation=validation, test=test, delay=f"{knobs.get('label_delay', 7.0)}D",
        data_card=simulated_data_card("cards", "Simulated card payments", "sslbook.worlds.fraud", problems),
    )  # fmt: skip


def _check(difficulty: float, nuisance: float) -> None:
    if not (difficulty > 0 and nuisance >= 0):
        raise DataError(f"difficulty is {difficulty} and nuisance {nuisance}; give one above 0 and one not below 0.")


def _habits(rng: np.random.Generator, n_cards: int, days: int, nuisance: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row per routine of a holder, with the days it begins and ends, and its weekdays, bool (n, 7)."""
    size, share = (n_cards, len(ROUTINES)), ROUTINES["share"].to_numpy()
    has = rng.random(size) < share
    has[~has.any(axis=1), 0] = True
    moves = rng.random((n_cards, 1)) < 0.12 * nuisance  # these change half of their routines on one day
    change = np.where(moves, rng.uniform(WARM_UP, days, (n_cards, 1)), days)
    later = moves & ~has & (rng.random(size) < share)
    rare = ~has & ~later & (rng.random(size) < 0.06 * nuisance)
    begin = np.where(later, change, 0)
    end = np.where(has & (rng.random(size) >= 0.5), change, days)
    home, work = rng.integers(REGIONS, size=(2, n_cards))
    wealth, clock, activity = rng.normal(0, 0.35, n_cards), rng.normal(0, 0.8, n_cards), rng.lognormal(0, 0.4, n_cards)
    card, routine = at = np.nonzero(has | later | rare)
    usually, n = ROUTINES.iloc[routine].reset_index(drop=True), len(card)
    region = np.select([usually["where"] == "home", usually["where"] == "work"], [home[card], work[card]], REGIONS)
    category = pd.Categorical(usually["category"], CATEGORIES).codes.astype(np.int64)
    lived = np.array([list(weekdays) for weekdays in ROUTINES["weekdays"]])[routine] == "1"
    weekdays = lived & (rng.random((n, 7)) < 0.7)
    habits = pd.DataFrame({
        "card": card, "begin": begin[at], "end": end[at], "category": category, "region": region,
        "hour": usually["hour"] + clock[card] + rng.normal(0, 0.8, n),
        "hour_spread": usually["hour_spread"] * rng.uniform(0.3, 0.9, n),
        "log_amount": np.log(usually["euros"]) + wealth[card] + rng.normal(0, 0.25, n),
        "amount_spread": rng.uniform(0.12, 0.45, n),
        "rate": usually["rate"] * activity[card] * rng.lognormal(0, 0.3, n) * np.where(rare[at], 0.15, 1),
        "merchant": _merchant(rng, category, region),
    })  # fmt: skip
    return habits, np.where(weekdays.any(axis=1, keepdims=True), weekdays, lived)


def _merchant(rng: np.random.Generator, category: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Draw merchants: there are 40 of each category in each region, the first ones more popular."""
    rank = np.minimum(rng.geometric(0.08, len(category)) - 1, 39)
    return (category * (REGIONS + 1) + region) * 40 + rank


def _payments(rng: np.random.Generator, habits: pd.DataFrame, weekdays: np.ndarray) -> pd.DataFrame:
    """Draw the payments of all habits; time is in days. Whole weeks are drawn, then cut to the days of the habit."""
    first = np.floor(habits["begin"] / 7)
    weeks = np.ceil(habits["end"] / 7) - first
    row = np.repeat(np.arange(len(habits)), rng.poisson(habits["rate"] * weeks))
    drawn, n = habits.iloc[row].reset_index(drop=True), len(row)
    week = first.to_numpy()[row] + np.floor(rng.random(n) * weeks.to_numpy()[row])
    so_far = weekdays.cumsum(axis=1)[row]
    weekday = ((rng.random(n) * so_far[:, -1])[:, None] >= so_far).sum(axis=1)
    time = week * 7 + weekday + (drawn["hour"] + drawn["hour_spread"] * rng.normal(size=n)) / 24
    elsewhere = rng.random(n) < 0.3
    merchant = np.where(elsewhere, _merchant(rng, drawn["category"], drawn["region"]), drawn["merchant"])
    amount = np.exp(drawn["log_amount"] + drawn["amount_spread"] * rng.normal(size=n))
    payments = drawn[["card", "category", "region"]].assign(time=time, amount=amount, merchant=merchant)
    lived = (time >= drawn["begin"]) & (time < drawn["end"])
    return payments[lived].sort_values(["card", "time"], ignore_index=True)


def _trips(rng: np.random.Generator, honest: pd.DataFrame, n_cards: int, days: int, nuisance: float) -> pd.DataFrame:
    """Move the payments of travelling holders elsewhere, to other hours and prices."""
    begin = np.where(rng.random(n_cards) < 0.5 * nuisance, rng.uniform(0, days, n_cards), np.inf)
    end, place = begin + rng.uniform(3, 12, n_cards), rng.integers(REGIONS, size=n_cards)
    card, time, n = honest["card"], honest["time"].to_numpy(), len(honest)
    away = (time >= begin[card]) & (time < end[card]) & (honest["region"].to_numpy() < REGIONS)
    region = np.where(away, place[card], honest["region"])
    category = np.where(away & (rng.random(n) < 0.4), CATEGORIES.index("restaurant"), honest["category"])
    hour, awake = time % 1 + rng.normal(0, 2.5 / 24, n), rng.uniform(0.3, 0.99, n)
    shifted = np.floor(time) + np.where((hour > 0.3) & (hour < 0.99), hour, awake)
    merchant = np.where(away, _merchant(rng, category, region), honest["merchant"])
    amount = honest["amount"] * np.where(away, rng.lognormal(0.25, 0.3, n), 1)
    time = np.where(away, shifted, time)
    moved = honest.assign(region=region, category=category, merchant=merchant, amount=amount, time=time)
    return moved.sort_values(["card", "time"], ignore_index=True)


def _large_amount(rng, honest: pd.DataFrame, victims: pd.DataFrame, difficulty: float) -> pd.DataFrame:
    """One to four expensive purchases within a day, at hours of the day shops are open."""
    victims = victims.loc[victims.index.repeat(1 + np.minimum(rng.poisson(1, len(victims)), 3))]
    n = len(victims)
    wanted = [CATEGORIES.index(name) for name in ("electronics", "luxury", "online_retail", "clothing", "travel")]
    category = rng.choice(wanted, n)
    online = rng.random(n) < 0.6
    region = np.where(online, REGIONS, rng.integers(REGIONS, size=n))
    time = np.floor(victims["begin"]) + rng.uniform(8, 23.5, n) / 24
    amount = rng.lognormal(np.log(90 + 260 / difficulty), 0.5, n)
    merchant = _merchant(rng, category, region)
    return victims[["card"]].assign(category=category, region=region, time=time, amount=amount, merchant=merchant)


def _slow_testing(rng, honest: pd.DataFrame, victims: pd.DataFrame, difficulty: float) -> pd.DataFrame:
    """Four to eight small payments online, some hours apart, to see whether the card still works."""
    victims = victims.loc[victims.index.repeat(4 + rng.integers(5, size=len(victims)))]
    n = len(victims)
    waited = pd.Series(rng.exponential(0.45 * difficulty, n), victims.index).groupby(level=0).cumsum()
    wanted = [CATEGORIES.index(name) for name in ("digital", "online_retail", "transport")]
    category = rng.choice(wanted, n, p=[0.5, 0.3, 0.2])
    amount = rng.lognormal(np.log(1 + 2.5 * difficulty), 0.6, n)
    merchant, time = _merchant(rng, category, REGIONS), victims["begin"] + waited
    return victims[["card"]].assign(category=category, region=REGIONS, time=time, amount=amount, merchant=merchant)


def _compromised_merchant(rng, honest: pd.DataFrame, victims: pd.DataFrame, difficulty: float) -> pd.DataFrame:
    """A merchant of the holder's last days charges the card again, a few times within a day or two."""
    bounds, parts = honest["card"].searchsorted(np.arange(honest["card"].iloc[-1] + 2)), []
    for card, begin in zip(victims["card"], victims["begin"], strict=True):
        own = honest.iloc[bounds[card] : bounds[card + 1]]
        away = (own["time"] - (begin - 2)).abs()
        seen = own.iloc[rng.choice(np.flatnonzero(away <= max(5, away.min())))]
        n = 2 + rng.poisson(1.5 / difficulty)
        time = max(seen["time"], begin - 1, WARM_UP) + np.cumsum(rng.exponential(0.35 * difficulty, n))
        parts.append(pd.DataFrame({**seen, "time": time, "amount": seen["amount"] * rng.lognormal(0, 0.2, n)}))
    return pd.concat(parts)


def _takeover(rng, honest: pd.DataFrame, victims: pd.DataFrame, difficulty: float) -> pd.DataFrame:
    """Somebody lives from the account for days: another holder's payments, with amounts like the victim's own.

    Each field alone looks like the victim; only the combination does not.
    """
    bounds, parts = honest["card"].searchsorted(np.arange(honest["card"].iloc[-1] + 2)), []
    home = honest[honest["region"] < REGIONS].groupby("card")["region"].agg(lambda region: region.mode().iloc[0])
    for card, begin in zip(victims["card"], victims["begin"], strict=True):
        end, lived = begin + rng.uniform(2, 5), honest.iloc[:0]
        while len(lived) < 2:
            donor = rng.integers(len(bounds) - 1)
            lived = honest.iloc[bounds[donor] : bounds[donor + 1]]
            lived = lived[lived["time"].between(begin, end, inclusive="left") & (donor != card)]
        rank = lived["amount"].rank(pct=True) * 0.8 + rng.uniform(0, 0.2, len(lived))
        amount = np.quantile(honest["amount"].iloc[bounds[card] : bounds[card + 1]], np.clip(rank, 0, 1))
        near = (rng.random(len(lived)) < 1 - 0.35 / difficulty) & (lived["region"] < REGIONS)
        region = np.where(near, home.get(card, 0), lived["region"])
        merchant = _merchant(rng, lived["category"], region)
        parts.append(lived.assign(card=card, region=region, amount=amount, merchant=merchant))
    return pd.concat(parts)


def _random_labels(honest: pd.DataFrame, victims: pd.DataFrame) -> pd.DataFrame:
    """Call all payments of three days fraud, of as many cards: how much is paid on a day says nothing of its label."""
    victims = victims.set_index("card").reindex(honest["card"]).reset_index(drop=True)
    since = np.floor(honest["time"]) - np.floor(victims["begin"])
    fraud = (since >= 0) & (since < 3)
    return honest.assign(fraud=fraud.astype(int), kind=victims["kind"].where(fraud, ""))


def _finish(rng: np.random.Generator, table: pd.DataFrame, days: int, label_delay: float) -> pd.DataFrame:
    """Round, name the codes, and put everything in time order."""
    table = table[table["time"] < days].sort_values("time", kind="stable", ignore_index=True)
    table = table.astype({"card": int, "category": int, "region": int, "merchant": int})
    lag = pd.to_timedelta(rng.uniform(0, label_delay * 86400, table["card"].max() + 1).round(), unit="s")
    time = START + pd.to_timedelta((table["time"] * 86400).round(), unit="s")
    regions = [*(f"region_{i:02d}" for i in range(REGIONS)), "online"]
    table = table.assign(
        time=time,
        amount=table["amount"].clip(lower=0.2).round(2),
        category=pd.Categorical.from_codes(table["category"], CATEGORIES),
        region=pd.Categorical.from_codes(table["region"], regions),
        kind=pd.Categorical(table["kind"], ["", *KINDS]),
        reported=(time + lag[table["card"]]).where(table["fraud"] == 1),
    )
    return table[["time", "card", "amount", "category", "region", "merchant", "fraud", "kind", "reported"]]


SPREAD = np.geomspace(1.94, 0.32, 28)  # standard deviations of V1 to V28, about as real
STRENGTHS = np.array([10.0, 5.0, 2.5, 0.7])  # of four kinds of fraud, from gross to nearly hidden
SHARES = (0.4, 0.28, 0.17, 0.15)  # of the frauds, of each of these kinds


def simulate_creditcard(n: int = 16_000, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0) -> Transactions:
    """Draw the stand-in of the credit-card transactions, cut and weighted as the real ones, by ``creditcard_table``."""
    title = "Stand-in for the credit-card transactions: drawn components"
    problem = "Drawn by a formula: a number measured on it says nothing about real cards."
    data_card = simulated_data_card("creditcard", title, "sslbook.worlds.fraud", (problem,))
    return cut_creditcard(creditcard_table(n, seed, difficulty, nuisance), data_card, LEGITIMATE)


def creditcard_table(n: int = 16_000, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0) -> pd.DataFrame:
    """Draw rows like those of creditcard.csv; 3.1 % are frauds, each of which moves some of the components.

    Parameters
    ----------
    n, seed : at least 1000 rows; the same seed draws the same.
    difficulty : above 0; 0.5 moves frauds twice as far from the legitimate rows, 2 half as far.
    nuisance : how heavy the tails of all components are; 0 draws none.

    Returns
    -------
    DataFrame in time order: Time (s, over two days), V1 to V28, Amount (euros), Class (1 fraud)
    """
    if n < 1000:
        raise DataError(f"n is {n}; draw at least 1,000 rows, so that every split holds frauds.")
    _check(difficulty, nuisance)
    rng, people = np.random.default_rng(seed), np.random.default_rng(2013)  # the same customers whatever the seed
    centres, shapes = people.normal(0, 0.8, (8, 28)), people.lognormal(-0.4, 0.4, (8, 28))
    customer, tails = rng.integers(8, size=n), np.exp(0.4 * nuisance * rng.normal(size=(n, 1)))
    components = PCA(whiten=True).fit_transform(centres[customer] + shapes[customer] * tails * rng.normal(size=(n, 28)))
    moves = people.normal(size=(4, 28)) * (people.random((4, 28)) < 0.3) * STRENGTHS[:, None]
    fraud, kind = rng.permutation(np.arange(n) < round(0.031 * n)), rng.choice(4, n, p=SHARES)
    moved = moves[kind] * rng.lognormal(-0.1, 0.5, (n, 1)) * rng.normal(1, 0.3, (n, 28)) / difficulty
    table = pd.DataFrame((components + moved * fraud[:, None]) * SPREAD, columns=COMPONENTS)
    amount = np.where(fraud & (rng.random(n) < 0.4), 1.0, rng.lognormal(np.log(22), 1.6, n))  # to test a stolen card
    table.insert(0, "Time", np.sort(rng.integers(0, 2 * 86_400, n)).astype(float))
    return table.assign(Amount=amount.clip(max=25_000).round(2), Class=fraud.astype(int))


def simulate_claims(n: int = 6_000, seed: int = 0, signal: bool = True) -> pd.DataFrame:
    """Draw motor insurance claims of 18 months, as a reader might bring their own.

    Fraud depends on what comes together, not on one column: a theft soon after the policy began, some garages with
    high amounts, an injury without a police report, a fourth claim by phone.

    Parameters
    ----------
    n, seed : at least 200 claims, of which 6 % are frauds; the same seed draws the same.
    signal : False draws frauds at random.

    Returns
    -------
    DataFrame in time order: claim_date, policy (some have several claims), amount (euros), days_since_policy_start,
    age, vehicle_age (years; some missing), previous_claims, region, garage (40), claim_type, channel,
    police_report ("yes", "no" or missing), fraud ("yes", "no", or missing where nobody investigated: 30 %)
    """
    if n < 200:
        raise DataError(f"n is {n}; draw at least 200 rows, so that every split holds frauds.")
    rng = np.random.default_rng(seed)
    claims = _claims(rng, n)
    odds = _suspicion(claims) if signal else np.zeros(n)
    constant = brentq(lambda constant: expit(odds + constant).mean() - 0.06, -20, 20)
    claims["fraud"] = np.where(rng.random(n) < expit(odds + constant), "yes", "no")
    for column, share in {"age": 0.03, "vehicle_age": 0.05, "garage": 0.04, "police_report": 0.2, "fraud": 0.3}.items():
        claims[column] = claims[column].mask(rng.random(n) < share)
    return claims


def _claims(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return complete claims in time order, without a label."""
    policies, days, kinds = n * 4 // 5, 548, ["collision", "theft", "glass", "injury", "fire"]
    policy = rng.integers(policies, size=n)
    begin = rng.integers(-1500, days - 30, policies)[policy]
    day = np.floor(rng.uniform(np.maximum(begin, 0), days)).astype(int)
    kind = rng.choice(5, n, p=[0.45, 0.15, 0.25, 0.1, 0.05])
    claims = pd.DataFrame({
        "claim_date": pd.Timestamp("2023-01-01") + pd.to_timedelta(day, unit="D"),
        "policy": [f"P{number:05d}" for number in policy],
        "amount": (np.array([2600, 5200, 600, 4300, 3900])[kind] * rng.lognormal(0, 0.6, n)).round(2),
        "days_since_policy_start": day - begin,
        "age": rng.normal(46, 14, policies).clip(18, 88).round()[policy],
        "vehicle_age": rng.gamma(2, 3.5, policies).clip(0, 25).round()[policy],
        "previous_claims": rng.poisson(0.6, policies)[policy],
        "region": rng.choice(["north", "east", "south", "west", "city"], policies)[policy],
        "garage": [f"G{number:02d}" for number in rng.choice(40, n, p=rng.dirichlet(np.full(40, 6.0)))],
        "claim_type": np.array(kinds)[kind],
        "channel": rng.choice(["app", "phone", "broker"], n, p=[0.5, 0.3, 0.2]),
        "police_report": np.where(rng.random(n) < np.where(kind == 1, 0.8, 0.35), "yes", "no"),
    }).sort_values("claim_date", kind="stable", ignore_index=True)  # fmt: skip
    claims["previous_claims"] += claims.groupby("policy").cumcount()
    return claims


def _suspicion(claims: pd.DataFrame) -> np.ndarray:
    """Return the log-odds of fraud (n,), but for a constant."""
    kind, shady = claims["claim_type"], claims["garage"].isin(["G03", "G11", "G17", "G26", "G34"])
    together = (
        4.0 * ((claims["days_since_policy_start"] < 120) & (kind == "theft"))
        + 4.0 * (shady & (claims["amount"] > 3000))
        + 2.0 * ((kind == "injury") & (claims["police_report"] == "no"))
        + 4.0 * ((claims["previous_claims"] >= 3) & (claims["channel"] == "phone"))
    )
    return together.to_numpy(dtype=float)
