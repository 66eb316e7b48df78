"""A block of a stream on its way: begun, then ready to be served; and what it consists of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from cryodata.core.balance import draws
from cryodata.core.order import Block, EpochOrder
from cryodata.core.subgrids import SubgridGrid
from cryodata.formats.volume_reader import Boxes
from cryodata.read.decode import Volumes
from cryodata.read.kernels import Numbers
from cryodata.read.served import PoolVolume, Served, Turning, serve
from cryodata.read.sources import Sampling, SubgridSource


@dataclass(slots=True)
class Begun:
    """A block whose volumes are being decoded."""

    order: EpochOrder
    stream: int
    block: int
    turn: int
    "how many blocks of the stream came before it, in all epochs that were read in a row: they take slots in turns"

    samples: Block
    probability: npt.NDArray[np.float64] | None
    since: int
    "first of the samples that is served"

    ahead: list[Future[PoolVolume | None] | None] = field(default_factory=list)
    "what threads decode, volume by volume; None where nobody does"

    done: dict[int, PoolVolume] = field(default_factory=dict)
    "those of `ahead` that are there, by place"

    served: Served | None = None
    "the block made ready by the thread that decoded the last of it; None if some have to be waited for"


@dataclass(frozen=True, slots=True)
class Serving:
    """A block of a stream, ready."""

    block: int
    first: int
    "position in the stream of its first sub-grid"

    end: int
    "and the one after its last"

    served: Served


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over an epoch."""

    order: EpochOrder
    since: int = 0
    "position in the streams from which on they are served"

    left: Mapping[int, Begun] = field(default_factory=dict)
    "first blocks of the epoch that the pass before has begun, by stream; with the same slots"

    following: EpochOrder | None = None
    "the epoch that will probably be read next"


class Blocks:
    """The blocks of a source: what they hold, what must be decoded for them, and what is served of them."""

    def __init__(self, source: SubgridSource, sampling: Sampling, store: Volumes) -> None:
        self.source, self.sampling, self.store = source, sampling, store

    def begin(self, order: EpochOrder, stream: int, block: int, turn: int, since: int) -> Begun:
        """A block of which nothing is decoded."""
        return Begun(order, stream, block, turn, *self._samples(order, stream, block), since)

    def boxes(self, grid: SubgridGrid, numbers: Numbers) -> Boxes | None:
        """What is looked at of a volume for some of its sub-grids, in their order; None for all of it."""
        if len(numbers) == len(grid):
            return None
        # a turned box reaches beyond itself by what its diagonal is longer than its side, and interpolation by one
        reach = math.ceil((math.sqrt(3) - 1) / 2 * (grid.box - 1)) + 1 if self.sampling.rotate == "so3" else 0
        return Boxes(grid.starts_zyx()[numbers] - reach, grid.box + 2 * reach)

    def serve(self, begun: Begun, volumes: Sequence[PoolVolume]) -> Served:
        """The block ready, its volumes in the order of `begun.samples`."""
        turning = Turning(self.sampling.rotate, begun.order.seed, begun.order.epoch, begun.stream)
        first = begun.order.block_span(begun.stream, begun.block)[0]
        return serve(begun.samples, self._labelled(begun, volumes), self.source, turning, first, begun.probability)

    def _labelled(self, begun: Begun, volumes: Sequence[PoolVolume]) -> Sequence[PoolVolume]:
        """The volumes of a block with what their labels are written from, if labels are asked for."""
        source, names = self.source, frozenset(self.source.arrays) - self.source.density
        if not names:
            return volumes
        rows = source.volumes[begun.samples.volumes].tolist()
        labels = self.store.atoms.labels(rows, source.rule, names, bool(self.sampling.rotate))
        return [replace(volume, labels=own) for volume, own in zip(volumes, labels, strict=True)]

    def _samples(self, order: EpochOrder, stream: int, block: int) -> tuple[Block, npt.NDArray[np.float64] | None]:
        """The sub-grids of a block, or as many draws from them; and how often each of these was to be expected."""
        all_of, balance = order.block(stream, block), self.sampling.balance
        if balance is None:
            return all_of, None
        columns = {name: np.zeros(len(all_of.volume)) for name in balance.columns}
        for volume in all_of.volumes.tolist():
            mine = np.flatnonzero(all_of.volume == volume)
            number = self.source.places(volume, all_of.place[mine])
            values = self.store.subgrid_values(int(self.source.volumes[volume]), balance.columns)
            for name in balance.columns:
                columns[name][mine] = values[name][number]
        key = ("balance", order.seed, order.epoch, stream, block)
        chosen, expected = draws(balance.shares(all_of.volume, columns), len(all_of.volume), *key)
        return Block(all_of.volumes, all_of.volume[chosen], all_of.place[chosen]), expected[chosen]
