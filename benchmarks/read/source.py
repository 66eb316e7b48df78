"""The volumes that every case starts from, and the truth that a delivered batch is compared with.

Imported in every peer's own environment: nothing but the standard library, NumPy and PyTorch here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

ARRAYS: dict[str, np.dtype[Any]] = {
    "density": np.dtype(np.float32),
    "atom": np.dtype(np.uint8),
    "amino": np.dtype(np.uint8),
}
"what a batch holds, by name"

Batch = Mapping[str, torch.Tensor]
Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Input:
    """The volumes of the dataset as plain arrays, memory-mapped and padded: each sub-grid is a slice."""

    folder: Path
    root: str
    dataset: str
    box: int
    core: int
    grids: tuple[tuple[int, int, int], ...]
    "sub-grids of each map along z, y, x"

    arrays: Path
    "folder of the arrays"

    files: tuple[int, ...]
    "number of the arrays of each map: several maps may share them"

    @classmethod
    def open(cls, folder: Path) -> Input:
        """The input that was exported there."""
        about = json.loads((folder / "input.json").read_text("utf-8"))
        grids = tuple(tuple(grid) for grid in about["grids"])
        arrays, files = Path(about["arrays"]), tuple(about["files"])
        return cls(folder, about["root"], about["dataset"], about["box"], about["core"], grids, arrays, files)

    def about(self) -> dict[str, Any]:
        """What `open` reads."""
        return json.loads((self.folder / "input.json").read_text("utf-8"))  # type: ignore[no-any-return]

    @property
    def maps(self) -> int:
        """Number of maps."""
        return len(self.grids)

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sub-grid as delivered."""
        return self.box**3 * sum(dtype.itemsize for dtype in ARRAYS.values())

    def count(self, maps: int) -> int:
        """Sub-grids of the first maps."""
        return sum(int(np.prod(grid)) for grid in self.grids[:maps])

    def volume(self, number: int, mapped: bool = True) -> Arrays:
        """The padded arrays of one map."""
        mode = "r" if mapped else None
        return {key: np.load(self.arrays / f"{key}-{self.files[number]}.npy", mmap_mode=mode) for key in ARRAYS}

    def place(self, row: int) -> tuple[int, tuple[slice, slice, slice]]:
        """Map and slices of a sub-grid by its number over all maps."""
        number = int(np.searchsorted(self._ends, row, side="right"))
        first = int(self._ends[number - 1]) if number else 0
        zyx = np.unravel_index(row - first, self.grids[number])
        z, y, x = (slice(int(i) * self.core, int(i) * self.core + self.box) for i in zyx)
        return number, (z, y, x)

    def samples(self, maps: int) -> Iterator[Arrays]:
        """Every sub-grid of the first maps, in order, as contiguous arrays."""
        for number in range(maps):
            volume = self.volume(number, mapped=False)
            first = self.count(number)
            for row in range(first, self.count(number + 1)):
                _, cut = self.place(row)
                yield {key: np.ascontiguousarray(volume[key][cut]) for key in ARRAYS}

    def subgrids_found(self, batch: Batch) -> list[tuple[int, int]]:
        """Map and number of each sample of a batch, equal to the last value. Raises ValueError if one is none."""
        found = []
        values = {key: plain(batch[key], key) for key in ARRAYS}
        for sample in range(len(values["density"])):
            own = {key: value[sample] for key, value in values.items()}
            sums = np.array([value.sum(dtype=np.float64) for value in own.values()])
            near = np.flatnonzero(np.abs(self._sums - sums).max(axis=1) < 1e-3)
            row = next((row for row in near.tolist() if self._same(row, own)), None)
            if row is None:
                raise ValueError(f"sample {sample} is no sub-grid of the dataset: {len(near)} have its sums {sums}")
            found.append((self.place(row)[0], row))
        return found

    def _same(self, row: int, own: Mapping[str, np.ndarray[Any, Any]]) -> bool:
        number, cut = self.place(row)
        volume = self.volume(number)
        return all(np.array_equal(volume[key][cut], value) for key, value in own.items())

    @cached_property
    def _ends(self) -> np.ndarray[Any, Any]:
        return np.cumsum([int(np.prod(grid)) for grid in self.grids])

    @cached_property
    def _sums(self) -> np.ndarray[Any, Any]:
        return np.concatenate([np.load(self.arrays / f"sums-{file}.npy") for file in self.files])


def plain(value: torch.Tensor, key: str) -> np.ndarray[Any, Any]:
    """A delivered tensor as an array (n, box, box, box). Raises ValueError if it is not of the declared type.

    Labels may be of any integer type: the torch format of `datasets` makes int64 of uint8.
    """
    if not isinstance(value, torch.Tensor) or value.is_floating_point() != (key == "density"):
        raise ValueError(f"{key} is a {getattr(value, 'dtype', type(value))}; expected a tensor of {ARRAYS[key]}")
    if key == "density" and value.dtype != torch.float32:
        raise ValueError(f"density is {value.dtype}; expected torch.float32")
    return value.numpy().reshape(len(value), *value.shape[-3:])
