"""From atoms to voxels: which voxel an atom belongs to, and who gets it when two want one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints
from cryodata.core.model import AtomicModel
from cryodata.core.schema import ArraySpec
from cryodata.core.volume import FloatArray

WRITTEN, LOST, OUTSIDE = 0, 1, 2
"state of a point: in its voxel; its voxel went to another atom; its voxel is not in the grid"

NOT_CA = 255
"state_ca of an atom that is no C-alpha"

PRIORITY = {"CA": 0, "N": 1, "C": 2}
"who wins a shared voxel, lowest first"

Voxels = npt.NDArray[np.int32]
VoxelRule = Callable[[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike], Voxels]


def floor_voxel(xyz: npt.ArrayLike, origin_xyz: npt.ArrayLike, voxel_size_xyz: npt.ArrayLike) -> Voxels:
    """The published rule, ceil(floor(c - origin) / voxel) per axis (Cryo2StructData, formula 1).

    It takes a voxel for a cell that begins at its grid point, so it shifts labels by half a voxel toward the
    origin on average. xyz: float64 (n, 3), A. Returns int32 (n, 3), z, y, x; may lie outside the grid.
    """
    offset = np.floor(np.asarray(xyz, dtype=np.float64) - np.asarray(origin_xyz, dtype=np.float64))
    voxel_xyz: Voxels = np.asarray(np.ceil(offset / np.asarray(voxel_size_xyz, dtype=np.float64)), dtype=np.int32)
    return voxel_xyz[:, ::-1]


def nearest_voxel(xyz: npt.ArrayLike, origin_xyz: npt.ArrayLike, voxel_size_xyz: npt.ArrayLike) -> Voxels:
    """The voxel whose centre is nearest, halves upward; arguments and result as `floor_voxel`."""
    offset = np.asarray(xyz, dtype=np.float64) - np.asarray(origin_xyz, dtype=np.float64)
    voxel_xyz: Voxels = np.asarray(
        np.floor(offset / np.asarray(voxel_size_xyz, dtype=np.float64) + 0.5), dtype=np.int32
    )
    return voxel_xyz[:, ::-1]


VOXEL_RULES: Mapping[str, VoxelRule] = {"floor": floor_voxel, "nearest": nearest_voxel}


def place_points(
    model: AtomicModel, shape_zyx: tuple[int, int, int], origin_xyz: FloatArray, voxel_size_xyz: FloatArray, rule: str
) -> LabelPoints:
    """Give each labelled atom its voxel and its state.

    model: the labelled atoms (N, CA, C of protein residues). rule: a key of VOXEL_RULES. Every atom is written,
    lost or outside: nothing wraps around and nothing is dropped.
    """
    voxel = VOXEL_RULES[rule](model.xyz, origin_xyz, voxel_size_xyz)
    return LabelPoints(model, voxel, *settle_all(voxel, model.atom, shape_zyx))


def settle_all(
    voxel_zyx: Voxels, atom: npt.NDArray[Any], shape_zyx: tuple[int, int, int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """State of each point among all atoms, and among the C-alphas alone; uint8 (n,) each.

    atom: names, (n,). Order among equals is the order of the rows.
    """
    is_ca = atom == "CA"
    rank = np.select([atom == name for name in PRIORITY], list(PRIORITY.values()), default=len(PRIORITY))
    state_ca = np.full(len(atom), NOT_CA, dtype=np.uint8)
    state_ca[is_ca] = settle(voxel_zyx[is_ca], shape_zyx, rank[is_ca])
    return settle(voxel_zyx, shape_zyx, rank), state_ca


def settle(voxel_zyx: Voxels, shape_zyx: tuple[int, int, int], rank: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """State of each point when every voxel goes to its lowest rank, the first in order among equals; uint8 (n,)."""
    shape = np.asarray(shape_zyx)
    state = np.full(len(voxel_zyx), OUTSIDE, dtype=np.uint8)
    rows = np.flatnonzero(np.all((voxel_zyx >= 0) & (voxel_zyx < shape), axis=1))
    if not len(rows):
        return state
    flat = np.asarray(np.ravel_multi_index(voxel_zyx[rows].astype(np.int64).T, shape_zyx))
    order = np.lexsort((rows, rank[rows], flat))
    first = np.r_[True, np.diff(flat[order]) != 0]
    state[rows] = LOST
    state[rows[order[first]]] = WRITTEN
    return state


def class_values(array: ArraySpec, columns: Mapping[str, npt.NDArray[np.generic]]) -> npt.NDArray[np.uint8]:
    """Voxel value that each point would write into a label array, uint8 (n,); 0 where it carries none.

    columns: atoms-table columns by name, at least `atom`, the array's `column`.
    """
    source = columns[array.column]
    if source.dtype.kind in "iu":
        values = source.astype(np.uint8)
    else:
        values = np.fromiter(map(array.values.get, source.tolist(), repeat(0)), dtype=np.uint8, count=len(source))
    carries = np.isin(columns["atom"], array.atoms) if array.atoms else np.ones(len(values), dtype=np.bool_)
    return np.where(carries, values, 0).astype(np.uint8)


def label_volume(array: ArraySpec, points: LabelPoints, shape_zyx: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """A label array written from its points, uint8 (nz, ny, nx)."""
    model = points.model
    columns = {"atom": model.atom, "residue": model.residue, "secondary": model.secondary}
    values = class_values(array, columns)
    state = {"state": points.state, "state_ca": points.state_ca}[array.state]
    volume = np.zeros(shape_zyx, dtype=np.uint8)
    written = state == WRITTEN
    volume[tuple(points.voxel_zyx[written].T)] = values[written]
    return volume
