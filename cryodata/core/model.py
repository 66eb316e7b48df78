"""The atoms of a model as columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

ENTITY_KINDS = ("peptide", "nucleic", "saccharide", "other_polymer", "branched", "ligand", "water", "unknown")
"what the molecule of an atom is; `peptide` is a polymer of type polypeptide(L) or (D), `branched` also a lone sugar"

KINDS = ("protein", "nucleic", "ligand", "ion", "glycan", "water", "other")
"what a row of the atoms table is part of; `other`: polymers of other types, peptide residues without a C-alpha"

PARTS = ("backbone", "sidechain", "phosphate", "sugar", "base", "hydrogen", "")
"where in a residue of protein or nucleic acid an atom is; hydrogens of anything; empty for the rest"

MAX_NAME = 80
"letters of a name in the atoms table: in an array each name takes as much room as the longest"

COIL, HELIX, STRAND = 1, 2, 3
"secondary structure classes of the published labels; 0 is `not determined`"


@dataclass(frozen=True, slots=True, eq=False)
class AtomicModel:
    """One model of a structure: a row per atom, in the order of the file. Strings are NumPy unicode arrays."""

    xyz: npt.NDArray[np.float64]
    "positions, float64 (n, 3), A"

    atom: npt.NDArray[np.str_]
    "atom name, such as CA; with `element` it tells an alpha carbon from a calcium ion"

    element: npt.NDArray[np.str_]
    "chemical symbol, such as C"

    residue: npt.NDArray[np.str_]
    "residue (component) name, such as ALA"

    chain: npt.NDArray[np.str_]
    "author's chain name"

    label_seq_id: npt.NDArray[np.int32]
    "1-based place in the sequence of the entity; 0 if the file gives none"

    auth_seq_id: npt.NDArray[np.int32]
    "author's residue number; may be negative or repeat"

    insertion_code: npt.NDArray[np.str_]
    "author's insertion code, empty if none"

    altloc: npt.NDArray[np.str_]
    "alternative location, empty if none"

    entity_kind: npt.NDArray[np.str_]
    "one of ENTITY_KINDS"

    occupancy: npt.NDArray[np.float32]
    "share of the molecules in which the atom is here, 0 to 1"

    b_factor: npt.NDArray[np.float32]
    "isotropic displacement parameter, A^2"

    position: npt.NDArray[np.int32]
    "number of the sequence position in the file: residues that share one are alternatives of each other"

    secondary: npt.NDArray[np.uint8]
    "0 not determined, 1 coil, 2 helix, 3 strand"

    parent: npt.NDArray[np.str_]
    "standard residue that the residue is or was made from, such as MET for MSE; empty if it has none"

    def __post_init__(self) -> None:
        count = len(self.atom)
        if self.xyz.shape != (count, 3):
            raise ValueError(f"xyz has shape ({count}, 3), found {self.xyz.shape}")
        for column in fields(self):
            if len(getattr(self, column.name)) != count:
                raise ValueError(f"column {column.name} has {count} rows, found {len(getattr(self, column.name))}")

    def __len__(self) -> int:
        return len(self.atom)

    def take(self, rows: npt.NDArray[Any]) -> AtomicModel:
        """The model of some rows only, given as indices or as a mask."""
        return AtomicModel(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def with_secondary(self, secondary: npt.NDArray[np.uint8]) -> AtomicModel:
        """The same atoms with another secondary structure, uint8 (n,)."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return AtomicModel(**{**columns, "secondary": secondary})

    def moved(self, copy: ChainCopy) -> AtomicModel:
        """The same atoms, moved as a copy is."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return AtomicModel(**{**columns, "xyz": copy.moved(self.xyz)})


@dataclass(frozen=True, slots=True, eq=False)
class ChainCopy:
    """A rigid copy of some chains, which an assembly adds to what was deposited."""

    chains: tuple[str, ...]
    "author's names of the chains, sorted"

    rotation: npt.NDArray[np.float64]
    "float64 (3, 3), applied to positions as columns"

    shift_xyz: npt.NDArray[np.float64]
    "float64 (3,), A, added after the rotation"

    def moved(self, xyz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Positions of the copy, float64 (n, 3), A."""
        x, y, z = (xyz[:, axis, None] * self.rotation[:, axis] for axis in range(3))  # the same bits on every processor
        moved: npt.NDArray[np.float64] = x + y + z + self.shift_xyz
        return moved


@dataclass(frozen=True, slots=True)
class ChainSequence:
    """Sequence of one chain, as one-letter codes; X where a residue has none."""

    chain: str
    "author's chain name"

    kind: str
    "one of ENTITY_KINDS"

    modelled: str
    "residues that have atoms"

    full: str
    "residues of the molecule in the experiment (SEQRES, entity_poly_seq); empty if the file does not say"

    alignment: str = ""
    "runs of residues that both have (M), `full` alone (I) or `modelled` alone (D): 12I230M; empty without `full`"


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """What a model file says: its atoms, the sequences, and where its secondary structure comes from."""

    model: AtomicModel
    "all atoms of the first model"

    sequences: tuple[ChainSequence, ...]
    "a row per polymer chain, in the order of the file"

    has_secondary_records: bool
    "whether the file has at least one helix or strand record; if not, `model.secondary` is 0 throughout"

    copies: tuple[ChainCopy, ...] = ()
    "what assembly 1 of the file adds to it"

    others: tuple[AtomicModel, ...] = ()
    "atoms of the models behind the first, where they were asked for"
