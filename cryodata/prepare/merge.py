"""Several models fitted into one map: which of them are used, and one model of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from cryodata.core.model import AtomicModel
from cryodata.core.volume import FloatArray
from cryodata.prepare.quality import GOOD_FIT

OVERLAP_DISTANCE = 2.0
"A between C-alphas that are taken for the same residue in two models"

MAX_OVERLAP = 0.1
"share of C-alphas from which on two models show the same molecule"


def choose_models(ca_xyz: Sequence[FloatArray], fits: Sequence[float]) -> list[int]:
    """Numbers of the models to use, in their order: those that fit and overlap none before them; if that leaves one,
    the one that fits best.

    ca_xyz: C-alphas of each model, float64 (n, 3), A, in order of their ids. fits: of each, in the same frame.
    """
    chosen: list[int] = []
    for number, (xyz, fit) in enumerate(zip(ca_xyz, fits, strict=True)):
        if fit >= GOOD_FIT and all(overlap(xyz, ca_xyz[other]) < MAX_OVERLAP for other in chosen):
            chosen.append(number)
    return chosen if len(chosen) > 1 else [int(np.argmax(fits))]


def overlap(one_xyz: FloatArray, two_xyz: FloatArray) -> float:
    """Share of C-alphas within 2 A of one of the other model; the larger share of the two."""
    shares = [within(one_xyz, two_xyz, OVERLAP_DISTANCE).mean(), within(two_xyz, one_xyz, OVERLAP_DISTANCE).mean()]
    return float(max(shares))


def within(xyz: FloatArray, others_xyz: FloatArray, distance: float) -> npt.NDArray[np.bool_]:
    """Which points have one of the others within a distance; bool (n,). Points are sorted into cells of that size."""
    lowest = np.minimum(xyz.min(axis=0), others_xyz.min(axis=0))
    cell, other_cell = (np.floor((points - lowest) / distance).astype(np.int64) + 1 for points in (xyz, others_xyz))
    size = np.maximum(cell.max(axis=0), other_cell.max(axis=0)) + 2
    keys = np.ravel_multi_index(tuple(other_cell.T), tuple(size))
    order = np.argsort(keys, kind="stable")
    keys, found = keys[order], np.zeros(len(xyz), dtype=np.bool_)
    for step in np.ndindex(3, 3, 3):
        wanted = np.ravel_multi_index(tuple((cell + step - 1).T), tuple(size))
        first, last = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        for place in range(int((last - first).max(initial=0))):
            rows = np.flatnonzero(first + place < last)
            gap = xyz[rows] - others_xyz[order[first[rows] + place]]
            found[rows] |= np.square(gap).sum(axis=1) <= distance**2
    return found


def chain_names(chains: Sequence[Iterable[str]]) -> list[dict[str, str]]:
    """New names of the chains of each model: the old one, with the model's number behind it if it is taken (`A-2`)."""
    taken: set[str] = set()
    names = []
    for number, old in enumerate(chains, 1):
        mine = {}
        for name in sorted(set(old)):
            new = name if name not in taken else f"{name}-{number}"
            while new in taken:
                new += "-"
            mine[name] = new
        taken |= set(mine.values())
        names.append(mine)
    return names


def merged(models: Sequence[AtomicModel], names: Sequence[Mapping[str, str]]) -> AtomicModel:
    """The atoms of all models after each other. names: of their chains, as `chain_names` gives them."""
    if len(models) == 1:
        return models[0]
    columns = {
        column.name: np.concatenate([getattr(model, column.name) for model in models])
        for column in fields(AtomicModel)
        if column.name not in ("chain", "position")
    }
    chains = [np.array([new[name] for name in model.chain.tolist()]) for model, new in zip(models, names, strict=True)]
    counts = np.cumsum([0, *(int(model.position.max(initial=-1)) + 1 for model in models)])
    positions = [model.position + first for model, first in zip(models, counts, strict=False)]
    return AtomicModel(**columns, chain=np.concatenate(chains), position=np.concatenate(positions).astype(np.int32))
