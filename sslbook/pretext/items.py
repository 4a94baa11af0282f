"""Histories of items: tell the next one (Kang and McAuley 2018), or those that are masked (Sun et al. 2019)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslbook.encoders.items import ItemTransformer
from sslbook.pretext.simclr import nt_xent


def sampled_cross_entropy(
    states: Tensor, targets: Tensor, table: Tensor, negatives: Tensor, log_q: Tensor | None = None
) -> Tensor:
    r"""Cross-entropy of the right item among itself and a sample of others, which the whole batch shares.

    .. math:: \ell = -\log \frac{\exp(s_+ - \log q_+)}{\exp(s_+ - \log q_+) + \sum_{j} \exp(s_j - \log q_j)}

    Where the right item is drawn as a negative it does not count. Popular items drawn more often would be pushed down
    more often; the correction by :math:`\log q` undoes that (Bengio and Senecal 2008).

    Parameters
    ----------
    states : float tensor, shape (m, d)
    targets : int tensor, shape (m,), the right items.
    table : float tensor, shape (n_items, d), the item vectors.
    negatives : int tensor, shape (k,), all different.
    log_q : optional float tensor, shape (n_items,), logarithm of the probability with which an item is drawn; None
        where all are drawn alike.

    Returns
    -------
    float tensor, shape (m,). All scores alike give ln(k + 1). With every item as a negative it is the full loss.
    """
    right = (states * table[targets]).sum(dim=1)
    wrong = states @ table[negatives].T
    if log_q is not None:
        right, wrong = right - log_q[targets], wrong - log_q[negatives]
    place = torch.full((len(table),), -1, device=targets.device)
    place[negatives] = torch.arange(len(negatives), device=targets.device)
    drawn = (place[targets] >= 0).nonzero()[:, 0]
    wrong[drawn, place[targets[drawn]]] = torch.finfo(wrong.dtype).min  # -inf alone has no gradient
    return torch.logaddexp(right, wrong.logsumexp(dim=1)) - right


class ItemObjective(nn.Module):
    """What next-item and masked-item prediction share; they differ in ``examples``.

    Parameters
    ----------
    encoder : its item vectors are the weights of the prediction too.
    negatives : items that a batch is contrasted with, drawn anew for each; None takes the whole catalogue.
    popularity : optional float tensor, shape (n_items,), negatives are drawn in proportion to it and the loss is
        corrected for that; None draws all alike.
    """

    def __init__(self, encoder: ItemTransformer, negatives: int | None = 1024, popularity: Tensor | None = None):
        super().__init__()
        self.encoder, self.negatives = encoder, negatives
        share = None if popularity is None else popularity / popularity.sum()
        self.register_buffer("share", share, persistent=False)

    def examples(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the encoder reads and what it shall say there, -1 for nothing; both shape (n, length)."""
        raise NotImplementedError

    def losses(self, states: Tensor, targets: Tensor, generator: torch.Generator) -> Tensor:
        """Loss of each prediction, shape (m,), from states (m, width) and the right items (m,)."""
        table = self.encoder.item_vectors
        if self.negatives is None:
            return F.cross_entropy(states @ table.T, targets, reduction="none")
        if self.share is None:
            drawn = torch.randperm(len(table), generator=generator, device=targets.device)[: self.negatives]
            return sampled_cross_entropy(states, targets, table, drawn)
        drawn = torch.multinomial(self.share, min(self.negatives, len(table)), generator=generator)
        return sampled_cross_entropy(states, targets, table, drawn, self.share.log())

    def forward(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Sum of the losses of each history and number of its predictions, both shape (n,)."""
        read, targets = self.examples(trim(histories), generator)
        states, asked = self.encoder.states(read, generator), targets >= 0
        losses = self.losses(states[asked].float(), targets[asked].long(), generator)
        owner = asked.nonzero()[:, 0]
        return torch.zeros(len(targets), device=losses.device).index_add(0, owner, losses), asked.sum(dim=1)

    def loss(self, total: Tensor, count: Tensor) -> Tensor:
        """Mean loss of a prediction."""
        return total.sum() / count.sum().clamp(min=1)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """All candidates equally likely."""
        n_items = self.encoder.n_items
        return {"chance": math.log(n_items if self.negatives is None else min(n_items, self.negatives + 1))}

    def arrange(self, order: Tensor, histories: Tensor, batch_size: int) -> Tensor:
        """Put histories of like length into one batch, so that little of it is padding; batches come in random order.

        Parameters
        ----------
        order : int tensor, shape (n,), a random permutation. What does not fill a batch is left out.
        """
        kept = order[: len(order) // batch_size * batch_size]
        lengths = (histories[kept.to(histories.device)] >= 0).sum(dim=1).cpu()
        batches = kept[torch.argsort(lengths, stable=True)].view(-1, batch_size)
        return batches[torch.argsort(kept.view(-1, batch_size)[:, 0])].flatten()


class NextItem(ItemObjective):
    """Say at every event of a history which item comes next: SASRec, with the loss of a classifier."""

    def examples(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return histories[:, :-1], histories[:, 1:]


class MaskedItem(ItemObjective):
    """Hide some items of a history and say which they were from both sides: BERT4Rec.

    Parameters
    ----------
    encoder : not causal.
    mask_share : probability with which an item is hidden.
    last_share : share of the histories of which only the last item is hidden, as in use.
    signs : codes below this one are never hidden, such as the signs before and behind a text.
    """

    def __init__(
        self, encoder: ItemTransformer, mask_share: float = 0.2, last_share: float = 0.1, signs: int = 0, **settings
    ):
        super().__init__(encoder, **settings)
        self.mask_share, self.last_share, self.signs = mask_share, last_share, signs

    def examples(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        real, device = histories >= self.signs, histories.device
        chance = torch.rand(histories.shape, generator=generator, device=device)
        place = torch.arange(histories.shape[1], device=device)
        last = real & (place == torch.where(real, place, -1).amax(dim=1, keepdim=True))
        only_last = torch.rand(len(histories), 1, generator=generator, device=device) < self.last_share
        hidden = real & torch.where(only_last, last, chance < self.mask_share)
        hidden |= last & ~hidden.any(dim=1, keepdim=True)  # every history asks something
        return torch.where(hidden, self.encoder.n_items, histories), torch.where(hidden, histories, -1)


class NextBasket(ItemObjective):
    """Say at the end of every basket what is in the next one, in whatever order: one softmax over the catalogue.

    Reads histories with a mask behind every basket, as of ``sslbook.domains.shop.item_histories``, and compares with
    all items, so ``negatives`` plays no part. A basket counts once, evenly over its items.
    """

    def forward(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Sum of the losses of each history's baskets but the first, and their number, both shape (n,)."""
        histories = trim(histories)
        ends = histories == self.encoder.n_items
        asked = (histories >= 0) & ~ends & (ends.cumsum(dim=1) > 0)
        before = ends.flatten().cumsum(0).view(ends.shape)[asked] - 1  # the end that each item follows
        states = self.encoder.states(histories, generator)[ends].float()
        chance = F.log_softmax(states @ self.encoder.item_vectors.T, dim=1)
        share = 1 / torch.bincount(before, minlength=len(states))[before]
        sums = torch.stack([-share * chance[before, histories[asked].long()], share], dim=1)
        total = torch.zeros(len(histories), 2, device=sums.device).index_add(0, asked.nonzero()[:, 0], sums)
        return total[:, 0], total[:, 1]

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """All items equally likely."""
        return {"chance": math.log(self.encoder.n_items)}


class HistoryContrast(NextItem):
    """Next item, and two altered views of one history should agree: CL4SRec (Xie et al. 2022).

    Parameters
    ----------
    weight : of the contrast in the loss.
    temperature : see ``nt_xent``.
    """

    def __init__(self, encoder: ItemTransformer, weight: float = 0.1, temperature: float = 0.5, **settings):
        super().__init__(encoder, **settings)
        self.weight, self.temperature = weight, temperature

    def forward(self, histories: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        histories = trim(histories)
        views = [self.encoder(altered(histories, self.encoder.n_items, generator)) for _ in range(2)]
        return *super().forward(histories, generator), *views

    def loss(self, total: Tensor, count: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Mean loss of a prediction and, weighted, the contrast of views a and b, both shape (n, width)."""
        return super().loss(total, count) + self.weight * nt_xent(a, b, self.temperature)

    def reference_values(self, batch_size: int) -> dict[str, float]:
        """All candidates equally likely, and all views alike."""
        return {"chance": super().reference_values(batch_size)["chance"] + self.weight * math.log(2 * batch_size - 1)}


def trim(histories: Tensor) -> Tensor:
    """Leave out the columns that no history of the batch fills."""
    return histories[:, : max(2, int((histories >= 0).sum(dim=1).max()))]


def altered(histories: Tensor, mask: int, generator: torch.Generator, share: float = 0.4) -> Tensor:
    """Crop, mask or reorder each history, one of the three at random (Xie et al. 2022, section 4.2).

    Crop keeps a stretch of 1 - ``share`` of the events; mask hides each with probability ``share``; reorder shuffles a
    stretch of ``share``.

    Parameters
    ----------
    histories : int tensor, shape (n, length), -1 behind the last event.
    mask : code of the mask.

    Returns
    -------
    int tensor, shape (n, length)
    """
    n, length = histories.shape
    place = torch.arange(length, device=histories.device).expand(n, length)
    count = (histories >= 0).sum(dim=1, keepdim=True)
    kind, start = torch.rand(2, n, 1, generator=generator, device=histories.device)
    noise = torch.rand(n, length, generator=generator, device=histories.device)
    kept = (count - (share * count).long()).clamp(min=1)
    first = (start * (count - kept + 1)).long()
    cropped = torch.where(place < kept, histories.gather(1, (place + first).clamp(max=length - 1)), -1)
    masked = torch.where((noise < share) & (place < count), mask, histories)
    stretch = (share * count).ceil().long()
    begin = (start * (count - stretch + 1)).long()
    inside = (place >= begin) & (place < begin + stretch)
    rank = torch.where(inside, begin + noise * stretch, place.float())
    reordered = histories.gather(1, torch.argsort(rank, dim=1, stable=True))  # noise near 1 is rounded to a tie
    return torch.where(kind < 1 / 3, cropped, torch.where(kind < 2 / 3, masked, reordered))
