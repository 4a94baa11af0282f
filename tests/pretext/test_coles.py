"""CoLES: slices of histories, its loss by hand and by loops, and what the floor and the collapse cost."""

import math

import numpy as np
import pytest
import torch

from sslbook.encoders.events import EventEncoder
from sslbook.pretext.coles import CoLES, coles_loss, random_slices, slice_retrieval


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coles_by_loops(z: np.ndarray, slices: int, margin: float, hard: int) -> float:
    """Babaev et al. 2022, section 3.2, one pair at a time in float64; the mean over slices."""
    z = [row / math.sqrt(sum(row**2)) for row in z]
    total = 0.0
    for i in range(len(z)):
        others = []
        for j in range(len(z)):
            distance = math.sqrt(sum((z[i] - z[j]) ** 2))
            if i // slices != j // slices:
                others.append(distance)
            elif i < j:
                total += distance**2
        total += sum(max(0.0, margin - distance) ** 2 for distance in sorted(others)[:hard])
    return total / len(z)


def on_the_circle(*degrees: float) -> torch.Tensor:
    angle = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def crowded(owners: int, slices: int, d: int = 3, spread: float = 0.3, seed: int = 0) -> torch.Tensor:
    """Embeddings near each other, so that many slices of other histories are within the margin."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=d) + spread * rng.normal(size=(owners * slices, d)))


def some_histories(lengths: list[int], fields: int = 2) -> torch.Tensor:
    """Field 0 numbers the events within the history, field 1 says whose it is; -1 behind the end."""
    events = torch.full((len(lengths), max(lengths), fields), -1, dtype=torch.int16)
    for i, n in enumerate(lengths):
        events[i, :n, 0], events[i, :n, 1] = torch.arange(n), i
    return events


# ------------------------------------------------------------------------------------------------------- loss


def test_loss_by_hand():
    z = on_the_circle(0, 10, 30, 90)  # two histories: 0 and 10 degrees, 30 and 90 degrees
    positives = chord(10) ** 2 + chord(60) ** 2
    nearest = [chord(30), chord(20), chord(20), chord(80)]  # of another history, for each slice
    margin = 0.6
    negatives = sum(max(0, margin - d) ** 2 for d in nearest)
    assert negatives > 0.1 and chord(80) > margin
    assert coles_loss(z, 2, margin, hard=1).item() == pytest.approx((positives + negatives) / 4, rel=1e-5)
    second = max(0, margin - chord(30)) ** 2  # 10 to 90 and 0 to 90 degrees are too far; 30 degrees has 0 and 10
    assert coles_loss(z, 2, margin, hard=2).item() == pytest.approx((positives + negatives + second) / 4, rel=1e-5)


@pytest.mark.parametrize("slices", [1, 2, 5])
@pytest.mark.parametrize(("margin", "hard"), [(0.5, 5), (1.0, 3), (0.1, 1), (0.5, 1000)])
def test_equals_the_second_writing(slices, margin, hard):
    z = crowded(6, slices)
    assert coles_loss(z, slices, margin, hard).item() == pytest.approx(
        coles_by_loops(z.numpy(), slices, margin, hard), rel=1e-4, abs=1e-7
    )


@pytest.mark.parametrize(("slices", "margin", "hard"), [(4, 0.5, 5), (2, 1.0, 3)])
def test_all_embeddings_equal_cost_the_margin_of_every_hard_negative(slices, margin, hard):
    equal = torch.full((8, slices, 16), 0.3)
    objective = CoLES(EventEncoder([3]), slices, margin=margin, hard=hard)
    assert objective.loss(equal).item() == pytest.approx(hard * margin**2, rel=1e-4), "positives cost nothing"
    assert objective.reference_values(8)["collapse"] == pytest.approx(hard * margin**2)


def test_perfect_embeddings_cost_nothing():
    objective = CoLES(EventEncoder([3]))
    perfect = torch.eye(8)[:, None].repeat(1, 4, 1)
    assert objective.loss(perfect).item() == pytest.approx(objective.reference_values(8)["floor"], abs=1e-6)


def test_the_loss_is_per_slice():
    z = torch.eye(12)[:3].repeat_interleave(4, dim=0) + 0.1 * torch.randn(12, 12, generator=generator())
    far = torch.cat([torch.cat([z, torch.zeros(12, 12)], 1), torch.cat([torch.zeros(12, 12), z], 1)])
    assert coles_loss(far, 4).item() == pytest.approx(coles_loss(z, 4).item(), rel=1e-5)


def test_slices_of_a_history_are_no_negatives():
    z = on_the_circle(0, 5, 180, 185)
    assert coles_loss(z, 2, margin=0.5).item() == pytest.approx(2 * chord(5) ** 2 / 4, rel=1e-4)
    assert coles_loss(z[[0, 2, 1, 3]], 2, margin=0.5).item() > 1, "wrong owners cost more"


def test_length_of_an_embedding_does_not_matter():
    z = crowded(5, 3)
    assert coles_loss(z * (1 + torch.rand(15, 1)), 3).item() == pytest.approx(coles_loss(z, 3).item(), rel=1e-5)


def test_gradient_is_that_of_the_second_writing():
    z = crowded(3, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(coles_loss(z, 2), z)
    step = 1e-5
    for i, j in np.ndindex(6, 3):
        moved = np.zeros((6, 3))
        moved[i, j] = step
        up, down = (coles_by_loops(z.detach().numpy() + s * moved, 2, 0.5, 5) for s in (1, -1))
        assert gradient[i, j].item() == pytest.approx((up - down) / (2 * step), abs=1e-3)


def test_gradient_of_collapse_is_finite():
    z = torch.full((12, 8), 0.3, requires_grad=True)
    coles_loss(z, 4).backward()
    assert torch.isfinite(z.grad).all()


# ----------------------------------------------------------------------------------------------------- slices


def test_slices_are_consecutive_events_of_one_history():
    events = some_histories([40, 25, 60])
    taken = random_slices(events, 5, 3, 9, generator())
    assert taken.shape == (15, 9, 2) and taken.dtype == torch.int16
    for i, slice_ in enumerate(taken):
        n = int((slice_[:, 0] >= 0).sum())
        assert 3 <= n <= 9
        assert (slice_[:n, 1] == i // 5).all(), "slices of a history follow each other"
        assert (slice_[1:n, 0] - slice_[: n - 1, 0] == 1).all()
        assert (slice_[n:] == -1).all()


def test_all_lengths_and_all_places_are_drawn():
    taken = random_slices(some_histories([12]).repeat(4000, 1, 1), 1, 2, 5, generator())
    length, start = (taken[..., 0] >= 0).sum(dim=1), taken[:, 0, 0]
    assert (torch.bincount(length)[2:] / 4000).tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert (start + length).max() == 12
    for n in range(2, 6):
        places = torch.bincount(start[length == n].long(), minlength=13 - n) / (length == n).sum()
        assert places.tolist() == pytest.approx([1 / (13 - n)] * (13 - n), abs=0.04)


def test_short_histories_are_taken_whole():
    events = some_histories([1, 3, 30])
    taken = random_slices(events, 4, 5, 10, generator())
    for i, n in ((0, 1), (1, 3)):
        for slice_ in taken[4 * i : 4 * i + 4]:
            assert torch.equal(slice_[:n], events[i, :n]) and (slice_[n:] == -1).all()


def test_slices_longer_than_every_history():
    events = some_histories([2, 4])
    taken = random_slices(events, 2, 6, 8, generator())
    assert taken.shape == (4, 8, 2)
    assert (taken[..., 0] >= 0).sum(dim=1).tolist() == [2, 2, 4, 4]


def test_more_padding_changes_no_slice():
    events = some_histories([40, 25, 60])
    padded = torch.cat([events, torch.full((3, 30, 2), -1, dtype=torch.int16)], dim=1)
    assert torch.equal(random_slices(events, 5, 3, 9, generator()), random_slices(padded, 5, 3, 9, generator()))


def test_slices_follow_from_the_generator():
    first, again, other = (random_slices(some_histories([40, 60]), 5, 3, 9, generator(s)) for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


# --------------------------------------------------------------------------------------------------- together


def test_forward_gives_the_slices_of_each_history():
    torch.manual_seed(0)
    encoder = EventEncoder([60, 3], width=8)
    events = some_histories([40, 25, 60])
    objective = CoLES(encoder, slices=4, shortest=3, longest=9)
    (z,) = objective(events, generator())
    assert z.shape == (3, 4, 8)
    torch.testing.assert_close(z.flatten(0, 1), encoder(random_slices(events, 4, 3, 9, generator())))
    assert objective.loss(z).item() == pytest.approx(coles_loss(z.flatten(0, 1), 4).item())


def test_coles_learns_whose_a_slice_is():
    """Holders differ in which of four codes they use most; afterwards slices of one find each other."""
    rng = np.random.default_rng(0)
    taste = rng.dirichlet(np.full(8, 0.4), 64)
    events = torch.from_numpy(np.stack([rng.choice(8, 80, p=p) for p in taste])[..., None].astype(np.int16))
    torch.manual_seed(0)
    encoder = EventEncoder([8], width=16)
    objective, draw = CoLES(encoder, slices=4, shortest=10, longest=20), generator()

    def retrieval() -> float:
        with torch.no_grad():
            z = encoder(random_slices(events, 2, 20, 20, generator(5)))
        return slice_retrieval(z[::2], z[1::2])

    before, optimiser, losses = retrieval(), torch.optim.Adam(objective.parameters(), 1e-2), []
    for _ in range(40):
        loss = objective.loss(*objective(events, draw))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * min(losses[0], objective.reference_values(64)["collapse"])
    assert retrieval() > before + 0.05 and retrieval() > 10 / 64


def test_slice_retrieval_by_hand():
    first = on_the_circle(0, 90, 180)
    assert slice_retrieval(first, on_the_circle(5, 95, 170)) == 1
    assert slice_retrieval(first, on_the_circle(95, 5, 170)) == pytest.approx(1 / 3)
    assert slice_retrieval(first, on_the_circle(95, 185, 5)) == 0
    assert slice_retrieval(7 * first, 0.1 * on_the_circle(5, 95, 170)) == 1, "length does not matter"


def test_slice_retrieval_of_strangers_is_chance():
    first, second = (torch.randn(1000, 8, generator=generator(s)) for s in (0, 1))
    assert slice_retrieval(first, second) < 0.01
