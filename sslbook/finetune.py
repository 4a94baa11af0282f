"""Train a whole network on labels, from random or from pretrained weights."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import softmax
from torch import Tensor, nn

from sslbook.augment.tensors import Cases, network_input, reads, take
from sslbook.encoders.features import encode
from sslbook.metrics.classification import Prediction
from sslbook.probes import decide, inner_folds
from sslbook.train import OneCycle, batches_of, default_precision


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
    recipe: Recipe, seed: int = 0, groups: np.ndarray | None = None,
) -> Prediction:  # fmt: skip
    """Train the whole network on the given labels, one model per fold; the folds vote and give the threshold.

    With few labels every label trains all models but one; with many, one model leaves out a fifth (``inner_folds``).

    Parameters
    ----------
    encoder : fresh (supervised from scratch) or pretrained (fine-tuning); not changed.
    cases, test_cases : what the encoder reads, see ``sslbook.augment.network_input``.
    labels : int array, shape (n,)
    groups : optional array, shape (n,), cases that stay in one fold.
    """
    scores, held_scores, held_labels = [], [], []
    for train, held in inner_folds(labels, seed, folds=3, groups=groups):
        model = fit_classifier(encoder, take(cases, train), labels[train], n_classes, recipe, seed)
        scores.append(predict(model, test_cases))
        held_scores.append(predict(model, take(cases, held)))
        held_labels.append(labels[held])
    mean = np.mean(scores, axis=0)
    return Prediction(mean, decide(np.concatenate(held_scores), np.concatenate(held_labels), mean))


def predict(model: nn.Module, cases: Cases) -> np.ndarray:
    """Class probabilities (n, n_classes) of stored cases."""
    return softmax(encode(model, cases), axis=1)
