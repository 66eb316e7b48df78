"""What a dataset declares of its arrays, so that readers need to know no builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

import numpy as np

ROLES = ("density", "label", "mask", "vector")

ARRAY_DTYPES = ("uint8", "uint16", "float16", "float32")

STEP = 2.0**-10
"""A density from 0 to 1 that is read as float16 is a multiple of it: the step of that type at 1. The error is half of
it, 4.9e-4, at most. Finer steps near 0 would hold the noise of the map and little else, for 1.4 times the bytes over 27
real maps (benchmarks/formats)."""

DENSITIES: Mapping[str, str] = {"uint16": "float16", "float16": "float16", "float32": "float32"}
"how a density may be stored, and as what it is then read; uint16: as numbers of steps, where it lies from 0 to 1"

VOXEL_RULES = ("floor", "nearest")
"floor: the published formula; nearest: the voxel whose centre is nearest"

COLLISIONS = ("first", "last")
"first: C-alpha before N before C before others, the first in the file among equals; last: the last of CA, N, C"

LABEL_COLUMNS = ("atom", "residue", "parent", "secondary", "kind", "part")
"columns of the atoms table that can give the class of a point"


IGNORE = 255
"value of a voxel whose atom the map does not show: nothing is to be learned from it"


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a label."""

    value: int
    "voxel value, 1 to 254; 0 is background, 255 IGNORE"

    name: str
    "what the class is called; equal to the value of `LabelArray.column` where that column holds text"

    color: str
    "for viewers, such as #1f77b4"


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One array of a sample."""

    name: str
    "column of the examples, and folder in the volume"

    role: str
    "one of ROLES"

    dtype: str
    "NumPy name of the type as it is read, one of ARRAY_DTYPES"

    minimum: float
    "smallest value that may occur"

    maximum: float
    "largest value that may occur"

    description: str
    "one sentence for the dataset card"

    classes: tuple[LabelClass, ...] = ()
    "classes of a label, background left out"

    column: str = ""
    "column of the atoms table that gives the class of a point: text matched with class names, or the value itself"

    atoms: tuple[str, ...] = ()
    "names of the atoms that carry this label"

    state: str = "state"
    "column of the atoms table that is 0 where the point was written"

    kinds: tuple[str, ...] = ()
    "kinds of molecule that carry this label; empty: any"

    parts: tuple[str, ...] = ()
    "parts of a residue that carry this label; empty: any"

    ignore_below: float = 0.0
    "Q-score of a residue under which its voxels are IGNORE, whatever their class; 0: none are"

    def step_as(self, dtype: np.dtype[Any]) -> float:
        """What the values of a density are multiples of where they are read as that type; 0: whatever the type has."""
        return STEP if (self.minimum, self.maximum) == (0.0, 1.0) and dtype == np.float16 else 0.0

    @property
    def values(self) -> dict[str, int]:
        """Voxel value of each class name."""
        return {item.name: item.value for item in self.classes}


FACT_TYPES = ("string", "float64", "int64", "float64[3]")


@dataclass(frozen=True, slots=True)
class FactSpec:
    """One thing that a builder measures of every entry: a column of the entries table."""

    name: str
    "column"

    dtype: str
    "one of FACT_TYPES"

    description: str
    "one sentence for the dataset card, with the unit"


@dataclass(frozen=True, slots=True)
class Schema:
    """Arrays of a sample, in the order in which examples show them, and the facts of an entry."""

    arrays: tuple[ArraySpec, ...]

    facts: tuple[FactSpec, ...] = ()

    voxel_rule: str = "floor"
    "which voxel an atom has, one of VOXEL_RULES"

    collisions: str = "first"
    "who gets a voxel that several claim, one of COLLISIONS"

    @property
    def density(self) -> ArraySpec:
        """The array that everything else is aligned with."""
        return next(array for array in self.arrays if array.role == "density")

    @property
    def labels(self) -> tuple[ArraySpec, ...]:
        """The arrays that are written from points."""
        return tuple(array for array in self.arrays if array.role == "label")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for anything else."""
        arrays = []
        for item in value["arrays"]:
            classes = tuple(_typed(LabelClass, entry) for entry in item["classes"])
            who = {name: tuple(item.get(name, ())) for name in ("atoms", "kinds", "parts")}
            if not all(isinstance(text, str) for texts in who.values() for text in texts):
                raise TypeError("the name of an atom is no text")
            arrays.append(_typed(ArraySpec, {**item, "classes": classes, **who}))
        facts = tuple(_typed(FactSpec, item) for item in value["facts"])
        if any(fact.dtype not in FACT_TYPES for fact in facts):
            raise ValueError("a fact has an unknown type")
        if any(array.role not in ROLES or array.dtype not in ARRAY_DTYPES for array in arrays):
            raise ValueError("an array has an unknown role or type")
        names = [array.name for array in arrays] + [fact.name for fact in facts]
        if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
            raise ValueError("the name of an array or fact is there twice, or is no name")
        for array in arrays:
            if not all(0 < item.value < IGNORE for item in array.classes) or array.state not in ("state", "state_ca"):
                raise ValueError(f"array {array.name} has a class beyond 1 to 254 or an unknown state")
            if not 0 <= array.ignore_below <= 1:
                raise ValueError(f"array {array.name} ignores Q-scores below {array.ignore_below}; expected 0 to 1")
            if array.role == "label" and array.column not in LABEL_COLUMNS:
                raise ValueError(f"label {array.name} comes from no column of the atoms table")
        if sum(array.role == "density" for array in arrays) != 1:
            raise ValueError("a schema has exactly one density array")
        rules = value.get("voxel_rule", "floor"), value.get("collisions", "first")
        if rules[0] not in VOXEL_RULES or rules[1] not in COLLISIONS:
            raise ValueError(f"labels by the rules {str(rules)[:80]}, which are unknown")
        return cls(tuple(arrays), facts, *rules)


Made = TypeVar("Made", LabelClass, ArraySpec, FactSpec)

_KINDS: Mapping[Any, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}


def _typed(kind: type[Made], value: Mapping[str, Any]) -> Made:
    """One of the classes above from JSON values. TypeError for a field of another type."""
    for field in fields(kind):
        if field.name in value and type(value[field.name]) not in _KINDS.get(field.type, (tuple,)):
            raise TypeError(f"{field.name} of {str(value.get('name'))[:80]} is of another type than {field.type}")
    return kind(**value)
