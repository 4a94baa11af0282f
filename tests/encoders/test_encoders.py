"""Networks for pictures, rows and histories, and their frozen features."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sslbook.augment.tensors import to_tensor
from sslbook.data.sequences import histories
from sslbook.encoders.events import EventEncoder, encode_events
from sslbook.encoders.features import count_parameters, encode
from sslbook.encoders.items import AttentionBlock, ItemTransformer, dropout, item_scores
from sslbook.encoders.residual import ResidualBlock, ResNet
from sslbook.encoders.rows import MLP
from sslbook.encoders.scenes import SceneEncoder, hypercolumns


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


def resized(level: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear interpolation between the centres of cells, one axis after the other."""
    for axis, cells in ((2, size[0]), (3, size[1])):
        old = level.shape[axis]
        at = (np.arange(cells) + 0.5) * old / cells - 0.5
        level = np.apply_along_axis(lambda line, at=at, old=old: np.interp(at, np.arange(old), line), axis, level)
    return level


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
    expected = np.concatenate([resized(level, levels[0].shape[2:]) for level in levels], axis=1)
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


# ---------------------------------------------------------------------------------------- histories of items

N_ITEMS, LONGEST = 20, 12
BOTH_WAYS = pytest.mark.parametrize("causal", [True, False], ids=["causal", "both ways"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_item_transformer(causal: bool = True, **settings) -> ItemTransformer:
    torch.manual_seed(0)
    encoder = ItemTransformer(N_ITEMS, **{"width": 8, "longest": LONGEST, "input_scale": 1.0} | settings, causal=causal)
    for p in encoder.parameters():  # large enough that everything can be seen in the states
        nn.init.normal_(p, std=0.4)
    return encoder


def some_items(lengths: tuple[int, ...] = (9, 4, 1, 11), width: int = 11) -> torch.Tensor:
    codes = torch.randint(N_ITEMS, (len(lengths), width), generator=generator())
    return torch.where(torch.arange(width) < torch.tensor(lengths)[:, None], codes, -1).to(torch.int16)


def transformer_by_loops(encoder: ItemTransformer, codes: list[int]) -> np.ndarray:
    """States of one history, one event, one head and one neighbour at a time, in float64."""

    def numbers(p: torch.Tensor) -> np.ndarray:
        return p.detach().double().numpy()

    def linear(layer: nn.Linear, x: np.ndarray) -> np.ndarray:
        return numbers(layer.weight) @ x + numbers(layer.bias)

    def normed(layer: nn.LayerNorm, x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / math.sqrt(x.var() + layer.eps) * numbers(layer.weight) + numbers(layer.bias)

    states = [numbers(encoder.items.weight)[code] * encoder.input_scale + numbers(encoder.positions.weight)[place]
              for place, code in enumerate(codes)]  # fmt: skip
    for block in encoder.blocks:
        asked, offered, said = np.split(
            np.array([linear(block.query_key_value, normed(block.norm1, x)) for x in states]), 3, axis=1
        )
        size, after = len(states[0]) // block.heads, []
        for i, x in enumerate(states):
            seen = np.zeros(len(x))
            for h in range(block.heads):
                part = slice(h * size, (h + 1) * size)
                others = range(i + 1) if encoder.causal else range(len(states))
                weight = [math.exp(asked[i, part] @ offered[j, part] / math.sqrt(size)) for j in others]
                seen[part] = sum(w * said[j, part] for w, j in zip(weight, others, strict=True)) / sum(weight)
            x = x + linear(block.mix, seen)
            hidden = linear(block.dense1, normed(block.norm2, x))
            hidden = np.array([v * (1 + math.erf(v / math.sqrt(2))) / 2 for v in hidden])
            after.append(x + linear(block.dense2, hidden))
        states = after
    return np.array([normed(encoder.norm, x) for x in states])


@BOTH_WAYS
@pytest.mark.parametrize(("layers", "heads", "input_scale"), [(1, 1, 1.0), (2, 2, 3.0), (2, 4, 0.5)])
def test_item_transformer_equals_the_second_writing(causal, layers, heads, input_scale):
    encoder = new_item_transformer(causal, layers=layers, heads=heads, input_scale=input_scale)
    histories = some_items()
    states = encoder.states(histories).detach().numpy()
    assert states.shape == (4, 11, 8)
    for history, mine in zip(histories, states, strict=True):
        codes = [int(code) for code in history if code >= 0]
        np.testing.assert_allclose(mine[: len(codes)], transformer_by_loops(encoder, codes), atol=2e-4)


def test_one_vector_per_item_and_one_for_the_mask():
    encoder = new_item_transformer()
    assert encoder.items.weight.shape == (N_ITEMS + 1, 8) and encoder.out_features == 8
    assert torch.equal(encoder.item_vectors, encoder.items.weight[:N_ITEMS])
    encoder.states(torch.tensor([[N_ITEMS]]))
    with pytest.raises(IndexError):
        encoder.states(torch.tensor([[N_ITEMS + 1]]))


@pytest.mark.parametrize("place", range(1, 11))
def test_a_later_item_changes_no_earlier_state(place):
    histories = some_items((11, 11, 11))
    changed = histories.clone()
    changed[:, place] = (changed[:, place] + 1) % N_ITEMS
    encoder = new_item_transformer()
    before, after = encoder.states(histories), encoder.states(changed)
    assert torch.equal(before[:, :place], after[:, :place])
    assert ((before[:, place:] - after[:, place:]).abs().amax(dim=2) > 1e-3).all(), "all later ones it does"
    scores = before[:, :place] @ encoder.item_vectors.T
    assert torch.equal(scores, after[:, :place] @ encoder.item_vectors.T)
    both = new_item_transformer(causal=False)
    moved = (both.states(histories) - both.states(changed)).abs().amax(dim=2)
    assert (moved > 1e-3).all(), "the check sees a network that looks ahead"


@BOTH_WAYS
def test_more_padding_changes_no_state(causal):
    encoder, histories = new_item_transformer(causal), some_items()
    padded = F.pad(histories, (0, 1), value=-1)
    real = histories >= 0
    torch.testing.assert_close(encoder.states(padded)[:, :-1][real], encoder.states(histories)[real])


@BOTH_WAYS
@pytest.mark.parametrize("lengths", [(9, 4, 1, 11), (3, 3), (12, 5, 0), (12, 12), (0, 0)])
def test_neither_padding_nor_neighbours_change_the_features(causal, lengths):
    encoder, histories = new_item_transformer(causal), some_items(lengths, max(1, *lengths))
    features = encoder(histories)
    assert features.shape == (len(lengths), 8) and torch.isfinite(features).all()
    torch.testing.assert_close(encoder(F.pad(histories, (0, 30), value=-1)), features)
    for history, expected, n in zip(histories, features, lengths, strict=True):
        torch.testing.assert_close(encoder(history[None, : max(1, n)])[0], expected)


def test_features_are_the_state_at_the_last_event():
    encoder, histories = new_item_transformer(), some_items((9, 4, 1, 12), 12)
    states = encoder.states(histories)
    torch.testing.assert_close(encoder(histories), states[torch.arange(4), torch.tensor([8, 3, 0, 11])])


def test_a_network_that_looks_both_ways_reads_a_mask_behind_the_last_event():
    encoder, histories = new_item_transformer(causal=False), some_items((9, 4, 0, 12, 11), 12)
    features = encoder(histories)
    for history, feature, n in zip(histories, features, (9, 4, 0, 12, 11), strict=True):
        read = history[:n].tolist()[-(LONGEST - 1) :] + [N_ITEMS]
        assert len(read) <= LONGEST, "the oldest event makes room where all places are taken"
        torch.testing.assert_close(feature, encoder.states(torch.tensor([read]))[0, -1])


@BOTH_WAYS
def test_the_order_of_items_matters(causal):
    encoder = new_item_transformer(causal)
    histories = torch.tensor([[1, 2, 3, 4], [2, 1, 3, 4]])
    first, swapped = encoder(histories)
    assert not torch.allclose(first, swapped, atol=1e-2)


@BOTH_WAYS
def test_encode_of_items_is_deterministic_and_in_batches_the_same(causal):
    encoder, histories = new_item_transformer(causal, share_dropped=0.5), some_items().numpy()
    features = encode(encoder.train(), histories)
    assert np.array_equal(encode(encoder, histories), features)
    np.testing.assert_allclose(encode(encoder, histories, batch_size=1), features, atol=1e-5)


def test_dropout_acts_only_with_a_generator_and_follows_from_it():
    encoder, histories = new_item_transformer(share_dropped=0.3), some_items()
    still, one, again, other = (encoder.states(histories, draw) for draw in (None, *map(generator, (0, 0, 1))))
    assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-2)
    assert not torch.allclose(one, still, atol=1e-2)
    none = new_item_transformer(share_dropped=0.0)
    assert torch.equal(none.states(histories, generator()), none.states(histories)), "a share of 0 drops nothing"


@pytest.mark.parametrize("layer", ["mix", "dense1", "dense2"])
def test_dropout_acts_behind_attention_and_behind_both_dense_layers(layer):
    torch.manual_seed(0)
    block, x = AttentionBlock(8, 2, 0.5), torch.randn(3, 5, 8)
    nn.init.zeros_(block.norm2.weight)  # the dense layers see the same in every state, whatever attention adds
    if layer != "mix":
        nn.init.zeros_(block.mix.weight), nn.init.zeros_(block.mix.bias)
    if layer == "mix":
        nn.init.zeros_(block.dense2.weight), nn.init.zeros_(block.dense2.bias)
    if layer == "dense2":
        nn.init.zeros_(block.dense2.weight), nn.init.ones_(block.dense2.bias)
    added = block(x, None, generator()) - x
    dropped = (added == 0).float().mean().item()
    assert dropped == pytest.approx(0.5, abs=0.15), "what a branch adds"
    if layer == "dense1":
        kept = added[..., 0][added[..., 0] != 0]
        assert kept.unique().numel() == kept.numel(), "and its hidden values before that"


@pytest.mark.parametrize("heads", [1, 2])
def test_names_of_item_transformers_tell_their_settings(heads):
    shown = str(new_item_transformer(heads=heads, share_dropped=0.25, input_scale=2.0, causal=False))
    assert all(part in shown for part in (f"heads={heads}", "share_dropped=0.25", "causal=False", "input_scale=2.0"))


# ---------------------------------------------------------------------------------------------------- dropout


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_dropout_drops_the_stated_share_and_keeps_the_expectation(share):
    dropped = dropout(torch.full((1000, 80), 3.0), share, generator())
    exact = round(256 * share) / 256
    assert abs(exact - share) <= 1 / 512
    assert dropped.unique().tolist() == pytest.approx([0, 3 / (1 - exact)])
    assert (dropped == 0).float().mean().item() == pytest.approx(exact, abs=0.006)
    assert dropped.mean().item() == pytest.approx(3, rel=0.01)


def test_all_eight_values_of_one_number_are_dropped_alike_and_apart():
    zero = (dropout(torch.ones(20_000, 8), 0.3, generator()) == 0).double()
    assert zero.mean(dim=0).tolist() == pytest.approx([77 / 256] * 8, abs=0.015)
    related = torch.corrcoef(zero.T) - torch.eye(8)
    assert related.abs().max() < 0.04, "five standard errors are .035"


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 3), (0, 4), (2, 0)])
def test_dropout_of_any_size(shape):
    dropped = dropout(torch.ones(shape), 0.5, generator())
    assert dropped.shape == shape and ((dropped == 0) | (dropped == 2)).all()


def test_no_dropout_without_a_generator_or_a_share():
    x = torch.randn(5, 7)
    assert dropout(x, 0.5, None) is x and dropout(x, 0.0, generator()) is x


def test_dropout_follows_from_the_generator_and_goes_on_with_it():
    x, draw = torch.ones(100), generator()
    first, second, again = dropout(x, 0.5, draw), dropout(x, 0.5, draw), dropout(x, 0.5, generator())
    assert torch.equal(first, again) and not torch.equal(first, second)


def test_gradients_pass_where_nothing_was_dropped():
    x = torch.randn(50, requires_grad=True)
    dropped = dropout(x, 0.5, generator())
    dropped.sum().backward()
    assert torch.equal(x.grad, 2.0 * (dropped != 0))


def test_given_item_vectors_keep_their_angles_and_the_mask_stays():
    vectors = np.random.default_rng(0).normal(0, 2, (30, 8))
    network = ItemTransformer(30, width=8)
    mask = network.items.weight[30].clone()
    assert network.start_from(vectors, seed=1, std=0.05) is network
    began = network.item_vectors.detach().numpy()
    assert began.std() == pytest.approx(0.05, rel=0.5)
    np.testing.assert_allclose(began @ began.T, vectors @ vectors.T * (0.05 / vectors.std()) ** 2, rtol=1e-3, atol=1e-5)
    assert torch.equal(network.items.weight[30], mask) and network.items.weight.requires_grad
    again = ItemTransformer(30, width=8).start_from(vectors, seed=2).item_vectors.detach().numpy()
    assert not np.allclose(began, again), "another seed turns them another way"


def test_item_scores_are_products_of_the_last_state_and_the_item_vectors():
    torch.manual_seed(0)
    network = ItemTransformer(12, width=8, longest=5)
    histories = np.array([[3, 1, -1, -1, -1], [0, 5, 7, 2, 9]], dtype=np.int32)
    scores = item_scores(network, histories)
    states = network.states(torch.from_numpy(histories)).detach().numpy()
    np.testing.assert_allclose(scores[0], network.item_vectors.detach().numpy() @ states[0, 1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores[1], network.item_vectors.detach().numpy() @ states[1, 4], rtol=1e-4, atol=1e-6)
