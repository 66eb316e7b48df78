"""Tracing cases made from real models: C-alpha states with noise that is known, and what is right of an answer.

A noisy case drops each C-alpha with p 0.08, shifts the kept ones by N(0, 0.35 A) per axis, adds false states (0.25 of
the number of residues, each a random true C-alpha + N(0, 4 A) per axis, redrawn until over 2 A from all states), and
gives each state the distribution of a residue-type network: 0.4 Dirichlet(0.5 x 20) + 0.6 on a type that is right with
p 0.65, else uniform of the 20; on false states it is random. A perfect case has the true C-alphas, always the right
type. The order of the states is random. Noise is independent from state to state, which that of a real network is not.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
LETTERS = "ARNDCQEGHILKMFPSTWYV"
"one-letter codes in the order of the amino classes 1 to 20"

KJR, HB0, WCM = "golden/EMD-22898/7kjr.pdb", "golden/EMD-34610/8hb0.pdb", "entries/EMD-1883/1wcm_fitted.pdb.gz"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One chain as modelled."""

    sequence: str
    "one letter a residue"

    xyz: Floats
    "C-alpha of each residue, (L, 3), A"


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Input of a tracer, and the truth."""

    xyz: Floats
    "states, (S, 3), A"

    amino: Floats
    "residue-type distribution of each state, (S, 20)"

    chains: tuple[Chain, ...]
    "the truth"

    @property
    def sequences(self) -> list[str]:
        """Sequences of the chains."""
        return [chain.sequence for chain in self.chains]

    @property
    def residues(self) -> int:
        """Number of residues of all chains."""
        return sum(len(chain.sequence) for chain in self.chains)


@dataclass(frozen=True, slots=True)
class Score:
    """How right a trace is."""

    entity: float
    "share of the residues in register; whole chains are exchangeable between chains of similar sequence"

    lax: float
    "the same where any copy with an identical sequence counts, residue by residue"

    placed: float
    "share of the residues that have a state"

    precision: float
    "share of the placed residues that are in register by the entity rule"


def read_chains(path: str | Path, root: Path = SHARED_DATA) -> list[Chain]:
    """Protein chains of a model file, C-alphas in the order of the file, without residues of none of the 20 types."""
    from cryodata.formats.structure import read_structure
    from cryodata.prepare.residues import is_backbone, protein_residues

    model = protein_residues(read_structure(root / path).model)
    model = model.take(is_backbone(model, ("CA",)))
    letters = np.array([_letter(name) for name in model.residue])
    chains = []
    for name in dict.fromkeys(model.chain):
        rows = np.flatnonzero((model.chain == name) & (letters != "X"))
        if len(rows):
            chains.append(Chain("".join(letters[rows]), model.xyz[rows]))
    return chains


def _letter(name: str) -> str:
    import gemmi

    letter = gemmi.find_tabulated_residue(name).one_letter_code.upper().strip()
    return letter if letter and letter in LETTERS else "X"


def first_residues(chains: Sequence[Chain], count: int) -> list[Chain]:
    """The first residues of a list of chains; the last chain is cut."""
    kept: list[Chain] = []
    for chain in chains:
        left = count - sum(len(item.sequence) for item in kept)
        if left > 0:
            kept.append(Chain(chain.sequence[:left], chain.xyz[:left]))
    return kept


def copies(chains: Sequence[Chain], count: int) -> list[Chain]:
    """Copies of a model on a cubic lattice of spacing extent + 12 A, copy after copy, up to a number of residues."""
    xyz = np.concatenate([chain.xyz for chain in chains])
    spacing = float(np.ptp(xyz, axis=0).max()) + 12.0
    number = -(-count // len(xyz))
    side = next(side for side in range(1, number + 1) if side**3 >= number)
    placed = []
    for copy in range(number):
        shift = spacing * np.array([copy % side, copy // side % side, copy // side**2])
        placed += [Chain(chain.sequence, chain.xyz + shift) for chain in chains]
    return first_residues(placed, count)


def chains_of(name: str) -> list[Chain]:
    """Chains of a case by its name."""
    if name == "448":
        return read_chains(KJR)
    if name == "1000":
        return copies(read_chains(HB0), 1000)
    if name == "2500 different":
        return first_residues(read_chains(WCM), 2500)
    if name == "2500 copies":
        return copies(read_chains(HB0), 2500)
    raise ValueError(f"no case '{name}'; there are 448, 1000, 2500 different, 2500 copies")


def make_case(chains: Sequence[Chain], seed: int, noisy: bool = True, error: float = 0.35) -> Case:
    """A case of some chains; the same seed gives the same case. error: A per axis of the states of a noisy case."""
    rng = np.random.default_rng(seed)
    true = np.concatenate([chain.xyz for chain in chains])
    types = np.array([LETTERS.index(letter) for chain in chains for letter in chain.sequence])
    if noisy:
        kept = rng.random(len(true)) >= 0.08
        states = true[kept] + rng.normal(0, error, (int(kept.sum()), 3))
        types = np.where(rng.random(len(states)) < 0.65, types[kept], rng.integers(0, 20, len(states)))
        states = _with_false(rng, true, states, round(0.25 * len(true)))
        types = np.concatenate([types, rng.integers(0, 20, len(states) - len(types))])
    else:
        states = true.copy()
    amino = 0.4 * rng.dirichlet(np.full(20, 0.5), len(states))
    amino[np.arange(len(states)), types] += 0.6
    order = rng.permutation(len(states))
    return Case(states[order], amino[order], tuple(chains))


def _with_false(rng: np.random.Generator, true: Floats, states: Floats, count: int) -> Floats:
    """States and false ones behind them."""
    filled = np.concatenate([states, np.full((count, 3), np.inf)])
    for row in range(len(states), len(filled)):
        while True:
            proposed = true[rng.integers(len(true))] + rng.normal(0, 4, 3)
            if ((filled[:row] - proposed) ** 2).sum(axis=1).min() > 4.0:
                break
        filled[row] = proposed
    return filled


def correspondence(query: str, target: str) -> Ints:
    """Residue of the target for each residue of the query, -1 if none: blocks of at least 4 that difflib finds.

    All -1 where the blocks cover less than half of the shorter sequence.
    """
    found = np.full(len(query), -1)
    if query == target:
        return np.arange(len(query))
    for block in difflib.SequenceMatcher(None, query, target, autojunk=False).get_matching_blocks():
        if block.size >= 4:
            found[block.a : block.a + block.size] = np.arange(block.b, block.b + block.size)
    return found if (found >= 0).sum() >= min(len(query), len(target)) / 2 else np.full(len(query), -1)


def score(case: Case, answer: Sequence[npt.NDArray[Any]], radius: float = 3.0) -> Score:
    """Judge the states given to each residue of each chain."""
    from scipy.optimize import linear_sum_assignment

    right = np.zeros((len(case.chains), len(case.chains)))
    lax = 0
    for k, (chain, states) in enumerate(zip(case.chains, answer, strict=True)):
        if len(states) != len(chain.sequence):
            raise ValueError(f"chain {k}: {len(chain.sequence)} residues, found {len(states)} states")
        anywhere = np.zeros(len(states), dtype=np.bool_)
        for m, other in enumerate(case.chains):
            place = correspondence(chain.sequence, other.sequence)
            rows = np.flatnonzero((place >= 0) & (states >= 0))
            near = np.linalg.norm(case.xyz[states[rows]] - other.xyz[place[rows]], axis=1) <= radius
            right[k, m] = near.sum()
            if other.sequence == chain.sequence:
                anywhere[rows[near]] = True
        lax += int(anywhere.sum())
    total = right[linear_sum_assignment(-right)].sum()
    placed = sum(int((states >= 0).sum()) for states in answer)
    return Score(total / case.residues, lax / case.residues, placed / case.residues, total / max(placed, 1))
