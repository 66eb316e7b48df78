"""Which entries must not stand in different splits, because they show proteins alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cryodata.build.kinship.pairs import Pairs
from cryodata.build.kinship.units import SHARE, Proteins
from cryodata.core.components import Edges, components
from cryodata.prepare.alignment import Criterion, Query

SHARED = 0.10
"of the residues of the smaller entry: what its chains must have to join it, under `share`"

EVERYWHERE = 10
"main proteins of the entries that a family is in, from which on it says nothing of an entry, under `share`"

LENGTHS = 0.5
"shorter by longer of two chains alike, from which on they are of one family: a tag makes no family of what it is on"

Holders = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"units, and residues of each"


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """Sequences and the units that have them."""

    contents: Sequence[Mapping[int, int]]
    "residues of each unit by sequence: its length times its copies"

    partners: Sequence[npt.NDArray[np.int64]]
    "sequences alike to each, itself among them"

    holders: Sequence[Holders]
    "of each sequence"

    mains: Sequence[Holders]
    "those holders whose main protein is of the family of the sequence"

    everywhere: npt.NDArray[np.bool_]
    "sequences of families that are everywhere"


def unit_edges(proteins: Proteins, pairs: Pairs, rule: str, criterion: Criterion) -> Edges:
    """Units that are joined: by an archive id, or by their chains under a rule; by number, int64 (n, 2).

    join: by any two chains alike. share: by chains alike that make up a tenth of the residues of the smaller unit. A
    family that is everywhere counts only between units of which it is the main protein.
    """
    graph = _graph(proteins, pairs.above(criterion.score), rule, criterion)
    total = np.array([sum(content.values()) for content in graph.contents], dtype=np.float64)
    found = [proteins.same_archive]
    for unit in range(len(graph.contents)):
        mine, theirs = _shared(unit, graph)
        others = np.flatnonzero(mine)
        others = others[others > unit]
        if rule == SHARE and len(others):
            here, there = mine[others] / total[unit], theirs[others] / total[others]
            share = np.where(total[unit] < total[others], here, there)
            same = total[unit] == total[others]  # of two that are as large, the one that shares more
            others = others[np.where(same, np.maximum(here, there), share) >= SHARED]
        found.append(np.stack([np.full(len(others), unit, dtype=np.int64), others], axis=1))
    return np.concatenate(found)


def everywhere(proteins: Proteins, pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Which sequences are of a family that is everywhere, bool (sequences,): antibodies, G proteins, ubiquitin. The
    entries that it is in have EVERYWHERE main proteins or more; an entry's main protein is its family with most
    residues."""
    contents, family = _contents(proteins), _families(proteins, pairs)
    mains: list[set[int]] = [set() for _ in proteins.sequences]
    for content, main in zip(contents, _mains(contents, family), strict=True):
        for sequence in content:
            mains[family[sequence]].add(main)
    return np.array([len(mains[number]) >= EVERYWHERE for number in family.tolist()], dtype=bool)


def _graph(proteins: Proteins, pairs: Pairs, rule: str, criterion: Criterion) -> _Graph:
    contents, count = _contents(proteins), len(proteins.sequences)
    family = _families(proteins, pairs)
    main = _mains(contents, family)
    found: list[list[tuple[int, int, bool]]] = [[] for _ in range(count)]
    for unit, content in enumerate(contents):
        for sequence, residues in content.items():
            found[sequence].append((unit, residues, main[unit] == family[sequence]))
    holders = [_columns([row[:2] for row in rows]) for rows in found]
    mains = [_columns([row[:2] for row in rows if row[2]]) for rows in found]
    partners = _partners(pairs, alike_to_itself(proteins, criterion))
    hidden = everywhere(proteins, pairs) if rule == SHARE else np.zeros(count, dtype=bool)
    return _Graph(contents, partners, holders, mains, hidden)


def _families(proteins: Proteins, pairs: Pairs) -> npt.NDArray[np.int64]:
    """Family of each sequence, int64 (sequences,): what hangs together by chains alike of about the same length."""
    one, other = proteins.lengths[pairs.one], proteins.lengths[pairs.other]
    kept = np.minimum(one, other) >= LENGTHS * np.maximum(one, other)
    edges = np.stack([pairs.one[kept], pairs.other[kept]], axis=1).astype(np.int64)
    return components(len(proteins.sequences), edges)


def _mains(contents: Sequence[Mapping[int, int]], family: npt.NDArray[np.int64]) -> list[int]:
    """The family with most residues in each unit, the lowest number of several; -1 where there is none."""
    found = []
    for content in contents:
        residues: dict[int, int] = {}
        for sequence, count in content.items():
            residues[int(family[sequence])] = residues.get(int(family[sequence]), 0) + count
        found.append(min(residues, key=lambda number: (-residues[number], number), default=-1))
    return found


def _columns(rows: Sequence[tuple[int, int]]) -> Holders:
    array = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def alike_to_itself(proteins: Proteins, criterion: Criterion) -> npt.NDArray[np.bool_]:
    """Which sequences are long enough to be alike to another copy of themselves, bool (sequences,)."""
    return np.array([Query(text).score(text) >= criterion.score for text in proteins.sequences], dtype=bool)


def _contents(proteins: Proteins) -> list[dict[int, int]]:
    """Residues of each unit by sequence: its length times its copies."""
    number = {unit: at for at, unit in enumerate(proteins.units)}
    contents: list[dict[int, int]] = [{} for _ in proteins.units]
    for chain in proteins.chains:
        mine = contents[number[chain.unit]]
        mine[chain.sequence] = mine.get(chain.sequence, 0) + len(proteins.sequences[chain.sequence])
    return contents


def _partners(pairs: Pairs, itself: npt.NDArray[np.bool_]) -> list[npt.NDArray[np.int64]]:
    """For each sequence those alike, itself among them."""
    one = np.concatenate([pairs.one, pairs.other, np.flatnonzero(itself)]).astype(np.int64)
    other = np.concatenate([pairs.other, pairs.one, np.flatnonzero(itself)]).astype(np.int64)
    order = np.argsort(one, kind="stable")
    return np.split(other[order], np.cumsum(np.bincount(one, minlength=len(itself)))[:-1]) if len(itself) else []


def _shared(unit: int, graph: _Graph) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Residues that a unit shares with each other unit, and that each of those shares with it; float64 (units,)."""
    mine, theirs = np.zeros(len(graph.contents)), np.zeros(len(graph.contents))
    reached: dict[int, bool] = {}  # partners, and whether their holders count whatever their main protein is
    for sequence, residues in graph.contents[unit].items():
        is_main = bool((graph.mains[sequence][0] == unit).any())
        some = [np.zeros(0, dtype=np.int64)]
        for partner in graph.partners[sequence].tolist():
            freely = not (graph.everywhere[sequence] or graph.everywhere[partner])
            if freely or is_main:
                some.append((graph.holders if freely else graph.mains)[partner][0])
                reached[partner] = reached.get(partner, False) or freely
        mine[np.unique(np.concatenate(some))] += residues
    for partner, freely in reached.items():
        others, residues_there = (graph.holders if freely else graph.mains)[partner]
        theirs[others] += residues_there
    mine[unit] = theirs[unit] = 0.0
    return mine, theirs
