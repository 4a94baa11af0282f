"""What a fraud analyst computes by hand."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pandas as pd

from sslbook.data.sequences import DAY, EntityDays, time_since_last
from sslbook.domains.fraud.data import Transactions, TransactionSplit


def card_aggregates(table: Transactions, days: EntityDays) -> pd.DataFrame:
    """What a fraud analyst would know of a card at the end of a day; one row per card and day with payments.

    Counts, sums and means over 1, 7 and 30 days; today against the card's own month; payments whose category, place or
    hour the card has not had for 7 or 30 days; small, nightly and online payments; repeats at one merchant; how rare
    category, place, hour and amount are for the card (``rarity``).

    Parameters
    ----------
    table : payments with the number ``amount``, categories, an entity, and ``merchant`` among the details where known.
    days : ``EntityDays(table.everything.entities, table.everything.days)``
    """
    events = table.everything
    amount = events.numeric[:, table.numeric_names.index("amount")].astype(float)
    amount = np.where(np.isnan(amount), np.nanmedian(amount), amount)  # one gap would spoil all later sums of its card
    hour = (events.time % DAY // 3600).astype(int)
    habits = dict(zip(table.categorical_names, events.categorical.T, strict=True))
    online = np.zeros(len(events), dtype=bool)
    for codes, values in zip(habits.values(), table.categories, strict=True):
        online |= codes == (values.index("online") + 1 if "online" in values else -1)
    columns = _sums(days, events, amount, online) | _against_the_month(days, amount)
    for name, codes in habits.items():
        columns |= _against_its_kind(days, events.entities, codes, amount, name)
    combined = {f"{name}_and_hour": codes * 6 + hour // 4 for name, codes in habits.items()}
    if len(habits) > 1:
        combined["_and_".join(habits)] = reduce(_pairs, habits.values())
    if "merchant" in events.details:
        habits["merchant"] = pd.factorize(events.details["merchant"])[0]
    for name, codes in (habits | combined | {"hour": hour // 2}).items():
        since = time_since_last(events.time, _pairs(events.entities, codes))
        for span in (7, 30) if name in habits else (30,):
            new = days.total(since >= span * DAY)  # a month for the first time of all
            columns[f"new_{name}_{span}"] = days.at(new)
        columns[f"new_{name}_30_in_3_days"] = days.at(days.window(new, 3))
        columns[f"new_{name}_30_in_7_days"] = days.at(days.window(new, 7))
        if name == "merchant":
            again = days.total(since < 2 * DAY)
            columns |= {"repeats_1": days.at(again), "repeats_3": days.at(days.window(again, 3))}
    fields = habits | combined | {"hour": hour // 2, "amount": np.digitize(amount, np.geomspace(1, 1000, 15))}
    rare = np.stack([rarity(events.entities, codes) for codes in fields.values()], axis=1)
    for i, values in enumerate(days.deviations(rare).T):
        columns[f"rarity_{list(fields)[i // 6]}_{i % 6}"] = values
    columns["shortest_gap"] = -days.largest(-np.log(time_since_last(events.time, events.entities) + 60))
    columns["days_since_last"] = pd.Series(days.day).groupby(days.entity).diff().fillna(30).to_numpy()
    columns["weekday"] = days.day % 7
    return pd.DataFrame(columns).astype(np.float32)


def rarity(entities: np.ndarray, codes: np.ndarray, prior: float = 5.0) -> np.ndarray:
    """How rare the code of each event is for its entity so far: minus the logarithm of a smoothed share.

    The share is counted over earlier events only and starts, with the weight of ``prior`` events, from the share that
    the code has among all earlier events.

    Parameters
    ----------
    entities, codes : int arrays (n,), events in time order.

    Returns
    -------
    float array (n,)
    """
    codes = pd.factorize(codes)[0]
    known = np.maximum.accumulate(codes) + 1  # different codes until then
    everybody = (pd.Series(codes).groupby(codes).cumcount() + 1) / (np.arange(len(codes)) + known)
    same = pd.Series(codes).groupby(_pairs(entities, codes)).cumcount()
    earlier = pd.Series(codes).groupby(entities).cumcount()
    return -np.log((same + prior * everybody) / (earlier + prior)).to_numpy()


def _pairs(entities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """One number for each pair of entity and code."""
    return entities * (int(codes.max()) + 1) + codes


def _sums(days: EntityDays, events: TransactionSplit, amount: np.ndarray, online: np.ndarray) -> dict[str, np.ndarray]:
    """Counts and sums over 1, 7 and 30 days."""
    small, tiny = amount < 5, amount < 2
    dense = {name: days.total(values) for name, values in (
        ("count", np.ones(len(amount))), ("sum", amount), ("nightly", events.time % DAY < DAY / 4), ("small", small),
        ("online", online), ("small_online", small & online), ("tiny_online", tiny & online))}  # fmt: skip
    columns = {}
    for span in (1, 7, 30):
        spans = {name: days.at(days.window(values, span)) for name, values in dense.items()}
        columns |= {f"{name}_{span}": np.log1p(v) if name == "sum" else v for name, v in spans.items()}
        columns[f"mean_{span}"] = np.log1p(spans["sum"] / spans["count"])
    return columns


def _against_its_kind(
    days: EntityDays, entities: np.ndarray, codes: np.ndarray, amount: np.ndarray, name: str
) -> dict[str, np.ndarray]:
    """The amounts against what is usual in their category, for everybody and for this card until then."""
    log = pd.Series(np.log(np.maximum(amount, 0.01)))
    everybody = log.groupby(codes).cumsum().to_numpy() / (log.groupby(codes).cumcount().to_numpy() + 1)
    own = log.groupby(_pairs(entities, codes))
    before = own.cumcount().to_numpy()
    habit = np.where(before > 1, (own.cumsum().to_numpy() - log) / np.maximum(before, 1), log)
    return {
        f"above_{name}": days.largest(log.to_numpy() - everybody),
        f"below_{name}": days.largest(everybody - log.to_numpy()),
        f"above_own_{name}": days.largest(log.to_numpy() - habit),
        f"below_own_{name}": days.largest(habit - log.to_numpy()),
    }


def _against_the_month(days: EntityDays, amount: np.ndarray) -> dict[str, np.ndarray]:
    """Today's amounts and number of payments against the 30 days before."""
    log = np.log(np.maximum(amount, 0.01))
    count, total, squares = (days.total(v) for v in (np.ones(len(log)), log, log**2))
    earlier = np.maximum(days.window(count, 30, 1), 1)
    mean = days.window(total, 30, 1) / earlier
    spread = days.at(np.sqrt(np.maximum(days.window(squares, 30, 1) / earlier - mean**2, 0.05)))
    largest, smallest = days.largest(log), -days.largest(-log)
    return {
        "largest": largest, "smallest": smallest,
        "largest_z": (largest - days.at(mean)) / spread, "smallest_z": (smallest - days.at(mean)) / spread,
        "mean_z": days.at(total / np.maximum(count, 1) - mean) / spread,
        "count_ratio": days.at(count / (days.window(count, 30, 1) / 30 + 0.3)),
        "count_7_ratio": days.at(days.window(count, 7) / (days.window(count, 30, 7) * 7 / 30 + 1)),
    }  # fmt: skip
