"""Surprise of the next event: against a second writing in loops, blind to the future, largest where a habit breaks."""

import math

import numpy as np
import pytest
import torch

from sslbook.encoders.events import EventEncoder
from sslbook.pretext.next_event import NextEvent, events_at, random_windows

CODES = (5, 7, 3)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def new_objective(codes: tuple[int, ...] = CODES, seed: int = 0, **settings) -> NextEvent:
    torch.manual_seed(seed)
    return NextEvent(EventEncoder(codes, width=8, embedding=4), **{"hidden": 6} | settings)


def some_histories(lengths: tuple[int, ...] = (9, 4, 1, 12), codes: tuple[int, ...] = CODES) -> torch.Tensor:
    rng = np.random.default_rng(0)
    events = np.full((len(lengths), max(lengths), len(codes)), -1, dtype=np.int16)
    for i, n in enumerate(lengths):
        events[i, :n] = rng.integers(0, codes, (n, len(codes)))
    return torch.from_numpy(events)


def numbered(lengths: list[int]) -> torch.Tensor:
    """Field 0 numbers the events within the history, field 1 says whose it is; -1 behind the end."""
    events = torch.full((len(lengths), max(lengths), 2), -1, dtype=torch.int16)
    for i, n in enumerate(lengths):
        events[i, :n, 0], events[i, :n, 1] = torch.arange(n), i
    return events


def gru_by_hand(gru: torch.nn.GRU, x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """One step of a gated recurrent unit (Cho et al. 2014, as PyTorch has it)."""
    w, u, b, c = (getattr(gru, f"{name}_l0").detach().double().numpy() for name in (
        "weight_ih", "weight_hh", "bias_ih", "bias_hh"))  # fmt: skip
    (xr, xz, xn), (hr, hz, hn) = np.split(w @ x + b, 3), np.split(u @ h + c, 3)
    reset, update = 1 / (1 + np.exp(-xr - hr)), 1 / (1 + np.exp(-xz - hz))
    return (1 - update) * np.tanh(xn + reset * hn) + update * h


def surprise_by_loops(objective: NextEvent, history: np.ndarray) -> np.ndarray:
    """Of one history without padding: one event after the other, one field after the other, in float64."""

    def linear(layer: torch.nn.Linear, x: np.ndarray) -> np.ndarray:
        bias = 0 if layer.bias is None else layer.bias.detach().double().numpy()
        return layer.weight.detach().double().numpy() @ x + bias

    encoder = objective.encoder
    state, found = np.zeros(encoder.out_features), []
    for event in history:
        vectors = [table.weight.detach().double().numpy()[code + 1]
                   for table, code in zip(encoder.embeddings, event, strict=True)]  # fmt: skip
        fields = []
        for f, code in enumerate(event):
            hidden = linear(objective.from_state[f], state)
            if f > 0:
                hidden = hidden + linear(objective.from_fields[f - 1], np.concatenate(vectors[:f]))
            logits = linear(objective.to_field[f], np.maximum(hidden, 0))
            fields.append(-math.log(math.exp(logits[code]) / sum(math.exp(other) for other in logits)))
        found.append(fields)
        state = gru_by_hand(encoder.gru, np.concatenate(vectors), state)
    return np.array(found)


class Peeping(NextEvent):
    """A broken copy: it knows the state after the event that it predicts."""

    def surprise(self, events):
        shifted = torch.cat([events[:, 1:], torch.full_like(events[:, :1], -1)], dim=1)
        return super().surprise(shifted)


def knows_the_future(objective: NextEvent, place: int = 5) -> bool:
    """Whether a change of the events from ``place`` on changes the surprise of an earlier one."""
    events = some_histories((12, 12, 12))
    changed = events.clone()
    changed[:, place:] = (changed[:, place:] + 1) % torch.tensor(CODES, dtype=torch.int16)
    with torch.no_grad():
        before, after = objective.surprise(events), objective.surprise(changed)
    return not torch.equal(before[:, :place], after[:, :place])


# --------------------------------------------------------------------------------------------------- surprise


def test_equals_the_second_writing():
    objective, events = new_objective(), some_histories()
    found = objective.surprise(events)
    assert found.shape == events.shape and found.dtype == torch.float32
    for history, values in zip(events.numpy(), found.detach().numpy(), strict=True):
        n = int((history[:, 0] >= 0).sum())
        np.testing.assert_allclose(values[:n], surprise_by_loops(objective, history[:n]), atol=1e-5)
        assert (values[n:] == 0).all()


def test_probabilities_of_all_events_that_could_come_sum_to_one():
    objective = new_objective()
    past = some_histories((6,))[0]
    every = torch.cartesian_prod(*(torch.arange(n) for n in CODES)).to(torch.int16)
    continued = torch.cat([past.repeat(len(every), 1, 1), every[:, None]], dim=1)
    probability = torch.exp(-objective.surprise(continued)[:, -1].sum(dim=1))
    assert len(every) == 105 and probability.sum().item() == pytest.approx(1, abs=1e-5)


def test_the_future_changes_no_surprise_of_the_past():
    assert not knows_the_future(new_objective())
    torch.manual_seed(0)
    assert knows_the_future(Peeping(EventEncoder(CODES, width=8, embedding=4))), "the check sees a peep"


def test_the_future_changes_no_state_of_the_past():
    encoder, events = new_objective().encoder, some_histories((12, 12))
    changed = events.clone()
    changed[:, 5:] = 0
    assert torch.equal(encoder.states(events)[:, :5], encoder.states(changed)[:, :5])
    assert not torch.allclose(encoder.states(events)[:, 5:], encoder.states(changed)[:, 5:])


def test_a_field_knows_the_fields_before_it_and_no_later_one():
    objective, events = new_objective(), some_histories((8, 8))
    for f in range(3):
        changed = events.clone()
        changed[:, 7, f] = (changed[:, 7, f] + 1) % CODES[f]
        before, after = objective.surprise(events)[:, 7], objective.surprise(changed)[:, 7]
        assert torch.equal(before[:, :f], after[:, :f])
        assert (before[:, f:] != after[:, f:]).all()


def test_the_past_changes_the_surprise():
    objective, events = new_objective(), some_histories((8, 8))
    changed = events.clone()
    changed[:, 2, 1] = (changed[:, 2, 1] + 1) % CODES[1]
    assert (objective.surprise(events)[:, 3:] != objective.surprise(changed)[:, 3:]).any(dim=(1, 2)).all()


def test_more_padding_changes_nothing():
    objective, events = new_objective(), some_histories()
    padded = torch.cat([events, torch.full((4, 7, 3), -1, dtype=torch.int16)], dim=1)
    torch.testing.assert_close(objective.surprise(padded)[:, :12], objective.surprise(events))
    assert (objective.surprise(padded)[:, 12:] == 0).all()


def test_a_history_does_not_depend_on_its_neighbours():
    objective, events = new_objective(), some_histories()
    alone = objective.surprise(events[1:2, :4])
    torch.testing.assert_close(alone[0], objective.surprise(events)[1, :4])


# ---------------------------------------------------------------------------------------------------- windows


def test_windows_are_consecutive_events_and_short_histories_whole():
    windows = random_windows(numbered([50, 6, 3, 30]), 6, generator())
    assert windows.shape == (4, 6, 2) and windows.dtype == torch.int16
    for i, window in enumerate(windows):
        n = int((window[:, 0] >= 0).sum())
        assert n == (3 if i == 2 else 6)
        assert (window[:n, 1] == i).all()
        assert (window[1:n, 0] - window[: n - 1, 0] == 1).all()
        assert (window[n:] == -1).all()
    assert windows[1, 0, 0] == windows[2, 0, 0] == 0


def test_every_place_of_a_window_is_drawn_alike_often():
    starts = random_windows(numbered([10]).repeat(4000, 1, 1), 6, generator())[:, 0, 0]
    assert (torch.bincount(starts.long()) / 4000).tolist() == pytest.approx([0.2] * 5, abs=0.03)


def test_windows_longer_than_every_history_are_filled_up():
    events = numbered([4, 2])
    windows = random_windows(events, 9, generator())
    assert torch.equal(windows[:, :4], events) and (windows[:, 4:] == -1).all()


def test_windows_follow_from_the_generator():
    first, again, other = (random_windows(numbered([50, 60]), 6, generator(s)) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_events_at_places_behind_the_end():
    places = torch.tensor([[0, 2, 4], [4, 5, 99], [1, 3, 4]])
    taken = events_at(numbered([3, 5]), torch.tensor([0, 1, 1]), places)
    assert taken[..., 0].tolist() == [[0, 2, -1], [4, -1, -1], [1, 3, 4]]
    assert taken[2, :, 1].tolist() == [1, 1, 1]


# --------------------------------------------------------------------------------------------------- together


def test_forward_and_loss_are_the_mean_surprise_of_an_event():
    objective, events = new_objective(length=5), some_histories()
    surprise, real = objective(events, generator())
    assert surprise.shape == real.shape == (4, 5) and real.dtype == torch.bool
    assert real.sum(dim=1).tolist() == [5, 4, 1, 5]
    window = random_windows(events, 5, generator())
    each = [surprise_by_loops(objective, w[w[:, 0] >= 0]).sum(axis=1) for w in window.numpy()]
    assert objective.loss(surprise, real).item() == pytest.approx(np.concatenate(each).mean(), rel=1e-5)


def test_equally_likely_codes_cost_the_reference_value():
    objective = new_objective(length=12)
    for layer in objective.to_field:
        torch.nn.init.zeros_(layer.weight), torch.nn.init.zeros_(layer.bias)
    chance = objective.reference_values(4)["chance"]
    assert chance == pytest.approx(math.log(5 * 7 * 3))
    assert objective.loss(*objective(some_histories(), generator())).item() == pytest.approx(chance, rel=1e-5)


def test_every_parameter_learns():
    objective = new_objective(length=12)
    objective.loss(*objective(some_histories(), generator())).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.parameters())
    assert all((table.weight.grad[0] == 0).all() for table in objective.encoder.embeddings), "but not the padding"


def test_a_break_of_habit_surprises_most():
    """Every holder has a ring of six codes and walks along it: 0 1 2 3 4 5 0 ..., in one of two directions."""
    rng = np.random.default_rng(0)
    start, step = rng.integers(0, 6, (200, 1)), rng.choice([-1, 1], (200, 1))
    walk = (start + step * np.arange(20)) % 6
    events = torch.from_numpy(np.stack([walk, walk // 2], axis=-1).astype(np.int16))
    objective, draw = new_objective((6, 3), length=12), generator()
    optimiser = torch.optim.Adam(objective.parameters(), 1e-2)
    for _ in range(150):
        loss = objective.loss(*objective(events, draw))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.35 * objective.reference_values(200)["chance"]
    broken = events[:, :14].clone()  # the way back after the break is no habit either
    broken[:, 13, 0] = (broken[:, 13, 0] + 3) % 6
    broken[:, 13, 1] = broken[:, 13, 0] // 2
    with torch.no_grad():
        usual, surprise = (objective.surprise(e).sum(dim=2) for e in (events, broken))
    assert (surprise.argmax(dim=1) == 13).float().mean() > 0.98, "the first two events, start and step, are free"
    assert surprise[:, 13].min() > 3 > 0.3 > usual[:, 2:].mean()
