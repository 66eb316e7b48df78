"""Shards of zarr v3 written chunk by chunk: the bytes that zarr itself writes, in the memory of one chunk.

zarr gathers a shard in memory and moves each chunk through a pipeline of its own; for one known layout that costs more
than the encoding. `tests/formats/test_shards.py` holds the bytes against zarr's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from cryodata.formats import steps
from cryodata.formats.codecs import CODECS

EMPTY = 2**64 - 1
"offset and size of a chunk that holds zeros alone, and so is not written (zarr v3, sharding codec)"

CRC_BYTES = 4
"of crc32c, behind each chunk and the index"


def write_shards(
    folder: Path, data: npt.NDArray[Any], chunk: int, shard: Sequence[int], codec: str, counted: bool = False
) -> None:
    """Write an array (nz, ny, nx) as shard files below a folder, which holds its metadata.

    chunk: voxels a side of a chunk; shard: voxels of a shard along z, y, x, multiples of it; codec: a name of `CODECS`.
    counted: of float16, the numbers of steps are written; ValueError if a value is no multiple of it. Chunks at the
    edge are filled up with 0; a shard of zeros alone is not written.
    """
    for place in np.ndindex(*(-(-n // s) for n, s in zip(data.shape, shard, strict=True))):
        part = data[tuple(slice(i * s, (i + 1) * s) for i, s in zip(place, shard, strict=True))]
        _write_shard(folder / "c" / "/".join(map(str, place)), part, chunk, [s // chunk for s in shard], codec, counted)


def _write_shard(
    path: Path, data: npt.NDArray[Any], chunk: int, counts: Sequence[int], codec: str, counted: bool
) -> None:
    index = np.full((*counts, 2), EMPTY, dtype="<u8")
    encode, scratch, at = CODECS[codec].encode, np.zeros((chunk,) * 3, dtype=data.dtype.newbyteorder("<")), 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for place in morton_order(counts):
            part = data[tuple(slice(i * chunk, (i + 1) * chunk) for i in place)]
            if not _has_bits(part):
                continue
            if part.shape != scratch.shape:
                scratch[...] = 0
            scratch[tuple(slice(0, n) for n in part.shape)] = part
            frame = encode(steps.count(scratch) if counted else scratch)
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


def _has_bits(part: npt.NDArray[np.generic]) -> bool:
    """Whether any value differs from 0 in a bit: -0.0 does."""
    return bool(part.size) and bool(part.view(f"u{part.dtype.itemsize}").any())
