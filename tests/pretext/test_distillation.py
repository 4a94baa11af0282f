"""Distillation: the student learns to give, from any view of a picture, the stored features of the teacher."""

import numpy as np
import pytest
import torch

from sslbook.augment.tensors import network_input, to_tensor
from sslbook.augment.views import Augment
from sslbook.encoders.features import encode
from sslbook.encoders.residual import ResNet
from sslbook.pretext.distillation import Distillation
from sslbook.train import pretrain

VIEWS = Augment(area=(0.5, 1.0), brightness=0.2)


def cases(n: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (n, 14, 14, 1), dtype=np.uint8)
    return {"picture": pictures, "features": rng.normal(size=(n, 5)).astype(np.float32)}


def new_objective() -> Distillation:
    torch.manual_seed(0)
    return Distillation(ResNet(width=4), 5, VIEWS)


def test_target_is_what_is_stored_and_the_student_sees_a_view():
    objective, seen = new_objective(), []
    objective.encoder.network.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    given = network_input(objective, cases())
    predicted, target = objective.train()(given, torch.Generator().manual_seed(0))
    assert torch.equal(target, torch.from_numpy(cases()["features"])) and predicted.shape == target.shape
    assert torch.equal(given["picture"], to_tensor(cases()["picture"]))
    assert (seen[0] - given["picture"]).abs().max() > 0.01
    assert torch.equal(seen[0], VIEWS(given["picture"], torch.Generator().manual_seed(0)))


def test_a_student_learns_what_a_picture_tells_of_the_features():
    """The teacher's feature is the brightness of the picture; the student that is handed in is what learns."""
    rng = np.random.default_rng(0)
    light = rng.integers(40, 216, 128)
    pictures = np.uint8(np.clip(light[:, None, None, None] + rng.normal(0, 8, (128, 14, 14, 1)), 0, 255))
    features = np.stack([light - 128.0, 128.0 - light], axis=1).astype(np.float32)
    torch.manual_seed(0)
    student = ResNet(width=4)
    objective = Distillation(student, 2, Augment(area=(0.5, 1.0)))
    history = pretrain(objective, {"picture": pictures, "features": features}, epochs=15, batch_size=32, progress=False)
    assert history.epochs[-1]["loss"] < 0.3 < history.epochs[0]["loss"]
    assert objective.encoder.network is student and np.isfinite(encode(student, pictures)).all()


def test_reference_values_are_those_of_the_loss():
    reference, target = new_objective().reference_values(batch_size=4), torch.eye(4)
    loss = new_objective().loss
    assert reference["floor"] == pytest.approx(loss(3 * target, target).item(), abs=1e-6)
    assert reference["chance"] == pytest.approx(loss(target.roll(1, dims=0), target).item(), abs=1e-6)
    assert loss(-target, target).item() == pytest.approx(2.0)
