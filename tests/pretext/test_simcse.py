"""SimCSE: two readings of one text, against a second writing."""

import math

import numpy as np
import pytest
import torch

from sslbook.encoders import TokenTransformer, encode
from sslbook.pretext import PairContrast, SimCSE
from sslbook.train import pretrain


def objective(share_dropped: float = 0.2, **settings) -> SimCSE:
    torch.manual_seed(0)
    encoder = TokenTransformer(30, 16, longest=10, causal=False, share_dropped=share_dropped)
    return SimCSE(encoder, **settings)


def some_texts(n: int = 6, length: int = 10) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    codes = torch.randint(2, 30, (n, length), generator=draw, dtype=torch.int32)
    return torch.where(torch.arange(length) < torch.arange(2, n + 2)[:, None], codes, -1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_loss_against_loops():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3))
    z = np.concatenate([a, b])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(10):
        others = [math.exp(z[i] @ z[j] / 0.05) for j in range(10) if j != i]
        losses.append(-math.log(math.exp(z[i] @ z[(i + 5) % 10] / 0.05) / sum(others)))
    found = objective().loss(torch.from_numpy(a), torch.from_numpy(b))
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_only_dropout_makes_the_readings_differ():
    a, b = objective()(some_texts(), generator())
    assert a.shape == (6, 16) and not torch.allclose(a, b, atol=1e-3)
    a, b = objective(share_dropped=0.0)(some_texts(), generator())
    assert torch.equal(a, b)


def test_deleted_tokens_leave_no_gap_and_one_stays():
    texts, asked = some_texts(400 // 4, 100), objective(deleted=0.3)
    left = asked.read(texts, generator())
    for before, after in zip(texts.tolist(), left.tolist(), strict=True):
        kept = [c for c in after if c >= 0]
        assert after[: len(kept)] == kept, "no gap"
        rest = iter(before)
        assert all(c in rest for c in kept), "the order stays"
    assert (left >= 0).sum() / (texts >= 0).sum() == pytest.approx(0.7, abs=0.03)
    assert ((objective(deleted=1.0).read(texts, generator()) >= 0).sum(dim=1) == 1).all()
    assert objective().read(texts, generator()) is texts


def test_references_and_batches():
    asked = objective()
    assert asked.reference_values(64)["chance and collapse"] == pytest.approx(math.log(127))
    order = torch.randperm(6, generator=generator())
    assert sorted(asked.arrange(order, some_texts(), 2).tolist()) == list(range(6))


def test_texts_of_a_pair_are_read_by_one_network_each_on_its_own():
    asked = objective(share_dropped=0.0)
    pairs = PairContrast(asked.encoder)
    both = torch.cat([some_texts(), some_texts().flip(0)], dim=1)
    a, b = pairs(both, generator())
    torch.testing.assert_close(a, asked.encoder(some_texts()))
    torch.testing.assert_close(b, asked.encoder(some_texts().flip(0)))
    assert torch.equal(pairs.encoder(both), asked.encoder(some_texts()))
    assert pairs.loss(a, b).item() == pytest.approx(asked.loss(a, b).item())


def test_pairs_that_belong_together_are_learnt_and_shuffled_ones_are_not():
    rng = np.random.default_rng(0)
    topic = rng.integers(0, 8, 256)

    def texts(first):  # a word of the topic among others; titles and descriptions use different words
        codes = rng.integers(20, 30, (256, 6)).astype(np.int32)
        codes[np.arange(256), rng.integers(0, 6, 256)] = first + topic
        return codes

    title, text = texts(0), texts(8)

    def matched(text):
        torch.manual_seed(0)
        asked = PairContrast(TokenTransformer(30, 16, longest=6, causal=False, share_dropped=0.0), 0.2)
        pretrain(asked, np.hstack([title, text]), 12, 64, 5e-3, progress=False)
        x, y = (encode(asked.encoder.network, part) for part in (title, texts(8)))
        x, y = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (x, y))
        return np.mean(topic[(x @ y.T).argmax(axis=1)] == topic)

    assert matched(text) > 0.6
    assert matched(rng.permutation(text)) < 0.4
