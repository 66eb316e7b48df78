"""Shards of zarr v3 written chunk by chunk: the bytes that zarr itself writes, in the memory of one chunk.

zarr gathers a shard in memory and moves each chunk through a pipeline of its own; for one known layout that costs more
than the encoding. `tests/formats/test_shards.py` holds the bytes against zarr's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from cryodata.core.volume import LabelVoxels
from cryodata.formats import steps
from cryodata.formats.codecs import CODECS

EMPTY = 2**64 - 1
"offset and size of a chunk that holds zeros alone, and so is not written (zarr v3, sharding codec)"

CRC_BYTES = 4
"of crc32c, behind each chunk and the index"

Encode = Callable[[npt.NDArray[Any]], bytes]
"from a chunk, which it may overwrite, to a frame"


@dataclass(frozen=True, slots=True)
class Chunks:
    """An array (nz, ny, nx) that is told chunk by chunk."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    fill: Callable[[tuple[int, ...], npt.NDArray[Any]], bool]
    """writes the chunk at a place, counted in chunks, into memory for one, with zeros beyond the end of the array;
    False, and the memory may hold anything, if there are zeros alone"""


def dense(data: npt.NDArray[Any]) -> Chunks:
    """The chunks of an array; a -0.0 is no zero."""

    def fill(place: tuple[int, ...], chunk: npt.NDArray[Any]) -> bool:
        part = data[tuple(slice(i * side, (i + 1) * side) for i, side in zip(place, chunk.shape, strict=True))]
        if part.shape != chunk.shape:
            chunk[...] = 0
        chunk[tuple(map(slice, part.shape))] = part
        return bool(np.bitwise_or.reduce(chunk.reshape(-1).view(np.uint64)))

    return Chunks(data.shape, data.dtype, fill)


def sparse(voxels: LabelVoxels, shape: tuple[int, ...], side: int) -> Chunks:
    """The chunks, of so many voxels a side, of a label of which most voxels are 0. Memory: that of the others.
    ValueError for voxels outside the shape."""
    voxel, values = voxels
    np.ravel_multi_index(tuple(voxel.T), shape)  # raises
    counts = [-(-n // side) for n in shape]
    number = np.ravel_multi_index(tuple((voxel // side).T), counts)
    order = np.argsort(number, kind="stable")
    numbers, starts = np.unique(number[order], return_index=True)
    places = zip(*(places.tolist() for places in np.unravel_index(numbers, counts)), strict=True)
    rows = dict(zip(places, np.split(order, starts[1:]), strict=False))  # of nothing, too, there is one part

    def fill(place: tuple[int, ...], chunk: npt.NDArray[Any]) -> bool:
        mine = rows.get(place)
        if mine is not None:
            chunk[...] = 0
            chunk[tuple((voxel[mine] % side).T)] = values[mine]
        return mine is not None

    return Chunks(shape, values.dtype, fill)


def write_shards(
    folder: Path, chunks: Chunks, side: int, shard: Sequence[int], codec: str, counted: bool = False
) -> None:
    """Write an array as shard files below a folder, which holds its metadata.

    side: voxels of a chunk, an even number; shard: voxels of a shard along z, y, x, multiples of it; codec: a name of
    `CODECS`. counted: of float16, the numbers of steps are written; ValueError if a value is no multiple of it. A shard
    of zeros alone is not written.
    """

    def encode(chunk: npt.NDArray[Any]) -> bytes:
        return CODECS[codec].encode(steps.count(chunk) if counted else chunk)

    for place in np.ndindex(*(-(-n // s) for n, s in zip(chunks.shape, shard, strict=True))):
        path = folder / "c" / "/".join(map(str, place))
        _write_shard(path, chunks, place, [s // side for s in shard], side, encode)


def _write_shard(
    path: Path, chunks: Chunks, shard: tuple[int, ...], counts: Sequence[int], side: int, encode: Encode
) -> None:
    index = np.full((*counts, 2), EMPTY, dtype="<u8")
    chunk, at = np.zeros((side,) * 3, dtype=chunks.dtype.newbyteorder("<")), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for place in morton_order(counts):
            if not chunks.fill(tuple(i * n + k for i, n, k in zip(shard, counts, place, strict=True)), chunk):
                continue
            frame = encode(chunk)
            file.write(frame)
            file.write(google_crc32c.value(frame).to_bytes(CRC_BYTES, "little"))
            index[place] = at, len(frame) + CRC_BYTES
            at += len(frame) + CRC_BYTES
        raw = index.tobytes()
        file.write(raw)
        file.write(google_crc32c.value(raw).to_bytes(CRC_BYTES, "little"))
    if not at:
        path.unlink()


def morton_order(counts: Sequence[int]) -> list[tuple[int, ...]]:
    """Places of a grid along the Morton curve, the first axis fastest: the order of chunks in a shard."""
    places = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), axis=-1).reshape(-1, len(counts))
    bits = [(n - 1).bit_length() for n in counts]
    code, position = np.zeros(math.prod(counts), dtype=np.int64), 0
    for bit in range(max(bits, default=0)):
        for axis in range(len(counts)):
            if bit < bits[axis]:
                code |= (places[:, axis] >> bit & 1) << position
                position += 1
    return [tuple(place) for place in places[np.argsort(code, kind="stable")].tolist()]
