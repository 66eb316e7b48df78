"""Which residues are protein, and which of their alternatives count."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryodata.core.model import AtomicModel
from cryodata.formats.structure import read_structure
from cryodata.prepare.residues import is_backbone, protein_residues

LINE = (
    "ATOM  {serial:5d} {name:^4s}{alt:1s}{residue:3s} A{number:4d}{code:1s}   "
    "{x:8.3f}{y:8.3f}{z:8.3f}{occ:6.2f} 20.00          {element:>2s}"
)


def model_of(tmp_path: Path, atoms: list[tuple[str, str, str, int, str, float]]) -> AtomicModel:
    """A PDB file of rows (name, altloc, residue, number, insertion code, occupancy), read."""
    lines = [
        LINE.format(serial=i, name=name, alt=alt or " ", residue=residue, number=number, code=code or " ",
                    x=3.0 * i, y=0.0, z=0.0, occ=occ, element=name[0])
        for i, (name, alt, residue, number, code, occ) in enumerate(atoms, 1)
    ]  # fmt: skip
    path = tmp_path / "model.pdb"
    path.write_text("\n".join([*lines, "TER", "END"]) + "\n", encoding="ascii")
    return read_structure(path).model


def backbone(
    residue: str, number: int, alt: str = "", occ: float = 1.0, code: str = ""
) -> list[tuple[str, str, str, int, str, float]]:
    return [(name, alt, residue, number, code, occ) for name in ("N", "CA", "C")]


def names(model: AtomicModel) -> list[str]:
    kept = protein_residues(model)
    return kept.residue[is_backbone(kept, ("CA",))].tolist()


def test_of_two_residues_at_one_position_the_more_occupied_is_kept(tmp_path: Path) -> None:
    atoms = [*backbone("ALA", 1), *backbone("SER", 2, "A", 0.4), *backbone("THR", 2, "B", 0.6), *backbone("GLY", 3)]

    assert names(model_of(tmp_path, atoms)) == ["ALA", "THR", "GLY"]


def test_a_tie_goes_to_the_first_in_the_file(tmp_path: Path) -> None:
    atoms = [*backbone("ALA", 1), *backbone("SER", 2, "A", 0.5), *backbone("THR", 2, "B", 0.5), *backbone("GLY", 3)]

    assert names(model_of(tmp_path, atoms)) == ["ALA", "SER", "GLY"]


def test_one_alternative_location_of_a_residue_is_kept_with_what_has_none(tmp_path: Path) -> None:
    atoms = [
        *backbone("ALA", 1),
        ("N", "", "SER", 2, "", 1.0),
        ("CA", "A", "SER", 2, "", 0.3), ("CA", "B", "SER", 2, "", 0.7),
        ("C", "A", "SER", 2, "", 0.3), ("C", "B", "SER", 2, "", 0.7),
        *backbone("GLY", 3),
    ]  # fmt: skip

    kept = protein_residues(model_of(tmp_path, atoms))

    assert kept.altloc[kept.auth_seq_id == 2].tolist() == ["", "B", "B"]


def test_insertion_codes_are_positions_of_their_own(tmp_path: Path) -> None:
    atoms = [*backbone("ALA", 60), *backbone("SER", 60, code="A"), *backbone("THR", 60, code="B")]

    assert names(model_of(tmp_path, atoms)) == ["ALA", "SER", "THR"]


def test_a_residue_without_an_alpha_carbon_is_none(tmp_path: Path) -> None:
    atoms = [*backbone("ALA", 1), ("N", "", "SER", 2, "", 1.0), ("C", "", "SER", 2, "", 1.0), *backbone("GLY", 3)]

    assert names(model_of(tmp_path, atoms)) == ["ALA", "GLY"]


def test_a_calcium_ion_is_no_alpha_carbon(tmp_path: Path) -> None:
    path = tmp_path / "ion.pdb"
    protein = [
        LINE.format(serial=i, name=name, alt=" ", residue="ALA", number=1 + i // 3, code=" ", x=2.0 * i, y=0.0, z=0.0,
                    occ=1.0, element=name[0])
        for i, name in enumerate(["N", "CA", "C"] * 4)
    ]  # fmt: skip
    ion = "HETATM   99 CA    CA A 200       5.000   5.000   5.000  1.00 20.00          CA"
    path.write_text("\n".join([*protein, "TER", ion, "END"]) + "\n", encoding="ascii")

    model = read_structure(path).model

    assert np.count_nonzero(model.atom == "CA") == 5
    assert len(names(model)) == 4


def test_a_model_without_protein_has_no_residues(tmp_path: Path) -> None:
    path = tmp_path / "water.pdb"
    path.write_text("HETATM    1  O   HOH A   1       1.000   1.000   1.000  1.00 20.00           O\nEND\n")

    assert len(protein_residues(read_structure(path).model)) == 0
