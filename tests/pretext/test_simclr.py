"""NT-Xent against closed forms and against a second writing of its formula in plain loops."""

import math

import numpy as np
import pytest
import torch

from sslbook.augment.views import Augment
from sslbook.encoders.residual import ResNet
from sslbook.pretext.simclr import NeighbourSimCLR, SimCLR, nt_xent


def nt_xent_by_loops(a: np.ndarray, b: np.ndarray, temperature: float) -> float:
    """Chen et al. 2020, equation 1, one pair at a time in float64."""
    n, views = len(a), [row / math.sqrt(sum(row**2)) for row in np.concatenate([a, b])]
    total = 0.0
    for i in range(2 * n):
        partner = i + n if i < n else i - n
        denominator = sum(math.exp(sum(views[i] * views[j]) / temperature) for j in range(2 * n) if j != i)
        total += -math.log(math.exp(sum(views[i] * views[partner]) / temperature) / denominator)
    return total / (2 * n)


def random_pair(n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d))
    return torch.from_numpy(a), torch.from_numpy(a + rng.normal(size=(n, d)))


def simplex(n: int) -> torch.Tensor:
    """n unit vectors as far apart as they can be: every cosine is -1 / (n - 1)."""
    return torch.eye(n) - 1 / n


@pytest.mark.parametrize(("n", "expected"), [(2, math.log(3)), (64, 4.844), (128, 5.541), (256, 6.236), (512, 6.931)])
def test_all_embeddings_equal_give_the_log_of_the_candidates(n, expected):
    equal = torch.full((n, 8), 0.3)
    assert nt_xent(equal, equal).item() == pytest.approx(math.log(2 * n - 1), abs=1e-5)
    assert nt_xent(equal, equal, temperature=0.05).item() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("n", "at_simplex", "at_orthogonal"), [(64, 2.86, 2.89), (128, 3.55, 3.57)])
def test_floor_at_temperature_one_half(n, at_simplex, at_orthogonal):
    assert nt_xent(simplex(n), simplex(n), temperature=0.5).item() == pytest.approx(at_simplex, abs=6e-3)
    assert nt_xent(torch.eye(n), torch.eye(n), temperature=0.5).item() == pytest.approx(at_orthogonal, abs=6e-3)


@pytest.mark.parametrize("temperature", [0.1, 0.2, 0.5, 1.0])
def test_equals_the_second_writing(temperature):
    a, b = random_pair(7, 5)
    assert nt_xent(a, b, temperature).item() == pytest.approx(
        nt_xent_by_loops(a.numpy(), b.numpy(), temperature), rel=1e-5
    )


def test_both_orders_and_any_order_of_the_pictures_give_the_same_loss():
    a, b = random_pair(9, 6)
    shuffled = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    assert nt_xent(b, a).item() == pytest.approx(nt_xent(a, b).item(), rel=1e-6)
    assert nt_xent(a[shuffled], b[shuffled]).item() == pytest.approx(nt_xent(a, b).item(), rel=1e-6)


def test_wrong_pairs_cost_more():
    a, b = random_pair(32, 16)
    assert nt_xent(a, b.roll(1, dims=0)) > nt_xent(a, b) + 0.5


def test_length_of_an_embedding_does_not_matter():
    a, b = random_pair(6, 4)
    assert nt_xent(3 * a, b * torch.rand(6, 1) + b).item() == pytest.approx(nt_xent(a, b).item(), rel=1e-5)


def test_gradient_is_that_of_the_second_writing():
    a, b = random_pair(4, 3)
    a.requires_grad_()
    (gradient,) = torch.autograd.grad(nt_xent(a, b, 0.5), a)
    step = 1e-5
    for i, j in np.ndindex(4, 3):
        moved = np.zeros((4, 3))
        moved[i, j] = step
        up, down = (nt_xent_by_loops(a.detach().numpy() + s * moved, b.numpy(), 0.5) for s in (1, -1))
        assert gradient[i, j].item() == pytest.approx((up - down) / (2 * step), abs=1e-5)


@pytest.mark.filterwarnings("ignore:Input #. requires gradient and is not a double")
def test_gradcheck():
    pair = [x.float().requires_grad_() for x in random_pair(4, 3)]  # the loss computes in float32: hence the wide step
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5), pair, eps=1e-2, atol=2e-3, rtol=1e-2)


def test_half_precision_embeddings_are_compared_in_single_precision():
    a, b = (x.bfloat16() for x in random_pair(16, 8))
    assert nt_xent(a, b).item() == pytest.approx(nt_xent(a.double(), b.double()).item(), rel=1e-4)


@pytest.mark.parametrize("temperature", [0.1, 0.2, 0.5])
def test_reference_values_are_those_of_the_loss(temperature):
    objective = SimCLR(ResNet(width=4), Augment(), temperature=temperature)
    reference = objective.reference_values(batch_size=32)
    (collapse,) = (value for name, value in reference.items() if "collapse" in name)
    assert collapse == pytest.approx(objective.loss(torch.ones(32, 64), torch.ones(32, 64)).item(), rel=1e-5)
    assert reference["floor"] == pytest.approx(objective.loss(torch.eye(32), torch.eye(32)).item(), rel=1e-3)


def test_row_i_of_both_outputs_comes_from_picture_i():
    torch.manual_seed(0)
    objective = SimCLR(ResNet(width=4), Augment()).eval()
    a, b = objective(torch.rand(6, 1, 14, 14), torch.Generator().manual_seed(0))
    assert a.shape[0] == b.shape[0] == 6
    torch.testing.assert_close(a, b)
    assert (torch.cdist(a, a) + torch.eye(6) > 1e-4).all()


def test_the_two_views_are_drawn_apart():
    torch.manual_seed(0)
    objective = SimCLR(ResNet(width=4), Augment(area=(0.2, 0.6), brightness=0.3)).eval()
    a, b = objective(torch.rand(6, 1, 14, 14), torch.Generator().manual_seed(0))
    assert ((a - b).norm(dim=1) > 1e-4).all()


def test_neighbours_are_the_two_halves_of_a_case():
    """Of a picture above itself, SimCLR; of two pictures, the first view shows one and the second the other."""
    torch.manual_seed(0)
    encoder, pictures = ResNet(width=4), torch.rand(6, 1, 16, 16)
    neighbours, plain = NeighbourSimCLR(encoder, Augment()).eval(), SimCLR(encoder, Augment()).eval()
    neighbours.load_state_dict(plain.state_dict())
    others = pictures.flip(0)
    same, mixed = (
        neighbours(torch.cat(halves, dim=2), torch.Generator().manual_seed(3))
        for halves in ((pictures, pictures), (pictures, others))
    )
    expected = plain(pictures, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(same, expected, strict=True))
    assert torch.equal(mixed[0], expected[0]) and not torch.allclose(mixed[1], expected[1])
