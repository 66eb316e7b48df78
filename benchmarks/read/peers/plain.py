# requires:
"""One file a sub-grid, and volumes in a memory map: NumPy under PyTorch's DataLoader."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.read.harness import Case, MapStyle, Setup, collate_raw, raw
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Arrays, Batch, Input

PER_FOLDER = 1000


def path_of(folder: Path, number: int, ending: str) -> Path:
    """File of a sub-grid."""
    return folder / str(number // PER_FOLDER) / f"{number}.{ending}"


def write_npz(opened: Input, maps: int, folder: Path) -> None:
    """As Cryo2StructData publishes them: compressed, float64."""
    for number, sample in enumerate(opened.samples(maps)):
        path = path_of(folder, number, "npz")
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, **{key: value.astype(np.float64) for key, value in sample.items()})


def write_npy(opened: Input, maps: int, folder: Path) -> None:
    """One array of bytes a sub-grid: density, atom, amino."""
    for number, sample in enumerate(opened.samples(maps)):
        path = path_of(folder, number, "npy")
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.frombuffer(raw(sample), dtype=np.uint8))


def write_volumes(opened: Input, maps: int, folder: Path) -> None:
    """Whole volumes, float32 and uint8, uncompressed."""
    for number in range(maps):
        for key, value in opened.volume(number).items():
            np.save(folder / f"{key}-{number}.npy", value)


class Files(torch.utils.data.Dataset[Any]):
    """Sub-grids by number, each read from its file."""

    def __init__(self, setup: Setup, ending: str) -> None:
        self.folder, self.count, self.ending = setup.folder, setup.input.count(setup.maps), ending

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Any:
        path = path_of(self.folder, number, self.ending)
        if self.ending == "npy":
            return np.load(path)
        with np.load(path) as archive:
            return {key: torch.from_numpy(archive[key].astype(dtype)) for key, dtype in ARRAYS.items()}


class Mapped(torch.utils.data.Dataset[Any]):
    """Sub-grids by number, a whole batch at a time, cut from memory-mapped volumes."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def __len__(self) -> int:
        return self.setup.input.count(self.setup.maps)

    @cached_property
    def volumes(self) -> list[Arrays]:
        """Opened on first use, in the process that reads."""
        return [
            {key: np.load(self.setup.folder / f"{key}-{number}.npy", mmap_mode="r") for key in ARRAYS}
            for number in range(self.setup.maps)
        ]

    def __getitems__(self, numbers: Sequence[int]) -> Batch:
        places = [self.setup.input.place(number) for number in numbers]
        batch = {}
        for key, dtype in ARRAYS.items():
            cubes = np.empty((len(numbers), *(self.setup.input.box,) * 3), dtype=dtype)
            for cube, (volume, cut) in zip(cubes, places, strict=True):
                cube[...] = self.volumes[volume][key][cut]
            batch[key] = torch.from_numpy(cubes)
        return batch


def pages(opened: Input) -> float:
    """Bytes of the memory pages that a cut touches: those between the first and last row of each of its planes."""
    width = opened.grids[0][2] * opened.core + opened.box - opened.core
    planes = [((opened.box - 1) * width + opened.box) * dtype.itemsize + mmap.PAGESIZE for dtype in ARRAYS.values()]
    return float(opened.box * sum(planes))


def as_it_is(batch: Any) -> Any:
    """The batch was made whole."""
    return batch


def _mapped(setup: Setup) -> MapStyle:
    return MapStyle(Mapped(setup), setup, as_it_is)


CASES = (
    Case("npz, float64, compressed (published)", lambda s: MapStyle(Files(s, "npz"), s), write_npz, "npz", maps=1),
    Case("npy a sub-grid", lambda s: MapStyle(Files(s, "npy"), s, collate_raw), write_npy, "npy"),
    Case("np.memmap, cut", _mapped, write_volumes, "volumes", reads="once", touched=pages),
)

if __name__ == "__main__":
    main(CASES)
