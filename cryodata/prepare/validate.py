"""Does what is stored bear out what is said of it? Pure checks; each fault is one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.entry import LabelPoints, Sample
from cryodata.core.model import MAX_NAME
from cryodata.core.schema import Schema
from cryodata.core.subgrids import SubgridGrid
from cryodata.prepare.labels import LOST, OUTSIDE, UNLABELLED, WRITTEN, claims, class_values
from cryodata.prepare.statistics import extremes, subgrid_statistics

FACT_KINDS = {"string": str, "float64": float, "int64": int, "float64[3]": list}


def check_sample(sample: Any, schema: Schema) -> None:
    """Raise TypeError or ValueError if what a builder made is not what its schema declares."""
    if not isinstance(sample, Sample):
        raise TypeError(f"a builder makes a Sample, found {type(sample).__name__}")
    density = sample.density.data
    problems = list(density_faults(density, schema))
    if density.dtype not in (np.float32, np.float16):
        problems.append(f"density is {density.dtype}; expected float32 or float16")
    problems += _shape_faults(sample.points) or point_faults(
        sample.points.voxel_zyx, sample.points.columns, density.shape, schema
    )
    declared = {fact.name: FACT_KINDS[fact.dtype] for fact in schema.facts}
    if set(sample.facts) != set(declared):
        problems.append(f"facts are not those of the schema: {', '.join(sorted(set(sample.facts) ^ set(declared)))}")
    for name, value in sample.facts.items():
        if value is not None and name in declared and not isinstance(value, declared[name]):
            problems.append(f"fact {name} is {value!r}; expected {declared[name].__name__}")
        if isinstance(value, float) and not np.isfinite(value):
            problems.append(f"fact {name} is {value}; expected a number")
    problems += name_faults(sample.points.columns)
    if problems:
        raise ValueError("; ".join(problems))


def name_faults(columns: Mapping[str, npt.NDArray[Any]]) -> Iterator[str]:
    """Names that a reader of the atoms table would not believe."""
    for name, values in columns.items():
        longest = int(np.strings.str_len(values).max(initial=0)) if values.dtype.kind == "U" else 0
        if longest > MAX_NAME:
            yield f"{name} holds a name of {longest} letters; {MAX_NAME} at most"


def _shape_faults(points: LabelPoints) -> list[str]:
    """Columns that are none of an atoms table."""
    count, faults = len(points.model), []
    for name, dtype, shape in (
        ("voxel_zyx", np.int32, (count, 3)), ("state", np.uint8, (count,)), ("state_ca", np.uint8, (count,)),
        ("kind", np.str_, (count,)), ("part", np.str_, (count,)), ("q_score", np.float32, (count,)),
    ):  # fmt: skip
        column = np.asarray(getattr(points, name))
        if column.shape != shape or column.dtype.type != dtype:
            faults.append(f"{name} of the atoms is {column.dtype} {column.shape}; expected {dtype.__name__} {shape}")
    return faults


def density_faults(density: npt.NDArray[Any], schema: Schema) -> Iterator[str]:
    """Values that are no numbers or out of the declared range."""
    low, high = extremes(density)
    if not (schema.density.minimum <= low <= high <= schema.density.maximum):
        yield f"density is {low:g} to {high:g}; expected {schema.density.minimum:g} to {schema.density.maximum:g}"


def point_faults(
    voxel: npt.NDArray[np.int32], columns: Mapping[str, npt.NDArray[Any]], shape: tuple[int, ...], schema: Schema
) -> Iterator[str]:
    """Points that claim a voxel they can't have, or a label that does not take them."""
    for name, expected in zip(("state", "state_ca"), claims(schema.labels, columns, schema.collisions), strict=True):
        other = int(np.count_nonzero((columns[name] == UNLABELLED) != (expected == UNLABELLED)))
        if other:
            yield f"{other} atoms are called labelled and are not, or the reverse ({name})"
    inside = np.all((voxel >= 0) & (voxel < np.asarray(shape)), axis=1)
    for state in ("state", "state_ca"):
        unknown = int(np.count_nonzero(~np.isin(columns[state], (WRITTEN, LOST, OUTSIDE, UNLABELLED))))
        if unknown:
            yield f"{unknown} label points are in a state that there is not ({state})"
        labelled = columns[state] != UNLABELLED
        wrong = int(np.count_nonzero((inside == (columns[state] == OUTSIDE))[labelled]))
        if wrong:
            yield f"{wrong} label points are in the grid and called outside, or the reverse ({state})"
        written = voxel[inside & (columns[state] == WRITTEN)].astype(np.int64)
        place = np.sort((written[:, 0] * shape[1] + written[:, 1]) * shape[2] + written[:, 2])
        if np.any(place[1:] == place[:-1]):
            yield f"two label points were written into one voxel ({state})"


def count_faults(columns: Mapping[str, npt.NDArray[Any]], row: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    """Counts of the entries table that its atoms do not bear out."""
    for array in schema.labels:
        values, state = class_values(array, columns), columns[array.state]
        for item in (item for item in row["label_counts"] if item["label"] == array.name):
            if item["name"] not in array.values:
                yield f"{array.name} {item['name']}: atoms are counted of a class that the label does not have"
                continue
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


def subgrid_faults(
    found: Mapping[str, npt.NDArray[Any]],
    density: npt.NDArray[Any],
    grid: SubgridGrid,
    voxel: npt.NDArray[np.int32],
    columns: Mapping[str, npt.NDArray[Any]],
) -> Iterator[str]:
    """Columns of the sub-grids table that density and atoms do not bear out."""
    expected = subgrid_statistics(
        density, grid, voxel[columns["state_ca"] == WRITTEN], voxel[columns["state"] == WRITTEN]
    )
    for name, values in expected.items():
        if not np.array_equal(found[name], values):
            yield f"sub-grids: {name} of its rows is not what its density and atoms give"


def recovered_share(
    xyz: npt.NDArray[np.float64],
    voxel: npt.NDArray[np.int32],
    columns: Mapping[str, npt.NDArray[Any]],
    row: Mapping[str, Any],
) -> float:
    """Share of the model's C-alphas that come back from their voxels: index * voxel + origin (the paper's formula 2)
    lies within one voxel of the atom on every axis."""
    is_ca = columns["state_ca"] != UNLABELLED
    if not is_ca.any():
        return 1.0
    size, origin = np.asarray(row["voxel_size_xyz"]), np.asarray(row["origin_xyz"])
    back = voxel[:, ::-1] * size + origin
    near = np.all(np.abs(xyz - back) <= size, axis=1)
    return float(np.mean(near[is_ca] & (columns["state_ca"][is_ca] == WRITTEN)))
