"""What no builder can go below: the file inflated into one buffer, one copy of the resampled size, the library's own
codec over the values as they are stored."""

from __future__ import annotations

from os import SEEK_END
from pathlib import Path

import numpy as np
from isal import igzip

from cryodata.formats.codecs import CODECS
from cryodata.formats.volumes import CHUNK, CODEC

PIECE = 1 << 20
"bytes inflated at a time"


def work(map_path: Path, stored: np.ndarray[tuple[int, int, int], np.dtype[np.float16]]) -> int:
    """Bytes of the encoded chunks. stored: density as the library stores it."""
    with open(map_path, "rb") as packed:
        packed.seek(-4, SEEK_END)
        size = int.from_bytes(packed.read(4), "little")
    buffer, filled = bytearray(size), 0
    with igzip.open(map_path, "rb") as file:
        while piece := file.read(PIECE):  # asked for all at once it would keep all twice
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
    copy = np.empty(stored.shape, dtype=np.float32)
    copy[...] = np.frombuffer(buffer, dtype=np.float32, count=1)[0]
    codec, encoded = CODECS[CODEC], 0
    chunk = np.zeros((CHUNK,) * 3, dtype=stored.dtype)
    for place in np.ndindex(*(-(-n // CHUNK) for n in stored.shape)):
        part = stored[tuple(slice(i * CHUNK, (i + 1) * CHUNK) for i in place)]
        chunk[...] = 0
        chunk[tuple(slice(0, n) for n in part.shape)] = part
        encoded += len(codec.encode(chunk))
    return encoded
