"""A transformer for histories of items, against loops; its dropout, and vectors from counts."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sslbook.encoders.features import encode
from sslbook.encoders.items import AttentionBlock, ItemTransformer, attention, dropout, item_scores

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


@pytest.mark.parametrize("both_ways", [False, True])
def test_attention_is_that_of_the_library(both_ways):
    query, key, value = torch.randn(3, 2, 2, 7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    visible = (torch.arange(7) < torch.tensor([[7], [3]]))[:, None, None, :] if both_ways else None
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=visible, is_causal=not both_ways)
    torch.testing.assert_close(attention(query, key, value, visible), expected)


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
