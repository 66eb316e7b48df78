"""One alternative of each residue, and what each atom is part of; small models written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryodata.core.model import AtomicModel
from cryodata.formats.structure import read_structure
from cryodata.prepare.labels import UNLABELLED, WRITTEN, place_points
from cryodata.prepare.molecule import molecule, named_atoms, named_points
from cryodata.prepare.recipes import RECIPES

PEPTIDE = [
    f"ATOM      0  {atom:<3s} {residue} A{number:4d}    {4.0 * number:8.3f}{shift:8.3f}   0.000  1.00 10.00"
    f"           {atom[0]}"
    for number, residue in enumerate(("ALA", "MSE", "GLY"), start=1)
    for shift, atom in enumerate(("N", "CA", "C", "O"))
]


def line(name: str, residue: str, number: int, element: str, alt: str = " ", occupancy: float = 1.0) -> str:
    """A HETATM record of chain B."""
    place = f"{30.0 + number:8.3f}{ord(alt) / 10 + ord(name[-1]) % 7:8.3f}   9.000"
    name = f"{name:<4s}" if len(element) == 2 else f" {name:<3s}"
    return f"HETATM    0 {name}{alt}{residue:>3s} B{number:4d}    {place}{occupancy:6.2f} 10.00          {element:>2s}"


@pytest.fixture
def model(tmp_path: Path) -> AtomicModel:
    lines = [
        *(item.replace("ATOM  ", "HETATM") if " MSE " in item else item for item in PEPTIDE),
        "TER       0      GLY A   3",
        line("CA", "CA", 1, "CA"),
        line("C1", "LIG", 2, "C", "A", 0.4),
        line("C1", "LIG", 2, "C", "B", 0.6),
        line("O1", "LIG", 2, "O"),
        line("C", "C1X", 3, "C"),
        line("C1", "NAG", 4, "C"),
        line("O5", "NAG", 4, "O"),
        line("O", "HOH", 5, "O"),
        line("H1", "HOH", 5, "H"),
        "END",
    ]
    (tmp_path / "model.pdb").write_text("\n".join(lines) + "\n", encoding="ascii")
    return read_structure(tmp_path / "model.pdb").model


def test_every_atom_has_a_kind_and_a_part(model: AtomicModel) -> None:
    points = named_points(molecule(model))

    found = list(zip(points.model.residue.tolist(), points.kind.tolist(), points.part.tolist(), strict=True))
    assert found[:12] == [(name, "protein", "backbone") for name in ("ALA", "MSE", "GLY") for _ in range(4)]
    assert found[12:] == [
        ("CA", "ion", ""),
        ("LIG", "ligand", ""),
        ("LIG", "ligand", ""),
        ("C1X", "ligand", ""),  # one atom of carbon is a piece of something, and no ion
        ("NAG", "glycan", ""),
        ("NAG", "glycan", ""),
        ("HOH", "water", ""),
        ("HOH", "water", "hydrogen"),
    ]


def test_of_a_ligand_the_alternative_of_the_highest_occupancy_stays(model: AtomicModel) -> None:
    kept, all_alternatives = molecule(model), np.count_nonzero(model.residue == "LIG")

    ligand = kept.residue == "LIG"
    assert all_alternatives == 3
    assert kept.altloc[ligand].tolist() == ["B", ""]


def test_modified_residues_have_their_parent(model: AtomicModel) -> None:
    parents = dict(zip(model.residue.tolist(), model.parent.tolist(), strict=True))

    assert parents == {"ALA": "ALA", "MSE": "MET", "GLY": "GLY", "CA": "", "LIG": "", "C1X": "", "NAG": "", "HOH": ""}


@pytest.mark.parametrize(
    ("recipe", "labels", "taken"),
    [
        pytest.param("published", "default", 9, id="three of each residue"),
        pytest.param("released", "default", 11, id="and the ion and the ligand that are named so"),
        pytest.param("refined", "default", 12 + 7, id="all but the hydrogen"),
        pytest.param("published", "ligand", 7, id="what is no polymer"),
        pytest.param("published", "backbone", 12, id="the oxygens too"),
    ],
)
def test_a_label_takes_its_atoms(model: AtomicModel, recipe: str, labels: str, taken: int) -> None:
    atoms = named_points(named_atoms(model) if recipe == "released" else molecule(model))
    schema = RECIPES[recipe].schema((), labels)

    points = place_points(atoms, schema, (40, 40, 60), np.full(3, -2.0), np.ones(3))

    assert np.count_nonzero(points.state != UNLABELLED) == taken
    assert np.count_nonzero(points.state == WRITTEN) == taken
    # C-alphas are counted whatever the labels are
    assert np.count_nonzero(points.state_ca == WRITTEN) == (4 if recipe == "released" else 3)


def test_who_wins_a_voxel_the_last_one_in_file_of_released(model: AtomicModel) -> None:
    crowded = AtomicModel(**{name: getattr(model, name) for name in model.__slots__} | {"xyz": model.xyz * 0})

    winners = {}
    for recipe in ("published", "released", "refined"):
        atoms = named_points(named_atoms(crowded) if recipe == "released" else molecule(crowded))
        points = place_points(atoms, RECIPES[recipe].schema((), "all"), (3, 3, 3), np.full(3, -1.0), np.ones(3))
        winner = int(np.flatnonzero(points.state == WRITTEN)[0])
        winners[recipe] = (str(points.model.residue[winner]), str(points.model.atom[winner]))

    assert winners == {"published": ("ALA", "CA"), "released": ("C1X", "C"), "refined": ("ALA", "CA")}
