"""Networks that learn from pairs of one class."""

import numpy as np
import pytest
import torch

from sslbook.domains.language.networks import PairRecipe, contrast_classes, pairs_of_classes, tuned_method, tuned_probe
from sslbook.encoders import TokenTransformer, encode

CLASSES, PER_CLASS = 6, 8
FAST = PairRecipe(steps=80, classes=6, learning_rate=3e-3, temperature=0.1)


def some_texts(seed: int, n: int = PER_CLASS) -> tuple[np.ndarray, np.ndarray]:
    """Texts whose class is told by one of two words, among many others."""
    rng, labels = np.random.default_rng(seed), np.repeat(np.arange(CLASSES), n)
    codes = rng.integers(20, 60, (len(labels), 9)).astype(np.int32)
    codes[np.arange(len(labels)), rng.integers(0, 9, len(labels))] = 2 * labels + rng.integers(0, 2, len(labels))
    return codes, labels


def network() -> TokenTransformer:
    torch.manual_seed(0)
    return TokenTransformer(60, 32, longest=9, causal=False)


def test_pairs_are_two_texts_of_each_drawn_class():
    labels, draw = torch.tensor([3, 1, 1, 0, 3, 3, 0, 7]), torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(60):
        a, b = pairs_of_classes(labels, 3, draw)
        assert len(a) == 3 and (labels[a] == labels[b]).all() and labels[a].unique().numel() == 3
        assert ((a == b) == (labels[a] == 7)).all(), "only a class of one text meets itself"
        seen |= {(min(i, j), max(i, j)) for i, j in zip(a.tolist(), b.tolist(), strict=True)}
    assert seen == {(1, 2), (3, 6), (0, 4), (0, 5), (4, 5), (7, 7)}, "every pair comes up"
    assert len(pairs_of_classes(labels, 99, draw)[0]) == 4


def test_texts_of_one_class_come_nearer_and_the_start_stays():
    (codes, labels), start = some_texts(0), network()
    before = encode(start, codes)
    tuned = contrast_classes(start, codes, labels, FAST, 0)
    assert np.array_equal(encode(start, codes), before) and not tuned.training
    assert np.array_equal(encode(tuned, codes), encode(contrast_classes(start, codes, labels, FAST, 0), codes))
    assert np.array_equal(encode(contrast_classes(start, codes, labels, PairRecipe(steps=0), 0), codes), before)

    def nearness(x):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        same = labels[:, None] == labels
        return (x @ x.T)[same].mean() - (x @ x.T)[~same].mean()

    assert nearness(encode(tuned, codes)) > nearness(before) + 0.3


def test_the_score_inside_the_labels_is_of_labels_not_seen():
    (codes, labels), (test, truth) = some_texts(0), some_texts(1, 40)
    said = tuned_probe(network(), codes, labels, test, FAST)
    accuracy = (said.decisions == truth).mean()
    assert accuracy > 0.5, "chance is a sixth"
    assert said.cv_scores["accuracy"] == pytest.approx(accuracy, abs=0.25)
    mixed = np.random.default_rng(2).permutation(labels)
    noise = tuned_probe(network(), codes, mixed, test, FAST)
    assert noise.cv_scores["accuracy"] < 0.45, (
        "the networks have learnt the labels by heart, and the score does not show it"
    )


def test_a_method_takes_one_start_per_seed():
    codes, labels = some_texts(0)
    method = tuned_method("tuned", "supervised", [network(), network()], codes, labels, codes[:5], PairRecipe(steps=1))
    assert method.seeds == (0, 1)
    assert method.fit(np.arange(len(labels)), 1).scores.shape == (5, CLASSES)
