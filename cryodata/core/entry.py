"""What goes into a build and what comes out of it, for one entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.core.model import AtomicModel, ChainSequence
from cryodata.core.volume import Volume

ENTRY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"characters of an entry id: it names files, so it holds nothing that a path could be made of"


def entry_id_fault(entry_id: str) -> str | None:
    """What is wrong with an id, in words; None if it may name files."""
    if not entry_id:
        return "the id is empty"
    if not ENTRY_ID.fullmatch(entry_id):
        return "an id is 1 to 80 letters, digits, '.', '_' or '-', and begins with a letter or digit"
    if ".." in entry_id:
        return "an id has no '..'"
    return None


def is_content(role: str) -> bool:
    """Does a source decide what the entry is? Its map does, and its models: model, model2, model3, ..."""
    return role == "map" or role.startswith("model")


@dataclass(frozen=True, slots=True)
class Source:
    """One input file of an entry."""

    path: str
    "where the file is: a local path"

    sha256: str = ""
    "hash of the decompressed bytes, hexadecimal; empty until the file was read"

    size: int = 0
    "number of decompressed bytes; 0 until the file was read"

    held: list[Volume] = field(default_factory=list, compare=False, repr=False)
    "the map itself, where it was read while it was hashed: for one who takes it out, and may overwrite it then"

    urls: tuple[tuple[str, ...], ...] = ()
    "where the file is fetched from: addresses that hold the same file, for each alternative in order of preference"


@dataclass(frozen=True, slots=True)
class Entry:
    """A map, its model and what the archive says of them. Making an Entry opens no file."""

    entry_id: str
    "unique without regard to case"

    emdb_id: str = ""
    "such as EMD-3488; empty if there is none"

    pdb_id: str = ""
    "free text: four characters today, twelve tomorrow"

    resolution: float | None = None
    "as reported, A; None if unknown"

    contour_level: float | None = None
    "recommended by the authors, in the units of the map; None if unknown"

    sources: Mapping[str, Source] = field(default_factory=dict)
    "input files by role: map, model (model2, model3, ... if several were fitted), half1, half2, mask"

    split: str = ""
    "split that the source list asks for; empty if it leaves the choice to the scheme"

    metadata: Mapping[str, str] = field(default_factory=dict)
    "every further column of the source list, as text"

    @property
    def unit(self) -> str:
        """What is never divided between splits: the archive id, or the entry if it has none."""
        return self.emdb_id or self.entry_id


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an entry is not in the dataset."""

    entry_id: str
    code: str
    "short and stable, such as `model_outside_map`"
    message: str
    "one sentence: what was found, what was expected"


@dataclass(frozen=True, slots=True, eq=False)
class LabelPoints:
    """All atoms of the molecule, a row each, in the order of the file; labels are written from some of them."""

    model: AtomicModel
    "the atoms, one alternative of each"

    kind: npt.NDArray[np.str_]
    "one of KINDS"

    part: npt.NDArray[np.str_]
    "one of PARTS"

    q_score: npt.NDArray[np.float32]
    "Q-score of the residue, float32 (n,); NaN where it was not measured"

    voxel_zyx: npt.NDArray[np.int32]
    "voxel by the recipe's rule, int32 (n, 3); may lie outside the grid"

    state: npt.NDArray[np.uint8]
    "0 written, 1 lost its voxel to another atom, 2 outside the grid, 255 taken by no label"

    state_ca: npt.NDArray[np.uint8]
    "the same among C-alphas alone; 255 for other atoms"

    @property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Columns of the atoms table that decide about labels, by name."""
        model = self.model
        named = {"atom": model.atom, "residue": model.residue, "parent": model.parent, "secondary": model.secondary}
        states = {"state": self.state, "state_ca": self.state_ca}
        return {**named, "kind": self.kind, "part": self.part, **states, "q_score": self.q_score}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What a builder makes of an entry."""

    density: Volume
    "float32, as the recipe normalises it, or already in the type in which it is stored"

    points: LabelPoints
    "the atoms that labels are written from"

    sequences: tuple[ChainSequence, ...]
    "sequence of each polymer chain"

    facts: Mapping[str, Any]
    "what the recipe measured on the way (frame, fit, percentile); JSON values"
