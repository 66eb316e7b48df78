"""What a split lets through: proteins of validation and test that training shows as well."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cryodata.build.kinship.edges import alike_to_itself
from cryodata.build.kinship.pairs import Pairs
from cryodata.build.kinship.units import Chain, Proteins
from cryodata.core.leakage import LEVELS, Held, Leakage, LeakedChain
from cryodata.core.splits import TEST, TRAIN, UNASSIGNED, VALIDATION
from cryodata.prepare.alignment import Criterion, score_beyond_chance


def leakage_criterion(proteins: Proteins) -> Criterion:
    """When a chain counts: alike as chains are that join entries, with a score that chance does not reach."""
    return Criterion(score=score_beyond_chance(int(proteins.lengths.sum())))


def measure(scheme: str, split_of: Mapping[str, str], proteins: Proteins, pairs: Pairs) -> Leakage:
    """What splits of entries let through.

    split_of: split of each entry id; entries without one are left out. validation and test are held against train; of
    other splits, such as folds, each against all others.
    """
    criterion = leakage_criterion(proteins)
    alike, itself = pairs.above(criterion.score), alike_to_itself(proteins, criterion)
    splits = sorted({split for split in split_of.values() if split != UNASSIGNED})
    named = set(splits) <= {TRAIN, VALIDATION, TEST}
    held = [split for split in ((VALIDATION, TEST) if named else splits) if split in splits]
    found = []
    for split in held:
        mine = {entry_id for entry_id, where in split_of.items() if where == split}
        others = {
            entry_id
            for entry_id, where in split_of.items()
            if (where == TRAIN if named else where not in (split, UNASSIGNED))
        }
        found.append(_held(split, mine, others, proteins, _Side(proteins, others, alike, itself)))
    return Leakage(scheme, sum(where == TRAIN for where in split_of.values()), tuple(found))


class _Side:
    """The chains of training, and which of them is most like a sequence."""

    def __init__(self, proteins: Proteins, entries: set[str], pairs: Pairs, itself: npt.NDArray[np.bool_]) -> None:
        self.first: dict[int, Chain] = {}
        for chain in proteins.chains:
            if chain.entry_id in entries:
                self.first.setdefault(chain.sequence, chain)
        there = np.zeros(len(proteins.sequences), dtype=bool)
        there[list(self.first)] = True
        query = np.concatenate([pairs.one, pairs.other, np.flatnonzero(itself)])
        partner = np.concatenate([pairs.other, pairs.one, np.flatnonzero(itself)])
        identity = np.concatenate([pairs.identity, pairs.identity, np.ones(int(itself.sum()))])
        query, partner, identity = query[there[partner]], partner[there[partner]], identity[there[partner]]
        order = np.lexsort((partner, -identity, query))
        numbers, first = np.unique(query[order], return_index=True)
        best = zip(identity[order][first].tolist(), partner[order][first].tolist(), strict=True)
        self._best = dict(zip(numbers.tolist(), best, strict=True))

    def nearest(self, sequence: int) -> tuple[float, Chain] | None:
        """Identity of the chain most alike, and that chain; None if none is alike."""
        found = self._best.get(sequence)
        return None if found is None else (found[0], self.first[found[1]])


def _held(split: str, mine: set[str], others: set[str], proteins: Proteins, side: _Side) -> Held:
    chains = [chain for chain in proteins.chains if chain.entry_id in mine]
    leaked = []
    for chain in chains:
        nearest = side.nearest(chain.sequence)
        if nearest is not None:
            residues = len(proteins.sequences[chain.sequence])
            there = nearest[1]
            leaked.append(LeakedChain(chain.entry_id, chain.chain, residues, nearest[0], there.entry_id, there.chain))
    leaked.sort(key=lambda item: (-item.identity, item.entry_id, item.chain))
    return Held(
        split,
        len(mine),
        len(chains),
        sum(len(proteins.sequences[chain.sequence]) for chain in chains),
        tuple(sum(item.residues for item in leaked if item.identity >= level) for level in LEVELS),
        tuple(sorted(_archive_ids(proteins, mine) & _archive_ids(proteins, others))),
        tuple(leaked),
    )


def _archive_ids(proteins: Proteins, entries: set[str]) -> set[str]:
    """EMDB and PDB ids of entries."""
    return {name for entry_id in entries for name in proteins.archive_ids.get(entry_id, ())}
