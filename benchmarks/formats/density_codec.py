"""Which type, codec and chunk should density be stored in?

For maps as the recipe makes them: bytes as a share of float32, largest error, its root mean square in standard
deviations of the density, and milliseconds to decode the volume and to encode it, on one thread, chunk by chunk. Shows
nothing of network or of zarr's own cost, which is the same for all. `float16` has all steps of that type, `steps` those
of 1/1024; `stored` are the numbers of these, as a build writes them.

    python -m benchmarks.formats.density_codec ../shared/data      the real maps, result kept
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import Blosc, Zstd

from benchmarks.record import record
from cryodata.build.catalog import read_source_folder
from cryodata.core.schema import STEP
from cryodata.core.subgrids import cut_box
from cryodata.errors import RejectedError
from cryodata.formats.codecs import CODECS as LIBRARY
from cryodata.formats.codecs import Codec
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.formats.steps import count
from cryodata.prepare.narrow import narrowed
from cryodata.prepare.normalize import normalize_published
from cryodata.prepare.resample import resample

CODECS: dict[str, Codec | Blosc | Zstd] = {
    **LIBRARY,
    "zstd3": Zstd(level=3),
    "zstd3+shuffle": Blosc("zstd", clevel=3, shuffle=Blosc.SHUFFLE),
    "lz4+shuffle": Blosc("lz4", clevel=5, shuffle=Blosc.SHUFFLE),
    "lz4+bits": Blosc("lz4", clevel=5, shuffle=Blosc.BITSHUFFLE),
    "lz4hc2+shuffle": Blosc("lz4hc", clevel=2, shuffle=Blosc.SHUFFLE),
    "lz4hc3+shuffle": Blosc("lz4hc", clevel=3, shuffle=Blosc.SHUFFLE),
    "lz4hc4+shuffle": Blosc("lz4hc", clevel=4, shuffle=Blosc.SHUFFLE),
    "lz4hc9+shuffle": Blosc("lz4hc", clevel=9, shuffle=Blosc.SHUFFLE),
}
"""by the name of the setting `codec` of a build, and others"""

SETTINGS = (
    ("float16", "zstd3"),
    ("float16", "zstd"),
    ("steps", "zstd"),
    ("steps", "lz4hc2+shuffle"),
    ("steps", "lz4"),
    ("stored", "zstd"),
    ("stored", "lz4hc3+shuffle"),
    ("stored", "lz4hc2+shuffle"),
    ("stored", "lz4"),
)
"type and codec for all maps: others are relative to the first"

STORED = {
    "float32": (lambda d: d, lambda s: s),
    "float16": (lambda d: d.astype(np.float16), lambda s: s.astype(np.float32)),
    "steps": (lambda d: narrowed(d, np.dtype(np.float16), STEP), lambda s: s.astype(np.float32)),
    "stored": (lambda d: count(narrowed(d, np.dtype(np.float16), STEP)), lambda s: s * np.float32(STEP)),
    "fixed16": (lambda d: np.rint(d * 65535).astype(np.uint16), lambda s: s.astype(np.float32) / 65535),
    "uint8": (lambda d: np.rint(d * 255).astype(np.uint8), lambda s: s.astype(np.float32) / 255),
}
REPEATS = 3

CLOSELY = ("EMD-3488", "EMD-5168", "EMD-1461-crop", "EMD-5778-chainA")
"maps that every type, codec and chunk is measured on"

LARGEST = 2**28
"voxels of 1 A; larger maps are left out"


def measure(
    density: npt.NDArray[np.float32],
    chunks: Sequence[int] = (32, 64),
    dtypes: Sequence[str] = tuple(STORED),
    codecs: Sequence[str] = tuple(CODECS),
) -> Iterator[dict[str, Any]]:
    """A row per type, codec and chunk."""
    for dtype, codec_name, chunk in product(dtypes, codecs, chunks):
        (store, load), codec = STORED[dtype], CODECS[codec_name]
        stored = store(density)
        error = np.abs(load(stored) - density)
        starts = list(product(*(range(0, n, chunk) for n in stored.shape)))
        boxes = [cut_box(stored, start, chunk) for start in starts]
        began = time.perf_counter()
        encoded = [np.frombuffer(codec.encode(box), dtype=np.uint8) for box in boxes if box.any()]
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
            "largest_error": float(error.max()),
            "rms_error_in_sd": float(np.sqrt(np.mean(error**2, dtype=np.float64)) / density.std(dtype=np.float64)),
            "decode_ms": round(1e3 * sorted(decodes)[REPEATS // 2], 2),
            "encode_ms": round(1e3 * encode, 2),
        }


def totals(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each setting takes of all maps together, and relative to the first. rows: of `measure`, with `voxels`."""
    found = []
    for dtype, codec in SETTINGS:
        mine = [row for row in rows if (row["dtype"], row["codec"]) == (dtype, codec)]
        sums = {
            "MB": sum(row["share_of_float32"] * row["voxels"] * 4 for row in mine) / 1e6,
            "decode_ms": sum(row["decode_ms"] for row in mine),
            "encode_ms": sum(row["encode_ms"] for row in mine),
        }
        first = found[0]["sums"] if found else sums
        worst = max((row["rms_error_in_sd"] for row in mine), default=0.0)
        found.append({"dtype": dtype, "codec": codec, "maps": len(mine),
                      "largest rms_error_in_sd": worst,
                      "sums": {k: round(v, 1) for k, v in sums.items()},
                      "relative": {k: round(v / first[k], 3) for k, v in sums.items()}})  # fmt: skip
    return found


def main(source: Path) -> None:
    """Measure the real maps, print and keep the table: some of them in every way, all in those of the setting."""
    rows, everywhere = [], []
    for entry in read_source_folder(source):
        path = Path(entry.sources["map"].path)
        try:
            header = read_header(path)
            if np.prod(np.multiply(header.shape_zyx, np.asarray(header.voxel_size_xyz)[::-1])) > LARGEST:
                continue
            density, _ = normalize_published(resample(read_volume(path, header)).data)
        except RejectedError as error:
            print(f"{entry.entry_id}: {error.code}")
            continue
        if entry.entry_id in CLOSELY:
            rows += [{"map": entry.entry_id, **row} for row in measure(density)]
        found = [row for dtype, codec in SETTINGS for row in measure(density, (64,), (dtype,), (codec,))]
        everywhere += [{"map": entry.entry_id, "voxels": density.size, **row} for row in found]
    for row in [*rows, *totals(everywhere)]:
        print("  ".join(f"{value!s:>15}" for value in row.values()))
    kept = {"settings, all maps": totals(everywhere), "maps": everywhere, "every way": rows}
    print(record("density_codec", ("numcodecs", "numpy"), kept))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
