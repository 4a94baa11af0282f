"""Distillation: a small network learns to give the features of a larger one, no label needed (Romero et al. 2015)."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.views import Augment


class Distillation(nn.Module):
    """Predict the teacher's features of a view from the student's features of the same view.

    Parameters
    ----------
    encoder : the student; it is what you keep.
    teacher : pretrained encoder; a copy is used and stays as it is.
    """

    def __init__(self, encoder: nn.Module, teacher: nn.Module, augment: Augment):
        super().__init__()
        self.encoder, self.augment = encoder, augment
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)
        self.predictor = nn.Linear(encoder.out_features, teacher.out_features)

    def forward(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views = self.augment(images, generator)
        with torch.no_grad():
            target = self.teacher.eval()(views)
        return self.predictor(self.encoder(views)), target

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """One minus the mean cosine similarity of predicted and target features, both (n, d)."""
        return 1 - F.cosine_similarity(predicted.float(), target.float()).mean()

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Unrelated directions, and a perfect copy."""
        return {"chance": 1.0, "floor": 0.0}
