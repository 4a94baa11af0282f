"""What the camera sees: where things land in the frame, what hides what, and what the car's motion does to them."""

import numpy as np
import pytest

from sslbook.data.street_view import (
    BUILDING,
    EYE,
    FARTHEST,
    LANE,
    OTHER,
    PAINTERS,
    PAVEMENT,
    QUAD,
    ROAD,
    SKY,
    TREE,
    Camera,
    Street,
    render,
)
from sslbook.data.streets import _street

SIZE = (120, 160)
STANDING = (BUILDING, ROAD, PAVEMENT, TREE)  # of the large classes


def straight(*quads, grounds=(PAVEMENT, TREE)):
    """A straight street to the north with a few things: (kind, s0, d0, s1, d1, high), driven along at 10 m/s."""
    at = np.arange(300.0)
    rows = np.zeros(len(quads), QUAD)
    for row, (kind, *ends, high) in zip(rows, quads, strict=True):
        row["kind"], row["high"] = kind, high
        row["s0"], row["d0"], row["s1"], row["d1"] = ends
    lots = tuple((np.array([-50.0]), np.array([ground])) for ground in grounds)
    path = np.column_stack([0 * at, at, 0 * at])
    tones = np.array([(0.9, 0.9, 0.9), (0.3, 0.3, 0.3), (0.4, 0.4, 0.4), (0.2, 0.4, 0.2)])
    return Street(path, 10 + at, rows, lots, np.array([[900.0, 910.0]]), 4.0, 3.0, tones)


def pixel(camera, x, high, z):
    """Row and column at which a point, seen so far to the right and ahead, is painted."""
    column = camera.size[1] / 2 + camera.focal * x / z
    return int(np.floor(camera.horizon + camera.focal * (EYE - high) / z)), int(np.floor(column))


def test_a_wall_across_the_street_covers_its_rectangle_and_no_more():
    street = straight(("gable", 30, -2.3, 30, 0.7, 3.0))
    camera = Camera.of(street, 0.0, SIZE)
    _, classes, depth = render(street, 0.0, SIZE)
    top, left = pixel(camera, -2.3 - LANE, 3.0, 20)
    bottom, right = pixel(camera, 0.7 - LANE, 0.0, 20)
    wall = np.isclose(depth, 20) & (classes == BUILDING)
    rows, columns = np.flatnonzero(wall.any(1)), np.flatnonzero(wall.any(0))
    assert abs(rows[[0, -1]] - [top, bottom]).max() <= 1
    assert abs(columns[[0, -1]] - [left, right]).max() <= 1
    assert wall.sum() == len(rows) * len(columns)


def test_the_ground_is_road_pavement_and_lots():
    street = straight()
    camera = Camera.of(street, 0.0, SIZE)
    _, classes, depth = render(street, 0.0, SIZE)
    for d, kind in ((0, ROAD), (-3.4, ROAD), (3.4, ROAD), (-5, PAVEMENT), (6, PAVEMENT), (-9, PAVEMENT), (9, TREE)):
        row, column = pixel(camera, d - LANE, 0.0, 22)
        assert classes[row, column] == kind
        assert depth[row, column] == pytest.approx(22, abs=1.5)
    assert classes[0].tolist() == [SKY] * SIZE[1]
    assert (np.diff(depth[:, 80]) <= 0).all(), "what is lower in the frame is nearer"


def test_a_junction_is_road_from_side_to_side():
    street = straight(grounds=(TREE, TREE))
    street.junctions[:] = [[30, 45]]
    camera = Camera.of(street, 0.0, SIZE)
    classes = render(street, 0.0, SIZE)[1]
    assert [classes[pixel(camera, -8.5 - LANE, 0.0, z)] for z in (17, 25, 55)] == [TREE, ROAD, TREE]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_hides_the_farther_whatever_the_order(order):
    near, far = ("bin", 20, -2, 20, 0, 2.0), ("gable", 30, -4, 30, 2, 9.0)
    street = straight(*[(near, far)[i] for i in order])
    camera = Camera.of(street, 0.0, SIZE)
    classes = render(street, 0.0, SIZE)[1]
    assert classes[pixel(camera, -1 - LANE, 1.0, 10)] == OTHER
    assert classes[pixel(camera, -1 - LANE, 3.0, 10)] == BUILDING
    assert classes[pixel(camera, 1.5 - LANE, 2.0, 20)] == BUILDING


def test_a_front_along_the_street_comes_nearer_towards_the_edge():
    street = straight(("facade", 0, -7, 100, -7, 10))
    _, classes, depth = render(street, 0.0, SIZE)
    row = 60
    house = np.flatnonzero((classes[row] == BUILDING) & (depth[row] < 85))
    assert house[0] == 0
    assert (np.diff(depth[row, house]) > 0).all()
    ray = Camera.of(street, 0.0, SIZE).ray[house]
    assert depth[row, house] == pytest.approx((-7 - LANE) / ray, rel=1e-3)


def test_a_thing_that_the_camera_passes_is_cut_off_not_drawn_behind_it():
    street = straight(("gable", 8, LANE - 0.6, 13, LANE - 0.6, 1.5))
    right = pixel(Camera.of(street, 0.0, SIZE), -0.6, 0.0, 3)[1]
    classes = render(street, 0.0, SIZE)[1][75:]
    assert (classes[:, : right - 1] == BUILDING).all()
    assert (classes[:, right + 1 :] != BUILDING).all()
    assert (render(street, 1.0, SIZE)[1][75:] != BUILDING).all()


def test_nothing_gets_lost_between_two_columns():
    street = straight(*(("lamp", 60, d, 60, d + 0.05, 6.0) for d in np.arange(-3, 3, 0.37)))
    _, classes, depth = render(street, 0.0, SIZE)
    assert np.isclose(depth, 50).any(axis=0).sum() == len(street.quads)


def test_things_move_as_told():
    street = straight(*[("bin", 40, 0, 40, 0.6, 1.0)] * 4)
    street.quads["speed"] = [0, -5, 0, -1]
    street.quads["follows"] = [False, False, True, False]
    street.quads["crosses"] = [False, False, False, True]
    street.quads["s0"][2] = street.quads["s1"][2] = 15

    def ahead(seconds, i):
        one = straight()
        object.__setattr__(one, "quads", street.quads[i : i + 1])
        _, classes, depth = render(one, seconds, SIZE)
        return depth[classes == OTHER].mean(), np.flatnonzero((classes == OTHER).any(0)).mean()

    speed = 10.0  # metres a second: the car is at s = 10 + 10 * seconds
    assert ahead(0, 0)[0] - ahead(1, 0)[0] == pytest.approx(speed)
    assert ahead(0, 1)[0] - ahead(1, 1)[0] == pytest.approx(speed + 5)
    assert ahead(0, 2)[0] == pytest.approx(15) == ahead(1, 2)[0]
    camera = Camera.of(street, 1.4, SIZE)
    meets = camera.size[1] / 2 + camera.focal * (0.3 - LANE) / 16
    assert ahead(1.4, 3)[1] == pytest.approx(meets, abs=1), "at its own place when the car is 16 m away"


@pytest.mark.parametrize("seed", range(3))
def test_what_stands_still_is_found_again_where_the_motion_of_the_car_puts_it(seed):
    street = _street(np.random.default_rng(seed), 12.0)
    for begin, later in ((2.0, 2.3), (6.0, 7.0)):
        before, after = (Camera.of(street, seconds, SIZE) for seconds in (begin, later))
        (_, classes, depth), (_, classes2, depth2) = (render(street, seconds, SIZE) for seconds in (begin, later))
        row, column = np.nonzero(np.isin(classes, STANDING) & (depth < 60))
        z = depth[row, column].astype(float)
        x, high = z * before.ray[column], EYE - z * before.drop[row]
        cos, sin = np.cos(before.heading), np.sin(before.heading)
        x, z = after.see(before.x + cos * x + sin * z, before.z - sin * x + cos * z)
        inside = z > 4
        row2 = np.floor(after.horizon + after.focal * (EYE - high) / np.maximum(z, 1)).astype(int)
        column2 = np.floor(SIZE[1] / 2 + after.focal * x / np.maximum(z, 1)).astype(int)
        inside &= (row2 >= 0) & (row2 < SIZE[0]) & (column2 >= 0) & (column2 < SIZE[1])
        row, column, row2, column2, z = row[inside], column[inside], row2[inside], column2[inside], z[inside]
        found = np.abs(depth2[row2, column2] - z) < 0.08 * z + 0.3
        hidden = depth2[row2, column2] < z
        assert inside.sum() > 1000
        assert (found | hidden).mean() > 0.97
        assert found.mean() > 0.75
        assert (classes[row, column] == classes2[row2, column2])[found].mean() > 0.985


@pytest.mark.parametrize("kind", PAINTERS)
def test_every_painter_fills_some_of_its_rectangle_with_colours(kind):
    quad = np.zeros(1, QUAD)[0]
    quad["kind"], quad["high"], quad["d1"], quad["tone"], quad["trim"] = kind, 1.8, 1.2, 0.5, 0.3
    u, y = np.meshgrid(np.linspace(0, 1.2, 50), np.linspace(1.79, 0, 60))
    there, kinds, tones = PAINTERS[kind](u, y, quad)
    assert 0.05 < np.broadcast_to(there, u.shape).mean() <= 1
    assert np.broadcast_to(kinds, u.shape).max() <= OTHER
    assert np.broadcast_to(tones, (*u.shape, 3)).min() >= 0


def test_depth_reaches_to_the_end_of_sight():
    depth = render(straight(), 0.0, SIZE)[2]
    assert depth[0, 0] > FARTHEST >= depth[SIZE[0] // 2 + 8 :].max() > 20
