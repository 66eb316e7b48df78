"""The run: every case of every module, each in a process of its own; rows of figures come out."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.read.runner import Module, NotRunError, call, environment, requirements
from benchmarks.read.source import Input

PEERS = Path(__file__).parent / "peers"
OWN = "cryodata"
CEILING = "ceiling"

Row = dict[str, Any]


@dataclass(frozen=True)
class Other:
    """Another dataset of the same maps, on which some of our cases are measured again."""

    suffix: str
    "behind the names of the cases"

    input: Input
    stored: int
    "bytes of it; 0: not told"

    takes: Callable[[Row], bool]
    "which of the cases are measured"

    workers: tuple[int, ...]
    "worker counts that are tried, of those that a case allows"


@dataclass(frozen=True)
class Run:
    """What holds for all cases."""

    work: Path
    input: Input
    others: Sequence[Other]
    seconds: float
    repeats: int
    batch: int
    stored: int
    "bytes of our dataset"

    workers: tuple[int, ...] = (0, 1, 2)
    "worker counts that are tried, of those that a case allows"

    only: str = ""
    "a part of the name of those cases that are measured"

    say: Callable[[str], None] = partial(print, flush=True)


def peer_names() -> list[str]:
    """Peers that there are."""
    return sorted(path.stem for path in PEERS.glob("[a-z]*.py"))


def measure(run: Run, peers: Sequence[str]) -> Iterator[Row]:
    """A row for each case: ceilings, ours, then the peers asked for."""
    yield from module_rows(run, CEILING, Module("benchmarks.read.ceilings", sys.executable))
    ours = Module("benchmarks.read.ours", sys.executable)
    yield from module_rows(run, OWN, ours)
    for other in run.others:
        yield from other_rows(run, ours, other)
    for name in peers:
        try:
            python = environment(name, requirements(PEERS / f"{name}.py"), run.work / "environments")
        except (NotRunError, OSError) as error:
            run.say(f"{name}: not run: {error}")
            yield {"peer": name, "case": name, "not run": str(error)}
            continue
        yield from module_rows(run, name, Module(f"benchmarks.read.peers.{name}", python))


def module_rows(run: Run, peer: str, module: Module) -> Iterator[Row]:
    """The cases of a module; a layout is written before the cases that share it, and removed after the last."""
    try:
        listed, _ = call(module, ["list"], run.work)
    except NotRunError as error:
        run.say(f"{peer}: not run: {error}")
        yield {"peer": peer, "case": peer, "not run": str(error)}
        return
    wanted = [case for case in listed["cases"] if run.only in case["name"]]
    for layout in dict.fromkeys(case["layout"] for case in wanted):
        folder = run.work / "layouts" / f"{peer}-{layout or 'none'}"
        cases = [case for case in wanted if case["layout"] == layout]
        made: Row = {}
        try:
            for case in cases:
                row: Row = {"peer": peer, "case": case["name"], "versions": listed["versions"]}
                row["maps"] = min(case["maps"], run.input.maps)
                try:
                    if case["writes"] and not made:
                        made = _written(run, module, case, row["maps"], folder)
                    yield _timed(run, module, case, {**row, **made}, folder)
                except NotRunError as error:
                    run.say(f"{case['name']}: not run: {error}")
                    yield {**row, "not run": str(error)}
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def other_rows(run: Run, ours: Module, other: Other) -> Iterator[Row]:
    """Cases of ours on another dataset."""
    there = replace(run, input=other.input, stored=other.stored)
    for case in call(ours, ["list"], run.work)[0]["cases"]:
        if other.takes(case) and run.only in case["name"]:
            name = f"{case['name']}{other.suffix}"
            row: Row = {"peer": OWN, "case": name, "maps": other.input.maps}
            tried = [workers for workers in case["workers"] if workers in other.workers]
            yield _timed(there, ours, {**case, "workers": tried}, row, run.work / "layouts" / "none", name)


def _written(run: Run, module: Module, case: Row, maps: int, folder: Path) -> Row:
    """Write a layout; bytes and seconds are scaled to all maps by the number of sub-grids."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run.say(f"{case['name']}: writing {maps} maps")
    given = ["write", "--case", case["name"], "--maps", str(maps), *_places(run, folder)]
    found, _ = call(module, given, run.work)
    scale = run.input.count(run.input.maps) / run.input.count(maps)
    return {"stored": round(found["bytes"] * scale), "write": found["seconds"] * scale}


def _timed(run: Run, module: Module, case: Row, row: Row, folder: Path, name: str = "") -> Row:
    """Time a case with each worker count; the best is the row's rate."""
    folder.mkdir(parents=True, exist_ok=True)
    row["workers"] = {}
    tried = [workers for workers in case["workers"] if workers in run.workers]
    for workers in tried:
        given = ["time", "--case", case["name"], "--maps", str(row["maps"]), *_places(run, folder)]
        given += ["--workers", str(workers), "--batch", str(run.batch), "--seconds", str(run.seconds)]
        try:
            found, peak = call(module, [*given, "--repeats", str(run.repeats), "--core", str(last_core())], run.work)
        except NotRunError as error:
            if workers == tried[0]:
                raise
            row["workers"][str(workers)] = {"not run": str(error)}
            continue
        row["workers"][str(workers)] = {**found, "memory": peak}
        rate = statistics.median(found["rates"])
        run.say(f"{name or case['name']}, {workers} workers: {rate:,.0f}/s, {found['matched']} of the first matched")
    return {**row, **_best(row, case, run)}


def _places(run: Run, folder: Path) -> list[str]:
    return ["--input", str(run.input.folder), "--folder", str(folder)]


def _best(row: Row, case: Row, run: Run) -> Row:
    """The figures of the best worker count, beside those of one worker and of none."""
    rates = {int(key): statistics.median(one["rates"]) for key, one in row["workers"].items() if "rates" in one}
    best = max(rates, key=lambda workers: rates[workers])
    chosen, plain = row["workers"][str(best)], row["workers"].get("0", {})
    stored = row.get("stored") or (run.stored if row["peer"] == OWN else 0)
    used = run.input.count(run.input.maps) * run.input.sample_bytes
    read = {"read": plain.get("read"), "once": plain.get("read", stored / used), "memory": None}[case["reads"]]
    return {
        "rate": rates[best],
        "lowest": min(chosen["rates"]),
        "highest": max(chosen["rates"]),
        "best workers": best,
        "one worker": rates.get(1),
        "first": plain.get("first", [None])[0],
        "resumes": plain.get("resumes"),
        "resume": plain.get("resume"),
        "memory": chosen["memory"],
        "close": max(plain.get("close", [0.0])),
        "stored": stored or None,
        "read": read,
        "read how": {"read": "rchar", "once": "computed", "memory": ""}[case["reads"]],
    }


def last_core() -> int:
    """The core that cases are pinned to; -1 where processes can't be."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else -1
