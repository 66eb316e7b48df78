"""Alignments of protein sequences (biotite): which residue of one is which of the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
"the twenty; any other letter is aligned as X"

GAP_COST = (-11, -1)
"to open and to extend a gap, the defaults of BLAST with BLOSUM62"


def correspondence(one: str, other: str) -> npt.NDArray[np.int64]:
    """Which residue of one sequence is which of the other, int64 (n, 2), by the best global alignment.

    Gaps at the ends are free: a model may lack the ends of a chain. Empty if either sequence is.
    """
    import biotite.sequence as sequences
    from biotite.sequence.align import SubstitutionMatrix, align_optimal

    if not one or not other:
        return np.zeros((0, 2), dtype=np.int64)
    if one == other:
        return np.stack([np.arange(len(one))] * 2, axis=1)
    texts = ["".join(letter if letter in LETTERS else "X" for letter in text) for text in (one, other)]
    matrix = SubstitutionMatrix.std_protein_matrix()
    pair = [sequences.ProteinSequence(text) for text in texts]
    found = align_optimal(*pair, matrix, gap_penalty=GAP_COST, terminal_penalty=False, max_number=1)[0]
    trace = np.asarray(found.trace, dtype=np.int64)
    return trace[(trace >= 0).all(axis=1)]


def identity_of_longer(one: str, other: str) -> float:
    """Identical residues of the best alignment as a share of the longer sequence, 0 to 1."""
    pairs = correspondence(one, other)
    same = sum(one[i] == other[j] for i, j in pairs.tolist())
    return same / max(len(one), len(other), 1)
