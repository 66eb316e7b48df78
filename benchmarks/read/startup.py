"""How long until the first batch, and until the next one after a resume anywhere in an epoch?

Seconds from `iter()` to the first batch, tables not yet opened by the process, page cache warm; `open` is the
constructor before it, `processor` what all threads of the process computed meanwhile (other work on the machine does
not count in it). Median of several times, each on a stream of its own. With the defaults (8 streams of a map each)
and with one stream of 6 maps; `crossing` is a batch whose sub-grids lie in two blocks of maps. Shows nothing of cold
disks.

    python -m benchmarks.read.startup ROOT NAME          result kept
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.record import record
from cryodata.read.decode import volumes_of
from cryodata.torch import SubgridStream

BATCH = 64
PLACES = ("0", "0.1", "0.5", "0.9", "crossing")
OPTIONS: dict[str, dict[str, int]] = {"streams=8": {}, "streams=1, pool_volumes=6": {"streams": 1, "pool_volumes": 6}}


def batch_at(stream: SubgridStream, place: str) -> int:
    """Number of the batch at a share of the epoch, or of one that crosses from a block of maps to the next."""
    if place != "crossing":
        return int(float(place) * len(stream))
    reader = stream._reader
    order, part = reader.order(3), BATCH // reader.plan.streams
    ends = [order.block_span(stream, 0)[1] for stream in range(reader.plan.streams) if order.blocks(stream) > 1]
    return next((end // part for end in ends if end % part), 0)


def once(name: str, root: Path, place: str, options: dict[str, int]) -> tuple[float, float, float]:
    """Seconds to open, from `iter()` to the first batch from a place on, and of the processor meanwhile."""
    volumes_of.cache_clear()
    began = time.perf_counter()
    columns = ["density", "atom", "amino"]
    stream = SubgridStream(name, split="train", root=root, batch_size=BATCH, columns=columns, **options)
    opened = time.perf_counter()
    stream.load_state_dict(stream.state_at(3, batch_at(stream, place)))
    asked, used = time.perf_counter(), time.process_time()
    batches = iter(stream)
    next(batches)
    return opened - began, time.perf_counter() - asked, time.process_time() - used


def main(root: Path, name: str, repeats: int = 5) -> list[dict[str, Any]]:
    """Measure, print, and give the rows."""
    once(name, root, PLACES[0], {})  # libraries are loaded, kernels compiled
    rows = []
    for label, options in OPTIONS.items():
        for place in PLACES:
            found = [once(name, root, place, options) for _ in range(repeats)]
            opened, first, used = (round(statistics.median(values), 3) for values in zip(*found, strict=True))
            rows.append({"options": label, "at": place, "open": opened, "first batch": first, "processor": used})
            print(f"{label:26s} at {place:8s}: open {opened:.3f} s, first batch {first:.3f} s (processor {used:.3f} s)")
    return rows


if __name__ == "__main__":
    result = main(Path(sys.argv[1]), sys.argv[2])
    print(record("startup", ("torch", "numpy", "numcodecs", "pyarrow"), result))
