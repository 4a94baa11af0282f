"""Encoders: networks that turn a picture, a row of a table, a history of events or a track into a vector."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import ortho_group
from torch import Tensor, nn

from sslbook.augment import to_tensor


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, figure 2)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu_(self.norm1(self.conv1(x)))
        return F.relu_(self.norm2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """A small residual network for pictures of 28 to 64 pixels.

    Three residual blocks of ``width``, 2 ``width`` and 4 ``width`` channels, then the mean over positions.
    ``width=32`` has about 0.3 million parameters, ``width=16`` about 0.08 million.

    Parameters
    ----------
    in_channels : 1 for grey pictures, 3 for colour.
    width : channels of the first block.
    stem_stride : 2 halves the resolution at once (28 pixels), 1 keeps it (8-pixel digits).
    """

    def __init__(self, in_channels: int = 1, width: int = 32, stem_stride: int = 2):
        super().__init__()
        self.in_channels = in_channels
        self.out_features = 4 * width
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(width, width, 1),
            ResidualBlock(width, 2 * width, 2),
            ResidualBlock(2 * width, 4 * width, 2),
        )
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Map pictures (n, channels, height, width) in [0, 1] to features (n, out_features)."""
        return self.blocks(self.stem((images - 0.5) / 0.25)).mean(dim=(2, 3))


class SceneEncoder(nn.Module):
    """A small residual network with a light feature pyramid, for frames of 64 to 240 pixels (Lin et al. 2017).

    Three residual blocks see the frame at a quarter, an eighth and a sixteenth of its size; the pyramid adds what the
    coarse ones know of the surroundings to what the fine ones know of the place.

    Parameters
    ----------
    width : channels of the stem; the blocks have 2, 4 and 4 times as many. ``width=24`` has 0.35 million parameters.
    out_features : channels of the pyramid.
    """

    def __init__(self, width: int = 24, out_features: int = 64):
        super().__init__()
        channels = (2 * width, 4 * width, 4 * width)
        self.out_features = out_features
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(ResidualBlock(a, b, 2) for a, b in zip((width, *channels), channels, strict=False))
        self.lateral = nn.ModuleList(nn.Conv2d(c, out_features, 1) for c in channels)
        self.smooth = nn.Sequential(
            nn.Conv2d(out_features, out_features, 3, 1, 1, groups=out_features, bias=False),
            nn.BatchNorm2d(out_features),
            nn.ReLU(inplace=True),
        )
        self.to(memory_format=torch.channels_last)

    def levels(self, frames: Tensor) -> list[Tensor]:
        """Outputs of the three blocks for frames (n, 3, height, width) in [0, 1], the finest first."""
        x = self.stem((frames - 0.5) / 0.25)
        return [x := block(x) for block in self.blocks]

    def feature_map(self, frames: Tensor) -> Tensor:
        """Map frames (n, 3, height, width) to features (n, out_features, height / 4, width / 4)."""
        levels = self.levels(frames)
        top = self.lateral[2](levels[2])
        for lateral, level in ((self.lateral[1], levels[1]), (self.lateral[0], levels[0])):
            top = lateral(level) + _resized(top, level)
        return self.smooth(top)

    def forward(self, frames: Tensor) -> Tensor:
        """One vector per frame, the mean over positions, shape (n, out_features)."""
        return self.feature_map(frames).mean(dim=(2, 3))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


@torch.inference_mode()
def hypercolumns(encoder: SceneEncoder, frames: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Frozen features of every place: the three levels on top of one another (Hariharan et al. 2015).

    Parameters
    ----------
    frames : uint8 array, shape (n, height, width, 3); height and width are multiples of 4.

    Returns
    -------
    float32 array, shape (n, features, height / 4, width / 4)
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = []
    for i in range(0, len(frames), batch_size):
        levels = encoder.levels(to_tensor(frames[i : i + batch_size], device))
        batches.append(torch.cat([_resized(level, levels[0]) for level in levels], dim=1).cpu().contiguous())
    return torch.cat(batches).numpy()


class MLP(nn.Module):
    """A multilayer perceptron for rows of a table (Bahri et al. 2022 use four layers of 256).

    Parameters
    ----------
    in_features : columns, standardised.
    width, layers : of the hidden layers; the last one gives the features.
    """

    def __init__(self, in_features: int, width: int = 128, layers: int = 3):
        super().__init__()
        self.out_features = width
        sizes = [in_features] + [width] * layers
        self.layers = nn.Sequential(
            *(part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU()))
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Map rows (n, in_features) to features (n, width)."""
        return self.layers(rows)


class EventEncoder(nn.Module):
    """Embeddings of the fields of an event, and a recurrent network (GRU) that reads a history from left to right.

    Parameters
    ----------
    codes : number of codes of each field.
    width : size of the state, which is the feature vector.
    embedding : size of the embedding of each field.
    """

    def __init__(self, codes: Sequence[int], width: int = 64, embedding: int = 12):
        super().__init__()
        self.codes, self.embedding, self.out_features = tuple(codes), embedding, width
        # Code -1 fills short histories; its embedding stays zero.
        self.embeddings = nn.ModuleList(nn.Embedding(n + 1, embedding, padding_idx=0) for n in self.codes)
        self.gru = nn.GRU(embedding * len(self.codes), width, batch_first=True)

    def embed(self, events: Tensor) -> Tensor:
        """Map events (n, length, fields) to vectors (n, length, fields * embedding)."""
        parts = [table(events[..., i].long() + 1) for i, table in enumerate(self.embeddings)]
        return torch.cat(parts, dim=-1)

    def states(self, events: Tensor) -> Tensor:
        """What the network knows after each event, shape (n, length, width); later events cannot change it."""
        return self.gru(self.embed(events))[0]

    def forward(self, events: Tensor) -> Tensor:
        """Map histories (n, length, fields), -1 behind the last event, to the state after that event (n, width)."""
        last = (events[..., 0] >= 0).sum(dim=1).clamp(min=1) - 1
        return self.states(events)[torch.arange(len(events), device=events.device), last]


def dropout(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Set a random share of the numbers to zero and scale the others up; nothing without a generator.

    One random number of 64 bits decides on eight values, in steps of 1/256: a third faster than drawing each.
    """
    cut = round(256 * share)
    if generator is None or cut == 0:
        return x
    drawn = torch.randint(-(2**63), 2**63 - 1, ((x.numel() + 7) // 8,), generator=generator, device=x.device)
    kept = drawn.view(torch.uint8)[: x.numel()].view(x.shape) >= cut
    return x * kept * (256 / (256 - cut))


class AttentionBlock(nn.Module):
    """Attention, then two dense layers of the same width as in SASRec; each normalises first (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, share_dropped: float):
        super().__init__()
        self.heads, self.share_dropped = heads, share_dropped
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense1, self.dense2 = nn.Linear(width, width), nn.Linear(width, width)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"

    def forward(self, x: Tensor, visible: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Map states (n, length, width) to states; ``visible`` None lets each look at itself and at earlier ones."""
        n, length, width = x.shape
        parts = self.query_key_value(self.norm1(x)).view(n, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=visible, is_causal=visible is None)
        x = x + dropout(self.mix(seen.transpose(1, 2).reshape(n, length, width)), self.share_dropped, generator)
        hidden = dropout(F.gelu(self.dense1(self.norm2(x))), self.share_dropped, generator)
        return x + dropout(self.dense2(hidden), self.share_dropped, generator)


class ItemTransformer(nn.Module):
    """A transformer over histories of items: SASRec (Kang and McAuley 2018), or BERT4Rec's if it looks both ways.

    Parameters
    ----------
    n_items : size of the catalogue; code n_items is the mask, -1 fills short histories.
    width, layers, heads : of the transformer.
    longest : events that it reads; positions count from the first of them.
    share_dropped : dropout; it acts only where a generator is given.
    causal : True lets an event see itself and earlier ones, False all.
    input_scale : the embeddings are also the weights of the prediction, which wants them small; the transformer wants
        to read large ones.
    """

    def __init__(
        self, n_items: int, width: int = 64, layers: int = 2, heads: int = 2, longest: int = 50,
        share_dropped: float = 0.3, causal: bool = True, input_scale: float = 24.0,
    ):  # fmt: skip
        super().__init__()
        self.n_items, self.longest, self.share_dropped, self.out_features = n_items, longest, share_dropped, width
        self.causal, self.input_scale = causal, input_scale
        self.items, self.positions = nn.Embedding(n_items + 1, width), nn.Embedding(longest, width)
        for table in (self.items, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(AttentionBlock(width, heads, share_dropped) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def extra_repr(self) -> str:
        return f"share_dropped={self.share_dropped}, causal={self.causal}, input_scale={self.input_scale}"

    @torch.no_grad()
    def start_from(self, vectors: np.ndarray, seed: int = 0, std: float = 0.05) -> ItemTransformer:
        """Let the item vectors start from given ones, of co-occurrence for example, instead of noise.

        They are rotated at random, so that no head gets all that matters, and scaled to the deviation ``std``.

        Parameters
        ----------
        vectors : float array, shape (n_items, width)
        """
        rotation = ortho_group.rvs(vectors.shape[1], random_state=seed)
        start = torch.as_tensor(vectors @ rotation / vectors.std() * std, dtype=torch.float32)
        self.items.weight[: self.n_items] = start
        return self

    @property
    def item_vectors(self) -> Tensor:
        """One vector for each item, shape (n_items, width): a state's score of an item is their inner product."""
        return self.items.weight[: self.n_items]

    def states(self, histories: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the network knows at each event, shape (n, length, width).

        Parameters
        ----------
        histories : int tensor, shape (n, length), at most ``longest`` items each, -1 behind the last.
        generator : for dropout, in training.
        """
        real = histories >= 0
        x = self.items(histories.clamp(min=0).long()) * self.input_scale + self.positions.weight[: histories.shape[1]]
        x = dropout(x, self.share_dropped, generator)
        visible = None if self.causal else real[:, None, None, :]
        for block in self.blocks:
            x = block(x, visible, generator)
        return self.norm(x)

    def forward(self, histories: Tensor) -> Tensor:
        """Map histories (n, length) to the state from which the next item is predicted, shape (n, width).

        A network that looks both ways reads a mask behind the last event, and its state there; the oldest event of a
        full history makes room for it.
        """
        count = (histories >= 0).sum(dim=1)
        if not self.causal:
            full = count == self.longest
            histories = F.pad(torch.where(full[:, None], histories.roll(-1, dims=1), histories), (0, 1), value=-1)
            count = count - full.long()
            histories = histories.scatter(1, count[:, None], self.n_items)[:, : self.longest]
            count = count + 1
        longest = max(1, int(count.max()))
        states = self.states(histories[:, :longest])
        return states[torch.arange(len(histories), device=histories.device), count.clamp(min=1) - 1]


def count_parameters(module: nn.Module) -> int:
    """Number of trainable numbers in a module."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@torch.no_grad()
def encode(encoder: nn.Module, cases: np.ndarray, batch_size: int = 512) -> np.ndarray:
    """Frozen features of stored cases; the encoder is left in evaluation mode.

    Parameters
    ----------
    cases : what the encoder reads, see ``sslbook.augment.to_tensor``; at least one.

    Returns
    -------
    float32 array, shape (n, features)
    """
    encoder.eval()
    device = next(encoder.parameters()).device
    batches = [
        encoder(to_tensor(cases[i : i + batch_size], device)).float().cpu() for i in range(0, len(cases), batch_size)
    ]
    return torch.cat(batches).numpy()


@torch.no_grad()
def encode_events(
    network: Callable[[Tensor], Tensor], sequences: np.ndarray, rows: np.ndarray, batch_size: int = 128
) -> np.ndarray:
    """Apply a network to whole histories and give each event its own output; histories of like length go together.

    Parameters
    ----------
    network : maps histories (n, length, fields) to outputs (n, length, k).
    sequences, rows : from ``sslbook.data.histories``, or some entities of it.

    Returns
    -------
    float32 array, shape (events, k), by row; zeros where no history holds the row.
    """
    lengths = (rows >= 0).sum(axis=1)
    owner = getattr(network, "__self__", network)
    device = next(owner.parameters()).device if isinstance(owner, nn.Module) else "cpu"
    out = None
    for batch in np.array_split(np.argsort(lengths), max(1, len(rows) // batch_size)):
        longest = max(1, lengths[batch].max())
        values = network(to_tensor(sequences[batch, :longest], device)).float().cpu().numpy()
        out = np.zeros((rows.max() + 1, values.shape[-1]), np.float32) if out is None else out
        here = rows[batch, :longest]
        out[here[here >= 0]] = values[here >= 0]
    return out


@torch.no_grad()
def item_scores(encoder: ItemTransformer, histories: np.ndarray) -> np.ndarray:
    """Score every item as the next one of some histories (n, length), -1 behind the last; float32 (n, n_items)."""
    return encode(encoder, histories) @ encoder.item_vectors.cpu().numpy().T


class TrackEncoder(nn.Module):
    """A multilayer perceptron that reads where something was; positions that are NaN are hidden from it.

    It reads each position, each step between two of them that are seen, and which are seen.

    Parameters
    ----------
    steps : positions of a track; a shorter one counts as hidden from its end on.
    width : of the two layers; the second gives the features.
    """

    FAR, STEP = 10.0, 4.0  # metres, so that the network reads numbers around 1

    def __init__(self, steps: int = 20, width: int = 128):
        super().__init__()
        self.steps, self.out_features = steps, width
        self.layers = nn.Sequential(
            nn.Linear(5 * steps - 2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, tracks: Tensor) -> Tensor:
        """Map tracks (n, up to steps, 2), metres, the present at (0, 0), to features (n, width)."""
        tracks = F.pad(tracks, (0, 0, 0, self.steps - tracks.shape[1]), value=math.nan)
        seen = ~tracks.isnan().any(dim=2)
        parts = tracks / self.FAR, tracks.diff(dim=1) / self.STEP, seen.to(tracks.dtype)
        return self.layers(torch.cat([part.nan_to_num().flatten(1) for part in parts], dim=1))
