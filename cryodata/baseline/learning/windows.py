"""A network over a whole volume: windows cut, cores put together, in memory that does not grow with the volume."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from cryodata.baseline.learning.heads import Head, inner, probabilities
from cryodata.baseline.network import NetworkSpec
from cryodata.core.rotations import AXES, ROTATIONS, SIGNS
from cryodata.core.subgrids import SubgridGrid, cut_into

TILE = 64
"least voxels a side of what is written at a time"

WINDOW_BYTES = 1000 << 20
"memory that one window may take"

SMALLEST = 2.0**-12
"probabilities below are stored as 0: half the error of a float16 near 1, and zeros take no room"


@dataclass(frozen=True, slots=True)
class Windows:
    """How a volume is cut for one network."""

    grid: SubgridGrid
    tile: int
    "voxels a side of a tile: whole cores"

    @property
    def tiles(self) -> list[tuple[int, int, int]]:
        """First voxel of each tile, z slowest."""
        nz, ny, nx = (range(0, n, self.tile) for n in self.grid.shape_zyx)
        return list(product(nz, ny, nx))

    def inside(self, tile_zyx: Sequence[int]) -> list[tuple[int, int, int]]:
        """First voxel of the core of each window of a tile."""
        nz, ny, nx = (
            range(first, min(first + self.tile, n), self.grid.core)
            for first, n in zip(tile_zyx, self.grid.shape_zyx, strict=True)
        )
        return list(product(nz, ny, nx))


def windows_of(shape_zyx: tuple[int, int, int], spec: NetworkSpec, box: int, core: int) -> Windows:
    """Windows for a volume: those of training for the UNETR; for a network of convolutions the size that costs least.

    box, core: voxels a side in training; the margin between them is kept.
    """
    margin = (box - core) // 2
    sizes = [box]
    if spec.kind == "residual":
        largest = (WINDOW_BYTES // (4 * (3 * spec.channels + 8 * spec.filters))) ** (1 / 3)
        sizes += [n for n in range(box, int(largest) + 1) if n % spec.multiple == 0]
    grids = [SubgridGrid.uniform(shape_zyx, size, size - 2 * margin) for size in sizes]
    grid = min(grids, key=lambda grid: (len(grid) * grid.box**3, grid.box))
    return Windows(grid, grid.core * max(1, -(-TILE // grid.core)))


class Predictor:
    """One network on a device, and how windows go through it."""

    def __init__(self, network: nn.Module, heads: Sequence[Head], device: torch.device, precision: str) -> None:
        self.network, self.heads, self.device = network.to(device).eval(), heads, device
        half = precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
        self._half = half

    @torch.inference_mode()
    def forward(self, cubes: Tensor, sequence: Tensor | None) -> Tensor:
        """Logits (n, channels, box, box, box) of densities (n, box, box, box): the bare pass."""
        half = torch.autocast(self.device.type, torch.bfloat16) if self._half else contextlib.nullcontext()
        with half:
            found: Tensor = self.network(cubes[:, None], sequence)[0]
        return found

    @torch.inference_mode()
    def cores(
        self, cubes: Tensor, core: int, rotations: int, sequence: Tensor | None
    ) -> dict[str, npt.NDArray[np.float16]]:
        """Probabilities (n, classes, core, core, core) of each head as they are stored, the mean over so many rotations
        of the window."""
        vector = sequence.expand(len(cubes), -1).to(self.device) if sequence is not None else None
        cubes = cubes.to(self.device)
        summed: dict[str, Tensor] = {}
        for number in range(rotations):
            logits = _turned(self.forward(_turned(cubes, number), vector), _inverse(number))
            for name, shares in probabilities(inner(logits, core), self.heads).items():
                summed[name] = summed[name].add_(shares) if name in summed else shares
        for shares in summed.values() if rotations > 1 else ():
            shares.div_(rotations)
        stored = {
            name: functional.threshold(shares, SMALLEST, 0.0, inplace=True).half() for name, shares in summed.items()
        }
        return {name: values.cpu().numpy() for name, values in stored.items()}


def predict_tiles(
    predictor: Predictor,
    density: npt.NDArray[np.float32],
    windows: Windows,
    *,
    batch_size: int = 1,
    rotations: int = 1,
    sequence: Tensor | None = None,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[tuple[slice, ...], Mapping[str, npt.NDArray[np.float16]]]]:
    """The probabilities of a volume, tile by tile: where (channels, z, y, x), and float16 arrays for each head.

    density: (nz, ny, nx), prepared as in training. No window sees another: batch_size changes at most the last bits of
    the arithmetic, a step of float16 in what is stored.
    """
    grid = windows.grid
    cubes = np.empty((batch_size, grid.box, grid.box, grid.box), dtype=np.float32)
    done = 0
    for tile in windows.tiles:
        sides = [min(windows.tile, n - first) for first, n in zip(tile, grid.shape_zyx, strict=True)]
        found = {head.name: np.empty((len(head.classes), *sides), dtype=np.float16) for head in predictor.heads}
        starts = windows.inside(tile)
        for group in (starts[n : n + batch_size] for n in range(0, len(starts), batch_size)):
            for cube, start in zip(cubes, group, strict=False):
                cut_into(cube, density, [n - grid.margin for n in start])
            cut = torch.from_numpy(cubes[: len(group)])
            for name, stored in predictor.cores(cut, grid.core, rotations, sequence).items():
                for core, start in zip(stored, group, strict=True):
                    place = [n - first for n, first in zip(start, tile, strict=True)]
                    target = found[name][(slice(None), *(slice(n, n + grid.core) for n in place))]
                    target[...] = core[tuple(slice(0, n) for n in target.shape)]
            done += len(group)
            observe(done, len(grid))
        where = (slice(None), *(slice(first, first + n) for first, n in zip(tile, sides, strict=True)))
        yield where, found


def _turned(cubes: Tensor, number: int) -> Tensor:
    """The last three axes rotated by a number of ROTATIONS."""
    if number == 0:
        return cubes
    lead = cubes.ndim - 3
    view = cubes.permute(*range(lead), *(lead + int(axis) for axis in AXES[number]))
    return view.flip([lead + axis for axis in range(3) if SIGNS[number][axis] < 0])


def _inverse(number: int) -> int:
    """The rotation that undoes one."""
    same = (ROTATIONS == ROTATIONS[number].T).all(axis=(1, 2))
    return int(np.flatnonzero(same)[0])


def bare_seconds(predictor: Predictor, windows: Windows, batch_size: int, clock: Callable[[], float]) -> float:
    """Seconds that the network alone takes for all windows, on batches that are there already."""
    size = windows.grid.box
    cubes = torch.rand((batch_size, size, size, size)).to(predictor.device)
    began = clock()
    left: Any = len(windows.grid)
    while left > 0:
        predictor.forward(cubes[: min(batch_size, left)], None)
        left -= batch_size
    if predictor.device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began
