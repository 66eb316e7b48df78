"""Column types that `datasets` gets to know from cryodata: arrays that are cut when they are looked at."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets.features.features import register_feature

from cryodata.errors import DatasetError
from cryodata.read.columns import array_columns
from cryodata.read.decode import VersionKey, volumes_of

REFERENCE = pa.struct(
    [("volume", pa.int32()), ("start_zyx", pa.list_(pa.int32(), 3)), ("data", pa.large_binary())],
)
"where to cut; or, in a column that somebody computed, the array itself: an int32 for each axis, then its values"


class Cut(np.ndarray[Any, Any]):
    """An array as any other, but plainly different from the reference it came from: `datasets` asks `decoded != stored`
    of the items of a batch and wants one answer."""

    def __ne__(self, other: object) -> Any:
        return True if isinstance(other, dict) else super().__ne__(other)

    __hash__ = None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """What is computed from it is a plain array, or a number."""
        return array[()] if return_scalar else array.view(np.ndarray)

    def __reduce__(self) -> Any:
        """Pickled as the plain array that it is."""
        return self.view(np.ndarray).__reduce__()


@dataclass
class Voxels:
    """A column of arrays, z, y, x or with channels before. In a table it holds where to cut; reading a row gives the
    array.

    A dataset that was saved to disk keeps the references: import `load_dataset` from cryodata before loading it.
    Columns of different versions or label rules are of different types, which `datasets` does not concatenate.
    """

    array: str
    dtype: str
    shape: list[int] | None
    "(box, box, box), without channels, or None for whole volumes of any shape"

    root: str
    name: str
    version: str
    sha256: str
    rule: str
    channels: int = 0
    "length of the axis before z, y, x; 0 for no such axis"

    decode: bool = True
    id: str | None = None
    _type: str = field(default="CryodataVoxels", init=False, repr=False)

    pa_type: ClassVar[Any] = REFERENCE

    @property
    def _axes(self) -> list[int | None]:
        """Length of each axis, None for any."""
        axes: list[int | None] = [*self.shape] if self.shape else [None] * 3
        return [self.channels, *axes] if self.channels else axes

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: Any) -> Any:
        """An array as it is stored; a reference is itself."""
        return value if isinstance(value, dict) else {"data": _to_bytes(np.asarray(value), self.dtype, self._axes)}

    def decode_example(self, value: Any, token_per_repo_id: Any = None) -> npt.NDArray[Any]:
        """The array that a reference stands for; an array is itself."""
        if isinstance(value, np.ndarray):
            return value
        if value.get("data") is not None:
            return _from_bytes(value["data"], self.dtype, len(self._axes)).view(Cut)
        store = volumes_of(VersionKey(self.root, self.name, self.version, self.sha256))
        column = array_columns(store.opened.manifest.schema, self.rule)[self.array]
        volume = store.get(int(value["volume"]), self.rule)
        if self.shape is None:
            return volume.whole(column).view(Cut)
        z, y, x = (int(start) for start in value["start_zyx"])
        return volume.cut(column, (z, y, x), self.shape[0]).view(Cut)

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """From references, or from the nested lists that `datasets` makes of arrays that a map returned."""
        depth = _depth(storage.type)
        if depth:
            rows = [
                None if row is None else {"data": _to_bytes(row, self.dtype, self._axes)}
                for row in _rows(storage, depth)
            ]
            return pa.array(rows, REFERENCE)
        if pa.types.is_null(storage.type):
            return pa.nulls(len(storage), REFERENCE)
        if not pa.types.is_struct(storage.type):
            raise TypeError(f"a column of {storage.type} can't become one of arrays")
        found = {item.name: storage.field(i) for i, item in enumerate(storage.type)}
        columns = [
            found[item.name].cast(item.type) if item.name in found else pa.nulls(len(storage), item.type)
            for item in REFERENCE
        ]
        return pa.StructArray.from_arrays(columns, fields=list(REFERENCE), mask=storage.is_null())


with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # "experimental": the contract test watches it
    register_feature(Voxels, "CryodataVoxels")


def references(volume: npt.NDArray[np.int32], start_zyx: npt.NDArray[np.int32]) -> pa.Array:
    """A column of references, from volumes (n,) and starts (n, 3)."""
    start = pa.FixedSizeListArray.from_arrays(pa.array(start_zyx.reshape(-1), pa.int32()), 3)
    return pa.StructArray.from_arrays(
        [pa.array(volume, pa.int32()), start, pa.nulls(len(volume), pa.large_binary())], fields=list(REFERENCE)
    )


def _to_bytes(array: npt.NDArray[Any], dtype: str, axes: list[int | None]) -> bytes:
    """An array as it is stored. TypeError if it is of another shape or kind, or has numbers that an integer type can't
    hold: `datasets` then finds another type for the column."""
    if array.ndim != len(axes) or any(n not in (None, m) for n, m in zip(axes, array.shape, strict=True)):
        names = ("nz", "ny", "nx") if None in axes else ()
        expected = tuple(axes[: len(axes) - len(names)]) + names
        shape = f"({', '.join(map(str, expected))})" if names else axes
        raise TypeError(f"an array column takes arrays of the shape {shape}, found {array.shape}")
    if np.dtype(dtype).kind in "iu" and array.dtype.kind not in "biu":
        raise TypeError(f"a column of {dtype} takes integers, found {array.dtype}")
    with np.errstate(invalid="ignore"):
        values = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    if values.dtype.kind in "iu" and not np.array_equal(values, array):
        raise TypeError(f"a column of {dtype} can't hold all numbers of an array of {array.dtype}")
    return np.array(array.shape, dtype="<i4").tobytes() + values.tobytes()


def _from_bytes(data: bytes, dtype: str, ndim: int) -> npt.NDArray[Any]:
    shape = np.frombuffer(data, dtype="<i4", count=ndim)
    values = np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<"), offset=4 * ndim)
    if values.size != shape.prod(dtype=np.int64):
        raise DatasetError(f"an array column holds {values.size} values for the shape {tuple(shape.tolist())}")
    return values.reshape(shape).astype(dtype)


def _depth(kind: pa.DataType) -> int:
    """3 or 4 for lists of lists of lists (of lists) of numbers: what `datasets` makes of arrays; else 0."""
    depth = 0
    while pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth if depth in (3, 4) and pa.types.is_primitive(kind) else 0


def _rows(storage: pa.Array, depth: int) -> Iterator[npt.NDArray[Any] | None]:
    """Rows of a column of lists of lists of lists, as arrays; without a Python list in between."""
    offsets, level = [], storage
    for _ in range(depth):
        offsets.append(np.asarray(level.offsets))
        level = level.values
    values = level.to_numpy(zero_copy_only=False)
    for row in range(len(storage)):
        if not storage[row].is_valid:
            yield None
            continue
        first, last, shape = row, row + 1, [1]
        for ends in offsets:
            count = last - first
            first, last = int(ends[first]), int(ends[last])
            shape.append((last - first) // max(count, 1))
        if np.prod(shape) != last - first:
            raise TypeError("a ragged list is no array")
        yield values[first:last].reshape(shape[1:])
