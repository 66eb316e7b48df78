"""What the order of a stream follows from, and what a stored state must agree with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.subgrids import counts_of
from cryodata.errors import UsageError
from cryodata.formats.tables import vectors
from cryodata.read.decode import volumes_of
from cryodata.read.sources import ROTATE, Sampling, SubgridSource

STATE_FORMAT = 1

REMAINDERS = ("drop", "keep")


def check_whole(name: str, value: object) -> None:
    """UsageError unless it is a whole number."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise UsageError(f"{name}={value!r}; expected a whole number")


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

    sampling: Sampling = Sampling()

    def __post_init__(self) -> None:
        for name in ("seed", "batch_size", "streams", "pool_volumes"):
            check_whole(name, getattr(self, name))
        if not isinstance(self.shuffle, bool):  # a seed here is meant for seed=, and 0 would mean the opposite
            raise UsageError(f"shuffle={self.shuffle!r}; expected True or False")
        if not isinstance(self.sampling.rotate, bool) and self.sampling.rotate != "so3":  # 1 is in ROTATE, but not True
            raise UsageError(f"rotate={self.sampling.rotate!r}; expected one of {', '.join(map(repr, ROTATE))}")
        if self.remainder not in REMAINDERS:
            raise UsageError(f"remainder='{self.remainder}'; expected one of {', '.join(REMAINDERS)}")
        for name in ("streams", "batch_size"):  # streams first: a batch that is not given follows from them
            if getattr(self, name) < 1:
                raise UsageError(f"{name}={getattr(self, name)}; expected 1 or more")
        if self.batch_size % self.streams:
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
            kept: npt.NDArray[np.int64] = source.kept.counts[source.volumes]
            return kept
        shapes = vectors(volumes_of(source.key).entries["shape_zyx"])[source.volumes]
        counts: npt.NDArray[np.int64] = counts_of(shapes, source.core).prod(axis=1)
        return counts

    def identity(self) -> dict[str, Any]:
        """What a stored state must agree with: dataset, filter, seed and the shape of the batches."""
        return {
            "format": STATE_FORMAT,
            "manifest": self.source.key.sha256,
            "filter": self.source.selected,
            "seed": int(self.seed),
            "shuffle": bool(self.shuffle),
            "streams": int(self.streams),
            "pool_volumes": int(self.pool_volumes),
            "batch_size": int(self.batch_size),
            "remainder": self.remainder,
            "box": self.source.box,
            "core": self.source.core,
            **({"balance": str(self.sampling.balance)} if self.sampling.balance else {}),
        }


def check_batches(plan: StreamPlan, lengths: Sequence[int], batches: int, world_size: int) -> None:
    """UsageError where an epoch has sub-grids and no batch, and where a rank has no sample of the last batch.

    lengths: of the streams. A training loop over no batch would end at once and say nothing; a rank without a sample
    would hang the others.
    """
    if sum(lengths) and not batches:
        raise UsageError(
            f"batch_size={plan.batch_size}: {sum(lengths):,} sub-grids, dealt to {plan.streams} streams, make no whole "
            "batch; use a smaller batch_size or remainder='keep'"
        )
    if plan.remainder != "keep" or world_size == 1:
        return
    start, per_rank = (batches - 1) * (plan.batch_size // plan.streams), plan.streams // world_size
    for rank in range(world_size):
        if max(lengths[rank * per_rank : (rank + 1) * per_rank]) <= start:
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
    epoch, batch = state.get("epoch"), state.get("next_batch")
    if not isinstance(epoch, int) or not isinstance(batch, int) or batch < 0:
        raise UsageError(f"the state has epoch={epoch!r}, next_batch={batch!r}; expected whole numbers, a batch from 0")
    return epoch, batch
