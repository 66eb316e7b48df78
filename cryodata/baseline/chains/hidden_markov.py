"""The hidden Markov model of the Cryo2Struct paper, solved by exact dynamic programming (numba).

Every residue takes a state; transitions judge the distance alone; chains are traced one after another, each without
the states of those before it. The published solver cuts a chain wherever it runs out of allowed predecessors; this one
finds the most probable path. Inside a chain that path may visit a state twice; the less probable visit is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.emission import BACKGROUND, UNKNOWN, types_of
from cryodata.baseline.chains.graph import neighbours

Array = npt.NDArray[Any]

MEAN, DEVIATION = 3.8047179727719045, 0.03622304 * 10
"A, of the distance of neighbours; the deviation as widened by the published `std_lambda`"

FLOOR = 1e-20
"added to every probability by the published program"

REACH = 7.5
"A; beyond, the density is below a thousandth of FLOOR"


def trace_by_paper(xyz: Array, amino: Array, sequences: Sequence[str]) -> list[Array]:
    """The states of each chain, int64 (L,); -1 where a state is used up or would be used twice."""
    left, answer = np.arange(len(xyz)), []
    for sequence in sequences:
        path = np.full(len(sequence), -1, dtype=np.int64)
        if sequence and len(left):
            types, emission = types_of(sequence), paper_emission(amino[left])
            found = paper_path(xyz[left], emission, types)
            best = np.argsort(-emission[found, types], kind="stable")  # the most probable visit of a state first
            visit = np.sort(best[np.unique(found[best], return_index=True)[1]])
            path[visit] = left[found[visit]]
            left = np.setdiff1d(left, path)
        answer.append(path)
    return answer


def paper_emission(amino: Array) -> Array:
    """Logarithm of the geometric mean of probability and background, each row normalised; (S, 21)."""
    shares = amino + FLOOR
    mean = np.sqrt(shares / shares.sum(axis=1, keepdims=True) * BACKGROUND)
    mean /= mean.sum(axis=1, keepdims=True)
    return np.column_stack([np.log(mean), np.full(len(mean), np.log(1 / UNKNOWN))])


def paper_path(xyz: Array, emission: Array, types: Array) -> Array:
    """The most probable states of a chain, int64 (L,); the first emission counts twice, as in the published program."""
    first, other, apart = neighbours(np.asarray(xyz, dtype=np.float32), 0.0, REACH)
    density = np.exp(-0.5 * ((apart.astype(np.float64) - MEAN) / DEVIATION) ** 2) / (DEVIATION * np.sqrt(2 * np.pi))
    chance = density + FLOOR
    rest = len(xyz) - np.diff(first)  # states out of reach of each
    sums = np.add.reduceat(chance, first[:-1]) + rest * FLOOR  # every state is its own neighbour: no empty row
    source = np.log(chance) - np.log(sums)[other]
    path: Array = np.empty(len(types), dtype=np.int64)
    _solve(first, other, source, np.log(FLOOR / sums), emission, types, path)
    return path


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _solve(first: Any, other: Any, step: Any, leap: Any, emission: Any, types: Any, path: Any) -> None:
    """step: logarithm of the probability of each transition in reach, leap: of any other one out of a state."""
    length, count = len(types), len(emission)
    came = np.full((length, count), -1, np.int32)
    score = 2 * emission[:, types[0]]
    for i in range(1, length):
        base, base_at = -np.inf, -1
        for t in range(count):
            if score[t] + leap[t] > base:
                base, base_at = score[t] + leap[t], t
        fresh = np.empty(count)
        for s in range(count):
            best, best_at = base, base_at
            for row in range(first[s], first[s + 1]):
                value = score[other[row]] + step[row]
                if value > best:
                    best, best_at = value, other[row]
            fresh[s] = best + emission[s, types[i]]
            came[i, s] = best_at
        score = fresh
    path[length - 1] = np.argmax(score)
    for i in range(length - 1, 0, -1):
        path[i - 1] = came[i, path[i]]
