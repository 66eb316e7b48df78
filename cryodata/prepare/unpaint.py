"""From label volumes back to points: for labels that somebody else wrote, of atoms that may be known or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints
from cryodata.core.model import AtomicModel
from cryodata.core.volume import FloatArray, Volume
from cryodata.prepare.labels import LOST, OUTSIDE, UNLABELLED, VOXEL_RULES, WRITTEN
from cryodata.prepare.molecule import kinds, molecule_rows, parts
from cryodata.prepare.residues import BACKBONE, is_backbone

MIDDLE = {"floor": 0.5 - 2.0**-10, "nearest": 0.0}
"""Where an atom is taken to be of which only the voxel is known, in voxels from its centre. The rule `floor` takes
atoms from 0 to 1; a hair less than the middle, so that the nearest voxel is this one too."""

UNKNOWN = "UNK"
"residue of an atom of which nobody says it (PDB chemical component of that name)"

Codes = Mapping[int, str]
"text of each voxel value"


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """Label volumes, and how to read them."""

    volumes: Mapping[str, npt.NDArray[np.uint8]]
    "uint8 (nz, ny, nx) each, some of `atom`, `atom_ca`, `amino`, `secondary`"

    names: Mapping[str, Codes]
    "of `atom` CA, N, C and of `amino` the residues, by value"

    rule: str
    "`floor` or `nearest`, by which somebody placed the labels"


def unpainted(painted: Painted, grid: Volume) -> LabelPoints:
    """A point for each atom that label volumes tell of, in the middle of where its voxel's atoms may be.

    grid: where the voxels are. Where `atom_ca`, `amino` or `secondary` is set and `atom` has no C-alpha, one lost its
    voxel there. Every voxel stays what it was; chains and numbers are empty, occupancies and B factors NaN.
    """
    flat = {name: volume.reshape(-1) for name, volume in painted.volumes.items()}
    codes = painted.names["atom"]
    calpha = next(value for value, name in codes.items() if name == "CA")
    atom = flat.get("atom", np.zeros(0, dtype=np.uint8))
    told = [np.flatnonzero(volume) for name, volume in flat.items() if name != "atom"]
    at_ca = np.unique(np.concatenate([np.flatnonzero(atom == calpha), *told]))
    place = np.concatenate([at_ca, np.flatnonzero((atom != 0) & (atom != calpha))])
    is_ca = np.arange(len(place)) < len(at_ca)
    value = {name: volume[place] for name, volume in flat.items()}
    nothing = np.zeros(len(place), dtype=np.uint8)
    lost = is_ca & (value.get("atom", nothing + calpha) != calpha)
    voxel = np.stack(np.unravel_index(place, grid.shape_zyx), axis=1).astype(np.int32)
    model = _bare_model(
        grid.position_of(voxel + MIDDLE[painted.rule]),
        np.where(is_ca, "CA", _texts(value.get("atom", nothing), codes, "CA")),
        np.where(is_ca, _texts(value.get("amino", nothing), painted.names["amino"], UNKNOWN), UNKNOWN),
        np.where(is_ca, value.get("secondary", nothing), 0).astype(np.uint8),
    )
    state = np.where(lost, LOST, WRITTEN).astype(np.uint8)
    return LabelPoints(
        model,
        kind=np.full(len(place), "protein"),
        part=np.full(len(place), "backbone"),
        q_score=np.full(len(place), np.nan, dtype=np.float32),
        voxel_zyx=voxel,
        state=state,
        state_ca=np.where(is_ca, WRITTEN, UNLABELLED).astype(np.uint8),
    )


def recognised(
    points: LabelPoints, model: AtomicModel, painted: Painted, grid: Volume
) -> tuple[LabelPoints, npt.NDArray[np.bool_]]:
    """The points with what a model says of them and its other atoms, in its order; and which points it has, bool (n,).

    An atom of the model is that of a point if it has its name and, by the rule, its voxel; of several a protein's, and
    one of the residue that the label says. What labels say stays: voxels, and residue and structure where there are
    label volumes of them.
    """
    voxel = VOXEL_RULES[painted.rule](model.xyz, grid.origin_xyz, grid.voxel_size_xyz)
    rows = _rows_of(points, model, voxel, grid)
    found = rows >= 0
    mine, ours = model.take(np.maximum(rows, 0)), points.model
    is_ca = ours.atom == "CA"
    residue, secondary = mine.residue, mine.secondary
    if "amino" in painted.volumes:
        # of the residue types that have a number, the label alone decides at a C-alpha
        typed = np.isin(residue, list(painted.names["amino"].values()))
        residue = np.where(is_ca & ((ours.residue != UNKNOWN) | typed), ours.residue, residue)
    if "secondary" in painted.volumes:
        secondary = np.where(is_ca, ours.secondary, secondary)
    columns = {column.name: getattr(mine, column.name) for column in fields(mine)}
    kind = kinds(model)
    columns |= {"residue": residue, "secondary": secondary, "position": ours.position}
    columns["parent"] = np.where(residue == mine.residue, mine.parent, np.where(residue == UNKNOWN, "", residue))
    merged = {name: _choose(found, values, getattr(ours, name)) for name, values in columns.items()}
    both = (kind, points.kind), (parts(model, kind), points.part)
    kind, part = (_choose(found, of_model[np.maximum(rows, 0)], before) for of_model, before in both)
    told = replace(points, model=AtomicModel(**merged), kind=kind, part=part)
    rest = np.setdiff1d(molecule_rows(model), rows)
    unlabelled, rest = _unlabelled(model, rest, voxel, grid)
    place = np.concatenate([rest, np.where(found, rows, len(model))])
    return _joined(unlabelled, told, np.argsort(place, kind="stable")), found


def _unlabelled(
    model: AtomicModel, rows: npt.NDArray[np.int64], voxel_zyx: npt.NDArray[np.int32], grid: Volume
) -> tuple[LabelPoints, npt.NDArray[np.int64]]:
    """Atoms of a model that label volumes do not tell of: backbone of protein lost its voxel, or lies outside.

    Others of such a name, a calcium ion for one, are left out: labels that go by names would count them. Returns the
    rows of the others, too.
    """
    kind = kinds(model)
    rows = rows[(kind[rows] == "protein") | ~np.isin(model.atom[rows], list(BACKBONE))]
    atoms, voxel = model.take(rows), voxel_zyx[rows]
    inside = np.all((voxel >= 0) & (voxel < np.asarray(grid.shape_zyx)), axis=1)
    without = np.where(inside, LOST, OUTSIDE)
    points = LabelPoints(
        atoms,
        kind=kind[rows],
        part=parts(model, kind)[rows],
        q_score=np.full(len(rows), np.nan, dtype=np.float32),
        voxel_zyx=voxel,
        state=np.where(np.isin(atoms.atom, list(BACKBONE)), without, UNLABELLED).astype(np.uint8),
        state_ca=np.where(atoms.atom == "CA", without, UNLABELLED).astype(np.uint8),
    )
    return points, rows


def _joined(first: LabelPoints, second: LabelPoints, order: npt.NDArray[np.int64]) -> LabelPoints:
    """The points of both, in an order."""
    pairs = {item.name: (getattr(first, item.name), getattr(second, item.name)) for item in fields(first)}
    one, other = pairs.pop("model")
    columns = {item.name: np.concatenate([getattr(one, item.name), getattr(other, item.name)]) for item in fields(one)}
    model = AtomicModel(**columns).take(order)
    return LabelPoints(model, **{name: np.concatenate(pair)[order] for name, pair in pairs.items()})


def _choose(found: npt.NDArray[np.bool_], these: npt.NDArray[Any], those: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`these` where found, else `those`, (n, ...)."""
    mask = found.reshape(-1, *[1] * (these.ndim - 1))
    return np.asarray(np.where(mask, these, those), dtype=np.result_type(these, those))


def _rows_of(
    points: LabelPoints, model: AtomicModel, voxel_zyx: npt.NDArray[np.int32], grid: Volume
) -> npt.NDArray[np.int64]:
    """Row of the model that is the atom of each point; -1 if none is; int64 (n,)."""
    if not len(model) or not len(points.voxel_zyx):
        return np.full(len(points.voxel_zyx), -1)
    inside = np.all((voxel_zyx >= 0) & (voxel_zyx < np.asarray(grid.shape_zyx)), axis=1)
    rows = np.flatnonzero(inside & np.isin(model.atom, list(BACKBONE)))
    protein = is_backbone(model) & (model.entity_kind == "peptide")
    keys = _keys(voxel_zyx[rows], model.atom[rows], grid.shape_zyx)
    order = np.lexsort((rows, ~protein[rows], keys))
    rows, keys = rows[order], keys[order]
    wanted = _keys(points.voxel_zyx, points.model.atom, grid.shape_zyx)
    first, last = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
    found = np.where(first < last, np.append(rows, -1)[first], -1)
    for number in np.flatnonzero(last - first > 1).tolist():
        several = rows[first[number] : last[number]]
        same = several[model.residue[several] == points.model.residue[number]]
        found[number] = same[0] if len(same) else several[0]
    return np.asarray(found, dtype=np.int64)


def _keys(
    voxel_zyx: npt.NDArray[np.int32], atom: npt.NDArray[np.str_], shape: tuple[int, int, int]
) -> npt.NDArray[np.int64]:
    """Voxel and name in one number, int64 (n,)."""
    flat = np.ravel_multi_index(tuple(voxel_zyx.astype(np.int64).T), shape)
    names = list(BACKBONE)
    return np.asarray(flat * len(names) + np.select([atom == name for name in names], range(len(names)), default=0))


def _bare_model(
    xyz: FloatArray, atom: npt.NDArray[np.str_], residue: npt.NDArray[np.str_], secondary: npt.NDArray[np.uint8]
) -> AtomicModel:
    """Atoms of which only this is known."""
    count = len(atom)
    blank, zeros = np.full(count, ""), np.zeros(count, dtype=np.int32)
    unknown = np.full(count, np.nan, dtype=np.float32)
    return AtomicModel(
        xyz=xyz,
        atom=atom,
        element=np.array([BACKBONE[name] for name in atom.tolist()], dtype=np.str_),
        residue=residue,
        chain=blank,
        label_seq_id=zeros,
        auth_seq_id=zeros,
        insertion_code=blank,
        altloc=blank,
        entity_kind=np.full(count, "peptide"),
        occupancy=unknown,
        b_factor=unknown,
        position=np.arange(count, dtype=np.int32),
        secondary=secondary,
        parent=np.where(residue == UNKNOWN, "", residue),
    )


def _texts(values: npt.NDArray[np.uint8], codes: Codes, other: str) -> npt.NDArray[np.str_]:
    """The text of each value, (n,)."""
    table = np.array([codes.get(value, other) for value in range(256)], dtype=np.str_)
    return np.asarray(table[values])
