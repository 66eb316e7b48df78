"""Sequences of an entry as the published folders have them: FASTA files, and full against modelled residues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

WIDTH = 60
"letters a line"

RUNS = re.compile(r"([0-9]{1,9})([MID])")
"of an alignment: residues that both have (M), the full sequence alone (I), the modelled one alone (D)"


def sequence_texts(row: Mapping[str, Any], stem: str) -> dict[str, str]:
    """The texts by file name; none for an entry without a protein sequence.

    stem: the PDB id, or what stands for it. `STEM.fasta`: full sequence of each chain, modelled residues where no other
    is known; `STEM_all_chain_combined.fasta` and `atomic.fasta`: full and modelled residues of all chains, one line
    each; `dealign_clustal_output.fasta`: these two under each other, `-` where one has no residue, unless it is not
    known which residue is which. Chains have one order in all of them.
    """
    chains = [chain for chain in row["sequences"] or () if chain["kind"] == "peptide" and chain["modelled"]]
    if not chains:
        return {}
    full = [chain["full"] or chain["modelled"] for chain in chains]
    named = zip(chains, full, strict=True)
    records = [
        f">{stem}_{i}|Chain {' '.join(chain['chain'].split())}|\n{_lines(letters)}"
        for i, (chain, letters) in enumerate(named, 1)
    ]
    texts = {
        f"{stem}.fasta": "".join(records),
        f"{stem}_all_chain_combined.fasta": "".join(full) + "\n",
        "atomic.fasta": "".join(chain["modelled"] for chain in chains) + "\n",
    }
    pairs = [pair for chain in chains if (pair := aligned(chain)) is not None]
    if len(pairs) == len(chains):
        original, atoms = ("".join(side) for side in zip(*pairs, strict=True))
        texts["dealign_clustal_output.fasta"] = f">original\n{_lines(original)}>atom\n{_lines(atoms)}"
    return texts


def aligned(chain: Mapping[str, str]) -> tuple[str, str] | None:
    """Full and modelled residues of a chain in lines of one length; None if it is not known which is which."""
    full, modelled = chain["full"] or chain["modelled"], chain["modelled"]
    if len(full) == len(modelled):
        return full, modelled
    runs = [(int(count), kind) for count, kind in RUNS.findall(chain.get("alignment") or "")]
    counts = {kind: sum(count for count, of in runs if of == kind) for kind in "MID"}
    if counts["M"] + counts["I"] != len(full) or counts["M"] + counts["D"] != len(modelled):
        return None
    lines, places = ["", ""], [0, 0]
    for count, kind in runs:
        for side, letters in enumerate((full, modelled)):
            if kind == "M" or kind == "ID"[side]:
                lines[side] += letters[places[side] : places[side] + count]
                places[side] += count
            else:
                lines[side] += "-" * count
    return lines[0], lines[1]


def _lines(letters: str) -> str:
    return "".join(f"{letters[i : i + WIDTH]}\n" for i in range(0, len(letters), WIDTH))
