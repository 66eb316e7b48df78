"""Random numbers as a function: what a key and a position give is the same on every machine, in any order."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def keyed_bits(position: npt.ArrayLike, *key: int | str) -> npt.NDArray[np.uint64]:
    """64 random bits for each position; uint64 of the shape of `position`.

    position: whole numbers, 0 or above. key: what tells one series from another. The bits are splitmix64 (Steele, Lea,
    Flood, OOPSLA 2014) of the position, seeded by blake2b of the key.
    """
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
    start, step = np.frombuffer(digest, dtype="<u8")
    with np.errstate(over="ignore"):
        value: npt.NDArray[np.uint64] = np.asarray(position).astype(np.uint64)
        value = start + (step | np.uint64(1)) * (value + np.uint64(1))
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def keyed_uniform(position: npt.ArrayLike, *key: int | str) -> npt.NDArray[np.float64]:
    """A number of [0, 1) for each position, evenly spread; the upper 53 of `keyed_bits`."""
    return (keyed_bits(position, *key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def keyed_choice(count: int, position: npt.ArrayLike, *key: int | str) -> npt.NDArray[np.int64]:
    """One of 0 to count - 1 for each position, evenly spread; count up to 2^32."""
    high = keyed_bits(position, *key) >> np.uint64(32)
    return (high * np.uint64(count) >> np.uint64(32)).astype(np.int64)
