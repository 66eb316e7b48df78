"""Very many small maps, made, built and verified by the commands of a user: seconds, and what the driver grows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.build.driven import growths

PROCESSES = 2

SETTINGS = ("residues=20", "resolution=3.5")
"of the simulated maps: 63 voxels of 1 A a side, labels of 20 residues"

LOOK = 1.0
"seconds between two looks at the memory of the driver"


def build(entries: int, folder: Path) -> dict[str, Any]:
    """`cryodata build simulated --workers 2`, then `cryodata verify --deep`."""
    root = folder / "small"
    shutil.rmtree(root, ignore_errors=True)
    settings = [part for item in (f"maps={entries}", *SETTINGS) for part in ("--set", item)]
    began = time.perf_counter()
    building = subprocess.Popen(
        [*_cryodata("build", root), *settings, "--workers", str(PROCESSES)],
        stdout=subprocess.PIPE, stderr=(folder / "small.log").open("w", encoding="utf-8"), text=True,
    )  # fmt: skip
    memory, driver = [], psutil.Process(building.pid)
    while building.poll() is None:
        time.sleep(LOOK)
        done = sum(1 for _ in (root / "simulated/receipts").glob("*.json"))
        if building.poll() is None:
            memory.append([done, driver.memory_info().rss])
    wall = time.perf_counter() - began
    report = json.loads((building.stdout or sys.stdin).read())
    provenance = json.loads((root / "simulated/provenance/0.1.0.json").read_bytes())
    work = sum(provenance["entry_seconds"].values())
    verified = subprocess.run([*_cryodata("verify", root), "--deep"], capture_output=True, text=True, check=False)
    size = sum(path.stat().st_size for path in (root / "simulated/volumes").rglob("*") if path.is_file())
    shutil.rmtree(root)
    working = [item for item in memory if 0 < item[0] < entries]
    return {
        "entries": report["entries"],
        "rejected": report["rejected"],
        "voxels": report["voxels"],
        "volume bytes": size,
        "processes": PROCESSES,
        "wall": round(wall, 1),
        "work": round(work, 1),
        "overhead ms an entry": round(1e3 * (wall * PROCESSES - work) / entries, 1),
        "growth bytes an entry": dict(zip(["driver and scheduler"], growths(working, entries // 2), strict=True)),
        "verified": verified.returncode == 0,
        "memory": {"of": ["driver and scheduler"], "at": memory},
    }


def _cryodata(command: str, root: Path) -> list[str]:
    return [sys.executable, "-m", "cryodata", command, "simulated", "--root", str(root), "--json"]
