"""Which states can follow which: links, angles between links, jumps over missing residues (numba)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.links import LinkTables

WEAKEST = (-5.0, -4.0, -4.0)
"links and jumps whose distance speaks against them more than this are left out"

CELL = 12.0
"A, side of the cells between which long gaps are bridged"

REACH = 40.0
"A, longest bridge"

BRIDGE = 1 / 12
"cost of a bridge per A"

Array = npt.NDArray[Any]


class Graph(NamedTuple):
    """States and what joins them; rows of one state or link lie between `first[k]` and `first[k + 1]`."""

    xyz: Array
    link_first: Array
    link_from: Array
    link_score: Array
    pair_first: Array
    pair_from: Array
    pair_score: Array
    jump_first: Array
    jump_from: Array
    jump_score: Array
    jump_over: Array
    cell: Array
    bridge_first: Array
    bridge_to: Array
    bridge_cost: Array


def make_graph(xyz: Array, tables: LinkTables, extra: Any = None) -> Graph:
    """The graph of some states. extra: a function of two arrays of states, the score of linking them, or None."""
    xyz = np.ascontiguousarray(xyz, dtype=np.float32)
    first, other, apart = neighbours(xyz, *tables.reach[0].tolist())
    score = _look_up(tables.near[0], apart, tables.bins[0])
    if extra is not None:
        score = score + extra(other, np.repeat(np.arange(len(xyz)), np.diff(first))).astype(np.float32)
    first, other, score = _strong(first, other, score, WEAKEST[0])
    pairs = _pairs(xyz, first, other, tables.angle, float(tables.bins[2]))
    jump_first, jump_from, jump_score, jump_over = _jumps(xyz, tables)
    cell, centres = _cells(xyz)
    near_first, near_to, near_apart = neighbours(centres, 0.0, REACH)
    return Graph(
        xyz, first, other, score, *pairs, jump_first, jump_from, jump_score, jump_over,
        cell, near_first, near_to, (near_apart * BRIDGE).astype(np.float32),
    )  # fmt: skip


def _look_up(table: Array, apart: Array, width: float) -> Array:
    found: Array = table[np.minimum((apart / width).astype(np.int64), len(table) - 1)]
    return found


def _strong(first: Array, other: Array, score: Array, weakest: float) -> tuple[Array, Array, Array]:
    keep = score > weakest
    kept = np.concatenate([[0], np.cumsum(keep)])
    return kept[first].astype(np.int32), other[keep], np.ascontiguousarray(score[keep], dtype=np.float32)


def _jumps(xyz: Array, tables: LinkTables) -> tuple[Array, Array, Array, Array]:
    """Jumps over one and over two residues in one list."""
    parts = []
    for over, reach in enumerate(tables.reach[1:].tolist(), start=1):
        first, other, apart = neighbours(xyz, *reach)
        first, other, score = _strong(first, other, _look_up(tables.near[over], apart, tables.bins[0]), WEAKEST[over])
        to = np.repeat(np.arange(len(xyz), dtype=np.int32), np.diff(first))
        parts.append((to, other, score, np.full(len(other), over, dtype=np.int32)))
    to, other, score, gap = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(to, kind="stable")
    starts = np.searchsorted(to[order], np.arange(len(xyz) + 1)).astype(np.int32)
    return starts, other[order], score[order], gap[order]


def _cells(xyz: Array) -> tuple[Array, Array]:
    """Cell of each state, and the mean position of the states of each cell."""
    places = np.floor((xyz - xyz.min(axis=0)) / CELL).astype(np.int64)
    cell = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
    count = np.bincount(cell)
    centres = np.stack([np.bincount(cell, weights=column) / count for column in xyz.T], axis=1)
    return cell, centres.astype(np.float32)


def neighbours(xyz: Array, low: float, high: float) -> tuple[Array, Array, Array]:
    """Points at a distance from low to high of each point: first (n + 1), other and distance of each pair.

    A point is its own neighbour if low is 0.
    """
    places = np.floor((xyz - xyz.min(axis=0)) / high).astype(np.int64) + 1
    size = places.max(axis=0) + 2
    keys = np.ravel_multi_index(tuple(places.T), tuple(size))
    order = np.argsort(keys, kind="stable")
    steps = np.ravel_multi_index(tuple(np.indices((3, 3, 3)).reshape(3, -1)), tuple(size)) - np.ravel_multi_index(
        (1, 1, 1), tuple(size)
    )
    found = keys[:, None] + steps
    begin = np.searchsorted(keys[order], found, "left").astype(np.int32)
    end = np.searchsorted(keys[order], found, "right").astype(np.int32)
    first: Array = np.zeros(len(xyz) + 1, dtype=np.int32)
    total = _near(xyz, order, begin, end, (low, high), first, np.empty(0, np.int32), np.empty(0, np.float32))
    other, apart = np.empty(total, np.int32), np.empty(total, np.float32)
    _near(xyz, order, begin, end, (low, high), first, other, apart)
    return first, other, apart


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _near(xyz: Any, order: Any, begin: Any, end: Any, reach: Any, first: Any, other: Any, apart: Any) -> int:
    """Fill the list of neighbours, or count them where there is no room."""
    count = 0
    for point in range(len(xyz)):
        first[point] = count
        for block in range(begin.shape[1]):
            for row in range(begin[point, block], end[point, block]):
                there = order[row]
                square = 0.0
                for axis in range(3):
                    square += (xyz[point, axis] - xyz[there, axis]) ** 2
                distance = np.sqrt(square)
                if (distance >= reach[0]) and (distance <= reach[1]):
                    if count < len(other):
                        other[count] = there
                        apart[count] = distance
                    count += 1
    first[len(xyz)] = count
    return count


def _pairs(xyz: Array, first: Array, source: Array, angle: Array, width: float) -> tuple[Array, Array, Array]:
    """For each link t -> s the links u -> t before it, and what the distance from u to s says."""
    into = np.diff(first)[source]  # links into the state that the link comes from; one of them is the way back
    starts = np.concatenate([[0], np.cumsum(into)]).astype(np.int32)
    before, score = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    used = _fill_pairs(xyz, first, source, angle, width, starts, before, score)
    return starts, before[:used], score[:used]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_pairs(
    xyz: Any, first: Any, source: Any, angle: Any, width: float, starts: Any, before: Any, score: Any
) -> Any:
    count = 0
    for s in range(len(xyz)):
        for link in range(first[s], first[s + 1]):
            starts[link] = count
            t = source[link]
            for earlier in range(first[t], first[t + 1]):
                u = source[earlier]
                if u == s:
                    continue
                square = 0.0
                for axis in range(3):
                    square += (xyz[u, axis] - xyz[s, axis]) ** 2
                value = angle[min(int(np.sqrt(square) / width), len(angle) - 1)]
                if value > -6.0:
                    before[count] = earlier
                    score[count] = value
                    count += 1
    starts[len(source)] = count
    return count
