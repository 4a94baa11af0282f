"""The VICReg loss against closed forms of each of its terms and against a second writing in plain loops."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard

from sslbook.augment.views import Augment
from sslbook.encoders.residual import ResNet
from sslbook.pretext.vicreg import VICReg, vicreg_loss


def vicreg_by_loops(a: np.ndarray, b: np.ndarray, weights: tuple = (25.0, 25.0, 1.0)) -> float:
    """Bardes et al. 2022, equations 1 to 6, one number at a time in float64."""
    n, d = a.shape
    invariance = sum((a[i, j] - b[i, j]) ** 2 for i in range(n) for j in range(d)) / (n * d)
    variance = covariance = 0.0
    for z in (a, b):
        mean = [sum(z[:, j]) / n for j in range(d)]
        cov = [
            [sum((z[i, j] - mean[j]) * (z[i, k] - mean[k]) for i in range(n)) / (n - 1) for k in range(d)]
            for j in range(d)
        ]
        variance += sum(max(0.0, 1 - math.sqrt(cov[j][j] + 1e-4)) for j in range(d)) / d / 2
        covariance += sum(cov[j][k] ** 2 for j in range(d) for k in range(d) if j != k) / d
    return weights[0] * invariance + weights[1] * variance + weights[2] * covariance


def random_pair(n: int, d: int, scale: float = 1.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    a = scale * rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / math.sqrt(d)
    return torch.from_numpy(a), torch.from_numpy(a + 0.3 * rng.normal(size=(n, d)))


def uncorrelated(n: int, d: int, std: float) -> torch.Tensor:
    """Columns of a Hadamard matrix: mean 0, covariance 0, unbiased standard deviation ``std``."""
    return torch.from_numpy(hadamard(n)[:, 1 : d + 1] * std * math.sqrt((n - 1) / n))


def test_full_collapse_costs_24_75():
    equal = torch.full((16, 8), 0.7)
    assert vicreg_loss(equal, equal).item() == pytest.approx(24.75, abs=1e-4)
    assert vicreg_loss(equal, equal, variance=10).item() == pytest.approx(9.9, abs=1e-4)


@pytest.mark.parametrize(("std", "expected"), [(1.0, 0.0), (3.0, 0.0), (0.5, 25 * (1 - math.sqrt(0.25 + 1e-4)))])
def test_variance_term_is_a_hinge(std, expected):
    z = uncorrelated(16, 6, std)
    assert vicreg_loss(z, z).item() == pytest.approx(expected, abs=1e-4)


def test_invariance_term_is_the_mean_squared_difference():
    z = uncorrelated(16, 6, 2.0)
    assert vicreg_loss(z, z + 0.4).item() == pytest.approx(25 * 0.16, rel=1e-5)
    assert vicreg_loss(z, z + 0.4, invariance=2).item() == pytest.approx(2 * 0.16, rel=1e-5)


@pytest.mark.parametrize("d", [2, 5])
def test_covariance_term_of_equal_columns(d):
    z = uncorrelated(16, 1, 2.0).repeat(1, d)  # every covariance is 4: (d² - d) 4² / d per view
    assert vicreg_loss(z, z).item() == pytest.approx(2 * (d - 1) * 16, rel=1e-5)
    assert vicreg_loss(z, z, covariance=0.5).item() == pytest.approx((d - 1) * 16, rel=1e-5)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_equals_the_second_writing(scale):
    a, b = random_pair(9, 5, scale)
    assert vicreg_loss(a, b).item() == pytest.approx(vicreg_by_loops(a.numpy(), b.numpy()), rel=1e-5)
    assert vicreg_loss(a, b, 3, 2, 7).item() == pytest.approx(
        vicreg_by_loops(a.numpy(), b.numpy(), (3, 2, 7)), rel=1e-5
    )


def test_both_orders_give_the_same_loss():
    a, b = random_pair(9, 5)
    assert vicreg_loss(b, a).item() == pytest.approx(vicreg_loss(a, b).item(), rel=1e-6)


def test_gradient_is_that_of_the_second_writing():
    a, b = random_pair(5, 3, scale=0.4)
    a.requires_grad_()
    (gradient,) = torch.autograd.grad(vicreg_loss(a, b), a)
    step = 1e-5
    for i, j in np.ndindex(5, 3):
        moved = np.zeros((5, 3))
        moved[i, j] = step
        up, down = (vicreg_by_loops(a.detach().numpy() + s * moved, b.numpy()) for s in (1, -1))
        assert gradient[i, j].item() == pytest.approx((up - down) / (2 * step), abs=1e-4)


@pytest.mark.filterwarnings("ignore:Input #. requires gradient and is not a double")
def test_gradcheck():
    pair = [x.float().requires_grad_() for x in random_pair(5, 3, scale=0.4)]  # the loss computes in float32
    assert torch.autograd.gradcheck(vicreg_loss, pair, eps=1e-2, atol=2e-2, rtol=2e-2)


def test_gradient_leads_out_of_collapse():
    torch.manual_seed(0)
    a = (1e-3 * torch.randn(16, 4)).requires_grad_()
    vicreg_loss(a, a).backward()
    assert torch.isfinite(a.grad).all()
    assert (a - 0.1 * a.grad).std(dim=0).min() > 2 * a.std(dim=0).max()


def test_reference_values_are_those_of_the_loss():
    objective = VICReg(ResNet(width=4), Augment())
    reference = objective.reference_values(batch_size=16)
    assert reference["collapse"] == pytest.approx(objective.loss(torch.ones(16, 8), torch.ones(16, 8)).item(), abs=1e-4)
    z = uncorrelated(16, 6, 1.0)
    assert reference["floor"] == pytest.approx(objective.loss(z, z).item(), abs=1e-4)


def test_row_i_of_both_outputs_comes_from_picture_i():
    torch.manual_seed(0)
    objective = VICReg(ResNet(width=4), Augment()).eval()
    a, b = objective(torch.rand(6, 1, 14, 14), torch.Generator().manual_seed(0))
    assert a.shape[0] == b.shape[0] == 6
    torch.testing.assert_close(a, b)
    assert (torch.cdist(a, a) + torch.eye(6) > 1e-4).all()
