"""Next item, masked item, contrast of histories: against loops, blind to the answer, learnt where there is an order."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sslbook import train
from sslbook.encoders.features import encode
from sslbook.encoders.items import ItemTransformer
from sslbook.parallel import map_all
from sslbook.pretext import items as items_module
from sslbook.pretext.items import (
    HistoryContrast,
    MaskedItem,
    NextBasket,
    NextItem,
    altered,
    sampled_cross_entropy,
    trim,
)
from sslbook.pretext.simclr import nt_xent
from sslbook.train import pretrain, save_checkpoint

N_ITEMS = 20
LENGTHS = (9, 4, 1, 12, 2, 0)
KINDS = pytest.mark.parametrize("kind", [NextItem, MaskedItem, HistoryContrast])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_encoder(n_items: int = N_ITEMS, causal: bool = True, share_dropped: float = 0.0, **settings) -> ItemTransformer:
    torch.manual_seed(0)
    return ItemTransformer(
        n_items, **{"width": 8, "longest": 12} | settings, causal=causal, share_dropped=share_dropped
    )


def new_objective(kind: type = NextItem, seed: int = 0, negatives: int | None = None, **settings) -> NextItem:
    torch.manual_seed(seed)
    return kind(new_encoder(causal=kind is not MaskedItem), negatives=negatives, **settings)


def some_histories(lengths: tuple[int, ...] = LENGTHS, n_items: int = N_ITEMS, seed: int = 0) -> torch.Tensor:
    histories = torch.full((len(lengths), max(lengths)), -1, dtype=torch.int16)
    for i, n in enumerate(lengths):
        histories[i, :n] = torch.randint(n_items, (n,), generator=generator(1000 * seed + i))
    return histories


def numbered(lengths: list[int], width: int = 0) -> torch.Tensor:
    """Event j of history i is 100 i + j."""
    place = torch.arange(max(width, *lengths))
    codes = 100 * torch.arange(len(lengths))[:, None] + place
    return torch.where(place < torch.tensor(lengths)[:, None], codes, -1).to(torch.int32)


def events(row: torch.Tensor) -> list[int]:
    """Of one history; what fills it up must be behind them."""
    codes = row.tolist()
    n = sum(code >= 0 for code in codes)
    assert all(code >= 0 for code in codes[:n]) and codes[n:] == [-1] * (len(codes) - n)
    return codes[:n]


def cross_entropy_by_loops(score: np.ndarray, target: int, candidates: list[int]) -> float:
    return -math.log(math.exp(score[target]) / sum(math.exp(score[j]) for j in {target, *candidates}))


def scores(objective: NextItem, state: torch.Tensor) -> np.ndarray:
    return (objective.encoder.item_vectors @ state).detach().double().numpy()


# --------------------------------------------------------------------------------------- sampled cross-entropy


def problem(m: int = 7, n_items: int = 15, d: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = generator()
    states = torch.randn(m, d, generator=draw, dtype=torch.float64, requires_grad=True)
    table = torch.randn(n_items, d, generator=draw, dtype=torch.float64, requires_grad=True)
    return states, 2 * torch.arange(m), table


def popularity(n_items: int = N_ITEMS) -> torch.Tensor:
    return 1 + torch.arange(n_items) * 0.3


@pytest.mark.parametrize("shuffled", [False, True])
def test_every_item_as_a_negative_is_the_full_cross_entropy(shuffled):
    states, targets, table = problem()
    negatives = torch.randperm(15, generator=generator()) if shuffled else torch.arange(15)
    found = sampled_cross_entropy(states, targets, table, negatives)
    expected = F.cross_entropy(states @ table.T, targets, reduction="none")
    torch.testing.assert_close(found, expected)
    weights = torch.rand(7, generator=generator(1))
    for one, other in zip(*(torch.autograd.grad((weights * x).sum(), (states, table)) for x in (found, expected)),
                          strict=True):  # fmt: skip
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("negatives", [[3], [0, 7, 4, 11], list(range(14, -1, -1))])
def test_equals_the_second_writing(negatives, corrected):
    states, targets, table = problem()
    log_q = torch.randn(15, generator=generator(3), dtype=torch.float64) if corrected else None
    found = sampled_cross_entropy(states, targets, table, torch.tensor(negatives), log_q)
    for value, state, target in zip(found, states, targets, strict=True):
        score = (table @ state).detach().numpy() - (log_q.numpy() if corrected else 0)
        assert value.item() == pytest.approx(cross_entropy_by_loops(score, int(target), negatives), rel=1e-9)


@pytest.mark.parametrize("k", [1, 5, 14])
def test_equal_scores_cost_the_logarithm_of_the_candidates(k):
    loss = sampled_cross_entropy(torch.zeros(1, 4), torch.tensor([14]), torch.randn(15, 4), torch.arange(k))
    assert loss.item() == pytest.approx(math.log(k + 1))


def test_a_target_among_the_negatives_does_not_count():
    states, targets, table = problem(m=1)
    target = int(targets)
    others = [i for i in range(6) if i != target]
    without = sampled_cross_entropy(states, targets, table, torch.tensor(others))
    for place in range(len(others) + 1):
        negatives = torch.tensor(others[:place] + [target] + others[place:])
        torch.testing.assert_close(sampled_cross_entropy(states, targets, table, negatives), without)


def test_the_target_as_the_only_negative_costs_nothing_and_breaks_nothing():
    states, targets, table = problem(m=1)
    loss = sampled_cross_entropy(states, targets, table, targets)
    loss.sum().backward()
    assert loss.item() == 0 and (states.grad == 0).all() and (table.grad == 0).all()


def test_the_correction_undoes_the_popularity_of_the_negatives():
    """With scores that are the true log-probabilities nothing is to be learnt: the mean gradient must be zero."""
    n, k, draw = 40, 4, generator()
    truth = torch.softmax(torch.randn(n, generator=draw), dim=0)
    share = popularity(n) / popularity(n).sum()
    table = truth.log()[:, None].requires_grad_()
    gradient = {"corrected": 0, "as drawn": 0}
    for _ in range(1000):
        negatives = torch.multinomial(share, k, generator=draw)
        for name, log_q in (("corrected", share.log()), ("as drawn", None)):
            loss = sampled_cross_entropy(torch.ones(n, 1), torch.arange(n), table, negatives, log_q)
            gradient[name] += torch.autograd.grad((truth * loss).sum(), table)[0] / 1000
    size = {name: float(value.norm()) for name, value in gradient.items()}
    assert size["corrected"] < 0.2 * size["as drawn"]
    rare, popular = gradient["as drawn"][:8].sum(), gradient["as drawn"][-8:].sum()
    assert rare < 0 < popular, "without it, popular items are pushed down and rare ones up"


# -------------------------------------------------------------------------------------------- what is asked


def test_next_item_asks_at_every_event_for_the_one_behind_it():
    read, targets = new_objective().examples(some_histories(), generator())
    for history, mine, asked in zip(some_histories(), read, targets, strict=True):
        codes = events(history)
        assert events(asked) == codes[1:]
        assert mine.tolist()[: len(codes[1:])] == codes[:-1]


@pytest.mark.parametrize(("mask_share", "last_share"), [(0.2, 0.1), (0.0, 0.0), (1.0, 0.0), (0.5, 1.0)])
def test_a_masked_item_is_never_visible_and_every_history_asks(mask_share, last_share):
    objective = new_objective(MaskedItem, mask_share=mask_share, last_share=last_share)
    for seed in range(20):
        histories = some_histories(seed=seed)
        read, targets = objective.examples(histories, generator(seed))
        hidden = targets >= 0
        assert (read[hidden] == N_ITEMS).all() and (targets[hidden] == histories[hidden]).all()
        assert torch.equal(read[~hidden], histories[~hidden]) and (targets[~hidden] == -1).all()
        assert (hidden.any(dim=1) == (histories >= 0).any(dim=1)).all()
        if last_share == 1:
            assert hidden.sum(dim=1).tolist() == [min(n, 1) for n in LENGTHS]
        if mask_share == 1:
            assert torch.equal(hidden, histories >= 0)


def test_signs_are_never_hidden_and_every_text_asks():
    objective = new_objective(MaskedItem, mask_share=0.3, last_share=0.0, signs=2)
    for seed in range(20):
        histories = some_histories(seed=seed)
        targets = objective.examples(histories, generator(seed))[1]
        assert not ((targets >= 0) & (histories < 2)).any()
        assert ((targets >= 0).any(dim=1) == (histories >= 2).any(dim=1)).all()


def test_what_is_hidden_changes_no_state():
    objective, histories = new_objective(MaskedItem, mask_share=0.4), some_histories()
    read, targets = objective.examples(histories, generator())
    hidden = targets >= 0
    other = torch.where(hidden, (histories + 1) % N_ITEMS, histories)
    assert torch.equal(objective.examples(other, generator())[0], read)
    shown = (~hidden & (histories >= 0)).nonzero()[0]
    other[tuple(shown)] = (other[tuple(shown)] + 1) % N_ITEMS
    changed = objective.encoder.states(objective.examples(other, generator())[0])
    assert not torch.allclose(changed, objective.encoder.states(read), atol=1e-3), "what is shown does"


def test_items_are_hidden_as_often_as_stated():
    objective = new_objective(MaskedItem, mask_share=0.3, last_share=0.25)
    _, targets = objective.examples(some_histories((10,) * 4000), generator())
    hidden = targets >= 0
    share = hidden.float().mean(dim=0)
    none = 0.75 * 0.7**10  # then the last is hidden
    assert share[:9].tolist() == pytest.approx([0.75 * 0.3] * 9, abs=0.03)
    assert share[9].item() == pytest.approx(0.25 + 0.75 * 0.3 + none, abs=0.03)
    only_last = hidden[:, 9] & (hidden.sum(dim=1) == 1)
    assert only_last.float().mean().item() == pytest.approx(0.25 + 0.75 * 0.3 * 0.7**9 + none, abs=0.03)


def test_what_is_hidden_follows_from_the_generator():
    objective = new_objective(MaskedItem)
    first, again, other = (objective.examples(some_histories(), generator(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


# ------------------------------------------------------------------------------------------------------ loss


def losses_by_loops(objective: NextItem, histories: torch.Tensor, candidates: list[int]) -> list[list[float]]:
    """Of each prediction of each history, from the states of that history alone, without padding."""
    found = []
    for history in histories:
        codes = events(history)
        prefixes = [torch.tensor([codes[:j]]) for j in range(1, len(codes))]
        states = [objective.encoder.states(prefix)[0, -1] for prefix in prefixes]
        found.append([cross_entropy_by_loops(scores(objective, state), target, candidates)
                      for state, target in zip(states, codes[1:], strict=True)])  # fmt: skip
    return found


@pytest.mark.parametrize("negatives", [None, 6])
def test_next_item_equals_a_loop_over_histories(negatives):
    objective, histories = new_objective(negatives=negatives), some_histories()
    drawn = torch.randperm(N_ITEMS, generator=generator())[:negatives].tolist()
    expected = losses_by_loops(objective, histories, drawn)
    total, count = objective(histories, generator())
    assert count.tolist() == [max(0, n - 1) for n in LENGTHS]
    assert total.tolist() == pytest.approx([sum(losses) for losses in expected], rel=1e-5)
    each = [loss for losses in expected for loss in losses]
    assert objective.loss(total, count).item() == pytest.approx(np.mean(each), rel=1e-5)
    assert np.mean([np.mean(losses) for losses in expected if losses]) != pytest.approx(np.mean(each), rel=1e-3), (
        "a mean over predictions, not over histories"
    )


def test_masked_item_equals_a_loop_over_histories():
    objective, histories = new_objective(MaskedItem, mask_share=0.4), some_histories()
    read, targets = objective.examples(histories, generator())
    total, count = objective(histories, generator())
    assert torch.equal(count, (targets >= 0).sum(dim=1))
    for i, n in enumerate(LENGTHS):
        expected = 0.0
        for place in (targets[i] >= 0).nonzero()[:, 0].tolist():
            state = objective.encoder.states(read[i : i + 1, :n])[0, place]
            expected += cross_entropy_by_loops(scores(objective, state), int(targets[i, place]), range(N_ITEMS))
        assert total[i].item() == pytest.approx(expected, rel=1e-5)


def test_popular_negatives_are_drawn_more_often_and_corrected_for():
    objective = new_objective(negatives=6, popularity=popularity())
    share = popularity() / popularity().sum()
    states, targets = torch.randn(5, 8, generator=generator()), torch.arange(5)
    drawn = torch.multinomial(share, 6, generator=generator(1))
    expected = sampled_cross_entropy(states, targets, objective.encoder.item_vectors, drawn, share.log())
    torch.testing.assert_close(objective.losses(states, targets, generator(1)), expected)
    scaled = new_objective(negatives=6, popularity=7 * popularity())
    torch.testing.assert_close(scaled.losses(states, targets, generator(1)), expected)


@pytest.mark.parametrize("weights", [None, popularity()])
def test_more_negatives_than_items_are_all_items(weights):
    objective, histories = new_objective(negatives=1000, popularity=weights), some_histories()
    total, _ = objective(histories, generator())
    if weights is None:
        torch.testing.assert_close(total, new_objective()(histories, generator())[0])
    assert torch.isfinite(total).all()
    assert objective.reference_values(4)["chance"] == pytest.approx(math.log(N_ITEMS))


@KINDS
@pytest.mark.parametrize("negatives", [None, 1000])
def test_zero_states_cost_the_reference_value(kind, negatives):
    objective = new_objective(kind, negatives=negatives)
    torch.nn.init.zeros_(objective.encoder.norm.weight)
    loss = objective.loss(*objective(some_histories(), generator()))
    assert loss.item() == pytest.approx(objective.reference_values(len(LENGTHS))["chance"], rel=1e-5)


def test_chance_among_sampled_negatives():
    objective = NextItem(new_encoder(n_items=2000), negatives=50)
    torch.nn.init.zeros_(objective.encoder.norm.weight)
    loss = objective.loss(*objective(some_histories((12,) * 50, n_items=2000), generator()))
    chance = objective.reference_values(50)["chance"]
    assert chance == pytest.approx(math.log(51))
    assert loss.item() == pytest.approx(chance, rel=1e-3), "less where the right item is among the drawn"


@pytest.mark.parametrize("width", [1, 2, 9])
@pytest.mark.parametrize("negatives", [None, 5])
def test_histories_of_one_item_ask_nothing_about_the_next(width, negatives):
    objective = new_objective(negatives=negatives)
    total, count = objective(F.pad(some_histories((1, 1, 1)), (0, width - 1), value=-1), generator())
    loss = objective.loss(total, count)
    loss.backward()
    assert total.tolist() == [0, 0, 0] and count.tolist() == [0, 0, 0] and loss.item() == 0
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in objective.parameters())


@KINDS
def test_every_parameter_learns_and_an_empty_history_breaks_nothing(kind):
    objective = new_objective(kind)
    objective.loss(*objective(some_histories(), generator())).backward()
    for name, p in objective.named_parameters():
        assert torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


@KINDS
@pytest.mark.parametrize("negatives", [None, 6])
def test_more_padding_changes_no_loss(kind, negatives):
    objective, histories = new_objective(kind, negatives=negatives), some_histories()
    outputs, padded = (objective(F.pad(histories, (0, n), value=-1), generator()) for n in (0, 7))
    for a, b in zip(outputs, padded, strict=True):
        torch.testing.assert_close(a, b)


def test_trim_leaves_out_what_no_history_fills():
    assert torch.equal(trim(F.pad(some_histories(), (0, 5), value=-1)), some_histories())
    assert trim(torch.full((3, 9), -1)).shape == (3, 2)


def test_bfloat16_stays_close_to_float32():
    for kind in (NextItem, MaskedItem, HistoryContrast):
        objective = new_objective(kind, negatives=6)
        exact = objective.loss(*objective(some_histories(), generator()))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = objective.loss(*objective(some_histories(), generator()))
        assert rounded.item() == pytest.approx(exact.item(), rel=0.03)


def test_dropout_acts_in_training_and_not_in_use():
    torch.manual_seed(0)
    encoder = new_encoder(share_dropped=0.5)
    objective, histories = NextItem(encoder, negatives=None), some_histories()
    (one, _), (other, _) = objective.train()(histories, generator(0)), objective(histories, generator(1))
    assert not torch.allclose(one, other, rtol=0.01), "each step drops others"
    before = encode(encoder, histories.numpy())
    assert np.array_equal(encode(encoder.train(), histories.numpy()), before)


# -------------------------------------------------------------------------------------------- altered views

MASK = 30_000


def kind_of(before: list[int], after: list[int]) -> str:
    if len(after) < len(before):
        return "crop"
    if MASK in after:
        return "mask"
    return "same" if after == before else "reorder"


def changed_pairs(lengths: list[int], seed: int = 0) -> list[tuple[str, list[int], list[int]]]:
    histories = numbered(lengths)
    pairs = [(events(a), events(b)) for a, b in zip(histories, altered(histories, MASK, generator(seed)), strict=True)]
    return [(kind_of(a, b), a, b) for a, b in pairs]


def test_all_three_changes_occur_alike_often():
    kinds = [kind for kind, _, _ in changed_pairs([20] * 3000)]
    assert [kinds.count(kind) / 3000 for kind in ("crop", "mask", "reorder")] == pytest.approx([1 / 3] * 3, abs=0.03)


def test_each_change_is_what_it_says():
    for kind, before, after in changed_pairs(list(range(51)) * 20):
        n = len(before)
        stretch = -(-4 * n // 10)
        if kind == "crop":
            assert len(after) == -(-6 * n // 10) and after == list(range(after[0], after[0] + len(after)))
            assert after[0] in before and after[-1] in before
        elif kind == "mask":
            assert all(b in (a, MASK) for a, b in zip(before, after, strict=True))
        else:
            moved = [i for i in range(n) if before[i] != after[i]]
            assert sorted(after) == before and (not moved or moved[-1] - moved[0] < stretch)


def test_a_crop_and_a_stretch_may_lie_anywhere_and_a_mask_hides_the_stated_share():
    pairs = changed_pairs([10] * 6000)
    starts = np.bincount([after[0] - before[0] for kind, before, after in pairs if kind == "crop"], minlength=5)
    assert (starts / starts.sum()).tolist() == pytest.approx([0.2] * 5, abs=0.04)
    masked = [after.count(MASK) / 10 for kind, _, after in pairs if kind == "mask"]
    assert np.mean(masked) == pytest.approx(0.4 / (1 - 0.6**10), abs=0.02), "of those where it hides anything"
    moved = np.mean([[a != b for a, b in zip(before, after, strict=True)]
                     for kind, before, after in pairs if kind == "reorder"], axis=0)  # fmt: skip
    covering = np.array([1, 2, 3, 4, 4, 4, 4, 3, 2, 1]) / 7  # of the seven stretches of four
    assert moved.tolist() == pytest.approx((0.75 * covering / (1 - 1 / 24)).tolist(), abs=0.04)


def test_padding_stays_behind_the_events():
    histories = numbered([1, 3, 8], width=12)
    for seed in range(50):
        for row in altered(histories, MASK, generator(seed)):
            assert events(row)


def test_noise_next_to_one_moves_nothing_out_of_its_stretch(monkeypatch):
    monkeypatch.setattr(items_module.torch, "rand", lambda *shape, **_: torch.full(shape, 1 - 2**-24))
    assert torch.equal(altered(numbered([48], width=50), MASK, generator()), numbered([48], width=50))


def test_views_follow_from_the_generator():
    first, again, other = (altered(numbered([20] * 9), MASK, generator(s)) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.dtype == torch.int32


def test_contrast_is_next_item_and_the_agreement_of_two_views():
    objective, histories = new_objective(HistoryContrast, weight=0.3, temperature=0.7), some_histories((9, 8, 12, 7))
    draw = generator()
    views = [objective.encoder(altered(histories, N_ITEMS, draw)) for _ in range(2)]
    total, count, a, b = objective(histories, generator())
    torch.testing.assert_close(a, views[0])
    torch.testing.assert_close(b, views[1])
    alone = new_objective()
    predicted = alone.loss(*alone(histories, generator()))
    torch.testing.assert_close(objective.loss(total, count, a, b), predicted + 0.3 * nt_xent(a, b, 0.7))


# ------------------------------------------------------------------------------------------- length batches


def uneven_histories(n: int = 103, longest: int = 40) -> torch.Tensor:
    lengths = np.random.default_rng(0).geometric(0.15, n).clip(1, longest)
    return some_histories(tuple(lengths.tolist()))


def arranged(seed: int = 0, batch_size: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    histories = uneven_histories()
    order = torch.randperm(len(histories), generator=generator(seed))
    return order, new_objective().arrange(order, histories, batch_size)


def padding_share(batches: torch.Tensor) -> float:
    lengths = (uneven_histories() >= 0).sum(dim=1)[batches]
    return 1 - float(lengths.sum() / (lengths.max(dim=1).values * lengths.shape[1]).sum())


@pytest.mark.parametrize("batch_size", [1, 10, 51, 103])
def test_each_kept_history_is_shown_once(batch_size):
    order, found = arranged(batch_size=batch_size)
    kept = 103 // batch_size * batch_size
    assert sorted(found.tolist()) == sorted(order[:kept].tolist())


def test_batches_hold_histories_of_like_length():
    order, found = arranged()
    assert padding_share(found.view(-1, 10)) < 0.4 * padding_share(order[:100].view(-1, 10))
    lengths = (uneven_histories() >= 0).sum(dim=1)[found.view(-1, 10)]
    bounds = sorted((int(batch.min()), int(batch.max())) for batch in lengths)
    assert all(longest <= shortest for (_, longest), (shortest, _) in zip(bounds, bounds[1:], strict=False))


def test_batches_come_in_random_order():
    lengths = (uneven_histories() >= 0).sum(dim=1)
    first = [int(lengths[arranged(seed)[1].view(-1, 10)[0]].sum()) for seed in range(150)]
    place = np.searchsorted(np.quantile(first, np.arange(1, 5) / 5), first)
    assert len(set(first)) > 30 and np.abs(np.corrcoef(place[:-1], place[1:])[0, 1]) < 0.25
    mean = float(lengths.float().mean()) * 10
    assert np.mean(first) == pytest.approx(mean, rel=0.1), "neither the short nor the long ones come first"


def test_the_arrangement_follows_from_the_order_and_leaves_out_others_in_each():
    assert torch.equal(arranged(0)[1], arranged(0)[1]) and not torch.equal(arranged(0)[1], arranged(1)[1])
    left = [frozenset(range(103)) - set(arranged(seed)[1].tolist()) for seed in range(5)]
    assert all(len(cases) == 3 for cases in left) and len(set(left)) == 5


# ------------------------------------------------------------------------------------------------- training

RUN = {"epochs": 8, "batch_size": 64, "learning_rate": 1e-2, "accelerator": "cpu", "precision": "32-true"}


def walks(n: int, seed: int = 0) -> np.ndarray:
    """Item i is followed by item i + 1, and the last by the first; histories of 3 to 12 items."""
    rng = np.random.default_rng(seed)
    place = np.arange(12)
    codes = (rng.integers(0, N_ITEMS, (n, 1)) + place) % N_ITEMS
    return np.where(place < rng.integers(3, 13, (n, 1)), codes, -1).astype(np.int16)


def shuffled(histories: np.ndarray) -> np.ndarray:
    """The same items and lengths, over the whole log in another order."""
    out, real = histories.copy(), histories >= 0
    out[real] = np.random.default_rng(0).permutation(histories[real])
    return out


def top_1(encoder: ItemTransformer, histories: np.ndarray) -> float:
    """Share of the histories whose last item has the highest score."""
    last = (histories >= 0).sum(axis=1) - 1
    rows = np.arange(len(histories))
    known, target = histories.copy(), histories[rows, last]
    known[rows, last] = -1
    best = (encode(encoder, known) @ encoder.item_vectors.detach().numpy().T).argmax(axis=1)
    return float((best == target).mean())


def trained(histories: np.ndarray, kind: type = NextItem, negatives: int | None = 10, seed: int = 0, **settings):
    objective = kind(new_encoder(causal=kind is not MaskedItem, share_dropped=0.1, width=16), negatives=negatives)
    history = pretrain(objective, histories, **RUN | {"seed": seed} | settings)
    return objective, history


@pytest.mark.parametrize(("kind", "negatives"), [(NextItem, None), (NextItem, 10), (HistoryContrast, 10)])
def test_what_follows_from_the_item_before_is_learnt(kind, negatives):
    objective, history = trained(walks(768), kind, negatives)
    assert top_1(objective.encoder, walks(500, seed=1)) > 0.9
    assert history.frame["loss"].iloc[-1] < 0.5 * history.reference["chance"]


def test_masked_items_teach_the_order_too():
    """Slower: where the neighbours are, it must first learn from the positions."""
    encoder = new_encoder(causal=False, share_dropped=0.1, width=16, layers=1, input_scale=1.0)
    objective = MaskedItem(encoder, last_share=0.5, negatives=None)
    pretrain(objective, walks(768), **RUN | {"epochs": 12})
    assert top_1(encoder, walks(500, seed=1)) > 8 / N_ITEMS


def test_a_shuffled_log_teaches_nothing():
    objective, history = trained(shuffled(walks(768)), negatives=None)
    assert top_1(objective.encoder, shuffled(walks(2000, seed=1))) < 2 / N_ITEMS
    assert history.frame["loss"].iloc[-1] > 0.97 * history.reference["chance"]


def weights(objective: NextItem) -> list[torch.Tensor]:
    return list(objective.state_dict().values())


class Killed(Exception):
    pass


def test_a_run_that_is_resumed_equals_the_uninterrupted_one(tmp_path, monkeypatch):
    def save_and_die(path, objective, descent, history, settings) -> None:
        save_checkpoint(path, objective, descent, history, settings)
        if len(history.epochs) == 2:
            raise Killed

    settings = {"histories": walks(200), "epochs": 4}
    whole, expected = trained(**settings)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(train, "save_checkpoint", save_and_die)
        trained(**settings, checkpoint=tmp_path / "run.ckpt")
    resumed, history = trained(**settings, checkpoint=tmp_path / "run.ckpt")
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    clocks = ["seconds", "cpu_seconds"]
    assert history.frame.drop(columns=clocks).equals(expected.frame.drop(columns=clocks))


def test_runs_side_by_side_equal_those_one_after_the_other():
    objectives = [new_objective(negatives=10) for _ in range(4)]

    def trained_weights(numbered_objective: tuple[int, NextItem]) -> list[torch.Tensor]:
        seed, objective = numbered_objective
        pretrain(objective, walks(200), **RUN | {"seed": seed, "epochs": 2})
        return weights(objective)

    alone = [trained_weights(pair) for pair in enumerate(objectives[:2])]
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        together = map_all(trained_weights, enumerate(objectives[2:]))
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(together, alone, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(alone[0][0], alone[1][0])


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"popularity": None}, "share"),
        ({"popularity": popularity().flip(0)}, "share"),
        ({"negatives": 7}, "negatives"),
        ({"heads": 4}, "encoder"),
        ({"share_dropped": 0.5}, "encoder"),
        ({"input_scale": 1.0}, "encoder"),
        ({"causal": False}, "encoder"),
    ],
    ids=["alike", "popularity", "negatives", "heads", "dropout", "input scale", "causal"],
)
def test_checkpoint_of_other_settings(tmp_path, other, named):
    def run(popularity: torch.Tensor | None, negatives: int = 5, **encoder) -> None:
        objective = NextItem(new_encoder(**encoder), negatives, popularity)
        pretrain(objective, walks(64), **RUN | {"epochs": 1, "checkpoint": tmp_path / "run.ckpt"})

    run(popularity())
    with pytest.raises(ValueError, match=rf"run\.ckpt.*another.*{named}.*delete it"):
        run(**{"popularity": popularity()} | other)


# ------------------------------------------------------------------------------------------------------- next basket


VISITS = [[[3, 5], [7], [1, 2, 3]], [[4]], [[6, 6], [8, 9]], []]


def visited(visits: list[list[list[int]]], longest: int = 12) -> torch.Tensor:
    """Histories with the mask behind every basket."""
    rows = [[code for basket in row for code in [*basket, N_ITEMS]] for row in visits]
    return torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows], dtype=torch.int32)


def test_next_basket_equals_a_loop_over_baskets():
    objective, histories = new_objective(NextBasket), visited(VISITS)
    total, count = objective(histories, generator())
    states = objective.encoder.states(trim(histories))
    for i, row in enumerate(VISITS):
        ends = torch.tensor([len(basket) + 1 for basket in row]).cumsum(0) - 1
        losses = [
            F.cross_entropy(objective.encoder.item_vectors @ states[i, end], torch.tensor(item)).item() / len(basket)
            for end, basket in zip(ends, row[1:], strict=False)
            for item in basket
        ]
        assert total[i].item() == pytest.approx(sum(losses), abs=1e-5)
        assert count[i].item() == pytest.approx(max(0, len(row) - 1))
    assert objective.loss(total, count).item() == pytest.approx(total.sum().item() / 3, rel=1e-5)


def test_the_order_in_the_next_basket_does_not_count():
    objective = new_objective(NextBasket)
    one, other = (objective(visited([[[3, 5], basket]]), generator())[0] for basket in ([1, 2, 9], [9, 1, 2]))
    assert torch.allclose(one, other)


def test_equal_scores_cost_the_logarithm_of_the_catalogue():
    objective = new_objective(NextBasket)
    with torch.no_grad():
        objective.encoder.items.weight.zero_()
    total, count = objective(visited(VISITS), generator())
    chance = objective.reference_values(4)["chance"]
    assert objective.loss(total, count).item() == pytest.approx(chance) == math.log(N_ITEMS)


def test_what_follows_a_basket_is_learnt():
    """Item 1 is always followed by 2 and 3, and 4 by 5 and 6; the visit of a single item says which."""
    rows = visited([[[1], [3, 2]], [[4], [5, 6]], [[1], [2, 3]], [[4], [6, 5]]] * 8)
    objective = new_objective(NextBasket)
    pretrain(objective, rows.numpy(), 60, 8, 1e-2, seed=0, progress=False)
    scores = (
        encode(objective.encoder, visited([[[1]], [[4]]]).numpy()) @ objective.encoder.item_vectors.detach().numpy().T
    )
    best = [set(map(int, np.argsort(-row)[:2])) for row in scores]
    assert best == [{2, 3}, {5, 6}]
