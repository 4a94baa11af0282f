"""The small residual network, and frozen features of stored pictures."""

import numpy as np
import pytest
import torch
from torch import nn

from sslbook.augment import to_tensor
from sslbook.encoders import ResidualBlock, ResNet, count_parameters, encode


def stored_pictures(n: int, size: int = 14, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, channels), dtype=np.uint8)


@pytest.mark.parametrize(("size", "channels", "stem_stride"), [(8, 1, 1), (28, 1, 2), (28, 3, 2), (64, 3, 2)])
def test_features_have_the_stated_shape_for_every_picture_size(size, channels, stem_stride):
    encoder = ResNet(in_channels=channels, width=8, stem_stride=stem_stride)
    assert encoder(torch.rand(3, channels, size, size)).shape == (3, encoder.out_features)


@pytest.mark.parametrize(("width", "low", "high"), [(32, 0.25e6, 0.35e6), (16, 0.07e6, 0.09e6)])
def test_number_of_parameters(width, low, high):
    assert low < count_parameters(ResNet(width=width)) < high


def test_frozen_parameters_are_not_counted():
    layer = nn.Linear(3, 2)
    assert count_parameters(layer) == 8
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 6


def test_stride_of_the_stem_halves_the_resolution():
    pictures = torch.rand(1, 1, 28, 28)
    assert ResNet(stem_stride=1).stem(pictures).shape[2:] == (28, 28)
    assert ResNet(stem_stride=2).stem(pictures).shape[2:] == (14, 14)


def test_weights_are_channels_last():
    weight = ResNet(in_channels=3, width=8).stem[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


@pytest.mark.parametrize("stride", [1, 2])
def test_the_shortcut_passes_by_the_convolutions(stride):
    block = ResidualBlock(4, 4, stride).eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), torch.relu(block.shortcut(x)))
    assert block(x).abs().sum() > 0
    assert block(x).shape == (2, 4, 6 // stride, 6 // stride)


def test_every_parameter_learns():
    encoder = ResNet(width=4)
    encoder(torch.rand(8, 1, 14, 14)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_encode_is_the_encoder_in_evaluation_mode():
    torch.manual_seed(0)
    encoder, images = ResNet(width=4), stored_pictures(10)
    encoder(to_tensor(images))  # running statistics that differ from those of a batch
    features = encode(encoder.train(), images)
    with torch.no_grad():
        expected = encoder.eval()(to_tensor(images)).numpy()
    assert features.shape == (10, encoder.out_features)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_encode_changes_nothing_but_the_mode():
    encoder = ResNet(width=4).train()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    encode(encoder, stored_pictures(10))
    assert not encoder.training
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())


def test_features_of_a_picture_do_not_depend_on_its_batch():
    torch.manual_seed(0)
    encoder, images = ResNet(width=4), stored_pictures(23)
    whole = encode(encoder, images)
    np.testing.assert_allclose(encode(encoder, images, batch_size=5), whole, atol=1e-5)
    np.testing.assert_allclose(encode(encoder, images[7:8])[0], whole[7], atol=1e-5)
    assert np.abs(whole[0] - whole[1]).max() > 1e-4
