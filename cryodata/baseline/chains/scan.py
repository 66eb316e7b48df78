"""Which states each residue of a chain may have: best path through each, by exact dynamic programming (numba).

The model of second order: links, the angle between two links, jumps over one or two missing residues, gaps of any
length. For each residue and state the score of the best path of the whole chain through it; what lies far below the
best path is left out, so that the searches that follow look at dozens of states a residue instead of thousands.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.graph import Graph

Array = npt.NDArray[Any]

FREE = -1000
"in place of the residue that a state is held by: nobody"

NEVER = np.float32(-1e9)


class Costs(NamedTuple):
    """What a path pays, in nats."""

    present: float = 0.08
    "for each residue that has a state: -ln 0.92"

    jump: float = 2.5
    "for each residue that is jumped over: -ln 0.08"

    gap: float = 8.0
    "for a gap of any length in the scan: about the logarithm of the number of places to go on from"

    longer: float = 0.3
    "for each residue in a gap, and for each of the first END residues outside the path at either end"

    end: float = 20.0
    "residues at an end that are paid for"

    gap_open: float = 5.0
    "for a gap in the search, where its distance is judged by the tables besides"

    broken: float = 14.0
    "for a gap that no table explains"


class Cells(NamedTuple):
    """States that the residues of a chain may have, in order of the residues."""

    first: Array
    "rows of residue i lie between first[i] and first[i + 1]"

    residue: Array
    state: Array


def scan(
    graph: Graph, emission: Array, types: Array, costs: Costs, taken: tuple[Array, Array], keep: tuple[float, int]
) -> Cells:
    """Cells of a chain.

    emission: (S, 21) float32; types: (L,) columns of it; keep: nats below the best path, and the most states a residue.
    """
    held, price = taken
    length, count = len(types), len(graph.xyz)
    links: Array = np.empty((length, len(graph.link_from)), dtype=np.float32)
    alone: Array = np.empty((length, count), dtype=np.float32)
    _forward(graph, emission, types, costs, held, price, links, alone)
    through: Array = np.empty((length, count), dtype=np.float32)
    _backward(graph, emission, types, costs, held, price, links, alone, through)
    least, chosen = through.max() - np.float32(keep[0]), []
    for i in range(length):
        good = np.flatnonzero(through[i] > least)
        if len(good) > keep[1]:
            good = good[np.argsort(-through[i, good], kind="stable")[: keep[1]]]
        chosen.append(good)
    residue = np.repeat(np.arange(length), [len(good) for good in chosen])
    return _cells(residue, np.concatenate(chosen), length)


def merge(cells: Cells, before: Cells | None, path: tuple[Array, Array]) -> Cells:
    """Cells of two scans and of a path, given as residues and states."""
    parts = [(cells.residue, cells.state), path] + ([(before.residue, before.state)] if before is not None else [])
    residue, state = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return _cells(residue, state, len(cells.first) - 1)


def _cells(residue: Array, state: Array, length: int) -> Cells:
    """Sorted by residue and state, each once."""
    keys = np.unique((residue.astype(np.int64) << 32) + state)
    residue = (keys >> 32).astype(np.int32)
    first = np.searchsorted(residue, np.arange(length + 1)).astype(np.int32)
    return Cells(first, residue, (keys & 0xFFFFFFFF).astype(np.int32))


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _forward(g: Any, emission: Any, types: Any, costs: Any, held: Any, price: Any, links: Any, alone: Any) -> None:
    length, count = len(types), len(g.xyz)
    cells = len(g.bridge_first) - 1
    gap = np.full(cells, NEVER, np.float32)
    bridged = np.full(cells, NEVER, np.float32)
    best = np.full((length, count), NEVER, np.float32)
    for i in range(length):
        kind = types[i]
        start = np.float32(-costs.longer * min(i, costs.end))
        anywhere = gap.max() - np.float32(costs.broken - costs.gap)
        for cell in range(cells):
            value = anywhere
            for row in range(g.bridge_first[cell], g.bridge_first[cell + 1]):
                value = max(value, gap[g.bridge_to[row]] - g.bridge_cost[row])
            bridged[cell] = value
        for s in range(count):
            here = emission[s, kind] - np.float32(costs.present)
            if held[s] != FREE and abs(held[s] - i) > 1:
                here -= price[s]
            value = max(start, bridged[g.cell[s]])
            for row in range(g.jump_first[s], g.jump_first[s + 1]):
                over = g.jump_over[row]
                if i > over:
                    value = max(
                        value, best[i - 1 - over, g.jump_from[row]] + g.jump_score[row] - np.float32(costs.jump) * over
                    )
            value += here
            alone[i, s] = value
            if i > 0:
                for link in range(g.link_first[s], g.link_first[s + 1]):
                    before = alone[i - 1, g.link_from[link]]
                    for row in range(g.pair_first[link], g.pair_first[link + 1]):
                        before = max(before, links[i - 1, g.pair_from[row]] + g.pair_score[row])
                    before += g.link_score[link] + here
                    links[i, link] = before
                    value = max(value, before)
            best[i, s] = value
        if i == 0:
            links[0, :] = NEVER
        for cell in range(cells):
            gap[cell] -= np.float32(costs.longer)
        for s in range(count):
            gap[g.cell[s]] = max(gap[g.cell[s]], best[i, s] - np.float32(costs.gap))


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _backward(
    g: Any, emission: Any, types: Any, costs: Any, held: Any, price: Any, links: Any, alone: Any, through: Any
) -> None:
    """The best completions, from the end; `through` gets the best path through each state."""
    length, count, ways = len(types), len(g.xyz), len(g.link_from)
    cells = len(g.bridge_first) - 1
    gap = np.full(cells, NEVER, np.float32)
    bridged = np.full(cells, NEVER, np.float32)
    after = np.full((4, count), NEVER, np.float32)  # entering a state at i: its own score and the rest; rolling by i
    rest = np.empty((2, ways), np.float32)  # after a link into i; rolling by i
    leave = np.empty(count, np.float32)
    for i in range(length - 1, -1, -1):
        kind, now, then = types[i], i % 2, (i + 1) % 2
        end = np.float32(-costs.longer * min(length - 1 - i, costs.end))
        anywhere = gap.max() - np.float32(costs.broken - costs.gap)
        for cell in range(cells):
            value = anywhere
            for row in range(g.bridge_first[cell], g.bridge_first[cell + 1]):
                value = max(value, gap[g.bridge_to[row]] - g.bridge_cost[row])
            bridged[cell] = value - np.float32(costs.gap)
        for s in range(count):
            value = max(end, bridged[g.cell[s]])
            for row in range(g.jump_first[s], g.jump_first[s + 1]):  # distances know no direction
                over = g.jump_over[row]
                if i + 1 + over < length:
                    value = max(
                        value,
                        after[(i + 1 + over) % 4, g.jump_from[row]] + g.jump_score[row] - np.float32(costs.jump) * over,
                    )
            leave[s] = value
            for link in range(g.link_first[s], g.link_first[s + 1]):
                rest[now, link] = value
        if i + 1 < length:
            following = types[i + 1]
            for s in range(count):
                here = emission[s, following] - np.float32(costs.present)
                if held[s] != FREE and abs(held[s] - i - 1) > 1:
                    here -= price[s]
                for link in range(g.link_first[s], g.link_first[s + 1]):
                    value = here + g.link_score[link] + rest[then, link]
                    t = g.link_from[link]
                    leave[t] = max(leave[t], value)
                    for row in range(g.pair_first[link], g.pair_first[link + 1]):
                        earlier = g.pair_from[row]
                        rest[now, earlier] = max(rest[now, earlier], value + g.pair_score[row])
        for cell in range(cells):
            gap[cell] -= np.float32(costs.longer)
        for s in range(count):
            value = alone[i, s] + leave[s]
            for link in range(g.link_first[s], g.link_first[s + 1]):
                value = max(value, links[i, link] + rest[now, link])
            through[i, s] = value
            entering = emission[s, kind] - np.float32(costs.present) + leave[s]
            if held[s] != FREE and abs(held[s] - i) > 1:
                entering -= price[s]
            after[i % 4, s] = entering
            gap[g.cell[s]] = max(gap[g.cell[s]], entering)
