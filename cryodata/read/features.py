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
from cryodata.read.decode import VersionKey, volumes_of

REFERENCE = pa.struct(
    [("volume", pa.int32()), ("start_zyx", pa.list_(pa.int32(), 3)), ("data", pa.large_binary())],
)
"where to cut; or, in a column that somebody computed, the array itself: its shape as three int32, then its values"

HEADER_BYTES = 12


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
    """A column of 3-D arrays. In a table it holds where to cut; reading a row gives the array.

    A dataset that was saved to disk keeps the references: import `load_dataset` from cryodata before loading it.
    Columns of different versions or label rules are of different types, which `datasets` does not concatenate.
    """

    array: str
    dtype: str
    shape: list[int] | None
    "(box, box, box), or None for whole volumes of any shape"

    root: str
    name: str
    version: str
    sha256: str
    rule: str
    decode: bool = True
    id: str | None = None
    _type: str = field(default="CryodataVoxels", init=False, repr=False)

    pa_type: ClassVar[Any] = REFERENCE

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: Any) -> Any:
        """An array as it is stored; a reference is itself."""
        return value if isinstance(value, dict) else {"data": _to_bytes(np.asarray(value), self.dtype, self.shape)}

    def decode_example(self, value: Any, token_per_repo_id: Any = None) -> npt.NDArray[Any]:
        """The array that a reference stands for; an array is itself."""
        if isinstance(value, np.ndarray):
            return value
        if value.get("data") is not None:
            return _from_bytes(value["data"], self.dtype).view(Cut)
        store = volumes_of(VersionKey(self.root, self.name, self.version, self.sha256))
        spec = next(array for array in store.opened.manifest.schema.arrays if array.name == self.array)
        volume = store.get(int(value["volume"]), self.rule)
        if self.shape is None:
            return volume.whole(spec).view(Cut)
        z, y, x = (int(start) for start in value["start_zyx"])
        return volume.cut(spec, (z, y, x), self.shape[0]).view(Cut)

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """From references, or from the nested lists that `datasets` makes of arrays that a map returned."""
        if _is_nested_thrice(storage.type):
            rows = [None if row is None else {"data": _to_bytes(row, self.dtype, self.shape)} for row in _rows(storage)]
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


def _to_bytes(array: npt.NDArray[Any], dtype: str, shape: list[int] | None) -> bytes:
    """An array as it is stored. TypeError if it is of another shape or kind, or has numbers that an integer type can't
    hold: `datasets` then finds another type for the column."""
    if array.ndim != 3 or shape not in (None, list(array.shape)):
        raise TypeError(f"an array column takes arrays of the shape {shape or '(nz, ny, nx)'}, found {array.shape}")
    if np.dtype(dtype).kind in "iu" and array.dtype.kind not in "biu":
        raise TypeError(f"a column of {dtype} takes integers, found {array.dtype}")
    with np.errstate(invalid="ignore"):
        values = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
    if values.dtype.kind in "iu" and not np.array_equal(values, array):
        raise TypeError(f"a column of {dtype} can't hold all numbers of an array of {array.dtype}")
    return np.array(array.shape, dtype="<i4").tobytes() + values.tobytes()


def _from_bytes(data: bytes, dtype: str) -> npt.NDArray[Any]:
    shape = np.frombuffer(data, dtype="<i4", count=3)
    values = np.frombuffer(data, dtype=np.dtype(dtype).newbyteorder("<"), offset=HEADER_BYTES)
    if values.size != shape.prod(dtype=np.int64):
        raise DatasetError(f"an array column holds {values.size} values for the shape {tuple(shape.tolist())}")
    return values.reshape(shape).astype(dtype)


def _is_nested_thrice(kind: pa.DataType) -> bool:
    """Lists of lists of lists of numbers: what `datasets` makes of 3-D arrays."""
    for _ in range(3):
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            return False
        kind = kind.value_type
    return bool(pa.types.is_primitive(kind))


def _rows(storage: pa.Array) -> Iterator[npt.NDArray[Any] | None]:
    """Rows of a column of lists of lists of lists, as arrays; without a Python list in between."""
    outer, middle = storage, storage.values
    inner = middle.values
    values = inner.values.to_numpy(zero_copy_only=False)
    z_of, y_of, x_of = (np.asarray(level.offsets) for level in (outer, middle, inner))
    for row in range(len(storage)):
        if not storage[row].is_valid:
            yield None
            continue
        z_first, z_last = int(z_of[row]), int(z_of[row + 1])
        y_first, y_last = int(y_of[z_first]), int(y_of[z_last])
        first, last = int(x_of[y_first]), int(x_of[y_last])
        count = z_last - z_first
        rows = (y_last - y_first) // max(count, 1)
        columns = (last - first) // max(count * rows, 1)
        if count * rows * columns != last - first:
            raise TypeError("a ragged list is no array")
        yield values[first:last].reshape(count, rows, columns)
