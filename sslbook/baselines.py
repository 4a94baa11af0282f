"""Baselines that need no pretraining. A comparison is as honest as its strongest baseline."""

from collections.abc import Sequence
from functools import reduce
from types import ModuleType

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import log_loss

from sslbook.data.histories import EntityDays, time_since_last
from sslbook.data.transactions import DAY, Transactions, TransactionSplit
from sslbook.evaluate import Prediction, decide, inner_folds

# Trees for a handful of findings, and for a thousand.
TREES = (
    {"num_leaves": 4, "min_child_samples": 2},
    {"num_leaves": 8, "min_child_samples": 5},
    {"num_leaves": 8, "min_child_samples": 20},
    {"num_leaves": 31, "min_child_samples": 20},
)


def majority(labels: np.ndarray, n_test: int, classes: int) -> Prediction:
    """Predict the class frequencies of the drawn labels for every test case.

    Parameters
    ----------
    labels : int array, shape (n,), the drawn labels.
    """
    frequency = np.bincount(labels, minlength=classes) / len(labels)
    return Prediction(np.tile(frequency, (n_test, 1)), np.full(n_test, frequency.argmax()))


def prevalence(labels: np.ndarray, n_test: int) -> Prediction:
    """Say the share of findings among the drawn labels of every test case: chance, whatever the metric."""
    return majority(labels, n_test, classes=2)


def pixels(images: np.ndarray) -> np.ndarray:
    """Pictures (n, height, width, channels) as rows of raw pixel values (n, height * width * channels), float32."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def principal_components(pool: np.ndarray, *others: np.ndarray, components: int = 50) -> list[np.ndarray]:
    """Leading principal components, fitted on the unlabelled pool: the classical representation learner.

    Parameters
    ----------
    pool, others : float arrays, shape (n, d)

    Returns
    -------
    list of float arrays, shape (n, components), for the pool and the others.
    """
    pca = PCA(min(components, *pool.shape), random_state=0).fit(pool)
    return [pca.transform(x).astype(np.float32) for x in (pool, *others)]


def boosted_trees(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, seed: int = 0,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None, categorical: Sequence[int] = (),
    min_rounds: int = 40, max_rounds: int = 100,
) -> Prediction:  # fmt: skip
    """LightGBM, the method to beat on tables; settings and threshold come from cross-validation on the labels given.

    At least ``min_rounds`` trees vote: on few findings the log loss asks to stop after one, which ranks badly.

    Parameters
    ----------
    features, test_features : float arrays, shape (n, d) and (n_test, d); NaN is a missing value.
    labels : int array, shape (n,), 1 = the finding.
    groups, sample_weight : optional arrays, shape (n,), as for ``linear_probe``.
    categorical : columns that hold codes.
    """
    lightgbm = import_lightgbm()
    folds = list(inner_folds(labels, seed, groups=groups))
    held = np.concatenate([held for _, held in folds])
    weight = np.ones(len(labels)) if sample_weight is None else sample_weight
    common = {
        "objective": "binary", "metric": "binary_logloss", "learning_rate": 0.1, "feature_fraction": 0.5,
        "lambda_l2": 1.0, "max_bin": 63, "feature_pre_filter": False, "seed": seed, "deterministic": True,
        "force_row_wise": True, "n_jobs": 1, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(
        features, labels, weight=weight, categorical_feature=list(categorical), params=common, free_raw_data=False
    )
    stop = lightgbm.early_stopping(min_rounds, verbose=False)
    best_loss = np.inf
    for trees in TREES:
        tried = lightgbm.cv(common | trees, data, max_rounds, folds=folds, callbacks=[stop], return_cvbooster=True)
        boosters = tried["cvbooster"].boosters
        rounds = max(min_rounds, tried["cvbooster"].best_iteration)
        scores = [b.predict(features[h], num_iteration=rounds) for b, (_, h) in zip(boosters, folds, strict=True)]
        loss = log_loss(labels[held], np.concatenate(scores), sample_weight=weight[held])
        if loss < best_loss:
            best_loss, best, best_rounds, held_scores = loss, trees, rounds, np.concatenate(scores)
    model = lightgbm.train(common | best, data, best_rounds)
    both = _two_columns(model.predict(test_features))
    return Prediction(both, decide(_two_columns(held_scores), labels[held], both))


def import_lightgbm() -> ModuleType:
    """Imported where it is used: it needs the system's OpenMP, which the other chapters can do without."""
    try:
        import lightgbm
    except OSError as error:
        raise OSError(
            "LightGBM finds no OpenMP library; install it (macOS: brew install libomp, Debian: apt install libgomp1)."
        ) from error
    return lightgbm


def isolation_forest(pool: np.ndarray, test_features: np.ndarray, seed: int = 0, share: float = 0.01) -> Prediction:
    """Suspicion without any label: how few random cuts set a case apart from the pool (Liu et al. 2008).

    The scores are ranks between 0 and 1, no probabilities; the ``share`` of the test cases that rank highest is decided
    to be a finding.

    Parameters
    ----------
    pool, test_features : float arrays, shape (n, d) and (n_test, d); NaN is a missing value.
    """
    forest = IsolationForest(random_state=seed, n_jobs=1).fit(pool)
    ranks = rankdata(-forest.score_samples(test_features)) / len(test_features)
    return Prediction(_two_columns(ranks), (ranks > 1 - share).astype(int))


def _two_columns(scores: np.ndarray) -> np.ndarray:
    return np.stack([1 - scores, scores], axis=1)


# ------------------------------------------------------------------------------- what an analyst computes by hand


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
