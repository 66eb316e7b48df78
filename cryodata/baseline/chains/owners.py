"""Who uses a state: at most one chain, at one residue, decided by what it is worth to each (numba)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

WINDOW = 8
"residues on either side whose worth backs a claim"


TYPICAL = 12.0
"worth of a window of a path that is right, about half of what is usual"


class Owners(NamedTuple):
    """The chain and residue that each state belongs to."""

    chain: Array
    "(S,), -1 if none"

    residue: Array
    strength: Array


def no_owners(states: int) -> Owners:
    """Nothing belongs to anybody."""
    return Owners(np.full(states, -1, np.int32), np.full(states, -1, np.int32), np.zeros(states, np.float64))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def penalised(
    owners: Any, chain: int, price: float, present: float, m: Any, emission: Any, types: Any, worth: Any
) -> None:
    """What each cell of a chain is worth to it: less the price where the state belongs to somebody else."""
    for c in range(len(m.state)):
        s, i = m.state[c], m.residue[c]
        value = emission[s, types[i]] - present
        holder = owners.chain[s]
        if holder >= 0 and (holder != chain or abs(owners.residue[s] - i) > 1):
            value -= price * min(max(owners.strength[s] / TYPICAL, 0.2), 2.0)
        worth[c] = value


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def claim(owners: Any, chain: int, states: Any, each: Any) -> None:
    """A chain gives up what it had and claims the states of its path; the stronger claim to a state wins."""
    for s in range(len(owners.chain)):
        if owners.chain[s] == chain:
            owners.chain[s] = -1
    total = np.zeros(len(states) + 1)
    for i in range(len(states)):
        total[i + 1] = total[i] + each[i]
    for i in range(len(states)):
        s = states[i]
        if s >= 0:
            strength = total[min(len(states), i + WINDOW + 1)] - total[max(0, i - WINDOW)]
            if owners.chain[s] < 0 or strength > owners.strength[s]:
                owners.chain[s] = chain
                owners.residue[s] = i
                owners.strength[s] = strength


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def owned(owners: Any, chain: int, states: Any) -> Any:
    """The path with those states only that belong to the chain at that residue."""
    kept = states.copy()
    for i in range(len(states)):
        s = states[i]
        if s >= 0 and (owners.chain[s] != chain or owners.residue[s] != i):
            kept[i] = -1
    return kept
