"""Classical rivals, errors in metres, and a network that learnt from masked futures."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV

from sslbook.domains.motion import (
    FUTURE,
    PAST,
    Forecast,
    ade,
    ade_metric,
    constant_turn_rate,
    constant_velocity,
    displacement,
    fde,
    fde_metric,
    future_of,
)
from sslbook.draws import draw_labels
from sslbook.encoders.tracks import TrackEncoder
from sslbook.pretext.masked_future import MaskedFuture
from sslbook.study import Method, budget_study
from sslbook.train import pretrain
from sslbook.verdict import compare
from sslbook.worlds.motion import NOISE, simulate_tracks

CLASSICAL = (constant_velocity, constant_turn_rate)


def ridge(tracks: np.ndarray, past: np.ndarray) -> np.ndarray:
    """Linear regression of the future on the past, a rival that learns."""
    known, later = tracks[:, :PAST].reshape(len(tracks), -1), tracks[:, PAST:].reshape(len(tracks), -1)
    model = RidgeCV(np.logspace(-3, 3, 7)).fit(known, later)
    return model.predict(past.reshape(len(past), -1)).reshape(len(past), -1, 2)


@pytest.fixture(scope="module")
def traffic() -> tuple[np.ndarray, np.ndarray]:
    """Centred tracks to learn from, and others of other roads."""
    train, test = simulate_tracks().leave_out("street 3")
    return train.centred, test.centred


@pytest.fixture(scope="module")
def calm() -> tuple[np.ndarray, np.ndarray]:
    """The same where all go straight on."""
    train, test = simulate_tracks(turns=0).leave_out("street 3")
    return train.centred, test.centred


def circle(radius: float, speed: float, pull: float = 0.0) -> np.ndarray:
    """One track (1, 20, 2) on a circle to the left (radius below 0: to the right), 0 the present."""
    steps = np.arange(PAST + FUTURE) - PAST + 1
    angle = (speed * steps + pull * steps**2 / 2) / radius
    return np.stack([radius * np.sin(angle), radius * (1 - np.cos(angle))], axis=-1)[None]


def learnt(tracks: np.ndarray, epochs: int, **settings) -> MaskedFuture:
    torch.manual_seed(0)
    objective = MaskedFuture(TrackEncoder(), torch.from_numpy(tracks))
    pretrain(objective, tracks, epochs=epochs, batch_size=128, learning_rate=1e-2, **settings)
    return objective


# -------------------------------------------------------------------------------------------------------- errors


def test_errors_are_those_of_the_definitions():
    future = np.zeros((2, 3, 2))
    said = np.array([[[3, 4], [0, 0], [0, 1]], [[0, 0], [0, 0], [6, 8]]], dtype=float)
    assert ade(said, future) == pytest.approx((5 + 0 + 1 + 0 + 0 + 10) / 6)
    assert fde(said, future) == pytest.approx((1 + 10) / 2)
    assert ade(future, future) == fde(future, future) == 0


def test_errors_of_each_window_have_the_means_of_all():
    said, future = np.random.default_rng(0).normal(size=(2, 5, 12, 2))
    each = displacement(said, future)
    assert each.shape == (5, 2)
    one = [[ade(said[i : i + 1], future[i : i + 1]), fde(said[i : i + 1], future[i : i + 1])] for i in range(5)]
    assert each.to_numpy() == pytest.approx(np.array(one))
    assert each.mean().tolist() == pytest.approx([ade(said, future), fde(said, future)])


def test_weights_count_tracks_more_than_once():
    rng = np.random.default_rng(0)
    said, future = rng.normal(size=(2, 5, 12, 2))
    drawn = rng.integers(0, 5, (7, 5))
    weights = np.stack([np.bincount(row, minlength=5) for row in drawn])
    for error in (ade, fde):
        expected = [error(said[row], future[row]) for row in drawn]
        assert error(said, future, weights) == pytest.approx(np.array(expected))


def test_errors_do_not_depend_on_the_frame(traffic):
    past, future = traffic[1][:, :PAST], traffic[1][:, PAST:]
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    for rival in CLASSICAL:
        moved = rival(past @ turn + [30, -7])
        assert moved == pytest.approx(rival(past) @ turn + [30, -7], abs=1e-2)
        assert ade(moved, future @ turn + [30, -7]) == pytest.approx(ade(rival(past), future), abs=1e-3)


def test_one_position_too_few_is_refused():
    with pytest.raises(ValueError, match=r"predicted has shape \(2, 3, 2\), future \(2, 4, 2\); give one position"):
        ade(np.zeros((2, 3, 2)), np.zeros((2, 4, 2)))


# --------------------------------------------------------------------------------------------------------- study


@pytest.fixture(scope="module")
def study():
    """Straight on, and ridge regression on the drawn windows, both with a score by "cross-validation"."""
    train, test = simulate_tracks(600).leave_out("street 3")
    known, past = train.centred, test.centred[:, :PAST]

    def straight(index: np.ndarray, seed: int) -> Forecast:
        return Forecast(constant_velocity(past), {"ade": 3.0})

    def line(index: np.ndarray, seed: int) -> Forecast:
        return Forecast(ridge(known[index], past), {"ade": 2.0})

    future = test.centred[:, PAST:]
    methods = [Method("straight on", "trivial", straight), Method("ridge", "classical", line)]
    metrics = {"ade": ade_metric(future), "fde": fde_metric(future)}
    draw = partial(draw_labels, np.zeros(len(train)))
    return test, budget_study(methods, metrics, len(test), [40, 400], draw, groups=test.walkers, unit="windows")


def test_a_study_scores_forecasts(study):
    test, found = study
    future = test.centred[:, PAST:]
    said = constant_velocity(test.centred[:, :PAST])
    for budget in (40, 400):
        runs = found.runs("straight on", budget)
        assert runs["ade"].to_numpy() == pytest.approx(ade(said, future))
        assert runs["fde"].to_numpy() == pytest.approx(fde(said, future))
    assert found.scores("ade").loc["ridge", 400] < found.scores("ade").loc["straight on", 400]


def test_in_a_study_the_smaller_error_is_better_and_walkers_are_resampled_together(study):
    test, found = study
    assert found.best_other("ade", 400) == "ridge", "chosen by cross-validation"
    verdict = compare(found, "ade", "ridge", "straight on", 400)
    assert verdict.difference < 0 and not verdict.higher_is_better
    mean, low, high = found.interval("ade", "straight on", 400)
    each = displacement(constant_velocity(test.centred[:, :PAST]), test.centred[:, PAST:])["ade"].to_numpy()
    assert mean == pytest.approx(each.mean())
    off = np.bincount(np.unique(test.walkers, return_inverse=True)[1], each - each.mean())
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt((off**2).sum()) / len(each), rel=0.1)


def test_weighted_metrics_are_the_errors_of_the_windows():
    said, future = np.random.default_rng(0).normal(size=(2, 5, 12, 2))
    weights = np.array([[0, 1, 0, 2, 0], [1, 1, 1, 1, 1]], dtype=float)
    for metric, error in ((ade_metric(future), ade), (fde_metric(future), fde)):
        assert metric(Forecast(said), weights) == pytest.approx(error(said, future, weights))
        assert (metric.sign, metric.perfect) == (-1, None)


# -------------------------------------------------------------------------------------------------------- rivals


def test_constant_velocity_goes_on_with_the_last_step():
    past = np.array([[[0.0, 0.0], [9.0, 9.0], [10.0, 11.0]]])
    assert constant_velocity(past, 3).tolist() == [[[11, 13], [12, 15], [13, 17]]]


@pytest.mark.parametrize("rival", CLASSICAL)
def test_on_a_straight_line_rivals_are_exact(rival):
    track = np.stack([np.arange(-7, 13) * 3.0, np.arange(-7, 13) * -2.0], axis=-1)[None]
    assert rival(track[:, :PAST]) == pytest.approx(track[:, PAST:])


@pytest.mark.parametrize("radius", [20.0, -20.0, 90.0])
def test_constant_turn_rate_stays_on_a_circle(radius):
    track = circle(radius, 3.0)
    past, future = track[:, :PAST], track[:, PAST:]
    assert ade(constant_turn_rate(past), future) < 0.25 * ade(constant_velocity(past), future)


def test_constant_turn_rate_brakes_to_a_stop_and_not_back():
    past = np.zeros((1, PAST, 2))
    past[0, :, 0] = np.cumsum([0, 3.5, 3, 2.5, 2, 1.5, 1, 0.5])
    said = constant_turn_rate(past)
    assert (np.diff(said[0, :, 0]) >= 0).all()
    assert said[0, -1, 0] - past[0, -1, 0] < 1


@pytest.mark.parametrize("rival", CLASSICAL)
def test_who_stands_stays(rival):
    past = np.random.default_rng(0).normal(0, 0.02, (50, PAST, 2))
    said = rival(past)
    assert np.linalg.norm(said, axis=2).max() < 2


def test_the_turn_of_a_vehicle_that_starts_is_read_from_where_it_moves():
    past = np.zeros((1, PAST, 2))
    past[0, :4] = [[0, 0], [0, 0.01], [0.01, 0], [0, 0]]  # noise: its heading is none
    past[0, 4:, 0] = [1, 2.2, 3.6, 5.2]
    said = constant_turn_rate(past)
    assert np.abs(said[0, :, 1]).max() < 0.5 and said[0, -1, 0] > 20


def test_where_all_go_straight_constant_velocity_is_as_good_as_its_noise(calm):
    past, future = calm[1][:, :PAST], calm[1][:, PAST:]
    k = np.arange(1, FUTURE + 1)
    along = np.sqrt((1 + k) ** 2 + k**2 + 1)  # noise of p7 (1 + k), of p6 (k) and of the future (1)
    expected = NOISE * along * np.sqrt(np.pi / 2)
    assert ade(constant_velocity(past), future) == pytest.approx(expected.mean(), rel=0.05)
    assert fde(constant_velocity(past), future) == pytest.approx(expected[-1], rel=0.05)


# ------------------------------------------------------------------------------------------------------- network


def test_masked_futures_beat_every_classical_rival_on_other_roads(traffic):
    train, test = traffic
    past, future = test[:, :PAST], test[:, PAST:]
    rivals = [ade(rival(past), future) for rival in CLASSICAL] + [ade(ridge(train, past), future)]
    objective = learnt(train, 40)
    said = future_of(objective, past)
    assert said.shape == future.shape and said.dtype == np.float32
    assert ade(said, future) < 0.9 * min(rivals)
    assert ade(said, future) < 0.65 * rivals[0], "constant velocity"
    assert not objective.training


def test_where_all_go_straight_a_network_is_no_better_than_a_line(calm):
    train, test = calm
    past, future = test[:, :PAST], test[:, PAST:]
    at = np.arange(PAST) - (PAST - 1.0)
    middle, slope = past.mean(axis=1), np.einsum("t,ntd->nd", at - at.mean(), past) / ((at - at.mean()) ** 2).sum()
    line = middle[:, None] + (np.arange(1, FUTURE + 1) - at.mean())[:, None] * slope[:, None]
    network = ade(future_of(learnt(train, 20), past), future)
    assert ade(line, future) < network
    assert ade(ridge(train, past), future) < network, "nor than a regression, which finds the line by itself"


def test_shuffled_futures_teach_nothing(traffic):
    train, test = traffic
    mixed = train.copy()
    mixed[:, PAST:] = train[np.random.default_rng(0).permutation(len(train)), PAST:]
    past, future = test[:, :PAST], test[:, PAST:]
    mean = np.broadcast_to(train[:, PAST:].mean(axis=0), future.shape)
    assert ade(future_of(learnt(mixed, 10), past), future) > 0.8 * ade(mean, future)


def test_the_future_is_said_without_a_look_at_it(traffic):
    objective = MaskedFuture(TrackEncoder(), torch.from_numpy(traffic[0][:50]))
    past = traffic[1][:4, :PAST]
    whole = torch.from_numpy(traffic[1][:4].copy())
    whole[:, PAST:] = torch.nan
    with torch.no_grad():
        assert (future_of(objective, past) == objective.predict(whole)[:, PAST:].numpy()).all()
