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

MEMORY = 128 << 20
"bytes that the scores of links may take; of longer chains they are kept for some residues at a time, and made twice"


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
    through = _through(graph, emission, types, costs, taken)
    length = len(types)
    least, chosen = through.max() - np.float32(keep[0]), []
    for i in range(length):
        good = np.flatnonzero(through[i] > least)
        if len(good) > keep[1]:
            good = good[np.argsort(-through[i, good], kind="stable")[: keep[1]]]
        chosen.append(good)
    residue = np.repeat(np.arange(length), [len(good) for good in chosen])
    return _cells(residue, np.concatenate(chosen), length)


def _through(graph: Graph, emission: Array, types: Array, costs: Costs, taken: tuple[Array, Array]) -> Array:
    """Score of the best path through each state at each residue, (L, S) float32."""
    length, count, ways = len(types), len(graph.xyz), len(graph.link_from)
    rows = min(length, max(16, MEMORY // max(1, 4 * ways)))
    links: Array = np.full((rows + 1, ways), NEVER, dtype=np.float32)
    alone, best, through = (np.full((length, count), NEVER, dtype=np.float32) for _ in range(3))
    gap: Array = np.full(len(graph.bridge_first) - 1, NEVER, dtype=np.float32)
    parts, begun = [(low, min(low + rows, length)) for low in range(0, length, rows)], []
    for part in parts:
        begun.append((links[0].copy(), gap.copy()))
        _forward(graph, emission, types, costs, *taken, part, links, (alone, best, gap))
        links[0] = links[part[1] - part[0]]
    gap[:] = NEVER
    after, rest = np.full((4, count), NEVER, dtype=np.float32), np.empty((2, ways), dtype=np.float32)
    for number in reversed(range(len(parts))):
        if number < len(parts) - 1:
            links[0], gap_before = begun[number]
            _forward(graph, emission, types, costs, *taken, parts[number], links, (alone, best, gap_before))
        _backward(graph, emission, types, costs, *taken, parts[number], links, (alone, through, gap, after, rest))
    return through


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
def _forward(
    g: Any, emission: Any, types: Any, costs: Any, held: Any, price: Any, part: Any, links: Any, kept: Any
) -> None:
    """The best paths up to each state and link, for some residues; links: in row 0 those of the residue before."""
    alone, best, gap = kept
    count, cells = len(g.xyz), len(gap)
    bridged = np.full(cells, NEVER, np.float32)
    for i in range(part[0], part[1]):
        kind, row_of = types[i], i - part[0] + 1
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
                        before = max(before, links[row_of - 1, g.pair_from[row]] + g.pair_score[row])
                    before += g.link_score[link] + here
                    links[row_of, link] = before
                    value = max(value, before)
            best[i, s] = value
        if i == 0:
            links[row_of, :] = NEVER
        for cell in range(cells):
            gap[cell] -= np.float32(costs.longer)
        for s in range(count):
            gap[g.cell[s]] = max(gap[g.cell[s]], best[i, s] - np.float32(costs.gap))


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _backward(
    g: Any, emission: Any, types: Any, costs: Any, held: Any, price: Any, part: Any, links: Any, kept: Any
) -> None:
    """The best completions, from the end, for some residues; `through` gets the best path through each state.

    kept: entering a state at i, its own score and the rest (`after`), and what comes after a link into i (`rest`), roll
    by i.
    """
    alone, through, gap, after, rest = kept
    length, count, cells = len(types), len(g.xyz), len(gap)
    bridged = np.full(cells, NEVER, np.float32)
    leave = np.empty(count, np.float32)
    for i in range(part[1] - 1, part[0] - 1, -1):
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
                value = max(value, links[i - part[0] + 1, link] + rest[now, link])
            through[i, s] = value
            entering = emission[s, kind] - np.float32(costs.present) + leave[s]
            if held[s] != FREE and abs(held[s] - i) > 1:
                entering -= price[s]
            after[i % 4, s] = entering
            gap[g.cell[s]] = max(gap[g.cell[s]], entering)
