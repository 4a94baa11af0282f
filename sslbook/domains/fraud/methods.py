"""How payments become codes, and which of them have a label when few frauds are known."""

import numpy as np

from sslbook.data.errors import DataError
from sslbook.data.sequences import DAY, time_since_last
from sslbook.domains.fraud.data import Transactions

GAP_BINS = np.geomspace(0.1, 336, 15)  # hours between two events of an entity: from six minutes to two weeks
# The tails get bins of their own: what is rare is what matters.
QUANTILES = np.unique([0.001, 0.005, 0.01, *np.linspace(0.03, 0.97, 24), 0.99, 0.995, 0.999])


def event_codes(table: Transactions) -> tuple[np.ndarray, dict[str, int]]:
    """Describe every event by codes: when it was, its categories, and its numbers in bins.

    Bins are quantiles of the training rows; code 0 stands for a missing number.

    Returns
    -------
    codes : int array (n, fields), rows as in ``table.everything``.
    fields : name of each field, in the order of the columns, and how many codes it has.

    Raises
    ------
    DataError : the table has no time or no entity column, or a column has more than 32,767 codes.
    """
    events, train = table.everything, table.split == "train"
    if events.entities is None or not table.timed:
        raise DataError(
            f"{table.name} does not say of each event when it was and whom it is of; give time= and entity=, the "
            "columns of the time and of the card or customer."
        )
    gap = time_since_last(events.time, events.entities) / 3600
    shift = 0 if table.start is None else table.start.weekday()
    columns = {
        "gap": (np.digitize(gap, GAP_BINS), len(GAP_BINS) + 1),
        "weekday": ((events.days + shift) % 7, 7),
        "hour": (events.time % DAY // 3600, 24),
    }
    for name, codes, values in zip(table.categorical_names, events.categorical.T, table.categories, strict=True):
        columns[name] = (codes, len(values) + 1)
    for name, values in zip(table.numeric_names, events.numeric.T, strict=True):
        edges = np.unique(np.nanquantile(values[train], QUANTILES))
        columns[name] = (np.where(np.isnan(values), 0, 1 + np.digitize(values, edges)), len(edges) + 2)
    for name, (_, count) in columns.items():
        if count > np.iinfo(np.int16).max:
            raise DataError(
                f"Column {name!r} of {table.name} has {count:,} codes, too many to embed; group rare values."
            )
    codes = np.stack([codes for codes, _ in columns.values()], axis=1).astype(np.int16)
    return codes, {name: count for name, (_, count) in columns.items()}


def draw_findings(
    labels: np.ndarray, budget: int, draw: int, groups: np.ndarray | None = None, negatives: int = 2000
) -> np.ndarray:
    """Draw labels as a fraud team gets them: the findings of ``budget`` groups, and rows of groups without any.

    Of a group that is drawn, the findings are given and its other rows left out. The other groups with a finding count
    as not yet discovered: none of their rows is given. Within one draw, a larger budget adds to the findings of a
    smaller one. For a study, fix the groups: ``functools.partial(draw_findings, groups=cards)``.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = the finding.
    budget : number of groups with a finding; where it is all of them, every draw is the same.
    draw : number of the draw; the same number gives the same cases.
    groups : optional array, shape (n,), the card (patient) of each row; None where every row stands alone.
    negatives : rows drawn from groups without any finding; all of them where there are fewer.

    Returns
    -------
    int array, the rows to label: first the findings.

    Raises
    ------
    ValueError
        If the budget exceeds the groups with a finding, or either class would have less than two.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    found = np.unique(groups[labels == 1])
    clean = np.flatnonzero(~np.isin(groups, found))
    if budget > len(found):
        raise ValueError(f"a budget of {budget} exceeds the {len(found)} groups with a finding; use a smaller budget.")
    if budget < 2:
        raise ValueError(f"a budget of {budget} groups with a finding leaves none to validate on; use 2 or more.")
    if min(len(clean), negatives) < 2:
        raise ValueError(f"{min(len(clean), negatives)} rows of groups without a finding are too few; give 2 or more.")
    draw = 0 if budget == len(found) else draw
    chosen = np.random.default_rng([draw, 1]).permutation(found)[:budget]
    others = np.random.default_rng([draw, 0]).permutation(clean)[:negatives]
    return np.concatenate([np.flatnonzero(np.isin(groups, chosen) & (labels == 1)), others])
