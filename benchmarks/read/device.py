"""Is a GPU fed? Sub-grids cut there and here, whole epochs either way, and how long a training step waits for data.

*Cut*: batches out of maps that are decoded already, on the host by one thread, and on the device from maps that were
moved there. *Epoch*: `SubgridStream`, decoding included, with and without `device=`; without, its
batches are moved as a training loop would move them. *Step*: forward, backward and AdamW of the paper's UNETR (depth
12, amino acids) in bfloat16; *waits* is the share by which steps on the stream take longer than steps on one batch that
stays, the start of a pass left out. Medians of several times.

    python -m benchmarks.read.device ROOT NAME [--device cuda]        result kept

`--device cpu` measures nothing of use, and shows that everything runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.record import record
from cryodata.baseline.learning.unetr import UNETR
from cryodata.read.fill import fill
from cryodata.read.stream import BatchReader
from cryodata.read.torch_device import DeviceCutter
from cryodata.torch import SubgridStream

BATCH, CLASSES = 64, 21
COLUMNS = ["density", "atom", "amino"]
OPTIONS: dict[str, dict[str, int]] = {"streams=8": {}, "streams=1, pool_volumes=6": {"streams": 1, "pool_volumes": 6}}

REPEATS, STEPS = 5, 100
DEPTH = 12

Fed = Callable[[], int]
"reads, and says how many sub-grids"


def cut(reader: BatchReader, device: torch.device | None) -> Fed:
    """Batches of the maps of the first blocks, again and again: nothing is decoded or moved but for the first time."""
    number, size, dtype = reader.slots
    cutter = DeviceCutter(device, number * size, dtype) if device is not None else None
    write = cutter.fill if cutter is not None else fill
    order, part = reader.order(0), BATCH // reader.plan.streams
    batches = max(1, min(order.block_span(stream, 0)[1] for stream in reader.mine) // part)
    parts: list[Any] = []

    def noted(some: Any, voxels: Any, density: Any) -> None:
        parts.append((list(some), voxels, density))
        write(some, voxels, density)

    new = cutter.new if cutter is not None else reader.new_arrays
    passing = reader.batches(0, new=new, fill=noted)
    list(islice(passing, batches))

    held = passing, parts  # the slots are the pass's as long as it waits

    def again() -> int:
        for some in held[1]:
            write(*some)
        return sum(part.here.stop - part.here.start for some, _, _ in held[1] for part in some)

    return again


def epoch(stream: SubgridStream, device: torch.device, most: int) -> Fed:
    """Batches of an epoch, on the device."""

    def read() -> int:
        served = 0
        for batch in islice(stream, most):
            served += len({name: batch[name].to(device) for name in COLUMNS}["density"])
        return served

    return read


def rate(fed: Fed, device: torch.device) -> float:
    """Sub-grids a second."""
    fed()
    found = []
    for _ in range(REPEATS):
        _wait(device)
        began, served = time.perf_counter(), fed()
        _wait(device)
        found.append(served / (time.perf_counter() - began))
    return statistics.median(found)


def steps(stream: SubgridStream, device: torch.device, number: int) -> dict[str, float]:
    """Seconds of a step, and the share that it waits for data."""
    model = UNETR(DEPTH, CLASSES).to(device)
    optimizer = torch.optim.AdamW(model.parameters())

    def step(batch: dict[str, torch.Tensor]) -> None:
        with torch.autocast(device.type, torch.bfloat16):
            (logits,) = model(batch["density"].to(device)[:, None])
            loss = torch.nn.functional.cross_entropy(logits.float(), batch["amino"].to(device).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def seconds(batches: Any) -> float:
        _wait(device)
        began, done = time.perf_counter(), 0
        for batch in batches:
            step(batch)
            done += 1
        _wait(device)
        return (time.perf_counter() - began) / done

    kept = next(iter(stream))
    seconds([kept] * 3)
    alone = [seconds([kept] * number) for _ in range(REPEATS)]
    fed = [seconds(islice(_begun(stream), number)) for _ in range(REPEATS)]
    step_alone, step_fed = statistics.median(alone), statistics.median(fed)
    return {"step": step_alone, "step on the stream": step_fed, "waits": max(0.0, 1 - step_alone / step_fed)}


def _begun(stream: SubgridStream) -> Iterator[dict[str, Any]]:
    """A pass after its first batch: maps that only the first one waits for are there."""
    batches = iter(stream)
    next(batches)
    return batches


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(root: Path, name: str, device: torch.device, number: int = STEPS) -> dict[str, Any]:
    """Measure, print, and give the figures. number: of steps, and of batches of an epoch at most."""
    result: dict[str, Any] = {"device": _named(device)}
    for label, options in OPTIONS.items():

        def opened(options: dict[str, int] = options, **more: Any) -> SubgridStream:
            given = {"split": "train", "root": root, "batch_size": BATCH, "columns": COLUMNS, "remainder": "keep"}
            return SubgridStream(name, **given, **options, **more)

        there = opened(device=device)
        rates = {
            "cut on the host": rate(cut(opened()._reader, None), device),
            "cut on the device": rate(cut(opened()._reader, device), device),
            "epoch on the host, moved": rate(epoch(opened(), device, number), device),
            "epoch on the device": rate(epoch(there, device, number), device),
        }
        found = {**rates, "device / host": rates["cut on the device"] / rates["cut on the host"]}
        result[label] = {**found, **steps(there, device, number)}
        print(
            label, {key: float(np.format_float_positional(v, 4, fractional=False)) for key, v in result[label].items()}
        )
    return result


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.read.device")
    parser.add_argument("root", type=Path)
    parser.add_argument("name")
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    measured = main(given.root, given.name, torch.device(given.device))
    print(record("device", ("torch", "numpy", "numba"), measured))
