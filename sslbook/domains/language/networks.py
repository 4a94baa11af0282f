"""Networks for texts that learn from few labels: pairs of one class are pulled together, a linear layer decides."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.preprocessing import normalize
from torch import Tensor, nn

from sslbook.domains.language.methods import LENGTH, in_own_directions, intent_metrics
from sslbook.encoders.features import encode
from sslbook.metrics.classification import Prediction
from sslbook.pretext.simclr import nt_xent
from sslbook.probes import decided, inner_folds, linear_probe
from sslbook.study import Method, checked_labels
from sslbook.train import OneCycle, default_precision


@dataclass(frozen=True)
class PairRecipe:
    """How pairs of one class train a network.

    Attributes
    ----------
    steps : of the optimiser, 0 leaves the network as it is.
    classes : of a batch, each with two texts.
    learning_rate : peak of the one-cycle schedule of AdamW.
    temperature : see ``nt_xent``.
    """

    steps: int = 60
    classes: int = 32
    learning_rate: float = 5e-5
    temperature: float = 0.05


def pairs_of_classes(labels: Tensor, classes: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of two texts each of so many classes, drawn anew; of a class with one text, twice that.

    Parameters
    ----------
    labels : int tensor (n,)

    Returns
    -------
    int tensors (m,), m the smaller of ``classes`` and the classes there are
    """
    order = torch.randperm(len(labels), generator=generator)
    kinds, place = torch.unique(labels[order], return_inverse=True)
    by_class = order[torch.argsort(place, stable=True)]
    count = torch.bincount(place)
    first = count.cumsum(0) - count
    drawn = torch.randperm(len(kinds), generator=generator)[:classes]
    return by_class[first[drawn]], by_class[first[drawn] + (count[drawn] > 1).long()]


def contrast_classes(
    encoder: nn.Module, codes: np.ndarray, labels: np.ndarray, recipe: PairRecipe, seed: int
) -> nn.Module:
    """Train a copy of an encoder such that texts of one class get like vectors (after Tunstall et al. 2022, SetFit).

    In each step two texts of each of some classes meet: the other text of its class is the right answer for each among
    all texts of the batch. The paper draws single pairs and regresses on their cosine.

    Parameters
    ----------
    encoder : of texts, fresh or pretrained; not changed.
    codes : int array (n, length), what it reads.
    labels : int array (n,)
    """
    model, generator = copy.deepcopy(encoder).train(), torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(np.ascontiguousarray(codes)), torch.as_tensor(labels)
    descent = OneCycle(model, max(1, recipe.steps), recipe.learning_rate, 0.01)
    half = default_precision("items") == "bf16-mixed"
    for _ in range(recipe.steps):
        a, b = pairs_of_classes(y, recipe.classes, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            one, two = model(x[torch.cat([a, b])]).chunk(2)
        descent.step(nt_xent(one, two, recipe.temperature))
    return model.eval()


def tuned_probe(
    encoder: nn.Module, codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, recipe: PairRecipe, seed: int = 0
) -> Prediction:
    """Train a copy of an encoder on pairs of the given labels, then a linear probe on its features.

    The score inside the labels is of networks, one for each fold, that have not seen the held-out labels.
    """
    classes = int(labels.max()) + 1

    def fitted(train: np.ndarray, test: np.ndarray, known: np.ndarray) -> np.ndarray:
        model = contrast_classes(encoder, train, known, recipe, seed)
        x, y = in_own_directions(*(LENGTH * normalize(encode(model, part)) for part in (train, test)))
        return linear_probe(x, known, y, classes, seed, metrics=intent_metrics).scores

    held = [
        (labels[left_out], fitted(codes[train], codes[left_out], labels[train]))
        for train, left_out in inner_folds(labels, seed)
    ]
    return decided(held, fitted(codes, test_codes, labels), intent_metrics)


def tuned_method(
    name: str, family: str, starts: list[nn.Module], codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray,
    recipe: PairRecipe, **settings: Any,
) -> Method:  # fmt: skip
    """A network trained by ``tuned_probe`` from one start per seed; settings go to ``Method``."""
    labels = checked_labels("training", labels)

    def fit(index: np.ndarray, seed: int) -> Prediction:
        return tuned_probe(starts[seed], codes[index], labels[index], test_codes, recipe, seed)

    return Method(name, family, fit, seeds=tuple(range(len(starts))), **settings)
