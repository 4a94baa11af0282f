"""Networks for pictures, rows and histories, and their frozen features."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sslbook.augment.tensors import to_tensor
from sslbook.data.sequences import histories
from sslbook.encoders import scenes
from sslbook.encoders.events import EventEncoder, encode_events
from sslbook.encoders.features import WithNumbers, count_parameters, encode
from sslbook.encoders.residual import ResidualBlock, ResNet
from sslbook.encoders.rows import MLP
from sslbook.encoders.scenes import SceneEncoder, hypercolumns
from sslbook.finetune import Recipe, fit_classifier
from sslbook.train import default_precision


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


# ----------------------------------------------------------------------------------------------------- scenes


def stored_frames(n: int, height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(120, 160), (64, 96), (16, 24), (36, 52), (30, 50), (33, 47)])
def test_features_of_a_scene_have_a_quarter_of_its_size(size):
    encoder, frames = SceneEncoder(4, 8), torch.rand(2, 3, *size)
    levels = [tuple(level.shape) for level in encoder.levels(frames)]
    assert levels == [(2, c, math.ceil(size[0] / s), math.ceil(size[1] / s)) for c, s in ((8, 4), (16, 8), (16, 16))]
    assert encoder.feature_map(frames).shape == (2, 8, *levels[0][2:])
    assert encoder(frames).shape == (2, encoder.out_features) == (2, 8)


def test_number_of_parameters_of_a_scene_encoder():
    assert 0.345e6 < count_parameters(SceneEncoder()) < 0.355e6
    assert count_parameters(SceneEncoder()) == count_parameters(SceneEncoder(width=24, out_features=64))


def test_every_parameter_of_a_scene_encoder_learns():
    torch.manual_seed(0)
    encoder = SceneEncoder(4, 8)
    encoder.feature_map(torch.rand(4, 3, 48, 64)).square().sum().backward()
    assert not [name for name, p in encoder.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]


def test_a_scene_encoder_computes_channels_last():
    encoder = SceneEncoder(4, 8)
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in encoder.parameters() if p.ndim == 4)
    frames = to_tensor(stored_frames(2, 48, 64))
    assert encoder.feature_map(frames).is_contiguous(memory_format=torch.channels_last)
    encoder.eval()
    torch.testing.assert_close(encoder.feature_map(frames), encoder.feature_map(frames.contiguous()), atol=1e-5, rtol=0)


def test_the_vector_of_a_scene_is_the_mean_of_its_features():
    torch.manual_seed(0)
    encoder, frames = SceneEncoder(4, 8).eval(), stored_frames(2, 48, 64)
    features = encode(encoder, frames)
    with torch.no_grad():
        by_place = encoder.feature_map(to_tensor(frames)).numpy()
    np.testing.assert_allclose(features, by_place.mean(axis=(2, 3)), atol=1e-5)


def test_the_pyramid_tells_a_place_of_its_wide_surroundings():
    torch.manual_seed(0)
    encoder = SceneEncoder(4, 8).eval()
    frames = torch.rand(1, 3, 128, 160).requires_grad_()
    fine = encoder.levels(frames)[0]
    reach = []
    for features in (fine, encoder.feature_map(frames)):
        (gradient,) = torch.autograd.grad(features[0, :, 16, 20].sum(), frames, retain_graph=True)
        rows, columns = gradient[0].abs().sum(dim=0).nonzero().T
        assert rows.min() <= 66 <= rows.max() and columns.min() <= 82 <= columns.max(), "what it sees lies around it"
        reach.append((rows.max() - rows.min()).item())
    assert reach[0] < 24 < 64 < reach[1]


def middle_of(level: int, encoder: SceneEncoder, place: tuple[int, int]) -> tuple[float, float]:
    """Row and column of the pixel around which the gradient of a value of a level lies."""
    frames = torch.rand(1, 3, 192, 256, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(encoder.levels(frames)[level][0, :, *place].sum(), frames)
    rows, columns = gradient[0].abs().sum(dim=0).nonzero().T
    return (rows.min() + rows.max()).item() / 2, (columns.min() + columns.max()).item() / 2


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_scene_encoder_says_where_the_values_of_its_levels_lie(level):
    torch.manual_seed(0)
    encoder = SceneEncoder(4, 8).eval()
    row, column = 48 // 2**level, 64 // 2**level
    row, column = row // 2, column // 2
    step, offset = encoder.steps[level], encoder.offsets[level]
    assert middle_of(level, encoder, (row, column)) == (offset + step * row, offset + step * column)


def resized(level: np.ndarray, size: tuple[int, int], step: int, offset: float) -> np.ndarray:
    """Linear interpolation at the middles of cells of four pixels, one axis after the other."""
    for axis, cells in ((2, size[0]), (3, size[1])):
        old = offset + step * np.arange(level.shape[axis])
        at = np.arange(cells) * 4 + 1.5
        level = np.apply_along_axis(lambda line, at=at, old=old: np.interp(at, old, line), axis, level)
    return level


@pytest.mark.parametrize(("step", "offset"), [(4, 0), (8, 0), (16, 0), (4, 3), (8, 7), (16, 15)])
def test_a_level_is_read_in_the_middle_of_each_cell(step, offset):
    """A level that holds its own place gives the place of the cells, but for the edges."""
    rows, columns = (offset + step * torch.arange(-(-side // step)).float() for side in (96, 128))
    level = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))[None]
    read = scenes.at_cells(level, (96, 128), step, offset)
    cells = 1.5 + 4 * torch.arange(24)
    inside = (cells >= offset) & (cells <= rows[-1])
    torch.testing.assert_close(read[0, 0, inside], cells[inside][:, None].expand(-1, 32).contiguous())
    assert (read[0, 0, cells > rows[-1]] == rows[-1]).all() and (read[0, 0, cells < offset] == offset).all()
    np.testing.assert_allclose(read, resized(level.numpy(), (24, 32), step, offset), atol=1e-4)


@pytest.mark.parametrize("size", [(120, 160), (32, 48)])
def test_hypercolumns_are_the_levels_on_top_of_one_another(size):
    torch.manual_seed(0)
    encoder, frames = SceneEncoder(4, 8), stored_frames(3, *size)
    encoder(to_tensor(frames))  # running statistics that differ from those of a batch
    stacked = hypercolumns(encoder.train(), frames)
    assert stacked.shape == (3, 8 + 16 + 16, size[0] // 4, size[1] // 4)
    assert stacked.dtype == np.float32 and stacked.flags.c_contiguous and not encoder.training
    with torch.no_grad():
        levels = [level.numpy() for level in encoder.levels(to_tensor(frames))]
    expected = [resized(x, levels[0].shape[2:], step, 0) for x, step in zip(levels, encoder.steps, strict=True)]
    expected = np.concatenate(expected, axis=1)
    np.testing.assert_allclose(stacked, expected, atol=1e-5)


def test_hypercolumns_of_a_frame_do_not_depend_on_its_batch():
    torch.manual_seed(0)
    encoder, frames = SceneEncoder(4, 8), stored_frames(7, 32, 48)
    np.testing.assert_allclose(hypercolumns(encoder, frames, 3), hypercolumns(encoder, frames), atol=1e-5)


# ------------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize(("width", "layers"), [(128, 3), (16, 1), (8, 5)])
def test_mlp_has_the_stated_layers(width, layers):
    encoder = MLP(7, width, layers)
    assert encoder(torch.randn(5, 7)).shape == (5, width) and encoder.out_features == width
    assert count_parameters(encoder) == (7 + 1) * width + (layers - 1) * (width + 1) * width


def test_mlp_is_layers_and_rectifiers():
    torch.manual_seed(0)
    encoder, rows = MLP(4, width=6, layers=2), torch.randn(9, 4)
    first, second = (layer for layer in encoder.layers if isinstance(layer, nn.Linear))
    expected = np.maximum(rows.numpy() @ first.weight.detach().numpy().T + first.bias.detach().numpy(), 0)
    expected = np.maximum(expected @ second.weight.detach().numpy().T + second.bias.detach().numpy(), 0)
    np.testing.assert_allclose(encoder(rows).detach().numpy(), expected, atol=1e-6)


def test_rows_are_encoded_as_they_are():
    torch.manual_seed(0)
    encoder, rows = MLP(4, width=6), np.random.default_rng(0).normal(size=(700, 4)).astype(np.float32)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(encode(encoder, rows), expected, atol=1e-6)


# -------------------------------------------------------------------------------------------------- histories

CODES = (5, 7, 3)


def new_event_encoder(width: int = 8) -> EventEncoder:
    torch.manual_seed(0)
    return EventEncoder(CODES, width=width, embedding=4)


def stored_histories(n: int = 300, owners: int = 23) -> tuple[np.ndarray, np.ndarray]:
    """Histories of quite different lengths; entity 3 has no event."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.full(owners, 0.7)) + 1e-3
    share[3] = 0
    owner = rng.choice(owners, n, p=share / share.sum())
    owner[-1] = owners - 1
    return histories(rng.integers(0, CODES, (n, 3)), owner)


def test_fields_of_an_event_are_embedded_side_by_side():
    encoder = new_event_encoder()
    vectors = encoder.embed(torch.tensor([[[4, 0, 2], [-1, -1, -1]]], dtype=torch.int16))
    assert vectors.shape == (1, 2, 12)
    tables = [table.weight for table in encoder.embeddings]
    torch.testing.assert_close(vectors[0, 0], torch.cat([tables[0][5], tables[1][1], tables[2][3]]))
    assert (vectors[0, 1] == 0).all(), "what fills short histories is nothing"
    assert [table.num_embeddings for table in encoder.embeddings] == [6, 8, 4]


def test_the_highest_code_is_known_and_none_above():
    encoder = new_event_encoder()
    encoder(torch.tensor([[[4, 6, 2]]]))
    with pytest.raises(IndexError):
        encoder(torch.tensor([[[5, 6, 2]]]))


def test_features_are_the_state_after_the_last_event():
    encoder = new_event_encoder()
    sequences, rows = stored_histories()
    events = torch.from_numpy(sequences)
    states, features = encoder.states(events), encoder(events)
    assert features.shape == (23, encoder.out_features)
    for i, n in enumerate((rows >= 0).sum(axis=1)):
        if n:
            torch.testing.assert_close(features[i], states[i, n - 1])
            torch.testing.assert_close(features[i], encoder(events[i : i + 1, :n])[0])
    assert torch.isfinite(features).all(), "an entity without events too"


def test_more_padding_changes_no_feature():
    encoder, events = new_event_encoder(), torch.from_numpy(stored_histories()[0])
    padded = torch.cat([events, torch.full((23, 40, 3), -1, dtype=torch.int16)], dim=1)
    torch.testing.assert_close(encoder(padded), encoder(events))


def test_the_order_of_events_matters():
    encoder = new_event_encoder()
    events = torch.tensor([[[1, 2, 0], [4, 5, 1], [0, 0, 2]]])
    assert not torch.allclose(encoder(events), encoder(events[:, [1, 0, 2]]), atol=1e-3)


def test_every_event_gets_its_own_state():
    encoder, (sequences, rows) = new_event_encoder(), stored_histories()
    found = encode_events(encoder.states, sequences, rows, batch_size=4)
    assert found.shape == (300, 8) and found.dtype == np.float32
    for entity, history in enumerate(rows):
        mine = history[history >= 0]
        for place, row in enumerate(mine):
            with torch.no_grad():
                alone = encoder(torch.from_numpy(sequences[entity : entity + 1, : place + 1]))
            np.testing.assert_allclose(found[row], alone[0], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_states_do_not_depend_on_the_batch(batch_size):
    encoder, (sequences, rows) = new_event_encoder(), stored_histories()
    whole = encode_events(encoder.states, sequences, rows)
    np.testing.assert_allclose(encode_events(encoder.states, sequences, rows, batch_size), whole, atol=1e-5)


def test_some_entities_give_their_events_and_zeros_for_the_others():
    encoder, (sequences, rows) = new_event_encoder(), stored_histories()
    whole, some = encode_events(encoder.states, sequences, rows), np.array([22, 5, 3, 11])
    found = encode_events(encoder.states, sequences[some], rows[some])
    mine = rows[some][rows[some] >= 0]
    assert len(found) == mine.max() + 1
    np.testing.assert_allclose(found[mine], whole[mine], atol=1e-5)
    assert (np.delete(found, mine, axis=0) == 0).all() and 0 < len(mine) < len(found)


def test_any_function_of_histories_gives_each_event_its_output():
    sequences, rows = stored_histories()
    found = encode_events(lambda events: events.float() * 2, sequences, rows, batch_size=3)
    for row in range(300):
        entity, place = np.argwhere(rows == row)[0]
        assert found[row].tolist() == (2 * sequences[entity, place]).tolist()


def test_histories_of_like_length_go_together():
    lengths, (sequences, rows) = [], stored_histories()

    def watched(events: torch.Tensor) -> torch.Tensor:
        lengths.append(events.shape[1])
        return events.float()

    encode_events(watched, sequences, rows, batch_size=4)
    assert lengths == sorted(lengths) and lengths[0] < 0.2 * lengths[-1] and lengths[-1] == rows.shape[1]


def test_frozen_events_need_no_gradient():
    encoder, (sequences, rows) = new_event_encoder(), stored_histories()
    encode_events(encoder.states, sequences, rows)
    assert all(p.grad is None for p in encoder.parameters())


def test_numbers_beside_a_picture_are_put_behind_its_features():
    rng = np.random.default_rng(0)
    cases = {"picture": rng.integers(0, 256, (5, 16, 16, 1), dtype=np.uint8), "numbers": rng.normal(size=(5, 2))}
    plain = ResNet(width=4)
    both = WithNumbers(plain, 2)
    features = encode(both, cases)
    assert features.shape == (5, both.out_features) == (5, plain.out_features + 2)
    np.testing.assert_allclose(features[:, :-2], encode(plain, cases["picture"]), atol=1e-6)
    np.testing.assert_allclose(features[:, -2:], cases["numbers"], atol=1e-6)


def test_a_network_is_trained_on_pictures_with_numbers():
    """The label is in the numbers alone."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    cases = {"picture": rng.integers(0, 256, (40, 16, 16, 1), dtype=np.uint8),
             "numbers": np.float32(2 * labels[:, None] - 1 + 0.1 * rng.normal(size=(40, 1)))}  # fmt: skip
    model = fit_classifier(WithNumbers(ResNet(width=4), 1), cases, labels, 2, Recipe(min_steps=100), 0)
    assert (encode(model, cases).argmax(axis=1) == labels).all()


def test_a_picture_among_the_streams_sets_the_precision():
    alone = default_precision("pictures")
    assert default_precision({"picture": "pictures", "numbers": "numbers"}) == alone == default_precision("items")
    assert default_precision({"rows": "numbers"}) == default_precision("numbers") == "32-true"
