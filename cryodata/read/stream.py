"""Whole batches in the keyed order: the same for every number of ranks and workers, resumable anywhere at once."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.order import EpochOrder
from cryodata.errors import UsageError
from cryodata.read.blocks import Begun, Pass
from cryodata.read.buffers import Buffers, Layout, arrays_at, placed
from cryodata.read.cores import batches_together, blocks_held, decode_threads
from cryodata.read.decode import volumes_of
from cryodata.read.fill import PROBABILITY, ROTATION, START
from cryodata.read.fill import fill as fill_on_host
from cryodata.read.filling import Fill, Filling
from cryodata.read.hands import Hands
from cryodata.read.memory import Memory, memory_needed, slots_needed
from cryodata.read.plan import StreamPlan, check_batches
from cryodata.read.pool import Pool
from cryodata.read.shared import SharedMemory
from cryodata.read.slots import OwnSlots, SharedSlots, Slots
from cryodata.read.sources import SUBGRID_IDS

New = Callable[[Mapping[str, Layout]], dict[str, Any]]
"makes the arrays of a batch, by name; what they hold does not matter"


class BatchReader:
    """The batches of a plan, as far as some of its streams fill them."""

    def __init__(self, plan: StreamPlan, mine: Sequence[int]) -> None:
        self.plan = plan
        self.mine = tuple(mine)
        self.counts = plan.counts()
        self._unused: list[tuple[OwnSlots, dict[int, Begun]]] = []
        "slots of this process that no pass uses: the next one does, and goes on with what they hold, by stream"

        self._epoch: int | None = None
        "of the pass that was begun last"

        self._shared: list[SharedSlots] | None = None
        "those that are shared with other workers, unless a pass of this process has them"

        self._buffers = Buffers(self._together + 1)
        self.decodes = 0
        "volumes decoded in this process, into its own slots"

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs: nothing decoded."""
        return {**self.__dict__, "_unused": [], "_shared": None}

    @classmethod
    def of_rank(cls, plan: StreamPlan, rank: int, world_size: int) -> BatchReader:
        """The reader of one of several ranks: it serves the streams c with floor(c W / C) = rank."""
        if world_size < 1 or plan.streams % world_size:
            allowed = [n for n in range(1, plan.streams + 1) if plan.streams % n == 0]
            raise UsageError(f"world_size={world_size} does not divide streams={plan.streams}; it may be {allowed}")
        if not 0 <= rank < world_size:
            raise UsageError(f"rank={rank}; expected 0 to {world_size - 1}")
        reader = cls(plan, [c for c in range(plan.streams) if c * world_size // plan.streams == rank])
        check_batches(plan, reader._lengths(), len(reader), world_size)
        return reader

    def order(self, epoch: int) -> EpochOrder:
        """The order of an epoch."""
        plan = self.plan
        block_volumes = plan.pool_volumes // plan.streams
        return EpochOrder(self.counts, int(plan.seed), epoch, plan.streams, block_volumes, shuffle=plan.shuffle)

    def __len__(self) -> int:
        """Batches of an epoch, the same for every rank."""
        lengths = self._lengths()
        part = self.plan.batch_size // self.plan.streams
        return min(lengths) // part if self.plan.remainder == "drop" else -(-max(lengths) // part)

    @property
    def dropped(self) -> int:
        """Sub-grids that an epoch leaves out, over all ranks."""
        return sum(self._lengths()) - len(self) * self.plan.batch_size if self.plan.remainder == "drop" else 0

    @property
    def slots(self) -> tuple[int, int, np.dtype[Any]]:
        """Decoded volumes that this process holds at a time, values of the largest with its frame, and their type."""
        return self._slots(shared=False)

    def _slots(self, shared: bool) -> tuple[int, int, np.dtype[Any]]:
        return slots_needed(self.plan, len(self.mine), blocks_held(shared))

    def memory(self, workers: int = 0) -> Memory:
        """Most memory that reading takes on this rank, by what takes it.

        workers: of a DataLoader; 0 reads in this process.
        """
        largest = self.layouts(self.largest_batch).values()
        batch = sum(math.prod(shape) * dtype.itemsize for shape, dtype in largest)
        return memory_needed(self.plan, len(self.mine), self.counts, (batch, self._together), workers)

    def pool_bytes(self, workers: int = 0) -> int:
        """Most bytes that reading takes on this rank: the total of `memory`."""
        return self.memory(workers).total

    def batches(
        self,
        epoch: int,
        first: int = 0,
        offset: int = 0,
        step: int = 1,
        slots: Slots | None = None,
        new: New | None = None,
        fill: Fill | None = None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Batches first + offset, first + offset + step, ... of an epoch: (number, columns of this rank's samples).

        first: of all who share out the epoch; nothing is decoded that none of them serves. slots: where volumes are
        decoded to, if not to this process' own. new, fill: make and fill the arrays of a batch.
        """
        part = self.plan.batch_size // self.plan.streams
        passing = Pass(self.order(epoch), first * part)
        if slots is None:
            slots, passing = self._own_slots(passing)
        order, shared = passing.order, not isinstance(slots, OwnSlots)
        pool = Pool(self.plan.source, self.plan.sampling, passing, self.mine, slots, shared)
        # memory of another's may hold no more than the batch that was asked for
        together = self._together if new is None else 1
        new, first = new or self.new_arrays, first + offset
        layouts = cache(self.layouts)  # of whole batches, and of the last one
        filling = Filling(fill or fill_on_host, pool, Hands(1 if fill is None and decode_threads() else 0))
        try:
            for stream in self.mine:  # what the first batch needs comes before what the second may
                if first * part < order.length(stream):
                    pool.begin(stream, order.block_of(stream, first * part))
            begun: deque[tuple[int, dict[str, Any]]] = deque()
            for number in range(first, len(self), step):
                spans = self._spans(order, number)
                count = sum(max(0, end - begin) for begin, end in spans.values())
                then = (number + step) * part
                if count:
                    begun.append((number, self._batch(pool, spans, then, new(layouts(count)), filling)))
                if len(begun) < together and filling.helped and self._is_at_hand(pool, order, number + step):
                    continue
                filling.finish()
                for stream in self.mine:
                    pool.leave(stream, then)
                while begun:
                    yield begun.popleft()
        finally:
            left = pool.close()
            filling.hands.close()
            if isinstance(slots, OwnSlots):
                self.decodes, slots.fills = self.decodes + slots.fills, 0
                self._unused.append((slots, left))
            elif isinstance(slots, SharedSlots) and self._shared is not None:
                self._shared.append(slots)

    def turns(self, number: int) -> npt.NDArray[np.int64]:
        """Samples of a batch as streams take turns: the first of each, then the second of each, and so on."""
        spans = self._spans(self.order(0), number)  # lengths of streams do not depend on the epoch
        rounds = [np.arange(max(0, end - begin), dtype=np.int64) for begin, end in spans.values()]
        return np.argsort(np.concatenate(rounds), kind="stable")

    def _spans(self, order: EpochOrder, number: int) -> dict[int, tuple[int, int]]:
        """Positions of each stream that a batch takes."""
        part = self.plan.batch_size // self.plan.streams
        return {c: (number * part, min((number + 1) * part, order.length(c))) for c in self.mine}

    def shared_slots(self, memory: SharedMemory) -> SharedSlots | None:
        """Slots for `batches` that other workers of this rank use too, until its pass ends.

        None while another pass of this process has them: their locks are held by processes, and would not keep the two
        from each other.
        """
        if self._shared is None:
            self._shared = [SharedSlots(memory, *self._slots(shared=True))]
        return self._shared.pop() if self._shared else None

    def new_arrays(self, layouts: Mapping[str, Layout]) -> dict[str, npt.NDArray[Any]]:
        """Arrays of a batch, in memory of one that nobody holds any longer."""
        places, size = placed(layouts)
        return arrays_at(places, self._buffers.new(size))

    def _own_slots(self, passing: Pass) -> tuple[OwnSlots, Pass]:
        """Slots of this process, and the pass with what they hold of it already."""
        number, size, dtype = self.slots
        epoch, before = passing.order.epoch, self._epoch
        self._epoch = epoch
        # who read two epochs in a row will read a third; who reads one again and again will not
        following = self.order(epoch + 1) if before == epoch - 1 else None
        try:
            slots, left = self._unused.pop()  # another thread may have had the last
        except IndexError:
            slots, left = OwnSlots(number, size, dtype), {}
        if len(slots.voxels) != number * size:  # the process was given other cores
            slots, left = OwnSlots(number, size, dtype), {}
        if passing.since or any(begun.order.epoch != epoch for begun in left.values()):
            left = {}
        return slots, replace(passing, left=left, following=following)

    @property
    def _together(self) -> int:
        """Batches that are filled together."""
        return batches_together(self.largest_batch * self.plan.source.box**3)

    @property
    def largest_batch(self) -> int:
        """Most samples that a batch holds on this rank."""
        return len(self.mine) * (self.plan.batch_size // self.plan.streams)

    def layouts(self, count: int) -> dict[str, Layout]:
        """Shape and type of the arrays of a batch of `count` samples."""
        box, sampling = (self.plan.source.box,) * 3, self.plan.sampling
        found: dict[str, Layout] = {
            name: ((count, *array.shape(box)), np.dtype(array.dtype)) for name, array in self.plan.source.arrays.items()
        }
        found[START] = (count, 3), np.dtype(np.int32)
        if sampling.balance is not None:
            found[PROBABILITY] = (count,), np.dtype(np.float64)
        if sampling.rotate:
            found[ROTATION] = (count, 3, 3), np.dtype(np.float64)
        return found

    def _batch(
        self, pool: Pool, spans: Mapping[int, tuple[int, int]], then: int, arrays: dict[str, Any], filling: Filling
    ) -> dict[str, Any]:
        rows = np.zeros(len(arrays[START]), dtype=np.int64)
        done = 0
        for stream, (position, end) in spans.items():
            while position < end:
                if position > spans[stream][0]:  # the next block is asked for: its decoding takes the slots of this one
                    filling.finish()
                serving = pool.at(stream, position, end, then)
                here = slice(position - serving.first, min(end, serving.end) - serving.first)
                there = slice(done, done + here.stop - here.start)
                filling.add(arrays, there, serving.served, here)
                rows[there] = serving.served.row[here]
                position, done = min(end, serving.end), there.stop
        given: dict[str, Any] = {
            name: [values[row] for row in rows.tolist()] for name, values in self._entry_columns.items()
        }
        if "resolution" in given:
            given["resolution"] = np.array(given["resolution"], dtype=np.float64)
        extra = [name for name in (PROBABILITY, ROTATION) if name in arrays]
        return {name: arrays.get(name, given.get(name)) for name in (*self.plan.source.columns, *extra)}

    @cached_property
    def _entry_columns(self) -> dict[str, list[Any]]:
        """Values of each entry for the columns that a sub-grid takes from its entry."""
        entries = volumes_of(self.plan.source.key).entries
        return {name: entries[name].to_pylist() for name in self.plan.source.columns if name in SUBGRID_IDS}

    def _is_at_hand(self, pool: Pool, order: EpochOrder, number: int) -> bool:
        """Whether there is such a batch, and all of it lies in the blocks that are served: nothing is waited for."""
        spans = self._spans(order, number) if number < len(self) else {}
        return bool(spans) and all(
            begin < end and pool.stays(stream, end - 1) for stream, (begin, end) in spans.items()
        )

    def _lengths(self) -> list[int]:
        order = self.order(0)  # lengths of streams do not depend on the epoch
        return [order.length(stream) for stream in range(self.plan.streams)]
