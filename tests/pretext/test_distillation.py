"""Distillation: the student learns the teacher's features, the teacher does not learn."""

import pytest
import torch

from sslbook.augment.views import Augment
from sslbook.encoders.residual import ResNet
from sslbook.pretext.distillation import Distillation

VIEWS = Augment(area=(0.5, 1.0), brightness=0.2)


def new_objective(augment: Augment = VIEWS) -> tuple[Distillation, ResNet]:
    torch.manual_seed(0)
    teacher = ResNet(width=8)
    teacher(torch.rand(16, 1, 14, 14))  # running statistics that differ from those of a batch
    return Distillation(ResNet(width=4), teacher, augment), teacher


def test_target_is_the_feature_the_frozen_teacher_gives_the_same_view():
    objective, teacher = new_objective()
    images, seen = torch.rand(6, 1, 14, 14), []
    objective.encoder.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    predicted, target = objective.train()(images, torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(target, teacher.eval()(seen[0]))
    assert predicted.shape == target.shape == (6, teacher.out_features)
    assert (seen[0] - images).abs().max() > 0.01


def test_only_the_student_learns():
    objective, teacher = new_objective()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    objective.train()
    objective.loss(*objective(torch.rand(6, 1, 14, 14), torch.Generator().manual_seed(0))).backward()
    assert all(p.grad is None for p in objective.teacher.parameters())
    assert all(p.grad.abs().sum() > 0 for p in objective.encoder.parameters())
    for name, value in objective.teacher.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} of the teacher moved"
    assert all(p.requires_grad for p in teacher.parameters()), "the teacher that was handed in stays trainable"


def test_reference_values_are_those_of_the_loss():
    objective, _ = new_objective()
    reference = objective.reference_values(batch_size=4)
    target = torch.eye(4)
    assert reference["floor"] == pytest.approx(objective.loss(3 * target, target).item(), abs=1e-6)
    assert reference["chance"] == pytest.approx(objective.loss(target.roll(1, dims=0), target).item(), abs=1e-6)
    assert objective.loss(-target, target).item() == pytest.approx(2.0)
