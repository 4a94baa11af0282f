"""The alert queue: which cards are reviewed, and what that brings."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from sslbook.metrics.base import Metric
from sslbook.metrics.classification import average_precision, recall_at_false_positive_rate


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


def card_precision_at_k(
    labels: np.ndarray, scores: np.ndarray, days: np.ndarray, entities: np.ndarray | None = None, k: int = 100,
    weights: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Share of ``k`` reviewed cards a day that are fraudulent, mean over days (Le Borgne et al. 2022, chapter 4.4).

    A card that was found fraudulent leaves the queue of later days. On a day of fewer than k cards, reviews are idle.

    Parameters
    ----------
    labels, scores, days, entities : as for ``rank_card_days``.
    k, weights : as for ``alert_queue``.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights.
    """
    queue = alert_queue(rank_card_days(labels, scores, days, entities), k, weights)
    caught = [reviews @ (top["label"].to_numpy() == 1) for top, reviews in queue]
    value = np.mean(caught, axis=0) / k
    return value[0] if weights is None else value


def money_saved(
    labels: np.ndarray, scores: np.ndarray, amounts: np.ndarray, days: np.ndarray, entities: np.ndarray | None,
    k: int, cost_per_review: float, weights: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Money that the alert queue saves in a day: the frauds of the reviewed cards less the cost of the reviews.

    Parameters and return value are those of ``card_precision_at_k``, and

    amounts : float array, shape (n,), in the currency of ``cost_per_review``.
    """
    queue = alert_queue(rank_card_days(labels, scores, days, entities, amounts), k, weights)
    gains = [reviews @ (top["amount"].to_numpy() - cost_per_review) for top, reviews in queue]
    value = np.mean(gains, axis=0)
    return value[0] if weights is None else value


def card_day_metrics(
    labels: np.ndarray, days: np.ndarray, entities: np.ndarray, amounts: np.ndarray, cost_per_review: float, k: int,
    rate: float = 0.001,
) -> dict[str, Metric]:  # fmt: skip
    """What a study of card-days reports: average precision, card precision, money saved, recall at few false alarms.

    Parameters
    ----------
    labels, days, entities, amounts, cost_per_review : as for ``money_saved``, of the test.
    k : cards that can be reviewed in a day.
    rate : largest share of the honest card-days that may be flagged, for the recall.
    """

    def metric(score: Callable, *given: object) -> Metric:
        return Metric(lambda said, weights=None: score(labels, said.scores, *given, weights))

    return {
        "average_precision": metric(average_precision),
        f"card_precision_at_{k}": metric(card_precision_at_k, days, entities, k),
        f"money_saved_at_{k}": metric(money_saved, amounts, days, entities, k, cost_per_review),
        f"recall_at_{rate:.1%}": metric(recall_at_false_positive_rate, rate),
    }


def alert_outcomes(
    card_days: pd.DataFrame, reviews: Sequence[int], cost_per_review: float, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """What so many reviews a day bring on average: cards reviewed, frauds found, false alarms, money saved.

    Parameters
    ----------
    card_days : from ``rank_card_days``.
    reviews : numbers of cards to review in a day, one row of the result each.
    weights : optional float array, shape (n,), how many rows a row stands for; equal within a card.
    """
    weights = None if weights is None else weights[None]
    rows = []
    for k in reviews:
        days = [(top["label"].to_numpy() == 1, top["amount"].to_numpy(), reviewed[0])
                for top, reviewed in alert_queue(card_days, k, weights)]  # fmt: skip
        found, stolen, looked_at = np.mean([(r @ fraud, r @ amount, r.sum()) for fraud, amount, r in days], axis=0)
        rows.append((looked_at, found, looked_at - found, stolen - cost_per_review * looked_at))
    columns = ["reviewed", "frauds_found", "false_alarms", "money_saved"]
    return pd.DataFrame(rows, index=pd.Index(reviews, name="reviews"), columns=columns)
