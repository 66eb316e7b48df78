"""Does what is stored bear out what is said of it? Pure checks; each fault is one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.schema import Schema
from cryodata.prepare.labels import OUTSIDE, WRITTEN, class_values


def density_faults(density: npt.NDArray[Any], schema: Schema) -> Iterator[str]:
    """Values that are no numbers or out of the declared range."""
    low, high = float(density.min()), float(density.max())
    if not (schema.density.minimum <= low <= high <= schema.density.maximum):
        yield f"density is {low:g} to {high:g}; expected {schema.density.minimum:g} to {schema.density.maximum:g}"


def point_faults(
    voxel: npt.NDArray[np.int32], columns: Mapping[str, npt.NDArray[Any]], shape: tuple[int, ...]
) -> Iterator[str]:
    """Points that claim a voxel they can't have."""
    inside = np.all((voxel >= 0) & (voxel < np.asarray(shape)), axis=1)
    wrong = int(np.count_nonzero(inside == (columns["state"] == OUTSIDE)))
    if wrong:
        yield f"{wrong} label points are in the grid and called outside, or the reverse"
    for state in ("state", "state_ca"):
        written = voxel[columns[state] == WRITTEN]
        if len(np.unique(written, axis=0)) != len(written):
            yield f"two label points were written into one voxel ({state})"


def count_faults(columns: Mapping[str, npt.NDArray[Any]], row: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    """Counts of the entries table that its atoms do not bear out."""
    for array in schema.labels:
        values, state = class_values(array, columns), columns[array.state]
        for item in (item for item in row["label_counts"] if item["label"] == array.name):
            mine = state[values == array.values[item["name"]]]
            found = [len(mine), *(int(np.count_nonzero(mine == value)) for value in range(3))]
            said = [item[key] for key in ("model", "written", "lost", "outside")]
            if found != said or said[0] != sum(said[1:]):
                yield f"{array.name} {item['name']}: model, written, lost, outside are {said}; the atoms give {found}"


def label_faults(
    stored: npt.NDArray[np.uint8],
    name: str,
    voxel: npt.NDArray[np.int32],
    columns: Mapping[str, npt.NDArray[Any]],
    schema: Schema,
) -> Iterator[str]:
    """Voxels of a stored label volume that differ from what its points write."""
    array = next(item for item in schema.labels if item.name == name)
    written = columns[array.state] == WRITTEN
    values = class_values(array, columns)[written]
    place = tuple(voxel[written].T)
    wrong = int(np.count_nonzero(stored[place] != values))
    extra = int(np.count_nonzero(stored)) - int(np.count_nonzero(stored[place]))
    if wrong or extra:
        yield f"label volume {name}: {wrong} voxels differ from their atoms, {extra} have none"


def recovered_share(
    xyz: npt.NDArray[np.float64],
    voxel: npt.NDArray[np.int32],
    columns: Mapping[str, npt.NDArray[Any]],
    row: Mapping[str, Any],
) -> float:
    """Share of the model's C-alphas that come back from their voxels: index * voxel + origin (the paper's formula 2)
    lies within one voxel of the atom on every axis."""
    is_ca = columns["atom"] == "CA"
    if not is_ca.any():
        return 1.0
    size, origin = np.asarray(row["voxel_size_xyz"]), np.asarray(row["origin_xyz"])
    back = voxel[:, ::-1] * size + origin
    near = np.all(np.abs(xyz - back) <= size, axis=1)
    return float(np.mean(near[is_ca] & (columns["state_ca"][is_ca] == WRITTEN)))
