"""Random atoms of a small map, their labels by any rule, and boxes with points in them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from cryodata.core.entry import LabelPoints
from cryodata.core.model import AtomicModel
from cryodata.core.schema import ArraySpec, LabelClass, Schema
from cryodata.prepare.draw import draw
from cryodata.prepare.labels import class_values, place_points
from cryodata.prepare.points import STEP, BoxPoints, Grid, Points, label_points
from cryodata.prepare.rules import LabelRule

ATOMS = {"CA": 1, "N": 2, "C": 3}
RESIDUES = {"ALA": 1, "GLY": 2, "TRP": 3}


def classes(values: dict[str, int]) -> tuple[LabelClass, ...]:
    return tuple(LabelClass(value, name, "#000000") for name, value in values.items())


ATOM = ArraySpec("atom", "label", "uint8", 0, 3, "", classes(ATOMS), column="atom", atoms=("CA", "N", "C"))
AMINO = ArraySpec(
    "amino", "label", "uint8", 0, 3, "", classes(RESIDUES), column="residue", atoms=("CA",), state="state_ca"
)
SECONDARY = ArraySpec("secondary", "label", "uint8", 0, 3, "", column="secondary", atoms=("CA",), state="state_ca")
LABELS = (ATOM, AMINO, SECONDARY)


def schema(rule: str = "floor") -> Schema:
    return Schema((ArraySpec("density", "density", "float32", 0, 1, ""), *LABELS), voxel_rule=rule)


SHAPE = (19, 23, 21)
ORIGIN = (-3.1, 7.7, 111.3)


def protein(seed: int, count: int = 400, voxel_size: Any = 1.0) -> AtomicModel:
    """Random atoms with coordinates of three decimals, crowded, some outside the grid."""
    rng = np.random.default_rng(seed)
    span = np.array(SHAPE[::-1]) * voxel_size
    xyz = np.round(np.array(ORIGIN) + rng.uniform(-4, span + 4, (count, 3)), 3)
    # an eighth lies on faces of voxels, but for the last bits
    xyz[: count // 8] = np.round(np.round(xyz[: count // 8]) + np.array(ORIGIN) % 1, 3)
    columns: dict[str, Any] = {field.name: np.zeros(count, dtype=np.int32) for field in fields(AtomicModel)}
    columns |= {"xyz": xyz, "atom": rng.choice(list(ATOMS), count), "residue": rng.choice([*RESIDUES, "MSE"], count)}
    columns["secondary"] = rng.integers(0, 4, count).astype(np.uint8)
    columns["parent"] = columns["residue"]
    return AtomicModel(**columns)


def placed(model: AtomicModel, rule: str, voxel_size: Any = 1.0) -> LabelPoints:
    """Its atoms with their voxels and states."""
    count = len(model)
    points = LabelPoints(
        model, np.full(count, "protein"), np.full(count, "backbone"), np.full(count, np.nan, np.float32),
        np.zeros((count, 3), np.int32), np.zeros(count, np.uint8), np.zeros(count, np.uint8),
    )  # fmt: skip
    return place_points(points, schema(rule), SHAPE, np.array(ORIGIN), np.broadcast_to(voxel_size, 3))


def columns_of(model: AtomicModel, rule: str = "floor", voxel_size: Any = 1.0) -> dict[str, Any]:
    """The columns of the atoms table."""
    points = placed(model, rule, voxel_size)
    return {**points.columns, "xyz": model.xyz, "voxel_zyx": points.voxel_zyx}


def values_of(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    return {array.name: class_values(array, columns) for array in LABELS}


def points_of(model: AtomicModel, text: str, voxel_size: Any = 1.0, recipe: str = "floor") -> tuple[Points, ...]:
    grid = Grid(SHAPE, ORIGIN, np.broadcast_to(voxel_size, 3))
    columns = columns_of(model, recipe, voxel_size)
    return label_points(schema(recipe), columns, values_of(columns), grid, LabelRule.parse(text))


def drawn(text: str, groups: list[BoxPoints], count: int, box: int, **options: Any) -> dict[str, np.ndarray]:
    """All labels of a batch of boxes, written over rubbish."""
    shapes: dict[str, Any] = {array.name: ((count, box, box, box), np.uint8) for array in LABELS}
    if text.startswith("gaussian"):
        shapes = dict.fromkeys(shapes, ((count, 3, box, box, box), np.float32))
    if text == "offset":
        shapes |= {"offset": ((count, 3, box, box, box), np.float32), "offset_mask": ((count, box, box, box), np.uint8)}
    out = {name: np.full(shape, 77, dtype=dtype) for name, (shape, dtype) in shapes.items()}
    draw(LabelRule.parse(text), groups, out, **options)
    return out


def boxes_of(groups: tuple[Points, ...], starts: np.ndarray, box: int, margin: int) -> list[BoxPoints]:
    return [
        BoxPoints.gather([(points, points.near(start, (box, box, box), margin), start) for start in starts])
        for points in groups
    ]


def some_boxes(seed: int, count: int = 3, each: int = 60, box: int = 7) -> list[BoxPoints]:
    rng = np.random.default_rng(seed)
    sample = np.repeat(np.arange(count), each)
    place = np.floor(rng.uniform(-4, box + 3, (len(sample), 3)) / STEP) * STEP
    values = {name: rng.integers(0, 4, len(sample)).astype(np.uint8) for name in ("amino", "secondary")}
    atoms = {"atom": rng.integers(1, 4, len(sample)).astype(np.uint8)}
    return [BoxPoints(place, sample, atoms), BoxPoints(place[::2], sample[::2], {k: v[::2] for k, v in values.items()})]
