"""What a camera in a moving car sees of a drawn street: colours, the class of each pixel, and how far away it is.

A street has coordinates of its own: s along the middle of the road and d to the right of it, in metres. Everything that
stands on it is an upright rectangle (`QUAD`) with a painter, which says where in the rectangle the thing is, of which
class and colour; a box such as a car is two of them. The nearest surface wins, so masks are exact.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .camvid import CLASSES

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(len(CLASSES))
OTHER = len(CLASSES)  # a thing of no class, as litter bins are
NEAREST, FARTHEST = 0.8, 130.0  # metres that the camera sees
EYE = 1.4  # metres of the camera above the road
LARGE = ("facade", "gable", "tree")  # other things are seen half as far
LANE = -1.3  # metres to the right of the middle of the road; they drive on the left
QUAD = np.dtype(
    [
        *((name, "f8") for name in "s0 d0 s1 d1 high speed".split()),
        *((name, "?") for name in ("follows", "crosses")),
        ("kind", "U8"),
        ("phase", "f8"),
        ("tone", "f4", 3),
        ("trim", "f4", 3),
    ]
)
Painted = tuple[np.ndarray, np.ndarray | int, np.ndarray]


@dataclass(frozen=True)
class Street:
    """A street, and the car that drives along it.

    Parameters
    ----------
    path : float64 array (m, 3), x, z and heading of the middle of the road at s = 0, 1, 2 ... metres.
    travelled : float64 array (k,), s of the car at 0, 0.1, 0.2 ... seconds.
    quads : array of `QUAD`; the ends (s0, d0) and (s1, d1), the height, metres per second (along s; `crosses`: along d,
        from the moment the car is 16 m away; `follows`: s counts from the car), kind, a phase, and two colours.
    lots : for the left and for the right, s where each lot begins, ascending, and the class of its ground.
    junctions : float64 array (j, 2), from and to.
    half_width, pavement : metres.
    tones : colours of sky, road, pavement and lots' grass, float (4, 3).
    """

    path: np.ndarray
    travelled: np.ndarray
    quads: np.ndarray
    lots: tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    junctions: np.ndarray
    half_width: float
    pavement: float
    tones: np.ndarray

    def at(self, seconds: float) -> float:
        """Return s of the car, in metres."""
        return np.interp(seconds, np.arange(len(self.travelled)) / 10, self.travelled)

    def place(self, s: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return x and z on the map of points of the street."""
        at = np.arange(len(self.path))
        x, z, heading = (np.interp(s, at, column) for column in self.path.T)
        return x + d * np.cos(heading), z - d * np.sin(heading)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; pixel (row, column) looks at x = z * ray[column], height = EYE - z * drop[row].

    Parameters
    ----------
    x, z, heading : where it stands on the map, and looks.
    focal : pixels.
    horizon : row.
    size : height and width, pixels.
    """

    x: float
    z: float
    heading: float
    focal: float
    horizon: float
    size: tuple[int, int]

    @classmethod
    def of(cls, street: Street, seconds: float, size: tuple[int, int]) -> "Camera":
        """Return the camera of the car at a time."""
        s = street.at(seconds)
        x, z = street.place(s, LANE)
        heading = np.interp(s, np.arange(len(street.path)), street.path[:, 2])
        nod = 0.008 * np.sin(1.7 * seconds) + 0.004 * np.sin(5.1 * seconds)
        return cls(float(x), float(z), float(heading), 1.02 * size[1], (0.53 + nod) * size[0], size)

    @cached_property
    def ray(self) -> np.ndarray:
        """Sideways metres per metre of depth, of each column."""
        return (np.arange(self.size[1]) + 0.5 - self.size[1] / 2) / self.focal

    @cached_property
    def drop(self) -> np.ndarray:
        """Downward metres per metre of depth, of each row."""
        return (np.arange(self.size[0]) + 0.5 - self.horizon) / self.focal

    def see(self, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how far to the right and how far ahead of the camera points of the map are."""
        x, z, cos, sin = x - self.x, z - self.z, np.cos(self.heading), np.sin(self.heading)
        return cos * x - sin * z, sin * x + cos * z


def render(street: Street, seconds: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw what the camera sees at a time, in clear air.

    Returns
    -------
    colours float32 (height, width, 3), 0 to 1; classes uint8 (height, width), up to `OTHER`; depth float32, metres
    """
    camera = Camera.of(street, seconds, size)
    canvas = _far_away(street, camera)
    _paint_ground(street, street.at(seconds), camera, canvas)
    s, d = _ends(street, seconds)
    x, z = camera.see(*street.place(s, d))
    for i, window in _windows(street.quads, x, z, camera):
        _paint_quad(street.quads[i], x[:, i], z[:, i], camera, window, canvas)
    return canvas


def _ends(street: Street, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return s and d of both ends of all rectangles at a time, float64 (2, quads)."""
    quads, here = street.quads, street.at(seconds)
    s, d = np.stack([quads["s0"], quads["s1"]]), np.stack([quads["d0"], quads["d1"]])
    meets = np.interp(quads["s0"] - 16, street.travelled, np.arange(len(street.travelled)) / 10)
    walked = quads["speed"] * np.where(quads["crosses"], seconds - meets, seconds)
    s = s + np.where(quads["crosses"], 0, walked) + np.where(quads["follows"], here, 0)
    return s, d + np.where(quads["crosses"], walked, 0)


def _far_away(street: Street, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a canvas with the sky, and the roofs and trees of the town beyond the street."""
    drop, ray = camera.drop[:, None], camera.ray[None]
    bearing = camera.heading + np.arctan(ray)
    clouds = np.sin(9 * bearing + 25 * drop) * np.sin(31 * bearing - 14 * drop) * np.clip(-drop * 4, 0, 1)
    shade = np.clip(1.02 + 0.5 * drop + 0.05 * clouds, 0, 1)
    colours = (shade[..., None] * street.tones[0]).astype(np.float32)
    classes = np.full(camera.size, SKY, np.uint8)
    cell = np.floor(bearing * 30)
    wooded = grain(np.floor(cell / 3), 7) > 0.5
    roof = 0.02 + 0.045 * grain(cell, 3) + wooded * 0.012 * np.sin(bearing * 160)
    town = np.broadcast_to(-drop < roof, camera.size)
    classes[town] = np.broadcast_to(np.where(wooded, TREE, BUILDING), camera.size)[town]
    tone = np.where(wooded[..., None], [0.33, 0.34, 0.3], [0.42, 0.4, 0.4]) + 0.12 * grain(cell, 5)[..., None]
    colours[town] = np.broadcast_to(tone, colours.shape)[town]
    return colours, classes, np.full(camera.size, FARTHEST * 1.5, np.float32)


def grain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a number from 0 to 1 for each pair of whole numbers, the same whenever it is asked for."""
    return np.modf(np.abs(np.sin(a * 12.9898 + b * 78.233) * 43758.5453))[0]


def _paint_ground(street: Street, here: float, camera: Camera, canvas: tuple) -> None:
    """Paint road, pavements and lots below the horizon, as far as the camera sees."""
    colours, classes, depth = canvas
    top = np.searchsorted(camera.drop, EYE / FARTHEST)
    z = EYE / camera.drop[top:]
    ahead = here + np.arange(-2.0, FARTHEST + 12, 2)
    x_mid, z_mid = camera.see(*street.place(ahead, np.zeros(len(ahead))))
    turn = np.interp(ahead, np.arange(len(street.path)), street.path[:, 2]) - camera.heading
    x_row, s_row, turn_row = (np.interp(z, z_mid, values)[:, None] for values in (x_mid, ahead, turn))
    off = z[:, None] * camera.ray[None] - x_row
    s, d = s_row + off * np.sin(turn_row), off * np.cos(turn_row)
    kinds, tones = _ground(street, s, d)
    classes[top:], colours[top:], depth[top:] = kinds, tones, z[:, None]


def _ground(street: Street, s: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return class and colour of points on the ground."""
    side = np.abs(d) - street.half_width
    kinds = np.full(s.shape, ROAD)
    for sign, (begins, grounds) in zip((-1, 1), street.lots, strict=True):
        lot = grounds[np.clip(np.searchsorted(begins, s) - 1, 0, len(begins) - 1)]
        kinds = np.where(sign * d > street.half_width, np.where(side < street.pavement, PAVEMENT, lot), kinds)
    begin, end = street.junctions.T
    nth = np.clip(np.searchsorted(begin, s) - 1, 0, None)
    crossing = (s > begin[nth]) & (s < end[nth])
    kinds = np.where(crossing, ROAD, kinds)
    tones = street.tones[np.choose(kinds, [0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 0])]
    worn = 0.8 + 0.24 * grain(np.floor(s * 0.4), np.floor(d * 0.7)) + 0.1 * grain(np.floor(s * 3), np.floor(d * 3))
    slabs = np.where((kinds == PAVEMENT) & ((s % 1.2 < 0.12) | (d % 0.8 < 0.08)), 0.8, 1)
    tones = tones * (worn * slabs)[..., None]
    kerb = (np.abs(side - 0.08) < 0.08) & ~crossing
    middle = (np.abs(d) < 0.09) & (s % 6 < 3)
    yellow = (np.abs(side + 0.3) < 0.06) & ~crossing
    stop = crossing & (s < begin[nth] + 0.5) & (d < 0) & (side < 0)
    zebra = (s % 90 < 3) & (side < 0) & (d % 1.2 < 0.6)
    tones[kerb] *= 1.35
    tones[(middle & ~crossing) | stop | zebra] = 0.78
    tones[yellow] = 0.25 * tones[yellow] + [0.42, 0.36, 0.12]
    return kinds, tones


def _windows(
    quads: np.ndarray, x: np.ndarray, z: np.ndarray, camera: Camera
) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield the number of each rectangle that is in view, and its rows and columns of the frame; the nearest first."""
    near = np.maximum(z, NEAREST)
    run = np.where(z[1] == z[0], 1, z[1] - z[0])
    edge = camera.size[1] / 2 + camera.focal * (x + (near - z) / run * (x[1] - x[0])) / near
    middle, half = edge.mean(axis=0), np.maximum(np.abs(edge[1] - edge[0]) / 2, 0.5)  # no thing is lost between columns
    left, right = np.clip(np.ceil([middle - half - 0.5, middle + half - 0.5]), 0, camera.size[1]).astype(np.int64)
    top = np.searchsorted(camera.drop, ((EYE - quads["high"]) / near).min(axis=0))
    bottom = np.searchsorted(camera.drop, EYE / near.min(axis=0))
    far = np.where(np.isin(quads["kind"], LARGE), FARTHEST, FARTHEST / 2)
    seen = (z.max(axis=0) > NEAREST) & (near.min(axis=0) < far) & (left < right) & (top < bottom)
    for i in np.flatnonzero(seen)[np.argsort(near.min(axis=0)[seen])]:
        yield int(i), (slice(top[i], bottom[i]), slice(left[i], right[i]))


def _paint_quad(
    quad: np.void, x: np.ndarray, z: np.ndarray, camera: Camera, window: tuple[slice, slice], canvas: tuple
) -> None:
    """Paint one upright rectangle, from (x[0], z[0]) to (x[1], z[1]), where nothing nearer is."""
    colours, classes, depth = (part[window] for part in canvas)
    if depth.max() < z.min():
        return
    ray = camera.ray[window[1]]
    part = np.clip((ray * z[0] - x[0]) / (x[1] - x[0] - ray * (z[1] - z[0]) + 1e-9), 0, 1)
    distance = np.maximum(z[0] + part * (z[1] - z[0]), NEAREST)
    up = EYE - camera.drop[window[0], None] * distance
    along = np.broadcast_to(part * _length(quad), up.shape)
    there, kinds, tones = PAINTERS[str(quad["kind"])](along, up, quad)
    there = there & (up >= 0) & (up < quad["high"]) & (distance < depth)
    np.copyto(classes, kinds, where=there, casting="unsafe")
    np.copyto(depth, distance, where=there, casting="unsafe")
    np.copyto(colours, tones, where=there[..., None], casting="unsafe")


# ------------------------------------------------------------------------------------------------------------ painters
# Each gets u, metres along the rectangle, and y, metres above the ground, both (rows, columns), and the rectangle.


def _length(quad: np.void) -> float:
    return float(np.hypot(quad["s1"] - quad["s0"], quad["d1"] - quad["d0"]))


def _mixed(where: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.where(where[..., None], one, other)


def _facade(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A house: rows of windows, a shop on the ground floor of some, with its name above."""
    phase, high = quad["phase"], quad["high"]
    bay, floor = 1.8 + 1.6 * (phase % 1), 2.8 + 0.5 * (phase * 7 % 1)
    shop = phase % 0.3 > 0.14
    upper = (u % bay > 0.3 * bay) & (u % bay < 0.72 * bay) & (y % floor > 0.3 * floor) & (y % floor < 0.75 * floor)
    below = y < floor
    pane = np.where(below & shop, (u % (2 * bay) > 0.3) & (y > 0.5) & (y < 0.8 * floor), upper & (y < high - 0.5))
    blind = grain(np.floor(u / bay) + np.floor(phase * 50), np.floor(y / floor))
    glass = np.where(blind > 0.75, 0.55, 0.1 + 0.2 * blind)[..., None] * [0.95, 1.0, 1.05]
    courses = 0.92 + 0.16 * grain(np.floor(u * 2), np.floor(y * 3) + np.floor(phase * 30))
    tones = _mixed(pane, glass, quad["tone"] * (courses - 0.2 * (y > high - 0.4))[..., None])
    named = shop & (y > 0.83 * floor) & (y < 1.08 * floor)
    letters = named & (grain(np.floor(u * 4), np.floor(phase * 90)) > 0.6) & (np.abs(y - 0.95 * floor) < 0.15)
    tones = _mixed(named, _mixed(letters, 1 - quad["trim"], quad["trim"]), tones)
    return np.full(u.shape, True), np.where(named & (phase * 13 % 1 > 0.5), SIGN, BUILDING), tones


def _gable(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    courses = 0.72 + 0.12 * grain(np.floor(u * 2), np.floor(y * 3))
    return np.full(u.shape, True), BUILDING, quad["tone"] * courses[..., None]


def _tree(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A trunk and a crown of ragged outline, through which the sky is seen in winter (`trim` is what is seen)."""
    half, high, phase = _length(quad) / 2, quad["high"], quad["phase"]
    right, up = (u - half) / half, (y - 0.62 * high) / (0.38 * high)
    angle = np.arctan2(up, right)
    ragged = 0.82 + 0.1 * np.sin(5 * angle + 40 * phase) + 0.08 * np.sin(11 * angle + 90 * phase)
    crown = right**2 + up**2 < ragged**2
    leaves = grain(np.floor(u * 4), np.floor(y * 4))
    tones = _mixed(leaves > 0.62, quad["trim"], quad["tone"] * (0.6 + 0.7 * leaves)[..., None])
    trunk = (np.abs(u - half) < 0.04 * high) & (y < 0.7 * high)
    return crown | trunk, TREE, _mixed(crown, tones, np.float32([0.2, 0.18, 0.16]))


def _lamp(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A post, with an arm where it is a tall one; on it hangs a sign or a traffic light where `trim` is not black."""
    half, high = _length(quad) / 2, quad["high"]
    post = (np.abs(u - half) < 0.1) | (_length(quad) < 0.3)
    arm = (y > high - 0.25) & (quad["trim"].sum() == 0)
    board = (y > high - 0.9) & (quad["trim"].sum() > 0)
    round_one = (u - half) ** 2 + (y - high + 0.45) ** 2 < 0.2
    board = board & (round_one if quad["phase"] < 0.5 else np.abs(u - half) < 0.4)
    inner = np.hypot(u - half, y - high + 0.45) < 0.28
    tones = _mixed(board, _mixed(inner, 0.4 + 0.5 * (1 - quad["trim"]), quad["trim"]), quad["tone"])
    return post | arm | board, np.where(board, SIGN, POLE), tones


def _fence(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """Railings; what is between the bars (`trim`) counts as fence, as it does for annotators."""
    bars = (u % 0.5 < 0.2) | (y > quad["high"] - 0.15)
    return np.full(u.shape, True), FENCE, _mixed(bars, quad["tone"], quad["trim"])


def _rear(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A car from behind (or from the front): window, lamps, bumper, wheels."""
    half, high = _length(quad) / 2, quad["high"]
    off, up = np.abs(u - half) / half, y / high
    body = (up > 0.14) | ((off > 0.6) & (off < 0.95) & (up < 0.3))
    window = (up > 0.6) & (up < 0.92) & (off < 0.72)
    lamps = (off > 0.72) & (up > 0.38) & (up < 0.55)
    dark = (up < 0.24) | window
    tones = _mixed(dark, np.float32([0.09, 0.1, 0.12]), quad["tone"] * (0.75 + 0.3 * up)[..., None])
    return body, CAR, _mixed(lamps, quad["trim"], tones)


def _flank(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A car from the side."""
    along, up = u / _length(quad), y / quad["high"]
    low = (up > 0.14) & (up < 0.6)
    front = 0.97 if quad["high"] > 2 else 0.75 - 0.5 * (up - 0.6)
    cabin = (up >= 0.6) & (along >= 0.05 * (up - 0.6)) & (along < front)
    wheels = np.minimum(np.abs(along - 0.2), np.abs(along - 0.8)) ** 2 * 16 + (up - 0.22) ** 2 < 0.05
    window = cabin & (up > 0.65) & (up < 0.92) & (along > 0.06)
    tones = quad["tone"] * (0.8 + 0.2 * up)[..., None]
    return low | cabin | wheels, CAR, _mixed(window | wheels, np.float32([0.08, 0.09, 0.1]), tones)


def _walker(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A pedestrian: head, coat, two legs."""
    off, up = u / _length(quad) - 0.5, y / quad["high"]
    head = off**2 * 0.4 + (up - 0.93) ** 2 < 0.0045
    coat = (np.abs(off) < 0.36) & (up > 0.45) & (up < 0.87)
    legs = (up <= 0.45) & (np.abs(np.abs(off) - 0.3 * (0.6 - up) * (0.5 + quad["phase"])) < 0.15)
    tones = _mixed(head, np.float32([0.5, 0.38, 0.32]), _mixed(coat, quad["tone"], quad["trim"]))
    return head | coat | legs, PEDESTRIAN, tones


def _rider(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    """A bicyclist with the bicycle, from behind or from the side as the rectangle stands."""
    off, wide = u - _length(quad) / 2, _length(quad) > 1
    head = off**2 + (y - 1.62) ** 2 < 0.02
    back = (np.abs(off - (0.15 if wide else 0) * (y - 1.1)) < 0.26) & (y > 0.85) & (y < 1.52)
    wheels = (np.abs(off) - 0.5) ** 2 + (y - 0.34) ** 2 < 0.11 if wide else (np.abs(off) < 0.07) & (y < 0.9)
    legs = (np.abs(np.abs(off) - 0.12) < 0.09) & (y > 0.25) & (y <= 0.9)
    frame = (np.abs(off) < 0.5) & (np.abs(y - 0.62) < 0.06) if wide else (np.abs(off) < 0.28) & (np.abs(y - 1) < 0.06)
    tones = _mixed(head, np.float32([0.5, 0.38, 0.32]), _mixed(back, quad["tone"], quad["trim"]))
    return head | back | wheels | legs | frame, BICYCLIST, tones


def _bin(u: np.ndarray, y: np.ndarray, quad: np.void) -> Painted:
    return np.full(u.shape, True), OTHER, np.broadcast_to(quad["tone"], (*u.shape, 3))


PAINTERS: dict[str, Callable[[np.ndarray, np.ndarray, np.void], Painted]] = {
    "facade": _facade, "gable": _gable, "tree": _tree, "lamp": _lamp, "fence": _fence, "rear": _rear,
    "flank": _flank, "walker": _walker, "rider": _rider, "bin": _bin,
}  # fmt: skip
