"""How chunks of a volume are compressed: two codecs of zarr, and frames of no others are given to their libraries.

    lz4    by blosc, bytes shuffled: decoded in 0.4 of the time of zstd
    zstd   the smaller: real maps take 0.9 of the bytes

`benchmarks/formats` measures both, and others. lz4hc would save 6 % of the bytes of lz4 at level 2 and 15 % at level 3,
and compress in 2.3 and 5 times the time; its bytes change between releases of lz4.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Protocol

import numcodecs.blosc
import numpy as np
import numpy.typing as npt
from numcodecs.zstd import Zstd

# decoders run in threads of their own; zarr sets the same. With it blosc starts no threads, which a fork would lose
numcodecs.blosc.use_threads = False


class Codec(Protocol):
    """One way to compress the bytes of a chunk."""

    def described(self, itemsize: int) -> dict[str, Any]:
        """What `zarr.json` says of it, for values of so many bytes."""

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        """A frame of a chunk that is contiguous; the same values give the same bytes."""

    def decode(self, frame: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        """Fill `out`, which is contiguous. ValueError for a frame of something else, before anything is allocated for
        it; RuntimeError for one that is damaged."""


class _Zstd:
    LEVEL = 1

    def described(self, itemsize: int) -> dict[str, Any]:
        return {"name": "zstd", "configuration": {"level": self.LEVEL, "checksum": False}}

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        return bytes(Zstd(level=self.LEVEL).encode(chunk))

    def decode(self, frame: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        claimed = _claimed_by_zstd(frame)
        if claimed != out.nbytes:
            raise ValueError(f"holds {claimed} bytes; expected {out.nbytes}")
        Zstd().decode(frame, out=out)


class _Lz4:
    NAME, LEVEL = "lz4", 9

    def described(self, itemsize: int) -> dict[str, Any]:
        how = {"typesize": itemsize, "cname": self.NAME, "clevel": self.LEVEL, "shuffle": "shuffle", "blocksize": 0}
        return {"name": "blosc", "configuration": how}

    def encode(self, chunk: npt.NDArray[Any]) -> bytes:
        blosc = numcodecs.blosc.Blosc(cname=self.NAME, clevel=self.LEVEL, shuffle=numcodecs.blosc.SHUFFLE, blocksize=0)
        return bytes(blosc.encode(chunk))

    def decode(self, frame: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        _check_blosc(frame, out)
        numcodecs.blosc.decompress(frame, out)


CODECS: Mapping[str, Codec] = {"lz4": _Lz4(), "zstd": _Zstd()}
"by the name that settings of a build have for it"

NAMES = {"zstd": "zstd", "blosc": "lz4"}
"what `zarr.json` calls them"


def _claimed_by_zstd(frame: npt.NDArray[np.uint8]) -> int:
    """Decompressed bytes that a zstd frame claims, -1 if it does not say (RFC 8878, section 3.1.1.1)."""
    if len(frame) < 6:
        return -1
    flags = int(frame[4])
    size_flag, single_segment = flags >> 6, flags >> 5 & 1
    start = 5 + (1 - single_segment) + (0, 1, 2, 4)[flags & 3]
    length = (single_segment, 2, 4, 8)[size_flag]
    if not length:
        return -1
    return int.from_bytes(frame[start : start + length].tobytes(), "little") + (256 if length == 2 else 0)


HEADER = 16
"bytes: versions of the format and of lz4's, flags, bytes of a value; then, 4 bytes each, bytes, of a block, of a frame"

LZ4, FREE = 0b0010_0000, 0b0001_0011
"flags: compressed by lz4; and those besides: bytes shuffled, stored as it is, not split (C-Blosc 1, format of a chunk)"


def _check_blosc(frame: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
    """Refuse what blosc would believe: it takes a frame's length, its sizes and its compressor from its header."""
    if len(frame) < HEADER:
        raise ValueError(f"is a frame of {len(frame)} bytes; its header alone has {HEADER}")
    version, of_lz4, flags, itemsize, size, block, length = struct.unpack_from("<4B3I", frame.data)
    if size != out.nbytes:
        raise ValueError(f"holds {size} bytes; expected {out.nbytes}")
    if length != len(frame):
        raise ValueError(f"is a frame of {length} bytes by its header; expected {len(frame)}")
    if (version, of_lz4, flags & ~FREE, itemsize) != (2, 1, LZ4, out.itemsize) or not 0 < block <= size:
        raise ValueError(f"is compressed in a way of which nothing is known (header {frame[:HEADER].tobytes().hex()})")
