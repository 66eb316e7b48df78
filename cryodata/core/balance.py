"""Which of its sub-grids a block serves, and how often, when some are to come more often than others.

A block serves as many samples as it has sub-grids, all of them its own, so an epoch keeps its length and each map is
decoded once. What differs is how often each is drawn. As a block is served by itself, a balance evens out what lies
within a block: the more maps are mixed at a time, the more there is to balance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.keyed import keyed_uniform
from cryodata.core.order import keyed_permutation
from cryodata.errors import UsageError

Weights = npt.NDArray[np.float64]

EVEN_SHARE = 0.05
"share of the draws by columns that is spread evenly, so that every sub-grid keeps a chance"

EXPECTED = "expected 'map', 'atoms' or a dictionary {column of the sub-grid table: factor}"


@dataclass(frozen=True, slots=True)
class Balance:
    """What the number of draws of a sub-grid is to follow.

    `map`: every map of a block gets the same number of draws, shared evenly by its sub-grids in the block. Columns:
    the share of a sub-grid is 0.95 w / (sum of w) + 0.05 / (sub-grids of the block), w being the sum of factor x value
    over the columns; 1 / (sub-grids of the block) where every w is 0. `atoms` is the column `n_ca_core`.
    """

    factors: tuple[tuple[str, float], ...]
    "columns of the sub-grid table with their factors; none balances maps"

    @classmethod
    def parse(cls, value: Any) -> Balance:
        """From `map`, `atoms` or a dictionary of factors. Raises UsageError for anything else."""
        if value in ("map", "atoms"):
            return cls(() if value == "map" else (("n_ca_core", 1.0),))
        if not isinstance(value, Mapping) or not value:
            raise UsageError(f"balance={value!r}; {EXPECTED}")
        for column, factor in value.items():
            number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
            if not isinstance(column, str) or not number or not (math.isfinite(factor) and factor >= 0):
                raise UsageError(f"balance: found {column!r}: {factor!r}; expected a column and a number of 0 or above")
        if not any(value.values()):
            raise UsageError("balance: every factor is 0; expected at least one above 0")
        return cls(tuple((column, float(factor)) for column, factor in value.items()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the sub-grid table that `shares` needs."""
        return tuple(column for column, _ in self.factors)

    def shares(self, volume: npt.NDArray[np.integer[Any]], columns: Mapping[str, npt.NDArray[Any]]) -> Weights:
        """Share of a block's draws that each of its sub-grids gets, float64 (n,); they add up to 1.

        volume: of each sub-grid, (n,). columns: values of `columns`, (n,) each. Raises UsageError for a column that
        holds anything but finite numbers of 0 or above.
        """
        if not self.factors:
            _, place, counts = np.unique(volume, return_inverse=True, return_counts=True)
            return np.asarray(1.0 / (len(counts) * counts[place]))
        total = np.zeros(len(volume), dtype=np.float64)
        for column, factor in self.factors:
            values = np.asarray(columns[column])
            if values.dtype.kind not in "biuf":
                raise UsageError(f"balance: column {column} holds no numbers")
            total += factor * checked(values.astype(np.float64), f"column {column}")
        even = np.full(len(volume), 1.0 / max(len(volume), 1))
        if not total.any():
            return even
        # divided by the largest first: a sum of large values would overflow
        relative = total / total.max()
        return np.asarray((1.0 - EVEN_SHARE) * relative / relative.sum() + EVEN_SHARE * even)


def checked(weights: Weights, what: str) -> Weights:
    """The weights. Raises UsageError if one is negative or not finite."""
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise UsageError(f"balance: {what} holds {weights[wrong[0]]:g}; expected finite numbers of 0 or above")
    return weights


def draws(weights: npt.ArrayLike, count: int, *key: int | str) -> tuple[npt.NDArray[np.int64], Weights]:
    """Draw `count` times, with replacement, in proportion to weights; a function of the key.

    weights: float64 (n,), of any sum. Returns what is drawn, int64 (count,), in a random order, and the expected number
    of draws of each, count x weight / (sum of weights), float64 (n,). The sampling is systematic (Madow 1949): one
    random number places a comb of `count` equal steps on the cumulated weights, so each is drawn its expected number
    of times, rounded down or up. Raises UsageError for weights that are negative, not finite or all 0.
    """
    values = checked(np.asarray(weights, dtype=np.float64), "the list of weights")
    if not values.any():
        raise UsageError("balance: every weight is 0; expected at least one above 0")
    relative = values / values.max()
    ends = np.cumsum(relative)
    comb = (np.arange(count) + keyed_uniform(0, "comb", *key)) / count * ends[-1]
    last = np.flatnonzero(values)[-1]  # rounding may put the last tooth at the very end
    chosen = np.minimum(np.searchsorted(ends, comb, side="right"), last)
    return chosen[keyed_permutation(count, "draws", *key)], count * relative / relative.sum()
