"""Label volumes by dictionaries and loops: formula 1 of the paper, collisions and losses counted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .models import PlainResidue

ATOM_CLASS = {"CA": 1, "N": 2, "C": 3}
WINS_OVER = {1: (2, 3), 2: (3,), 3: ()}  # CA over N over C; among equals the first in the file stays
AMINO_ORDER = "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split()  # 1 .. 20
AMINO_CLASS = {name: number for number, name in enumerate(AMINO_ORDER, start=1)}
VoxelZyx = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ClassCount:
    """What became of the model's atoms of one class; model = written + lost + outside."""

    model: int
    """Atoms in the model."""
    written: int
    """Atoms whose voxel carries their label."""
    lost: int
    """Atoms whose voxel went to another atom."""
    outside: int
    """Atoms whose voxel is not in the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class PlainLabels:
    """The three label volumes, uint8 (nz, ny, nx), and their counts."""

    atom: np.ndarray
    """0 none, 1 CA, 2 N, 3 C."""
    amino: np.ndarray
    """At C-alphas 1 .. 20, 0 for any other residue."""
    secondary: np.ndarray
    """At C-alphas 1 coil, 2 helix, 3 strand, 0 not determined."""
    counts: dict[str, dict[int, ClassCount]]
    """By volume (atom, amino, secondary) and class. Class 0 of amino and secondary: C-alphas without a value."""


def voxel_of(xyz: np.ndarray, origin_xyz: np.ndarray, voxel: float = 1.0) -> VoxelZyx:
    """ceil(floor(c - origin) / voxel) per axis, in float64, as (z, y, x); may lie outside the grid."""
    x, y, z = (math.ceil(math.floor(float(xyz[axis]) - float(origin_xyz[axis])) / voxel) for axis in range(3))
    return z, y, x


def make_labels(
    residues: list[PlainResidue], secondary: list[int], shape_zyx: VoxelZyx, origin_xyz: np.ndarray
) -> PlainLabels:
    """Write every atom of the residues into the grid of 1 A voxels that begins at origin_xyz."""
    atoms: list[tuple[VoxelZyx, int]] = []
    aminos: list[tuple[VoxelZyx, int]] = []
    structures: list[tuple[VoxelZyx, int]] = []
    for residue, structure in zip(residues, secondary, strict=True):
        for name, xyz in residue.atoms.items():
            if name not in ATOM_CLASS:
                continue
            voxel = voxel_of(xyz, origin_xyz)
            atoms.append((voxel, ATOM_CLASS[name]))
            if name == "CA":
                aminos.append((voxel, AMINO_CLASS.get(residue.name, 0)))
                structures.append((voxel, structure))
    volumes: dict[str, np.ndarray] = {}
    counts: dict[str, dict[int, ClassCount]] = {}
    for label, points, number in (("atom", atoms, 4), ("amino", aminos, 21), ("secondary", structures, 4)):
        owners = _owners(points, shape_zyx, by_class=label == "atom")
        volumes[label] = np.zeros(shape_zyx, dtype=np.uint8)
        for voxel, point in owners.items():
            volumes[label][voxel] = points[point][1]
        counts[label] = _counts(points, set(owners.values()), shape_zyx, range(1 if label == "atom" else 0, number))
    return PlainLabels(volumes["atom"], volumes["amino"], volumes["secondary"], counts)


def _is_inside(voxel: VoxelZyx, shape_zyx: VoxelZyx) -> bool:
    return all(0 <= index < size for index, size in zip(voxel, shape_zyx, strict=True))


def _owners(points: list[tuple[VoxelZyx, int]], shape_zyx: VoxelZyx, by_class: bool) -> dict[VoxelZyx, int]:
    """Which point holds each voxel: the first, unless by_class lets a stronger class take it."""
    owners: dict[VoxelZyx, int] = {}
    for number, (voxel, label) in enumerate(points):
        if not _is_inside(voxel, shape_zyx):
            continue
        if voxel not in owners or (by_class and points[owners[voxel]][1] in WINS_OVER[label]):
            owners[voxel] = number
    return owners


def _counts(
    points: list[tuple[VoxelZyx, int]], winners: set[int], shape_zyx: VoxelZyx, classes: range
) -> dict[int, ClassCount]:
    tally = {label: [0, 0, 0] for label in classes}  # written, lost, outside
    for number, (voxel, label) in enumerate(points):
        if not _is_inside(voxel, shape_zyx):
            tally[label][2] += 1
        elif number in winners:
            tally[label][0] += 1
        else:
            tally[label][1] += 1
    return {label: ClassCount(sum(three), *three) for label, three in tally.items()}
