"""Chains of one protein: which copy a stretch belongs to is decided for both copies together (numba)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.path import distance, far_score, is_link, worth

BLOCK = 4
"residues in a row that two sequences must share to be laid beside each other"

GAIN = 0.3
"nats that an exchange must win"

REACH = 3
"breaks that an exchanged stretch may span"

UNLIKELY = -6.0
"nats that the joints may seem to lose; below, an exchange is not looked at closely"

Ints = npt.NDArray[np.int32]


def relations(sequences: Sequence[str]) -> list[tuple[int, int, Ints, Ints]]:
    """Pairs of chains of one protein, with the residue of the second for each of the first, and back; -1 if none.

    Two sequences belong together where blocks of at least 4 equal residues cover half of the shorter.
    """
    found: dict[tuple[str, str], Ints | None] = {}
    pairs = []
    for one, first in enumerate(sequences):
        for two in range(one + 1, len(sequences)):
            second = sequences[two]
            if (first, second) not in found:
                found[first, second] = _beside(first, second)
            across = found[first, second]
            if across is not None:
                back = np.full(len(second), -1, np.int32)
                rows = np.flatnonzero(across >= 0)
                back[across[rows]] = rows
                pairs.append((one, two, across, back))
    return pairs


def _beside(first: str, second: str) -> Ints | None:
    """Residue of the second sequence for each of the first, or None if they do not belong together."""
    if first == second:
        return np.arange(len(first), dtype=np.int32)
    words = {first[i : i + BLOCK] for i in range(len(first) - BLOCK + 1)}
    shared = sum(second[i : i + BLOCK] in words for i in range(len(second) - BLOCK + 1))
    if shared < min(len(first), len(second)) / 3:
        return None  # spares the careful comparison of what has nothing in common
    across = np.full(len(first), -1, np.int32)
    for block in difflib.SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        if block.size >= BLOCK:
            across[block.a : block.a + block.size] = np.arange(block.b, block.b + block.size)
    return across if (across >= 0).sum() >= min(len(first), len(second)) / 2 else None


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def swap(one: Any, two: Any, across: Any, back: Any, first: int, last: int, new_one: Any, new_two: Any) -> None:
    """Exchange the states of residues first to last - 1 of chain one with those beside them in chain two."""
    new_one[:] = one
    new_two[:] = two
    low, high = -1, -1
    for i in range(first, last):
        new_one[i] = two[across[i]] if across[i] >= 0 else -1
        if across[i] >= 0:
            low = across[i] if low < 0 else low
            high = across[i]
    if low < 0:
        return
    if first == 0:
        low = 0
    if last == len(one):
        high = len(two) - 1
    for j in range(low, high + 1):
        new_two[j] = one[back[j]] if back[j] >= 0 and first <= back[j] < last else -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def breaks(xyz: Any, tables: Any, one: Any, two: Any, across: Any, out: Any) -> int:
    """Residues of chain one before which its path or that of chain two is broken."""
    count = 0
    for i in range(1, len(one)):
        whole = one[i] >= 0 and one[i - 1] >= 0 and is_link(xyz, tables, one[i], one[i - 1])
        j, h = across[i], across[i - 1]
        if whole and j >= 0 and h >= 0:
            whole = two[j] >= 0 and two[h] >= 0 and is_link(xyz, tables, two[j], two[h])
        if not whole and (one[i] >= 0 or (j >= 0 and two[j] >= 0)):
            out[count] = i
            count += 1
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def joint_gain(xyz: Any, tables: Any, costs: Any, one: Any, two: Any, across: Any, place: int) -> Any:
    """About what the two joints win if the paths are exchanged from residue `place` of chain one on."""
    i, h = place, place - 1
    while i < len(one) - 1 and (one[i] < 0 or across[i] < 0):
        i += 1
    while h > 0 and (one[h] < 0 or across[h] < 0):
        h -= 1
    beside = place
    while beside < len(one) - 1 and across[beside] < 0:
        beside += 1
    j = across[beside]
    if j < 0:  # nothing from here on has a counterpart: the place to exchange is where that begins
        last = place - 1
        while last > 0 and one[last] < 0:
            last -= 1
        return 0.0 if across[last] >= 0 else 2 * UNLIKELY
    if one[i] < 0 or one[h] < 0:
        return 0.0
    g = j - 1
    while j < len(two) - 1 and two[j] < 0:
        j += 1
    while g > 0 and two[g] < 0:
        g -= 1
    if g < 0 or two[j] < 0 or two[g] < 0:
        return 0.0
    middle = across[h]  # the residue of chain two beside the last one of chain one before the place
    steps = max(1, j - middle) if middle >= 0 else max(1, j - g)
    back = max(1, across[i] - g) if across[i] >= 0 else max(1, i - h)
    crossed = far_score(tables, costs, steps, distance(xyz[one[h]], xyz[two[j]]))
    crossed += far_score(tables, costs, back, distance(xyz[two[g]], xyz[one[i]]))
    straight = far_score(tables, costs, i - h, distance(xyz[one[h]], xyz[one[i]]))
    straight += far_score(tables, costs, j - g, distance(xyz[two[g]], xyz[two[j]]))
    return crossed - straight


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def exchange(xyz: Any, tables: Any, costs: Any, emission: Any, types: Any, paths: Any, across: Any, back: Any) -> Any:
    """Exchange heads, tails and stretches of two chains while that is worth more; the paths change in place."""
    one, two = paths
    new_one, new_two = one.copy(), two.copy()
    each_one, each_two = np.empty(len(one)), np.empty(len(two))
    places = np.empty(len(one) + 1, np.int64)
    now = worth(xyz, tables, costs, emission, types[0], one, each_one)
    now += worth(xyz, tables, costs, emission, types[1], two, each_two)
    begin = now
    hope = np.empty(len(one) + 1)
    for _ in range(20):
        count = breaks(xyz, tables, one, two, across, places)
        for k in range(count):
            hope[k] = joint_gain(xyz, tables, costs, one, two, across, places[k])
        best, first, last = now + GAIN, -1, -1
        for k in range(count):
            for how in range(2 + REACH):
                low, high, expected = places[k], len(one), hope[k]
                if how == 1:
                    low, high = 0, places[k]
                elif how > 1:
                    if k + how - 1 >= count:
                        continue
                    high = places[k + how - 1]
                    expected += hope[k + how - 1]
                if expected < UNLIKELY:
                    continue
                swap(one, two, across, back, low, high, new_one, new_two)
                value = worth(xyz, tables, costs, emission, types[0], new_one, each_one)
                value += worth(xyz, tables, costs, emission, types[1], new_two, each_two)
                if value > best:
                    best, first, last = value, low, high
        if first < 0:
            break
        swap(one, two, across, back, first, last, new_one, new_two)
        one[:] = new_one
        two[:] = new_two
        now = best
    return now - begin
