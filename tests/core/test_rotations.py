"""Rotations: proper, exact for the 24, uniform for the others, and the same for points and for voxels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from cryodata.core.rotations import (
    ROTATIONS,
    rotate_bounds,
    rotate_points,
    rotated,
    rotation_numbers,
    sample_trilinear,
    turn_points,
    uniform_rotations,
)
from cryodata.core.subgrids import cut_box

ALL = range(24)


def test_there_are_24_rotations_and_none_is_a_mirror() -> None:
    assert len({matrix.tobytes() for matrix in ROTATIONS}) == 24
    assert [round(np.linalg.det(matrix)) for matrix in ROTATIONS] == [1] * 24
    assert all(np.array_equal(matrix @ matrix.T, np.eye(3)) for matrix in ROTATIONS)


def test_the_first_rotation_changes_nothing() -> None:
    assert np.array_equal(ROTATIONS[0], np.eye(3))


def test_two_rotations_one_after_the_other_are_a_rotation() -> None:
    known = {matrix.tobytes() for matrix in ROTATIONS}

    assert {(a @ b).tobytes() for a, b in product(ROTATIONS, repeat=2)} == known


def test_a_quarter_turn_by_hand() -> None:
    # an offset (z, y, x) goes to (z, -x, y)
    number = next(n for n in ALL if ROTATIONS[n].tolist() == [[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    cube = np.arange(8).reshape(2, 2, 2)

    assert rotated(cube, number).tolist() == [[[1, 3], [0, 2]], [[5, 7], [4, 6]]]


@pytest.mark.parametrize("box", [4, 5])
@pytest.mark.parametrize("number", ALL)
def test_a_rotated_cube_holds_each_value_where_its_rotated_point_is(box: int, number: int) -> None:
    cube = np.random.default_rng(0).random((box, box, box))
    turned = rotated(cube, number)
    centre = (box - 1) / 2
    for index in product(range(box), repeat=3):
        z, y, x = ROTATIONS[number] @ (np.array(index) - centre) + centre

        assert cube[index] == turned[int(z), int(y), int(x)]
        assert rotate_points(np.array([index], dtype=float), number, box).tolist() == [[z, y, x]]


def test_rotated_arrays_are_views_and_leading_axes_stay() -> None:
    cubes = np.arange(2 * 3 * 27).reshape(2, 3, 3, 3, 3)

    turned = rotated(cubes, 13)

    assert np.shares_memory(turned, cubes)
    assert all(np.array_equal(turned[i, j], rotated(cubes[i, j], 13)) for i in range(2) for j in range(3))


def test_each_point_is_rotated_by_the_number_of_its_own() -> None:
    points = np.random.default_rng(1).uniform(-3, 35, (24, 3))

    together = rotate_points(points, np.arange(24), 32)

    assert [rotate_points(points[[n]], n, 32)[0].tolist() for n in ALL] == together.tolist()
    assert np.allclose(turn_points(points, ROTATIONS.astype(float), 32), together, rtol=0, atol=1e-12)


def test_number_0_keeps_every_bit_of_a_point() -> None:
    points = np.array([[-1e-17, 5.3, np.nextafter(12.0, 0)]])

    assert rotate_points(points, 0, 32).tobytes() == points.tobytes()


@pytest.mark.parametrize("number", ALL)
def test_rotated_bounds_hold_what_the_bounds_held(number: int) -> None:
    cube = np.zeros((6, 6, 6), dtype=bool)
    cube[1:4, 0:6, 2:3] = True

    (low,), (high,) = rotate_bounds([[1, 0, 2]], [[4, 6, 3]], [number], 6)

    expected = np.argwhere(rotated(cube, number))
    assert expected.min(axis=0).tolist() == low.tolist()
    assert (expected.max(axis=0) + 1).tolist() == high.tolist()


def test_a_number_follows_from_seed_epoch_stream_and_position() -> None:
    numbers = rotation_numbers(np.arange(24_000), 1, 2, 3)

    assert np.array_equal(numbers[500:600], rotation_numbers(np.arange(500, 600), 1, 2, 3))
    assert all(
        not np.array_equal(numbers[:100], rotation_numbers(np.arange(100), *key))
        for key in [(0, 2, 3), (1, 0, 3), (1, 2, 0)]
    )
    # 1,000 each, standard deviation 31
    assert np.all(np.abs(np.bincount(numbers, minlength=24) - 1000) < 5 * 31)


def test_the_numbers_are_fixed_for_all_time() -> None:
    # a state stored by an older version must find the same rotations
    assert rotation_numbers(np.arange(8), 0, 0, 0).tolist() == [3, 14, 23, 11, 9, 0, 8, 5]


def test_full_rotations_are_proper() -> None:
    matrices = uniform_rotations(np.arange(1000), 0, 0, 0)

    assert np.allclose(matrices @ np.swapaxes(matrices, 1, 2), np.eye(3), rtol=0, atol=1e-14)
    assert np.allclose(np.linalg.det(matrices), 1, rtol=0, atol=1e-14)
    assert np.array_equal(matrices[7], uniform_rotations(7, 0, 0, 0))


def test_full_rotations_are_uniform() -> None:
    matrices = uniform_rotations(np.arange(60_000), 5, 0, 0)
    # the angle of a uniform rotation has the distribution function (a - sin a) / pi on [0, pi] (Haar measure of SO(3))
    angle = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1))
    spread = np.sort((angle - np.sin(angle)) / np.pi)
    # each column is uniform on the sphere: so is each of its components on [-1, 1] (Archimedes)
    components = np.sort((matrices + 1) / 2, axis=0)
    even = (np.arange(60_000) + 0.5) / 60_000

    # Kolmogorov's distance exceeds 1.95 / sqrt(n) once in a thousand
    assert np.abs(spread - even).max() < 1.95 / np.sqrt(60_000)
    assert np.abs(components - even[:, None, None]).max() < 1.95 / np.sqrt(60_000)


def trilinear(volume: np.ndarray, z: float, y: float, x: float) -> float:
    """One point, by the eight voxels around it; 0 outside."""
    total = 0.0
    low = np.floor([z, y, x]).astype(int)
    for step in product((0, 1), repeat=3):
        corner = low + step
        if np.all(corner >= 0) and np.all(corner < volume.shape):
            total += volume[tuple(corner)] * np.prod(1 - np.abs(np.array([z, y, x]) - corner))
    return total


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("centre", [(7.5, 6.5, 5.5), (0.5, 11.2, 20.0)], ids=["inside", "at an edge"])
def test_the_sampler_interpolates_where_the_turned_voxels_come_from(dtype: type, centre: tuple[float, ...]) -> None:
    box = 6
    volume = np.random.default_rng(3).random((14, 13, 12)).astype(dtype)
    matrix = uniform_rotations(4, 0, 0, 0)

    found = sample_trilinear(volume, centre, matrix, box)

    assert found.dtype == np.float32
    for index in product(range(box), repeat=3):
        place = np.array(centre) + matrix.T @ (np.array(index) - (box - 1) / 2)
        assert abs(trilinear(volume.astype(float), *place) - found[index]) < 1e-6


@pytest.mark.parametrize("start", [(2, 3, 4), (-6, 10, -3), (40, 0, 0)], ids=["inside", "at an edge", "outside"])
@pytest.mark.parametrize("number", [0, 5, 23])
def test_the_sampler_agrees_with_the_24(number: int, start: tuple[int, int, int]) -> None:
    volume = np.random.default_rng(4).random((20, 21, 22)).astype(np.float16)

    found = sample_trilinear(volume, np.array(start) + 7.5, ROTATIONS[number], 16)

    assert np.array_equal(rotated(cut_box(volume, start, 16).astype(np.float32), number), found)


def test_a_turned_blob_lies_where_its_turned_point_is() -> None:
    box, blob = 32, np.array([20.0, 11.0, 24.0])
    grid = np.stack(np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij"), axis=-1)
    volume = np.exp(-((grid - blob) ** 2).sum(axis=-1) / 8).astype(np.float32)
    matrix = uniform_rotations(9, 0, 0, 0)

    found = sample_trilinear(volume, np.array([4, 2, 6]) + 15.5, matrix, box).astype(float)

    voxels = np.stack(np.meshgrid(*[np.arange(float(box))] * 3, indexing="ij"), axis=-1)
    centre_of_mass = (voxels * found[..., None]).sum(axis=(0, 1, 2)) / found.sum()
    expected = turn_points((blob - [4, 2, 6])[None], matrix, box)[0]
    assert np.allclose(expected, centre_of_mass, rtol=0, atol=0.01)
