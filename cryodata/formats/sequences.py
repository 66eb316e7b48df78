"""Sequences of the chains of a model, and which residues of the molecule have atoms (gemmi)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import gemmi

from cryodata.core.model import ChainSequence


def sequences_of(structure: gemmi.Structure, kinds: Mapping[str, str]) -> Iterable[ChainSequence]:
    """A row per polymer chain of the first model. kinds: of ENTITY_KINDS, by subchain."""
    parents = {item.res_id.name: item.parent_comp_id for item in structure.mod_residues}
    for chain in structure[0]:
        polymer = chain.get_polymer()
        if not len(polymer):
            continue
        entity = structure.get_entity_of(polymer)
        full = [gemmi.Entity.first_mon(item) for item in entity.full_sequence] if entity is not None else []
        modelled = [residue.name for residue in polymer.first_conformer()]
        yield ChainSequence(
            chain=chain.name,
            kind=kinds.get(polymer.subchain_id(), "unknown"),
            modelled=one_letter(modelled, parents),
            full=one_letter(full, parents),
            alignment=_alignment(full, polymer, entity.polymer_type) if full else "",
        )


def one_letter(names: Iterable[str], parents: Mapping[str, str] | None = None) -> str:
    """One letter a residue; a modified one by its parent in gemmi's table (lower case there), else by `parents`, which
    the file names; X if it has none."""
    return "".join(_letter(name) or _letter((parents or {}).get(name, "")) or "X" for name in names)


def _letter(name: str) -> str:
    return str(gemmi.find_tabulated_residue(name).one_letter_code).upper().strip() if name else ""


def _alignment(full: list[str], polymer: gemmi.ResidueSpan, kind: gemmi.PolymerType) -> str:
    """Which residue is which: as the file numbers them, else by gemmi's aligner, to which a break of the chain is a
    good place for a gap."""
    numbers = [residue.label_seq or 0 for residue in polymer.first_conformer()]
    if numbers[0] > 0 and numbers[-1] <= len(full) and all(one < other for one, other in pairwise(numbers)):
        return _of_numbers(numbers, len(full))
    return str(gemmi.align_sequence_to_polymer(full, polymer, kind).cigar_str())


def _of_numbers(numbers: Sequence[int], count: int) -> str:
    """Runs of residues of the molecule that have atoms (M) and have none (I); numbers count from 1."""
    there, parts, begin = set(numbers), [], 0
    for place in range(1, count + 1):
        if place == count or ((place + 1) in there) != ((begin + 1) in there):
            parts.append(f"{place - begin}{'M' if begin + 1 in there else 'I'}")
            begin = place
    return "".join(parts)
