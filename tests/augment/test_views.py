"""Random views: what a recipe may change, what it must keep, and where the geometry puts a pixel."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sslbook.augment.geometry import crop, random_affine
from sslbook.augment.tensors import network_input, to_tensor
from sslbook.augment.views import PRESETS, Augment, jitter_colours
from sslbook.domains import imaging
from sslbook.domains.imaging.methods import pixels
from sslbook.metrics.classification import roc_auc
from sslbook.worlds import imaging as imaging_world

EVERYTHING = Augment((0.2, 0.8), (0.6, 1.6), 40, 0.5, 0.4, 0.8, blur=0.5, noise=0.2, invert=0.3)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


def generator(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def pictures(n: int = 6, size: int = 14, channels: int = 1, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=generator(99)) * (high - low) + low


def copies(n: int, **settings) -> torch.Tensor:
    return pictures(1, **settings).repeat(n, 1, 1, 1)


# ---------------------------------------------------------------------------------------------------- tensors


def test_to_tensor_keeps_pixels_in_place_and_scales_them():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    tensor = to_tensor(images)
    assert tensor.shape == (2, 3, 3, 4)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(tensor[1, 2, 0, 3].item(), images[1, 0, 3, 2] / 255)
    assert to_tensor(np.full((1, 2, 2, 1), 255, np.uint8)).max() == 1
    assert images[0, 0, 1, 0] == 3, "the stored pictures must not change"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int64, np.bool_])
@pytest.mark.parametrize("shape", [(5, 7), (4, 6, 3), (9,), (2, 3, 4, 3)])
def test_numbers_stay_as_they_are(dtype, shape):
    rng = np.random.default_rng(0)
    cases = (rng.normal(size=shape) * 40).astype(dtype)
    tensor = network_input(None, cases)
    assert tensor.shape == shape
    assert tensor.numpy().dtype == dtype
    assert np.array_equal(tensor.numpy(), cases)


def test_cases_in_any_layout_of_memory():
    rows = np.asfortranarray(np.arange(12.0).reshape(3, 4))
    for cases in (rows, rows[::-1], rows[:, ::2], rows.T):
        assert np.array_equal(network_input(None, cases).numpy(), cases)
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1)[::-1]
    assert to_tensor(images)[0, 0, 0, 0].item() == pytest.approx(12 / 255)


# ------------------------------------------------------------------------------------------------- invariants


@pytest.mark.parametrize("channels", [1, 3])
def test_the_recipe_without_change_returns_the_picture(channels):
    images = pictures(channels=channels)
    torch.testing.assert_close(Augment()(images, generator()), images, atol=1e-5, rtol=0)


@pytest.mark.parametrize("device", DEVICES)
def test_views_follow_from_the_generator(device):
    images = pictures().to(device)
    first, again, other = (EVERYTHING(images, generator(seed, device)) for seed in (0, 0, 1))
    assert first.device == images.device
    assert torch.equal(first, again)
    assert (first - other).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_views_do_not_depend_on_the_global_seed_nor_move_it():
    images, before = pictures(), torch.random.get_rng_state()
    first = EVERYTHING(images, generator())
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(torch.seed() % 1000)
    assert torch.equal(EVERYTHING(images, generator()), first)


def test_one_generator_gives_two_different_views():
    images, source = pictures(), generator()
    assert not torch.equal(EVERYTHING(images, source), EVERYTHING(images, source))


@pytest.mark.parametrize(
    "recipe",
    [
        Augment(area=(0.2, 0.9)),
        Augment(area=(0.5, 0.5), aspect=(0.5, 2.0)),
        Augment(rotation=30),
        Augment(brightness=0.2),
        Augment(contrast=0.5),
        Augment(noise=0.1),
    ],
    ids=["area", "aspect", "rotation", "brightness", "contrast", "noise"],
)
def test_every_picture_of_a_batch_gets_its_own_draw(recipe):
    views = recipe(copies(8, low=0.2, high=0.7), generator()).flatten(1)
    assert (torch.cdist(views, views) + torch.eye(8) > 1e-3).all()


@pytest.mark.parametrize(
    "recipe", [Augment(flip=0.5), Augment(blur=0.5), Augment(invert=0.5)], ids=["flip", "blur", "invert"]
)
def test_a_probability_is_drawn_for_each_picture(recipe):
    image = copies(400)
    changed = (recipe(image, generator()) - image).abs().amax(dim=(1, 2, 3)) > 0.01
    assert changed.float().mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 400))


def test_values_stay_between_0_and_1():
    images = torch.cat([pictures(), torch.zeros(2, 1, 14, 14), torch.ones(2, 1, 14, 14)])
    for seed in range(5):
        views = EVERYTHING(images, generator(seed))
        assert torch.isfinite(views).all()
        assert views.min() >= 0
        assert views.max() <= 1


def test_the_pictures_themselves_do_not_change():
    images = pictures()
    before = images.clone()
    EVERYTHING(images, generator())
    assert torch.equal(images, before)


def test_size_of_the_views():
    images = pictures(3, size=28, channels=3)
    assert Augment(area=(0.5, 1.0))(images, generator()).shape == (3, 3, 28, 28)
    assert Augment(size=20)(images, generator()).shape == (3, 3, 20, 20)
    halved = Augment(size=14)(images, generator())
    torch.testing.assert_close(halved, torch.nn.functional.avg_pool2d(images, 2), atol=1e-5, rtol=0)


# --------------------------------------------------------------------------------------------------- geometry


def test_flip_only_mirrors_left_and_right():
    images = pictures(60)
    views, mirrored = Augment(flip=0.5)(images, generator()), images.flip(3)
    same = (views - images).abs().amax(dim=(1, 2, 3)) < 1e-5
    turned = (views - mirrored).abs().amax(dim=(1, 2, 3)) < 1e-5
    assert (same ^ turned).all()
    assert same.any() and turned.any()
    torch.testing.assert_close(Augment(flip=1.0)(images, generator()), mirrored, atol=1e-5, rtol=0)


def bright_spots(positions: torch.Tensor, size: int, width: float = 0.08) -> torch.Tensor:
    """One soft spot per picture at (x, y) in [-1, 1]."""
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    squared = (line[None, None, :] - positions[:, 0, None, None]) ** 2
    squared = squared + (line[None, :, None] - positions[:, 1, None, None]) ** 2
    return torch.exp(-squared / (2 * width**2))[:, None]


def brightest(views: torch.Tensor) -> torch.Tensor:
    """(x, y) in [-1, 1] of the brightest pixel of each view."""
    height, width = views.shape[2:]
    where = views.flatten(1).argmax(dim=1)
    x, y = where % width, where // width
    return torch.stack([(x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1], dim=1)


@pytest.mark.parametrize("size", [None, 48])
def test_a_bright_dot_lands_where_the_affine_map_says(size):
    recipe = Augment(area=(0.4, 1.0), aspect=(0.7, 1.4), rotation=25, flip=0.5, size=size)
    n, picture_size = 40, 64
    targets = torch.rand(n, 2, generator=generator(5)) * 1.4 - 0.7  # where the dots shall be in the views
    maps = random_affine(n, recipe.area, recipe.aspect, recipe.rotation, recipe.flip, generator(3))
    sources = (maps[:, :, :2] @ targets[:, :, None])[:, :, 0] + maps[:, :, 2]
    inside = (sources.abs() < 0.9).all(dim=1)
    views = recipe(bright_spots(sources, picture_size), generator(3))
    error = (brightest(views) - targets).norm(dim=1)[inside]
    assert inside.sum() > 20
    assert error.max() < 2 * 2 / (size or picture_size), "more than two pixels away"


def test_the_map_draws_what_the_recipe_allows():
    maps = random_affine(2000, (0.3, 0.8), (0.75, 1.33), 0, 0.5, generator())
    linear, shift = maps[:, :, :2], maps[:, :, 2]
    width, height = linear[:, 0, 0].abs(), linear[:, 1, 1]
    area, aspect = width * height, width / height
    assert (linear[:, 0, 1] == 0).all() and (linear[:, 1, 0] == 0).all()
    unclamped = (width < 1) & (height < 1)
    assert 0.3 - 1e-4 < area.min() < 0.32 and area.max() < 0.8 + 1e-4
    assert 0.75 - 1e-3 < aspect[unclamped].min() < 0.78 and 1.28 < aspect[unclamped].max() < 1.33 + 1e-3
    assert (width + shift[:, 0].abs() <= 1 + 1e-5).all() and (height + shift[:, 1].abs() <= 1 + 1e-5).all()
    assert (shift[:, 0] > 0.1).any() and (shift[:, 0] < -0.1).any()
    assert (linear[:, 0, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_angle_is_drawn_both_ways():
    linear = random_affine(2000, (1, 1), (1, 1), 30, 0.5, generator())[:, :, :2]
    angle = torch.atan2(linear[:, 1, 0], linear[:, 1, 1]) * 180 / math.pi
    torch.testing.assert_close(linear @ linear.mT, torch.eye(2).expand(2000, 2, 2))
    assert (torch.linalg.det(linear) < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert -30 - 1e-3 < angle.min() < -28 and 28 < angle.max() < 30 + 1e-3
    assert angle.mean().abs() < 2


# ----------------------------------------------------------------------------------------------- grey values


def test_brightness_moves_the_mean_evenly_and_nothing_else():
    images = copies(2000, low=0.4, high=0.6)
    difference = Augment(brightness=0.2)(images, generator()) - images
    shift = difference.mean(dim=(1, 2, 3))
    assert difference.std(dim=(1, 2, 3)).max() < 1e-5
    assert shift.abs().max() <= 0.2 + 1e-5
    assert shift.mean().abs() < 0.01
    assert shift.std().item() == pytest.approx(0.2 / math.sqrt(3), rel=0.05)


def test_contrast_scales_the_deviation_and_keeps_the_mean():
    images = copies(2000, low=0.4, high=0.6)
    views = Augment(contrast=0.5)(images, generator())
    gain = views.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    torch.testing.assert_close(views.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=1e-5, rtol=0)
    assert 0.5 - 1e-4 <= gain.min() < 0.52 and 1.48 < gain.max() <= 1.5 + 1e-4
    assert gain.mean().item() == pytest.approx(1.0, abs=0.03)


def test_blur_averages_neighbours():
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, 4, 4] = 1.0
    blurred = Augment(blur=1.0)(images, generator())[0, 0]
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    torch.testing.assert_close(blurred[3:6, 3:6], kernel, atol=1e-5, rtol=0)
    assert blurred.sum().item() == pytest.approx(1.0, abs=1e-4)


def test_blur_does_not_mix_channels():
    images = torch.zeros(1, 3, 9, 9)
    images[0, 1] = pictures(1, size=9)[0, 0]
    blurred = Augment(blur=1.0)(images, generator())
    assert blurred[0, 0].max() < 1e-6 and blurred[0, 2].max() < 1e-6 and blurred[0, 1].max() > 0.3


def test_noise_has_the_deviation_asked_for():
    noise = Augment(noise=0.05)(torch.full((50, 1, 14, 14), 0.5), generator()) - 0.5
    assert noise.std().item() == pytest.approx(0.05, rel=0.03)
    assert noise.mean().abs() < 0.002


def test_invert_exchanges_black_and_white():
    images = pictures()
    torch.testing.assert_close(Augment(invert=1.0)(images, generator()), 1 - images, atol=1e-5, rtol=0)


# ----------------------------------------------------------------------------------------- colours, and crops

STILL = {"brightness": 0.0, "contrast": 0.0, "cast": 0.0, "grey": 0.0}


def test_light_that_does_not_change_leaves_the_pictures():
    images = pictures(channels=3)
    torch.testing.assert_close(jitter_colours(images, generator(), **STILL), images, atol=1e-6, rtol=0)


def test_a_cast_multiplies_each_channel():
    images = copies(1000, channels=3, low=0.2, high=0.7)
    factor = jitter_colours(images, generator(), **STILL | {"cast": 0.25}) / images
    by_channel = factor.mean(dim=(2, 3))
    assert factor.std(dim=(2, 3)).max() < 1e-5
    assert 0.75 - 1e-4 <= by_channel.min() < 0.76 and 1.24 < by_channel.max() <= 1.25 + 1e-4
    assert (torch.corrcoef(by_channel.T) - torch.eye(3)).abs().max() < 0.15, "each channel has its own draw"


def test_contrast_of_a_colour_picture_keeps_its_mean():
    images = copies(1000, channels=3, low=0.4, high=0.6)
    views = jitter_colours(images, generator(), **STILL | {"contrast": 0.5})
    gain = views.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    torch.testing.assert_close(views.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=1e-5, rtol=0)
    assert 0.5 - 1e-4 <= gain.min() < 0.52 and 1.48 < gain.max() <= 1.5 + 1e-4


def test_brightness_of_a_colour_picture_moves_all_alike():
    images = copies(1000, channels=3, low=0.3, high=0.7)
    change = jitter_colours(images, generator(), **STILL | {"brightness": 0.2}) - images
    assert change.std(dim=(1, 2, 3)).max() < 1e-5
    assert change.abs().max() <= 0.2 + 1e-5 and change.mean(dim=(1, 2, 3)).std().item() == pytest.approx(0.115, rel=0.1)


@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
def test_grey_pictures_are_the_mean_of_their_channels(grey):
    images = copies(400, channels=3)
    views = jitter_colours(images, generator(), **STILL | {"grey": grey})
    without = (views - images).abs().amax(dim=(1, 2, 3)) > 0.01
    assert without.float().mean().item() == pytest.approx(grey, abs=4 * math.sqrt(0.25 / 400) * (grey % 1 > 0))
    torch.testing.assert_close(views[without], images.mean(dim=1, keepdim=True).expand_as(images)[without])


def test_light_stays_between_0_and_1_and_follows_from_the_generator():
    images = torch.cat([pictures(channels=3), torch.zeros(2, 3, 14, 14), torch.ones(2, 3, 14, 14)])
    before = images.clone()
    first, again, other = (jitter_colours(images, generator(seed), grey=0.2) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other) and torch.equal(images, before)
    assert torch.isfinite(first).all() and first.min() >= 0 and first.max() <= 1


def maps_of(*rows: list[float]) -> torch.Tensor:
    """Maps of crops, each (half width, negative if mirrored; half height; x; y)."""
    return torch.tensor([[[w, 0.0, x], [0.0, h, y]] for w, h, x, y in rows])


def test_a_crop_is_what_slicing_gives():
    images = pictures(3, size=16, channels=3)
    views = crop(images, maps_of((1, 1, 0, 0), (0.5, 0.25, -0.5, 0.25), (-0.5, 0.25, 0.5, -0.75)), (4, 8))
    assert views.shape == (3, 3, 4, 8) and views.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(views[1], images[1, :, 8:12, :8], atol=1e-5, rtol=0)
    torch.testing.assert_close(views[2], images[2, :, :4, 8:].flip(2), atol=1e-5, rtol=0)
    whole = crop(images, maps_of(*[(1, 1, 0, 0)] * 3), (16, 16))
    torch.testing.assert_close(whole, images, atol=1e-5, rtol=0)


def test_beyond_its_border_a_picture_is_mirrored():
    images = pictures(1, size=8, channels=3)
    view = crop(images, maps_of((2, 1, 0, 0)), (8, 16))
    torch.testing.assert_close(view[..., 4:12], images, atol=1e-5, rtol=0)
    torch.testing.assert_close(view[..., :4], images[..., :4].flip(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(view[..., 12:], images[..., 4:].flip(3), atol=1e-5, rtol=0)


# --------------------------------------------------------------------------------------------------- presets


def score_kept(recipe: Augment, train: imaging.ImageSplit, test: imaging.ImageSplit, n_views: int = 4) -> float:
    """Share of a pixel classifier's skill on clean pictures that is left when it reads views of the test pictures.

    The classifier (logistic regression) learns from clean pictures only; its scores of several views are averaged.
    Skill is the AUC above one half; the result is 1 where views serve as well as clean pictures, 0 at guessing.
    """
    classifier = LogisticRegression(C=0.01, max_iter=500).fit(pixels(train.images), train.labels)
    source = generator()

    def skill(views: list[torch.Tensor]) -> float:
        scores = np.mean([classifier.predict_proba(v.flatten(1).numpy()) for v in views], axis=0)
        return roc_auc(test.labels, scores) - 0.5

    clean = to_tensor(test.images)
    full_size = replace(recipe, size=None)
    return skill([full_size(clean, source) for _ in range(n_views)]) / skill([clean])


def digits() -> tuple[imaging.ImageSplit, imaging.ImageSplit]:
    images, labels = load_digits(return_X_y=True)
    stored = (images.reshape(-1, 8, 8, 1) / 16 * 255).astype(np.uint8)
    split = imaging.ImageSplit(stored, labels, None, np.arange(len(labels)).astype(str))
    return split.subset(np.arange(1200)), split.subset(np.arange(1200, len(labels)))


def stand_in(simulate) -> tuple[imaging.ImageSplit, imaging.ImageSplit]:
    images = simulate(n_train=2400, seed=1)
    return images.train, images.test


DOMAINS = {
    "chest_xray": lambda: stand_in(imaging_world.simulate_pneumoniamnist),
    "digits": digits,
}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_preset_keeps_what_the_label_depends_on(domain):
    train, test = DOMAINS[domain]()
    destroyed = Augment(area=(0.01, 0.05), brightness=0.5, contrast=1.0, invert=0.5)
    kept, left = score_kept(PRESETS[domain], train, test), score_kept(destroyed, train, test)
    assert score_kept(Augment(), train, test) == pytest.approx(1.0, abs=0.05)
    assert kept > 0.65, f"the preset leaves {kept:.0%} of the skill"
    assert left < 0.3, f"a recipe that destroys the label leaves {left:.0%}: the test above shows nothing"


def test_a_mirrored_digit_is_another_sign():
    assert PRESETS["digits"].flip == 0
    train, test = digits()
    assert score_kept(Augment(flip=1.0), train, test) < 0.7


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_changes_every_picture(name):
    images = pictures(32, size=28)
    views = replace(PRESETS[name], size=None)(images, generator())
    assert ((views - images).abs().amax(dim=(1, 2, 3)) > 0.01).all()
