"""Volumes read back, one known layout only.

Shards are decoded one by one straight into the result, so that nothing in a downloaded file can ask for more memory
than the tables say the volume has: a general reader follows a zstd frame that claims terabytes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import SEEK_END, RawIOBase
from itertools import product
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from cryodata.compiled import LINE, VECTOR, loops
from cryodata.errors import DatasetError
from cryodata.formats import steps
from cryodata.formats.codecs import CODECS
from cryodata.formats.shards import CRC_BYTES, EMPTY
from cryodata.formats.steps import Part, Put
from cryodata.formats.volume_metadata import StoredArray, why

SLACK = 1 << 16
"bytes that a codec may add to a chunk that does not compress, and more than that"

AT_ONCE = 4096
"chunks whose places are listed at a time: lists take some 50 times the 16 bytes that a shard has of a chunk"

KEPT_BYTES = 8 << 20
"memory for chunks that a thread keeps at most"

_own = threading.local()
_loops = partial(loops, "cryodata.compiled.moves")

Open = Callable[[str], RawIOBase]
"opens a file by its path in the volume's folder; raises FileNotFoundError"


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Cubes of an array that somebody wants to read; they may reach beyond it."""

    starts_zyx: npt.NDArray[np.integer[Any]]
    "(n, 3)"

    size: int
    "voxels a side"

    def touched(self, shape_zyx: tuple[int, ...], chunk: tuple[int, ...]) -> npt.NDArray[np.bool_]:
        """Chunks that hold a voxel of some cube: bool, chunks along z, y, x."""
        shape, side = np.asarray(shape_zyx), np.asarray(chunk)
        touched = np.zeros(-(-shape // side), dtype=bool)
        low = np.maximum(self.starts_zyx, 0)
        high = np.minimum(self.starts_zyx + self.size, shape) - 1
        inside = np.all(low <= high, axis=1)
        first, last = low[inside] // side, high[inside] // side
        for step in np.ndindex(*((last - first).max(axis=0, initial=0) + 1)):
            touched[tuple(np.minimum(first + step, last).T)] = True
        return touched


def read_array(
    array: StoredArray, opening: Open, where: str, out: npt.NDArray[Any] | None = None, boxes: Boxes | None = None
) -> npt.NDArray[Any]:
    """Decode a whole array, shape (nz, ny, nx), in the type as which it is read.

    out: where to; every voxel of it is written, whatever it held. boxes: only the chunks that these touch are decoded,
    and the others are left as they are. The crc32c of each chunk that is decoded is checked. Raises DatasetError naming
    the entry, the file, what was found and expected.
    """
    result = np.empty(array.shape_zyx, dtype=array.dtype.newbyteorder("=")) if out is None else out
    found, expected = (array.shape_zyx, array.dtype.newbyteorder("=")), (result.shape, result.dtype)
    if found != expected:
        raise DatasetError(f"{where}: array '{array.path}' is of shape and type {found}; expected {expected}")
    scratch, buffer = _scratch(array)
    wanted = None if boxes is None else boxes.touched(array.shape_zyx, array.chunk)
    counts = [s // c for s, c in zip(array.shard, array.chunk, strict=True)]
    for shard in product(*(range(-(-n // s)) for n, s in zip(array.shape_zyx, array.shard, strict=True))):
        here = None
        if wanted is not None:
            here = wanted[tuple(slice(i * n, (i + 1) * n) for i, n in zip(shard, counts, strict=True))]
            if not here.any():
                continue
        path, size = f"{array.path}/c/{'/'.join(map(str, shard))}", 0
        try:
            with opening(path) as file:
                size = file.seek(0, SEEK_END)
                _read_shard(array, _Pieces(file, size, buffer), shard, scratch, result, here)
        except FileNotFoundError:
            # a shard of zeros is not written; that it was not lost, the table of objects tells
            result[tuple(slice(i * s, (i + 1) * s) for i, s in zip(shard, array.shard, strict=True))] = 0
        except (ValueError, RuntimeError) as error:
            raise DatasetError(f"{where}/{path}: damaged shard of {size:,} bytes: {why(error)}") from None
    return result


def _scratch(array: StoredArray) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Memory for a chunk, decoded and as it is stored; of this thread, which uses it again."""
    size = math.prod(array.chunk) * array.dtype.itemsize
    memory = getattr(_own, "memory", None)
    if memory is None or len(memory) != 2 * size + SLACK:
        memory = np.empty(2 * size + SLACK, dtype=np.uint8)
        _own.memory = memory if len(memory) <= KEPT_BYTES else None
    stored = steps.DTYPE if array.counted else array.dtype
    return memory[:size].view(stored).reshape(array.chunk), memory[size:]


class _Pieces:
    """A shard's file, read piece by piece into the same memory: a piece is decoded while the caches still have it."""

    def __init__(self, file: RawIOBase, size: int, buffer: npt.NDArray[np.uint8]) -> None:
        self.size = size
        self._file, self._buffer = file, buffer

    def index(self, count: int) -> bytes:
        """The index at the end of the file, checked."""
        self._file.seek(self.size - count - CRC_BYTES)
        raw = b""
        while len(raw) < count + CRC_BYTES and (more := self._file.read(count + CRC_BYTES - len(raw))):
            raw += more
        tail = np.frombuffer(raw, dtype=np.uint8)
        _check_crc(tail[:-CRC_BYTES], tail[-CRC_BYTES:], "index")
        return raw[:-CRC_BYTES]

    def read(self, first: int, count: int) -> npt.NDArray[np.uint8]:
        """Bytes of the file, valid until the next are read. Raises ValueError if it does not have them."""
        if first < 0 or first + count > self.size or count > len(self._buffer):
            raise ValueError(f"the bytes {first:,} to {first + count:,} of it can hold no chunk")
        piece, done = self._buffer[:count], 0
        self._file.seek(first)
        while done < count:
            read = self._file.readinto(piece.data[done:])
            if not read:
                raise ValueError(f"it ends after {first + done:,} bytes")
            done += read
        return piece


def _read_shard(
    array: StoredArray,
    pieces: _Pieces,
    shard: tuple[int, ...],
    scratch: npt.NDArray[Any],
    result: npt.NDArray[Any],
    wanted: npt.NDArray[np.bool_] | None,
) -> None:
    counts = [s // c for s, c in zip(array.shard, array.chunk, strict=True)]
    index_bytes = 16 * math.prod(counts)
    if pieces.size < index_bytes + CRC_BYTES:
        raise ValueError(f"its index alone has {index_bytes + CRC_BYTES:,}")
    index = np.frombuffer(pieces.index(index_bytes), dtype="<u8").reshape(-1, 2)
    chosen = np.arange(len(index)) if wanted is None else np.ravel_multi_index(np.nonzero(wanted), counts)
    decode, put = CODECS[array.codec].decode, _putter(result, scratch, array.counted)
    for place, start, end, size_zyx, (offset, size) in _listed(array, shard, counts, chosen, index):
        target = tuple(map(slice, start, end))
        if offset == size == EMPTY:
            result[target] = 0
            continue
        if min(size_zyx) <= 0 or size < CRC_BYTES or offset + size > pieces.size:
            raise ValueError(f"chunk {tuple(place)} claims the bytes {offset} to {offset + size}")
        piece = pieces.read(offset, size)
        frame = piece[:-CRC_BYTES]
        _check_crc(frame, piece[-CRC_BYTES:], "chunk", place)
        try:
            decode(frame, scratch)
        except ValueError as error:
            raise ValueError(f"chunk {tuple(place)} {error}") from None
        put(target, tuple(map(slice, size_zyx)))


def _listed(
    array: StoredArray,
    shard: tuple[int, ...],
    counts: Sequence[int],
    chosen: npt.NDArray[np.intp],
    index: npt.NDArray[np.uint64],
) -> Iterator[tuple[list[int], ...]]:
    """Of chunks of a shard, by number: their places in it, first voxels, the ones after their last and spans, cut off
    at the end of the array, and entries of the index. Numbers of Python, as NumPy's cost more than the work."""
    for part in (chosen[first : first + AT_ONCE] for first in range(0, len(chosen), AT_ONCE)):
        places = np.stack(np.unravel_index(part, counts), axis=1)
        low = places * array.chunk + np.multiply(shard, array.shard)
        span = np.minimum(array.chunk, array.shape_zyx - low)
        yield from zip(
            *(values.tolist() for values in (places, low, low + np.maximum(span, 0), span, index[part])), strict=True
        )


def _putter(result: npt.NDArray[Any], chunk: npt.NDArray[Any], counted: bool) -> Put:
    """What writes a part of a chunk to a place of the result. Past the caches where rows begin their lines: a volume is
    larger than they are, and to read what will be overwritten takes most of the time."""
    past = chunk.shape[-1] * chunk.itemsize % LINE == 0 and _in_lines(result)
    if counted:
        return steps.putter(result, chunk, past)
    compiled = _loops() if past else None
    if compiled is None:

        def put(place: Part, part: Part) -> None:
            result[place] = chunk[part]

        return put
    unsigned = f"u{result.itemsize}"
    into, values = result.view(unsigned), chunk.view(unsigned)

    def put_past(place: Part, part: Part) -> None:
        target, source = into[place], values[part]
        whole = target.shape[-1] // VECTOR * VECTOR
        compiled.put_past(target[..., :whole], source[..., :whole])
        if whole < target.shape[-1]:
            target[..., whole:] = source[..., whole:]

    return put_past


def _in_lines(target: npt.NDArray[Any]) -> bool:
    """Whether every row begins a line of the cache, and every vector of values in it."""
    return (
        target.itemsize in (2, 4)
        and target.strides[-1] == target.itemsize
        and all(step % LINE == 0 for step in (target.ctypes.data, *target.strides[:-1]))
    )


def _check_crc(data: npt.NDArray[np.uint8], said: npt.NDArray[np.uint8], what: str, place: Sequence[int] = ()) -> None:
    found, expected = google_crc32c.value(data), int.from_bytes(said.tobytes(), "little")
    if found != expected:
        where = f" {tuple(place)}" if place else ""
        raise ValueError(f"crc32c of {what}{where} is {found:08x}; expected {expected:08x}")
