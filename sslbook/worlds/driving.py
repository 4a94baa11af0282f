"""Simulated driving: streets as a camera behind a windscreen sees them, with exact masks, and tracks of traffic.

A street is a road between houses and parks, along which upright rectangles stand or move; what is nearer hides what is
farther, and then comes the weather. In traffic, vehicles follow the one in front (Treiber et al. 2000).
"""

from __future__ import annotations

import numpy as np

from sslbook.data.card import simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.driving.data import CLASSES, COLOURS, RATE, VOID, VULNERABLE, Scenes, SceneSplit
from sslbook.domains.driving.tracks import FUTURE, PAST, STEP, Tracks, TrackSplit

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, WALKER, RIDER = range(len(CLASSES))
EYE, SPEED, LANE = 1.4, 10.0, 1.75  # metres of the camera above the road, metres a second, metres to the middle line
GRAIN = np.random.default_rng(0).random((61, 67), dtype=np.float32)
BRICK = np.array([(0.5, 0.3, 0.22), (0.7, 0.62, 0.45), (0.36, 0.33, 0.3), (0.8, 0.78, 0.72)])
PAINT = np.array([(0.1, 0.1, 0.11), (0.62, 0.63, 0.64), (0.3, 0.31, 0.33), (0.5, 0.1, 0.09), (0.12, 0.17, 0.4)])
LEAVES = np.array([(0.2, 0.24, 0.12), (0.3, 0.34, 0.2), (0.36, 0.3, 0.22)])
THING = np.dtype([*((name, "f8") for name in "s d wide high speed".split()), ("kind", "U6"), ("tones", "f4", (4, 3))])
PLACED = (  # kind, metres from one to the next, from the kerb outwards, width, height, metres a second, colours
    ("lamp", 24, (0.3, 0.5), 1.2, (6, 8), 0, PAINT),
    ("sign", 12, (0.4, 1.5), 0.9, (2.6, 3.4), 0, PAINT),
    ("tree", 40, (1, 3), 5, (5, 9), 0, LEAVES),
    ("tree", 5, (8, 20), 7, (5, 11), 0, LEAVES),  # houses hide these, parks do not
    ("walker", 8, (0.5, 3), 0.6, (1.55, 1.85), 1.2, PAINT),
    ("rider", 30, (-0.8, -0.5), 0.8, (1.7, 1.85), 3, PAINT),
    ("car", 35, (-1.1, -0.9), 1.75, (1.4, 1.8), 0, PAINT),
    ("car", 60, (-2.7, -2.3), 1.75, (1.4, 2.2), SPEED, PAINT),
)
SHAPES = {  # parts: class, number of the colour, 2 if round, from and to of half the width, from and to of the height
    "lamp": [(POLE, 0, 9, 0, 0.12, 0, 1), (POLE, 0, 9, 0, 1, 0.96, 1)],
    "sign": [(POLE, 2, 9, 0, 0.13, 0, 0.8), (SIGN, 0, 2, -1, 1, 0.7, 1), (SIGN, 3, 2, -0.5, 0.5, 0.78, 0.92)],
    "tree": [(TREE, 2, 9, 0, 0.08, 0, 0.5), (TREE, 0, 2, -1, 1, 0.24, 1)],
    "walker": [(WALKER, 1, 9, 0.1, 0.6, 0, 0.5), (WALKER, 0, 9, 0, 0.8, 0.45, 0.86), (WALKER, 3, 2, -0.35, 0.35, 0.85, 1)],
    "rider": [(RIDER, 2, 9, 0, 0.2, 0, 0.6), (RIDER, 0, 9, 0, 0.75, 0.5, 0.86), (RIDER, 3, 2, -0.3, 0.3, 0.85, 1)],
    "flank": [(CAR, 0, 9, 0, 1, 0.14, 0.6), (CAR, 2, 9, 0, 0.95, 0.6, 0.9), (CAR, 0, 9, 0, 0.9, 0.9, 1)],
    "car": [(CAR, 0, 9, 0, 1, 0.14, 0.6), (CAR, 0, 9, 0, 0.9, 0.6, 1), (CAR, 2, 9, 0, 0.7, 0.6, 0.9),
            (CAR, 2, 9, 0.6, 0.9, 0, 0.3), (CAR, 3, 9, 0.7, 0.95, 0.4, 0.52)],
}  # fmt: skip
ROADS = {"train": 18, "validation": 4, "test": 8}
VEHICLES, LENGTH, NOISE = 16, 4.5, 0.05  # on a road; metres of one; metres, standard deviation of a measured position
TICK, WARM_UP = 0.1, 10.0  # seconds between two decisions of a driver, and until traffic has settled


def simulate_streets(
    drives: int = 4, frames_per_drive: int = 40, seed: int = 0, weather: float = 1.0, detail: float = 1.0,
    size: tuple[int, int] = (120, 160),
) -> Scenes:  # fmt: skip
    """Draw drives through streets, one frame a second, every frame with its mask.

    The last quarter of the drives, at least one, is test, the one before is validation; the first is at dusk.

    Parameters
    ----------
    drives, frames_per_drive : at least 3, and at least 2.
    seed : another seed draws other streets.
    weather : from 0; spread of light, cast, haze, exposure and noise. 0 is a clear noon for all.
    detail : 0 to 1; 1 draws things in the colours they have, which classes share, 0 each class in the one colour that
        it has in ``Scenes.colours``, so that the colour of a pixel gives the class away.
    size : height and width in pixels.

    Raises
    ------
    DataError : a knob out of range.
    """
    if drives < 3 or frames_per_drive < 2:
        raise DataError(f"drives is {drives} and frames_per_drive {frames_per_drive}; draw at least 3 drives of 2.")
    tests = max(1, drives // 4)
    split = ["train"] * (drives - tests - 1) + ["validation"] + ["test"] * tests
    digits, seconds = len(str(drives - 1)), np.arange(float(frames_per_drive))
    plan = [(f"street{i:0{digits}}_", 0, {split[i]: seconds}) for i in range(drives)]
    return _drawn("streets", "Drawn streets", plan, (), (seed, weather, detail, size))


def simulate_camvid(seed: int = 0, weather: float = 1.0, detail: float = 1.0) -> Scenes:
    """Draw the stand-in of CamVid, a third of its size.

    As there, drive 0001TP, at dusk, is in train and test, and validation is a few seconds, at 15 frames a second, of
    drive 0016E5, from the middle of its training frames.

    Parameters
    ----------
    seed, weather, detail : as for ``simulate_streets``.
    """
    plan = [  # what stands before the frame number, number of the first frame, seconds of the frames by split
        ("0001TP_0", 6690, {"train": np.arange(25.0), "test": 25 + np.arange(25.0)}),
        ("0006R0_f", 930, {"train": np.arange(35.0)}),
        ("0016E5_", 390, {"train": np.r_[:44.0, 46:62.0], "validation": 44 + np.arange(30) / 15}),
        ("Seq05VD_f", 0, {"test": np.arange(55.0)}),
    ]
    leaks = (
        "Drive 0001TP is in train and test: without_shared_drives() takes it out of train.",
        "Validation is two seconds of the training drive 0016E5.",
    )
    return _drawn("camvid", "Stand-in for CamVid: drawn streets", plan, leaks, (seed, weather, detail, (120, 160)))


def _drawn(name: str, title: str, plan: list, problems: tuple, knobs: tuple) -> Scenes:
    """Draw the drives of a plan; the first is at dusk."""
    seed, weather, detail, size = knobs
    if not (weather >= 0 and 0 <= detail <= 1):
        raise DataError(f"weather is {weather} and detail {detail}; give weather from 0 and detail from 0 to 1.")
    if min(size) < 16:
        raise DataError(f"size is {size[0]} x {size[1]} pixels; draw at least 16 x 16.")
    parts = {"train": [], "validation": [], "test": []}
    for i, rng in enumerate(np.random.default_rng(seed).spawn(len(plan))):
        prefix, first, seconds_of = plan[i]
        street = _Street(rng, max(map(np.max, seconds_of.values())), i == 0)
        for split, seconds in seconds_of.items():
            frames, masks = zip(*(street.frame(rng, second, *knobs[1:]) for second in seconds), strict=True)
            names = np.array([f"{prefix}{first + RATE * second:05.0f}" for second in seconds])
            drive = np.full(len(seconds), prefix.partition("_")[0])
            parts[split].append((np.stack(frames), np.stack(masks), drive, seconds, names))
    splits = {split: SceneSplit(split, *map(np.concatenate, zip(*of, strict=True))) for split, of in parts.items()}
    drawn = "Drawn by a formula: a number measured on it says nothing about real streets."
    data_card = simulated_data_card(name, title, "sslbook.worlds.driving", (drawn, *problems))
    return Scenes(**splits, classes=CLASSES, colours=COLOURS, vulnerable=VULNERABLE, data_card=data_card)


def _grain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a number from 0 to 1 for each pair of whole numbers, the same whenever it is asked for."""
    return GRAIN[np.asarray(a).astype(np.int32) % 61, np.asarray(b).astype(np.int32) % 67]


class _Street:
    """A street, what is on it, and the camera; s is metres along the road, d metres to the right of its middle."""

    def __init__(self, rng: np.random.Generator, seconds: float, dusk: bool) -> None:
        self.kerb, self.front = rng.uniform((3.8, 6.8), (4.6, 8.8))
        self.bend, self.wave, self.phase = rng.uniform((0.0008, 40, 0), (0.002, 80, 9))
        self.lots, self.bricks = rng.integers(99), BRICK[rng.permutation(4)[:2]] * rng.uniform(0.75, 1.2)
        self.tones = np.full((len(CLASSES), 3), rng.uniform(0.25, 0.45), np.float32)
        self.tones[SKY] = rng.uniform((0.8, 0.88, 0.95), 1)
        self.tones[PAVEMENT] *= rng.uniform(0.95, 1.25) * np.array([1.03, 1, 0.96])
        self.tones[TREE] = rng.uniform((0.2, 0.26, 0.12), (0.34, 0.4, 0.24))
        self.dusk, self.haze, self.noise = dusk, rng.uniform(0.001, 0.005), rng.uniform(0.008, 0.02)
        self.cast = rng.normal(0, 0.12) + rng.normal(0, 0.035, 3) - dusk * np.array([0.66, 0.5, 0.45])
        length = int(SPEED * seconds) + 150
        self.things = np.concatenate([self._things(rng, side, length, *row) for side in (-1, 1) for row in PLACED])

    def _things(self, rng, side, length, kind, every, place, wide, high, speed, colours) -> np.ndarray:
        """Place things of one kind along one side; on the left they move as the camera does, on the right towards it."""
        n = 2 * length // every
        things = np.zeros(n, THING)
        things["kind"], things["wide"], things["high"], things["speed"] = (
            kind,
            wide,
            rng.uniform(*high, n),
            -side * speed,
        )
        things["s"] = every * rng.uniform(0.4, 1.6, n).cumsum() + 2 * speed
        things["d"] = side * (self.kerb + rng.uniform(*place, n))
        things["tones"][:, :2] = colours[rng.integers(len(colours), size=(n, 2))] * rng.uniform(0.8, 1.15, (n, 1, 1))
        things["tones"][:, 2:] = np.array([0.1, 0.6])[:, None]
        flanks = np.repeat(things[things["kind"] == "car"], 4)  # a car is five slices
        flanks["kind"], flanks["s"] = "flank", flanks["s"] + np.arange(len(flanks)) % 4 + 1
        return np.concatenate([things, flanks])

    def frame(self, rng, seconds: float, weather: float, detail: float, size: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Return frame and mask; void is here and there at edges, where annotators are unsure."""
        colours, classes, depth = self.view(seconds, size)
        steps = np.abs(np.diff(depth, axis=1, prepend=depth[:, :1]))
        mask = np.where((steps > 3) & (rng.random(size) < 0.5), VOID, classes)
        plain = COLOURS[classes] / np.float32(255)
        clear = np.exp(-weather * self.haze * depth)[..., None]
        colours = 0.82 + (plain + detail * (colours - plain) - 0.82) * clear
        colours = colours ** (1 + 0.8 * weather * self.dusk) * np.exp(weather * (self.cast + rng.normal(0, 0.1)))
        colours = colours + weather * self.noise * rng.standard_normal(colours.shape, dtype=np.float32)
        return np.rint(255 * colours.clip(0, 1)).astype(np.uint8), mask.astype(np.uint8)

    def view(self, seconds: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what the camera sees: colours float32 (height, width, 3), classes (height, width), depth in metres."""
        here = SPEED * seconds + 5 * np.sin(seconds / 5 + self.phase)
        turn = self.bend * np.sin(here / self.wave + self.phase)  # of the road, per metre
        focal, horizon = 1.02 * size[1], (0.53 + 0.008 * np.sin(1.7 * seconds)) * size[0]
        ray = ((np.arange(size[1]) + 0.5 - size[1] / 2) / focal)[None].astype(np.float32)
        drop = ((np.arange(size[0]) + 0.5 - horizon) / focal)[:, None].astype(np.float32)
        roofs = np.floor(30 * (ray - self.bend * self.wave * np.cos(here / self.wave + self.phase)) + 99)
        town = -drop < 0.02 + 0.05 * _grain(roofs, self.lots)
        colours = np.where(town[..., None], 0.4, (1 + 0.5 * drop)[..., None] * self.tones[SKY]).astype(np.float32)
        canvas = colours, np.where(town, BUILDING, SKY), np.full(size, 150, np.float32)
        self._ground(here, turn, ray, drop, canvas)
        for side in (-1, 1):
            self._front(side, here, turn, ray, drop, canvas)
        z = self.things["s"] + self.things["speed"] * seconds - here
        x = self.things["d"] + LANE + turn * z**2 / 2
        seen = np.flatnonzero((z > 2) & (z < 12 * self.things["wide"] + 40) & (np.abs(x) < 0.5 * z + 4))
        for i in seen[np.argsort(z[seen])]:
            _stand(self.things[i], x[i], z[i], focal, horizon, canvas)
        return canvas

    def _ground(self, here, turn, ray, drop, canvas) -> None:
        """Paint road, pavements and grass below the horizon."""
        below = drop[:, 0] > EYE / 150
        z = EYE / drop[below]
        s, d = here + z, z * ray - LANE - turn * z**2 / 2
        out = np.abs(d) - self.kerb
        classes = np.where(out < 0, ROAD, np.where(np.abs(d) < self.front, PAVEMENT, TREE))
        tones = self.tones[classes] * (0.9 + 0.2 * _grain(s * 2, d * 2 + 99))[..., None]
        tones[(np.abs(d) < 0.09) & (s % 6 < 3)] = 0.78
        tones[np.abs(out - 0.08) < 0.08] *= 1.35
        for part, values in zip(canvas, (tones, classes, z), strict=True):
            part[below] = values

    def _front(self, side, here, turn, ray, drop, canvas) -> None:
        """Paint the fronts of houses, and the fences of parks, along one side, where nothing nearer is."""
        colours, classes, depth = canvas
        away, across = self.front + side * LANE, side * ray
        root = across + np.sqrt((across**2 - 2 * turn * side * away).clip(0))
        z = np.where(root > away / 75, 2 * away / root.clip(1e-6), 150)
        s, y = here + z, EYE - drop * z
        lot = np.floor(s / 11) + self.lots
        park = _grain(lot // 4, side) > 0.75
        high = np.where(park, 1.2, 8 + 9 * _grain(lot, side + 20))
        there = (y > 0) & (y < high) & (z < depth)
        pane = (s % 2.75 > 0.8) & (s % 2.75 < 2) & (y % 3 > 0.9) & (y % 3 < 2.3) & (y < high - 0.5)
        board = ~park & (_grain(lot, 5) > 0.5) & (y > 2.4) & (y < 3.2)  # the name of a shop
        brick = self.bricks[(_grain(lot, 7) * 2).astype(int)] * (0.8 + 0.4 * _grain(lot, 8))[..., None]
        tones = brick * (0.85 + 0.3 * _grain(s * 2, y * 3 + 99))[..., None]
        tones = np.where(pane[..., None], 0.1 + 0.3 * _grain(s // 2.75, y // 3)[..., None], tones)
        tones = np.where((park & (s % 0.5 < 0.25))[..., None], 0.2, tones)
        tones = np.where(board[..., None], PAINT[(_grain(lot, 9) * 5).astype(int)], tones)
        colours[there], depth[there] = tones[there], np.broadcast_to(z, depth.shape)[there]
        classes[there] = np.where(board & (_grain(lot, 6) > 0.5), SIGN, np.where(park, FENCE, BUILDING))[there]


def _stand(thing: np.void, x: float, z: float, focal: float, horizon: float, canvas: tuple) -> None:
    """Paint a thing, x metres to the right of the camera and z ahead, where nothing nearer is."""
    height, width = canvas[1].shape
    half, high = focal * thing["wide"] / z / 2, focal * thing["high"] / z
    middle, bottom = width / 2 + focal * x / z, horizon + focal * EYE / z
    edges = np.array([middle - half, middle + half + 1, bottom - high, bottom]).round().astype(int)
    left, right, top, floor = edges.clip(0, (width, width, height, height))
    colours, classes, depth = (part[top:floor, left:right] for part in canvas)
    free = depth > z
    u = np.abs(np.arange(left, right) + 0.5 - middle) / half
    v = (bottom - 0.5 - np.arange(top, floor)[:, None]) / high
    texture = _grain(u * thing["wide"] * 3, v * thing["high"] * 4 + thing["s"])
    for kind, colour, power, inner, outer, low, upper in SHAPES[thing["kind"]] if free.any() else ():
        across = (2 * u - inner - outer) / max(outer - inner, 0.7 / half)  # thin ones are not lost between two columns
        along = (2 * v - low - upper) / (upper - low)
        there = free & (np.abs(across) ** power + np.abs(along) ** power < 1 - 0.4 * texture * (kind == TREE))
        classes[there], depth[there] = kind, z
        colours[there] = thing["tones"][colour] * (0.85 + 0.3 * texture[there])[:, None]


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
    rng, roads = np.random.default_rng(seed), sum(ROADS.values())
    windows = -(-n // (roads * VEHICLES))
    positions = _traffic(rng, roads, WARM_UP + (PAST + FUTURE) * STEP * windows, turns)
    positions = positions.reshape(roads, VEHICLES * windows, PAST + FUTURE, 2)
    road = np.repeat(np.arange(roads), np.diff(np.linspace(0, n, roads + 1).astype(np.int64)))
    place = np.concatenate([rng.permutation(VEHICLES * windows)[:k] for k in np.bincount(road)])
    drawn = (positions[road, place] + rng.normal(0, NOISE, (n, PAST + FUTURE, 2))).astype(np.float32)
    names, owner = np.array([f"road {i + 1}" for i in range(roads)]), np.repeat([*ROADS], [*ROADS.values()])
    splits = {
        split: TrackSplit(split, drawn[owner[road] == split], names[road[owner[road] == split]]) for split in ROADS
    }
    problem = "Drawn by a formula: an error in metres measured on it says nothing about real drivers."
    return Tracks(
        **splits, data_card=simulated_data_card("tracks", "Drawn traffic", "sslbook.worlds.driving", (problem,))
    )


def _traffic(rng: np.random.Generator, roads: int, seconds: float, turns: float) -> np.ndarray:
    """Return where vehicles are after the warm-up, float64 (roads, vehicles, steps, 2).

    Vehicles keep their lane, follow the one in front, stop at red lights and slow down before they turn ``off``.
    """
    shape, seen = (roads, VEHICLES), []
    s = np.cumsum(rng.uniform(8, 35, shape), axis=1)
    wish = rng.normal(12, 2, shape).clip(7, 17)  # metres per second
    speed, length = wish, int(s.max() + 17 * seconds) + 100
    junctions = np.cumsum(rng.uniform(90, 160, (roads, length // 90)), axis=1)
    offset = rng.uniform(0, 50, junctions.shape)  # seconds, of the lights
    nth = (junctions[:, None] < s[..., None] + 40).sum(axis=-1) + rng.integers(1 + int(seconds / 12), size=shape)
    off = np.take_along_axis(junctions, nth.clip(max=junctions.shape[1] - 1), axis=1)
    off[rng.random(shape) > 0.8 * turns] = np.inf
    side = rng.choice([-1, 1], shape)  # 1: left
    radius = np.where(side < 0, 9.0, 14.0)
    lane = side[:, None] == side[:, :, None]
    for tick in range(round(seconds / TICK)):
        if tick % round(STEP / TICK) == 0 and tick * TICK >= WARM_UP - TICK / 2:
            seen.append(s)
        leads = lane & (s[:, None] > s[:, :, None]) & (s[:, None] < np.minimum(off[:, None], off[:, :, None]))
        line = junctions[:, None] - 12 - s[..., None]  # metres to the lights
        red = ((tick * TICK + offset) % 50 < 22 * turns)[:, None]
        halts = red & (line > speed[..., None] ** 2 / 6) & (s < off)[..., None]
        room = np.concatenate([s[:, None] - s[..., None] - LENGTH, line], axis=2)
        room = np.where(np.concatenate([leads, halts], axis=2), room, np.inf)  # to what is in front
        pace = np.concatenate([speed, np.zeros_like(junctions)], axis=1)
        closing = speed - np.take_along_axis(pace, room.argmin(axis=2), axis=1)
        keep = turns * (2 + 1.3 * speed + speed * closing / 3.58).clip(0)
        bound = np.sqrt(2.4 * radius + 3.2 * (off - s).clip(0))  # as fast as who turns off can be here
        limit = np.where(s - off > 1.6 * radius, wish, np.minimum(wish, bound))
        pull = 1.6 * (1 - (speed / limit) ** 4 - (keep / room.min(axis=2).clip(0.5)) ** 2)
        s, speed = s + speed * TICK, (speed + TICK * pull.clip(-6, 2)).clip(0)
    return _on_map(rng, np.stack(seen, axis=-1), off, side, radius, length, turns)


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
    return np.stack([place.real, place.imag], axis=-1)
