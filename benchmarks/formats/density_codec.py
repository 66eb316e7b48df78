"""Which type, codec and chunk should density be stored in?

For maps as the recipe makes them: bytes as a share of float32, largest error, and milliseconds to decode the volume
and to encode it, on one thread, chunk by chunk. Shows nothing of network or of zarr's own cost, which is the same for
all.

    python -m benchmarks.formats.density_codec ../shared/data      the real maps, result kept
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Blosc, Zstd

from benchmarks.record import record
from cryodata.build.catalog import read_source_folder
from cryodata.core.subgrids import cut_box
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.prepare.normalize import normalize_published
from cryodata.prepare.resample import resample

CODECS = {
    "zstd3 (zstd)": Zstd(level=3),
    "zstd3+shuffle": Blosc("zstd", clevel=3, shuffle=Blosc.SHUFFLE),
    "lz4+shuffle": Blosc("lz4", clevel=5, shuffle=Blosc.SHUFFLE),
    "lz4hc4": Blosc("lz4hc", clevel=4, shuffle=Blosc.NOSHUFFLE),
    "lz4hc4+shuffle (lz4)": Blosc("lz4hc", clevel=4, shuffle=Blosc.SHUFFLE),
    "lz4hc9+shuffle": Blosc("lz4hc", clevel=9, shuffle=Blosc.SHUFFLE),
}
"in brackets what the setting `codec` calls it"

STORED = {
    "float32": (lambda d: d, lambda s: s),
    "float16": (lambda d: d.astype(np.float16), lambda s: s.astype(np.float32)),
    "uint16": (lambda d: np.rint(d * 65535).astype(np.uint16), lambda s: s.astype(np.float32) / 65535),
    "uint8": (lambda d: np.rint(d * 255).astype(np.uint8), lambda s: s.astype(np.float32) / 255),
}
REPEATS = 3


def measure(density: npt.NDArray[np.float32], chunks: tuple[int, ...] = (32, 64)) -> Iterator[dict[str, Any]]:
    """A row per type, codec and chunk."""
    for (dtype, (store, load)), (codec_name, codec), chunk in product(STORED.items(), CODECS.items(), chunks):
        stored = store(density)
        starts = list(product(*(range(0, n, chunk) for n in stored.shape)))
        boxes = [cut_box(stored, start, chunk) for start in starts]
        began = time.perf_counter()
        encoded = [codec.encode(box) for box in boxes if box.any()]
        encode = time.perf_counter() - began
        scratch = np.empty((chunk,) * 3, dtype=stored.dtype)
        decodes = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            for data in encoded:
                codec.decode(data, out=scratch)
            decodes.append(time.perf_counter() - began)
        yield {
            "dtype": dtype,
            "codec": codec_name,
            "chunk": chunk,
            "share_of_float32": round(sum(map(len, encoded)) / density.nbytes, 4),
            "largest_error": float(np.abs(load(stored) - density).max()),
            "decode_ms": round(1e3 * sorted(decodes)[REPEATS // 2], 2),
            "encode_ms": round(1e3 * encode, 2),
        }


def main(source: Path) -> None:
    """Measure the larger real maps, print and keep the table."""
    rows = []
    for entry in read_source_folder(source):
        path = Path(entry.sources["map"].path)
        if entry.entry_id not in ("EMD-3488", "EMD-5168", "EMD-1461-crop", "EMD-5778-chainA"):
            continue
        volume = resample(read_volume(path, read_header(path)))
        density, _ = normalize_published(volume.data)
        rows += [{"map": entry.entry_id, **row} for row in measure(density)]
    for row in rows:
        print("  ".join(f"{value!s:>15}" for value in row.values()))
    print(record("density_codec", ("numcodecs", "numpy"), rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
