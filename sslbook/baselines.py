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
    lightgbm = _lightgbm()
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


def _lightgbm() -> ModuleType:
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
    hour the card has not had for 7 or 30 days; small and nightly payments; repeats at one merchant.

    Parameters
    ----------
    table : payments with the number ``amount``, categories, an entity, and ``merchant`` among the details where known.
    days : ``EntityDays(table.everything.entities, table.everything.days)``
    """
    events = table.everything
    amount = events.numeric[:, table.numeric_names.index("amount")].astype(float)
    columns = _sums(days, events, amount) | _against_the_month(days, amount)
    hour = (events.time % DAY // 3600).astype(int)
    habits = dict(zip(table.categorical_names, events.categorical.T, strict=True))
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
    columns["shortest_gap"] = -days.largest(-np.log(time_since_last(events.time, events.entities) + 60))
    columns["days_since_last"] = pd.Series(days.day).groupby(days.entity).diff().fillna(30).to_numpy()
    columns["weekday"] = days.day % 7
    return pd.DataFrame(columns).astype(np.float32)


def _pairs(entities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """One number for each pair of entity and code."""
    return entities * (int(codes.max()) + 1) + codes


def _sums(days: EntityDays, events: TransactionSplit, amount: np.ndarray) -> dict[str, np.ndarray]:
    """Counts and sums over 1, 7 and 30 days."""
    hour, small = events.time % DAY / 3600, amount < 5
    dense = {name: days.total(values) for name, values in (
        ("count", np.ones(len(amount))), ("sum", amount), ("nightly", hour < 6), ("small", small))}  # fmt: skip
    columns = {}
    for span in (1, 7, 30):
        spans = {name: days.at(days.window(values, span)) for name, values in dense.items()}
        columns |= {f"{name}_{span}": np.log1p(v) if name == "sum" else v for name, v in spans.items()}
        columns[f"mean_{span}"] = np.log1p(spans["sum"] / spans["count"])
    return columns


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
