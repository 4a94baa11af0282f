"""The alert queue: which cards are reviewed, and what that brings."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from sslbook.metrics.base import Metric
from sslbook.metrics.classification import Prediction, average_precision


def rank_card_days(
    labels: np.ndarray, scores: np.ndarray, days: np.ndarray, entities: np.ndarray | None = None,
    amounts: np.ndarray | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row per card and day, by day and then by falling score: what an investigator can be asked to look at.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = fraud.
    scores : float array, shape (n,) or (n, 2), of which column 1 counts.
    days : int array, shape (n,)
    entities : array, shape (n,), the cards (customers, policies); None where every row stands alone.
    amounts : optional float array, shape (n,)

    Returns
    -------
    frame of day, card (numbered from 0), score (the highest of the day), label (1 if any row is fraud), amount (of the
    fraudulent rows) and row (the first of the card on that day).
    """
    cards = np.arange(len(labels)) if entities is None else np.unique(entities, return_inverse=True)[1]
    scores = scores[:, 1] if scores.ndim == 2 else scores
    stolen = np.where(labels == 1, 0.0 if amounts is None else amounts, 0.0)
    rows = {"day": days, "card": cards, "score": scores, "label": labels, "amount": stolen, "row": range(len(days))}
    pooled = {"score": "max", "label": "max", "amount": "sum", "row": "min"}
    table = pd.DataFrame(rows).groupby(["day", "card"], as_index=False).agg(pooled)
    return table.sort_values(["day", "score"], ascending=[True, False], ignore_index=True)


def alert_queue(
    card_days: pd.DataFrame, k: int, weights: np.ndarray | None = None
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Review the ``k`` most suspicious cards of every day; a card found fraudulent is blocked and not reviewed again.

    Parameters
    ----------
    card_days : from ``rank_card_days``.
    k : cards that can be reviewed in a day. Cards of equal score share the last reviews.
    weights : optional array, shape (replicates, n rows), equal for all rows of a card: a card of weight 2 is two cards.

    Yields
    ------
    frame, array : the most suspicious cards of the day, and the reviews that each gets, shape (replicates, cards).

    Raises
    ------
    ValueError
        If the weights differ within a card.
    """
    card, row, guilty = (card_days[name].to_numpy() for name in ("card", "row", "label"))
    w = np.ones((1, row.max() + 1)) if weights is None else weights
    if (w[0, row] != w[0, row[np.unique(card, return_index=True)[1]]][card]).any():
        raise ValueError("weights differ within a card; resample and thin whole cards, not rows.")
    offender = np.unique(np.where(np.isin(card, card[guilty == 1]), card, -1), return_inverse=True)[1]
    at_large = np.ones((len(w), offender.max() + 1))  # share of an offender that no review has found yet
    for day in np.split(np.arange(len(card_days)), np.flatnonzero(np.diff(card_days["day"])) + 1):
        scores, size = card_days["score"].to_numpy()[day], 0
        while size < len(day):
            size = np.searchsorted(-scores, -scores[min(max(2 * k, 2 * size), len(day)) - 1], side="right")
            top = day[:size]
            present = w[:, row[top]] * at_large[:, offender[top]]
            if present.sum(axis=1).min() >= k:  # the first 2 k cards nearly always hold all that are reviewed
                break
        share = _shared(present, scores[:size], k)
        caught = guilty[top] == 1
        at_large[:, offender[top[caught]]] *= 1 - share[:, caught]
        yield card_days.iloc[top], present * share


def _shared(present: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Share of each card that ``k`` reviews reach, by falling score; shape (replicates, cards) as ``present``."""
    starts = np.flatnonzero(np.diff(scores, prepend=np.inf))
    tied = np.add.reduceat(present, starts, axis=1)
    left = k - (np.cumsum(tied, axis=1) - tied)
    share = np.clip(left, 0, tied) / np.where(tied > 0, tied, 1)
    return share[:, np.repeat(np.arange(len(starts)), np.diff(starts, append=len(scores)))]


def alert_outcomes(
    card_days: pd.DataFrame, k: int, cost_per_review: float = 0.0, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """What ``k`` reviews a day bring, in the mean over days (Le Borgne et al. 2022, chapter 4.4, for the share found).

    A card that was found fraudulent leaves the queue of later days. On a day of fewer than k cards, reviews are idle.

    Parameters
    ----------
    card_days : from ``rank_card_days``.
    k, weights : as for ``alert_queue``.
    cost_per_review : in the currency of the amounts.

    Returns
    -------
    frame, a row for each replicate (one without weights): cards reviewed, frauds_found, false_alarms, and money_saved,
    the frauds of the reviewed cards less the cost of the reviews.
    """
    days = [(r.sum(axis=1), r @ (top["label"].to_numpy() == 1), r @ top["amount"].to_numpy())
            for top, r in alert_queue(card_days, k, weights)]  # fmt: skip
    reviewed, found, stolen = np.mean(days, axis=0)
    return pd.DataFrame({"reviewed": reviewed, "frauds_found": found, "false_alarms": reviewed - found,
                         "money_saved": stolen - cost_per_review * reviewed})  # fmt: skip


def card_day_metrics(
    labels: np.ndarray, days: np.ndarray, entities: np.ndarray, amounts: np.ndarray, spent: np.ndarray,
    cost_per_review: float, k: int,
) -> dict[str, Metric]:  # fmt: skip
    """What a study of card-days reports: average precision, cards found, and money saved by two ways to queue.

    Parameters
    ----------
    labels, days, entities, amounts : as for ``rank_card_days``, of the test.
    spent : array, shape (n,), all money that went through the card that day, fraud or not. In ``money_by_amount`` the
        queue is by score times this: what a review is expected to save, where the score is a probability.
    cost_per_review : in the currency of ``amounts``.
    k : cards that can be reviewed in a day.
    """

    def queue(said: Prediction, weights: np.ndarray | None, column: str, times: np.ndarray | float = 1.0) -> np.ndarray:
        card_days = rank_card_days(labels, said.scores[:, 1] * times, days, entities, amounts)
        return alert_outcomes(card_days, k, cost_per_review, weights)[column].to_numpy()

    return {
        "average_precision": Metric(lambda said, w=None: average_precision(labels, said.scores, w)),
        f"cards_found_at_{k}": Metric(lambda said, w=None: queue(said, w, "frauds_found")),
        f"money_saved_at_{k}": Metric(lambda said, w=None: queue(said, w, "money_saved")),
        f"money_by_amount_at_{k}": Metric(lambda said, w=None: queue(said, w, "money_saved", spent)),
    }
