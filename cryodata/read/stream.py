"""Whole batches in the keyed order: the same for every number of ranks and workers, resumable anywhere at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.order import EpochOrder
from cryodata.core.subgrids import Copy, SubgridGrid
from cryodata.errors import UsageError
from cryodata.read.decode import volumes_of
from cryodata.read.pool import Pool
from cryodata.read.sources import SubgridSource

STATE_FORMAT = 1

REMAINDERS = ("drop", "keep")


@dataclass(frozen=True, slots=True, eq=False)
class StreamPlan:
    """Everything that the order of a stream follows from, but the epoch and the place in it."""

    source: SubgridSource
    batch_size: int
    "samples of a global batch, over all ranks"

    seed: int
    shuffle: bool
    streams: int
    "canonical streams; they divide the batch, and ranks divide them"

    pool_volumes: int
    "volumes whose sub-grids are mixed, over all streams"

    remainder: str
    "drop: batches are whole; keep: every sub-grid exactly once, the last batches short"

    def __post_init__(self) -> None:
        if self.remainder not in REMAINDERS:
            raise UsageError(f"remainder='{self.remainder}'; expected one of {', '.join(REMAINDERS)}")
        if self.streams < 1 or self.batch_size < 1 or self.batch_size % self.streams:
            fitting = [n for n in range(1, min(self.batch_size, 64) + 1) if self.batch_size % n == 0]
            raise UsageError(
                f"batch_size={self.batch_size} is not a multiple of streams={self.streams}; streams may be {fitting}"
            )
        if self.pool_volumes < 1 or self.pool_volumes % self.streams:
            raise UsageError(f"pool_volumes={self.pool_volumes} is not a multiple of streams={self.streams}")

    def counts(self) -> npt.NDArray[np.int64]:
        """Kept sub-grids of each volume of the split, int64 (volumes,)."""
        source = self.source
        if source.kept is not None:
            return np.array([len(source.kept[int(volume)]) for volume in source.volumes], dtype=np.int64)
        shapes = volumes_of(source.key).entries["shape_zyx"]
        grids = (SubgridGrid.uniform(shapes[int(volume)].as_py(), source.box, source.core) for volume in source.volumes)
        return np.array([len(grid) for grid in grids], dtype=np.int64)

    def identity(self) -> dict[str, Any]:
        """What a stored state must agree with: dataset, filter, seed and the shape of the batches."""
        return {
            "format": STATE_FORMAT,
            "manifest": self.source.key.sha256,
            "filter": self.source.selected,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "streams": self.streams,
            "pool_volumes": self.pool_volumes,
            "batch_size": self.batch_size,
            "remainder": self.remainder,
            "box": self.source.box,
            "core": self.source.core,
        }


class BatchReader:
    """The batches of a plan, as far as some of its streams fill them."""

    def __init__(self, plan: StreamPlan, mine: Sequence[int], copy: Copy = np.copyto) -> None:
        self.plan = plan
        self.copy = copy
        self.mine = tuple(mine)
        self.counts = plan.counts()
        self.decodes = 0
        "volumes whose decoding was begun in the last pass"

    @classmethod
    def of_rank(cls, plan: StreamPlan, rank: int, world_size: int, copy: Copy = np.copyto) -> BatchReader:
        """The reader of one of several ranks: it serves the streams c with floor(c W / C) = rank."""
        if world_size < 1 or plan.streams % world_size:
            allowed = [n for n in range(1, plan.streams + 1) if plan.streams % n == 0]
            raise UsageError(f"world_size={world_size} does not divide streams={plan.streams}; it may be {allowed}")
        if not 0 <= rank < world_size:
            raise UsageError(f"rank={rank}; expected 0 to {world_size - 1}")
        reader = cls(plan, [c for c in range(plan.streams) if c * world_size // plan.streams == rank], copy)
        reader.check_last_batch(world_size)
        return reader

    def order(self, epoch: int) -> EpochOrder:
        """The order of an epoch."""
        plan = self.plan
        return EpochOrder(
            self.counts, plan.seed, epoch, plan.streams, plan.pool_volumes // plan.streams, shuffle=plan.shuffle
        )

    def __len__(self) -> int:
        """Batches of an epoch, the same for every rank."""
        lengths = self._lengths()
        part = self.plan.batch_size // self.plan.streams
        return min(lengths) // part if self.plan.remainder == "drop" else -(-max(lengths) // part)

    @property
    def dropped(self) -> int:
        """Sub-grids that an epoch leaves out, over all ranks."""
        return sum(self._lengths()) - len(self) * self.plan.batch_size if self.plan.remainder == "drop" else 0

    def pool_bytes(self) -> int:
        """Most memory that decoded volumes take at a time on this rank: served ones and those decoded ahead."""
        store = volumes_of(self.plan.source.key)
        shapes = store.entries["shape_zyx"].take(self.plan.source.volumes).to_pylist()
        largest = max((int(np.prod(shape)) for shape in shapes), default=0)
        item = 2 if store.opened.manifest.parameters.get("density") == "float16" else 4
        return 2 * len(self.mine) * (self.plan.pool_volumes // self.plan.streams) * largest * item

    def batches(self, epoch: int, first: int = 0, step: int = 1) -> Iterator[tuple[int, dict[str, Any]]]:
        """Batches first, first + step, ... of an epoch: (number, columns of this rank's samples)."""
        source = self.plan.source
        order = self.order(epoch)
        pool = Pool(volumes_of(source.key), source.volumes, order, source.rule, source.box, source.core)
        part = self.plan.batch_size // self.plan.streams
        with closing(pool):
            for stream in self.mine:  # what the first batch needs comes before what the second may
                if first * part < order.length(stream):
                    pool.begin(stream, order.block_of(stream, first * part))
            for number in range(first, len(self), step):
                picks = [pick for stream in self.mine for pick in self._picks(order, pool, stream, number)]
                self.decodes = pool.decodes
                if picks:
                    yield number, self._batch(picks)

    def _picks(self, order: EpochOrder, pool: Pool, stream: int, number: int) -> Iterator[tuple[Any, int, int]]:
        """(volume, its row in the entries, number of the sub-grid) of a stream's part of a batch."""
        part = self.plan.batch_size // self.plan.streams
        position, end = number * part, min((number + 1) * part, order.length(stream))
        kept = self.plan.source.kept
        while position < end:
            block = order.block_of(stream, position)
            first, last = order.block_span(stream, block)
            volumes, served = pool.block(stream, block)
            for place in range(position - first, min(end, last) - first):
                volume = int(served.volume[place])
                row, subgrid = int(self.plan.source.volumes[volume]), int(served.place[place])
                yield volumes[volume], row, int(kept[row][subgrid]) if kept is not None else subgrid
            position = min(end, last)

    def _batch(self, picks: list[tuple[Any, int, int]]) -> dict[str, Any]:
        source = self.plan.source
        store = volumes_of(source.key)
        arrays = {array.name: array for array in store.opened.manifest.schema.arrays}
        batch: dict[str, Any] = {}
        for name in source.columns:
            if name in arrays:
                cubes = np.empty((len(picks), source.box, source.box, source.box), dtype=arrays[name].dtype)
                for cube, (volume, _, subgrid) in zip(cubes, picks, strict=True):
                    volume.cut(arrays[name], subgrid, cube, self.copy)
                batch[name] = cubes
            elif name == "start_zyx":
                starts = [volume.grid.start_of(subgrid) for volume, _, subgrid in picks]
                batch[name] = np.array(starts, dtype=np.int32).reshape(-1, 3)
            else:
                values = store.entries[name].take([row for _, row, _ in picks])
                batch[name] = np.array(values.to_numpy()) if name == "resolution" else values.to_pylist()
        return batch

    def _lengths(self) -> list[int]:
        order = self.order(0)  # lengths of streams do not depend on the epoch
        return [order.length(stream) for stream in range(self.plan.streams)]

    def check_last_batch(self, world_size: int) -> None:
        """With `keep`, every rank must have a sample in the last batch: a rank without one would hang the others."""
        if self.plan.remainder != "keep" or world_size == 1:
            return
        part, lengths = self.plan.batch_size // self.plan.streams, self._lengths()
        start = (len(self) - 1) * part
        per_rank = self.plan.streams // world_size
        for rank in range(world_size):
            mine = lengths[rank * per_rank : (rank + 1) * per_rank]
            if sum(max(0, length - start) for length in mine) == 0:
                raise UsageError(
                    f"remainder='keep': the last batch would leave rank {rank} of {world_size} without a sample; "
                    "use remainder='drop' or another batch_size"
                )


def checked_state(state: Mapping[str, Any], plan: StreamPlan) -> tuple[int, int]:
    """Epoch and next batch of a stored state. Raises UsageError, naming what differs, if it is of another stream."""
    expected = plan.identity()
    wrong = {key: (state.get(key), value) for key, value in expected.items() if state.get(key) != value}
    if wrong:
        found = "; ".join(f"{key} is {theirs!r} in the state, {mine!r} here" for key, (theirs, mine) in wrong.items())
        raise UsageError(f"the state is of another stream: {found}")
    return int(state["epoch"]), int(state["next_batch"])
