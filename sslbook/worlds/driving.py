"""Simulated driving: streets as a camera behind a windscreen sees them, with exact masks."""

import math

import numpy as np

from sslbook.data.card import simulated_data_card
from sslbook.data.errors import DataError
from sslbook.domains.driving.data import CLASSES, COLOURS, RATE, VOID, VULNERABLE, Scenes, SceneSplit

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, WALKER, RIDER = range(len(CLASSES))
EYE, SPEED, LANE = 1.4, 10.0, 1.75  # metres of the camera above the road, metres a second, metres to the middle line
GRAIN = np.random.default_rng(0).random((61, 67), dtype=np.float32)
BRICK = np.array([(0.5, 0.3, 0.22), (0.7, 0.62, 0.45), (0.36, 0.33, 0.3), (0.8, 0.78, 0.72)])
PAINT = np.array([(0.1, 0.1, 0.11), (0.62, 0.63, 0.64), (0.3, 0.31, 0.33), (0.5, 0.1, 0.09), (0.12, 0.17, 0.4)])
THING = np.dtype([*((name, "f8") for name in "s d wide high speed".split()), ("kind", "U6"), ("tones", "f4", (4, 3))])
PLACED = (  # kind, metres from one to the next, from the kerb outwards, width, height, metres a second, colours
    ("lamp", 24, (0.3, 0.5), 1.2, (6, 8), 0, PAINT),
    ("sign", 12, (0.4, 1.5), 0.9, (2.6, 3.4), 0, PAINT),
    ("tree", 5, (1.5, 18), 6, (5, 10), 0, np.array([(0.2, 0.24, 0.12), (0.3, 0.34, 0.2), (0.36, 0.3, 0.22)])),
    ("walker", 8, (0.5, 3), 0.6, (1.55, 1.85), 1.2, PAINT),
    ("rider", 30, (-0.8, -0.5), 0.8, (1.7, 1.85), 3, PAINT),
    ("car", 35, (-1.1, -0.9), 1.75, (1.4, 1.8), 0, PAINT),
    ("car", 60, (-2.7, -2.3), 1.75, (1.4, 2.2), SPEED, PAINT),
)
SHAPES = {  # parts: class, number of the colour, whether round, from and to of half the width, and of the height
    "lamp": [(POLE, 0, 0, 0, 0.12, 0, 1), (POLE, 0, 0, 0, 1, 0.96, 1)],
    "sign": [(POLE, 2, 0, 0, 0.13, 0, 0.8), (SIGN, 0, 1, -1, 1, 0.7, 1), (SIGN, 3, 1, -0.5, 0.5, 0.78, 0.92)],
    "tree": [(TREE, 2, 0, 0, 0.08, 0, 0.5), (TREE, 0, 1, -1, 1, 0.24, 1)],
    "walker": [(WALKER, 1, 0, 0.1, 0.6, 0, 0.5), (WALKER, 0, 0, 0, 0.8, 0.5, 0.9), (WALKER, 3, 1, -0.4, 0.4, 0.85, 1)],
    "rider": [(RIDER, 2, 0, 0, 0.2, 0, 0.6), (RIDER, 0, 0, 0, 0.75, 0.5, 0.86), (RIDER, 3, 1, -0.3, 0.3, 0.85, 1)],
    "flank": [(CAR, 0, 0, 0, 1, 0.14, 0.6), (CAR, 2, 0, 0, 0.95, 0.6, 0.9), (CAR, 0, 0, 0, 0.9, 0.9, 1)],
    "car": [(CAR, 0, 0, 0, 1, 0.14, 0.6), (CAR, 0, 0, 0, 0.9, 0.6, 1), (CAR, 2, 0, 0, 0.7, 0.6, 0.9),
            (CAR, 2, 0, 0.6, 0.9, 0, 0.3), (CAR, 3, 0, 0.7, 0.95, 0.4, 0.52)],
}  # fmt: skip


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
    return _drawn("streets", "Drawn streets", plan, (), seed, weather, detail, size)


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
    leak = "Drive 0001TP is in train and test, see without_shared_drives(); validation is within training drive 0016E5."
    return _drawn("camvid", "Stand-in for CamVid: drawn streets", plan, (leak,), seed, weather, detail, (120, 160))


def _drawn(name: str, title: str, plan: list, problems: tuple, seed, weather, detail, size) -> Scenes:
    """Draw the drives of a plan; the first is at dusk."""
    if not (weather >= 0 and 0 <= detail <= 1 and min(size) >= 16):
        raise DataError(f"weather {weather}, detail {detail}, size {size}: give from 0, 0 to 1, and from (16, 16).")
    parts = {"train": [], "validation": [], "test": []}
    for (prefix, first, seconds_of), rng in zip(plan, np.random.default_rng(seed).spawn(len(plan)), strict=True):
        street = _Street(rng, max(map(np.max, seconds_of.values())), prefix == plan[0][0])
        for split, seconds in seconds_of.items():
            frames, masks = zip(*(street.frame(rng, t, weather, detail, size) for t in seconds.tolist()), strict=True)
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
    """A road with houses, parks and things, which are upright; s is metres along it, d metres right of its middle."""

    def __init__(self, rng: np.random.Generator, seconds: float, dusk: bool) -> None:
        self.kerb, self.front = rng.uniform((3.8, 6.8), (4.6, 8.8)).tolist()
        self.bend, self.wave, self.phase = rng.uniform((0.0008, 40, 0), (0.002, 80, 9)).tolist()
        self.lots, self.bricks = rng.integers(99), BRICK[rng.integers(4, size=4)] * rng.uniform(0.7, 1.2, (4, 1))
        self.tones = np.full((len(CLASSES), 3), rng.uniform(0.25, 0.45), np.float32)
        self.tones[PAVEMENT] *= rng.uniform(0.95, 1.25) * np.array([1.03, 1, 0.96])
        self.tones[[SKY, TREE]] = rng.uniform([(0.8, 0.88, 0.95), (0.2, 0.26, 0.12)], [(1, 1, 1), (0.34, 0.4, 0.24)])
        self.dusk, self.haze, self.noise = dusk, rng.uniform(0.001, 0.005), rng.uniform(0.008, 0.02)
        self.cast = np.float32(rng.normal(0, 0.12) + rng.normal(0, 0.035, 3) - dusk * np.array([0.66, 0.5, 0.45]))
        self.things = np.concatenate([self._things(rng, side, seconds, *row) for side in (-1, 1) for row in PLACED])

    def _things(self, rng, side, seconds, kind, every, place, wide, high, speed, colours) -> np.ndarray:
        """Place things of one kind along one side; on the left they move away, on the right nearer."""
        n = int(2 * (SPEED * seconds + 150) / every)
        things = np.zeros(n, THING)
        things["kind"], things["wide"], things["high"] = kind, wide, rng.uniform(*high, n)
        things["speed"], things["s"] = -side * speed, every * rng.uniform(0.4, 1.6, n).cumsum() + 2 * speed
        things["d"] = side * (self.kerb + rng.uniform(*place, n))
        things["tones"][:, :2] = colours[rng.integers(len(colours), size=(n, 2))] * rng.uniform(0.8, 1.15, (n, 1, 1))
        things["tones"][:, 2:] = np.array([0.1, 0.6])[:, None]
        flanks = np.repeat(things[things["kind"] == "car"], 4)  # a car is five slices
        flanks["kind"], flanks["s"] = "flank", flanks["s"] + np.arange(len(flanks)) % 4 + 1
        return np.concatenate([things, flanks])

    def frame(self, rng, seconds: float, weather: float, detail: float, size: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Return frame and mask; void is here and there at edges, where annotators are unsure."""
        here = SPEED * seconds + 5 * math.sin(seconds / 5 + self.phase)
        angle = here / self.wave + self.phase
        focal, turn = 1.02 * size[1], self.bend * math.sin(angle)  # pixels; change of heading per metre
        horizon = (0.53 + 0.008 * math.sin(1.7 * seconds)) * size[0]
        ray = ((np.arange(size[1]) + 0.5 - size[1] / 2) / focal)[None].astype(np.float32)
        drop = ((np.arange(size[0]) + 0.5 - horizon) / focal)[:, None].astype(np.float32)
        town = -drop < 0.02 + 0.05 * _grain(30 * (ray - self.bend * self.wave * math.cos(angle)) + 99, self.lots)
        colours = np.where(town[..., None], 0.4, (1 + 0.5 * drop)[..., None] * self.tones[SKY]).astype(np.float32)
        canvas = _, classes, depth = colours, np.where(town, BUILDING, SKY), np.full(size, 150, np.float32)
        self._ground(here, turn, ray, drop, canvas)
        for side in (-1, 1):
            self._front(side, here, turn, ray, drop, canvas)
        z, wide = self.things["s"] + self.things["speed"] * seconds - here, self.things["wide"]
        x = self.things["d"] + LANE + turn * z**2 / 2
        seen = np.flatnonzero((z > 2) & (z < 12 * wide + 40) & (np.abs(x) < 0.5 * z + wide))
        for i in seen[np.argsort(z[seen])]:
            _stand(self.things[i], x[i], z[i], focal, horizon, canvas)
        edge = np.abs(np.diff(depth, axis=1, prepend=depth[:, :1])) > 3
        mask = np.where(edge & (rng.random(size) < 0.5), VOID, classes).astype(np.uint8)
        plain, clear = COLOURS[classes] / np.float32(255), np.exp(-weather * self.haze * depth)[..., None]
        colours = 0.82 + (plain + detail * (colours - plain) - 0.82) * clear
        gain = np.exp(weather * (self.cast + rng.normal(0, 0.1)))
        noise = weather * self.noise * rng.standard_normal(colours.shape, dtype=np.float32)
        colours = colours ** (1 + 0.8 * weather * self.dusk) * gain + noise
        return np.rint(255 * colours.clip(0, 1)).astype(np.uint8), mask

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
        z = 2 * away / (across + np.sqrt((across**2 - 2 * turn * side * away).clip(0))).clip(away / 75)
        s, y = here + z, EYE - drop * z
        lot = np.floor(s / 11) + self.lots
        park = _grain(lot // 4, side) > 0.75
        high = np.where(park, 1.2, 8 + 9 * _grain(lot, side + 20))
        there = (y > 0) & (y < high) & (z < depth)
        pane = (s % 2.75 > 0.8) & (s % 2.75 < 2) & (y % 3 > 0.9) & (y % 3 < 2.3) & (y < high - 0.5)
        board = ~park & (_grain(lot, 5) > 0.5) & (y > 2.4) & (y < 3.2)  # the name of a shop
        tones = self.bricks[(_grain(lot, 7) * 4).astype(int)] * (0.85 + 0.3 * _grain(s * 2, y * 3 + 99))[..., None]
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
    if not free.any():
        return
    u = np.abs(np.arange(left, right) + 0.5 - middle) / half
    v = (bottom - 0.5 - np.arange(top, floor)[:, None]) / high
    texture = _grain(u * thing["wide"] * 3, v * thing["high"] * 4 + thing["s"])
    for kind, colour, rounded, inner, outer, low, upper in SHAPES[thing["kind"]]:
        across = np.abs(2 * u - inner - outer) / max(outer - inner, 0.7 / half)  # none is lost between two columns
        along = np.abs(2 * v - low - upper) / (upper - low)
        away = across**2 + along**2 if rounded else np.maximum(across, along)
        there = free & (away < 1 - 0.4 * texture * (kind == TREE))
        classes[there], depth[there] = kind, z
        colours[there] = thing["tones"][colour] * (0.85 + 0.3 * texture[there])[:, None]
