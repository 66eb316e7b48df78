"""The atoms table of an entry as a model that can be written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cryodata.build.decoded import Columns
from cryodata.core.model import AtomicModel

ENTITIES = {
    "protein": "peptide",
    "nucleic": "nucleic",
    "ligand": "ligand",
    "ion": "ligand",
    "glycan": "branched",
    "water": "water",
}
"kind of entity by kind of molecule; others are `unknown`"


def model_of(points: Columns) -> AtomicModel:
    """The atoms, as far as the table tells of them: residues without a number in a sequence are counted."""
    count = len(points["atom"])
    text = {name: points[name].astype(np.str_) for name in ("atom", "element", "residue", "chain", "kind", "parent")}
    number, blank = points["label_seq_id"].astype(np.int32), np.full(count, "")
    position = _residues(text, number)
    return AtomicModel(
        xyz=points["xyz"],
        atom=text["atom"],
        element=np.where(text["element"] == "", "X", text["element"]),
        residue=np.where(text["residue"] == "", "UNK", text["residue"]),
        chain=np.where(text["chain"] == "", "_", text["chain"]),
        label_seq_id=number,
        auth_seq_id=np.where(number > 0, number, position + 1).astype(np.int32),
        insertion_code=blank,
        altloc=blank,
        entity_kind=np.array([ENTITIES.get(kind, "unknown") for kind in text["kind"].tolist()], dtype=np.str_),
        occupancy=np.nan_to_num(points["occupancy"], nan=1.0),
        b_factor=np.nan_to_num(points["b_factor"]),
        position=position,
        secondary=points["secondary"],
        parent=text["parent"],
    )


def _residues(text: Columns, number: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Number of the residue of each atom, from 0: a new one begins with another chain, number or name, and where the
    name of an atom comes for the second time."""
    position, seen, before, now = np.zeros(len(number), dtype=np.int32), set[str](), None, -1
    keys = zip(text["chain"].tolist(), number.tolist(), text["residue"].tolist(), strict=True)
    for row, (key, atom) in enumerate(zip(keys, text["atom"].tolist(), strict=True)):
        if key != before or atom in seen:
            before, now = key, now + 1
            seen.clear()
        seen.add(atom)
        position[row] = now
    return position
