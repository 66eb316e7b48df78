"""From probabilities of voxels to the points where alpha carbons may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.volume import FloatArray, Volume
from cryodata.errors import UsageError

Array = npt.NDArray[Any]

APART = 2.0
"A, least distance of two candidates; alpha carbons of neighbours are 3.8 apart, 2.9 at a cis peptide"

AROUND = 1.8
"A around a peak over which position and types are averaged: less than half of the usual 3.8"

SETTLING = 2
"times that a place is moved to the mean around it; more changes little"

MOST = 100_000
"candidates; ten times the residues of a ribosome"

RESIDUES = tuple("ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split())
"in the order of the amino classes 1 to 20"


@dataclass(frozen=True, slots=True, eq=False)
class Voxels:
    """What a network says of the voxels of a map."""

    ca: Volume
    "probability of an alpha carbon"

    amino: Callable[[Array], Array]
    "voxels, int64 (n, 3), z, y, x, to probabilities of the classes 0 (none) to 20, (n, 21)"

    density: Volume | None
    "density in which links may be seen"

    offset_xyz: FloatArray
    "A to add to positions: what the label rule of training moved the labels by"


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Points where alpha carbons may be."""

    xyz: FloatArray
    "(n, 3), A"

    amino: FloatArray
    "probabilities of the 20 types, (n, 20), each row 1 in all"

    probability: FloatArray
    "of an alpha carbon at the peak, (n,)"


def find_candidates(voxels: Voxels, threshold: float) -> Candidates:
    """Peaks of the alpha carbon's probability, strongest first, none within 2 A of a stronger one.

    The position is the mean of the voxels within 1.8 A weighted by their probability, so finer than a voxel, plus the
    offset of the label rule; the types are averaged with the same weights. Raises UsageError for over 100,000 peaks.
    """
    ca = voxels.ca
    peaks = _peaks(ca, threshold)
    around = _offsets(ca, AROUND)
    places = peaks[:, None] + around  # (peaks, offsets, 3)
    inside = np.all((places >= 0) & (places < ca.shape_zyx), axis=2)
    places = np.where(inside[..., None], places, 0)
    weight = ca.data[tuple(np.moveaxis(places, 2, 0))].astype(np.float64) * inside
    total = np.maximum(weight.sum(axis=1), 1e-12)
    centre = (weight[..., None] * places).sum(axis=1) / total[:, None]
    used, row = np.unique(places.reshape(-1, 3), axis=0, return_inverse=True)
    types = voxels.amino(used)[:, 1:].astype(np.float64)
    types /= np.maximum(types.sum(axis=1, keepdims=True), 1e-12)
    mixed = np.zeros((len(peaks), 20))
    for column, index in enumerate(row.reshape(weight.shape).T):  # one offset at a time: memory of the peaks alone
        mixed += weight[:, column, None] * types[index]
    mixed = mixed / total[:, None] + 1e-6
    mixed /= mixed.sum(axis=1, keepdims=True)
    xyz = ca.position_of(centre) + voxels.offset_xyz
    return Candidates(xyz, mixed, ca.data[tuple(peaks.T)].astype(np.float64))


def settled(voxels: Voxels, xyz: FloatArray) -> FloatArray:
    """Places of residues, (n, 3), A, moved to where the probability around them has its mean.

    A candidate beside a stronger one lies off the middle; once it is known which one is the residue, the others need no
    room. Places that would come within 2 A of each other stay as they are.
    """
    if not len(xyz):
        return xyz
    ca, moved = voxels.ca, xyz - voxels.offset_xyz
    # the nearest voxel is up to half a diagonal from the place itself
    steps = _offsets(ca, AROUND + float(np.linalg.norm(ca.voxel_size_xyz)) / 2)
    for _ in range(SETTLING):
        index = ca.index_of(moved)
        places = np.round(index).astype(np.int64)[:, None] + steps
        near = (((places - index[:, None]) * ca.voxel_size_xyz[::-1]) ** 2).sum(axis=2) <= AROUND**2
        near &= np.all((places >= 0) & (places < ca.shape_zyx), axis=2)
        places = np.where(near[..., None], places, 0)
        weight = ca.data[tuple(np.moveaxis(places, 2, 0))].astype(np.float64) * near
        total = weight.sum(axis=1)
        centre = (weight[..., None] * places).sum(axis=1) / np.maximum(total, 1e-12)[:, None]
        moved = np.where(total[:, None] > 0, ca.position_of(centre), moved)
    moved = moved + voxels.offset_xyz
    crowded = _crowded(moved, APART)
    moved[crowded] = xyz[crowded]
    return moved


def _crowded(xyz: FloatArray, distance: float) -> Array:
    """Rows of points that are nearer to another one than a distance; there is at least one point."""
    from cryodata.baseline.chains.graph import neighbours

    first, _, _ = neighbours(np.ascontiguousarray(xyz, dtype=np.float32), 0.0, distance)
    return np.flatnonzero(np.diff(first) > 1)  # each is its own neighbour


def _peaks(ca: Volume, threshold: float) -> Array:
    """Voxels, z, y, x, int64 (n, 3), by falling probability; the first in memory of equals."""
    found = np.argwhere(ca.data >= threshold)
    found = found[np.argsort(-ca.data[tuple(found.T)].astype(np.float64), kind="stable")]
    taken = np.zeros(ca.shape_zyx, dtype=np.bool_)
    near, shape, peaks = _offsets(ca, APART), np.array(ca.shape_zyx), []
    for place in found:
        if taken[tuple(place)]:
            continue
        peaks.append(place)
        if len(peaks) > MOST:
            raise UsageError(f"over {MOST:,} peaks are at or above {threshold:g}; give a higher --threshold")
        block = place + near
        block = block[((block >= 0) & (block < shape)).all(axis=1)]
        taken[tuple(block.T)] = True
    return np.array(peaks, dtype=np.int64).reshape(-1, 3)


def _offsets(volume: Volume, radius: float) -> Array:
    """Steps to the voxels within a radius, z, y, x, int64 (n, 3)."""
    spacing_zyx = volume.voxel_size_xyz[::-1]
    reach = np.floor(radius / spacing_zyx).astype(np.int64)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    kept: Array = steps[((steps * spacing_zyx) ** 2).sum(axis=1) <= radius**2 + 1e-9]
    return kept


def open_voxels(folder: Path, offset: float | None) -> Voxels:
    """What a folder holds: a prediction, or MRC maps `atom_CA` and `amino_ALA` to `amino_VAL` (.mrc, .map, .gz).

    offset: A to add on each axis; None takes what the prediction says, 0 for maps.
    """
    from cryodata.baseline.predictions import PREDICTION, open_prediction

    if (folder / PREDICTION).is_file():
        prediction = open_prediction(folder)
        for head, names in (("atom", 4), ("amino", 21)):
            if len(prediction.classes.get(head, ())) < names:
                raise UsageError(f"{folder} predicts {', '.join(prediction.classes)}; expected atom and amino classes")
        moved = prediction.label_offset_xyz if offset is None else np.full(3, offset)
        return Voxels(prediction.channel("atom", 1), lambda at: prediction.at("amino", at), prediction.density(), moved)
    return _from_maps(folder, np.full(3, offset or 0.0))


def _from_maps(folder: Path, offset_xyz: FloatArray) -> Voxels:
    from cryodata.formats.mrc import read_volume
    from cryodata.formats.mrc_header import read_header

    def find(name: str) -> Path:
        for ending in (".mrc.gz", ".mrc", ".map.gz", ".map"):
            if (folder / (name + ending)).is_file():
                return folder / (name + ending)
        raise UsageError(
            f"{folder} holds no {name}.mrc; expected what `cryodata predict --out` made, or maps atom_CA and "
            "amino_ALA to amino_VAL"
        )

    paths = [find(name) for name in ("atom_CA", *(f"amino_{residue}" for residue in RESIDUES))]
    ca = read_volume(paths[0], read_header(paths[0]))

    def amino(at: Array) -> Array:
        columns = [np.zeros(len(at), np.float32)]
        for path in paths[1:]:
            volume = read_volume(path, read_header(path))
            if volume.shape_zyx != ca.shape_zyx:
                raise UsageError(f"{path.name} has {volume.shape_zyx} voxels; expected {ca.shape_zyx} as of atom_CA")
            columns.append(volume.data[tuple(at.T)])
        return np.stack(columns, axis=1)

    return Voxels(ca, amino, None, offset_xyz)
