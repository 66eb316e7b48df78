"""Sequences of an entry as the published folders have them: FASTA files, and full against modelled residues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cryodata.build.decoded import Columns

LETTERS = dict(
    zip(
        "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL MSE SEC PYL".split(),
        "ARNDCQEGHILKMFPSTWYVMUO",
        strict=True,
    )
)
"one letter of each residue; others are X (IUPAC-IUB 1983)"

WIDTH = 60
"letters a line"


def sequence_texts(row: Mapping[str, Any], points: Columns, stem: str) -> dict[str, str]:
    """The texts by file name; none for an entry whose sequences are not known.

    stem: the PDB id, or what stands for it. `STEM.fasta`: full sequence of each chain; `STEM_all_chain_combined.fasta`
    and `atomic.fasta`: full and modelled residues of all chains, one line each; `dealign_clustal_output.fasta`: these
    two under each other, `-` where a residue is not in the model. Chains have one order in all of them.
    """
    chains = [chain for chain in row["sequences"] or () if chain["kind"] == "peptide" and _full(chain)]
    if not chains:
        return {}
    full = "".join(_full(chain) for chain in chains)
    modelled = "".join(_aligned(chain, points) for chain in chains)
    records = [f">{stem}_{i}|Chain {chain['chain']}|\n{_lines(_full(chain))}" for i, chain in enumerate(chains, 1)]
    return {
        f"{stem}.fasta": "".join(records),
        f"{stem}_all_chain_combined.fasta": f"{full}\n",
        "atomic.fasta": modelled.replace("-", "") + "\n",
        "dealign_clustal_output.fasta": f">original\n{_lines(full)}>atom\n{_lines(modelled)}",
    }


def _full(chain: Mapping[str, str]) -> str:
    return chain["full"] or chain["modelled"]


def _aligned(chain: Mapping[str, str], points: Columns) -> str:
    """The modelled residues of a chain under its full sequence.

    By the numbers that the file gives its residues; without them, which is so where the full sequence is not known
    either, the two are the same.
    """
    full = _full(chain)
    mine = (points["chain"] == chain["chain"]) & (points["atom"] == "CA") & (points["label_seq_id"] > 0)
    if not mine.any():
        return full if len(chain["modelled"]) == len(full) else "-" * len(full)
    line = np.full(len(full), "-")
    for number, residue in zip(points["label_seq_id"][mine].tolist(), points["residue"][mine].tolist(), strict=True):
        if number <= len(full):
            line[number - 1] = LETTERS.get(residue, full[number - 1])
    return "".join(line.tolist())


def _lines(letters: str) -> str:
    return "".join(f"{letters[i : i + WIDTH]}\n" for i in range(0, len(letters), WIDTH))
