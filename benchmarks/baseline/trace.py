"""How much of a chain is traced in register, from states with known noise, in which time and memory?

    python -m benchmarks.baseline.trace                                all cases, seeds 0-5, results kept
    python -m benchmarks.baseline.trace --cases 448 --seeds 0 1 --json FILE

Each case of each kind runs in a process of its own on one core, compiled code from numba's cache: seconds are CPU
seconds of `trace` alone, memory is the peak of the process, imports included. Cases and rules: `cases`. Says nothing of
real maps: the noise is simulated and independent, the sequences are those of the modelled residues, and the tables of
distances (`links`) come from the same process of noise, though from other structures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, machine, write

CASES = ("448", "1000", "2500 different", "2500 copies")
NEEDED = {"448": 0.82, "1000": 0.83, "2500 different": 0.85, "2500 copies": 0.80}
"mean share in register by the entity rule that is asked of the default method on noisy cases"

LIBRARIES = ("numpy", "numba", "scipy")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.baseline.trace", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--kinds", nargs="+", choices=("perfect", "noisy"), default=["perfect", "noisy"])
    parser.add_argument("--methods", nargs="+", choices=("default", "paper"), default=["default", "paper"])
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(6)))
    parser.add_argument("--json", type=Path, default=RESULTS / "trace.json", help="where results are kept")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def one(name: str, kind: str, method: str, seeds: list[int]) -> list[dict[str, Any]]:
    """In a process of its own: a case, all seeds."""
    import resource

    from benchmarks.baseline.cases import chains_of, make_case, score
    from cryodata.baseline.viterbi import trace, warm_up

    warm_up()
    done = []
    for seed in seeds:
        case = make_case(chains_of(name), seed, kind == "noisy")
        began = time.process_time()
        found = trace(case.xyz, case.amino, case.sequences, method=method)
        done.append((case, found, time.process_time() - began))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # scoring takes more than tracing
    return [
        {"seed": seed, **asdict(score(case, found)), "seconds": seconds, "peak": memory}
        for seed, (case, found, seconds) in zip(seeds, done, strict=True)
    ]


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All that was asked for; a line as each is done."""
    table = []
    for kind in given.kinds:
        for name in given.cases:
            for method in given.methods:
                command = [sys.executable, "-m", "benchmarks.baseline.trace", "--one", name, kind, method]
                command += ["--seeds", *map(str, given.seeds)]
                threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
                done = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads}
                )
                table.append(summary(name, kind, method, json.loads(done.stdout)))
                print(line(table[-1]), flush=True)
    return table


def summary(name: str, kind: str, method: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and worst over the seeds."""
    found: dict[str, Any] = {"case": name, "kind": kind, "method": method}
    for key in ("entity", "lax", "placed", "precision"):
        found[key] = statistics.mean(row[key] for row in rows)
    found["worst"] = min(row["entity"] for row in rows)
    found["needed"] = (0.995 if kind == "perfect" else NEEDED[name]) if method == "default" else None
    return {
        **found,
        "seconds": max(row["seconds"] for row in rows),
        "peak": max(row["peak"] for row in rows),
        "runs": rows,
    }


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    needed = f" (asked for: {row['needed']})" if row["needed"] else ""
    return (
        f"{row['kind']} {row['case']}, {row['method']}: in register {row['entity']:.3f}, worst {row['worst']:.3f}"
        f"{needed}; lax {row['lax']:.3f}, placed {row['placed']:.3f}, precision {row['precision']:.3f}; "
        f"at most {row['seconds']:.1f} s, {row['peak'] / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    options = arguments()
    if options.one:
        print(json.dumps(one(*options.one, options.seeds)))
    else:
        print(write(options.json, {**machine(LIBRARIES), "result": measure(options)}))
