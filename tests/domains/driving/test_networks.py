"""Networks that segment: crops and their masks, what is learnt from labels, and what cannot be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from sslbook.augment.geometry import crop
from sslbook.data.pictures import VOID
from sslbook.domains.driving import networks
from sslbook.domains.driving.methods import position_prior
from sslbook.domains.driving.networks import (
    Lite0Scenes,
    SceneRecipe,
    SceneSegmenter,
    _class_weights,
    _crop_masks,
    fit_segmenter,
    random_zoom,
    segment,
)
from sslbook.domains.driving.probes import enlarged_labels
from sslbook.encoders.scenes import SceneEncoder, hypercolumns
from sslbook.train import batches_of
from tests.domains.driving.test_methods import COLOURS, score, world


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_zoomed_crops_stay_in_the_frame_and_vary_as_told():
    maps = random_zoom(3000, (96, 128), (120, 160), (0.5, 1.25), generator())
    size, place = maps[:, (0, 1), (0, 1)], maps[:, :, 2]
    assert maps.shape == (3000, 2, 3) and (maps[:, 0, 1] == 0).all() and (maps[:, 1, 0] == 0).all()
    assert (size.abs() + place.abs() <= 1 + 1e-5).all()
    zoom = size.abs() / 0.8
    torch.testing.assert_close(zoom[:, 0], zoom[:, 1])
    assert 0.5 - 1e-4 < zoom.min() < 0.51 and 1.24 < zoom.max() < 1.25 + 1e-4
    assert (zoom < 0.5 * 1.25**0.5 * 2**0.5).float().mean().item() == pytest.approx(0.5, abs=0.05), "half above 0.79"
    assert (size[:, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05) and (size[:, 1] > 0).all()
    room = 1 - size.abs()
    reached = (place / room)[(room > 0.1).all(dim=1)]
    assert reached.min() < -0.99 and reached.max() > 0.99 and reached.mean(dim=0).abs().max() < 0.05


def test_a_crop_larger_than_the_frame_lies_around_its_middle():
    maps = random_zoom(50, (60, 80), (30, 40), (1, 1), generator())
    torch.testing.assert_close(maps.abs(), torch.tensor([[2.0, 0, 0], [0, 2, 0]]).expand(50, 2, 3))


def test_masks_follow_their_frames():
    y, x = ((torch.arange(side) + 0.5) / side for side in (120, 160))
    frames = torch.stack([x.expand(120, 160), y[:, None].expand(120, 160)]).repeat(40, 1, 1, 1)
    masks = ((3 * frames[:, 1]).floor() * 4 + (4 * frames[:, 0]).floor()).byte()
    maps = random_zoom(40, (96, 128), (120, 160), (0.5, 1.25), generator())
    numbers = _crop_masks(masks, maps, (96, 128), 12)
    seen = crop(frames, maps, (48, 64))
    assert numbers.shape == (40, 48, 64) and numbers.dtype == torch.int64 and numbers.max() < 12
    across, down = 4 * seen[:, 0], 3 * seen[:, 1]
    apart = ((across - across.round()).abs() > 0.03) & ((down - down.round()).abs() > 0.03)
    assert apart.float().mean() > 0.8
    assert torch.equal(numbers[apart], (down.floor() * 4 + across.floor()).long()[apart])


def test_void_and_what_lies_outside_have_no_class():
    masks = torch.full((2, 8, 12), 3, dtype=torch.uint8)
    masks[:, :4] = VOID
    whole, twice = torch.eye(2, 3).repeat(2, 1, 1), 2 * torch.eye(2, 3).repeat(2, 1, 1)
    inside = _crop_masks(masks, whole, (8, 12), 5)
    assert (inside[:, :2] == 5).all() and (inside[:, 2:] == 3).all()
    around = _crop_masks(masks, twice, (16, 24), 5)
    assert (around[:, 4:6, 3:9] == 3).all()
    around[:, 4:6, 3:9] = 5
    assert (around == 5).all()


def test_weights_of_classes_against_a_loop():
    masks = np.random.default_rng(0).choice([0, 1, 1, 1, 1, 1, 1, 3, VOID], (4, 8, 8)).astype(np.uint8)
    weights = _class_weights(masks, 5)
    assert weights.shape == (6, 5)
    for row, column in np.ndindex(6, 5):
        share = (masks == row).sum() / (masks != VOID).sum()
        expected = share**-0.5 if row == column and share else 0
        assert weights[row, column].item() == pytest.approx(expected, rel=1e-5)


def test_the_weight_of_a_very_rare_class_is_bounded():
    masks = np.zeros((10, 100, 100), dtype=np.uint8)
    masks[0, 0, 0] = 1
    assert _class_weights(masks, 2)[1, 1].item() == pytest.approx(100)


@pytest.mark.parametrize(("n", "steps", "batch_size"), [(10, 7, 4), (2, 5, 4), (1, 3, 4), (8, 2, 4)])
def test_every_frame_is_seen_once_before_one_is_seen_again(n, steps, batch_size):
    batches = list(batches_of(n, steps, batch_size, generator()))
    assert [len(batch) for batch in batches] == [batch_size] * steps
    seen = torch.cat(batches)
    for part in seen.split(n):
        assert len(part.unique()) == len(part)
    assert seen.min() >= 0 and seen.max() < n


# ------------------------------------------------------------------------------------------ networks with labels

SHORT = SceneRecipe(steps=60, learning_rate=1e-2, size=(32, 48))


@pytest.fixture(autouse=True)
def single_precision(monkeypatch):
    """Networks as small as these are slower in bfloat16, and round otherwise on other machines."""
    monkeypatch.setattr(networks, "default_precision", lambda: "32-true")


def quarters(n: int, seed: int = 0, size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Frames of four classes, each of its own colour, in any order: a position says nothing."""
    rng = np.random.default_rng(seed)
    order = np.stack([rng.permutation(4) for _ in range(n)]).reshape(n, 2, 2).astype(np.uint8)
    masks = order.repeat(size[0] // 2, axis=1).repeat(size[1] // 2, axis=2)
    return (COLOURS[masks] + rng.normal(0, 6, (*masks.shape, 3))).clip(0, 255).astype(np.uint8), masks


def new_encoder(width: int = 8) -> SceneEncoder:
    torch.manual_seed(0)
    return SceneEncoder(width, 16)


def assert_same_weights(a: nn.Module, b: nn.Module) -> None:
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


def test_a_network_learns_colours_and_leaves_the_encoder_as_it_was():
    frames, masks = quarters(12)
    test_frames, test_masks = quarters(8, seed=1)
    encoder = new_encoder().eval()
    model = fit_segmenter(encoder, frames, masks, 4, SHORT, seed=0)
    labels = segment(model, test_frames)
    assert labels.shape == test_masks.shape and labels.dtype == np.uint8 and not model.training
    assert score(test_masks, labels) > 0.9
    assert np.array_equal(segment(model, test_frames, batch_size=3), labels)
    assert_same_weights(encoder, new_encoder())
    assert not encoder.training and all(p.grad is None for p in encoder.parameters())


def test_a_network_follows_from_its_seed_alone():
    frames, masks = quarters(4)
    recipe = SceneRecipe(steps=3, size=(16, 24))
    first = fit_segmenter(new_encoder(4), frames, masks, 4, recipe, seed=0)
    encoder = new_encoder(4)
    torch.manual_seed(123)
    assert_same_weights(first, fit_segmenter(encoder, frames, masks, 4, recipe, seed=0))
    other = fit_segmenter(new_encoder(4), frames, masks, 4, recipe, seed=1)
    assert not torch.equal(other.head.weight, first.head.weight)


def test_a_network_learns_no_more_than_the_position_from_masks_of_other_frames():
    frames, masks = world(12)
    test_frames, test_masks = world(8, seed=1)
    prior = score(test_masks, position_prior(masks, 8, 4))
    model = fit_segmenter(new_encoder(), frames, np.roll(masks, 5, axis=0), 4, SHORT, seed=0)
    assert score(test_masks, segment(model, test_frames)) == pytest.approx(prior, abs=0.1)


def test_a_class_weighs_one_over_the_root_of_its_frequency_and_void_nothing():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (8, 32, 48, 3), dtype=np.uint8)
    masks = rng.choice(np.array([0, 1, VOID], dtype=np.uint8), (8, 32, 48), p=[0.45, 0.05, 0.5])
    model = fit_segmenter(new_encoder(4), frames, masks, 3, SHORT, seed=0)
    with torch.no_grad():
        said = model(torch.rand(8, 3, 32, 48, generator=generator())).softmax(dim=1).mean(dim=(0, 2, 3))
    assert said.tolist() == pytest.approx([0.75, 0.25, 0.0], abs=0.05), "0.9 and 0.1 over their roots are 3 to 1"


def test_crops_without_a_label_teach_nothing_and_spoil_nothing():
    frames, masks = quarters(4, size=(64, 96))
    masks[:, 4:] = VOID
    model = fit_segmenter(new_encoder(4), frames, masks, 4, SceneRecipe(steps=20, batch_size=1, size=(16, 24)), seed=0)
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_what_was_pretrained_has_a_rate_of_its_own():
    recipe = SceneRecipe(steps=4, learning_rate=1e-2, pretrained_rate=0.0, size=(16, 24), weight_decay=0.0)
    frames, masks = quarters(4)
    encoder = new_encoder(4)
    model = fit_segmenter(encoder, frames, masks, 4, recipe, seed=0)
    for name, p in model.encoder.named_parameters():
        assert torch.equal(p, encoder.get_parameter(name)), name
    one_rate = fit_segmenter(encoder, frames, masks, 4, replace(recipe, pretrained_rate=None), seed=0)
    assert not any(torch.equal(p, encoder.get_parameter(name)) for name, p in one_rate.encoder.named_parameters())


def test_frames_may_be_read_twice_as_large():
    frames, masks = quarters(4)
    sizes = []
    recipe = SceneRecipe(steps=2, size=(16, 24), enlarged=2)
    model = fit_segmenter(new_encoder(4), frames, masks, 4, recipe, seed=0)
    levels = model.encoder.levels
    model.encoder.levels = lambda x: sizes.append(tuple(x.shape[2:])) or levels(x)
    assert segment(model, frames).shape == masks.shape
    assert sizes == [(96, 128)]


# ------------------------------------------------------------------------------------------------------- borrowed


@pytest.fixture(scope="module")
def borrowed() -> Lite0Scenes:
    torch.manual_seed(0)
    return Lite0Scenes()


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_borrowed_network_says_where_the_values_of_its_levels_lie(level):
    """Measured on a network whose convolutions add up, so that the gradient is alike on both sides."""
    encoder = Lite0Scenes(pretrained=False).eval()
    for name, p in encoder.borrowed.named_parameters():
        nn.init.ones_(p) if p.ndim == 4 else nn.init.constant_(p, 1.0 if name.endswith("weight") else 0.0)
    for module in [m for m in encoder.borrowed.modules() if isinstance(m, nn.ReLU6)]:
        module.forward = lambda x: x / x.detach().abs().mean()
    encoder.borrowed.network._swish.forward = lambda x: x
    frames = torch.full((1, 3, 256, 320), 0.9, requires_grad=True)
    step, offset = encoder.steps[level], encoder.offsets[level]
    row, column = 128 // step, 160 // step
    (gradient,) = torch.autograd.grad(encoder.levels(frames)[level][0, :, row, column].sum(), frames)
    weight = gradient[0].double().abs().sum(dim=0)
    weight = weight / weight.sum()
    middle = [(weight.sum(dim=1 - axis) * torch.arange(weight.shape[axis])).sum().item() for axis in (0, 1)]
    assert middle == pytest.approx([offset + step * row, offset + step * column], abs=0.3)


def test_the_borrowed_network_is_that_of_the_package(borrowed):
    frames = torch.rand(1, 3, 128, 128, generator=generator())
    theirs, outputs = networks.EfficientNetLite0(128).eval(), []
    for i in Lite0Scenes.LAST:
        theirs.network._blocks[i].register_forward_hook(lambda module, given, output: outputs.append(output))
    with torch.no_grad():
        theirs(frames)
        levels = borrowed.eval().levels(frames)
    assert [x.shape[1] for x in levels] == [24, 40, 112]
    for mine, other in zip(levels, outputs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-3, rtol=1e-3)


def test_the_frozen_copy_gives_the_same_features(borrowed):
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    fast, slow = (hypercolumns(encoder, frames) for encoder in (borrowed.frozen(), borrowed))
    assert slow.shape == (2, 176, 16, 24)
    assert np.corrcoef(fast.ravel(), slow.ravel())[0, 1] > 0.999
    assert borrowed.borrowed.half_precision is False


def test_the_borrowed_network_learns(borrowed):
    frames, masks = quarters(4, size=(64, 96))
    recipe = SceneRecipe(steps=12, learning_rate=1e-2, pretrained_rate=1e-4, size=(64, 96))
    before = {name: p.clone() for name, p in borrowed.state_dict().items()}
    model = fit_segmenter(borrowed, frames, masks, 4, recipe, seed=0)
    assert score(masks, segment(model, frames)) > 0.5
    assert all(torch.equal(p, before[name]) for name, p in borrowed.state_dict().items()), "it is copied"
    moved = {n for n, p in model.encoder.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n, _ in model.encoder.named_parameters()}


@pytest.mark.parametrize("size", [(120, 160), (30, 50)])
def test_labels_have_the_size_of_the_frames(size):
    frames = quarters(2, size=size)[0]
    model = SceneSegmenter(new_encoder(4), nn.Conv2d(16, 5, 1)).eval()
    labels = segment(model, frames)
    assert labels.shape == (2, *size) and labels.dtype == np.uint8 and labels.max() < 5
    logits = model(torch.from_numpy(frames).permute(0, 3, 1, 2) / 255)
    assert np.array_equal(enlarged_labels(logits.detach(), size), labels)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (np.full((2, 48, 64), VOID), "every pixel of the masks is void; draw frames with a mask"),
        (np.full((2, 48, 64), 4), r"masks hold the number 4, and there are 4 classes \(0 to 3\)"),
        (np.zeros((3, 48, 64)), "2 frames and 3 masks; give the same frames"),
    ],
)
def test_masks_that_teach_no_network(masks, message):
    with pytest.raises(ValueError, match=message):
        fit_segmenter(new_encoder(4), quarters(2)[0], masks.astype(np.uint8), 4, SHORT, seed=0)
