"""What the residue-type probabilities of a state say for and against each type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LETTERS = "ARNDCQEGHILKMFPSTWYV"
"one-letter codes in the order of the amino classes 1 to 20"

UNKNOWN = 20
"column of residues of no known type; it speaks neither for nor against"

BACKGROUND = np.array([
    0.0794394802, 0.0497783412, 0.0443390410, 0.0535018633, 0.0226261031, 0.0393752684, 0.0562782096, 0.0721772439,
    0.0188261086, 0.0610804483, 0.0979991826, 0.0533146309, 0.0217037253, 0.0453502210, 0.0417436931, 0.0641667013,
    0.0586559855, 0.0124960171, 0.0359836111, 0.0711641245,
])  # fmt: skip
"shares of the types in the paper's data, in the order of LETTERS (Cryo2Struct, hidden Markov model)"

TRUST = 0.7
"share of a first guess that the network is right about a state, rather than that it says nothing"

NULL = 0.05
"share of states about which even the calibrated table knows nothing"

FEWEST = 40
"placed residues from which on a table is learned"


def types_of(sequence: str) -> Array:
    """Column of each residue, int64 (L,); letters other than the 20 are UNKNOWN."""
    return np.array([LETTERS.find(letter) if letter in LETTERS else UNKNOWN for letter in sequence], dtype=np.int64)


def first_emission(amino: Array) -> Array:
    """Logarithm of how much likelier each type is at each state than anywhere; (S, 21) float32."""
    mixed = TRUST * amino + (1 - TRUST) * BACKGROUND
    return _with_unknown(np.log(mixed / BACKGROUND))


def calibrated_emission(amino: Array, placed: Sequence[tuple[Array, Array]]) -> Array | None:
    """The same from what the probabilities are worth where residues were placed with confidence.

    A histogram of the probability of the right type over that of a type at random, made monotone. placed: states and
    their types, of each chain. None if there are too few.
    """
    states = np.concatenate([states for states, _ in placed])
    types = np.concatenate([types for _, types in placed])
    states, types = states[types < UNKNOWN], types[types < UNKNOWN]
    if len(states) < FEWEST:
        return None
    right = amino[states, types]
    inner = np.linspace(0, 1, 25)[1:-1]
    edges = np.unique(np.concatenate([np.quantile(amino, inner), np.quantile(right, inner[::2])]))
    shares = 0.5 * np.bincount(types, minlength=20) / len(types) + 0.5 * BACKGROUND
    bins = np.searchsorted(edges, amino)
    anywhere = np.bincount(bins.ravel(), weights=np.broadcast_to(shares, amino.shape).ravel(), minlength=len(edges) + 1)
    anywhere = (anywhere + 1e-6) / (anywhere + 1e-6).sum()  # no bin is quite empty
    counts = np.bincount(np.searchsorted(edges, right), minlength=len(edges) + 1)
    seen = (counts + 4 * anywhere) / (len(right) + 4)
    ratio = monotone(seen / anywhere, anywhere)
    return _with_unknown(np.log((1 - NULL) * ratio + NULL)[bins])


def monotone(values: Array, weights: Array) -> Array:
    """The nearest values that do not fall, by pooling neighbours that do; (n,)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (high, one, m), (low, two, n) = pools[-2:]
            pools[-2:] = [((high * one + low * two) / (one + two), one + two, m + n)]
    return np.repeat([value for value, _, _ in pools], [count for _, _, count in pools])


def _with_unknown(scores: Array) -> Array:
    return np.ascontiguousarray(np.column_stack([scores, np.zeros(len(scores))]), dtype=np.float32)
