"""Malformed models: each ends as a value or as a rejection of one line that names the file."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cryodata.formats.structure import read_structure
from tests.formats.malformed.small import (
    atom_line,
    refusal,
    small_cif,
    small_map,
)

NO_ATOMS = "no atoms; expected a PDB or mmCIF file with a model"
NO_UTF_8 = "names that are not ASCII or UTF-8"
NO_FORMAT = "neither PDB nor mmCIF (wrong format of coordinate file string)"

MODELS = [
    pytest.param(b"", NO_FORMAT, id="empty"),
    pytest.param(b"\n", NO_FORMAT, id="one empty line"),
    pytest.param(b"It was a dark and stormy night.\n", NO_ATOMS, id="text instead of a model"),
    pytest.param(bytes(5000), NO_ATOMS, id="zeros"),
    pytest.param(small_map(), NO_ATOMS, id="a map instead of a model"),
    pytest.param(b"HEADER    A PROTEIN\nEND\n", NO_ATOMS, id="PDB without atoms"),
    pytest.param(b"data_x\n", NO_FORMAT, id="mmCIF of one block"),
    pytest.param(b"data_x\n_entry.id x\n", NO_ATOMS, id="mmCIF without atoms"),
    pytest.param(small_cif(), NO_ATOMS, id="mmCIF with an empty loop"),
    pytest.param(atom_line(1) + atom_line(2, "nan"), "atom 2 has a coordinate that is no number", id="PDB with a NaN"),
    pytest.param(small_cif("CA A 1 0.0", "CA A 2 ?"), "atom 2 has a coordinate that is no number", id="mmCIF with a ?"),
    pytest.param(
        small_cif("CA A 1 inf"), "atom 1 has a coordinate that is no number", id="mmCIF with an infinite coordinate"
    ),
    pytest.param(
        small_cif("CA A 1 0.0")[:-3],
        "neither PDB nor mmCIF (string:2:0(11): Wrong number of values in loop _atom_site.*)",
        id="mmCIF cut in a row",
    ),
    pytest.param(
        atom_line(1)[:40],
        "neither PDB nor mmCIF (Problem in line 1: The line is too short to be correct: ATOM 1 CA ALA A 1 0.000)",
        id="PDB cut in a line",
    ),
    pytest.param(atom_line(1).replace(b" CA ", b" C\xe9 "), NO_UTF_8, id="PDB atom name in latin-1"),
    pytest.param(
        atom_line(1).replace(b" A ", b" \xe9 "),
        NO_UTF_8,
        id="PDB chain name in latin-1",
    ),
    pytest.param(
        b"SEQRES   1 A    2  AL\xe9 ALA\n" + atom_line(1),
        NO_UTF_8,
        id="PDB sequence in latin-1",
    ),
]


@pytest.mark.parametrize(("content", "found"), MODELS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_without_usable_atoms_is_an_unreadable_model(
    tmp_path: Path, content: bytes, found: str, packed: bool
) -> None:
    path = tmp_path / "bad.model"
    path.write_bytes(gzip.compress(content) if packed else content)

    assert ("unreadable_model", f"bad.model: {found}") == refusal(read_structure, path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(atom_line(1) + atom_line(2, residue=""), id="PDB, blank"),
        pytest.param(small_cif("CA A 1 0.0", "CA A x 1.0"), id="mmCIF, a word"),
    ],
)
def test_a_residue_without_a_number_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.model"
    path.write_bytes(content)

    assert refusal(read_structure, path) == ("unreadable_model", "bad.model: a residue has no number")


@pytest.mark.parametrize("x", ["1e300", "-5e9", "2.2e9", "1000001"])
def test_an_atom_beyond_every_map_is_refused(tmp_path: Path, x: str) -> None:
    path = tmp_path / "far.cif"
    path.write_bytes(small_cif("CA A 1 1000000", f"CA A 2 {x}"))
    found = "far.cif: atom 2 has a coordinate that is beyond 1,000,000 A"

    assert ("unreadable_model", found) == refusal(read_structure, path)


def test_a_model_without_atoms_behind_the_first_is_none(tmp_path: Path) -> None:
    atoms = b"MODEL     %d\n" + atom_line(1) + b"ENDMDL\n"
    (tmp_path / "m.pdb").write_bytes(atoms % 1 + b"MODEL     2\nENDMDL\n" + atoms % 3)

    structure = read_structure(tmp_path / "m.pdb", every_model=True)

    assert [len(model) for model in (structure.model, *structure.others)] == [1, 1]
