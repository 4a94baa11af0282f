"""Evaluate a representation: probes, fine-tuning, metrics and bootstrap intervals.

Every label spent counts: probes and networks choose their settings and their threshold by cross-validation inside the
labels they are given, never on a larger labelled set.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.special import logit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, StratifiedShuffleSplit
from torch import Tensor, nn

from sslbook.augment import to_tensor
from sslbook.encoders import encode
from sslbook.train import default_precision

# Weak penalties may stop early. For the whole process: `catch_warnings` mixes up threads, and probes run side by side.
warnings.filterwarnings("ignore", category=ConvergenceWarning)

# ---------------------------------------------------------------------------------------------------- metrics


def roc_auc(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve, for many weightings of the cases at once; macro one-vs-rest for several classes.

    Parameters
    ----------
    labels : int array, shape (n,)
    scores : float array, shape (n, classes)
    weights : optional array, shape (replicates, n), the multiplicity of each case in a bootstrap sample.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights. NaN where a sample lacks one of the classes.
    """
    w = np.ones((1, len(labels))) if weights is None else np.asarray(weights, dtype=float)
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    area = np.mean([_binary_auc(labels == c, scores[:, c], w) for c in classes], axis=0)
    return area[0] if weights is None else area


def _binary_auc(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of (positive, negative) pairs in the right order; ties count half (the Mann-Whitney statistic)."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    pos = np.add.reduceat(weights[:, order] * positive[order], starts, axis=1)
    neg = np.add.reduceat(weights[:, order] * ~positive[order], starts, axis=1)
    below = np.cumsum(neg, axis=1) - neg
    with np.errstate(invalid="ignore"):
        return (pos * (below + neg / 2)).sum(axis=1) / (pos.sum(axis=1) * neg.sum(axis=1))


def balanced_accuracy(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean over classes of the share of its cases that are recognised; the base rate does not matter.

    Parameters
    ----------
    labels, decisions : int arrays, shape (n,)
    weights : optional array, shape (replicates, n)
    """
    w = np.ones((1, len(labels))) if weights is None else np.asarray(weights, dtype=float)
    with np.errstate(invalid="ignore"):
        recalls = [
            w[:, labels == c] @ (decisions[labels == c] == c).astype(float) / w[:, labels == c].sum(axis=1)
            for c in np.unique(labels)
        ]
    value = np.mean(recalls, axis=0)
    return value[0] if weights is None else value


def sensitivity_at_specificity(labels: np.ndarray, scores: np.ndarray, specificity: float) -> float:
    """Largest share of positives found while at least ``specificity`` of the negatives stay below the threshold.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = the finding.
    scores : float array, shape (n,), higher = more suspicious.
    """
    negatives = np.sort(scores[labels == 0])
    allowed = math.floor((1 - specificity) * len(negatives) + 1e-9)
    threshold = negatives[len(negatives) - allowed - 1] if allowed < len(negatives) else -np.inf
    return float(np.mean(scores[labels == 1] > threshold))


def average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean precision over the findings, each at the threshold that just reaches it: scikit-learn's step-wise sum.

    Cases of equal score are found together, so that constant scores give the share of findings.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = the finding.
    scores : float array, shape (n,), higher = more suspicious, or (n, 2), of which column 1 counts.
    weights : optional array, shape (replicates, n), the multiplicity of each case in a bootstrap sample.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights. NaN where a sample has no finding.
    """
    found, alarms = _ranked_sums(labels, scores, weights)
    steps = np.diff(found, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(steps > 0, found / (found + alarms), 0)
        value = (steps * precision).sum(axis=1) / found[:, -1]
    return value[0] if weights is None else value


def recall_at_false_positive_rate(
    labels: np.ndarray, scores: np.ndarray, rate: float = 0.001, weights: np.ndarray | None = None
) -> np.ndarray:
    """Largest share of the findings above a threshold that at most a share ``rate`` of the other cases exceeds.

    Parameters and return value are those of ``average_precision``; cases of equal score stand on one side together.
    """
    found, alarms = _ranked_sums(labels, scores, weights)
    negative = np.asarray(labels) != 1
    total = negative.sum() if weights is None else weights @ negative.astype(float)
    reached = np.where(alarms <= np.reshape(rate * total, (-1, 1)) * (1 + 1e-9), found, 0).max(axis=1)
    with np.errstate(invalid="ignore"):
        value = reached / found[:, -1]
    return value[0] if weights is None else value


def _ranked_sums(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Weight of findings and of false alarms at each threshold that reaches a finding, both (replicates, thresholds).

    The thresholds fall; only scores that a finding has are thresholds, which is all that the metrics need.
    """
    scores = scores[:, 1] if scores.ndim == 2 else scores
    w = np.ones((1, len(labels))) if weights is None else weights
    thresholds = np.unique(scores[labels == 1])[::-1]
    if not len(thresholds):
        return np.zeros((len(w), 1)), np.zeros((len(w), 1))
    reached = np.flatnonzero(scores >= thresholds[-1])
    rank = np.searchsorted(-thresholds, -scores[reached])
    order = np.argsort(rank, kind="stable")
    columns, finding = reached[order], labels[reached[order]] == 1
    starts = np.searchsorted(rank[order], np.arange(len(thresholds)))
    found, total = np.empty((2, len(w), len(thresholds)))
    for part in np.array_split(np.arange(len(w)), -(-len(w) // 50)):  # blocks that stay in the cache
        drawn = w[part[0] : part[-1] + 1, columns]
        total[part] = np.add.reduceat(drawn, starts, axis=1)
        found[part] = np.add.reduceat(drawn[:, finding], np.searchsorted(np.flatnonzero(finding), starts), axis=1)
    return np.cumsum(found, axis=1), np.cumsum(total - found, axis=1)


def calibration_curve(labels: np.ndarray, probability: np.ndarray, bins: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Mean predicted probability and observed frequency in bins of equal size."""
    parts = np.array_split(np.argsort(probability), bins)
    return np.array([probability[p].mean() for p in parts]), np.array([labels[p].mean() for p in parts])


def bootstrap_weights(n: int, replicates: int, seed: int = 0, groups: np.ndarray | None = None) -> np.ndarray:
    """How often each case is drawn in each bootstrap sample; whole groups (patients) are drawn where given.

    Returns
    -------
    float array, shape (replicates, n)
    """
    units = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = units.max() + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=replicates)
    return drawn[:, units].astype(float)


# ------------------------------------------------------------------------------------------- the alert queue


def card_days(
    labels: np.ndarray, scores: np.ndarray, days: np.ndarray, entities: np.ndarray | None = None,
    amounts: np.ndarray | None = None,
) -> pd.DataFrame:  # fmt: skip
    """One row per card and day, by day and then by falling score: what an investigator can be asked to look at.

    Parameters
    ----------
    labels : int array, shape (n,), 1 = fraud.
    scores : float array, shape (n,) or (n, 2), of which column 1 counts.
    days : int array, shape (n,)
    entities : array, shape (n,), the cards (customers, policies); None where every row stands alone.
    amounts : optional float array, shape (n,)

    Returns
    -------
    frame of day, card (numbered from 0), score (the highest of the day), label (1 if any row is fraud), amount (of the
    fraudulent rows) and case (a row of the card).
    """
    cards = np.arange(len(labels)) if entities is None else np.unique(entities, return_inverse=True)[1]
    scores = scores[:, 1] if scores.ndim == 2 else scores
    stolen = np.where(labels == 1, 0.0 if amounts is None else amounts, 0.0)
    rows = {
        "day": days,
        "card": cards,
        "score": scores,
        "label": labels,
        "amount": stolen,
        "case": np.arange(len(days)),
    }
    pooled = {"score": "max", "label": "max", "amount": "sum", "case": "min"}
    table = pd.DataFrame(rows).groupby(["day", "card"], as_index=False).agg(pooled)
    return table.sort_values(["day", "score"], ascending=[True, False], ignore_index=True)


def alert_queue(
    cases: pd.DataFrame, k: int, weights: np.ndarray | None = None
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Review the ``k`` most suspicious cards of every day; a card found fraudulent is blocked and not reviewed again.

    Parameters
    ----------
    cases : from ``card_days``.
    k : cards that can be reviewed in a day. Cards of equal score share the last reviews.
    weights : optional array, shape (replicates, n), equal for all rows of a card: a card of weight 2 is two cards.

    Yields
    ------
    frame, array : the most suspicious cards of the day, and the reviews that each gets, shape (replicates, cards).

    Raises
    ------
    ValueError
        If the weights differ within a card.
    """
    card, case, guilty = (cases[name].to_numpy() for name in ("card", "case", "label"))
    w = np.ones((1, case.max() + 1)) if weights is None else weights
    if (w[0, case] != w[0, case[np.unique(card, return_index=True)[1]]][card]).any():
        raise ValueError("weights differ within a card; resample and thin whole cards, not rows.")
    offender = np.unique(np.where(np.isin(card, card[guilty == 1]), card, -1), return_inverse=True)[1]
    at_large = np.ones((len(w), offender.max() + 1))  # share of an offender that no review has found yet
    for day in np.split(np.arange(len(cases)), np.flatnonzero(np.diff(cases["day"])) + 1):
        scores, size = cases["score"].to_numpy()[day], 0
        while size < len(day):
            size = np.searchsorted(-scores, -scores[min(max(2 * k, 2 * size), len(day)) - 1], side="right")
            top = day[:size]
            present = w[:, case[top]] * at_large[:, offender[top]]
            if present.sum(axis=1).min() >= k:  # the first 2 k cards nearly always hold all that are reviewed
                break
        share = _shared(present, scores[:size], k)
        caught = guilty[top] == 1
        at_large[:, offender[top[caught]]] *= 1 - share[:, caught]
        yield cases.iloc[top], present * share


def _shared(present: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Share of each card that ``k`` reviews reach, by falling score; shape (replicates, cards) as ``present``."""
    starts = np.flatnonzero(np.diff(scores, prepend=np.inf))
    tied = np.add.reduceat(present, starts, axis=1)
    left = k - (np.cumsum(tied, axis=1) - tied)
    share = np.clip(left, 0, tied) / np.where(tied > 0, tied, 1)
    return share[:, np.repeat(np.arange(len(starts)), np.diff(starts, append=len(scores)))]


def card_precision_at_k(
    labels: np.ndarray, scores: np.ndarray, days: np.ndarray, entities: np.ndarray | None = None, k: int = 100,
    weights: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Share of ``k`` reviewed cards a day that are fraudulent, mean over days (Le Borgne et al. 2022, chapter 4.4).

    A card that was found fraudulent leaves the queue of later days. On a day of fewer than k cards, reviews are idle.

    Parameters
    ----------
    labels, scores, days, entities : as for ``card_days``.
    k, weights : as for ``alert_queue``.

    Returns
    -------
    array, shape (replicates,), or a scalar without weights.
    """
    cases = card_days(labels, scores, days, entities)
    caught = [reviews @ (top["label"].to_numpy() == 1) for top, reviews in alert_queue(cases, k, weights)]
    value = np.mean(caught, axis=0) / k
    return value[0] if weights is None else value


def money_saved(
    labels: np.ndarray, scores: np.ndarray, amounts: np.ndarray, days: np.ndarray, entities: np.ndarray | None,
    k: int, cost_per_review: float, weights: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Money that the alert queue saves in a day: the frauds of the reviewed cards less the cost of the reviews.

    Parameters and return value are those of ``card_precision_at_k``, and

    amounts : float array, shape (n,), in the currency of ``cost_per_review``.
    """
    cases = card_days(labels, scores, days, entities, amounts)
    gains = [r @ (top["amount"].to_numpy() - cost_per_review) for top, r in alert_queue(cases, k, weights)]
    value = np.mean(gains, axis=0)
    return value[0] if weights is None else value


def alert_outcomes(
    cases: pd.DataFrame, reviews: Sequence[int], cost_per_review: float, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """What so many reviews a day bring on average: cards reviewed, frauds found, false alarms, money saved.

    Parameters
    ----------
    cases : from ``card_days``.
    reviews : numbers of cards to review in a day, one row of the result each.
    weights : optional float array, shape (n,), how many payments a payment stands for; equal within a card.
    """
    weights = None if weights is None else weights[None]
    rows = []
    for k in reviews:
        days = [(top["label"].to_numpy() == 1, top["amount"].to_numpy(), reviewed[0])
                for top, reviewed in alert_queue(cases, k, weights)]  # fmt: skip
        found, stolen, looked_at = np.mean([(r @ fraud, r @ amount, r.sum()) for fraud, amount, r in days], axis=0)
        rows.append((looked_at, found, looked_at - found, stolen - cost_per_review * looked_at))
    columns = ["reviewed", "frauds_found", "false_alarms", "money_saved"]
    return pd.DataFrame(rows, index=pd.Index(reviews, name="reviews"), columns=columns)


# ---------------------------------------------------------------------------------- decisions from few labels


@dataclass(frozen=True)
class Prediction:
    """What an entrant says about the test cases.

    Attributes
    ----------
    scores : float array, shape (n_test, classes), probabilities.
    decisions : int array, shape (n_test,), the class decided for; the threshold comes from the training labels only.
    """

    scores: np.ndarray
    decisions: np.ndarray


def inner_folds(
    labels: np.ndarray, seed: int, folds: int = 5, few: int = 200, groups: np.ndarray | None = None
) -> Iterator[tuple]:
    """Cross-validation inside the drawn labels: stratified folds when labels are few, one held-out fifth when many.

    The labels are few also when one class has less than 5, so that a case of every class is held out.

    Parameters
    ----------
    labels : int array, shape (n,)
    groups : optional array, shape (n,), cards (patients) that stay in one fold. Then the groups with a finding (of the
        highest class) are dealt out evenly, and it is their number that is few or many. Rows that are groups of their
        own (``np.arange(n)``) make the folds of rare findings.
    """
    if groups is not None:
        return _group_folds(labels, seed, folds, few, np.unique(groups, return_inverse=True)[1])
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.min() < 2:
        raise ValueError("cross-validation needs at least 2 labels of each of 2 classes; draw more labels.")
    if len(labels) > few and counts.min() >= 5:
        splitter = StratifiedShuffleSplit(1, test_size=0.2, random_state=seed)
    else:
        splitter = StratifiedKFold(min(folds, counts.min()), shuffle=True, random_state=seed)
    return splitter.split(np.zeros(len(labels)), labels)


def _group_folds(labels: np.ndarray, seed: int, folds: int, few: int, groups: np.ndarray) -> Iterator[tuple]:
    """``StratifiedGroupKFold`` would try every group in every fold, which takes longer than the fits."""
    kinds = np.full(groups.max(initial=-1) + 1, -1)
    np.maximum.at(kinds, groups, labels)
    with_class = [len(np.unique(groups[labels == c])) for c in np.unique(labels)]
    if len(with_class) < 2 or min(with_class) < 2:
        raise ValueError("cross-validation needs at least 2 groups with each of 2 classes; draw more groups.")
    rarest = np.unique(kinds, return_counts=True)[1].min()
    splitter = StratifiedKFold(max(2, min(folds, rarest, *with_class)), shuffle=True, random_state=seed)
    splits = []
    for _, held in splitter.split(kinds, kinds if rarest > 1 else kinds * 0):
        inside = np.isin(groups, held)
        if len(np.unique(labels[~inside])) < len(with_class):
            raise ValueError("a fold would leave a class without labels; draw more groups.")
        splits.append((np.flatnonzero(~inside), np.flatnonzero(inside)))
    return iter(splits[:1] if rarest > few else splits)


def decide(heldout_scores: np.ndarray, heldout_labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Turn scores into decisions with the threshold that held-out scores of the training labels ask for.

    Two classes: a logistic curve with balanced class weights is fitted to the held-out log-odds, and its crossing of
    one half is the threshold; a curve uses every held-out score, a best cut only the few around it. Several classes:
    the largest score after division by the class frequencies.

    Parameters
    ----------
    heldout_scores : float array, shape (m, classes)
    heldout_labels : int array, shape (m,)
    scores : float array, shape (n, classes), the cases to decide.

    Returns
    -------
    int array, shape (n,)
    """
    if scores.shape[1] > 2:
        prior = np.bincount(heldout_labels, minlength=scores.shape[1]) / len(heldout_labels)
        return (scores / np.maximum(prior, 1 / len(heldout_labels))).argmax(axis=1)  # a class may lack by chance
    platt = LogisticRegression(C=1.0, class_weight="balanced")
    platt.fit(_log_odds(heldout_scores), heldout_labels)
    return platt.predict(_log_odds(scores))


def _log_odds(scores: np.ndarray) -> np.ndarray:
    return logit(np.clip(scores[:, 1:], 1e-4, 1 - 1e-4))


# -------------------------------------------------------------------------------------------------- the probe


def linear_probe(
    features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, classes: int, seed: int = 0,
    groups: np.ndarray | None = None, sample_weight: np.ndarray | None = None,
) -> Prediction:  # fmt: skip
    """Logistic regression on frozen features; C and the threshold come from cross-validation on the given labels.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``).
    labels : int array, shape (n,)
    test_features : float array, shape (n_test, d)
    classes : number of classes.
    groups : optional array, shape (n,), rows that stay in one fold (see ``inner_folds``).
    sample_weight : optional float array, shape (n,), how many cases a row stands for in the fits and the choice of C.
    """
    weight = np.ones(len(labels)) if sample_weight is None else sample_weight
    grid = np.logspace(-4, 1, 6)
    held_index, held_scores = [], [[] for _ in grid]
    for train, held in inner_folds(labels, seed, groups=groups):
        held_index.append(held)
        path = _logistic_path(features[train], labels[train], weight[train], grid)
        for scores, model in zip(held_scores, path, strict=True):
            scores.append(_probabilities(model, features[held], classes))
    held = np.concatenate(held_index)
    held_labels, held_weight = labels[held], weight[held]
    held_scores = [np.concatenate(scores) for scores in held_scores]
    losses = [log_loss(held_labels, s, labels=range(classes), sample_weight=held_weight) for s in held_scores]
    best = int(np.argmin(losses))
    model = _logistic_path(features, labels, weight, grid[best : best + 1])[0]
    scores = _probabilities(model, test_features, classes)
    return Prediction(scores, decide(held_scores[best], held_labels, scores))


def ridge_probe(features: np.ndarray, labels: np.ndarray, test_features: np.ndarray) -> Prediction:
    """Linear regression of many yes-or-no labels at once; one penalty, chosen by leave-one-out on the given labels.

    Parameters
    ----------
    features : float array, shape (n, d), standardised (see ``standardise``).
    labels : int array, shape (n, k), 0 or 1; a case can have several labels, or none.
    test_features : float array, shape (n_test, d)

    Returns
    -------
    Prediction with scores and decisions of shape (n_test, k); the scores rank cases and are no probabilities.
    """
    model = RidgeCV(np.logspace(0, 5, 11)).fit(features, labels)
    scores = model.predict(test_features)
    return Prediction(scores, (scores > 0.5).astype(int))


def _logistic_path(
    features: np.ndarray, labels: np.ndarray, weight: np.ndarray, grid: np.ndarray
) -> list[LogisticRegression]:
    """One model per C, each started from the last."""
    model = LogisticRegression(max_iter=300, tol=1e-3, warm_start=True)
    return [copy.deepcopy(model.set_params(C=c).fit(features, labels, weight)) for c in grid]


def _probabilities(model: LogisticRegression, features: np.ndarray, classes: int) -> np.ndarray:
    scores = np.zeros((len(features), classes))
    scores[:, model.classes_] = model.predict_proba(features)
    return scores / scores.sum(axis=1, keepdims=True)


def standardise(pool: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Centre and scale by the mean and deviation of the unlabelled pool; constant columns become zero."""
    mean, std = pool.mean(axis=0), pool.std(axis=0)
    return [((x - mean) / np.where(std > 1e-8, std, 1)).astype(np.float32) for x in (pool, *others)]


# --------------------------------------------------------------------------------------- networks with labels


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained; the same for every network, pretrained or not.

    Attributes
    ----------
    augment : random views during training: maps (cases, generator) to cases, or None.
    learning_rate : peak of the one-cycle schedule of AdamW.
    passes, min_steps : passes over the labels, but at least so many optimiser steps.
    batch_size : None takes an eighth of the labels, between 32 and 256.
    balanced : True draws every class equally often, for rare findings.
    """

    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None
    learning_rate: float = 4e-3
    weight_decay: float = 0.05
    passes: float = 12
    min_steps: int = 60
    batch_size: int | None = None
    balanced: bool = False


def fit_classifier(
    encoder: nn.Module, cases: np.ndarray, labels: np.ndarray, classes: int, recipe: Recipe, seed: int
) -> nn.Module:
    """Train a copy of the encoder and a new linear layer on labelled cases.

    Parameters
    ----------
    encoder : fresh for training from scratch, pretrained for fine-tuning; not changed.
    cases : what the encoder reads, see ``sslbook.augment.to_tensor``.
    labels : int array, shape (n,)

    Returns
    -------
    module that maps what the encoder reads to logits (n, classes), in evaluation mode.
    """
    device = next(encoder.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    head = nn.Linear(encoder.out_features, classes, device=device)
    # Not zeros: with AdamW all weights of a class would move alike, and the features would die for the other class.
    nn.init.uniform_(head.weight, -(encoder.out_features**-0.5), encoder.out_features**-0.5, generator=generator)
    nn.init.zeros_(head.bias)
    model = nn.Sequential(copy.deepcopy(encoder), head).train()
    x, y = to_tensor(cases, device), torch.as_tensor(labels, device=device)
    batch = min(len(y), recipe.batch_size or int(np.clip(len(y) // 8, 32, 256)))
    pictures = cases.dtype == np.uint8
    steps = max(recipe.min_steps, int(recipe.passes * len(y) / batch))
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    if recipe.balanced:
        order = torch.multinomial(1 / torch.bincount(y)[y].float(), steps * batch, True, generator=generator)
    else:
        order = torch.cat([torch.randperm(len(y), generator=generator, device=device)
                           for _ in range(math.ceil(steps * batch / len(y)))])  # fmt: skip
    for step in range(steps):
        rows = order[step * batch : (step + 1) * batch]
        views = x[rows] if recipe.augment is None else recipe.augment(x[rows], generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=default_precision(pictures) == "bf16-mixed"):
            logits = model(views)
        loss = F.cross_entropy(logits.float(), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def fine_tune(
    encoder: nn.Module, cases: np.ndarray, labels: np.ndarray, test_cases: np.ndarray, classes: int,
    recipe: Recipe, seed: int = 0, groups: np.ndarray | None = None,
) -> Prediction:  # fmt: skip
    """Train the whole network on the given labels, one model per fold; the folds vote and give the threshold.

    With few labels every label trains all models but one; with many, one model leaves out a fifth (``inner_folds``).

    Parameters
    ----------
    encoder : fresh (supervised from scratch) or pretrained (fine-tuning); not changed.
    cases, test_cases : what the encoder reads, see ``sslbook.augment.to_tensor``.
    labels : int array, shape (n,)
    groups : optional array, shape (n,), cases that stay in one fold.
    """
    scores, held_scores, held_labels = [], [], []
    for train, held in inner_folds(labels, seed, folds=3, groups=groups):
        model = fit_classifier(encoder, cases[train], labels[train], classes, recipe, seed)
        scores.append(predict(model, test_cases))
        held_scores.append(predict(model, cases[held]))
        held_labels.append(labels[held])
    mean = np.mean(scores, axis=0)
    return Prediction(mean, decide(np.concatenate(held_scores), np.concatenate(held_labels), mean))


def predict(model: nn.Module, cases: np.ndarray) -> np.ndarray:
    """Class probabilities (n, classes) of stored cases."""
    return softmax(encode(model, cases), axis=1)
