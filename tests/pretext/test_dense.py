"""Dense pretexts: frames whose colours are their coordinates, second writings of the losses, and short trainings."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from torch import nn

from sslbook import train
from sslbook.augment.geometry import crop
from sslbook.augment.tensors import to_tensor
from sslbook.encoders.scenes import SceneEncoder
from sslbook.pretext import dense
from sslbook.pretext.dense import (
    DenseContrast,
    Inpainting,
    PatchContrast,
    TimeContrast,
    features_at,
    region_pair,
    shared_points,
)
from sslbook.train import pretrain

SMALL = (16, 24)
SHARE = (64 / 120, 96 / 160)
CPU = {"accelerator": "cpu", "precision": "32-true"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coordinate_frames(n: int, blue: float = 0.5, size: tuple[int, int] = (120, 160)) -> torch.Tensor:
    """Frames whose red is x and whose green is y, both from 0 to 1."""
    y, x = ((torch.arange(side) + 0.5) / side for side in size)
    picture = torch.stack([x.expand(size), y[:, None].expand(size), torch.full(size, blue)])
    return picture.repeat(n, 1, 1, 1)


def streets(n: int, size: tuple[int, int] = (32, 48)) -> np.ndarray:
    """Stored frames that differ: smooth noise."""
    coarse = torch.rand(n, 3, 4, 6, generator=generator(7))
    fine = F.interpolate(coarse, size, mode="bilinear")
    return (fine * 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def new_encoder(seed: int = 0) -> SceneEncoder:
    torch.manual_seed(seed)
    return SceneEncoder(4, 8)


class Looking(nn.Module):
    """An encoder that changes nothing: its features are the mean colours of 4 x 4 pixels."""

    out_features = 3

    def feature_map(self, frames: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(frames, 4)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.feature_map(frames).mean(dim=(2, 3))


def seeing(kind: type, monkeypatch, **settings) -> PatchContrast:
    """An objective without change of light, encoder and projection, so that its vectors are the colours it saw."""
    monkeypatch.setattr(dense, "jitter_colours", lambda crops, *_args, **_settings: crops)
    objective = kind(Looking(), **settings)
    objective.projection_head = nn.Identity()
    return objective


# ---------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("settings", [((1, 1), 0.0), ((0.6, 1.2), 0.25), ((0.3, 2.5), 0.9)])
def test_a_point_shows_the_same_content_in_both_crops(settings):
    first, second = region_pair(60, SHARE, *settings, generator())
    at = shared_points(first, second, 20, generator(1))
    frames = coordinate_frames(60)
    read = [features_at(crop(frames, maps, (64, 96)), points) for maps, points in zip((first, second), at, strict=True)]
    inside = torch.stack([points.abs().amax(dim=2) < 0.95 for points in at]).all(dim=0)
    assert inside.float().mean() > 0.7
    torch.testing.assert_close(read[0][inside], read[1][inside], atol=1e-3, rtol=0)
    torch.testing.assert_close(*read, atol=1 / 120, rtol=0)
    where = [
        torch.einsum("nij,npj->npi", m[:, :, :2], p) + m[:, None, :, 2]
        for m, p in zip((first, second), at, strict=True)
    ]
    torch.testing.assert_close(*where, atol=1e-5, rtol=0)
    torch.testing.assert_close(read[0][inside][:, :2], (where[0][inside] + 1) / 2, atol=1e-3, rtol=0)


def test_shared_points_lie_in_both_crops_and_all_over_what_they_share():
    first, second = region_pair(300, SHARE, (0.4, 2.0), 0.9, generator())
    a, b = shared_points(first, second, 50, generator(1))
    assert a.shape == b.shape == (300, 50, 2)
    assert a.abs().max() <= 1 + 1e-5 and b.abs().max() <= 1 + 1e-5
    a, b = shared_points(first, first, 50, generator(1))
    assert torch.equal(a, b)
    assert a.mean().abs() < 0.02 and a.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.02)


def test_regions_stay_in_the_frame_and_vary_as_told():
    scale, shift = (0.6, 1.2), 0.25
    first, second = region_pair(3000, SHARE, scale, shift, generator())
    for maps in (first, second):
        size, place = maps[:, (0, 1), (0, 1)], maps[:, :, 2]
        assert (size.abs() + place.abs() <= 1 + 1e-5).all()
        assert (maps[:, 0, 1] == 0).all() and (maps[:, 1, 0] == 0).all() and (size[:, 1] > 0).all()
        zoom = size.abs() / torch.tensor([SHARE[1], SHARE[0]])
        torch.testing.assert_close(zoom[:, 0], zoom[:, 1])
        assert 0.6 - 1e-4 < zoom.min() < 0.61 and 1.19 < zoom.max() < 1.2 + 1e-4
        assert (size[:, 0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (first[:, 0, 0].sign() == second[:, 0, 0].sign()).float().mean().item() == pytest.approx(0.5, abs=0.05)
    reach = shift * (first[:, (0, 1), (0, 1)].abs() + second[:, (0, 1), (0, 1)].abs())
    edge = 1 - torch.maximum(first[:, (0, 1), (0, 1)].abs(), second[:, (0, 1), (0, 1)].abs())
    inside = (first[:, :, 2].abs() < edge) & (second[:, :, 2].abs() < edge)
    apart = (first[:, :, 2] - second[:, :, 2]).abs()
    assert inside.any() and (apart <= reach + 1e-5)[inside].all() and (apart > 0.5 * reach)[inside].any()


def test_a_crop_larger_than_the_frame_is_the_frame():
    first, second = region_pair(20, (1.5, 2.0), (1.0, 1.5), 0.5, generator())
    for maps in (first, second):
        assert torch.equal(maps.abs(), torch.eye(2, 3).expand(20, 2, 3))


def test_features_at_against_another_interpolation():
    feature_map = torch.randn(3, 4, 5, 7, generator=generator())
    points = 2.2 * torch.rand(3, 30, 2, generator=generator(1)) - 1.1
    read = features_at(feature_map, points)
    assert read.shape == (3, 30, 4)
    for i, c in np.ndindex(3, 4):
        x, y = (points[i].double().numpy() + 1).T / 2
        expected = map_coordinates(
            feature_map[i, c].double().numpy(), [y * 5 - 0.5, x * 7 - 0.5], order=1, mode="nearest"
        )
        np.testing.assert_allclose(read[i, :, c], expected, atol=1e-5)


# ------------------------------------------------------------------------------------------------ what is compared


@pytest.mark.parametrize("kind", [PatchContrast, DenseContrast])
def test_views_are_crops_of_their_frames_at_their_maps(kind, monkeypatch):
    frames = coordinate_frames(10) * torch.linspace(0.5, 1, 10).view(10, 1, 1, 1)
    views, first, second = seeing(kind, monkeypatch, size=SMALL).views(frames, generator())
    assert views.shape == (20, 3, *SMALL) and views.is_contiguous(memory_format=torch.channels_last)
    for part, maps in zip(views.chunk(2), (first, second), strict=True):
        torch.testing.assert_close(part, crop(frames, maps, SMALL))
        centre = part[:, :2].mean(dim=(2, 3)) / torch.linspace(0.5, 1, 10)[:, None]
        torch.testing.assert_close(centre, (maps[:, :, 2] + 1) / 2, atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", [PatchContrast, DenseContrast, TimeContrast, Inpainting])
def test_views_follow_from_the_generator(kind):
    cases = to_tensor(streets(4, (64, 48)))
    first, again, other = (kind(new_encoder(), size=SMALL).views(cases, generator(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert ((first - other).abs().amax(dim=(1, 2, 3)) > 0.01).all()


def test_light_of_the_two_crops_differs():
    frames = to_tensor(streets(30))
    objective = PatchContrast(new_encoder(), size=SMALL, scale=(1, 1), shift=0.0)
    views, first, second = objective.views(frames, generator())
    change = views - crop(torch.cat([frames, frames]), torch.cat([first, second]), SMALL)
    assert (change.abs().amax(dim=(1, 2, 3)) > 0.01).all()
    by_crop = change.mean(dim=(1, 2, 3)).view(2, 30)
    assert (by_crop[0] - by_crop[1]).abs().median() > 0.03
    grey = (views.std(dim=1).amax(dim=(1, 2)) < 1e-6).float().mean().item()
    assert 0.05 < grey < 0.4, "one in five loses its colours"


def test_vectors_of_a_patch_are_those_of_its_frame(monkeypatch):
    frames = torch.rand(6, 3, 1, 1, generator=generator()).repeat(1, 1, 64, 96)
    a, b = seeing(PatchContrast, monkeypatch, size=SMALL)(frames, generator())
    torch.testing.assert_close(a, frames[:, :, 0, 0])
    torch.testing.assert_close(b, frames[:, :, 0, 0])


def test_vectors_of_a_point_are_read_where_both_crops_show_it(monkeypatch):
    objective = seeing(DenseContrast, monkeypatch, points=12, scale=(0.8, 1.2))
    a, b = objective(coordinate_frames(9), generator())
    assert a.shape == b.shape == (9, 12, 3)
    difference = (a - b)[..., :2].abs()
    assert difference.max() < 4.8 / 120, "two halves of a cell, where a point lies at the border of a crop"
    assert difference.median() < 1e-3
    assert a[..., :2].flatten(0, 1).std(dim=0).min() > 0.1, "the points lie all over the frame"


def test_the_second_crop_of_a_pair_comes_from_the_next_frame(monkeypatch):
    pairs = torch.cat([coordinate_frames(8, blue=0.0), coordinate_frames(8, blue=1.0)], dim=2)
    objective = seeing(TimeContrast, monkeypatch, scale=(1, 1), shift=0.0)
    assert pairs.shape == (8, 3, 240, 160)
    views, first, second = objective.views(pairs, generator())
    now, following = views.chunk(2)
    assert (now[:, 2] == 0).all() and torch.allclose(following[:, 2], torch.ones(1))
    torch.testing.assert_close(first.abs(), second.abs())
    torch.testing.assert_close(first[:, 0, 0].abs(), torch.full((8,), 0.6), msg="a crop has the frame's resolution")
    a, b = objective(pairs, generator())
    torch.testing.assert_close(a[:, :2], b[:, :2], atol=1e-3, rtol=0)
    assert a[:, 2].max() < 1e-6 and b[:, 2].min() > 1 - 1e-6


# ------------------------------------------------------------------------------------------------------ losses


def contrast_by_loops(a: np.ndarray, b: np.ndarray, temperature: float) -> float:
    """Every vector against all others of the batch, whatever frame they are from, in float64."""
    vectors = [v / math.sqrt(v @ v) for v in np.concatenate([a.reshape(-1, a.shape[-1]), b.reshape(-1, a.shape[-1])])]
    half, total = len(vectors) // 2, 0.0
    for i, vector in enumerate(vectors):
        likeness = {j: math.exp(vector @ other / temperature) for j, other in enumerate(vectors) if j != i}
        total -= math.log(likeness[(i + half) % (2 * half)] / sum(likeness.values()))
    return total / (2 * half)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(PatchContrast, (7, 5)), (TimeContrast, (7, 5)), (DenseContrast, (4, 3, 5)), (DenseContrast, (1, 6, 5))],
)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrast_equals_the_second_writing(kind, shape, temperature):
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape)
    b = a + rng.normal(size=shape)
    objective = kind(new_encoder(), temperature=temperature)
    loss = objective.loss(torch.from_numpy(a), torch.from_numpy(b)).item()
    assert loss == pytest.approx(contrast_by_loops(a, b, temperature), rel=1e-5)


@pytest.mark.parametrize("n", [2, 16])
def test_equal_vectors_give_the_log_of_the_candidates(n):
    for kind in (PatchContrast, TimeContrast):
        objective, equal = kind(new_encoder()), torch.ones(n, 8)
        assert objective.loss(equal, equal).item() == pytest.approx(math.log(2 * n - 1), abs=1e-5)
        assert objective.reference_values(n) == {"chance and collapse": pytest.approx(math.log(2 * n - 1))}
    objective, equal = DenseContrast(new_encoder(), points=5), torch.ones(n, 5, 8)
    assert objective.loss(equal, equal).item() == pytest.approx(math.log(2 * 5 * n - 1), abs=1e-5)
    assert objective.reference_values(n) == {"chance and collapse": pytest.approx(math.log(2 * 5 * n - 1))}


class Answering(nn.Module):
    """A decoder that gives what it is told."""

    def __init__(self, restored: torch.Tensor):
        super().__init__()
        self.restored = restored

    def forward(self, _features: torch.Tensor) -> torch.Tensor:
        return F.pixel_unshuffle(self.restored, 4)


@pytest.mark.parametrize("offset", [0.0, 0.3, -1.0])
def test_the_error_of_inpainting_is_the_distance_to_the_colours(offset):
    frames, objective = to_tensor(streets(5)), Inpainting(new_encoder(), size=SMALL)
    wanted, _ = objective.views(frames, generator())
    objective.decoder = Answering((wanted - 0.5) / 0.25 + offset)
    (error,) = objective(frames, generator())
    assert error.shape == (5, 2)
    torch.testing.assert_close(error, torch.full((5, 2), abs(offset)), atol=1e-5, rtol=0)
    assert objective.loss(error).item() == pytest.approx(abs(offset), abs=1e-5)


def test_the_error_of_inpainting_against_a_second_writing():
    frames, objective = to_tensor(streets(5)), Inpainting(new_encoder(), size=SMALL).eval()
    wanted, seen = objective.views(frames, generator())
    with torch.no_grad():
        said = objective.decoder(objective.encoder.feature_map(seen)).numpy()
        (error,) = objective(frames, generator())
    target, expected = (wanted.numpy() - 0.5) * 4, np.zeros((5, 2))
    for view, colour, row, column in np.ndindex(10, 3, *SMALL):
        channel = colour * 16 + row % 4 * 4 + column % 4
        distance = abs(said[view, channel, row // 4, column // 4] - target[view, colour, row, column])
        expected[view % 5, view // 5] += distance / (3 * SMALL[0] * SMALL[1])
    np.testing.assert_allclose(error, expected, rtol=1e-4)


def test_inpainting_wants_the_colours_of_the_crops():
    frames = coordinate_frames(40)
    wanted, seen = Inpainting(new_encoder()).views(frames, generator())
    assert wanted.shape == seen.shape == (80, 3, 64, 96)
    assert torch.allclose(wanted[:, 2], torch.tensor(0.5), atol=1e-4), "blue as it is in the frames"
    rightwards, downwards = wanted[:, 0].diff(dim=2), wanted[:, 1].diff(dim=1)
    assert (rightwards[:, :, 1:-1].sign().flatten(1).std(dim=1) == 0).all() and (downwards[:, 1:-1] > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_share_and_shape_of_the_hidden_blocks(share):
    frames = to_tensor(streets(60, (120, 160)))
    _, seen = Inpainting(new_encoder(), share=share).views(frames, generator())
    blocks = (seen == 0.5).all(dim=1).float().unfold(1, 8, 8).unfold(2, 8, 8).mean(dim=(3, 4))
    hidden = blocks == 1
    assert hidden.shape == (120, 8, 12)
    assert hidden.float().mean().item() == pytest.approx(share, abs=4 * math.sqrt(0.25 / hidden.numel()))
    assert blocks[~hidden].numel() == 0 or blocks[~hidden].max() < 0.9
    assert share in (0, 1) or not torch.equal(hidden[:60], hidden[60:]), "each crop has its own"


def test_colour_and_what_is_hidden_do_not_reach_the_encoder():
    frames, objective, seen = to_tensor(streets(6)), Inpainting(new_encoder(), size=SMALL), []
    objective.encoder.feature_map = lambda x: seen.append(x) or torch.zeros(len(x), 8, SMALL[0] // 4, SMALL[1] // 4)
    objective(frames, generator())
    (read,) = seen
    assert torch.equal(read, objective.views(frames, generator())[1])
    torch.testing.assert_close(read, read[:, :1].expand_as(read), msg="grey")
    hidden = (read == 0.5).all(dim=1)
    assert 0.2 < hidden.float().mean() < 0.6
    wanted = objective.views(frames, generator())[0]
    light = wanted.mean(dim=1)[~hidden], read[:, 0][~hidden]
    assert np.corrcoef(*light)[0, 1] > 0.7, "what is not hidden is seen"


# ----------------------------------------------------------------------------------------------- short trainings


OBJECTIVES = {
    "patch": lambda encoder: PatchContrast(encoder, size=SMALL),
    "time": lambda encoder: TimeContrast(encoder, size=SMALL),
    "dense": lambda encoder: DenseContrast(encoder, points=4, size=SMALL),
    "inpainting": lambda encoder: Inpainting(encoder, size=SMALL),
}


def run(name: str, seed: int = 0, start: int = 0, **settings) -> tuple[nn.Module, list[dict]]:
    objective = OBJECTIVES[name](new_encoder(start))
    frames = streets(8, (64, 48) if name == "time" else (32, 48))
    history = pretrain(objective, frames, epochs=2, batch_size=4, seed=seed, **CPU, **settings)
    return objective, [{k: v for k, v in row.items() if "seconds" not in k} for row in history.epochs]


def assert_same_weights(a: nn.Module, b: nn.Module) -> None:
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_short_training_repeats_and_resumes(name, tmp_path, monkeypatch):
    whole, told = run(name)
    again, told_again = run(name)
    assert told == told_again and all(math.isfinite(row["loss"]) for row in told)
    assert_same_weights(whole, again)
    assert run(name, seed=1)[1] != told

    save = train.save_checkpoint

    def interrupted(*state) -> None:
        save(*state)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patch:
        patch.setattr(train, "save_checkpoint", interrupted)
        run(name, checkpoint=tmp_path / "run.ckpt")
    resumed, told_resumed = run(name, start=5, checkpoint=tmp_path / "run.ckpt")
    assert told_resumed == told
    assert_same_weights(whole, resumed)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_parameter_learns(name):
    objective = OBJECTIVES[name](new_encoder()).train()
    frames = to_tensor(streets(4, (64, 48) if name == "time" else (32, 48)))
    objective.loss(*objective(frames, generator())).backward()
    assert not [n for n, p in objective.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
