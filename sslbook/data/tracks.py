"""Drawn traffic: where vehicles were in the last three seconds, and where they went in the next five.

On every road vehicles keep their lane through the bends, follow the vehicle in front (the intelligent driver model,
Treiber et al. 2000), stop at lights, overtake, and some turn off at a junction, for which they slow down before. Roads
are cut into train, validation and test, so that no bend and no junction is in two of them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .card import Card, Described, simulated_card
from .errors import DataError

PAST, FUTURE = 8, 12  # steps; the last of the past is the present
STEP = 0.4  # seconds
ROADS = {"train": 18, "validation": 4, "test": 8}
VEHICLES = 16  # on a road
NOISE = 0.05  # metres, standard deviation of a measured position
TICK = 0.1  # seconds between two decisions of a driver
LANE = 1.75  # metres from the middle of the road to the middle of a lane
LENGTH = 4.5  # metres, of a vehicle
WARM_UP = 10.0  # seconds until traffic has settled
AT_REST = 0.2  # metres a step; a shorter step does not tell the heading


@dataclass(frozen=True, eq=False)
class TrackSplit:
    """One split: tracks of vehicles, and the road of each.

    Parameters
    ----------
    name : of the split.
    positions : float32 array (n, 20, 2), metres on the map, one every 0.4 s: 8 of the past (the last is the present)
        and 12 of the future.
    roads : str array (n,)

    Raises
    ------
    DataError : positions of another type or shape or not finite, or unequal lengths.
    """

    name: str
    positions: np.ndarray
    roads: np.ndarray

    def __post_init__(self) -> None:
        if self.positions.dtype != np.float32 or self.positions.shape[1:] != (PAST + FUTURE, 2):
            raise DataError(
                f"The positions of {self.name} are {self.positions.dtype} of shape {self.positions.shape}; give "
                f"float32 of shape (n, {PAST + FUTURE}, 2)."
            )
        for i in np.flatnonzero(~np.isfinite(self.positions).all(axis=(1, 2)))[:1]:
            raise DataError(f"Track {i} of {self.name} has a position that is no number; leave the track out.")
        if self.roads.shape != (len(self),):
            raise DataError(f"There are {len(self)} tracks but roads of shape {self.roads.shape}; give one for each.")

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"TrackSplit({self.name}: {len(self)} tracks on {len(np.unique(self.roads))} roads)"

    def subset(self, index: np.ndarray) -> "TrackSplit":
        """Return the tracks at `index` (positions or a boolean mask)."""
        return TrackSplit(self.name, self.positions[index], self.roads[index])

    @property
    def centred(self) -> np.ndarray:
        """The positions as the vehicle sees them, float32 (n, 20, 2); see the function `centred`."""
        return centred(self.positions)


@dataclass(frozen=True, eq=False)
class Tracks(Described):
    """Tracks of vehicles with their splits; no road is in two of them.

    Raises
    ------
    DataError : a road in two splits.
    """

    train: TrackSplit
    validation: TrackSplit
    test: TrackSplit
    card: Card

    def __post_init__(self) -> None:
        owner: dict[str, str] = {}
        for split in (self.train, self.validation, self.test):
            for road in np.unique(split.roads):
                if owner.setdefault(road, split.name) != split.name:
                    raise DataError(
                        f"Road {str(road)!r} of {self.name} is in {owner[road]} and in {split.name}; keep all tracks "
                        "of a road in one split."
                    )

    def counts(self) -> pd.DataFrame:
        """Tracks and roads (columns) of each split (rows)."""
        splits = (self.train, self.validation, self.test)
        rows = [(len(split), len(np.unique(split.roads))) for split in splits]
        return pd.DataFrame(rows, index=[split.name for split in splits], columns=["tracks", "roads"])

    def _repr_html_(self) -> str:
        return f"{self.card._repr_html_()}{self.counts().to_html()}"


def centred(positions: np.ndarray) -> np.ndarray:
    """Turn and shift each track: the present to (0, 0), the last step before it along x.

    Of a vehicle that stands, the last step is noise; then the last one counts that is longer than 0.2 m.

    Parameters
    ----------
    positions : array (n, steps, 2), the first 8 steps are the past.

    Returns
    -------
    float32 array of the same shape, metres
    """
    steps = np.diff(positions[:, :PAST].astype(np.float64), axis=1)
    far = np.hypot(*steps.T).T > AT_REST
    last = far.shape[1] - 1 - far[:, ::-1].argmax(axis=1)
    angle = np.arctan2(*steps[np.arange(len(steps)), last].T[::-1])
    shifted = positions - positions[:, PAST - 1 : PAST].astype(np.float64)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = shifted[..., 0], shifted[..., 1]
    return np.stack([cos * x + sin * y, cos * y - sin * x], axis=-1).astype(np.float32)


def simulate_tracks(n: int = 3000, seed: int = 0, turns: float = 1.0) -> Tracks:
    """Draw traffic on 30 roads, 18 of which are train, 4 validation and 8 test.

    Parameters
    ----------
    n : tracks of all splits together, at least 300; no two of one vehicle overlap in time.
    seed : another seed draws other roads.
    turns : 0 to 1; how much roads bend, how many vehicles turn off, how long lights are red and how much room vehicles
        keep. At 0 all go straight on, each with its own speed.

    Raises
    ------
    DataError : a knob out of range.
    """
    if n < 300 or not 0 <= turns <= 1:
        raise DataError(f"n is {n} and turns {turns}; draw at least 300 tracks, with turns from 0 to 1.")
    rng = np.random.default_rng(seed)
    roads = sum(ROADS.values())
    windows = -(-n // (roads * VEHICLES))
    traffic = _Traffic(rng, roads, WARM_UP + (PAST + FUTURE) * STEP * windows, turns)
    positions = traffic.drive().reshape(roads, VEHICLES * windows, PAST + FUTURE, 2)
    positions = positions + rng.normal(0, NOISE, positions.shape)
    road = np.repeat(np.arange(roads), np.diff(np.linspace(0, n, roads + 1).astype(np.int64)))
    place = np.concatenate([rng.permutation(VEHICLES * windows)[:k] for k in np.bincount(road)])
    drawn, bound = positions[road, place].astype(np.float32), np.cumsum([0, *ROADS.values()])
    names = np.array([f"road {i + 1}" for i in range(roads)])
    splits = []
    for name, low, high in zip(ROADS, bound[:-1], bound[1:], strict=True):
        inside = (road >= low) & (road < high)
        splits.append(TrackSplit(name, drawn[inside], names[road[inside]]))
    problem = "Drawn by a formula: an error in metres measured on it says nothing about real drivers."
    return Tracks(*splits, card=simulated_card("tracks", "Drawn traffic", "sslbook.data.tracks", (problem,)))


class _Traffic:
    """Vehicles on roads; arrays have the shape (roads, vehicles) where nothing else is said.

    A vehicle is at `s` metres along its way and `d` metres left of it. Ways are the road up to the `exit` (infinity:
    no exit), from there a quarter of a circle to the `side` (1: left) and straight on.
    """

    def __init__(self, rng: np.random.Generator, roads: int, seconds: float, turns: float) -> None:
        self.rng, self.seconds, self.turns, shape = rng, seconds, turns, (roads, VEHICLES)
        self.s = np.cumsum(rng.uniform(8, 35, shape), axis=1)
        self.wish = rng.normal(12, 2, shape).clip(7, 17)  # metres per second
        self.speed = self.wish.copy()
        self.length = int(self.s.max() + 17 * seconds) + 100
        self.junctions = np.cumsum(rng.uniform(90, 160, (roads, self.length // 90)), axis=1)
        self.offset = rng.uniform(0, 50, self.junctions.shape)  # seconds, of the lights
        ahead = (self.junctions[:, None] < self.s[..., None] + 40).sum(axis=-1)
        taken = np.minimum(ahead + rng.integers(1 + int(seconds / 12), size=shape), self.junctions.shape[1] - 1)
        self.exit = np.take_along_axis(self.junctions, taken, axis=1)
        self.exit[rng.random(shape) > 0.8 * turns] = np.inf
        self.side = rng.choice([-1, 1], shape)
        self.lane = self.side * LANE
        self.d = self.lane.copy()
        self.radius = np.where(self.side < 0, 9.0, 14.0)
        self.way = np.where(np.isinf(self.exit), 0, self.side * (1 + taken))

    def drive(self) -> np.ndarray:
        """Return the positions after the warm-up, float64 (roads, vehicles, steps, 2)."""
        seen = []
        for tick in range(round(self.seconds / TICK)):
            time = tick * TICK
            if tick % round(STEP / TICK) == 0 and time >= WARM_UP - TICK / 2:
                seen.append((self.s.copy(), self.d.copy()))
            gap, closing = self._ahead(time)
            pull = self._acceleration(gap, closing)
            self._change_lane(gap)
            self.s += self.speed * TICK
            self.speed = np.maximum(self.speed + pull * TICK, 0)
        return self._positions(*np.stack(seen, axis=-1))

    def _ahead(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the room to what is in front (a vehicle or a red light), metres, and how fast it shrinks."""
        left = np.where(self.s > self.exit, self.way, 0)  # the side street that the vehicle is in
        i, j = np.s_[:, :, None], np.s_[:, None, :]
        same = (left[i] == left[j]) & ~((left[i] == 0) & (self.s[j] > self.exit[i])) | (self.way[i] == left[j])
        same &= (self.s[j] > self.s[i]) & (np.abs(self.d[j] - self.d[i]) < LANE)
        room = np.where(same, self.s[j] - self.s[i] - LENGTH, np.inf)
        leader = room.argmin(axis=2)
        room = np.take_along_axis(room, leader[..., None], axis=2)[..., 0]
        closing = self.speed - np.take_along_axis(self.speed, leader, axis=1)
        line = self.junctions[:, None] - 12 - self.s[..., None]
        red = (time + self.offset) % 50 < 22 * self.turns
        can_stop = line > (self.speed**2 / 6)[..., None]
        line = np.where(red[:, None] & can_stop & (left == 0)[..., None], line, np.inf).min(axis=-1)
        return np.minimum(room, line).clip(0.5), np.where(line < room, self.speed, closing)

    def _acceleration(self, gap: np.ndarray, closing: np.ndarray) -> np.ndarray:
        """Return metres per second squared: the intelligent driver model, with slow turns."""
        turning = 2.4 * self.radius
        before = np.where(np.isinf(self.exit), 1e6, self.exit - self.s)
        over = self.s - self.exit > 1.6 * self.radius
        bound = np.sqrt(turning + 2 * 1.6 * before.clip(0))
        wish = np.where(over, self.wish, np.minimum(self.wish, bound))
        room = self.turns * np.maximum(2 + 1.3 * self.speed + self.speed * closing / (2 * np.sqrt(1.6 * 2)), 0)
        return (1.6 * (1 - (self.speed / wish) ** 4 - (room / gap) ** 2)).clip(-6, 2)

    def _change_lane(self, gap: np.ndarray) -> None:
        """Let a vehicle that goes straight on, but is held up, move over where there is room beside it."""
        held_up = (self.speed < 0.85 * self.wish) & (self.speed > 3) & (gap < 30) & np.isinf(self.exit)
        away = np.abs(self.s[:, None, :] - self.s[:, :, None])
        beside = (self.lane[:, None, :] != self.lane[:, :, None]) & (away < 14)
        moves = held_up & ~beside.any(axis=2) & (self.lane == self.d) & (self.rng.random(gap.shape) < 0.1)
        self.lane = np.where(moves, -self.lane, self.lane)
        self.d = self.d + np.clip(self.lane - self.d, -1.2 * TICK, 1.2 * TICK)

    def _positions(self, s: np.ndarray, d: np.ndarray) -> np.ndarray:
        """Return where on the map vehicles are, float64 (roads, vehicles, steps, 2), from (roads, vehicles, steps)."""
        at = np.arange(self.length)
        bend = self.turns * self.rng.uniform(0.1, 0.35, (2, len(s), 1))
        waves = 2 * np.pi * (at / self.rng.uniform(100, 300, bend.shape) + self.rng.random(bend.shape))
        heading = (bend * np.sin(waves)).sum(axis=0)
        road = np.stack([np.cumsum(np.cos(heading), 1), np.cumsum(np.sin(heading), 1), heading], axis=-1)
        on_road, row = np.minimum(s, self.exit[..., None]), np.arange(len(s))[:, None, None]
        before = on_road.astype(np.int64)
        rest = (on_road - before)[..., None]
        x, y, angle = np.moveaxis((1 - rest) * road[row, before] + rest * road[row, before + 1], -1, 0)
        radius, side = self.radius[..., None], self.side[..., None]
        beyond = s - on_road
        turned = np.minimum(beyond / radius, np.pi / 2)
        straight = beyond - turned * radius
        forward, left = radius * np.sin(turned), side * (radius * (1 - np.cos(turned)) + straight)
        x, y = x + np.cos(angle) * forward - np.sin(angle) * left, y + np.sin(angle) * forward + np.cos(angle) * left
        angle = angle + side * turned
        return np.stack([x - np.sin(angle) * d, y + np.cos(angle) * d], axis=-1)
