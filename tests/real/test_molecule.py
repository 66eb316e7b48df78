"""All of the molecule in the 34 models: what each atom is part of, and which label takes it.

The numbers were counted in the files' own records by `tests/reference/molecules.py`, which knows no more of a model
than what is written in it: `_entity.type` and `_entity_poly.type` of mmCIF, ATOM, HETATM and TER of PDB files.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cryodata.core.entry import LabelPoints
from cryodata.formats.structure import read_structure
from cryodata.prepare.labels import OUTSIDE, UNLABELLED, WRITTEN, class_values, place_points
from cryodata.prepare.molecule import molecule, named_atoms, named_points
from cryodata.prepare.recipes import RECIPES
from tests.reference import scripts
from tests.reference.molecules import counts_of

CLASSES = (
    "backbone", "side chain", "phosphate", "sugar", "base", "ligand", "ion", "glycan", "water", "other", "hydrogen",
)  # fmt: skip

EXPECTED = {
    "1a4w.cif": (1132, 1106, 0, 0, 0, 42, 2, 0, 157, 0, 0),
    "1a8o.pdb": (281, 275, 0, 0, 0, 0, 0, 0, 88, 0, 0),
    "1cbn.cif": (185, 142, 0, 0, 0, 3, 0, 0, 0, 0, 314),
    "1d66.pdb": (456, 478, 108, 304, 361, 0, 4, 0, 51, 0, 0),
    "1en2.cif": (344, 283, 0, 0, 0, 0, 0, 56, 76, 0, 0),
    "1en2.pdb": (344, 283, 0, 0, 0, 0, 0, 56, 76, 0, 0),
    "1fdo.cif": (2861, 2714, 0, 0, 0, 102, 1, 0, 64, 0, 0),
    "1gid.cif": (0, 0, 0, 1422, 1486, 0, 0, 0, 0, 0, 1704),  # a model without phosphates
    "1gya.cif.gz": (421, 456, 0, 0, 0, 0, 0, 105, 0, 0, 994),
    "1hh0_4char.cif.gz": (185, 155, 0, 0, 0, 0, 0, 0, 0, 0, 351),
    "1htq.pdb": (1909, 1869, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "1igy.cif.gz": (5180, 4852, 0, 0, 0, 0, 0, 220, 0, 0, 2498),
    "1j59.cif": (1584, 1544, 174, 496, 592, 42, 0, 0, 286, 0, 0),
    "1kx5.pdb.gz": (3904, 3682, 876, 2352, 2793, 0, 18, 0, 3130, 0, 0),
    "1lcd.cif": (205, 194, 60, 176, 209, 0, 1, 0, 49, 0, 243),
    "1lzh.pdb.gz": (258, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "1m4x.cif.gz": (4959, 4734, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "1orc.pdb": (256, 240, 0, 0, 0, 0, 0, 0, 57, 0, 0),
    "1pfe.cif.gz": (32, 20, 21, 64, 76, 24, 1, 0, 80, 0, 0),
    "2src.cif": (1801, 1814, 0, 0, 0, 31, 0, 0, 269, 0, 0),
    "3dl7_v32.pdb": (4276, 4081, 0, 0, 0, 32, 1, 14, 439, 1, 0),
    "3j6r.pdb.gz": (11466, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5748),
    "3jqh.cif": (92, 93, 0, 0, 0, 0, 0, 0, 21, 0, 0),
    "3p49.pdb": (368, 381, 507, 1521, 1596, 10, 13, 0, 20, 0, 0),  # the ligand is glycine: no protein
    "4gxy.cif": (0, 0, 485, 1459, 1562, 176, 2, 0, 1, 0, 0),
    "4i39.cif": (501, 475, 0, 0, 0, 11, 0, 0, 0, 0, 0),
    "4oz7.pdb": (80, 74, 0, 0, 0, 0, 2, 0, 25, 0, 0),
    "4upy.pdb.gz": (2444, 2402, 1005, 3033, 3155, 32, 1, 0, 0, 0, 0),
    "4wvp.cif.gz": (887, 793, 0, 0, 0, 39, 0, 87, 202, 32, 0),  # biotin and another cap: residues without C-alpha
    "4zhl.cif": (1028, 1002, 0, 0, 0, 0, 0, 0, 50, 0, 0),
    "5i55.cif": (89, 96, 0, 0, 0, 12, 0, 0, 12, 0, 0),
    "5ugo.cif": (1305, 1303, 91, 256, 304, 9, 2, 0, 376, 0, 0),
    "6xlu.cif.gz": (12712, 12118, 0, 0, 0, 0, 0, 868, 250, 0, 0),
    "7ddo.pdb": (3164, 3240, 0, 0, 0, 0, 1, 56, 0, 0, 0),
}
"atoms of each of CLASSES, one alternative of each residue, in the first model"

NUCLEOTIDES = {
    "1d66.pdb": {"DA": 5, "DC": 14, "DG": 14, "DT": 5},
    "1gid.cif": {"A": 45, "C": 33, "G": 44, "U": 36},
    "1j59.cif": {"DA": 18, "DC": 12, "DG": 14, "DT": 18},
    "1kx5.pdb.gz": {"DA": 87, "DC": 60, "DG": 60, "DT": 87},
    "1lcd.cif": {"DA": 6, "DC": 5, "DG": 5, "DT": 6},
    "1pfe.cif.gz": {"DA": 1, "DC": 3, "DG": 3, "DT": 1},
    "3p49.pdb": {"A": 62, "C": 31, "G": 40, "U": 36},
    "4gxy.cif": {"A": 27, "C": 48 + 1, "G": 66 + 1, "U": 20},  # CCC is made from C, GTP from G, says the file
    "4upy.pdb.gz": {"A": 66, "C": 92, "G": 109, "U": 70},
    "5ugo.cif": {"DA": 4, "DC": 12, "DG": 12, "DT": 4},
}
"nucleotides by their parent"

MODIFIED = {
    "1a8o.pdb": {"MSE": "MET"},
    "5i55.cif": {"MSE": "MET"},
    "2src.cif": {"PTR": "TYR"},
    "1a4w.cif": {"TYS": "TYR"},
    "1en2.cif": {"PCA": "GLU"},
    "1pfe.cif.gz": {"DSN": "SER", "MVA": "VAL", "N2C": "", "NCY": ""},
    "3dl7_v32.pdb": {"SEN": "SER"},
    "4oz7.pdb": {"22Q": "", "22W": ""},
    "1d66.pdb": {},
}
"protein residues that are not one of the twenty, and their parents: of gemmi's table, else of the file"


def points_of(path: Path, recipe: str, labels: str = "default") -> LabelPoints:
    """All atoms in a grid of 1 A that holds them."""
    points = named_points(molecule(read_structure(path).model))
    low, high = points.model.xyz.min(axis=0) - 2, points.model.xyz.max(axis=0) + 2
    nx, ny, nz = np.ceil(high - low).astype(int).tolist()
    return place_points(points, RECIPES[recipe].schema((), labels), (nz, ny, nx), low, np.ones(3))


def classes_of(points: LabelPoints) -> dict[str, int]:
    names = {"sidechain": "side chain"}
    found = [names.get(part, part) or kind for kind, part in zip(points.kind, points.part, strict=True)]
    return dict(Counter(map(str, found)))


def test_there_are_34_models(shared_data: Path) -> None:
    assert sorted(EXPECTED) == sorted(path.name for path in (shared_data / "models").iterdir())


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_atoms_are_counted_by_class_as_the_records_say(shared_data: Path, name: str) -> None:
    path = shared_data / "models" / name
    expected = {key: number for key, number in zip(CLASSES, EXPECTED[name], strict=True) if number}

    assert counts_of(path) == expected
    assert classes_of(named_points(molecule(read_structure(path).model))) == expected


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_atom_is_taken_by_its_labels_and_by_no_other(shared_data: Path, name: str) -> None:
    points = points_of(shared_data / "models" / name, "refined")
    expected = dict(zip(CLASSES, EXPECTED[name], strict=True))

    columns, found = points.columns, {}
    for array in RECIPES["refined"].schema((), "default").labels:
        values = class_values(array, columns)
        found[array.name] = {item.name: int(np.count_nonzero(values == item.value)) for item in array.classes}

    c_alphas = int(np.count_nonzero((points.model.atom == "CA") & (points.kind == "protein")))
    # terminal oxygens are backbone without a class
    ends = int(np.count_nonzero((points.model.atom == "OXT") & (points.kind == "protein")))
    assert found["backbone"]["CA"] == found["atom"]["CA"] == c_alphas
    assert sum(found["backbone"].values()) == expected["backbone"] - ends
    assert sum(found["secondary"].values()) in (c_alphas, 0)
    assert {**found["nucleic"], **found["ligand"]} == {key: expected[key] for key in CLASSES[2:9]}
    no_parent = int(np.count_nonzero((points.part == "sidechain") & (points.model.parent == "")))
    assert sum(found["sidechain"].values()) == expected["side chain"] - no_parent
    assert sum(found["base"].values()) == expected["base"]
    taken = points.state != UNLABELLED
    assert np.count_nonzero(taken) == sum(EXPECTED[name][:9]) - ends
    assert not np.any(points.state == OUTSIDE)
    assert len(np.unique(points.voxel_zyx[points.state == WRITTEN], axis=0)) == np.count_nonzero(
        points.state == WRITTEN
    )


@pytest.mark.parametrize("name", ["1cbn.cif", "1pfe.cif.gz", "3p49.pdb", "6xlu.cif.gz"])
def test_published_takes_n_ca_and_c_of_protein_alone(shared_data: Path, name: str) -> None:
    points = points_of(shared_data / "models" / name, "published")

    taken = points.state != UNLABELLED
    expected = np.isin(points.model.atom, ("N", "CA", "C")) & (points.kind == "protein")
    assert 0 < np.count_nonzero(taken) < len(taken)
    assert np.array_equal(taken, expected)


@pytest.mark.parametrize("name", sorted(NUCLEOTIDES))
def test_nucleotides_are_counted_by_their_parent(shared_data: Path, name: str) -> None:
    points = named_points(molecule(read_structure(shared_data / "models" / name).model))

    first = np.r_[True, np.diff(points.model.position) != 0] & (points.kind == "nucleic")
    assert dict(sorted(Counter(points.model.parent[first].tolist()).items())) == NUCLEOTIDES[name]


@pytest.mark.parametrize("name", sorted(MODIFIED))
def test_modified_residues_have_a_parent(shared_data: Path, name: str) -> None:
    points = named_points(molecule(read_structure(shared_data / "models" / name).model))

    model = points.model
    other = (points.kind == "protein") & (model.residue != model.parent)
    assert dict(zip(model.residue[other].tolist(), model.parent[other].tolist(), strict=True)) == MODIFIED[name]


PDB_FILES = sorted(name for name in EXPECTED if ".pdb" in name)


@pytest.mark.parametrize("name", PDB_FILES)
def test_released_takes_the_atoms_that_the_scripts_take(shared_data: Path, name: str) -> None:
    path = shared_data / "models" / name
    structure = read_structure(path, every_model=True)
    found = []
    for part in (structure.model, *structure.others):
        model = named_atoms(part)
        places = [model.chain, model.auth_seq_id, model.residue, model.atom, model.xyz]
        found += list(zip(*(column.tolist() for column in places), strict=True))

    expected = [
        (residue.chain, residue.number, residue.name, atom.name, list(atom.xyz))
        for residue in scripts.residues_of(path)
        for atom in residue.atoms.values()
    ]

    wanted = ("N", "CA", "C")
    assert [row for row in found if row[3] in wanted] == [row for row in expected if row[3] in wanted]


@pytest.mark.parametrize(("name", "models", "c_alphas"), [("1gya.cif.gz", 18, 105), ("1lcd.cif", 3, 51)])
def test_released_takes_every_model(shared_data: Path, name: str, models: int, c_alphas: int) -> None:
    structure = read_structure(shared_data / "models" / name, every_model=True)

    counts = [np.count_nonzero(named_atoms(part).atom == "CA") for part in (structure.model, *structure.others)]

    assert counts == [c_alphas] * models
    assert read_structure(shared_data / "models" / name).others == ()
