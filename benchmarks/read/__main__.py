"""How fast do sub-grids reach a training loop, side by side with other loaders over the same volumes?

    python -m benchmarks.read --work DIR                             all peers, results kept
    python -m benchmarks.read --work DIR --peers hf,litdata --seconds 1 --json OUT

Every case runs in a process of its own, on one core, thread pools of one, page cache warm, and delivers shuffled
batches of 64 as PyTorch tensors: density float32, atom and amino uint8, box 32, core 20. The first batch of each is
compared with the volumes, to the last value. Shows nothing of cold or remote disks (the rate that a disk allows is
computed), and nothing of more than two cores. Takes about an hour, 10 GB of disk and 4 GB of memory.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.read.bench import Other, Run, measure, peer_names
from benchmarks.read.harness import BATCH
from benchmarks.read.inputs import build_maps, export, export_copies
from benchmarks.read.table import ZSTD, markdown, ratios
from benchmarks.record import RESULTS, machine, write

BOX, CORE = 32, 20


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.read", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--volumes", type=int, default=12, help="simulated maps (12)")
    add("--size", type=int, default=256, help="side of a map, A (256)")
    add("--many", type=int, default=100, help="ids of the same maps, for the rows of many (100); 0 leaves them out")
    add("--no-zstd", action="store_true", help="leave out our cases on the same maps stored with codec=zstd")
    add("--work", type=Path, default=Path("benchmark-work"), help="folder of maps, layouts and environments, kept")
    add("--peers", default=",".join(peer_names()), help="those to measure, `none` for none (all: %(default)s)")
    add("--only", default="", help="a part of the names of the cases to measure, such as litData (all)")
    add("--workers", default="0,1,2", help="DataLoader workers that are tried (%(default)s)")
    add("--seconds", type=float, default=3.0, help="of each repeat (3)")
    add("--repeats", type=int, default=3, help="of each case (3); the table shows median, lowest, highest")
    add("--batch", type=int, default=BATCH, help="sub-grids of a batch (64)")
    add("--show", type=Path, help="measure nothing: print the table of results that were kept")
    add("--json", type=Path, default=RESULTS / "readers.json", help="where results are kept (%(default)s)")
    return parser


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Make the input, measure, and give all that is kept."""
    peers = [name for name in given.peers.split(",") if name not in ("", "none")]
    unknown = sorted(set(peers) - set(peer_names()))
    if unknown:
        raise SystemExit(f"no peers {', '.join(unknown)}; found: {', '.join(peer_names())}")
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    name, root = f"maps-{given.size}", work / "datasets"
    stored = build_maps(root, f"{name}-{given.volumes}", given.volumes, given.volumes, given.size)
    found = export(root, f"{name}-{given.volumes}", work / f"input-{given.size}-{given.volumes}", BOX, CORE)
    workers, others = tuple(int(number) for number in given.workers.split(",")), list[Other]()
    folder = work / f"input-{given.size}-{given.volumes}"
    if not given.no_zstd:
        other = f"{name}-{given.volumes}-zstd"
        size = build_maps(root, other, given.volumes, given.volumes, given.size, codec="zstd")
        copied = export_copies(found, root, other, folder.with_name(f"{folder.name}-zstd"))
        others.append(Other(ZSTD, copied, size, lambda case: case["reads"] != "memory", workers))
    if given.many:
        other = f"{name}-{given.volumes}-{given.many}"
        build_maps(root, other, given.many, given.volumes, given.size)
        copied = export_copies(found, root, other, folder.with_name(f"{folder.name}-{given.many}"))
        of_one_core = lambda case: case["pinned"] and case["name"].startswith("SubgridStream")  # noqa: E731
        others.append(Other(f", {given.many} volumes", copied, 0, of_one_core, (0,)))
    setup = Run(work, found, others, given.seconds, given.repeats, given.batch, stored, workers, given.only)
    rows = list(measure(setup, peers))
    return {
        **machine(("cryodata", "torch", "numpy", "datasets", "zarr", "numcodecs", "pyarrow")),
        "input": {
            "maps": found.maps,
            "side": given.size,
            "sub-grids": found.count(found.maps),
            "sample bytes": found.sample_bytes,
            "batch": given.batch,
            "seconds": given.seconds,
            "repeats": given.repeats,
            "workers": given.workers,
        },
        "rows": rows,
        "ratios": ratios(rows),
        "ratios with zstd": ratios(rows, ZSTD),
    }


if __name__ == "__main__":
    options = arguments().parse_args()
    if options.show:
        result = json.loads(options.show.read_text("utf-8"))
        result |= {"ratios": ratios(result["rows"]), "ratios with zstd": ratios(result["rows"], ZSTD)}
    else:
        result = run(options)
        print(write(options.json, result))
    print(markdown(result))
