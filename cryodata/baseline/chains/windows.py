"""Solve a path again window by window, taking states from others where that is worth more (numba)."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from cryodata.baseline.chains.best import best_path
from cryodata.baseline.chains.path import worth
from cryodata.baseline.chains.scan import NEVER

CONTEXT = 5
"placed residues on either side of a window that stay as they are, so that angles at its ends count"

SPREAD = 4
"residues on either side over which the worth of a path is averaged"


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def share_out(chain: int, states: Any, each: Any, holder: Any, place: Any, price: Any) -> None:
    """Note who holds the states of a path, and what each costs: the mean worth of the path around it."""
    length = len(states)
    for s in range(len(holder)):
        if holder[s] == chain:
            holder[s] = -1
    for i in range(length):
        if states[i] < 0:
            continue
        total, count = 0.0, 0
        for j in range(max(0, i - SPREAD), min(length, i + SPREAD + 1)):
            if states[j] >= 0:
                total += each[j]
                count += 1
        holder[states[i]] = chain
        place[states[i]] = i
        price[states[i]] = max(total / count, 0.0)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def solve_window(
    m: Any,
    chain: int,
    window: tuple[int, int],
    emission: Any,
    types: Any,
    tables: Any,
    costs: Any,
    states: Any,
    held: Any,
    found: Any,
    scratch: Any,
    path: Any,
) -> None:
    """The best path that differs from `states` inside the window only; it goes into `found`, states, -1 if none.

    scratch: (cells,) float32; path: (L,) int32; held: holder, place, price of each state.
    """
    holder, place, price = held
    length = len(states)
    low, high = window
    first, left = low, CONTEXT
    while first > 0 and left > 0:
        first -= 1
        left -= states[first] >= 0
    last, left = high, CONTEXT
    while last < length and left > 0:
        left -= states[last] >= 0
        last += 1
    for i in range(first, last):
        inside = low <= i < high
        for c in range(m.first[i], m.first[i + 1]):
            s = m.state[c]
            if not inside:
                scratch[c] = emission[s, types[i]] - costs.present if states[i] == s else NEVER
                continue
            value = emission[s, types[i]] - costs.present
            if holder[s] >= 0 and not (holder[s] == chain and low <= place[s] < high):
                value -= price[s]
                if holder[s] == chain and first <= place[s] < last:
                    value = NEVER  # part of the context
            scratch[c] = value
    found[:] = states
    best_path(m, scratch, tables, costs, (first, last, low, high), path)
    for i in range(first, last):
        found[i] = m.state[path[i]] if path[i] >= 0 else -1
    # one use of a state inside the window: the later goes
    for i in range(low, high):
        if found[i] >= 0:
            for j in range(low, i):
                if found[j] == found[i]:
                    found[i] = -1
                    break


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def prune(xyz: Any, tables: Any, costs: Any, emission: Any, types: Any, states: Any, least: float) -> None:
    """Take out residues one by one, from the first on, that add less than `least` to their path; in place."""
    each = np.empty(len(states))
    now = worth(xyz, tables, costs, emission, types, states, each)
    for i in range(len(states)):
        state = states[i]
        if state >= 0:
            states[i] = -1
            without = worth(xyz, tables, costs, emission, types, states, each)
            if without > now - least:
                now = without
            else:
                states[i] = state
