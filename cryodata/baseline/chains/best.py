"""The best path of one chain through its cells: third order, gaps judged by their distance (numba)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from cryodata.baseline.chains.path import distance, far_score
from cryodata.baseline.chains.scan import NEVER


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def best_path(m: Any, emission: Any, tables: Any, costs: Any, part: tuple[int, int, int, int], path: Any) -> Any:
    """The best path: its cells go into `path` (L,), -1 where none; returns its score, 0 for an empty path.

    emission: (cells,) float32, what a cell is worth, penalties included; NEVER for one that is not to be used.
    part: first and last + 1 of the residues looked at; where they are no ends of the chain the path begins before
    residue part[2] and ends at part[3] or later, at no cost.
    """
    cells, length = len(m.state), len(m.first) - 1
    steps, turns = len(m.step_from), len(m.turn_from)
    alone, alone_from = np.full(cells, NEVER), np.full(cells, -1, np.int32)
    best, best_at = np.full(cells, NEVER), np.full(cells, -1, np.int32)  # -1 alone, a step, steps + a turn
    by_step, by_turn = np.full(steps, NEVER), np.full(turns, NEVER)
    by_turn_from = np.full(turns, -1, np.int32)  # -1: its first step begins a stretch; else the turn before
    top, top_at = np.full(length + 1, -1e9, np.float32), np.full(length + 1, -1, np.int32)
    most = np.full(length, -1e9, np.float32)  # best at each residue
    highest = np.empty(len(tables.far), np.float32)
    for apart in range(1, len(tables.far)):
        highest[apart] = tables.far[apart].max()
        missing = min(costs.jump * (apart - 1), costs.gap_open) if apart > 1 else costs.gap_open
        highest[apart] -= missing + costs.longer * (min(apart, 60) - 1)
    for i in range(part[0], part[1]):
        start = -costs.longer * min(i, costs.end) if part[0] == 0 else (0.0 if i < part[2] else NEVER)
        for c in range(m.first[i], m.first[i + 1]):
            if emission[c] <= NEVER:
                continue
            value, origin = start, -1
            if i > 0 and top[i] - costs.broken > value:
                value, origin = top[i] - costs.broken, top_at[i]
            for row in range(m.jump_first[c], m.jump_first[c + 1]):
                if best[m.jump_from[row]] + m.jump_score[row] > value:
                    value, origin = best[m.jump_from[row]] + m.jump_score[row], m.jump_from[row]
            for j in range(max(part[0], i - len(tables.far) + 1), i):
                bound = highest[i - j]
                if most[j] + bound <= value:
                    continue
                for b in range(m.first[j], m.first[j + 1]):
                    if best[b] + bound > value:
                        found = best[b] + far_score(tables, costs, i - j, distance(m.xyz[b], m.xyz[c]))
                        if found > value and m.state[b] != m.state[c]:
                            value, origin = found, b
            alone[c], alone_from[c] = value + emission[c], origin
            best[c], best_at[c] = alone[c], -1
            for step in range(m.step_first[c], m.step_first[c + 1]):
                base = emission[c] + m.step_score[step]
                by_step[step] = base + alone[m.step_from[step]]
                if by_step[step] > best[c]:
                    best[c], best_at[c] = by_step[step], step
                for turn in range(m.turn_first[step], m.turn_first[step + 1]):
                    before, origin = by_step[m.turn_from[turn]], -1
                    for row in range(m.twist_first[turn], m.twist_first[turn + 1]):
                        found = by_turn[m.twist_from[row]] + m.twist_score[row]
                        if found > before:
                            before, origin = found, m.twist_from[row]
                    by_turn[turn], by_turn_from[turn] = base + m.turn_score[turn] + before, origin
                    if by_turn[turn] > best[c]:
                        best[c], best_at[c] = by_turn[turn], steps + turn
            most[i] = max(most[i], best[c])
        top[i + 1], top_at[i + 1] = top[i] - costs.longer, top_at[i]
        for c in range(m.first[i], m.first[i + 1]):
            if best[c] > top[i + 1]:
                top[i + 1], top_at[i + 1] = best[c], c
    return _follow(m, costs, part, best, best_at, alone_from, by_turn_from, path)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _follow(
    m: Any, costs: Any, part: Any, best: Any, best_at: Any, alone_from: Any, by_turn_from: Any, path: Any
) -> Any:
    """Go back along the best path."""
    length, steps = len(m.first) - 1, len(m.step_from)
    path[:] = -1
    score, cell = np.float32(0.0) if part[0] == 0 and part[1] == length else np.float32(NEVER / 2), -1
    for c in range(m.first[part[0]], m.first[part[1]]):
        value = best[c]
        if part[1] < length and m.residue[c] < part[3]:
            continue
        if part[1] == length:
            value -= costs.longer * min(length - 1 - m.residue[c], costs.end)
        if value > score:
            score, cell = value, c
    while cell >= 0:
        path[m.residue[cell]] = cell
        node = best_at[cell]
        if node >= steps:
            turn = node - steps
            step = -1
            while turn >= 0:
                # s stands; its turn is u -> t -> s: t is the cell before
                step = m.turn_from[turn]
                cell = _end_of(m, step)
                path[m.residue[cell]] = cell
                turn = by_turn_from[turn]
            cell = m.step_from[step]
            path[m.residue[cell]] = cell
        elif node >= 0:
            cell = m.step_from[node]
            path[m.residue[cell]] = cell
        cell = alone_from[cell]
    return score


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _end_of(m: Any, step: int) -> Any:
    """The cell that a step leads to."""
    return np.searchsorted(m.step_first, step, side="right") - 1
