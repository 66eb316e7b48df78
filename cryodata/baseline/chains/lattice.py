"""The cells that the scan left to a chain, and what joins them (numba)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.graph import Graph
from cryodata.baseline.chains.links import LinkTables
from cryodata.baseline.chains.path import distance, twist_of
from cryodata.baseline.chains.scan import Cells, Costs

Array = npt.NDArray[Any]

WEAKEST_TURN = -6.0
"angles that speak against three states in a row more than this are left out"


class Lattice(NamedTuple):
    """Cells of a chain and what joins them; rows of one cell, step or turn lie between `first[k]`, `first[k + 1]`."""

    first: Array
    residue: Array
    state: Array
    xyz: Array
    step_first: Array
    step_from: Array
    step_score: Array
    turn_first: Array
    turn_from: Array
    turn_score: Array
    twist_first: Array
    twist_from: Array
    twist_score: Array
    jump_first: Array
    jump_from: Array
    jump_score: Array


def make_lattice(graph: Graph, tables: LinkTables, cells: Cells, costs: Costs) -> Lattice:
    """All steps between cells of residues that follow each other, turns (two steps), twists (three), and jumps."""
    xyz = np.ascontiguousarray(graph.xyz[cells.state])
    rows = len(cells.state)
    step = _listed(rows, lambda *out: _steps(graph, cells, *out))
    jump = _listed(rows, lambda *out: _jumps(graph, cells, costs.jump, *out))
    turn = _listed(len(step[1]), lambda *out: _turns(cells.state, xyz, tables, step[0], step[1], *out))
    comes = (step[1], step[0])
    twist = _listed(len(turn[1]), lambda *out: _twists(cells.state, xyz, tables, comes, turn[0], turn[1], *out))
    return Lattice(cells.first, cells.residue, cells.state, xyz, *step, *turn, *twist, *jump)


def _listed(rows: int, fill: Callable[[Array, Array, Array], int]) -> tuple[Array, Array, Array]:
    """Count with no room, then fill."""
    first: Array = np.zeros(rows + 1, np.int32)
    count = fill(first, np.empty(0, np.int32), np.empty(0, np.float32))
    source, score = np.empty(count, np.int32), np.empty(count, np.float32)
    fill(first, source, score)
    return first, source, score


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _steps(g: Any, cells: Any, first: Any, source: Any, score: Any) -> int:
    """Links between cells of residues that follow each other."""
    count = 0
    at = np.full(len(g.xyz), -1, np.int32)  # cell of each state at the residue before
    for i in range(len(cells.first) - 1):
        for c in range(cells.first[i], cells.first[i + 1]):
            first[c] = count
            s = cells.state[c]
            for link in range(g.link_first[s], g.link_first[s + 1]):
                there = at[g.link_from[link]]
                if there >= 0:
                    if count < len(source):
                        source[count] = there
                        score[count] = g.link_score[link]
                    count += 1
        if i > 0:
            for c in range(cells.first[i - 1], cells.first[i]):
                at[cells.state[c]] = -1
        for c in range(cells.first[i], cells.first[i + 1]):
            at[cells.state[c]] = c
    first[len(cells.state)] = count
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _jumps(g: Any, cells: Any, cost: float, first: Any, source: Any, score: Any) -> int:
    """Jumps over one or two residues."""
    count = 0
    at = np.full((4, len(g.xyz)), -1, np.int32)  # cell of each state at residue i, in row i mod 4
    for i in range(len(cells.first) - 1):
        if i >= 4:
            for c in range(cells.first[i - 4], cells.first[i - 3]):
                at[i % 4, cells.state[c]] = -1
        for c in range(cells.first[i], cells.first[i + 1]):
            at[i % 4, cells.state[c]] = c
            first[c] = count
            s = cells.state[c]
            for row in range(g.jump_first[s], g.jump_first[s + 1]):
                over = g.jump_over[row]
                there = at[(i - 1 - over) % 4, g.jump_from[row]] if i > over else -1
                if there >= 0:
                    if count < len(source):
                        source[count] = there
                        score[count] = g.jump_score[row] - cost * over
                    count += 1
    first[len(cells.state)] = count
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _turns(
    state: Any, xyz: Any, tables: Any, step_first: Any, step_from: Any, first: Any, source: Any, score: Any
) -> Any:
    """For each step t -> s the steps u -> t before it."""
    count = 0
    for s in range(len(state)):
        for step in range(step_first[s], step_first[s + 1]):
            first[step] = count
            t = step_from[step]
            for earlier in range(step_first[t], step_first[t + 1]):
                u = step_from[earlier]
                if state[u] == state[s]:
                    continue
                place = int(distance(xyz[u], xyz[s]) / tables.bins[2])
                value = tables.angle[min(place, len(tables.angle) - 1)]
                if value > WEAKEST_TURN:
                    if count < len(source):
                        source[count] = earlier
                        score[count] = value
                    count += 1
    first[len(step_from)] = count
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _twists(
    state: Any, xyz: Any, tables: Any, steps: Any, turn_first: Any, turn_from: Any, first: Any, source: Any, score: Any
) -> Any:
    """For each turn u -> t -> s the turns w -> u -> t before it."""
    step_from, step_first = steps
    count = 0
    for s in range(len(state)):
        for step in range(step_first[s], step_first[s + 1]):
            t = step_from[step]
            for turn in range(turn_first[step], turn_first[step + 1]):
                first[turn] = count
                middle = turn_from[turn]
                u = step_from[middle]
                for earlier in range(turn_first[middle], turn_first[middle + 1]):
                    w = step_from[turn_from[earlier]]
                    if state[w] == state[s]:
                        continue
                    if count < len(source):
                        source[count] = earlier
                        score[count] = twist_of(xyz, tables, w, u, t, s)
                    count += 1
    first[len(turn_from)] = count
    return count
