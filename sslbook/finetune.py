"""Train a whole network on labels, from random or from pretrained weights."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import softmax
from torch import Tensor, nn

from sslbook.augment.tensors import Cases, network_input, reads, take
from sslbook.encoders.features import encode
from sslbook.metrics.classification import Metrics, Prediction, classification_metrics
from sslbook.parallel import map_all
from sslbook.probes import choose_setting, decided, inner_folds
from sslbook.runs import Store
from sslbook.train import OneCycle, batches_of, default_precision

VOTES = 3  # models that vote, with few labels and with many


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
    encoder: nn.Module, cases: Cases, labels: np.ndarray, n_classes: int, recipe: Recipe, seed: int
) -> nn.Module:
    """Train a copy of the encoder and a new linear layer on labelled cases.

    Parameters
    ----------
    encoder : fresh for training from scratch, pretrained for fine-tuning; not changed.
    cases : what the encoder reads, see ``sslbook.augment.network_input``.
    labels : int array, shape (n,)

    Returns
    -------
    module that maps what the encoder reads to logits (n, n_classes), in evaluation mode.
    """
    device = next(encoder.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    head = nn.Linear(encoder.out_features, n_classes, device=device)
    # Not zeros: with AdamW all weights of a class would move alike, and the features would die for the other class.
    nn.init.uniform_(head.weight, -(encoder.out_features**-0.5), encoder.out_features**-0.5, generator=generator)
    nn.init.zeros_(head.bias)
    model = Classifier(copy.deepcopy(encoder), head).train()
    x, y = network_input(encoder, cases, device), torch.as_tensor(labels, device=device)
    batch = min(len(y), recipe.batch_size or int(np.clip(len(y) // 8, 32, 256)))
    steps = max(recipe.min_steps, int(recipe.passes * len(y) / batch))
    half = default_precision(reads(encoder)) == "bf16-mixed"
    descent = OneCycle(model, steps, recipe.learning_rate, recipe.weight_decay)
    if recipe.balanced:
        batches = _balanced_batches(y, steps, batch, generator)
    else:
        batches = batches_of(len(y), steps, batch, generator)
    for rows in batches:
        views = take(x, rows) if recipe.augment is None else recipe.augment(take(x, rows), generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = model(views)
        descent.step(F.cross_entropy(logits.float(), y[rows]))
    return model.eval()


def _balanced_batches(y: Tensor, steps: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Indices of so many batches in which every class is equally frequent."""
    order = torch.multinomial(1 / torch.bincount(y)[y].float(), steps * batch_size, True, generator=generator)
    return iter(order.view(steps, batch_size))


class Classifier(nn.Module):
    """An encoder with a linear layer on its features."""

    def __init__(self, encoder: nn.Module, head: nn.Linear):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, cases: Tensor) -> Tensor:
        """Map what the encoder reads to logits (n, n_classes)."""
        return self.head(self.encoder(cases))


def fine_tune(
    encoder: nn.Module, cases: Cases, labels: np.ndarray, test_cases: Cases, n_classes: int,
    recipe: Recipe, seed: int = 0, groups: np.ndarray | None = None, metrics: Metrics = classification_metrics,
) -> Prediction:  # fmt: skip
    """Train the whole network on all the given labels, ``VOTES`` times over; the models vote.

    Other models, one per fold of a cross-validation, give the threshold and the score inside the labels (see
    ``inner_folds``); they have no vote, for each of them has seen a part of the labels only.

    Parameters
    ----------
    encoder : fresh (supervised from scratch) or pretrained (fine-tuning); not changed.
    cases, test_cases : what the encoder reads, see ``sslbook.augment.network_input``.
    labels : int array, shape (n,)
    groups : optional array, shape (n,), cases that stay in one fold.
    metrics : of the labels of held-out cases, what to report as ``cv_scores``.
    """
    held = []
    for train, left_out in inner_folds(labels, seed, folds=3, groups=groups):
        model = fit_classifier(encoder, take(cases, train), labels[train], n_classes, recipe, seed)
        held.append((labels[left_out], predict(model, take(cases, left_out))))
    models = (fit_classifier(encoder, cases, labels, n_classes, recipe, VOTES * seed + i) for i in range(VOTES))
    scores = np.mean([predict(model, test_cases) for model in models], axis=0)
    return decided(held, scores, metrics)


def predict(model: nn.Module, cases: Cases) -> np.ndarray:
    """Class probabilities (n, n_classes) of stored cases."""
    return softmax(encode(model, cases), axis=1)


@dataclass(frozen=True)
class Plateau:
    """How long a method has to be trained.

    Attributes
    ----------
    lengths : that were tried, ascending.
    scores : float array, shape (lengths, repeats), higher is better.
    chosen : the shortest of them that no longer one beats by more than a standard error.
    """

    lengths: tuple[int, ...]
    scores: np.ndarray
    chosen: int

    @property
    def reached(self) -> bool:
        """False if the longest training is still the best beyond doubt: then a longer one might be better."""
        return self.chosen < self.lengths[-1]

    def __str__(self) -> str:
        tried = ", ".join(f"{n:,}: {s:.3f}" for n, s in zip(self.lengths, self.scores.mean(axis=1), strict=True))
        return f"{tried}; {self.chosen:,} {'are enough' if self.reached else 'are not yet the plateau'}"


def training_length(
    score: Callable[[int, int], float], lengths: Sequence[int], repeats: int = 3,
    store: Store | str | Path | None = None,
) -> Plateau:  # fmt: skip
    """Find the length at which a method reaches its plateau, each rival at its own; runs go side by side.

    Parameters
    ----------
    score : maps (length, number of the repeat) to a score, higher is better, on cases that are neither trained on nor
        tested on.
    lengths : steps or passes, ascending, each for example twice the one before.
    store : folder that keeps finished runs.
    """
    pairs = [(length, i) for length in lengths for i in range(repeats)]
    found = map_all(lambda pair: score(*pair), pairs, "training length", store)
    scores = np.array(found, dtype=float).reshape(len(lengths), repeats)
    chosen, _ = choose_setting({"score": scores})
    return Plateau(tuple(lengths), scores, lengths[chosen])
