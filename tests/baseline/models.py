"""Models that the tests of the baseline share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryodata.core.calphas import CAlphas

CODES = "ALA ARG ASN ASP CYS GLU GLN GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL"

NAMES = dict(zip("ARNDCEQGHILKMFPSTWYV", CODES.split(), strict=True))
"residue name by letter"


def calphas(chains: dict[str, tuple[str, np.ndarray]]) -> CAlphas:
    """Chains by name: sequence and positions, (n, 3) A."""
    letters = "".join(sequence for sequence, _ in chains.values())
    count = len(letters)
    return CAlphas(
        xyz=np.concatenate([xyz for _, xyz in chains.values()]).astype(np.float64),
        residue=np.array([NAMES[letter] for letter in letters]),
        letter=np.array(list(letters)),
        chain=np.repeat(list(chains), [len(sequence) for sequence, _ in chains.values()]),
        number=np.concatenate([np.arange(1, len(xyz) + 1) for _, xyz in chains.values()]).astype(np.int32),
        hetero=np.zeros(count, dtype=np.bool_),
    )


def write_pdb(path: Path, model: CAlphas) -> Path:
    """As a PDB file."""
    lines = [
        f"{'HETATM' if model.hetero[i] else 'ATOM  '}{i + 1:5d}  CA  {model.residue[i]:3s} {model.chain[i]}"
        f"{model.number[i]:4d}    {model.xyz[i, 0]:8.3f}{model.xyz[i, 1]:8.3f}{model.xyz[i, 2]:8.3f}"
        f"  1.00  0.00           C"
        for i in range(len(model))
    ]
    path.write_text("\n".join([*lines, "END"]) + "\n", encoding="ascii")
    return path


def helix(count: int, start: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Alpha carbons of a helix, (count, 3) A, 3.8 A from one to the next."""
    turn = np.radians(100.0) * np.arange(count)
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(count)], axis=1) + start


def sequence(count: int, seed: int = 0) -> str:
    """A random one."""
    return "".join(np.random.default_rng(seed).choice(list(NAMES), count))
