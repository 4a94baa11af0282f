"""Drawn streets: the stand-in for frames and masks of a camera behind a windscreen.

A drive is a street with houses, parks, junctions, lamps, cars and people, drawn from the drive's own palette, along
which the camera moves; `street_view` paints what it sees, so the masks are exact. Then comes the weather: the light of
the drive (one is at dusk), the cast of the camera, haze, and for every frame exposure, blur and noise.
"""

import numpy as np

from .camvid import CLASSES, COLOURS, RATE, VULNERABLE
from .card import simulated_card
from .errors import DataError
from .scenes import VOID, Scenes, SceneSplit
from .street_view import (
    BUILDING,
    LANE,
    OTHER,
    PAVEMENT,
    QUAD,
    ROAD,
    SKY,
    TREE,
    Street,
    grain,
    render,
)

PALETTE = np.vstack([COLOURS, np.zeros(3, np.uint8)])  # the last is of no class
SPEED = 10.0  # metres per second
HOUSES = np.array([(0.5, 0.3, 0.22), (0.7, 0.62, 0.45), (0.36, 0.33, 0.3), (0.8, 0.78, 0.72), (0.55, 0.5, 0.48)])
CARS = np.array(
    [(0.1, 0.1, 0.11), (0.62, 0.63, 0.64), (0.3, 0.31, 0.33), (0.45, 0.1, 0.09), (0.12, 0.17, 0.33), (0.85, 0.85, 0.84)]
)
SIGNS = np.array([(0.12, 0.2, 0.5), (0.65, 0.1, 0.1), (0.8, 0.65, 0.12), (0.07, 0.08, 0.08), (0.85, 0.85, 0.82)])


def simulate_streets(
    drives: int = 4, frames_per_drive: int = 40, seed: int = 0, weather: float = 1.0, detail: float = 1.0,
    size: tuple[int, int] = (120, 160),
) -> Scenes:  # fmt: skip
    """Draw drives through streets, one frame a second, every frame with its mask.

    The last quarter of the drives, at least one, is test, the one before is validation; the first is at dusk.

    Parameters
    ----------
    drives : at least 3.
    frames_per_drive : at least 2.
    seed : another seed draws other streets.
    weather : from 0; spread of light, cast, haze, exposure, blur and noise. 0 is a clear noon for all.
    detail : 0 to 1; 1 draws things in the colours they have, which classes share, 0 each class in the one colour that
        it has in `Scenes.colours`, so that the colour of a pixel gives the class away.
    size : height and width in pixels.

    Raises
    ------
    DataError : a knob out of range.
    """
    if drives < 3 or frames_per_drive < 2:
        raise DataError(f"drives is {drives} and frames_per_drive {frames_per_drive}; draw at least 3 drives of 2.")
    _check(weather, detail, size)
    tests = max(1, drives // 4)
    splits = {"train": [], "validation": [], "test": []}
    for i, rng in enumerate(np.random.default_rng(seed).spawn(drives)):
        split = "test" if i >= drives - tests else "validation" if i == drives - tests - 1 else "train"
        seconds = np.arange(float(frames_per_drive))
        name = f"street{i:0{len(str(drives - 1))}}"
        names = [f"{name}_{RATE * second:05.0f}" for second in seconds]
        drive = _drive(rng, name, seconds, names, i == 0, (weather, detail), size)
        splits[split].append(drive)
    return _scenes("streets", "Drawn streets", splits)


def simulate_camvid(seed: int = 0, weather: float = 1.0, detail: float = 1.0) -> Scenes:
    """Draw the stand-in of CamVid, a third of its size.

    As there, drive 0001TP, at dusk, is in train and test, and validation is a few seconds, at 15 frames a second, of
    drive 0016E5, from the middle of its training frames.

    Parameters
    ----------
    seed, weather, detail : as for `simulate_streets`.
    """
    _check(weather, detail, (120, 160))
    splits = {"train": [], "validation": [], "test": []}
    plan = (  # drive, what stands before the frame number, number of the first frame, seconds of the frames by split
        ("0001TP", "0", 6690, {"train": np.arange(25.0), "test": 25 + np.arange(25.0)}),
        ("0006R0", "f", 930, {"train": np.arange(35.0)}),
        ("0016E5", "", 390, {"train": np.r_[:44.0, 46:62.0], "validation": 44 + np.arange(30) / 15}),
        ("Seq05VD", "f", 0, {"test": np.arange(55.0)}),
    )
    for (name, sign, first, parts), rng in zip(plan, np.random.default_rng(seed).spawn(len(plan)), strict=True):
        seconds = np.concatenate(list(parts.values()))
        names = [f"{name}_{sign}{first + RATE * second:05.0f}" for second in seconds]
        drive = _drive(rng, name, seconds, names, name == "0001TP", (weather, detail), (120, 160))
        begin = 0
        for split, part in parts.items():
            splits[split].append(drive.subset(np.arange(begin, begin + len(part))))
            begin += len(part)
    leaks = (
        "Drive 0001TP is in train and test: without_shared_drives() takes it out of train.",
        "Validation is two seconds of the training drive 0016E5.",
    )
    return _scenes("camvid", "Stand-in for CamVid: drawn streets", splits, *leaks)


def _check(weather: float, detail: float, size: tuple[int, int]) -> None:
    if not (weather >= 0 and 0 <= detail <= 1):
        raise DataError(f"weather is {weather} and detail {detail}; give weather from 0 and detail from 0 to 1.")
    if min(size) < 16:
        raise DataError(f"size is {size[0]} x {size[1]} pixels; draw at least 16 x 16.")


def _scenes(name: str, title: str, splits: dict[str, list[SceneSplit]], *problems: str) -> Scenes:
    drawn = "Drawn by a formula: a number measured on it says nothing about real streets."
    card = simulated_card(name, title, "sslbook.data.streets", (drawn, *problems))
    joined = {
        split: SceneSplit(
            split,
            *(np.concatenate([getattr(drive, field) for drive in drives])
              for field in ("frames", "masks", "drives", "time", "names")),
        )
        for split, drives in splits.items()
    }  # fmt: skip
    return Scenes(**joined, classes=CLASSES, colours=COLOURS, vulnerable=VULNERABLE, card=card)


def _drive(
    rng: np.random.Generator, name: str, seconds: np.ndarray, names: list[str], dusk: bool,
    knobs: tuple[float, float], size: tuple[int, int],
) -> SceneSplit:  # fmt: skip
    """Draw one drive, of given seconds."""
    weather, detail = knobs
    street, light = _street(rng, seconds.max() + 1), _light(rng, dusk, weather)
    frames = np.empty((len(seconds), *size, 3), np.uint8)
    masks = np.empty((len(seconds), *size), np.uint8)
    for i, second in enumerate(seconds):
        colours, classes, depth = render(street, second, size)
        plain = PALETTE[classes] / np.float32(255)
        picture = _developed(rng, plain + np.float32(detail) * (colours - plain), depth, light, weather)
        frames[i] = np.rint(255 * np.clip(picture, 0, 1))
        masks[i] = _annotated(classes)
    return SceneSplit(name, frames, masks, np.full(len(seconds), name), seconds, np.array(names))


def _annotated(classes: np.ndarray) -> np.ndarray:
    """Return the mask: void for things of no class, and here and there along the border of large classes."""
    large = np.isin(classes, (SKY, BUILDING, ROAD, PAVEMENT, TREE))
    border = (classes != np.roll(classes, 1, axis=1)) & (np.arange(classes.shape[1]) > 0)
    row, column = np.indices(classes.shape) // 3
    unsure = large & border & (grain(row, column) < 0.6)
    return np.where(unsure | (classes == OTHER), VOID, classes).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------- weather


def _light(rng: np.random.Generator, dusk: bool, weather: float) -> dict[str, np.ndarray]:
    """Draw the light of a drive: contrast, gain of each channel, haze per metre, noise."""
    gain = rng.normal(0, 0.12) - 0.5 * dusk
    cast = rng.normal(0, 0.035, 3) + dusk * np.array([-0.16, 0.0, 0.05])
    return {
        "contrast": np.float32(1 + 0.8 * weather * dusk),
        "gain": np.exp(weather * (gain + cast)).astype(np.float32),
        "haze": weather * rng.uniform(0.001, 0.005),
        "noise": np.float32(weather * rng.uniform(0.008, 0.02)),
    }


def _developed(
    rng: np.random.Generator, colours: np.ndarray, depth: np.ndarray, light: dict[str, np.ndarray], weather: float
) -> np.ndarray:
    """Return the frame as the camera takes it: haze, exposure, blur, noise."""
    if weather == 0:
        return colours
    clear = np.exp(-light["haze"] * depth)[..., None].astype(np.float32)
    colours = colours * clear + np.float32([0.8, 0.82, 0.84]) * (1 - clear)
    colours = colours ** light["contrast"] * light["gain"] * np.exp(rng.normal(0, 0.1 * weather)).astype(np.float32)
    share = np.float32(min(weather, 1) / 4)  # that each neighbour gives
    wide = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    wide = (1 - 2 * share) * wide[1:-1] + share * (wide[:-2] + wide[2:])
    colours = (1 - 2 * share) * wide[:, 1:-1] + share * (wide[:, :-2] + wide[:, 2:])
    return colours + light["noise"] * rng.standard_normal(colours.shape, dtype=np.float32)


# -------------------------------------------------------------------------------------------------------------- street


def _street(rng: np.random.Generator, seconds: float) -> Street:
    """Draw a street that is long enough for a drive of so many seconds."""
    ticks = np.arange(0, seconds + 0.1, 0.1)
    speed = SPEED * (1 + 0.3 * np.sin(2 * np.pi * (ticks / rng.uniform(20, 40) + rng.random())))
    travelled = 10 + np.concatenate([[0], np.cumsum(speed[:-1]) / 10])
    length = int(travelled[-1]) + 160
    at = np.arange(length)
    bends = (rng.uniform(0.06, 0.16) * np.sin(2 * np.pi * (at / rng.uniform(120, 320) + rng.random())) for _ in "ab")
    heading = sum(bends)
    path = np.column_stack([np.cumsum(np.sin(heading)), np.cumsum(np.cos(heading)), heading])
    half_width, pavement = rng.uniform(3.8, 4.6), rng.uniform(2.8, 4.4)
    begin = np.cumsum(rng.uniform(70, 130, length // 70 + 2)) - 30
    junctions = np.column_stack([begin, begin + rng.uniform(8, 12, len(begin))])
    tones = np.array([rng.uniform((0.8, 0.88, 0.95), 1), np.full(3, rng.uniform(0.25, 0.45)), (0, 0, 0), (0, 0, 0)])
    tones[2] = tones[1] * rng.uniform(0.9, 1.2) * (1.03, 1.0, 0.96)
    tones[3] = rng.uniform((0.2, 0.26, 0.12), (0.34, 0.4, 0.24))
    build = _Builder(rng, half_width, pavement, junctions, tones)
    lots = tuple(build.side(sign, length) for sign in (-1, 1))
    build.traffic(length)
    return Street(path, travelled, np.array(build.quads, QUAD), lots, junctions, half_width, pavement, tones)


class _Builder:
    """Puts things on a street, in the palette of its drive."""

    def __init__(self, rng, half_width: float, pavement: float, junctions: np.ndarray, tones: np.ndarray) -> None:
        self.rng, self.kerb, self.front = rng, half_width, half_width + pavement
        self.junctions, self.tones, self.quads = junctions, tones, []
        self.houses = HOUSES[rng.permutation(len(HOUSES))[:3]] * rng.uniform(0.75, 1.2, (3, 1))
        self.leaves = rng.uniform((0.2, 0.2, 0.14), (0.4, 0.42, 0.3))
        self.leafless = rng.random() < 0.6
        self.busy = rng.uniform(0.7, 1.4)

    def put(self, kind, s, d, high, tone, trim=(0, 0, 0), speed=0.0, follows=False, crosses=False) -> None:
        """Put up a rectangle; s and d are (from, to)."""
        ends = (s[0], d[0], s[1], d[1])
        self.quads.append((*ends, high, speed, follows, crosses, kind, self.rng.random(), tone, trim))

    def free(self, s: float) -> bool:
        """Say whether s is on no junction."""
        return not ((s > self.junctions[:, 0] - 3) & (s < self.junctions[:, 1] + 3)).any()

    def side(self, sign: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Fill one side (-1: left) with lots and what stands along the kerb; return begin and ground of the lots."""
        begin = np.cumsum(self.rng.uniform(25, 60, length // 25 + 1)) - 60
        begin = begin[begin < length]
        use = self.rng.choice(["terrace", "forecourt", "park"], len(begin), p=[0.62, 0.13, 0.25])
        for s, end, what in zip(begin, [*begin[1:], length], use, strict=True):
            if what == "park":
                self.park(sign, s, end)
            else:
                self.terrace(sign, s, end, self.front + (0 if what == "terrace" else self.rng.uniform(4, 9)))
        self.kerbside(sign, length)
        return begin, np.array([TREE if what == "park" else PAVEMENT for what in use])

    def terrace(self, sign: int, s: float, end: float, front: float) -> None:
        """Houses side by side, but on junctions."""
        rng = self.rng
        while s < end:
            wide, high = rng.uniform(6, 15), rng.uniform(8, 17)
            wide = min(wide, end - s)
            if self.free(s) and self.free(s + wide) and self.free(s + wide / 2) and wide > 3:
                tone = self.houses[rng.integers(3)] * rng.uniform(0.8, 1.15)
                shop = np.clip(SIGNS[rng.integers(5)] * rng.uniform(0.7, 1.1), 0, 1)
                setback = front + rng.uniform(0, 0.6)
                self.put("facade", (s, s + wide), (sign * setback,) * 2, high, tone, shop)
                for at in (s, s + wide):
                    self.put("gable", (at, at), (sign * setback, sign * (setback + 9)), high, tone)
            s += wide
            if front > self.front + 1 and rng.random() < 0.5:
                self.tree(s, sign * rng.uniform(self.front, front))

    def park(self, sign: int, s: float, end: float) -> None:
        """Trees on grass behind a fence, with houses far behind."""
        rng = self.rng
        for at in np.arange(s, end, 4.0):
            if self.free(at) and rng.random() < 0.85:
                self.tree(at, sign * (self.front + rng.uniform(2, 16)))
        if rng.random() < 0.7:
            tone = rng.uniform(0.08, 0.4) * np.ones(3)
            for at in np.arange(s, end, 5.0):
                if self.free(at) and self.free(at + 5):
                    ends, d = (at, min(at + 5, end)), sign * (self.front + 0.1)
                    self.put("fence", ends, (d, d), rng.uniform(1.1, 1.3), tone, self.tones[3] * 0.8)
        self.terrace(sign, s, end, self.front + 20)

    def tree(self, s: float, d: float) -> None:
        """A tree, leafless where the season of the drive says so."""
        high = self.rng.uniform(5, 11)
        half = high * self.rng.uniform(0.25, 0.4)
        through = self.tones[0] * 0.85 if self.leafless else self.leaves * 1.3
        tone = self.leaves * self.rng.uniform(0.8, 1.2)
        self.put("tree", (s, s), (d - half, d + half), high, tone, through)

    def spots(self, length: int, every: float) -> np.ndarray:
        """Draw places along the street, about `every` metres apart, none on a junction."""
        places = np.cumsum(self.rng.uniform(0.4 * every, 1.6 * every, int(length / every) + 1))
        return np.array([s for s in places if s < length and self.free(s)])

    def kerbside(self, sign: int, length: int) -> None:
        """Lamps, signs, traffic lights, railings, bins, parked cars and people, along one side."""
        rng, kerb = self.rng, sign * self.kerb
        grey = rng.uniform(0.15, 0.5) * np.ones(3)
        for s in self.spots(length, 24):
            self.pole(s, kerb + sign * 0.4, 0.22, rng.uniform(6, 8), grey)
        for s in self.spots(length, 20):
            self.pole(s, kerb + sign * rng.uniform(0.4, 1.2), 0.9, rng.uniform(2.6, 3.4), grey, SIGNS[rng.integers(5)])
        for s in self.junctions[:, 0] - 3.2:
            self.pole(s, kerb + sign * 0.5, 0.9, 3.3, grey, SIGNS[3])
            if rng.random() < 0.7:
                self.put("fence", (s - 24, s - 1), (kerb + sign * 0.3,) * 2, 1.05, grey, self.tones[2] * 0.8)
        for s in self.spots(length, 35):
            self.tree(s, sign * rng.uniform(self.kerb + 1, self.front))
        for s in self.spots(length, 40):
            d = kerb + sign * rng.uniform(0.6, 1.5)
            self.put("bin", (s, s), (d - 0.4, d + 0.4), 1.1, rng.uniform(0.05, 0.3) * np.ones(3))
        for s in self.spots(length, 70):
            for place in s + 6.2 * np.arange(rng.integers(1, 5)):
                if self.free(place) and self.free(place + 5):
                    self.car(place, kerb - sign * 0.95)
        for s in self.spots(length, 9 / self.busy):
            self.person(s, sign * rng.uniform(self.kerb + 0.5, self.front - 0.3), rng.choice((-1.3, 0, 1.3)))

    def pole(self, s: float, d: float, wide: float, high: float, tone, board=(0, 0, 0)) -> None:
        """A post, bare or with a board of some colour."""
        self.put("lamp", (s, s), (d - wide / 2, d + wide / 2), high, tone, board)

    def car(self, s: float, d: float, speed: float = 0.0, follows: bool = False) -> None:
        """A car, or a van or bus where it moves: what is towards the camera, and the flank that the camera sees."""
        rng = self.rng
        large = (follows or speed != 0) and rng.random() < 0.2
        high, half, long = (rng.uniform(2.1, 3.2), 1.1, 6.0) if large else (rng.uniform(1.4, 1.75), 0.85, 4.3)
        tone = CARS[rng.integers(len(CARS))] * rng.uniform(0.8, 1.15)
        lamps = (0.8, 0.8, 0.7) if speed < 0 else (0.5, 0.08, 0.06)
        self.put("rear", (s, s), (d - half, d + half), high, tone, lamps, speed, follows)
        flank = d - half if d > LANE else d + half
        self.put("flank", (s, s + long), (flank, flank), high, tone, speed=speed, follows=follows)

    def person(self, s: float, d: float, speed: float, crosses: bool = False) -> None:
        """A pedestrian in dark clothes, mostly."""
        coat, legs = self.rng.uniform(0.04, 0.3, (2, 3)) + (self.rng.random() < 0.25) * np.array([[0.3], [0]])
        high = self.rng.uniform(1.55, 1.85)
        self.put("walker", (s, s), (d - 0.3, d + 0.3), high, coat, legs, speed, crosses=crosses)

    def rider(self, s: float, d: float, speed: float, aside: bool = False) -> None:
        """A bicyclist, seen from behind or, at a junction, from the side."""
        half = 0.85 if aside else 0.3
        coat, rest = self.rng.uniform(0.05, 0.35, 3), self.rng.uniform(0.05, 0.2, 3)
        self.put("rider", (s, s), (d - half, d + half), 1.76, coat, rest, speed, crosses=aside)

    def traffic(self, length: int) -> None:
        """Cars in front and oncoming, bicyclists on the road, people who cross."""
        rng = self.rng
        self.car(rng.uniform(14, 30), LANE, follows=True)
        for s in np.cumsum(rng.uniform(25, 110, length // 30)):
            self.car(s, 1.6, -rng.uniform(6, 9))
        for s in self.spots(length, 55 / self.busy):
            self.rider(s, -self.kerb + 0.7, rng.uniform(1, 4))
        for s in self.spots(length, 70 / self.busy):
            self.rider(s, self.kerb - 0.7, -rng.uniform(3, 5))
        for s in self.junctions[:, 0] - 1:
            way = rng.choice((-1, 1))
            self.person(s, -way * 2.0, way * 1.3, crosses=True)
            self.rider(s + 4, way * rng.uniform(1, 6), way * 2.0, aside=True)
