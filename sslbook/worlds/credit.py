"""Simulated borrowers: six months of bills and payments of people with an income, habits and a crisis."""

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from sslbook.data.card import simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.credit.data import AUDIT, BILLS, DELAYS, INPUTS, PAID, TARGET, Borrowers, cut


def simulate_credit_default(n: int = 12_000, seed: int = 0, difficulty: float = 1.0, signal: bool = True) -> Borrowers:
    """Draw the stand-in of the card holders of a bank; 22 % do not pay the next bill.

    Parameters
    ----------
    n, seed : at least 1,000 borrowers; the same seed draws the same.
    difficulty : above 0; how much of the next default is chance.
    signal : False draws defaults at random.

    Raises
    ------
    DataError : too few borrowers, or a difficulty that is not above 0.
    """
    if n < 1000 or not difficulty > 0:
        raise DataError(f"n is {n} and difficulty {difficulty}; draw at least 1,000 borrowers, difficulty above 0.")
    problem = "Drawn by a formula: a number measured on it says nothing about real borrowers."
    title = "Stand-in for the card holders of a bank: drawn bills and payments"
    card = simulated_data_card("credit_default", title, "sslbook.worlds.credit", (problem,))
    return cut(_drawn(np.random.default_rng(seed), n, difficulty, signal), card)


def _drawn(rng: np.random.Generator, n: int, difficulty: float, signal: bool) -> pd.DataFrame:
    """Month by month: spend, pay what is left, fall behind and catch up."""
    age, thrift = rng.gamma(4, 3.6, n).clip(0, 58).round() + 21, rng.normal(size=n)
    limit = (np.exp(11.6 + 0.5 * rng.normal(size=n) + 0.25 * thrift + 0.01 * (age - 35)) / 1e4).round().clip(
        1, 100
    ) * 1e4
    strain = rng.normal(size=n) - 0.5 * thrift
    bill, behind = limit * rng.beta(1, 2, n) * (rng.random(n) < 0.9), np.zeros(n)
    table = pd.DataFrame({"limit_bal": limit, "education": 1 + rng.choice(4, n, p=[0.35, 0.47, 0.16, 0.02])})
    for month in range(6):  # from April on; the source counts back from September
        strain = 0.9 * strain + 0.45 * rng.normal(size=n)
        skips = rng.random(n) < expit(1.5 * strain - 3 + 0.5 * behind)
        share = np.where(rng.random(n) < expit(thrift), 1.0, rng.beta(1, 9, n))
        paid = np.where(skips, 0.0, bill * share)
        behind = np.where(bill <= 0, 0, np.where(skips, behind + 1, np.maximum(behind - 1, 0))).clip(0, 8)
        status = np.where(bill <= 0, -2, np.where(behind > 0, behind, np.where(share == 1, -1, 0)))
        spent = limit * 0.12 * rng.gamma(0.6, 1, n) * (rng.random(n) < 0.85)
        bill = (bill - paid + spent).clip(max=1.1 * limit)
        table[DELAYS[5 - month]], table[BILLS[5 - month]], table[PAID[5 - month]] = status, bill.round(), paid.round()
    odds = (1.2 * strain + 0.8 * behind) / difficulty if signal else np.zeros(n)
    constant = brentq(lambda c: expit(odds + c).mean() - 0.22, -20, 20)
    people = {"sex": rng.integers(1, 3, n), "marriage": rng.choice([1, 2, 3], n, p=[0.45, 0.54, 0.01]), "age": age}
    table = table.assign(**people, **{TARGET: (rng.random(n) < expit(odds + constant)).astype(int)})
    return table[[*INPUTS, *AUDIT, TARGET]].astype(np.int64)
