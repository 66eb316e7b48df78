"""Which voxel an atom gets: formula 1, edges, collisions."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.schema import ArraySpec, LabelClass
from cryodata.prepare.labels import class_values, floor_voxel, nearest_voxel, settle, settle_all

ONE = (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("x", "origin", "voxel", "expected"),
    [
        pytest.param(5.6, 0.0, 1.0, 5, id="floor, not the nearest"),
        pytest.param(5.0, 0.0, 1.0, 5, id="on a point"),
        pytest.param(-0.1, 0.0, 1.0, -1, id="below the grid is negative, never wrapped"),
        pytest.param(5.6, 0.5, 1.0, 5, id="the origin counts before the floor"),
        pytest.param(5.6, 0.0, 0.5, 10, id="floor before division, as printed: 11 would be right"),
        pytest.param(5.6, 0.0, 2.0, 3, id="ceil after division"),
    ],
)
def test_formula_1(x: float, origin: float, voxel: float, expected: int) -> None:
    assert floor_voxel([[x, 0, 0]], (origin, 0, 0), (voxel, 1, 1)).tolist() == [[0, 0, expected]]


@pytest.mark.parametrize(("x", "expected"), [(5.49, 5), (5.5, 6), (-0.5, 0), (-0.51, -1)])
def test_the_nearest_voxel_takes_halves_upward(x: float, expected: int) -> None:
    assert nearest_voxel([[x, 0, 0]], (0, 0, 0), ONE).tolist() == [[0, 0, expected]]


def test_voxels_are_z_y_x() -> None:
    assert floor_voxel([[1.5, 2.5, 3.5]], (0, 0, 0), ONE).tolist() == [[3, 2, 1]]


def test_float64_decides_on_which_side_of_a_voxel_an_atom_lies() -> None:
    # 116.0 - 1e-9 is 116.0 in float32
    assert floor_voxel([[116.0 - 1e-9, 0, 0]], (0, 0, 0), ONE).tolist() == [[0, 0, 115]]


def test_a_shared_voxel_goes_to_the_lowest_rank_then_to_the_first() -> None:
    voxel = np.array([[0, 0, 0]] * 4, dtype=np.int32)

    assert settle(voxel, (1, 1, 1), np.array([1, 0, 0, 2])).tolist() == [1, 0, 1, 1]


def test_ca_wins_over_n_over_c() -> None:
    voxel = np.array([[0, 0, 0]] * 3 + [[1, 0, 0]] * 2, dtype=np.int32)

    columns = {
        "atom": np.array(["C", "N", "CA", "C", "N"]), "kind": np.full(5, "protein"), "state": np.zeros(5, np.uint8),
        "state_ca": np.array([255, 255, 0, 255, 255], np.uint8),
    }  # fmt: skip

    found = settle_all(voxel, columns, (2, 1, 1), "first")

    assert found["state"].tolist() == [1, 1, 0, 1, 0]
    assert found["state_ca"].tolist() == [255, 255, 0, 255, 255]


@pytest.mark.parametrize("place", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (2, 0, 0), (0, 2, 0), (0, 0, 2)])
def test_a_voxel_outside_the_grid_is_outside(place: tuple[int, int, int]) -> None:
    assert settle(np.array([place], dtype=np.int32), (2, 2, 2), np.zeros(1, np.int64)).tolist() == [2]


def test_the_corners_of_the_grid_are_inside() -> None:
    corners = np.array([[0, 0, 0], [1, 2, 3]], dtype=np.int32)

    assert settle(corners, (2, 3, 4), np.zeros(2, np.int64)).tolist() == [0, 0]


def test_a_class_comes_from_its_column_at_its_atoms() -> None:
    array = ArraySpec(
        "amino", "label", "uint8", 0, 20, "", (LabelClass(1, "ALA", "#000000"), LabelClass(8, "GLY", "#000000")),
        column="residue", atoms=("CA",),
    )  # fmt: skip
    columns = {"atom": np.array(["CA", "N", "CA", "CA"]), "residue": np.array(["GLY", "GLY", "MSE", "ALA"])}

    assert class_values(array, columns).tolist() == [8, 0, 0, 1]
