"""Distillation: a small network learns to give the features of a larger one, no label needed (Romero et al. 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.augment.views import Augment


class OfPicture(nn.Module):
    """An encoder of the picture of a case that has features beside it."""

    reads = {"picture": "pictures", "features": "numbers"}

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, cases: dict[str, Tensor]) -> Tensor:
        return self.network(cases["picture"])


class Distillation(nn.Module):
    """Predict, from any view of a picture, the features that a teacher has of the picture itself.

    A case is a dict of a ``picture`` and the teacher's ``features`` of it, which are computed once and stored.

    Parameters
    ----------
    student : encoder; trained in place, it is what you keep.
    teacher_features : number of them.
    augment : recipe for the views.
    """

    def __init__(self, student: nn.Module, teacher_features: int, augment: Augment):
        super().__init__()
        self.encoder, self.augment = OfPicture(student), augment
        self.predictor = nn.Linear(student.out_features, teacher_features)

    def forward(self, cases: dict[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        views = self.augment(cases["picture"], generator)
        return self.predictor(self.encoder({"picture": views})), cases["features"]

    def loss(self, predicted: Tensor, target: Tensor) -> Tensor:
        """One minus the mean cosine similarity of predicted and target features, both (n, d)."""
        return 1 - F.cosine_similarity(predicted.float(), target.float()).mean()

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """Unrelated directions, and a perfect copy."""
        return {"chance": 1.0, "floor": 0.0}
