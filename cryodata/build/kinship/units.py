"""The proteins of each archive entry, and which entries must not stand in different splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.build.kinship.pairs import Pairs
from cryodata.core.components import Edges
from cryodata.core.entry import Entry
from cryodata.core.model import ChainSequence
from cryodata.prepare.alignment import Criterion, Query, clean, score_beyond_chance
from cryodata.prepare.sequences import compared

JOIN, SHARE, AUTO = "join", "share", "auto"
"what joins entries: any pair of chains; chains that are a part of the smaller entry worth speaking of; by their number"

MANY = 1000
"entries from which on `auto` is `share`"

SHARED = 0.10
"of the residues of the smaller entry"


Holders = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
"units, and residues of each"


@dataclass(frozen=True, slots=True)
class Chain:
    """A protein chain of an entry."""

    entry_id: str
    unit: str
    chain: str
    sequence: int
    "number in Proteins.sequences"


@dataclass(frozen=True, slots=True, eq=False)
class Proteins:
    """All protein chains of a dataset, and the archive entries that they are in."""

    units: tuple[str, ...]
    "sorted"

    chains: tuple[Chain, ...]
    "in order of entries and of their files"

    sequences: tuple[str, ...]
    "all different, sorted; of the letters that are compared"

    same_archive: Edges
    "units that share a PDB entry, by their numbers"

    archive_ids: Mapping[str, tuple[str, ...]]
    "EMDB and PDB ids of each entry; its own id if it has no EMDB id"

    @classmethod
    def of(cls, entries: Iterable[tuple[Entry, Sequence[Mapping[str, Any]]]]) -> Proteins:
        """From entries with the sequences of their chains, as the entries table has them."""
        rows, by_pdb, units = list[tuple[str, str, str, str]](), defaultdict[str, set[str]](set), set[str]()
        archive_ids = {}
        for entry, sequences in entries:
            units.add(entry.unit)
            pdb_ids = re.findall(r"\w+", entry.pdb_id.lower())
            archive_ids[entry.entry_id] = (entry.unit, *pdb_ids)
            for pdb_id in pdb_ids:
                by_pdb[pdb_id].add(entry.unit)
            for item in sequences:
                text = compared(ChainSequence(item["chain"], item["kind"], item["modelled"], item["full"]))
                if text:
                    rows.append((entry.entry_id, entry.unit, item["chain"], clean(text)))
        names = sorted(units)
        number = {unit: at for at, unit in enumerate(names)}
        found = sorted({row[3] for row in rows})
        known = {sequence: at for at, sequence in enumerate(found)}
        chains = tuple(Chain(entry_id, unit, chain, known[text]) for entry_id, unit, chain, text in rows)
        pairs = [(number[min(some)], number[unit]) for some in by_pdb.values() for unit in some - {min(some)}]
        edges = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
        return cls(tuple(names), chains, tuple(found), edges, archive_ids)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Residues of each sequence, int64."""
        return np.array([len(sequence) for sequence in self.sequences], dtype=np.int64)


def rule_of(wanted: str, entries: int) -> str:
    """`join` or `share`."""
    if wanted != AUTO:
        return wanted
    return JOIN if entries < MANY else SHARE


def criterion_of(rule: str, proteins: Proteins) -> Criterion:
    """When two chains are alike. Under `share` the score must be beyond chance for so many residues: among a thousand
    million unrelated pairs, ten thousand have a score of 60 or more over half of a chain."""
    return Criterion(score=score_beyond_chance(int(proteins.lengths.sum()))) if rule == SHARE else Criterion()


def unit_edges(proteins: Proteins, pairs: Pairs, rule: str, criterion: Criterion) -> Edges:
    """Units that are joined: by an archive id, or by their chains under a rule; by number, int64 (n, 2)."""
    contents = _contents(proteins)
    partners = _partners(pairs.above(criterion.score), alike_to_itself(proteins, criterion))
    holders = _holders(len(proteins.sequences), contents)
    total = np.array([sum(content.values()) for content in contents], dtype=np.float64)
    found = [proteins.same_archive]
    for unit, content in enumerate(contents):
        mine, theirs = _shared(unit, content, len(contents), partners, holders)
        others = np.flatnonzero(mine)
        others = others[others > unit]
        if rule == SHARE and len(others):
            here, there = mine[others] / total[unit], theirs[others] / total[others]
            share = np.where(total[unit] < total[others], here, there)
            same = total[unit] == total[others]  # of two that are as large, the one that shares more
            others = others[np.where(same, np.maximum(here, there), share) >= SHARED]
        found.append(np.stack([np.full(len(others), unit, dtype=np.int64), others], axis=1))
    return np.concatenate(found)


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


def _holders(count: int, contents: Sequence[Mapping[int, int]]) -> list[Holders]:
    """For each sequence the units that have it, and how many residues of each it makes."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for unit, content in enumerate(contents):
        for sequence, residues in content.items():
            found[sequence].append((unit, residues))
    return [(np.array([unit for unit, _ in some]), np.array([residues for _, residues in some])) for some in found]


def _shared(
    unit: int,
    content: Mapping[int, int],
    count: int,
    partners: Sequence[npt.NDArray[np.int64]],
    holders: Sequence[Holders],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Residues that a unit shares with each other unit, and that each of those shares with it; float64 (units,)."""
    mine, theirs, nothing = np.zeros(count), np.zeros(count), np.zeros(0, dtype=np.int64)
    for sequence, residues in content.items():
        alike = [holders[partner][0] for partner in partners[sequence].tolist()]
        mine[np.unique(np.concatenate([nothing, *alike]))] += residues
    for sequence in np.unique(np.concatenate([nothing, *(partners[sequence] for sequence in content)])).tolist():
        others, residues_there = holders[sequence]
        theirs[others] += residues_there
    mine[unit] = theirs[unit] = 0.0
    return mine, theirs
