"""Quarter turns, and the question that is asked about them."""

import math

import numpy as np
import pytest
import torch

from sslbook.augment.views import Augment
from sslbook.encoders.residual import ResNet
from sslbook.pretext.rotation import RotationPrediction, quarter_turns


def test_four_turns_give_the_picture_back():
    images = torch.rand(5, 3, 6, 6)
    turned = images
    for turn in range(1, 5):
        turned = quarter_turns(turned, torch.ones(5, dtype=torch.int64))
        assert torch.equal(turned, images) == (turn == 4)


def test_every_picture_is_turned_counter_clockwise_by_its_own_number():
    images, turns = torch.rand(8, 2, 5, 5), torch.tensor([3, 0, 1, 2, 2, 1, 0, 3])
    turned = quarter_turns(images, turns)
    for image, turn, result in zip(images.numpy(), turns.tolist(), turned.numpy(), strict=True):
        np.testing.assert_array_equal(result, np.rot90(image, turn, axes=(1, 2)))


def seen_by_the_encoder(objective: RotationPrediction, images: torch.Tensor, seed: int) -> tuple:
    inputs = []
    handle = objective.encoder.register_forward_pre_hook(lambda _module, args: inputs.append(args[0]))
    logits, turns = objective(images, torch.Generator().manual_seed(seed))
    handle.remove()
    return inputs[0], logits, turns


def test_the_answer_is_the_turn_of_the_picture_that_the_encoder_sees():
    objective = RotationPrediction(ResNet(width=4), Augment()).eval()
    images = torch.rand(64, 1, 8, 8)
    seen, logits, turns = seen_by_the_encoder(objective, images, seed=0)
    assert logits.shape == (64, 4)
    assert set(turns.tolist()) == {0, 1, 2, 3}
    for image, turn, result in zip(images, turns.tolist(), seen, strict=True):
        torch.testing.assert_close(result, torch.rot90(image, turn, dims=(1, 2)), atol=1e-5, rtol=0)


def test_turns_follow_from_the_generator():
    objective = RotationPrediction(ResNet(width=4), Augment()).eval()
    images = torch.rand(64, 1, 8, 8)
    turns = [seen_by_the_encoder(objective, images, seed)[2] for seed in (0, 0, 1)]
    assert torch.equal(turns[0], turns[1])
    assert not torch.equal(turns[0], turns[2])


def test_reference_values_are_those_of_the_loss():
    objective = RotationPrediction(ResNet(width=4), Augment())
    reference, turns = objective.reference_values(batch_size=8), torch.arange(8) % 4
    assert reference["chance"] == pytest.approx(math.log(4))
    assert reference["chance"] == pytest.approx(objective.loss(torch.zeros(8, 4), turns).item(), rel=1e-6)
    solved = 50 * torch.nn.functional.one_hot(turns, 4).float()
    assert reference["floor"] == pytest.approx(objective.loss(solved, turns).item(), abs=1e-6)
    assert objective.loss(solved.roll(1, dims=1), turns) > 40
