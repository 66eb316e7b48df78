"""From points with residue-type probabilities and sequences to chains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.errors import UsageError

Array = npt.NDArray[Any]

METHODS = ("default", "paper")


def trace(
    xyz: npt.ArrayLike,
    amino: npt.ArrayLike,
    sequences: Sequence[str],
    *,
    method: str = "default",
    links: Callable[[Array, Array], Array] | None = None,
    error: float = 0.35,
) -> list[npt.NDArray[np.int64]]:
    """The state of each residue of each chain.

    xyz: states, (S, 3), A. amino: probabilities of the 20 types at each state in the order of the amino classes,
    (S, 20), about 1 in all. sequences: one-letter codes; letters other than the 20 match any state alike.
    method: `default`, or `paper` for the hidden Markov model of the Cryo2Struct paper, solved exactly.
    links: the score (nats, 0 for no opinion) of linking states, given as two arrays (n,) of numbers of states, such as
    `density_links` makes; of the default method only.
    error: A per axis by which states miss their atoms; what is expected of distances and angles is known for 0.35 and
    0.65, and the nearer is taken. Of the default method only.

    Returns an int64 array (L,) per sequence: the number of its residue's state, -1 if none; no state is used twice.
    The same input gives the same answer. Raises UsageError for shapes or values that cannot be. The first call in a
    new installation compiles for about a minute; `warm_up` does that beforehand.
    """
    return [path for path, _ in trace_with_confidence(xyz, amino, sequences, method=method, links=links, error=error)]


def trace_with_confidence(
    xyz: npt.ArrayLike,
    amino: npt.ArrayLike,
    sequences: Sequence[str],
    *,
    method: str = "default",
    links: Callable[[Array, Array], Array] | None = None,
    error: float = 0.35,
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """As `trace`, with how far each residue is to be trusted, 0 to 1, float64 (L,).

    Of the default method about the chance to be in register in noisy cases of other structures; of `paper` the
    probability of the residue's type at its state.
    """
    points, probabilities = _checked(xyz, amino)
    if method not in METHODS:
        raise UsageError(f"no tracing method '{method}'; there are: {', '.join(METHODS)}")
    if not len(points) or not any(sequences):
        return [(np.full(len(sequence), -1), np.zeros(len(sequence))) for sequence in sequences]
    long = [sequence for sequence in sequences if sequence]
    if method == "paper":
        found = iter(_by_paper(points, probabilities, long))
    else:
        found = iter(_by_search(points, probabilities, long, links, error))
    return [next(found) if sequence else (np.empty(0, np.int64), np.empty(0)) for sequence in sequences]


def _by_search(
    points: Array, probabilities: Array, sequences: Sequence[str], links: Any, error: float
) -> Iterator[tuple[Array, Array]]:
    from cryodata.baseline.chains.graph import make_graph
    from cryodata.baseline.chains.links import link_tables
    from cryodata.baseline.chains.search import Search

    tables = link_tables(error)
    search = Search(make_graph(points, tables, links), probabilities, sequences, tables)
    paths = search.run()
    for path, trust in zip(paths, search.confidence(), strict=True):
        yield path.astype(np.int64), trust


def _by_paper(points: Array, probabilities: Array, sequences: Sequence[str]) -> Iterator[tuple[Array, Array]]:
    from cryodata.baseline.chains.emission import UNKNOWN, types_of
    from cryodata.baseline.chains.hidden_markov import trace_by_paper

    for sequence, path in zip(sequences, trace_by_paper(points, probabilities, sequences), strict=True):
        types = types_of(sequence)
        trust = probabilities[path, np.minimum(types, UNKNOWN - 1)]
        yield path, np.where((path >= 0) & (types < UNKNOWN), np.clip(trust, 0, 1), 0.0)


def warm_up() -> None:
    """Compile everything that `trace` runs, or load it from numba's cache on disk."""
    turn = np.arange(60) * 1.745  # an ideal helix: 100 degrees and 1.5 A a residue, radius 2.3 A
    helix = np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(60)], axis=1)
    types = np.random.default_rng(0).integers(0, 20, 60)
    from cryodata.baseline.chains.emission import LETTERS

    sequence = "".join(LETTERS[number] for number in types)
    xyz, amino = np.concatenate([helix, helix + 60]), np.tile(np.eye(20)[types], (2, 1))
    for method in METHODS:
        trace(xyz, amino, [sequence, sequence], method=method)


def _checked(xyz: npt.ArrayLike, amino: npt.ArrayLike) -> tuple[Array, Array]:
    points, probabilities = np.asarray(xyz, dtype=np.float64), np.asarray(amino, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise UsageError(f"xyz: expected positions of shape (states, 3), found {points.shape}")
    if probabilities.shape != (len(points), 20):
        raise UsageError(f"amino: expected probabilities of shape ({len(points)}, 20), found {probabilities.shape}")
    if not np.isfinite(points).all() or not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise UsageError("xyz and amino: expected finite numbers, and probabilities that are not negative")
    return points, probabilities
