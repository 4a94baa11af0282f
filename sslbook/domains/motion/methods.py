"""Predict where somebody goes: classical rivals, a network that learnt from masked futures, and their errors.

All read pasts, (n, 8, 2) metres, and predict futures, (n, 12, 2), at steps of equal time. Networks need tracks that are
centred (see ``sslbook.domains.motion.centred``); the others take any.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch

from sslbook.domains.motion.data import AT_REST, FUTURE
from sslbook.metrics import Metric
from sslbook.pretext.masked_future import MaskedFuture

STEADY = 3.0  # ridge penalty on a slope, so that noise in the past turns or brakes nobody; the seven steps weigh 28


def constant_velocity(past: np.ndarray, steps: int = FUTURE) -> np.ndarray:
    """Go on with the last step: simple, and hard to beat (Schöller et al. 2020).

    Parameters
    ----------
    past : float array (n, at least 2, 2), metres.
    steps : of the future.

    Returns
    -------
    float array (n, steps, 2), metres
    """
    return past[:, -1:] + np.arange(1, steps + 1)[:, None] * (past[:, -1:] - past[:, -2:-1])


def constant_turn_rate(past: np.ndarray, steps: int = FUTURE) -> np.ndarray:
    """Go on with the turn rate and the acceleration of the past (CTRA, Schubert et al. 2008), to a stop at most.

    A line is fitted to the speeds of the past steps, and one to their headings, without steps shorter than 0.2 m.

    Parameters
    ----------
    past : float array (n, at least 3, 2), metres.
    steps : of the future.

    Returns
    -------
    float array (n, steps, 2), metres
    """
    moved = np.diff(past.astype(np.float64), axis=1) @ [1, 1j]
    metres = np.abs(moved)
    way = moved.sum(axis=1, keepdims=True)
    heading = np.angle(moved * way.conj())
    weights = np.where(metres > AT_REST, metres, 1e-9)
    later = np.arange(1, steps + 1)
    speed = np.maximum(_line(metres, np.ones_like(metres), later), 0)
    angle = np.angle(way) + _line(heading, weights, later)
    return past[:, -1:] + np.cumsum(np.stack([speed * np.cos(angle), speed * np.sin(angle)], axis=-1), axis=1)


def _line(values: np.ndarray, weights: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Fit a line to each row of values (n, t) by weighted ridge regression; return it at later steps, (n, k)."""
    at = np.arange(values.shape[1]) - values.shape[1] + 1.0
    total = weights.sum(axis=1)
    middle, mean = weights @ at / total, (weights * values).sum(axis=1) / total
    off = at - middle[:, None]
    slope = (weights * off * values).sum(axis=1) / ((weights * off**2).sum(axis=1) + STEADY)
    return mean[:, None] + slope[:, None] * (later - middle[:, None])


@torch.no_grad()
def future_of(objective: MaskedFuture, past: np.ndarray) -> np.ndarray:
    """Predict the future: what an objective restores where all of it is hidden.

    Parameters
    ----------
    objective : after pretraining; it is left in evaluation mode.
    past : float32 array (n, 8, 2), centred.

    Returns
    -------
    float32 array (n, 12, 2), metres
    """
    objective.eval()
    device = next(objective.parameters()).device
    return objective.predict(torch.from_numpy(past).to(device))[:, past.shape[1] :].cpu().numpy()


@dataclass(frozen=True)
class Forecast:
    """What a method of a study predicts for the windows of the test.

    Parameters
    ----------
    futures : float array (n, 12, 2), metres.
    cv_scores : by name of the metric, the score by cross-validation inside the windows to learn from; what rivals are
        chosen by.
    """

    futures: np.ndarray
    cv_scores: dict[str, float] = field(default_factory=dict)


def displacement(predicted: np.ndarray, future: np.ndarray) -> pd.DataFrame:
    """Return the errors of each window: ``ade``, the mean distance over its steps, and ``fde``, that at the last step.

    Parameters
    ----------
    predicted, future : float arrays (n, steps, 2), metres.

    Raises
    ------
    ValueError : they have not the same shape.
    """
    if predicted.shape != future.shape:
        raise ValueError(f"predicted has shape {predicted.shape}, future {future.shape}; give one position for each.")
    away = np.linalg.norm(predicted.astype(np.float64) - future, axis=2)
    return pd.DataFrame({"ade": away.mean(axis=1), "fde": away[:, -1]})


def ade(predicted: np.ndarray, future: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average displacement error: mean distance over all steps and windows (Pellegrini et al. 2009).

    Parameters
    ----------
    predicted, future : float arrays (n, steps, 2), metres.
    weights : optional array, shape (replicates, n), the multiplicity of each window in a bootstrap sample.

    Returns
    -------
    float array (replicates,), metres, or a scalar without weights
    """
    return _mean(displacement(predicted, future)["ade"].to_numpy(), weights)


def fde(predicted: np.ndarray, future: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Final displacement error: mean distance at the last step; parameters and result as of ``ade``."""
    return _mean(displacement(predicted, future)["fde"].to_numpy(), weights)


def _mean(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    return values.mean() if weights is None else weights @ values / weights.sum(axis=1)


def ade_metric(future: np.ndarray) -> Metric:
    """Return the average displacement error of a ``Forecast`` as a study scores it.

    Parameters
    ----------
    future : float array (n, 12, 2), metres, where the walkers of the test went.
    """
    return _metric("ade", future)


def fde_metric(future: np.ndarray) -> Metric:
    """Return the final displacement error of a ``Forecast``; the parameter is that of ``ade_metric``."""
    return _metric("fde", future)


def _metric(name: str, future: np.ndarray) -> Metric:
    def per_case(forecast: Forecast) -> np.ndarray:
        return displacement(forecast.futures, future)[name].to_numpy()

    return Metric(per_case=per_case, higher_is_better=False)
