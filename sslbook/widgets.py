"""Widgets turn one knob each. The function under a widget works without it, so a page reads well where none renders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import display
from matplotlib.figure import Figure

from sslbook.augment import Augment, to_tensor
from sslbook.evaluate import alert_outcomes, card_days
from sslbook.plots import PALETTE, image_grid
from sslbook.study import Study, compare


def show_views(image: np.ndarray, augment: Augment, n: int = 7, seed: int = 0, title: str = "") -> Figure:
    """One picture and n random views of it.

    Parameters
    ----------
    image : uint8 array, shape (height, width, channels)
    """
    batch = to_tensor(np.repeat(image[None], n, axis=0))
    views = augment(batch, torch.Generator().manual_seed(seed)).permute(0, 2, 3, 1).numpy()
    resized = [image / 255, *views]
    if views.shape[1:3] != image.shape[:2]:
        zoom = torch.nn.functional.interpolate(torch.from_numpy(views).permute(0, 3, 1, 2), image.shape[:2])
        resized = [image / 255, *zoom.permute(0, 2, 3, 1).numpy()]
    return image_grid(np.stack(resized), ["original"] + [f"view {i + 1}" for i in range(n)], columns=n + 1, title=title)


def augmentation_explorer(image: np.ndarray, start: Augment) -> None:
    """Sliders for the parameters of an augmentation, with views drawn anew at each change."""
    slider = ipywidgets.FloatSlider

    def show(area: float, seed: int, **chosen: float) -> Figure:
        return show_views(image, replace(start, area=(area, max(area, start.area[1])), **chosen), seed=seed)

    interact(
        show,
        area=slider(value=start.area[0], min=0.05, max=1.0, step=0.05, description="smallest crop"),
        rotation=slider(value=start.rotation, min=0, max=90, step=5, description="rotation °"),
        contrast=slider(value=start.contrast, min=0, max=1, step=0.1, description="contrast ±"),
        brightness=slider(value=start.brightness, min=0, max=0.5, step=0.05, description="brightness ±"),
        seed=ipywidgets.IntSlider(value=0, min=0, max=20, description="draw"),
    )


def budget_report(study: Study, metric: str, entrant: str, versus: str, budget: int) -> None:
    """Print the scores of all entrants at one budget, best first, and the paired comparison of two of them."""
    for name, score in study.scores(metric)[budget].dropna().sort_values(ascending=False).items():
        _, low, high = study.interval(metric, name, budget)
        print(f"{name:<22}{score:.3f}  [{low:.3f}, {high:.3f}]  " + "█" * round(40 * max(score - 0.5, 0) * 2))
    print(compare(study, metric, entrant, versus, budget))


def budget_slider(study: Study, metric: str, entrant: str, versus: str) -> None:
    """A slider over the label budgets, with ``budget_report`` below it."""
    interact(
        lambda budget: budget_report(study, metric, entrant, versus, budget),
        budget=ipywidgets.SelectionSlider(options=_shared_budgets(study, entrant, versus), description="labels"),
    )


def _shared_budgets(study: Study, *entrants: str) -> Sequence[int]:
    ran = [set(study.frame.loc[study.frame["entrant"] == name, "budget"]) for name in entrants]
    return sorted(set.intersection(*ran))


def alert_report(
    cases: pd.DataFrame, reviews: int, cost_per_review: float, weights: np.ndarray | None = None,
    currency: str = "EUR", title: str = "",
) -> Figure:  # fmt: skip
    """Say what so many reviews a day bring, and draw it among other numbers of reviews.

    Parameters are those of ``alert_outcomes``, for one number of reviews.
    """
    table = alert_outcomes(cases, _review_steps(cases, weights, reviews), cost_per_review, weights)
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
    """A slider over the reviews a day, with ``alert_report`` below it; parameters as for ``card_days``."""
    cases = card_days(labels, scores, days, entities, amounts)
    steps = _review_steps(cases, weights)
    interact(
        lambda reviews: alert_report(cases, reviews, cost_per_review, weights, currency, title),
        reviews=ipywidgets.SelectionSlider(options=steps, value=steps[len(steps) // 2], description="reviews a day"),
    )


def _review_steps(cases: pd.DataFrame, weights: np.ndarray | None, *more: int) -> list[int]:
    """1, 2, 5, 10, 20, 50 ... up to the cards of the busiest day."""
    counts = np.ones(len(cases)) if weights is None else weights[cases["case"]]
    most = int(np.bincount(pd.factorize(cases["day"])[0], counts).max())
    steps = {base * 10**power for power in range(len(str(most))) for base in (1, 2, 5)}
    return sorted({step for step in steps if step < most} | {most, *more})


def recommend_with_reasons(
    items: Sequence[int], score: Callable[[np.ndarray], np.ndarray], titles: Sequence[str], k: int = 10
) -> pd.DataFrame:
    """What comes next after some items, and which of them each recommendation owes most to.

    The reason is the item without which the recommendation would lose most of its score.

    Parameters
    ----------
    items : codes of the items taken, oldest first.
    score : maps histories, int array (n, length) with -1 behind the last item, to scores (n, n_items).
    titles : str array, shape (n_items,)

    Returns
    -------
    frame with columns recommended, because of, best first; the items themselves are not recommended.
    """
    items = np.array(list(dict.fromkeys(items)))
    without = [np.append(np.delete(items, i), -1) for i in range(len(items))] if len(items) > 1 else []
    scores = score(np.stack([items, *without]).astype(np.int32))
    full = scores[0].copy()
    full[items] = -np.inf
    best = np.argsort(-full, kind="stable")[: min(k, len(full) - len(items))]
    reasons = items[scores[1:, best].argmin(axis=0)] if without else np.repeat(items, len(best))
    titles = np.asarray(titles)
    return pd.DataFrame({"recommended": titles[best], "because of": titles[reasons]}, index=range(1, len(best) + 1))


def basket_picker(
    items: Sequence[int], score: Callable[[np.ndarray], np.ndarray], titles: Sequence[str],
    choices: Sequence[int], k: int = 10,
) -> None:  # fmt: skip
    """One menu for each of some items, with ``recommend_with_reasons`` below.

    Parameters
    ----------
    choices : codes of the items that the menus offer; more than some hundreds are slow to draw.
    """
    offered = sorted({(str(titles[c]), int(c)) for c in [*choices, *items]})
    menus = {
        f"item_{i + 1}": ipywidgets.Dropdown(options=offered, value=int(item), description=f"item {i + 1}")
        for i, item in enumerate(items)
    }
    interact(lambda **chosen: display(recommend_with_reasons(list(chosen.values()), score, titles, k)), **menus)


def interact(function: Callable, **controls: ipywidgets.Widget) -> None:
    """Show controls and the function's output; a figure it returns is drawn and closed.

    The first output is shown as plain output, so that a page without a running kernel still has it.
    """
    output = ipywidgets.Output()

    def draw(**values) -> None:
        result = function(**values)
        if isinstance(result, Figure):
            display(result)
            plt.close(result)

    def update(_change) -> None:
        output.clear_output(wait=True)
        with output:
            draw(**{name: control.value for name, control in controls.items()})

    for control in controls.values():
        control.observe(update, names="value")
    display(ipywidgets.VBox([*controls.values(), output]))
    draw(**{name: control.value for name, control in controls.items()})
