"""Very many entries through Dask's scheduler, with the work on each replaced by a pause: seconds, and what grows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from cryodata.build import run as running
from cryodata.build.identify import Job
from cryodata.build.run import Crew, run
from cryodata.build.work import Outcome
from cryodata.core.entry import Entry

WORKERS, PAUSE = 8, 0.08
"entries that are worked on at a time; seconds that the work on each takes"

SETTLED = 10_000
"entries after which growth is measured, or half of them if there are fewer: pools and logs fill in the beginning"

LOOKS = 200
"looks at the memory"


def pause(entry: Entry, job: Job) -> Outcome:
    """In place of the work on an entry."""
    time.sleep(PAUSE)
    return Outcome(entry.entry_id, "0" * 64, seconds=PAUSE)


def dask_setup(worker: Any) -> None:
    """In a worker that is told to load this module."""
    running.work_apart = pause


def in_one(entries: int, folder: Path) -> dict[str, Any]:
    """`cryodata build --workers 8`: one process drives, schedules and hosts the workers."""
    running.work_apart = pause
    running.available_cores = lambda: WORKERS
    return _driven(entries, folder, Crew(WORKERS), {"driver, scheduler and workers": psutil.Process()})


def apart(entries: int, folder: Path) -> dict[str, Any]:
    """`cryodata build --scheduler ADDRESS`: scheduler and worker are processes of their own, as Dask starts them."""
    with _cluster(folder) as (address, scheduler, worker):
        seen = {"driver": psutil.Process(), "scheduler": scheduler, "worker": worker}
        return _driven(entries, folder, Crew(scheduler=address), seen)


def _driven(entries: int, folder: Path, crew: Crew, seen: dict[str, psutil.Process]) -> dict[str, Any]:
    """Wall seconds, overhead an entry, and the memory of processes as outcomes come in."""
    listed = [Entry(f"EMD-{number:06d}") for number in range(entries)]
    job = Job("cryo2struct", "published", {}, str(folder))
    memory: list[list[int]] = []
    step, began = max(1, entries // LOOKS), time.perf_counter()
    with (folder / "outcomes").open("w", encoding="utf-8") as journal:
        for number, outcome in enumerate(run(job, listed, crew), 1):
            journal.write(f"{outcome.entry_id}\n")
            if number % step == 0:
                memory.append([number, *(process.memory_info().rss for process in seen.values())])
    wall = time.perf_counter() - began
    spent = [1e3 * sum(process.cpu_times()[:2]) / entries for process in seen.values()]
    growth = growths(memory, min(SETTLED, entries // 2))
    return {
        "entries": entries,
        "workers": WORKERS,
        "pause": PAUSE,
        "wall": round(wall, 2),
        "overhead ms an entry": round(1e3 * (wall * WORKERS - entries * PAUSE) / entries, 3),
        "cpu ms an entry": {name: round(used, 2) for name, used in zip(seen, spent, strict=True)},
        "growth bytes an entry": dict(zip(seen, growth, strict=True)),
        "memory": {"of": list(seen), "at": memory},
    }


def growths(memory: Sequence[Sequence[int]], first: int) -> list[float]:
    """Bytes an entry after the first ones, of each process: the slope of a line through all looks."""
    after = np.array([item for item in memory if item[0] >= first], dtype=np.float64)
    slopes = np.polyfit(after[:, 0], after[:, 1:], 1)[0]
    return [round(float(slope), 1) for slope in slopes]


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, psutil.Process, psutil.Process]]:
    """Address of a scheduler with one worker of eight threads, and the processes of both."""
    found, python = folder / "scheduler.json", [sys.executable, "-m"]
    found.unlink(missing_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = subprocess.Popen(
        [*python, "dask", "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(found)], **quiet
    )
    try:
        while not found.exists():
            if scheduler.poll() is not None:
                raise RuntimeError("dask scheduler ended at once")
            time.sleep(0.1)
        options = ["--nthreads", str(WORKERS), "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
        worker = subprocess.Popen(
            [*python, "dask", "worker", "--scheduler-file", str(found), *options, "--preload", __name__], **quiet
        )
        try:
            yield _address(found), psutil.Process(scheduler.pid), psutil.Process(worker.pid)
        finally:
            worker.kill()
            worker.wait()
    finally:
        scheduler.kill()
        scheduler.wait()


def _address(found: Path) -> str:
    import json

    while True:
        try:
            return str(json.loads(found.read_text("utf-8"))["address"])
        except ValueError:
            time.sleep(0.1)  # half written
