"""Baselines that need no pretraining. A comparison is as honest as its strongest baseline."""

from collections.abc import Sequence
from types import ModuleType

import numpy as np
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import log_loss

from sslbook.metrics.classification import Prediction
from sslbook.probes import decide, inner_folds

# Trees for a handful of findings, and for a thousand.
TREES = (
    {"num_leaves": 4, "min_child_samples": 2},
    {"num_leaves": 8, "min_child_samples": 5},
    {"num_leaves": 8, "min_child_samples": 20},
    {"num_leaves": 31, "min_child_samples": 20},
)


def majority(labels: np.ndarray, n_test: int, n_classes: int) -> Prediction:
    """Predict the class frequencies of the drawn labels for every test case.

    Parameters
    ----------
    labels : int array, shape (n,), the drawn labels.
    """
    frequency = np.bincount(labels, minlength=n_classes) / len(labels)
    return Prediction(np.tile(frequency, (n_test, 1)), np.full(n_test, frequency.argmax()))


def prevalence(labels: np.ndarray, n_test: int) -> Prediction:
    """Predict for every test case the share of findings among the drawn labels: chance, whatever the metric."""
    return majority(labels, n_test, n_classes=2)


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
