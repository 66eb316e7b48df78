"""What a path through states is worth, residue by residue (numba)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from cryodata.baseline.chains.graph import WEAKEST


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def torsion(w: Any, u: Any, t: Any, s: Any) -> Any:
    """Torsion angle of four points, radians."""
    b0, b1, b2 = u[0] - w[0], u[1] - w[1], u[2] - w[2]
    c0, c1, c2 = t[0] - u[0], t[1] - u[1], t[2] - u[2]
    d0, d1, d2 = s[0] - t[0], s[1] - t[1], s[2] - t[2]
    m0, m1, m2 = b1 * c2 - b2 * c1, b2 * c0 - b0 * c2, b0 * c1 - b1 * c0
    n0, n1, n2 = c1 * d2 - c2 * d1, c2 * d0 - c0 * d2, c0 * d1 - c1 * d0
    long = np.sqrt(c0 * c0 + c1 * c1 + c2 * c2) + 1e-9
    k0, k1, k2 = (m1 * c2 - m2 * c1) / long, (m2 * c0 - m0 * c2) / long, (m0 * c1 - m1 * c0) / long
    return np.arctan2(-(n0 * k0 + n1 * k1 + n2 * k2), n0 * m0 + n1 * m1 + n2 * m2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def distance(a: Any, b: Any) -> Any:
    """Between two points."""
    return np.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def twist_of(xyz: Any, tables: Any, w: int, u: int, t: int, s: int) -> Any:
    """What the torsion of four states says."""
    before, after = 0, 0
    one, two = distance(xyz[w], xyz[t]), distance(xyz[u], xyz[s])
    for edge in tables.edges:
        before += one > edge
        after += two > edge
    bins = tables.turn.shape[2]
    angle = torsion(xyz[w], xyz[u], xyz[t], xyz[s])
    return tables.turn[before, after, min(int((angle + np.pi) / (2 * np.pi) * bins), bins - 1)]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def far_score(tables: Any, costs: Any, apart: int, length: float) -> Any:
    """A gap between two placed residues `apart` residues from each other whose states are `length` A apart."""
    longer = costs.longer * (min(apart, 60) - 1)
    if apart >= len(tables.far):
        return -costs.broken - longer
    place = min(int(length / tables.bins[1]), tables.far.shape[1] - 1)
    # a break between neighbours is a gap too: it must not be a way round what angles say
    missing = min(costs.jump * (apart - 1), costs.gap_open) if apart > 1 else costs.gap_open
    return max(tables.far[apart, place] - missing, -costs.broken) - longer


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def link_worth(xyz: Any, tables: Any, costs: Any, states: Any, i: int, j: int) -> Any:
    """What joins the state of residue i to that of residue j, the last one before it that has one."""
    apart = i - j
    length = distance(xyz[states[i]], xyz[states[j]])
    worth = far_score(tables, costs, apart, length)
    if apart <= 3:
        value = tables.near[apart - 1, min(int(length / tables.bins[0]), tables.near.shape[1] - 1)]
        reached = tables.reach[apart - 1, 0] <= length <= tables.reach[apart - 1, 1] and value > WEAKEST[apart - 1]
        if apart > 1 and reached:
            worth = max(worth, value - costs.jump * (apart - 1))
        if apart == 1 and reached:
            u = states[j - 1] if j > 0 else -1
            if u >= 0 and u != states[i] and is_link(xyz, tables, u, states[j]):
                place = int(distance(xyz[u], xyz[states[i]]) / tables.bins[2])
                value += tables.angle[min(place, len(tables.angle) - 1)]
                w = states[j - 2] if j > 1 else -1
                if w >= 0 and w != states[j] and w != states[i] and is_link(xyz, tables, w, u):
                    value += twist_of(xyz, tables, w, u, states[j], states[i])
            worth = max(worth, value)
    return worth


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def is_link(xyz: Any, tables: Any, one: int, two: int) -> Any:
    """Whether two states are as far apart as neighbours are."""
    return tables.reach[0, 0] <= distance(xyz[one], xyz[two]) <= tables.reach[0, 1]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def worth(xyz: Any, tables: Any, costs: Any, emission: Any, types: Any, states: Any, each: Any) -> Any:
    """Score of a path; what each placed residue adds goes into `each` (L,), 0 for the others.

    states: (L,), -1 where a residue has none. The empty path is worth 0.
    """
    total, last, length = 0.0, -1, len(states)
    each[:] = 0.0
    for i in range(length):
        if states[i] < 0:
            continue
        value = emission[states[i], types[i]] - costs.present
        if last < 0:
            total -= costs.longer * min(i, costs.end)
        else:
            value += link_worth(xyz, tables, costs, states, i, last)
        each[i] = value
        total += value
        last = i
    if last >= 0:
        total -= costs.longer * min(length - 1 - last, costs.end)
    return total
