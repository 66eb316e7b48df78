"""Which sub-grids a condition keeps: a bit each, so that 39 million take 5 MB."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Kept:
    """The sub-grids of every volume of the entries table that meet a condition."""

    bits: npt.NDArray[np.uint8]
    "a bit for each sub-grid in the order of its grid; every volume begins with a new byte"

    first: npt.NDArray[np.int64]
    "first byte of each volume, and the one after the last, (volumes + 1,)"

    @classmethod
    def none(cls, counts: npt.NDArray[np.int64]) -> Kept:
        """Nothing kept yet. counts: sub-grids of each volume, (volumes,), at least 1."""
        first = np.concatenate([[0], np.cumsum(-(-counts // 8))])
        return cls(np.zeros(int(first[-1]), dtype=np.uint8), first)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Kept sub-grids of each volume, (volumes,)."""
        spans = zip(self.first[:-1].tolist(), self.first[1:].tolist(), strict=True)
        # volume by volume: sums of all at once would take 8 bytes for each byte
        return np.array([np.bitwise_count(self.bits[a:b]).sum(dtype=np.int64) for a, b in spans], dtype=np.int64)

    @cached_property
    def sha256(self) -> str:
        """Hash of what is kept."""
        return hashlib.sha256(self.bits.data).hexdigest()

    def __getitem__(self, volume: int) -> npt.NDArray[np.int32]:
        """Places of the kept sub-grids of a volume in its grid, rising."""
        mine = self.bits[self.first[volume] : self.first[volume + 1]]
        return np.flatnonzero(np.unpackbits(mine)).astype(np.int32)

    def add(self, volume: npt.NDArray[np.integer], place: npt.NDArray[np.integer]) -> None:
        """Keep sub-grids, by volume and place in its grid, (n,) each."""
        byte = self.first[volume] + place // 8
        np.bitwise_or.at(self.bits, byte, np.uint8(128) >> (place % 8).astype(np.uint8))
