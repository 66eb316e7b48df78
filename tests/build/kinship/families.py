"""Proteins of families, entries that hold them, and which of the entries are joined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.splits.families import background, descendant, text, world
from cryodata.build.kinship.edges import unit_edges
from cryodata.build.kinship.pairs import similar_pairs
from cryodata.build.kinship.units import Proteins, criterion_of
from cryodata.core.entry import Entry
from cryodata.prepare.alignment import Criterion

Known = list[tuple[Entry, list[dict[str, str]]]]


def random(seed: int, length: int = 200) -> str:
    return text(background(np.random.Generator(np.random.PCG64(seed)), length))


def relative(sequence: str, identity: float, seed: int) -> str:
    """Of the same family."""
    codes = np.array(["ARNDCQEGHILKMFPSTWYV".index(letter) for letter in sequence])
    return text(descendant(codes, identity, np.random.Generator(np.random.PCG64(seed))))


def entry(number: int, chains: Sequence[str], pdb_id: str = "", part: str = "") -> tuple[Entry, list[dict[str, str]]]:
    told = [
        {"chain": "ABCDEFGHIJ"[at], "kind": "peptide", "modelled": chain[:20], "full": chain}
        for at, chain in enumerate(chains)
    ]
    return Entry(f"EMD-{number}{part}", emdb_id=f"EMD-{number}", pdb_id=pdb_id), told


def of_world(entries: int, seed: int = 0) -> Known:
    return [entry(1000 + number, chains) for number, chains in enumerate(world(entries, seed).entries)]


def joined(known: Known, rule: str = "join") -> list[tuple[str, str]]:
    proteins = Proteins.of(known)
    criterion = criterion_of(rule, proteins)
    found = unit_edges(proteins, similar_pairs(proteins.sequences, Criterion()), rule, criterion)
    return [(proteins.units[one], proteins.units[other]) for one, other in found.tolist()]
