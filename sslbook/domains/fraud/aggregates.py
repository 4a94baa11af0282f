"""What a fraud analyst computes by hand from the history of a card."""

from collections.abc import Iterator
from functools import reduce

import numpy as np
import pandas as pd

from sslbook.data.sequences import DAY, EntityDays, time_since_last
from sslbook.domains.fraud.data import Transactions, TransactionSplit

Columns = Iterator[tuple[str, np.ndarray]]
DEVIATIONS = ("largest", "mean", "above_1", "above_3", "above_7", "sum_3")  # columns of ``EntityDays.deviations``


def card_aggregates(table: Transactions, days: EntityDays, rows: np.ndarray | slice = slice(None)) -> pd.DataFrame:
    """What a fraud analyst would know of a card at the end of a day.

    Counts, sums and means over 1, 7 and 30 days; today against the card's own month; payments whose category, place or
    hour the card has not had for 7 or 30 days; small, nightly and online payments; repeats at one merchant; how rare
    each field of a payment is for the card, and all of them together (``rarity``). Counts and sums are logarithms, of
    1 more, as linear models like it.

    Parameters
    ----------
    table : payments with the number ``amount``, categories, an entity, and ``merchant`` among the details where known.
    days : ``EntityDays(table.everything.entities, table.everything.days)``
    rows : numbers of the card-days wanted; all, if not given.

    Returns
    -------
    float32 frame of some 140 columns, one row per card and day with payments, in the order of ``rows`` or ``days``.
    """
    narrow = {name: values[rows].astype(np.float32) for name, values in _columns(table, days)}  # wide ones fill a GB
    return pd.DataFrame(narrow, copy=False)


def _columns(table: Transactions, days: EntityDays) -> Columns:
    """Compute the columns one after the other."""
    events, fields = table.everything, dict(zip(table.categorical_names, table.everything.categorical.T, strict=True))
    amount = events.numeric[:, table.numeric_names.index("amount")].astype(float)
    amount = np.where(np.isnan(amount), np.nanmedian(amount), amount)  # one gap would spoil all later sums of its card
    hour = (events.time % DAY // 3600).astype(int)
    online = np.zeros(len(events), dtype=bool)
    for codes, values in zip(fields.values(), table.categories, strict=True):
        online |= codes == (values.index("online") + 1 if "online" in values else -1)
    yield from _sums(days, events, amount, online)
    yield from _against_the_month(days, amount).items()
    for name, codes in fields.items():
        yield from _unusual(days, events.entities, codes, amount, name)
    combined = {f"{name}_and_hour": codes * 6 + hour // 4 for name, codes in fields.items()}
    if len(fields) > 1:
        combined["_and_".join(fields)] = reduce(_pairs, fields.values())
    if "merchant" in events.details:
        fields["merchant"] = pd.factorize(events.details["merchant"])[0]
    for name, codes in (fields | combined | {"hour": hour // 2}).items():
        yield from _new(days, events, codes, name, spans=(7, 30) if name in fields else (30,))
    gap = np.log(time_since_last(events.time, events.entities) + 60)
    size = np.digitize(amount, np.geomspace(1, 1000, 15))
    fields |= combined | {"hour": hour // 2, "amount": size, "gap": gap.astype(int), "weekday": events.days % 7}
    fields["amount_in_category"] = _pairs(next(iter(fields.values())), size)
    rare = {name: rarity(events.entities, codes) for name, codes in fields.items()}
    rare["payment"] = sum(rare[name] for name in (*table.categorical_names, "hour", "amount", "gap", "weekday"))
    for name, values in rare.items():
        found = days.deviations(values[:, None]).T
        yield from ((f"rarity_{name}_{what}", v) for what, v in zip(DEVIATIONS, found, strict=True))
    yield "shortest_gap", -days.largest(-gap)
    yield "days_since_last", pd.Series(days.day).groupby(days.entity).diff().fillna(30).to_numpy()
    yield "weekday", days.day % 7


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


def _sums(days: EntityDays, events: TransactionSplit, amount: np.ndarray, online: np.ndarray) -> Columns:
    """Counts and sums over 1, 7 and 30 days."""
    small, tiny = amount < 5, amount < 2
    dense = {name: days.total(values) for name, values in (
        ("count", np.ones(len(amount))), ("sum", amount), ("nightly", events.time % DAY < DAY / 4), ("small", small),
        ("online", online), ("small_online", small & online), ("tiny_online", tiny & online))}  # fmt: skip
    for span in (1, 7, 30):
        spans = {name: days.at(days.window(values, span)) for name, values in dense.items()}
        yield from ((f"{name}_{span}", np.log1p(v)) for name, v in spans.items())
        yield f"mean_{span}", np.log1p(spans["sum"] / spans["count"])


def _new(days: EntityDays, events: TransactionSplit, codes: np.ndarray, name: str, spans: tuple[int, ...]) -> Columns:
    """Payments with a code that the card has not had for so many days, and of merchants the repeats in two days."""
    since = time_since_last(events.time, _pairs(events.entities, codes))
    for span in spans:
        new = days.total(since >= span * DAY)  # a month for the first time of all
        yield f"new_{name}_{span}", np.log1p(days.at(new))
    for within in (3, 7):
        yield f"new_{name}_30_in_{within}_days", np.log1p(days.at(days.window(new, within)))
    if name == "merchant":
        again = days.total(since < 2 * DAY)
        yield from ((f"repeats_{n}", np.log1p(days.at(days.window(again, n)))) for n in (1, 3))


def _unusual(days: EntityDays, entities: np.ndarray, codes: np.ndarray, amount: np.ndarray, name: str) -> Columns:
    """The amounts against what is usual in their category, for everybody and for this card until then."""
    log = pd.Series(np.log(np.maximum(amount, 0.01)))
    everybody = log.groupby(codes).cumsum() / (log.groupby(codes).cumcount() + 1)
    own = log.groupby(_pairs(entities, codes))
    before = own.cumcount()
    habit = ((own.cumsum() - log) / before.clip(lower=1)).where(before > 1, log)
    for whose, usual in (("", everybody), ("own_", habit)):
        yield f"above_{whose}{name}", days.largest((log - usual).to_numpy())
        yield f"below_{whose}{name}", days.largest((usual - log).to_numpy())


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
