"""Full and modelled sequence of a chain, residue by residue; what of a chain is compared with other chains.

An alignment is written in runs: `12I230M3D` are 12 residues of the molecule without atoms, 230 with atoms, and 3 of the
model that the full sequence does not have.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from cryodata.core.model import ChainSequence

_RUNS = re.compile(r"(?:[1-9][0-9]*[MID])*")
_RUN = re.compile(r"([0-9]+)([MID])")


def runs(sequence: ChainSequence) -> list[tuple[int, str]]:
    """Runs of the alignment: how many residues, and M (both), I (full alone) or D (model alone).

    ValueError if they are none of these two sequences. Without a full sequence there are none.
    """
    if not _RUNS.fullmatch(sequence.alignment):
        raise ValueError(f"chain {sequence.chain}: '{sequence.alignment[:40]}' is no alignment; expected such as 3I40M")
    found = [(int(count), kind) for count, kind in _RUN.findall(sequence.alignment)]
    full = sum(count for count, kind in found if kind != "D")
    modelled = sum(count for count, kind in found if kind != "I")
    expected = (len(sequence.full), len(sequence.modelled) if sequence.full else 0)
    if (full, modelled) != expected:
        raise ValueError(
            f"chain {sequence.chain}: the alignment has {full} and {modelled} residues; the sequences {expected[0]} "
            f"and {expected[1]}"
        )
    return found


def places(sequence: ChainSequence) -> npt.NDArray[np.int64]:
    """Index in the full sequence of each modelled residue, int64 (modelled,); -1 for one that it does not have."""
    parts, begin = [], 0
    for count, kind in runs(sequence):
        if kind != "I":
            parts.append(np.arange(begin, begin + count) if kind == "M" else np.full(count, -1))
        begin += count if kind != "D" else 0
    if not sequence.full:
        return np.full(len(sequence.modelled), -1, dtype=np.int64)
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts]).astype(np.int64)


def unmodelled(sequence: ChainSequence) -> list[tuple[int, int]]:
    """Stretches of the full sequence without atoms: first index, and the one behind the last."""
    found, begin = [], 0
    for count, kind in runs(sequence):
        if kind == "I":
            found.append((begin, begin + count))
        begin += count if kind != "D" else 0
    return found


def aligned_rows(sequence: ChainSequence) -> tuple[str, str]:
    """Full and modelled sequence one above the other, `-` where a residue has no other; the model twice without a full
    sequence."""
    if not sequence.full:
        return sequence.modelled, sequence.modelled
    rows, at, begin = [[], []], 0, 0  # type: tuple[list[list[str]], int, int]
    for count, kind in runs(sequence):
        in_full, in_model = kind != "D", kind != "I"
        rows[0].append(sequence.full[at : at + count] if in_full else "-" * count)
        rows[1].append(sequence.modelled[begin : begin + count] if in_model else "-" * count)
        at, begin = at + count * in_full, begin + count * in_model
    return "".join(rows[0]), "".join(rows[1])


def compared(sequence: ChainSequence) -> str:
    """What of a chain is held against other chains: all residues of a protein, those of the model where nothing else is
    known; nothing of other polymers."""
    return (sequence.full or sequence.modelled) if sequence.kind == "peptide" else ""
