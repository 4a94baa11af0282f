"""Texts as histories of tokens: a byte-pair tokeniser trained on them, a transformer that makes a text one vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sslbook.encoders.items import ItemTransformer
from sslbook.extras import package


class Tokeniser:
    """Byte-pair encoding (Sennrich et al. 2016): the most frequent pair of neighbours becomes a token, over and over.

    Texts are read in lower case, and every character has a code, since the first tokens are bytes. Code 0 stands before
    a text, code 1 behind it.

    Parameters
    ----------
    texts : that it is trained on.
    size : number of tokens, at least 258: two signs and all bytes.
    """

    start, end = 0, 1

    def __init__(self, texts: Sequence[str], size: int = 4000):
        library = package("tokenizers", "language")
        self.library = library.Tokenizer(library.models.BPE())
        self.library.normalizer = library.normalizers.Sequence(
            [library.normalizers.NFC(), library.normalizers.Lowercase()]
        )
        self.library.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=True)
        self.library.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, special_tokens=["[start]", "[end]"], show_progress=False,
            initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        self.library.train_from_iterator(texts, trainer)

    def __len__(self) -> int:
        return self.library.get_vocab_size()

    def __call__(self, texts: Sequence[str], longest: int = 48) -> np.ndarray:
        """Codes of texts, int32 (n, longest), -1 behind the end; what does not fit is cut off, and the end stays."""
        found = self.library.encode_batch(list(texts))
        return filled_up([[self.start, *text.ids[: longest - 2], self.end] for text in found], longest)

    def words(self, codes: Sequence[int]) -> str:
        """The text behind codes, in lower case, without the signs before and behind it."""
        return self.library.decode([int(c) for c in codes if c > self.end]).strip()


def filled_up(rows: Sequence[Sequence[int]], longest: int) -> np.ndarray:
    """Codes of texts as one table, int32 (n, longest), -1 behind the end of each."""
    table = np.full((len(rows), longest), -1, dtype=np.int32)
    for of_table, row in zip(table, rows, strict=True):
        of_table[: len(row)] = row
    return table


class TokenTransformer(ItemTransformer):
    """The transformer for histories, on tokens: BERT if it looks both ways (Devlin et al. 2019), GPT if it is causal.

    What is predicted is as for items, see ``sslbook.pretext.MaskedItem`` and ``NextItem``; a whole text is the mean of
    the states of its tokens.
    """

    def forward(self, histories: Tensor) -> Tensor:
        """Map texts (n, length), -1 behind the last token, to features, shape (n, width)."""
        return mean_state(self, histories)


def mean_state(encoder: ItemTransformer, histories: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Mean of the states of the tokens of each text, shape (n, width); ``generator`` is for dropout."""
    histories = histories[:, : max(1, int((histories >= 0).sum(dim=1).max()))]
    real = (histories >= 0).unsqueeze(2)
    return (encoder.states(histories, generator) * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
