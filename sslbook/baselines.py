"""Baselines that need no pretraining. A comparison is as honest as its strongest baseline."""

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType

import numpy as np
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from sslbook.metrics.classification import Metrics, Prediction, classification_metrics, rare_finding_metrics
from sslbook.probes import choose_held_out, decided, inner_folds

# Trees for a handful of findings, and for a thousand, from simple to rich.
TREES = (
    {"num_leaves": 4, "min_child_samples": 2}, {"num_leaves": 8, "min_child_samples": 5},
    {"num_leaves": 8, "min_child_samples": 20}, {"num_leaves": 31, "min_child_samples": 20},
)  # fmt: skip
DEFAULT_TREES = 2


def majority(labels: np.ndarray, n_test: int, n_classes: int, metrics: Metrics = classification_metrics) -> Prediction:
    """Predict the class frequencies of the drawn labels for every test case.

    Parameters
    ----------
    labels : int array, shape (n,), the drawn labels.
    metrics : of the drawn labels, what to report as ``cv_scores``; a constant needs no folds.
    """
    frequency = np.bincount(labels, minlength=n_classes) / len(labels)

    def constant(n: int) -> Prediction:
        return Prediction(np.tile(frequency, (n, 1)), np.full(n, frequency.argmax()))

    said = constant(len(labels))
    return replace(constant(n_test), cv_scores={name: m(said).item() for name, m in metrics(labels).items()})


def prevalence(labels: np.ndarray, n_test: int, metrics: Metrics = rare_finding_metrics) -> Prediction:
    """Predict for every test case the share of findings among the drawn labels: chance, whatever the metric."""
    return majority(labels, n_test, n_classes=2, metrics=metrics)


def principal_components(pool: np.ndarray, *others: np.ndarray, components: int = 50) -> list[np.ndarray]:
    """Leading principal components, fitted on the unlabelled pool: the classical representation learner.

    They are ready for a probe: centred, and all divided by one number, so that the mean of their variances over the
    pool is 1. Do not standardise them. Dividing each by its own deviation is whitening: the last component, mostly
    noise, would count as much as the first, and the few labels be spent on telling the two apart.

    Parameters
    ----------
    pool, others : float arrays, shape (n, d)

    Returns
    -------
    list of float arrays, shape (n, components), for the pool and the others.
    """
    pca = PCA(min(components, *pool.shape), random_state=0).fit(pool)
    parts = [pca.transform(x) for x in (pool, *others)]
    scale = np.sqrt(parts[0].var(axis=0).mean())
    return [(x / (scale if scale > 0 else 1)).astype(np.float32) for x in parts]


def boosted_trees(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, seed: int = 0,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None, categorical: Sequence[int] = (),
    metrics: Metrics = rare_finding_metrics, rounds: int = 100,
) -> Prediction:  # fmt: skip
    """LightGBM, the method to beat on tables; settings and threshold come from cross-validation on the labels given.

    The setting is chosen from ``TREES`` by the first of the metrics (see ``choose_setting``); all labels train the
    model. There is no early stopping: the log loss of few findings asks to stop after a few trees, which rank badly.

    Parameters
    ----------
    features, test_features : float arrays, shape (n, d) and (n_test, d); NaN is a missing value.
    labels : int array, shape (n,), 1 = the finding.
    groups, sample_weight : optional arrays, shape (n,), as for ``linear_probe``.
    categorical : columns that hold codes.
    metrics : of the labels of held-out cases; the first one chooses, all are reported as ``cv_scores``.
    rounds : number of trees.
    """
    lightgbm = import_lightgbm()
    folds = list(inner_folds(labels, seed, groups=groups))
    weight = np.ones(len(labels)) if sample_weight is None else sample_weight
    common = {
        "objective": "binary", "metric": "binary_logloss", "learning_rate": 0.1, "feature_fraction": 0.5,
        "lambda_l2": 1.0, "max_bin": 63, "feature_pre_filter": False, "seed": seed, "deterministic": True,
        "force_row_wise": True, "n_jobs": 1, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(
        features, labels, weight=weight, categorical_feature=list(categorical), params=common, free_raw_data=False
    )
    tried = []
    for trees in TREES:
        boosters = lightgbm.cv(common | trees, data, rounds, folds=folds, return_cvbooster=True)["cvbooster"].boosters
        scores = [_two_columns(b.predict(features[h])) for b, (_, h) in zip(boosters, folds, strict=True)]
        tried.append([[(labels[h], s, weight[h]) for s, (_, h) in zip(scores, folds, strict=True)]])
    best, _ = choose_held_out(tried, metrics, DEFAULT_TREES)
    model = lightgbm.train(common | TREES[best], data, rounds)
    return decided(tried[best][0], _two_columns(model.predict(test_features)), metrics)


def import_lightgbm() -> ModuleType:
    """Imported where it is used: it needs the system's OpenMP, which the other chapters can do without."""
    try:
        import lightgbm
    except OSError as error:
        raise OSError(
            "LightGBM finds no OpenMP library; install it (macOS: brew install libomp, Debian: apt install libgomp1)."
        ) from error
    return lightgbm


def isolation_forest(
    pool: np.ndarray, test_features: np.ndarray, seed: int = 0, share: float = 0.01,
    drawn: tuple[np.ndarray, np.ndarray] | None = None, metrics: Metrics = rare_finding_metrics,
) -> Prediction:  # fmt: skip
    """Suspicion without any label: how few random cuts set a case apart from the pool (Liu et al. 2008).

    The scores are ranks between 0 and 1, no probabilities; the ``share`` of the test cases that rank highest is decided
    to be a finding.

    Parameters
    ----------
    pool, test_features : float arrays, shape (n, d) and (n_test, d); NaN is a missing value.
    drawn : features and labels of the drawn cases, if it shall report ``cv_scores``: as no label was learnt from, all
        drawn cases are held out.
    metrics : of the labels of the drawn cases.
    """
    forest = IsolationForest(random_state=seed, n_jobs=1).fit(pool)

    def said(features: np.ndarray) -> Prediction:
        ranks = rankdata(-forest.score_samples(features)) / len(features)
        return Prediction(_two_columns(ranks), (ranks > 1 - share).astype(int))

    if drawn is None:
        return said(test_features)
    told = {name: metric(said(drawn[0])).item() for name, metric in metrics(drawn[1]).items()}
    return replace(said(test_features), cv_scores=told)


def _two_columns(scores: np.ndarray) -> np.ndarray:
    return np.stack([1 - scores, scores], axis=1)
