"""A basket to fill, and what is recommended for it."""

from collections.abc import Callable, Sequence

import ipywidgets
import numpy as np
import pandas as pd

from sslbook.widgets import interact


def recommend_with_reasons(
    items: Sequence[int], score: Callable[[np.ndarray], np.ndarray], titles: Sequence[str], k: int = 10
) -> pd.DataFrame:
    """What comes next, best first, and the item without which a recommendation would lose most of its score.

    Parameters
    ----------
    items : codes of the items taken, oldest first.
    score : maps histories, int array (n, length) with -1 behind the last item, to scores (n, n_items).
    titles : str array, shape (n_items,)
    """
    items = np.array(list(dict.fromkeys(items)))
    without = [np.append(np.delete(items, i), -1) for i in range(len(items))] if len(items) > 1 else []
    scores = score(np.stack([items, *without]).astype(np.int32))
    scores = scores - scores.mean(axis=1, keepdims=True)  # a pick less may shift all scores alike
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
    """One menu for each item, with ``recommend_with_reasons`` below.

    ``choices`` are codes of the items that the menus offer; more than some hundreds are slow to draw.
    """
    offered = sorted({(str(titles[c]), int(c)) for c in [*choices, *items]})
    menus = {
        f"item_{i + 1}": ipywidgets.Dropdown(options=offered, value=int(item), description=f"item {i + 1}")
        for i, item in enumerate(items)
    }
    interact(lambda **chosen: recommend_with_reasons(list(chosen.values()), score, titles, k), **menus)
