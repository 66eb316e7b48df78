"""What do order, state and resume cost at the size of the whole archive: 7,600 maps, 39 million sub-grids?

Tables and decoding are replaced: shapes are drawn, and only ids and places are served, so what is left is the order,
the state and what a filter keeps. Memory is the peak that `tracemalloc` counts while a reader is made and resumed.
Shows nothing of reading: `startup.py` does.

    python -m benchmarks.read.scale          result kept
"""

from __future__ import annotations

import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.record import record
from cryodata.core.schema import Schema
from cryodata.core.subgrids import counts_of
from cryodata.read.decode import VersionKey, volumes_of
from cryodata.read.kept import Kept
from cryodata.read.plan import StreamPlan
from cryodata.read.sources import SubgridSource
from cryodata.read.stream import BatchReader

VOLUMES = 7600
BATCH, STREAMS = 64, 8
PLACES = (0.0, 0.1, 0.5, 0.9)
"of the epoch, where it is resumed"


def replaced(volumes: int) -> tuple[SubgridSource, np.ndarray[Any, Any]]:
    """A source whose tables are made up and that has nothing to decode; and the sub-grids of each volume."""
    rng = np.random.Generator(np.random.PCG64(0))
    shapes = rng.integers(220, 474, (volumes, 3)).astype(np.int32)
    key = VersionKey("/nowhere", "replaced", "1.0.0", f"{volumes:064x}")
    store = volumes_of(key)
    ids = [f"EMD-{number:05d}" for number in range(volumes)]
    flat = pa.FixedSizeListArray.from_arrays(pa.array(shapes.reshape(-1)), 3)
    entries = pa.table({"entry_id": ids, "shape_zyx": flat})
    store.__dict__.update(
        entries=entries, opened=SimpleNamespace(manifest=SimpleNamespace(schema=Schema(()))),
        density_dtype=np.dtype(np.float16),
    )  # fmt: skip
    source = SubgridSource(key, np.arange(volumes, dtype=np.int32), ("entry_id", "start_zyx"), 32, 20, "stored")
    return source, counts_of(shapes, 20).prod(axis=1)


def filtered(source: SubgridSource, counts: np.ndarray[Any, Any]) -> SubgridSource:
    """The same source, about half of the sub-grids kept."""
    kept = Kept.none(counts)
    rng = np.random.Generator(np.random.PCG64(1))
    kept.bits[...] = rng.integers(0, 256, len(kept.bits), dtype=np.uint8)
    beyond = -counts % 8  # bits of the last byte of each volume that are no sub-grid
    kept.bits[kept.first[1:] - 1] &= (0xFF << beyond).astype(np.uint8)
    return SubgridSource(source.key, source.volumes, source.columns, source.box, source.core, source.rule, kept)


def reader_of(source: SubgridSource) -> BatchReader:
    """The reader of all streams, maps mixed as by default."""
    return BatchReader.of_rank(StreamPlan(source, BATCH, 0, True, STREAMS, STREAMS, "drop"), 0, 1)


def measure(source: SubgridSource) -> dict[str, Any]:
    """Seconds and bytes of one source."""
    began = time.perf_counter()
    reader = reader_of(source)
    opened = time.perf_counter() - began
    found: dict[str, Any] = {"sub-grids": int(reader.counts.sum()), "seconds to open": round(opened, 3)}
    for place in PLACES:
        batch, began = int(place * len(reader)), time.perf_counter()
        state = {**reader.plan.identity(), "epoch": 1, "next_batch": batch}
        told = time.perf_counter()
        next(reader.batches(1, state["next_batch"]))
        resumed = time.perf_counter()
        found[f"at {place:.0%}"] = {"state": round(told - began, 4), "resume": round(resumed - told, 4)}
    return found


def main(volumes: int = VOLUMES) -> dict[str, Any]:
    """Seconds and memory, with a filter and without; printed."""
    source, counts = replaced(volumes)
    result: dict[str, Any] = {"volumes": volumes}
    for name in ("all", "filtered"):
        asked = source if name == "all" else filtered(source, counts)
        found = measure(asked)
        tracemalloc.start()
        measure(asked)  # once more: counting slows what it counts
        found["peak bytes"] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        found["bytes of the filter"] = asked.kept.bits.nbytes if asked.kept is not None else 0
        result[name] = found
        print(name, found)
    return result


if __name__ == "__main__":
    print(record("scale", ("numpy", "pyarrow"), main()))
