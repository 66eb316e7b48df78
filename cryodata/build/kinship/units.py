"""The proteins of each archive entry, and which entries must not stand in different splits."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.components import Edges
from cryodata.core.entry import Entry
from cryodata.core.model import ChainSequence
from cryodata.prepare.alignment import Criterion, clean, score_beyond_chance
from cryodata.prepare.sequences import compared

JOIN, SHARE, AUTO = "join", "share", "auto"
"what joins entries: any pair of chains; chains that are a part of the smaller entry worth speaking of; by their number"

PDB_IDS = re.compile(r"\b(?=[a-z_]*[0-9])\w{4,}\b")
"words with a digit in free text: `none` and `unknown` are no ids that entries share"

MANY = 1000
"entries from which on `auto` is `share`"


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
            pdb_ids = PDB_IDS.findall(entry.pdb_id.lower())
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
