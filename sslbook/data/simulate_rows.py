"""Stand-ins for tables of events: credit-card transactions as components, and insurance claims; `cards` has payments.

As in `sslbook.data.simulate`, the label acts only on the *signal*, which `difficulty` weakens; the rest is drawn alike
for frauds and honest rows. To add a table, write a function that returns a DataFrame and name it in `TABLES`.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from .card import Card, simulated_card
from .cards import simulate_card_payments
from .errors import DataError
from .shop import shop_log
from .tables import Table, table_of
from .transactions import Transactions

COMPONENTS = [f"V{i}" for i in range(1, 29)]
SPREAD = np.linspace(1.94, 0.70, 20).tolist() + np.linspace(0.70, 0.32, 8).tolist()  # of V1 to V28, about as real
LEGITIMATE = 284_315 / 15_347  # real rows for each legitimate row of the sample
FRAUD_SHARE = 0.031  # of the rows of the sample
BY_HOUR = np.array([5, 3, 2, 2, 2, 2, 3, 5, 7, 10, 11, 10, 10, 10, 10, 11, 11, 11, 10, 10, 10, 11, 10, 7.0])
# Kinds of fraud: share of the frauds, and how many standard deviations which components move.
KINDS = (
    (0.40, {3: -4, 4: 3, 7: -5, 9: -3, 10: -6, 11: 4, 12: -7, 14: -9, 16: -6, 17: -11, 18: -3}),
    (0.28, {2: 1.5, 3: -2, 4: 3, 10: -3, 11: 3, 12: -4, 14: -5, 17: -2}),
    (0.17, {1: -1.5, 2: 2, 4: 2, 8: 3, 14: -3, 20: 2, 21: 3, 27: 2}),
    (0.15, {4: 0.8, 11: 0.5, 14: -0.8}),
)


def simulate_creditcard(n: int = 16_000, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0) -> Transactions:
    """Draw the stand-in of the credit-card transactions, cut as the real ones are.

    Parameters
    ----------
    n, seed, difficulty, nuisance : as for `creditcard_table`.

    Returns
    -------
    Transactions of two days, 28 components and Amount; 3.1 % of the rows are frauds, and each legitimate row
    stands for 18.5, as in the sample of the real ones.
    """
    title = "Stand-in for the credit-card transactions: drawn components"
    problem = "Drawn by a formula: a number measured on it says nothing about real cards."
    card = simulated_card("creditcard", title, "sslbook.data.simulate_rows", (problem,))
    return cut_creditcard(creditcard_table(n, seed, difficulty, nuisance), card, LEGITIMATE)


def cut_creditcard(table: pd.DataFrame | Table, card: Card, legitimate: float = 1.0) -> Transactions:
    """Cut a table with the columns of creditcard.csv: the last 40 % are test, labels are known after an hour.

    Parameters
    ----------
    table : columns Time (s), V1 to V28, Amount, Class.
    card : where it is from.
    legitimate : real rows that each legitimate row stands for.
    """
    table = table if isinstance(table, Table) else table_of(table, "The table")
    weight = np.where(table.frame["Class"] == 0, legitimate, 1.0)
    return Transactions.from_frame(
        replace(table, frame=table.frame.assign(weight=weight)),
        time="Time",
        label="Class",
        numeric=[*COMPONENTS, "Amount"],
        weight="weight",
        validation=0,
        test=0.4,
        delay="1h",
        card=card,
    )


def creditcard_table(n: int = 16_000, seed: int = 0, difficulty: float = 1.0, nuisance: float = 1.0) -> pd.DataFrame:
    """Draw rows like those of creditcard.csv.

    Legitimate rows are a mixture of customers with heavy tails, whitened, so that the components are
    uncorrelated as principal components are. Frauds are of four kinds, from gross to nearly hidden.

    Parameters
    ----------
    n : rows, at least 1000.
    seed : the same seed draws the same rows.
    difficulty : above 0; 0.5 moves frauds twice as far from the legitimate rows, 2 half as far.
    nuisance : how heavy the tails of all components are; 0 draws none.

    Returns
    -------
    DataFrame in time order: Time (s, over two days), V1 to V28, Amount (euros), Class (1 fraud)
    """
    _check(n, 1000, difficulty, nuisance)
    rng = np.random.default_rng(seed)
    fraud = rng.permutation(np.arange(n) < round(FRAUD_SHARE * n))
    kind = np.where(fraud, rng.choice(len(KINDS), n, p=[share for share, _ in KINDS]), -1)
    components = _honest_components(rng, n, nuisance) + _moved(rng, kind) / difficulty
    amount = rng.lognormal(np.log(22), 1.6, n)
    tested, looted = rng.random(n) < 0.4, rng.lognormal(np.log(90), 1.0, n)
    amount = np.where((kind >= 0) & (kind < 3), np.where(tested, 1.0, looted), amount)
    hour = rng.choice(24, n, p=BY_HOUR / BY_HOUR.sum()) + rng.random(n)
    time = np.floor((rng.integers(0, 2, n) * 24 + hour) * 3600)
    table = pd.DataFrame(components * SPREAD, columns=COMPONENTS)
    table = table.assign(Amount=amount.clip(max=25_000).round(2), Class=fraud.astype(int))
    table.insert(0, "Time", time)
    return table.sort_values("Time", kind="stable", ignore_index=True)


def _honest_components(rng: np.random.Generator, n: int, nuisance: float) -> np.ndarray:
    """Return (n, 28) uncorrelated components of variance 1: eight kinds of customers, heavy tails."""
    people = np.random.default_rng(2013)  # the same customers whatever the seed
    centres, shapes = people.normal(0, 0.8, (8, 28)), people.lognormal(-0.4, 0.4, (8, 28))
    who = rng.choice(8, n, p=people.dirichlet(np.full(8, 4.0)))
    wide = np.exp(nuisance * 0.3 * rng.normal(size=(n, 1))) * np.where(rng.random((n, 1)) < 0.01 * nuisance, 3, 1)
    rows = centres[who] + shapes[who] * wide * rng.normal(size=(n, 28))
    rows -= rows.mean(axis=0)
    size, axes = np.linalg.eigh(np.cov(rows.T))
    return rows @ (axes / np.sqrt(size)) @ axes.T


def _moved(rng: np.random.Generator, kind: np.ndarray) -> np.ndarray:
    """Return how far each row (n, 28) is moved by its kind of fraud, in standard deviations; 0 where it is none."""
    moves = np.zeros((len(KINDS) + 1, 28))  # the last for kind -1
    for row, (_, shifts) in zip(moves, KINDS, strict=False):
        row[np.array(list(shifts)) - 1] = list(shifts.values())
    return moves[kind] * rng.lognormal(-0.1, 0.5, (len(kind), 1)) * rng.normal(1, 0.3, (len(kind), 28))


def simulate_claims(n: int = 6_000, seed: int = 0, signal: bool = True) -> pd.DataFrame:
    """Draw motor insurance claims of 18 months, as a reader might bring their own.

    Fraud depends on what comes together, not on one column: a theft soon after the policy began, some garages
    with high amounts, an injury without a police report, a third claim by phone.

    Parameters
    ----------
    n : claims, at least 200; 6 % of them are frauds.
    seed : the same seed draws the same claims.
    signal : False draws frauds at random.

    Returns
    -------
    DataFrame in time order: claim_date, policy (some have several claims), amount (euros), days_since_policy_start,
    age, vehicle_age (years; some missing), previous_claims, region, garage (40), claim_type, channel,
    police_report ("yes", "no" or missing), fraud ("yes", "no", or missing where nobody investigated: 30 %)
    """
    _check(n, 200)
    rng = np.random.default_rng(seed)
    claims = _claims(rng, n)
    odds = _suspicion(claims)
    fraud = rng.random(n) < _calibrated(odds if signal else np.zeros(n), 0.06)
    claims["fraud"] = np.where(fraud, "yes", "no")
    for column, share in {"age": 0.03, "vehicle_age": 0.05, "garage": 0.04, "police_report": 0.2, "fraud": 0.3}.items():
        claims[column] = claims[column].astype(object if claims[column].dtype.kind not in "if" else float)
        claims.loc[rng.random(n) < share, column] = np.nan if claims[column].dtype.kind == "f" else None
    return claims


def _claims(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Return complete claims in time order, without a label."""
    days, policies = 548, max(n * 4 // 5, 1)
    policy = rng.integers(0, policies, n)
    begin = rng.integers(-1500, days - 30, policies)[policy]
    since = np.floor(rng.random(n) ** 1.3 * (days - np.maximum(begin, 0))) + np.maximum(-begin, 0)
    order = np.argsort(begin + since, kind="stable")
    policy, since, day = policy[order], since[order].astype(int), (begin + since)[order].astype(int)
    claim_type = rng.choice(["collision", "theft", "glass", "injury", "fire"], n, p=[0.45, 0.15, 0.25, 0.1, 0.05])
    typical = pd.Series(claim_type).map({"collision": 2600, "theft": 5200, "glass": 600, "injury": 4300, "fire": 3900})
    regions = np.array(["north", "east", "south", "west", "city"])
    claims = pd.DataFrame(
        {
            "claim_date": pd.Timestamp("2023-01-01") + pd.to_timedelta(day, unit="D"),
            "policy": [f"P{number:05d}" for number in policy],
            "amount": (typical * rng.lognormal(0, 0.6, n)).round(2),
            "days_since_policy_start": since,
            "age": rng.normal(46, 14, policies).clip(18, 88).round()[policy],
            "vehicle_age": rng.gamma(2, 3.5, policies).clip(0, 25).round()[policy],
            "region": regions[rng.integers(0, 5, policies)][policy],
            "garage": [f"G{number:02d}" for number in rng.choice(40, n, p=rng.dirichlet(np.full(40, 6.0)))],
            "claim_type": claim_type,
            "channel": rng.choice(["app", "phone", "broker"], n, p=[0.5, 0.3, 0.2]),
            "police_report": np.where(rng.random(n) < np.where(claim_type == "theft", 0.8, 0.35), "yes", "no"),
        }
    )
    earlier = rng.poisson(0.6, policies)[policy] + claims.groupby("policy").cumcount().to_numpy()
    claims.insert(6, "previous_claims", earlier)
    return claims


def _suspicion(claims: pd.DataFrame) -> np.ndarray:
    """Return the log-odds of fraud (n,), but for a constant."""
    dear = claims["amount"] > 3000
    shady = claims["garage"].isin([f"G{number:02d}" for number in (3, 11, 17, 26, 34)])
    new = claims["days_since_policy_start"] < 120
    kind, unseen = claims["claim_type"], claims["police_report"] == "no"
    together = (
        3.5 * (new & (kind == "theft"))
        + 3.5 * (shady & dear)
        + 2.5 * ((kind == "injury") & unseen)
        + 2.5 * ((claims["previous_claims"] >= 3) & (claims["channel"] == "phone"))
        + 2.0 * ((claims["vehicle_age"] > 12) & (kind == "fire"))
    )
    return together.to_numpy(dtype=float)


def _calibrated(odds: np.ndarray, share: float) -> np.ndarray:
    """Return probabilities (n,) whose mean is `share`, by halving the interval of the constant."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = np.mean(1 / (1 + np.exp(-odds - middle)))
        low, high = (middle, high) if mean < share else (low, middle)
    return 1 / (1 + np.exp(-odds - low))


def _check(n: int, least: int, difficulty: float = 1.0, nuisance: float = 0.0) -> None:
    if n < least:
        raise DataError(f"n is {n}; draw at least {least:,} rows, so that every split holds frauds.")
    if difficulty <= 0 or nuisance < 0:
        raise DataError(f"difficulty is {difficulty} and nuisance {nuisance}; give one above 0 and one not below.")


TABLES = {
    "creditcard": creditcard_table,
    "claims": simulate_claims,
    "cards": simulate_card_payments,
    "shop": shop_log,
}
