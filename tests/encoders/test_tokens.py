"""Texts as tokens, and the transformer that reads them."""

import numpy as np
import pytest
import torch

from sslbook.encoders import Tokeniser, TokenTransformer, encode, encode_histories, mean_state

TEXTS = [
    "My card is lost",
    "my card is blocked!",
    "the caf\u00e9 charged me twice",
    "how do I top up?",
    "card card card",
]


@pytest.fixture(scope="module")
def tokeniser() -> Tokeniser:
    return Tokeniser(TEXTS, 300)


def network(n_tokens: int, causal: bool = False, **settings) -> TokenTransformer:
    torch.manual_seed(0)
    return TokenTransformer(n_tokens, 16, **{"longest": 12, "causal": causal} | settings)


def test_texts_come_back_in_lower_case(tokeniser):
    unseen = ["", "\u6211\u7684\u5361", "x \U0001f600 y", "tabs\tand  two blanks", "\u00c9T\u00c9"]
    for text, row in zip([*TEXTS, *unseen], tokeniser([*TEXTS, *unseen], 64), strict=True):
        assert tokeniser.words(row) == text.lower().strip()


def test_codes_begin_end_and_are_filled_up(tokeniser):
    assert len(tokeniser) == 300
    codes = tokeniser(["card", "my card is lost and I want it back at once"], 8)
    assert codes.dtype == np.int32 and codes.shape == (2, 8) and codes.max() < len(tokeniser)
    assert (codes[:, 0] == tokeniser.start).all() and codes[1, -1] == tokeniser.end, "the end stays when a text is cut"
    used = (codes[0] >= 0).sum()
    assert codes[0, used - 1] == tokeniser.end and (codes[0, used:] == -1).all()
    assert used == 3, "a frequent word is one token"


def test_frequent_pairs_become_tokens_first():
    few = Tokeniser(["abab abab"] * 5 + ["xy"], 259)
    assert few.library.get_vocab().keys() >= {"[start]", "[end]"} and "ab" in few.library.get_vocab()
    assert "xy" not in few.library.get_vocab()


@pytest.mark.parametrize("causal", [True, False])
def test_a_text_is_the_mean_of_its_states(causal, tokeniser):
    encoder, codes = network(len(tokeniser), causal), torch.from_numpy(tokeniser(TEXTS, 12))
    found = encoder(codes)
    for row, vector in zip(codes, found, strict=True):
        alone = encoder.states(row[None, row >= 0])[0]
        torch.testing.assert_close(alone.mean(dim=0), vector, atol=1e-5, rtol=1e-4)


def test_dropout_needs_a_generator(tokeniser):
    encoder, codes = network(len(tokeniser)), torch.from_numpy(tokeniser(TEXTS, 12))
    draws = [mean_state(encoder, codes, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1]) and not torch.allclose(draws[0], draws[2], atol=1e-3)
    assert torch.equal(mean_state(encoder, codes), encoder(codes))


def test_batches_of_like_length_change_nothing(tokeniser):
    encoder, codes = network(len(tokeniser)), tokeniser(TEXTS * 3, 12)
    assert encode_histories(encoder, codes, 4) == pytest.approx(encode(encoder, codes), abs=1e-5)
