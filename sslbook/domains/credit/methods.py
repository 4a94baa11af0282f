"""What an analyst makes of bills and payments, and what decisions on them cost."""

import numpy as np
import pandas as pd

from sslbook.domains.credit.data import BILLS, DELAYS, PAID
from sslbook.metrics.base import Metric
from sslbook.metrics.classification import Prediction, classification_metrics


def features(inputs: pd.DataFrame) -> pd.DataFrame:
    """What an analyst adds to the table, for models that add up their inputs.

    One column for each kind of delay (none, month by month, two or more), the worst and the number of delays, how much
    of the limit each bill takes, which share of it was paid, and amounts on a logarithmic scale.

    Parameters
    ----------
    inputs : frame of ``Borrowers``.

    Returns
    -------
    float64 frame, a row for each borrower
    """
    delays, limit = inputs[DELAYS], inputs["limit_bal"]
    found = {"log_limit": np.log(limit), "worst_delay": delays.max(axis=1), "delays": (delays > 0).sum(axis=1)}
    found |= {f"education_{code}": inputs["education"] == code for code in (1, 2, 3)}
    for name in DELAYS:
        found |= {f"{name}_is_{status}": delays[name] == status for status in (-2, -1, 0, 1, 2)}
        found[f"{name}_behind"] = delays[name].clip(lower=0)
    for bill in BILLS:
        found |= {f"{bill}_of_limit": (inputs[bill] / limit).clip(-1, 2), f"log_{bill}": _log(inputs[bill])}
    for paid, bill in zip(PAID[:-1], BILLS[1:], strict=True):  # what is paid in a month is of the bill before
        found[f"{paid}_share"] = (inputs[paid] / inputs[bill].clip(lower=1)).clip(0, 2)
    found |= {f"log_{paid}": _log(inputs[paid]) for paid in PAID}
    return pd.DataFrame(found).astype(np.float64)


def _log(amounts: pd.Series) -> pd.Series:
    return np.sign(amounts) * np.log1p(np.abs(amounts))


def expected_loss(
    labels: np.ndarray, scores: np.ndarray, owed: np.ndarray, approved: float, weights: np.ndarray | None = None
) -> np.ndarray:
    """Money lost of each 100 asked for, if a share of the money is approved, to the lowest scores first.

    Shares are of money, not of people: who approves by people does best by refusing large sums, whatever the risk.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = did not pay.
    scores : float array, shape (n,) or (n, 2), of which column 1 counts; of equal scores an equal part is approved.
    owed : float array, shape (n,), not below 0, lost when not paid.
    approved : share of all money asked for, from 0 to 1; who is on the edge is approved in part.
    weights : optional array, shape (replicates, n), how often each borrower is drawn.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights, from 0 to 100.
    """
    scores = scores[:, 1] if scores.ndim == 2 else scores
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))  # of those with one score
    money = owed if weights is None else weights * owed
    money = np.atleast_2d(money)[:, order]
    asked, lost = (np.add.reduceat(each, starts, axis=1) for each in (money, money * (labels[order] == 1)))
    room = approved * asked.sum(axis=1, keepdims=True) - (np.cumsum(asked, axis=1) - asked)
    share = np.clip(room / np.where(asked > 0, asked, 1), 0, 1)
    value = 100 * (lost * share).sum(axis=1) / asked.sum(axis=1)
    return value[0] if weights is None else value


def credit_metrics(labels: np.ndarray, owed: np.ndarray, approved: float) -> dict[str, Metric]:
    """AUC, and the expected loss at an approval rate of money (lower is better); see ``expected_loss``."""

    def loss(said: Prediction, weights: np.ndarray | None = None) -> np.ndarray:
        return expected_loss(labels, said.scores, owed, approved, weights)

    return {
        "auc": classification_metrics(labels)["auc"],
        "expected_loss": Metric(loss, higher_is_better=False),
    }
