"""The arrays of an example, as a label rule makes them of what the dataset declares."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from cryodata.core.schema import ArraySpec, Schema
from cryodata.errors import UsageError
from cryodata.prepare.draw import OFFSET, OFFSET_MASK
from cryodata.prepare.rules import LabelRule

MAX_ARRAY_BYTES = 1 << 31
"largest array with channels that is made of a whole volume"


@dataclass(frozen=True, slots=True)
class ArrayColumn:
    """One array of an example."""

    name: str
    role: str
    "as declared; `vector` and `mask` for what the rule `offset` adds"

    dtype: str
    channels: int = 0
    "length of a first axis before z, y, x: classes of a gaussian, components of an offset; 0 for no such axis"

    def shape(self, shape_zyx: Iterable[int]) -> tuple[int, ...]:
        """The shape of the array for a box or a volume."""
        return (self.channels, *shape_zyx) if self.channels else tuple(shape_zyx)


def array_columns(schema: Schema, rule: str) -> dict[str, ArrayColumn]:
    """Arrays by name, in the order in which examples show them.

    Raises UsageError for no label rule, and for `offset` where its columns are taken or there are no labels.
    """
    parsed = LabelRule.parse(rule)
    columns = {array.name: _column(array, parsed) for array in schema.arrays}
    if parsed.kind == "offset":
        taken = columns.keys() & {OFFSET, OFFSET_MASK}
        if taken or not schema.labels:
            raise UsageError(f"labels='offset': the dataset has {', '.join(sorted(taken)) or 'no labels'}")
        columns[OFFSET] = ArrayColumn(OFFSET, "vector", "float32", 3)
        columns[OFFSET_MASK] = ArrayColumn(OFFSET_MASK, "mask", "uint8")
    return columns


def check_volumes_fit(columns: Iterable[ArrayColumn], shapes_zyx: Iterable[tuple[int, int, int]], rule: str) -> None:
    """Raise UsageError if an array with channels would be larger than MAX_ARRAY_BYTES for one of the volumes."""
    largest = max(shapes_zyx, key=math.prod, default=(0, 0, 0))
    for column in columns:
        size = 4 * column.channels * math.prod(largest)
        if size > MAX_ARRAY_BYTES:
            voxels = " x ".join(map(str, largest))
            raise UsageError(
                f"labels='{rule}': {column.name} of a volume of {voxels} voxels would take {size / 2**30:.1f} GiB; "
                f"at most {MAX_ARRAY_BYTES / 2**30:g}: read sub-grids, or name other columns"
            )


def _column(array: ArraySpec, rule: LabelRule) -> ArrayColumn:
    if array.role != "label" or rule.kind != "gaussian":
        return ArrayColumn(array.name, array.role, array.dtype)
    classes = max((item.value for item in array.classes), default=max(1, min(255, int(array.maximum))))
    return ArrayColumn(array.name, array.role, "float32", classes)
