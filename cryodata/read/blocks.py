"""A block of a stream on its way: begun, then ready to be served."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cryodata.core.order import Block
from cryodata.read.served import PoolVolume, Served


@dataclass(slots=True)
class Begun:
    """A block whose volumes are being decoded."""

    stream: int
    block: int
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
