"""What a dataset declares of its arrays, so that readers need to know no builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ROLES = ("density", "label", "mask", "vector")


@dataclass(frozen=True, slots=True)
class LabelClass:
    """One class of a label."""

    value: int
    "voxel value, 1 to 255; 0 is background"

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
    "NumPy name of the type as it is read"

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
            classes = tuple(LabelClass(**entry) for entry in item["classes"])
            arrays.append(ArraySpec(**{**item, "classes": classes, "atoms": tuple(item["atoms"])}))
        facts = tuple(FactSpec(**item) for item in value["facts"])
        if any(fact.dtype not in FACT_TYPES for fact in facts) or any(array.role not in ROLES for array in arrays):
            raise ValueError("a fact has an unknown type or an array an unknown role")
        for array in arrays:
            numbers = (array.minimum, array.maximum, *(item.value for item in array.classes))
            if not all(isinstance(number, (int, float)) for number in numbers):
                raise ValueError(f"array {array.name} has a bound or class that is no number")
            if not all(0 < item.value < 256 for item in array.classes) or array.state not in ("state", "state_ca"):
                raise ValueError(f"array {array.name} has a class beyond 1 to 255 or an unknown state")
            if array.role == "label" and array.column not in ("atom", "residue", "secondary"):
                raise ValueError(f"label {array.name} comes from no column of the atoms table")
        if sum(array.role == "density" for array in arrays) != 1:
            raise ValueError("a schema has exactly one density array")
        return cls(tuple(arrays), facts)
