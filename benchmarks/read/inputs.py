"""What every case starts from: the datasets that ours read, and the same volumes as plain arrays for the others."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.read.source import ARRAYS, Input
from cryodata import load_dataset
from cryodata.build.dataset import build
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.core.subgrids import SubgridGrid
from cryodata.formats.volumes import CODEC

VERSION = "0.1.0"

FEW = 4
"maps that are built in this process"


def build_maps(root: Path, name: str, maps: int, distinct: int, side: int, codec: str = CODEC) -> int:
    """Build a dataset unless it is there; bytes of its volumes, tables and manifest (not of its sources)."""
    settings = (f"maps={maps}", f"distinct={min(maps, distinct)}", f"side={side}", f"codec={codec}")
    workers = len(os.sched_getaffinity(0)) if maps > FEW else 0  # starting processes takes seconds
    report = build(
        Request("benchmarks.read.maps", root, name=name, version=VERSION, settings=settings, crew=Crew(workers))
    )
    if report.rejected:
        raise RuntimeError(f"maps were refused: {report.rejected[0]}")
    parts = [path for part in ("volumes", "tables", "versions") for path in (report.folder / part).rglob("*")]
    return sum(path.stat().st_size for path in parts if path.is_file())


def export(root: Path, name: str, folder: Path, box: int, core: int) -> Input:
    """Write the decoded volumes of a dataset, padded so that every sub-grid lies inside, and the sums of each.

    They come from the config `volumes`, so that what the stream cuts is checked against arrays that it did not cut.
    """
    if (folder / "input.json").exists():
        return Input.open(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {"dataset": name, "root": str(root), "box": box, "core": core, "grids": []}
    for number, example in enumerate(load_dataset(name, config="volumes", split="train", streaming=True, root=root)):
        grid = SubgridGrid.uniform(np.shape(example["density"]), box, core)
        padded = {key: _padded(example[key], grid) for key in ARRAYS}
        for key, value in padded.items():
            np.save(folder / f"{key}-{number}.npy", value)
        about["grids"].append(list(grid.counts_zyx))
        np.save(folder / f"sums-{number}.npy", _sums(padded, grid))
    about |= {"arrays": str(folder), "files": list(range(len(about["grids"])))}
    (folder / "input.json").write_text(json.dumps(about), encoding="utf-8")
    return Input.open(folder)


def export_copies(of: Input, root: Path, name: str, folder: Path) -> Input:
    """The input of a dataset that holds the maps of another one, each under several ids; its arrays are those."""
    entries = load_dataset(name, config="entries", split="train", root=root)
    files = [number * of.maps // len(entries) for number in range(len(entries))]  # as `maps.py` deals them
    about = {**of.about(), "dataset": name, "files": files, "grids": [of.grids[file] for file in files]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "input.json").write_text(json.dumps(about), encoding="utf-8")
    return Input.open(folder)


def _padded(value: Any, grid: SubgridGrid) -> np.ndarray[Any, Any]:
    """A volume with zeros around it, so that the box of place (i, j, k) begins at core * (i, j, k)."""
    value = np.asarray(value)
    sides = [count * grid.core + 2 * grid.margin for count in grid.counts_zyx]
    ends = [side - n - grid.margin for side, n in zip(sides, value.shape, strict=True)]
    return np.pad(value, [(grid.margin, end) for end in ends])


def _sums(padded: Mapping[str, np.ndarray[Any, Any]], grid: SubgridGrid) -> np.ndarray[Any, Any]:
    """Sum of each array in each sub-grid, float64 (n, 3): what a delivered sub-grid is found by."""
    starts = grid.starts_zyx() + grid.margin
    cuts = [tuple(slice(first, first + grid.box) for first in start) for start in starts.tolist()]
    return np.array([[padded[key][cut].sum(dtype=np.float64) for key in ARRAYS] for cut in cuts])
