"""What no loader can pass, in the same run: a copy, our own cut kernel, and NumPy slices, all of decoded data.

M copies the bytes of a sub-grid from one place in memory to another. R is the kernel of the reader over volumes that
are decoded already. N slices decoded float32 volumes and dense labels. M and R write into memory of batches that are
gone, as the reader does: on fresh memory page faults would be measured.

M by two hands says what a second core is worth: two processors may be threads of one core, or wait for one memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from benchmarks.read.harness import Case, Loader, Setup
from benchmarks.read.measure import main
from benchmarks.read.source import ARRAYS, Batch
from benchmarks.read.table import COPY, TWO_COPY
from cryodata.formats.versions import open_dataset
from cryodata.read import kernels
from cryodata.read.blocks import Pass
from cryodata.read.buffers import Buffers
from cryodata.read.plan import StreamPlan
from cryodata.read.pool import Pool
from cryodata.read.selection import checked_selection
from cryodata.read.slots import OwnSlots
from cryodata.read.sources import Sampling, SubgridSource
from cryodata.read.stream import BatchReader

VOLUMES = 6
"decoded volumes that samples are drawn from, as in the pool of the case measured against R"

SPARE = 2
"batches in memory, for each hand: the one that is made, and the one before"

COPIED = 4096
"sub-grids that are copied from: more than any cache holds"

Kernel = Callable[[list[tuple[int, int]]], Batch]
"a batch of the sub-grids (volume, number)"


def reader_kernel(setup: Setup) -> Kernel:
    """R: decode the volumes, then give what cuts a batch of (volume, number) pairs from them."""
    opened = open_dataset(setup.input.dataset, None, setup.input.root)
    selection = checked_selection(opened, "subgrids", "stored", None, None, [*ARRAYS], None)
    rows = np.arange(min(VOLUMES, setup.input.maps), dtype=np.int32)
    source = SubgridSource(selection.key, rows, selection.columns, setup.input.box, setup.input.core, "stored")
    reader = BatchReader(StreamPlan(source, 1, 0, False, 1, len(rows), "keep"), [0])
    slots = OwnSlots(*reader.slots)
    served = Pool(source, Sampling(), Pass(reader.order(0)), (0,), slots).at(0, 0, 1, 1).served
    first = np.cumsum([0, *reader.counts])
    box = (setup.input.box,) * 3

    def cut(picks: list[tuple[int, int]]) -> Batch:
        here = np.array([first[volume] + number for volume, number in picks])
        batch = {}
        arrays = reader.new_arrays({name: ((len(picks), *box), np.dtype(dtype)) for name, dtype in ARRAYS.items()})
        for name, cubes in arrays.items():
            if name in served.written:
                points = served.written[name]
                kernels.scatter(cubes, points.first[here], points.last[here], points.place, points.values)
            else:
                kernels.cut(cubes, slots.voxels, served.first[here], served.strides[here])
            batch[name] = torch.from_numpy(cubes)
        return batch

    return cut


def numpy_kernel(setup: Setup) -> Kernel:
    """N: slices of padded float32 volumes and dense label volumes, copied into a batch."""
    box, first = setup.input.box, [setup.input.count(number) for number in range(setup.input.maps)]
    volumes = [setup.input.volume(number, mapped=False) for number in range(min(VOLUMES, setup.input.maps))]

    def cut(picks: list[tuple[int, int]]) -> Batch:
        places = [setup.input.place(first[volume] + number) for volume, number in picks]
        batch = {}
        for key, dtype in ARRAYS.items():
            cubes = np.empty((len(picks), box, box, box), dtype=dtype)
            for cube, (volume, where) in zip(cubes, places, strict=True):
                cube[...] = volumes[volume][key][where]
            batch[key] = torch.from_numpy(cubes)
        return batch

    return cut


def copy_kernel(setup: Setup, hands: int = 1) -> Kernel:
    """M: the bytes of each sub-grid, from anywhere in memory larger than the caches."""
    source, buffers = np.ones((COPIED, setup.input.sample_bytes), dtype=np.uint8), Buffers(SPARE * hands)

    def cut(picks: list[tuple[int, int]]) -> Batch:
        batch = buffers.new(len(picks) * setup.input.sample_bytes).reshape(len(picks), -1)
        # one call, which lets go of the interpreter: hands would wait for it at every sub-grid
        np.take(source, [(volume * 1009 + number) % COPIED for volume, number in picks], axis=0, out=batch, mode="clip")
        return {"density": torch.from_numpy(batch)}

    return cut


class Ceiling(Loader):
    """Batches of random sub-grids of the first volumes, by one of the kernels, as many as an epoch of those has.

    hands: threads, each of which makes whole batches; 1 is the caller.
    """

    resumes = "none"

    def __init__(self, setup: Setup, kernel: Callable[[Setup], Kernel], hands: int = 1) -> None:
        self.setup, self.cut, self.hands = setup, kernel(setup), hands

    def epoch(self, number: int) -> Iterator[Batch]:
        """Drawn at random, by the number of the epoch."""
        rng = np.random.Generator(np.random.PCG64(number))
        counts = [int(np.prod(grid)) for grid in self.setup.input.grids[:VOLUMES]]
        drawn = (self._drawn(rng, counts) for _ in range(max(1, sum(counts) // self.setup.batch)))
        if self.hands == 1:
            yield from map(self.cut, drawn)
            return
        with ThreadPoolExecutor(self.hands) as threads:
            begun: deque[Future[Batch]] = deque()
            for picks in drawn:
                begun.append(threads.submit(self.cut, picks))
                if len(begun) > self.hands:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()

    def _drawn(self, rng: np.random.Generator, counts: list[int]) -> list[tuple[int, int]]:
        volumes = rng.integers(len(counts), size=self.setup.batch)
        return list(zip(volumes.tolist(), rng.integers(np.array(counts)[volumes]).tolist(), strict=True))


def _case(name: str, kernel: Callable[[Setup], Kernel], compared: bool = True) -> Case:
    return Case(name, lambda setup: Ceiling(setup, kernel), reads="memory", workers=(0,), compared=compared)


TWO_HANDS = Case(
    TWO_COPY,
    lambda setup: Ceiling(setup, partial(copy_kernel, hands=2), hands=2),
    reads="memory",
    workers=(0,),
    pinned=False,
    compared=False,
)

CASES = (
    _case(COPY, copy_kernel, compared=False),
    TWO_HANDS,
    _case("R: the reader's cut, decoded volumes", reader_kernel),
    _case("N: NumPy slices, decoded volumes", numpy_kernel),
)

if __name__ == "__main__":
    main(CASES)
