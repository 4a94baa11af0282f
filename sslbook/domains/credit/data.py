"""The container of borrowers: what is known of each when a bill is sent, and whether it was paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sslbook.data.card import DataCard, Described
from sslbook.data.errors import DataError

SPLITS = ("train", "test")
MONTHS = (1, 2, 3, 4, 5, 6)  # the last month first
DELAYS = [f"pay_{month}" for month in (0, 2, 3, 4, 5, 6)]  # as the source numbers them
BILLS, PAID = ([f"{what}{month}" for month in MONTHS] for what in ("bill_amt", "pay_amt"))
INPUTS = ["limit_bal", "education", *DELAYS, *BILLS, *PAID]
AUDIT = ["sex", "marriage", "age"]  # what a lender may not use, and has to answer for
TARGET = "default_payment_next_month"


@dataclass(frozen=True, eq=False)
class Borrowers(Described):
    """Holders of a credit card, one row each. There is no time to cut by, so the split is random.

    Parameters
    ----------
    inputs : frame of n rows and the columns ``INPUTS``, numbers without gaps: the limit; delays of payment in months
        (-2 no use, -1 paid in full, 0 the least that is due, from 1 months behind); bills and payments.
    audit : frame of n rows and the columns ``AUDIT``, which no model sees.
    labels : int64 array (n,), 1 = the next bill was not paid.
    split : str array (n,), "train" or "test".
    data_card : source, licence and known problems.

    Raises
    ------
    DataError : parts of unequal length, missing columns or numbers, another label, or a split with one class only.
    """

    inputs: pd.DataFrame
    audit: pd.DataFrame
    labels: np.ndarray
    split: np.ndarray
    data_card: DataCard

    def __post_init__(self) -> None:
        for what, columns in (("inputs", INPUTS), ("audit", AUDIT)):
            table = getattr(self, what)
            missing = [column for column in columns if column not in table]
            if missing or len(table) != len(self):
                raise DataError(
                    f"The {what} of {self.name} are {len(table)} rows without {missing or 'nothing'}; give {len(self)} "
                    f"rows with {', '.join(columns)}."
                )
            for column in table.columns[~np.isfinite(table).all()][:1]:
                raise DataError(f"Column {column!r} of {self.name} lacks a number; fill it in or leave the row out.")
        for part in SPLITS:
            known = np.unique(self.labels[self.split == part])
            if known.tolist() != [0, 1]:
                raise DataError(f"The {part} split of {self.name} has the labels {known.tolist()}; it needs 0 and 1.")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Borrowers({self.name}: {len(self)} borrowers, {int(self.labels.sum())} defaults)"

    @property
    def owed(self) -> np.ndarray:
        """What is lost at most when somebody does not pay: the last bill, float64 (n,), 0 where it is negative."""
        return self.inputs[BILLS[0]].clip(lower=0).to_numpy(dtype=np.float64)

    def counts(self) -> pd.DataFrame:
        """Borrowers, defaults and their share (columns) in each split (rows)."""
        parts = {part: self.labels[self.split == part] for part in SPLITS}
        rows = {part: {"borrowers": len(y), "defaults": y.sum(), "share": y.mean()} for part, y in parts.items()}
        return pd.DataFrame(rows).T

    def _repr_html_(self) -> str:
        return f"{self.data_card._repr_html_()}{self.counts().round(3).to_html()}"


def cut(table: pd.DataFrame, data_card: DataCard, test: float = 0.25, seed: int = 0) -> Borrowers:
    """Split a table with the columns ``INPUTS``, ``AUDIT`` and ``TARGET`` at random."""
    order = np.random.default_rng(seed).permutation(len(table))
    split = np.where(order < round(test * len(table)), "test", "train")
    table = table.reset_index(drop=True)
    return Borrowers(table[INPUTS], table[AUDIT], table[TARGET].to_numpy(dtype=np.int64), split, data_card)
