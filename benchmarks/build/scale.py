"""What does it cost to keep 100,000 entries going, besides the work itself? And tables of 39 million sub-grids?

    python -m benchmarks.build.scale --work DIR                      100,000 entries, 39 million rows, results kept
    python -m benchmarks.build.scale --work DIR --entries 2000 --volumes 0

Entries: the path of `cryodata build --workers N` through Dask's scheduler, with the work on an entry replaced by a
pause. Overhead is (wall x workers - work) / entries; growth is the memory of the process that drives, schedules and
hosts the workers, after the first tenth. Tables: written from receipts of made-up sub-grids as a version's are, then
read as a filter reads them; memory is the peak of a process for each. Shows nothing of real maps or networks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.record import RESULTS, machine, write
from cryodata.build import run as running
from cryodata.build.identify import Job
from cryodata.build.run import Crew, run
from cryodata.build.work import Outcome
from cryodata.core.entry import Entry

WORKERS, PAUSE = 8, 0.08
"processes of the crew; seconds that the work on an entry takes"

SIDE = 17
"sub-grids of a map along an axis: 7,940 maps have 39 million"


def pause(entry: Entry, job: Job) -> Outcome:
    """In place of the work on an entry."""
    time.sleep(PAUSE)
    return Outcome(entry.entry_id, "0" * 64, seconds=PAUSE)


def drive(entries: int, folder: Path) -> dict[str, Any]:
    """Wall seconds, overhead an entry, and memory as entries come in."""
    running.work_apart = pause
    running.available_cores = lambda: WORKERS
    listed = [Entry(f"EMD-{number:06d}") for number in range(entries)]
    job = Job("cryo2struct", "published", {}, str(folder))
    memory, process, began = [], psutil.Process(), time.perf_counter()
    step = max(1, entries // 100)
    with (folder / "outcomes").open("w", encoding="utf-8") as journal:
        for number, outcome in enumerate(run(job, listed, Crew(WORKERS)), 1):
            journal.write(f"{outcome.entry_id}\n")
            if number % step == 0:
                memory.append([number, process.memory_info().rss])
    wall = time.perf_counter() - began
    after = [item for item in memory if item[0] >= entries // 10]
    slope = np.polyfit(*np.array(after, dtype=np.float64).T, 1)[0]
    return {
        "entries": entries,
        "workers": WORKERS,
        "pause": PAUSE,
        "wall": round(wall, 2),
        "overhead ms an entry": round(1e3 * (wall * WORKERS - entries * PAUSE) / entries, 3),
        "growth bytes an entry": round(float(slope), 1),
        "memory": memory,
    }


def write_tables(volumes: int, folder: Path) -> dict[str, Any]:
    """Receipts of so many maps with made-up sub-grids, and the tables of a version from them."""
    from cryodata.build.assemble import _write_subgrids
    from cryodata.build.receipts import Receipt, write_receipt
    from cryodata.core.splits import DEFAULT_SCHEME, TRAIN
    from cryodata.formats.tables import SUBGRIDS

    rng = np.random.Generator(np.random.PCG64(0))
    accepted: list[tuple[Entry, Receipt]] = []
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    for number in range(volumes):
        digest = f"{number:064x}"
        table = made_up(SUBGRIDS, rng)
        receipt = write_receipt(folder, folder / "temporary", digest, {"status": "accepted"}, {"subgrids": table})
        accepted.append((Entry(f"EMD-{number:06d}"), receipt))
    before, began = peak(), time.perf_counter()
    made = folder / "made"
    made.mkdir(exist_ok=True)
    rows = _write_subgrids(made, folder, accepted, {DEFAULT_SCHEME: {entry.entry_id: TRAIN for entry, _ in accepted}})
    size = sum(path.stat().st_size for path in made.iterdir())
    seconds = round(time.perf_counter() - began, 1)
    return {"rows": sum(rows.values()), "seconds": seconds, "bytes": size, "peak": peak(), "peak before": before}


def made_up(schema: Any, rng: np.random.Generator) -> Any:
    """Sub-grid rows of one map."""
    import pyarrow as pa

    count = SIDE**3
    columns: dict[str, Any] = {}
    for field in schema:
        if field.name == "volume":
            continue
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.array(rng.integers(0, 400, 3 * count).astype(np.int32))
            columns[field.name] = pa.FixedSizeListArray.from_arrays(flat, type=field.type)
        elif pa.types.is_floating(field.type):
            columns[field.name] = pa.array(rng.random(count), field.type)
        else:
            columns[field.name] = pa.array(rng.integers(0, 200, count), pa.int64()).cast(field.type)
    return pa.table(columns)


def read_tables(folder: Path) -> dict[str, Any]:
    """Every row group of the tables, one by one, as a filter looks at them."""
    import pyarrow.compute as pc

    from cryodata.formats.row_groups import iterate_groups

    began, rows, kept = time.perf_counter(), 0, 0
    for path in sorted((folder / "made").glob("subgrids-*.parquet")):
        for group in iterate_groups(path):
            rows += len(group)
            kept += pc.sum(pc.greater(group["n_ca_core"], 100)).as_py() or 0
    return {"rows": rows, "kept": kept, "seconds": round(time.perf_counter() - began, 1), "peak": peak()}


def peak() -> int:
    """Most bytes of memory that this process had so far."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def apart(step: str, folder: Path, number: int) -> dict[str, Any]:
    """One of the measurements in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.build.scale", "--work", str(folder), "--step", step]
    done = subprocess.run([*command, "--number", str(number)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build.scale")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--volumes", type=int, default=7_940, help="maps of the tables; 0 leaves them out")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    steps = {"drive": drive, "write": write_tables, "read": lambda _, folder: read_tables(folder)}
    if given.step:
        print(json.dumps(steps[given.step](given.number, given.work)))
        return
    result = {"entries": apart("drive", given.work, given.entries)}
    if given.volumes:
        result["tables written"] = apart("write", given.work, given.volumes)
        result["tables read"] = apart("read", given.work, given.volumes)
    for name, found in result.items():
        print(name, {key: value for key, value in found.items() if key != "memory"})
    print(write(RESULTS / "build-scale.json", {**machine(("dask", "distributed", "pyarrow")), "result": result}))
    os.sync()


if __name__ == "__main__":
    main()
