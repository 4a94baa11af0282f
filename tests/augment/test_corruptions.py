"""Weather and bad sensors: strength 0 is the picture itself, each strength is worse than the last, seeds repeat."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sslbook.augment.corruptions import CORRUPTIONS, HORIZON, corrupt

NAMES = list(CORRUPTIONS)


def street(n: int = 3, height: int = 60, width: int = 80) -> np.ndarray:
    """Frames of a bright sky, a dark road and blocks of colour."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (n, height // 5, width // 5, 3)).repeat(5, axis=1).repeat(5, axis=2)
    ramp = np.linspace(230, 60, height)[None, :, None, None]
    return (0.5 * blocks + 0.5 * ramp).astype(np.uint8)


def tensors(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_changes_nothing(name):
    images = tensors(street())
    torch.testing.assert_close(CORRUPTIONS[name](images, 0, generator()), images)
    assert np.array_equal(corrupt(street(), name, 0), street())


@pytest.mark.parametrize("name", NAMES)
def test_each_strength_does_more_damage(name):
    images = tensors(street())
    damage = [
        (CORRUPTIONS[name](images, strength, generator()) - images).abs().mean(dim=(1, 2, 3)) for strength in range(6)
    ]
    assert all((worse > better).all() for better, worse in zip(damage, damage[1:], strict=False))
    assert (damage[5] > 0.02).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("strength", [1, 5])
def test_values_stay_in_range_and_the_picture_is_not_changed_in_place(name, strength):
    images = tensors(street())
    before = images.clone()
    result = CORRUPTIONS[name](images, strength, generator())
    assert result.shape == images.shape and result.dtype == torch.float32
    assert result.min() >= 0 and result.max() <= 1
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_repeats_and_frames_are_independent_of_each_other(name):
    first, again, other = (corrupt(street(), name, 3, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert np.array_equal(first, other) is (name == "blur"), "nothing of blur is random"


def test_fog_hides_the_horizon_and_spares_the_bumper():
    images = tensors(street())
    for strength in range(1, 6):
        change = (CORRUPTIONS["fog"](images, strength, generator()) - images).abs()
        share = change.mean(dim=(0, 1, 3)) / (images - 0.8).abs().mean(dim=(0, 1, 3))
        assert share[int(60 * HORIZON) - 3] > 1.5 * share[-1]
    contrast = [CORRUPTIONS["fog"](images, s, generator())[:, :, :20].std() for s in range(6)]
    assert all(later < earlier for earlier, later in zip(contrast, contrast[1:], strict=False))


def test_night_is_darker_and_bluer():
    images = tensors(street())
    light = [CORRUPTIONS["night"](images, s, generator()).mean() for s in range(6)]
    assert all(later < earlier for earlier, later in zip(light, light[1:], strict=False)) and light[5] < 0.3 * light[0]
    red, _, blue = CORRUPTIONS["night"](torch.full((1, 3, 40, 40), 0.5), 5, generator())[0].mean(dim=(1, 2))
    assert blue > 1.1 * red


def test_noise_has_its_deviation():
    grey = torch.full((4, 3, 60, 80), 0.5)
    assert CORRUPTIONS["noise"](grey, 1, generator()).std() == pytest.approx(0.08, rel=0.03)


def test_blur_is_the_gaussian_filter():
    images = tensors(street())
    width = 3 * 60 / 224
    expected = gaussian_filter(
        images.numpy(), (0, 0, width, width), mode="nearest", truncate=int(3 * width + 0.5) / width
    )
    np.testing.assert_allclose(CORRUPTIONS["blur"](images, 3, generator()), expected, atol=1e-5)
    flat = torch.full((1, 3, 60, 80), 0.3)
    torch.testing.assert_close(CORRUPTIONS["blur"](flat, 5, generator()), flat)


def test_stored_frames_are_corrupted_in_blocks():
    frames = street(70)
    result = corrupt(frames, "blur", 2)
    assert result.dtype == np.uint8 and result.shape == frames.shape
    expected = CORRUPTIONS["blur"](tensors(frames[-1:]), 2, generator())[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(result[-1] / 255, expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("strength", [-1, 6, 2.5])
def test_unknown_strengths(strength):
    with pytest.raises(ValueError, match="choose a whole number from 0"):
        corrupt(street(), "fog", strength)


def test_unknown_corruptions():
    with pytest.raises(ValueError, match="no corruption 'rain'; choose one of fog, night, noise, blur"):
        corrupt(street(), "rain", 1)
