"""Simulated traffic: vehicles that follow each other, stop at lights and turn off, seen from above."""

import math

import numpy as np

from sslbook.data.card import simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.motion.data import FUTURE, PAST, STEP, Tracks

STREETS, ROADS = 5, 6  # scenes, and roads of each
LANE = 1.75  # metres to the middle line
VEHICLES, LENGTH, NOISE = 16, 4.5, 0.05  # on a road; metres of one; metres, deviation of a measured position
TICK, WARM_UP = 0.1, 10.0  # seconds between two decisions of a driver, and until traffic has settled


def simulate_tracks(n: int = 3000, seed: int = 0, turns: float = 1.0) -> Tracks:
    """Draw traffic on 30 roads, six in each of five scenes, "street 1" to "street 5".

    Parameters
    ----------
    n : windows of all scenes together, at least 300; no two of one vehicle overlap in time.
    seed : another seed draws other roads.
    turns : 0 to 1; how much roads bend, how many vehicles turn off, how long lights are red and how much room vehicles
        keep. At 0 all go straight on, each with its own speed.

    Raises
    ------
    DataError : a knob out of range.
    """
    return _drawn("tracks", n, seed, turns)


def simulate_eth_ucy(seed: int = 0, turns: float = 1.0) -> Tracks:
    """Draw the stand-in of the pedestrians of ETH and UCY: 3,000 windows of vehicles, in five scenes as there.

    Parameters
    ----------
    seed, turns : as for ``simulate_tracks``.
    """
    return _drawn("eth_ucy", 3000, seed, turns)


def _drawn(name: str, n: int, seed: int, turns: float) -> Tracks:
    if n < 300 or not 0 <= turns <= 1:
        raise DataError(f"n is {n} and turns {turns}; draw at least 300 tracks, with turns from 0 to 1.")
    rng, roads = np.random.default_rng(seed), STREETS * ROADS
    each = math.ceil(n / (roads * VEHICLES))  # windows of a vehicle, one after the other
    positions = _traffic(rng, roads, WARM_UP + (PAST + FUTURE) * STEP * each, turns)
    road = np.arange(n) * roads // n
    kept = np.concatenate([rng.permutation(VEHICLES * each)[:k] for k in np.bincount(road)])
    drawn = positions[road, kept]
    drawn = (drawn + rng.normal(0, NOISE, drawn.shape)).astype(np.float32)
    scenes = np.array([f"street {number + 1}" for number in road // ROADS])
    walkers = np.array([f"vehicle {i + 1} of road {j + 1}" for i, j in zip(kept // each, road, strict=True)])
    problem = "Drawn by a formula, and vehicles: an error in metres measured on it says nothing about real people."
    data_card = simulated_data_card(name, "Drawn traffic", "sslbook.worlds.motion", (problem,))
    return Tracks(drawn, scenes, walkers, (PAST + FUTURE) * STEP * (kept % each), data_card)


def _traffic(rng: np.random.Generator, roads: int, seconds: float, turns: float) -> np.ndarray:
    """Return where vehicles are after the warm-up, float64 (roads, tracks, 20, 2), one every 8 s.

    They follow the one in front (Treiber et al. 2000), stop at red lights, and slow down before they turn ``off``.
    """
    shape, seen = (roads, VEHICLES), []
    s = np.cumsum(rng.uniform(8, 40, shape), axis=1)
    wish = rng.normal(12, 2, shape).clip(7, 17)  # metres per second
    speed, length = wish, int(s.max() + 17 * seconds) + 100
    junctions = np.cumsum(rng.uniform(90, 160, (roads, length // 90)), axis=1)
    offset = rng.uniform(0, 50, junctions.shape)  # seconds, of the lights
    off = np.where(rng.random(shape) < 0.8 * turns, s + rng.uniform(40, 160 + 10 * seconds, shape), np.inf)
    side = rng.choice([-1, 1], shape)  # 1: left; who turns off keeps to the lane on that side
    radius, lane = np.where(side < 0, 9.0, 14.0), side[:, None] == side[:, :, None]
    for tick in range(round(seconds / TICK)):
        seen.append(s)
        leads = lane & (s[:, None] > s[:, :, None]) & (s[:, None] < np.minimum(off[:, None], off[:, :, None]))
        line = junctions[:, None] - 12 - s[..., None]  # metres to the lights
        red = ((tick * TICK + offset) % 50 < 22 * turns)[:, None]
        halts = red & (line > speed[..., None] ** 2 / 6) & (s < off)[..., None]
        room = np.concatenate([s[:, None] - s[..., None] - LENGTH, line], axis=2)
        room = np.where(np.concatenate([leads, halts], axis=2), room, np.inf)  # to what is in front
        closing = speed - np.take_along_axis(np.concatenate([speed, 0 * junctions], 1), room.argmin(axis=2), axis=1)
        keep = turns * (2 + 1.3 * speed + speed * closing / 3.58).clip(0)
        slow = np.sqrt(2.4 * radius + 3.2 * (off - s).clip(0))  # enough to turn off
        limit = np.where(s - off > 1.6 * radius, wish, np.minimum(wish, slow))
        pull = 1.6 * (1 - (speed / limit) ** 4 - (keep / room.min(axis=2).clip(0.5)) ** 2)
        s, speed = s + speed * TICK, (speed + TICK * pull.clip(-6, 2)).clip(0)
    kept = np.stack(seen[round(WARM_UP / TICK) :: round(STEP / TICK)], axis=-1)
    return _on_map(rng, kept, off, side, radius, length, turns)


def _on_map(rng, s, off, side, radius, length, turns) -> np.ndarray:
    """Return the places on the map of vehicles that are s metres along their ways."""
    at, off, side = np.arange(length), off[..., None], side[..., None]
    bend = turns * rng.uniform(0.1, 0.35, (2, len(s), 1))
    waves = 2 * np.pi * (at / rng.uniform(100, 300, bend.shape) + rng.random(bend.shape))
    road = (bend * np.sin(waves)).sum(axis=0)[:, None]  # heading
    turned = ((at - off) / radius[..., None]).clip(0, np.pi / 2)
    heading = np.take_along_axis(road, np.minimum(at, off).astype(int), axis=2) + side * turned
    way = np.cumsum(np.exp(1j * heading), axis=2) + 1j * np.exp(1j * heading) * side * LANE
    before, rest = s.astype(int), s % 1
    place = (1 - rest) * np.take_along_axis(way, before, 2) + rest * np.take_along_axis(way, before + 1, 2)
    return np.stack([place.real, place.imag], axis=-1).reshape(len(s), -1, PAST + FUTURE, 2)
