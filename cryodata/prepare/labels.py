"""From atoms to voxels: which voxel an atom belongs to, and who gets it when two want one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints
from cryodata.core.schema import IGNORE, ArraySpec, Schema
from cryodata.core.texts import Texts
from cryodata.core.volume import FloatArray, LabelVoxels

WRITTEN, LOST, OUTSIDE = 0, 1, 2
"state of a point: in its voxel; its voxel went to another atom; its voxel is not in the grid"

UNLABELLED = 255
"state of an atom that no label takes, and state_ca of one that is no C-alpha"

NAMED = ("CA", "N", "C", "O")
"atoms of protein that win a shared voxel, the strongest first"

RANK = {"nucleic": 4, "ligand": 5, "ion": 5, "glycan": 5, "protein": 6, "water": 7}
"who wins a shared voxel, lowest first, behind NAMED; 8 for anything else"

Columns = Mapping[str, Any]
"of the atoms table by name: arrays (n,) or (n, 3), or `Texts`"

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
    atoms: LabelPoints, schema: Schema, shape_zyx: tuple[int, int, int], origin_xyz: FloatArray,
    voxel_size_xyz: FloatArray,
) -> LabelPoints:  # fmt: skip
    """Give each atom its voxel and its state, by the labels and rules of a schema.

    atoms: of the molecule; their voxels and states are what they were born with. Every atom that a label takes is
    written, lost or outside: nothing wraps around and nothing is dropped.
    """
    voxel = VOXEL_RULES[schema.voxel_rule](atoms.model.xyz, origin_xyz, voxel_size_xyz)
    state, state_ca = claims(schema.labels, atoms.columns, schema.collisions)
    placed = replace(atoms, voxel_zyx=voxel, state=state, state_ca=state_ca)
    settled = settle_all(voxel, placed.columns, shape_zyx, schema.collisions)
    return replace(placed, state=settled["state"], state_ca=settled["state_ca"])


def voxel_columns(labels: Sequence[ArraySpec]) -> set[str]:
    """Columns of the atoms table that labels are written from by the stored voxels, their states aside."""
    needed = {"atom", "voxel_zyx"}  # by the first of them the atoms are counted
    for array in labels:
        needed.add(array.column)
        needed.update(name for name, wanted in (("kind", array.kinds), ("part", array.parts)) if wanted)
        needed.update(["q_score"] if array.ignore_below else [])
    return needed


def carried(array: ArraySpec, columns: Columns) -> npt.NDArray[np.bool_]:
    """Which atoms carry a label, whatever their class; bool (n,)."""
    mask = np.ones(len(columns["atom"]), dtype=np.bool_)
    for name, wanted in (("atom", array.atoms), ("kind", array.kinds), ("part", array.parts)):
        if wanted:
            column = columns[name]
            mask &= column.isin(wanted) if isinstance(column, Texts) else np.isin(column, wanted)
    return mask


def claims(
    labels: Sequence[ArraySpec], columns: Columns, collisions: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """State of each atom before its voxel is known: WRITTEN if a label takes it, else UNLABELLED; and the same of the
    C-alphas, which are counted whether a label takes them or not. uint8 (n,) each.
    """
    taken = np.zeros(len(columns["atom"]), dtype=np.bool_)
    for array in labels:
        taken |= carried(array, columns)
    is_ca = np.asarray(columns["atom"]) == "CA"
    if collisions == "first":
        is_ca &= np.asarray(columns["kind"]) == "protein"
    state, state_ca = (np.where(mask, WRITTEN, UNLABELLED).astype(np.uint8) for mask in (taken, is_ca))
    return state, state_ca


def settle_all(
    voxel_zyx: Voxels, columns: Columns, shape_zyx: tuple[int, int, int], collisions: str
) -> dict[str, npt.NDArray[np.uint8]]:
    """State of each atom among all that labels take, and `state_ca` among the C-alphas alone; uint8 (n,) each.

    columns: of the atoms table; an atom is in the one or the other where its state is not UNLABELLED.
    """
    rank, result = ranks(columns, collisions), {}
    for name in ("state", "state_ca"):
        rows = np.flatnonzero(columns[name] != UNLABELLED)
        result[name] = np.full(len(rank), UNLABELLED, dtype=np.uint8)
        result[name][rows] = settle(voxel_zyx[rows], shape_zyx, rank[rows], collisions == "last")
    return result


def ranks(columns: Columns, collisions: str) -> npt.NDArray[np.int64]:
    """Who wins a shared voxel, lowest first, int64 (n,)."""
    atom, kind = np.asarray(columns["atom"]), np.asarray(columns["kind"])
    if collisions == "last":  # the scripts look at names alone
        rank = np.where(np.isin(atom, NAMED[:3]), 0, len(NAMED))
    else:
        protein = kind == "protein"
        rank = np.select([protein & (atom == name) for name in NAMED], range(len(NAMED)), default=len(NAMED))
    others = np.flatnonzero(rank == len(NAMED))
    if len(others):
        found = [kind[others] == name for name in RANK]
        rank[others] = np.select(found, list(RANK.values()), default=max(RANK.values()) + 1)
    return np.asarray(rank, dtype=np.int64)


def settle(
    voxel_zyx: Voxels, shape_zyx: tuple[int, int, int], rank: npt.NDArray[np.int64], last: bool = False
) -> npt.NDArray[np.uint8]:
    """State of each point when every voxel goes to its lowest rank, among equals to the first in order, or to the last;
    uint8 (n,)."""
    shape = np.asarray(shape_zyx)
    state = np.full(len(voxel_zyx), OUTSIDE, dtype=np.uint8)
    rows = np.flatnonzero(np.all((voxel_zyx >= 0) & (voxel_zyx < shape), axis=1))
    if not len(rows):
        return state
    flat = np.asarray(np.ravel_multi_index(voxel_zyx[rows].astype(np.int64).T, shape_zyx))
    order = np.lexsort((-rows if last else rows, rank[rows], flat))
    first = np.r_[True, np.diff(flat[order]) != 0]
    state[rows] = LOST
    state[rows[order[first]]] = WRITTEN
    return state


def class_values(array: ArraySpec, columns: Columns) -> npt.NDArray[np.uint8]:
    """Voxel value that each point would write into a label array, uint8 (n,); 0 where it carries none.

    columns: atoms-table columns by name: `atom`, `kind`, `part`, the array's `column`, and `q_score` if it ignores
    residues. IGNORE where the residue's Q-score is too low; one that was not measured is not.
    """
    rows = np.flatnonzero(carried(array, columns))
    source, values = columns[array.column][rows], np.zeros(len(columns["atom"]), dtype=np.uint8)
    if isinstance(source, Texts):
        source = source.looked_up(array.values)
    elif source.dtype.kind not in "iu":
        source = np.fromiter(map(array.values.get, source.tolist(), repeat(0)), dtype=np.uint8, count=len(source))
    values[rows] = source
    if array.ignore_below:
        values[(values > 0) & (columns["q_score"] < array.ignore_below)] = IGNORE
    return values


def label_voxels(array: ArraySpec, columns: Columns, voxel_zyx: Voxels) -> LabelVoxels:
    """The voxels of a label array that hold a class. columns: of the atoms table; voxel_zyx: of each atom, (n, 3)."""
    values = class_values(array, columns)
    rows = np.flatnonzero((columns[array.state] == WRITTEN) & (values > 0))
    return voxel_zyx[rows], values[rows]


def painted(voxels: LabelVoxels, shape_zyx: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """A label array whole, uint8 (nz, ny, nx)."""
    volume = np.zeros(shape_zyx, dtype=np.uint8)
    volume[tuple(voxels[0].T)] = voxels[1]
    return volume
