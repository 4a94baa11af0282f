"""A slider over the reviews a day."""

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sslbook.domains.fraud.alerts import alert_outcomes, rank_card_days
from sslbook.plots import PALETTE
from sslbook.widgets import interact


def alert_report(
    card_days: pd.DataFrame, reviews: int, cost_per_review: float, weights: np.ndarray | None = None,
    currency: str = "EUR", title: str = "",
) -> Figure:  # fmt: skip
    """Say what so many reviews a day bring, and draw it among other numbers of reviews.

    Parameters are those of ``alert_outcomes``; ``weights``, shape (n,), are how many rows a row stands for.
    """
    given = cost_per_review, None if weights is None else weights[None]
    table = pd.concat({k: alert_outcomes(card_days, k, *given) for k in _review_steps(card_days, weights, reviews)})
    table = table.droplevel(1)
    chosen, best = table.loc[reviews], table["money_saved"].idxmax()
    print(
        f"{reviews:,} reviews a day find {chosen['frauds_found']:.1f} fraudulent cards and raise "
        f"{chosen['false_alarms']:.1f} false alarms; they save {currency} {chosen['money_saved']:,.0f} a day. "
        f"Of {len(table)} numbers tried, {best:,} save most: {currency} {table.loc[best, 'money_saved']:,.0f}."
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained")
    for column, color, style in (("frauds_found", PALETTE[0], "-"), ("false_alarms", PALETTE[1], "--")):
        left.plot(table.index, table[column], style, color=color, label=column.replace("_", " "))
    left.set(title="Frauds found and false alarms", xlabel="reviews a day", ylabel="cards a day", yscale="symlog")
    left.legend()
    right.plot(table.index, table["money_saved"], color=PALETTE[2])
    right.plot(reviews, chosen["money_saved"], "o", color=PALETTE[2])
    most = table.loc[best, "money_saved"]  # losses beyond all gains would flatten the curve
    right.set_ylim(bottom=max(table["money_saved"].min(), min(-abs(most), chosen["money_saved"])) - 0.1 * abs(most))
    right.set(title="Money saved, less the reviews", xlabel="reviews a day", ylabel=f"{currency} a day")
    for ax in (left, right):
        ax.axvline(reviews, color=PALETTE[7], linestyle=":")
        ax.set_xscale("log")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def alert_budget_slider(
    labels: np.ndarray, scores: np.ndarray, amounts: np.ndarray, days: np.ndarray,
    entities: np.ndarray | None = None, weights: np.ndarray | None = None, cost_per_review: float = 5.0,
    currency: str = "EUR", title: str = "",
) -> None:  # fmt: skip
    """A slider over the reviews a day, with ``alert_report`` below it; parameters as for ``rank_card_days``."""
    card_days = rank_card_days(labels, scores, days, entities, amounts)
    steps = _review_steps(card_days, weights)
    interact(
        lambda reviews: alert_report(card_days, reviews, cost_per_review, weights, currency, title),
        reviews=ipywidgets.SelectionSlider(options=steps, value=steps[len(steps) // 2], description="reviews a day"),
    )


def _review_steps(card_days: pd.DataFrame, weights: np.ndarray | None, *more: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... up to the cards of the busiest day."""
    counts = np.ones(len(card_days)) if weights is None else weights[card_days["row"]]
    most = int(np.bincount(pd.factorize(card_days["day"])[0], counts).max())
    steps = {base * 10**power for power in range(len(str(most))) for base in (1, 2, 5)}
    return sorted({step for step in steps if step < most} | {most, *more})
