"""What does one entry cost, from `.map.gz` and model to volume, labels and tables: CPU seconds, memory, bytes?

    python -m benchmarks.build --work DIR             all sizes, medians of 5, results kept
    python -m benchmarks.build --work DIR --sizes 300-0.727 --repeats 1

Each measurement is a process of its own on one core, set up as those of a build are: CPU is user and system after
imports, memory the peak of the process above what it had after imports. Beside it, in the same run: the published
procedure with its own operations, and the floor (inflate, one copy, encode). Files are in the page cache. Shows nothing
of fetching.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.build.inputs import SIZES, make
from benchmarks.record import RESULTS, machine, write
from cryodata.build.apart import ONE_THREAD

KINDS = ("ours", "published", "floor")
LIBRARIES = ("numpy", "zarr", "numcodecs", "isal", "gemmi", "scipy", "biopython")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of maps and models, kept")
    parser.add_argument("--sizes", default=",".join(size.name for size in SIZES), help="(%(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="(%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each (5); the table shows medians")
    parser.add_argument("--json", type=Path, default=RESULTS / "build.json", help="where results are kept")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def one(kind: str, map_path: Path, model_path: Path, out: Path) -> None:
    """In a process of its own: measure one kind once."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-1:])
    from benchmarks.build import ours

    with tempfile.TemporaryDirectory(dir=map_path.parent) as folder:
        place = Path(folder)
        found: dict[str, Any] = {}
        if kind == "ours":
            import pandas  # noqa: F401  pyarrow imports it with the first array
            import zarr
            import zarr.codecs

            ours.load_kernels()
            spent = ours.timed()
            before, began = peak(), ours.cpu()
            outcome = ours.work(map_path, model_path, place)
            found |= {"cpu": ours.cpu() - began, "memory": peak() - before, "stages": dict(spent)}
            if outcome.code:
                raise SystemExit(f"{outcome.code}: {outcome.message}")
            files = [path for path in place.rglob("*") if path.is_file()]
            found["bytes"] = sum(path.stat().st_size for path in files)
            density = next(place.glob("*/volumes/*/*"))
            shutil.copytree(density, map_path.parent / f"{map_path.name}.zarr", dirs_exist_ok=True)
        elif kind == "published":
            from benchmarks.build import published

            models = published.models(model_path, place)
            before, began = peak(), ours.cpu()
            found["bytes"] = published.work(map_path, models, place)
            found |= {"cpu": ours.cpu() - began, "memory": peak() - before}
        else:
            import zarr

            from benchmarks.build import floor

            stored = zarr.open_group(map_path.parent / f"{map_path.name}.zarr")["density"][...]
            before, began = peak(), ours.cpu()
            found["bytes"] = floor.work(map_path, stored)
            found |= {"cpu": ours.cpu() - began, "memory": peak() - before}
    out.write_text(json.dumps(found), encoding="utf-8")


def peak() -> int:
    """Most bytes of memory that this process had so far."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All kinds of all sizes, in turns."""
    rows = []
    for size in (size for size in SIZES if size.name in given.sizes.split(",")):
        map_path, model_path = make(given.work, size)
        runs: dict[str, list[dict[str, Any]]] = {kind: [] for kind in given.kinds.split(",")}
        for _ in range(given.repeats):
            for kind, found in runs.items():
                out = given.work / "one.json"
                command = [sys.executable, "-m", "benchmarks.build", "--work", str(given.work)]
                subprocess.run(
                    [*command, "--one", kind, str(map_path), str(model_path), str(out)],
                    check=True, env={**os.environ, **ONE_THREAD},
                )  # fmt: skip
                found.append(json.loads(out.read_text("utf-8")))
        for kind, found in runs.items():
            row = {"size": size.name, "kind": kind}
            row |= {key: statistics.median(item[key] for item in found) for key in ("cpu", "memory", "bytes")}
            row["cpu of each"] = [round(item["cpu"], 3) for item in found]
            if kind == "ours":
                stages = found[len(found) // 2]["stages"]
                row["stages"] = {stage: round(seconds, 3) for stage, seconds in stages.items()}
            rows.append(row)
            print(
                f"{size.name} {kind}: {row['cpu']:.2f} s, {row['memory'] / 1e6:,.0f} MB, {row['bytes'] / 1e6:,.1f} MB"
            )
            print(f"   {row.get('stages', '')}")
    return rows


def ratios(rows: list[dict[str, Any]]) -> list[str]:
    """What is asked for, beside what was measured."""
    said = []
    for size in SIZES:
        found = {row["kind"]: row for row in rows if row["size"] == size.name}
        if set(found) != set(KINDS):
            continue
        ours, after = found["ours"], int(size.voxels * size.spacing + 1e-4)
        memory = 2.5 * 4 * size.voxels**3 + 2 * 4 * after**3
        said.append(
            f"{size.name}: published / ours {found['published']['cpu'] / ours['cpu']:.1f} (at least 10), ours / floor "
            f"{ours['cpu'] / found['floor']['cpu']:.2f} (at most 2.5), memory {ours['memory'] / memory:.2f} of the "
            f"bound, disk 1/{found['published']['bytes'] / ours['bytes']:.0f} (at most 1/40)"
        )
    return said


if __name__ == "__main__":
    options = arguments()
    if options.one:
        one(options.one[0], *(Path(path).resolve() for path in options.one[1:]))
    else:
        options.work = options.work.resolve()
        result = measure(options)
        print(*ratios(result), sep="\n")
        print(write(options.json, {**machine(LIBRARIES), "result": result, "ratios": ratios(result)}))
