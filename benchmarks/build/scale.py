"""What does it cost to keep 100,000 entries going, besides the work itself? And tables of 39 million sub-grids?

    python -m benchmarks.build.scale --work DIR                 all of it (an hour), results and a plot kept
    python -m benchmarks.build.scale --work DIR --entries 2000 --steps in_one,apart

in_one: the path of `cryodata build --workers 8` through Dask's scheduler, with the work on an entry replaced by a
pause. apart: the same with `--scheduler`; driver, scheduler and worker are processes of their own. Overhead is (wall x
workers - work) / entries; growth is the slope of their memory after 10,000 entries. small: 2,000 real small maps, made,
built and verified by the commands. write, read: tables written from receipts of made-up sub-grids as a version's are,
then read as a filter reads them; memory is the peak of a process for each. Shows nothing of large maps or networks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.build import driven, small, tables
from benchmarks.record import RESULTS, machine, write

STEPS = {
    "in_one": driven.in_one,
    "apart": driven.apart,
    "small": small.build,
    "write": tables.write_tables,
    "read": lambda _, folder: tables.read_tables(folder),
}


def measured(step: str, folder: Path, number: int) -> dict[str, Any]:
    """One of the measurements, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.build.scale", "--work", str(folder), "--step", step]
    done = subprocess.run([*command, "--number", str(number)], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def draw(result: dict[str, Any], path: Path) -> Path:
    """Memory of each process as entries come in, above what it was when growth begins to be measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.2), dpi=80, layout="constrained")
    for found in (result[step] for step in ("in_one", "apart") if step in result):
        looks, first = found["memory"]["at"], min(driven.SETTLED, found["entries"] // 2)
        for column, name in enumerate(found["memory"]["of"], 1):
            base = next(look[column] for look in looks if look[0] >= first)
            label = f"{name}: {found['growth bytes an entry'][name]:.0f} B an entry"
            axes.plot([look[0] for look in looks], [(look[column] - base) / 1e6 for look in looks], label=label)
        axes.axvline(first, color="0.8", linewidth=1, zorder=0)
    axes.set(xlabel="entries", ylabel="MB above the grey line's")
    axes.legend(fontsize=7)
    figure.savefig(path, metadata={"Software": None})
    pyplot.close(figure)
    return path


def main() -> None:
    """Measure, print, keep; what is not measured stays as it was kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build.scale")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--entries", type=int, default=100_000, help="of in_one and apart")
    parser.add_argument("--volumes", type=int, default=7_940, help="maps of the tables")
    parser.add_argument("--small", type=int, default=2_000, help="small maps")
    parser.add_argument("--steps", default=",".join(STEPS), help="(%(default)s)")
    parser.add_argument("--json", type=Path, default=RESULTS / "build-scale.json", help="where results are kept")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if given.step:
        print(json.dumps(STEPS[given.step](given.number, given.work)))
        return
    numbers = {"in_one": given.entries, "apart": given.entries, "small": given.small}
    result = json.loads(given.json.read_text("utf-8"))["result"] if given.json.exists() else {}
    for step in given.steps.split(","):
        result[step] = measured(step, given.work, numbers.get(step, given.volumes))
        print(step, {key: value for key, value in result[step].items() if key != "memory"}, flush=True)
    print(write(given.json, {**machine(("dask", "distributed", "pyarrow")), "result": result}))
    if {"in_one", "apart"} & result.keys():
        print(draw(result, given.json.with_suffix(".png")))
    os.sync()


if __name__ == "__main__":
    main()
