"""One case, measured in a process of its own, or its layout written; run in the environment of the case's library.

python -m benchmarks.read.peers.NAME list|write|time ...         the parent (`runner.py`) calls this
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.read.harness import BATCH, Case, Loader, Setup
from benchmarks.read.matching import crops_found
from benchmarks.read.source import Input

SHARES = (0.1, 0.5, 0.9)
"of an epoch, where loaders are resumed"

LONGEST = 60.0
"s that reading up to a place may take; beyond it the time is computed from the rate"

TIMED = ".timed"
"ending of an empty file beside the result: what is timed is over"

FIELDS = ("name", "layout", "maps", "reads", "workers", "pinned")
"of a case that the parent is told"


def main(cases: Sequence[Case], libraries: Sequence[str] = ()) -> None:
    """What a file of cases does when it is run: list them, write a layout, or time a case; a result as JSON."""
    given = arguments().parse_args()
    torch.set_num_threads(1)
    given.out.write_text(json.dumps(act(cases, libraries, given)), encoding="utf-8")


def arguments() -> argparse.ArgumentParser:
    """What the parent asks of such a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("list", "write", "time"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--case")
    parser.add_argument("--input", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--maps", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--core", type=int, default=-1)
    return parser


def act(cases: Sequence[Case], libraries: Sequence[str], given: argparse.Namespace) -> dict[str, Any]:
    """The result of what was asked."""
    found = {case.name: case for case in cases}
    if given.action == "list":
        listed = [{key: getattr(case, key) for key in FIELDS} | {"writes": bool(case.write)} for case in cases]
        return {"cases": listed, "versions": versions(libraries)}
    case, opened = found[given.case], Input.open(given.input)
    if given.core >= 0 and case.pinned:
        os.sched_setaffinity(0, {given.core})
    if given.action == "write":
        return written(case, opened, given.maps, given.folder)
    setup = Setup(opened, given.folder, given.maps, given.workers, given.batch)
    return timed(case, setup, given.seconds, given.repeats, given.out.with_suffix(TIMED).touch)


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Versions of libraries in this environment, PyTorch and NumPy among them."""
    found = {}
    for library in (*libraries, "torch", "numpy"):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "not installed"
    return found


def written(case: Case, opened: Input, maps: int, folder: Path) -> dict[str, Any]:
    """Write the layout of a case; seconds and bytes of the maps it holds."""
    began = time.perf_counter()
    if case.write is None:
        raise ValueError(f"{case.name} has no layout of its own")
    case.write(opened, maps, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"seconds": time.perf_counter() - began, "bytes": size}


def timed(case: Case, setup: Setup, seconds: float, repeats: int, ended: Callable[[], None]) -> dict[str, Any]:
    """Rates, times to the first batch, resume times, bytes read per byte used; the first batch is compared at last.

    ended: called when the passes are over, so that the memory of what comes then is not counted.
    """
    warm(setup.folder)
    loader = case.open(setup)
    before = bytes_read()
    found: dict[str, Any] = {"rates": [], "first": [], "close": []}
    delivered = epoch = 0
    for _ in range(repeats):
        counted, spent = 0, 0.0
        while spent < seconds or not counted:
            one = run_epoch(partial(loader.epoch, epoch), seconds - spent, 0 if case.whole else 1 + 2 * setup.workers)
            epoch, counted, spent = epoch + 1, counted + one["counted"], spent + one["spent"]
            delivered += one["delivered"]
            found["first"].append(one["first"])
            found["close"].append(one["close"])
        found["rates"].append(counted / spent)
    ended()
    resumes = loader.resumes
    del loader
    if case.reads == "read" and setup.workers == 0:
        found["read"] = (bytes_read() - before) / (delivered * setup.input.sample_bytes)
    if case.touched is not None:
        found["read"] = case.touched(setup.input) / setup.input.sample_bytes
    if setup.workers == 0:
        rate = statistics.median(found["rates"])
        found |= {"resumes": resumes, "resume": resume_times(lambda: case.open(setup), setup, rate)}
    if not case.compared:
        return found | {"matched": 0}
    first = next(iter(case.open(setup).epoch(0)))
    matched = crops_found(setup.input, first, setup.maps) if case.crops else setup.input.subgrids_found(first)
    return found | {"matched": len(matched), "maps in the first batch": len({place[0] for place in matched})}


def run_epoch(begin: Callable[[], Iterator[Any]], seconds: float, unmeasured: int) -> dict[str, Any]:
    """One pass, or so many seconds of it after its first `unmeasured` batches; all of it if none is unmeasured.

    A DataLoader's workers have two batches each at hand when the first arrives: they are not counted either.
    """
    began = start = time.perf_counter()
    first, uncounted, delivered = 0.0, 0, 0
    batches = begin()
    for batch in batches:
        delivered += len(batch["density"])
        del batch
        now = time.perf_counter()
        first = first or now - began
        if unmeasured:
            unmeasured -= 1
            start, uncounted = now, delivered
        elif uncounted and now - start >= seconds:
            break
    end = time.perf_counter()
    if not delivered:
        raise ValueError("the loader gave no batch")
    if delivered == uncounted:  # an epoch of so few batches
        start, uncounted = began, 0
    stop = getattr(batches, "close", None)
    if stop is not None:
        stop()
    del batches
    return {
        "counted": delivered - uncounted,
        "spent": end - start,
        "first": first,
        "close": time.perf_counter() - end,
        "delivered": delivered,
    }


def resume_times(fresh: Callable[[], Loader], setup: Setup, rate: float) -> dict[str, Any] | None:
    """Seconds from a stored state to the next batch, by share of the epoch; a fresh loader each time."""
    loader = fresh()
    if loader.resumes == "none":
        return None
    total = setup.input.count(setup.maps) // setup.batch
    found: dict[str, Any] = {}
    for share in SHARES:
        batches = min(int(share * total), total - 1)
        needed = batches * setup.batch / rate
        if needed > LONGEST:
            found[str(share)] = f"{needed:.0f} (computed)" if loader.resumes == "skip" else "not measured"
            continue
        state, loader = loader.state(batches), fresh()
        began = time.perf_counter()
        rest = loader.resume(state)  # held while the clock runs: ending a stream is not part of it
        first = next(rest, None)  # a state may have lost what a shuffle buffer held
        found[str(share)] = time.perf_counter() - began if first is not None else "nothing left"
        del rest
        loader = fresh()
    return found


def warm(folder: Path) -> None:
    """Read every file once: what is measured is a set in the page cache."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.read(1 << 24):
                    pass


def bytes_read() -> int:
    """Bytes that this process asked of the kernel by reading, from files or their cache."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))
