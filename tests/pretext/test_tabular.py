"""Corruption of rows and masked features: what is replaced, by what, and what counts."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sslbook.encoders.rows import MLP
from sslbook.pretext.tabular import Corruption, MaskedFeatures


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int, d: int) -> torch.Tensor:
    """No value twice, and of each value one can tell the row and the column."""
    return torch.arange(n * d, dtype=torch.float32).reshape(n, d)


class FromOneRow(Corruption):
    """A broken copy: all new values of a row come from one other row."""

    def corrupt(self, rows, generator):
        chosen = super().corrupt(rows, generator)[1]
        donor = torch.randint(len(self.values), (len(rows),), generator=generator)
        return torch.where(chosen, self.values[donor], rows), chosen


class Noise(Corruption):
    """A broken copy: new values lie anywhere between the smallest and the largest of their column."""

    def corrupt(self, rows, generator):
        chosen = super().corrupt(rows, generator)[1]
        low, high = self.values.min(dim=0).values, self.values.max(dim=0).values
        return torch.where(chosen, low + (high - low) * torch.rand(rows.shape, generator=generator), rows), chosen


def strange_values(corruption: Corruption, rows: torch.Tensor) -> int:
    """How many new values are none of the training values of their column."""
    corrupted, chosen = corruption.corrupt(rows, generator())
    known = (corrupted[:, None, :] == corruption.values[None]).any(dim=1)
    return int((chosen & ~known).sum())


def twins_that_differ(corruption: Corruption, rows: torch.Tensor) -> float:
    """Among rows where both of two equal columns are replaced, the share where they got different values."""
    corrupted, chosen = corruption.corrupt(rows, generator())
    both = chosen[:, 0] & chosen[:, 1]
    return float((corrupted[both, 0] != corrupted[both, 1]).float().mean())


# ------------------------------------------------------------------------------------------------- corruption


@pytest.mark.parametrize(("d", "share"), [(10, 0.6), (7, 0.6), (5, 0.6), (4, 0.3), (8, 1.0), (8, 0.0), (30, 0.1)])
def test_the_same_number_of_features_is_replaced_in_every_row(d, share):
    _, chosen = Corruption(numbered(50, d), share).corrupt(-numbered(40, d) - 1, generator())
    assert (chosen.sum(dim=1) == math.floor(share * d)).all()


def test_what_is_not_chosen_stays_and_what_is_chosen_comes_from_training():
    values, rows = numbered(50, 10), -numbered(400, 10) - 1
    corrupted, chosen = Corruption(values).corrupt(rows, generator())
    assert torch.equal(corrupted[~chosen], rows[~chosen])
    assert torch.equal(corrupted != rows, chosen), "no value of these rows is in training, so every choice shows"
    assert (corrupted[chosen] % 10 == torch.where(chosen)[1]).all(), "each value comes from its own column"
    assert corrupted[chosen].unique().numel() > 490, "and from any row"


def test_the_share_that_changes_is_the_share_less_the_coincidences():
    torch.manual_seed(0)
    values = torch.randint(0, 4, (1000, 10)).float()
    corrupted = Corruption(values)(values, generator())
    assert (corrupted != values).float().mean() == pytest.approx(0.6 * 3 / 4, abs=0.02)


def test_every_feature_is_replaced_alike_often():
    _, chosen = Corruption(numbered(50, 7)).corrupt(numbered(4000, 7), generator())
    assert chosen.float().mean(dim=0).tolist() == pytest.approx([4 / 7] * 7, abs=0.03)
    pairs = np.corrcoef(chosen.T.numpy())[np.triu_indices(7, 1)]
    assert pairs == pytest.approx(np.full(21, -1 / 6), abs=0.06), "drawn without replacement"


def test_new_values_follow_the_column():
    torch.manual_seed(0)
    values = torch.stack([torch.randn(2000).exp(), (torch.rand(2000) < 0.1).float()], dim=1)
    corrupted = Corruption(values, share=1.0)(torch.zeros(4000, 2), generator())
    levels = torch.tensor([0.1, 0.5, 0.9])
    torch.testing.assert_close(corrupted[:, 0].quantile(levels), values[:, 0].quantile(levels), rtol=0.1, atol=0)
    assert corrupted[:, 1].mean() == pytest.approx(0.1, abs=0.02)
    assert strange_values(Corruption(values[:300]), torch.zeros(100, 2)) == 0
    assert strange_values(Noise(values[:300]), torch.zeros(100, 2)) > 0, "the check sees noise"


def test_the_combination_of_columns_is_broken():
    column = torch.arange(100.0)[:, None]
    twins = torch.cat([column, column, column], dim=1)
    assert twins_that_differ(Corruption(twins, 0.7), twins.repeat(10, 1)) == pytest.approx(0.99, abs=0.02)
    assert twins_that_differ(FromOneRow(twins, 0.7), twins.repeat(10, 1)) == 0, "the check sees whole rows"


def test_columns_are_drawn_independently():
    torch.manual_seed(0)
    first = torch.randn(500, 1)
    values = torch.cat([first, -first + 0.01 * torch.randn(500, 1), first], dim=1)
    corrupted = Corruption(values, 1.0)(values.repeat(6, 1), generator())
    assert np.abs(np.corrcoef(corrupted.T.numpy()) - np.eye(3)).max() < 0.06


def test_the_rows_themselves_are_not_touched():
    values, rows = numbered(50, 10), numbered(20, 10)
    Corruption(values)(rows, generator())
    assert torch.equal(rows, numbered(20, 10)) and torch.equal(values, numbered(50, 10))


def test_corruption_follows_from_the_generator():
    corruption, rows = Corruption(numbered(50, 10)), numbered(20, 10)
    first, again, other = (corruption(rows, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_training_values_are_not_stored_with_the_weights():
    assert Corruption(numbered(50, 10)).state_dict() == {}
    assert "share=0.3" in repr(Corruption(numbered(50, 10), 0.3))


# -------------------------------------------------------------------------------------------- masked features


def train(objective: nn.Module, rows: torch.Tensor, steps: int, lr: float = 3e-3) -> list[float]:
    optimiser, draw, losses = torch.optim.Adam(objective.parameters(), lr), generator(), []
    for _ in range(steps):
        batch = rows[torch.randint(len(rows), (64,), generator=draw)]
        loss = objective.loss(*objective(batch, draw))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def masked(values: torch.Tensor, share: float = 0.5, width: int = 64) -> MaskedFeatures:
    torch.manual_seed(0)
    return MaskedFeatures(MLP(values.shape[1], width=width, layers=2), Corruption(values, share))


def test_only_hidden_features_count():
    error = torch.tensor([[1.0, 5.0], [3.0, 7.0]])
    hidden = torch.tensor([[True, False], [True, True]])
    loss = masked(torch.randn(9, 2)).loss(error, hidden)
    assert loss.item() == pytest.approx((1 + 3 + 7) / 3)
    assert masked(torch.randn(9, 2)).loss(error + 99 * ~hidden, hidden).item() == pytest.approx(loss.item())
    assert masked(torch.randn(9, 2)).loss(error, torch.zeros_like(hidden)).item() == 0


def test_errors_are_of_the_rows_before_the_corruption():
    values = torch.randn(30, 6, generator=generator())
    objective = masked(values)
    error, hidden = objective(values[:8], generator())
    corrupted, expected = objective.corruption.corrupt(values[:8], generator())
    assert torch.equal(hidden, expected)
    torch.testing.assert_close(error, (objective.decoder(objective.encoder(corrupted)) - values[:8]) ** 2)


def test_guessing_the_mean_costs_what_the_reference_says():
    values = torch.randn(500, 6, generator=generator())
    values = (values - values.mean(dim=0)) / values.std(dim=0)
    objective = masked(values)
    nn.init.zeros_(objective.decoder.weight), nn.init.zeros_(objective.decoder.bias)
    loss = objective.loss(*objective(values, generator(7))).item()
    assert loss == pytest.approx(objective.reference_values(500)["guessing the mean"], abs=0.06)


@pytest.fixture(scope="module")
def trained() -> tuple[MaskedFeatures, torch.Tensor]:
    """Rows of two hidden numbers; a network that has learnt how their six columns belong together."""
    hidden = torch.randn(1500, 2, generator=generator())
    rows = hidden @ torch.randn(2, 6, generator=generator(5)) + 0.1 * torch.randn(1500, 6, generator=generator(2))
    rows = (rows - rows.mean(dim=0)) / rows.std(dim=0)
    objective = masked(rows[:1000], share=0.34)  # two of six
    losses = train(objective, rows[:1000], 400)
    assert np.mean(losses[-50:]) < 0.6 < np.mean(losses[:5])
    return objective, rows[1000:]


def test_rows_that_break_the_relation_of_columns_are_restored_badly(trained):
    objective, rows = trained
    broken = torch.stack([column[torch.randperm(len(rows), generator=generator(i))] for i, column in enumerate(rows.T)])
    usual, odd = (objective.loss(*objective(r, generator())).item() for r in (rows, broken.T))
    assert odd > 2 * usual
