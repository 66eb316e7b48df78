"""Spheres and gaussians around atoms, against plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

from cryodata.prepare import around
from cryodata.prepare.points import BoxPoints
from cryodata.prepare.rules import LabelRule
from tests.prepare.draw.atoms import drawn, some_boxes


def sphere_loop(place: np.ndarray, values: np.ndarray, radius: float, size: np.ndarray, box: int) -> np.ndarray:
    """The class of the nearest point within a radius; of equals the last, the strongest."""
    cube = np.zeros((box, box, box), dtype=np.uint8)
    for voxel in product(range(box), repeat=3):
        nearest = math.inf
        for point, value in zip(place, values, strict=True):
            distance = math.dist(np.array(voxel) * size, point * size)
            if distance <= radius and distance <= nearest:
                nearest, cube[voxel] = distance, value
    return cube


def gaussian_loop(place: np.ndarray, values: np.ndarray, sigma: float, size: np.ndarray, box: int) -> np.ndarray:
    """For each class the highest of the gaussians that are cut at 4 sigma."""
    cube = np.zeros((3, box, box, box), dtype=np.float32)
    for voxel in product(range(box), repeat=3):
        for point, value in zip(place, values, strict=True):
            distance = math.dist(np.array(voxel) * size, point * size)
            if value and distance <= 4 * sigma:
                height = math.exp(-(distance**2) / (2 * sigma**2))
                cube[(value - 1, *voxel)] = max(cube[(value - 1, *voxel)], height)
    return cube


SIZES = [
    pytest.param(1.0, id="1 A"),
    pytest.param((0.8, 1.1, 1.3), id="of three lengths"),
    pytest.param([(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (2.0, 1.5, 1.0)], id="of each box"),
]


@pytest.mark.parametrize("text", ["sphere:1", "sphere:2.5", "gaussian:0.5", "gaussian:1"])
@pytest.mark.parametrize("voxel_size", SIZES)
def test_what_is_around_an_atom_is_found_by_plain_loops(text: str, voxel_size: Any, loops: str) -> None:
    groups, box = some_boxes(1), 7
    sizes = np.broadcast_to(np.array(voxel_size), (3, 3))
    rule = LabelRule.parse(text)

    found = drawn(text, groups, 3, box, voxel_size_zyx=voxel_size)

    for points, number in product(groups, range(3)):
        mine = points.sample == number
        for name, values in points.values.items():
            loop: Callable[..., np.ndarray] = sphere_loop if rule.kind == "sphere" else gaussian_loop
            expected = loop(points.place_zyx[mine], values[mine], rule.size, sizes[number], box)

            assert np.count_nonzero(expected) > 0
            # float32 of a product of three exponentials, against one exponential of the sum
            assert np.allclose(expected, found[name][number], rtol=2e-7 if rule.kind == "gaussian" else 0, atol=0)


@pytest.mark.parametrize("text", ["sphere:3", "gaussian:1.2"])
def test_numba_and_numpy_give_the_same_bytes(
    text: str, monkeypatch: pytest.MonkeyPatch, numpy_alone: Callable[[], None]
) -> None:
    pytest.importorskip("numba")
    groups = some_boxes(2, 5, 200, 20)
    compiled = drawn(text, groups, 5, 20)
    numpy_alone()
    monkeypatch.setattr(around, "PAIRS", 10_000)  # several chunks, also within a box

    plain = drawn(text, groups, 5, 20)

    assert all(plain[name].tobytes() == compiled[name].tobytes() for name in plain)


def test_of_two_atoms_at_the_same_distance_the_stronger_writes_the_voxel(loops: str) -> None:
    place = np.array([[2.0, 2.0, 1.0], [2.0, 2.0, 3.0], [2.0, 2.0, 1.0]])
    points = BoxPoints(place, np.zeros(3, dtype=np.int64), {"atom": np.array([3, 2, 1], dtype=np.uint8)})

    found = drawn("sphere:1", [points], 1, 5)["atom"][0]

    assert found[2, 2].tolist() == [1, 1, 1, 2, 2]


def test_the_nearest_atom_counts_though_it_has_no_class(loops: str) -> None:
    place = np.array([[2.0, 2.0, 1.0], [2.0, 2.0, 2.4]])
    points = BoxPoints(place, np.zeros(2, dtype=np.int64), {"amino": np.array([1, 0], dtype=np.uint8)})

    assert drawn("sphere:2", [points], 1, 5)["amino"][0, 2, 2].tolist() == [1, 1, 0, 0, 0]


def test_atoms_outside_the_box_are_seen_inside(loops: str) -> None:
    points = BoxPoints(np.array([[-1.5, 2.0, 2.0]]), np.zeros(1, dtype=np.int64), {"atom": np.ones(1, np.uint8)})

    assert np.argwhere(drawn("sphere:2", [points], 1, 5)["atom"][0])[:, 0].tolist() == [0] * 5
    # exp(-1.5^2 / 2)
    assert abs(drawn("gaussian:1", [points], 1, 5)["atom"][0, 0, 0, 2, 2] - 0.3246525) < 1e-7


@pytest.mark.parametrize("text", ["sphere:2", "gaussian:1"])
def test_nothing_is_written_where_the_box_leaves_the_map(text: str, loops: str) -> None:
    groups, box = some_boxes(3), 7
    low, high = np.array([[0, 0, 0], [2, 0, 1], [0, 7, 0]]), np.array([[7, 7, 7], [7, 5, 7], [7, 7, 7]])

    whole = drawn(text, groups, 3, box)
    found = drawn(text, groups, 3, box, inside=(low, high))

    for name, number in product(whole, range(3)):
        cut = np.zeros_like(whole[name][number])
        part = (..., *(slice(*bounds) for bounds in zip(low[number], high[number], strict=True)))
        cut[part] = whole[name][number][part]
        assert np.array_equal(cut, found[name][number])
