"""Which atoms of a file are the alpha carbons of its residues."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryodata.errors import RejectedError
from cryodata.formats.calphas import read_calphas


def line(
    record: str, number: int, name: str = "CA", alt: str = " ", residue: str = "ALA", occupancy: float = 1.0
) -> str:
    x = f"{number:8.3f}"
    return f"{record:6s}    1  {name:3s}{alt}{residue:3s} A{number:4d}    {x}{x}{x}{occupancy:6.2f}  0.00           C"


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, "END"]) + "\n", encoding="ascii")
    return path


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("1cbn.cif", 46),
        ("1en2.pdb", 86),
        ("1en2.cif", 86),
        ("3jqh.cif", 23),
        ("1fdo.cif", 715),
        ("1pfe.cif.gz", 8),
        ("4oz7.pdb", 20),
        ("3dl7_v32.pdb", 1069),
        ("4wvp.cif.gz", 222),
        ("1lzh.pdb.gz", 258),
        ("1kx5.pdb.gz", 974),
    ],
)
def test_each_protein_residue_has_one_alpha_carbon(shared_data: Path, name: str, count: int) -> None:
    assert len(read_calphas(shared_data / "models" / name)[0]) == count


@pytest.mark.real
def test_the_crystal_is_that_of_the_file(shared_data: Path) -> None:
    crystal = read_calphas(shared_data / "models" / "1cbn.cif")[1]

    assert crystal is not None and len(crystal.rotation) == 2  # P 21
    assert read_calphas(shared_data / "golden/EMD-34610/8hb0.pdb")[1] is None  # a cell of 1 A, P 1


def test_of_alternatives_the_most_occupied_counts_and_the_first_of_equals(tmp_path: Path) -> None:
    lines = [line("ATOM", 1, alt="A", occupancy=0.4), line("ATOM", 1, alt="B", residue="SER", occupancy=0.6)]
    lines += [line("ATOM", 2, alt="A", residue="GLY", occupancy=0.5), line("ATOM", 2, alt="B", occupancy=0.5)]

    assert read_calphas(written(tmp_path / "a.pdb", *lines))[0].residue.tolist() == ["SER", "GLY"]


def test_a_number_that_comes_again_is_another_residue(tmp_path: Path) -> None:
    lines = [line("ATOM", 1), line("ATOM", 2), line("ATOM", 1, residue="GLY")]

    assert len(read_calphas(written(tmp_path / "a.pdb", *lines))[0]) == 3


def test_a_calcium_ion_is_no_alpha_carbon(tmp_path: Path) -> None:
    calcium = line("HETATM", 9, residue=" CA").replace("  CA  ", " CA   ")[:-2] + "CA"
    found = read_calphas(written(tmp_path / "a.pdb", line("ATOM", 1), calcium))[0]

    assert found.number.tolist() == [1]


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        pytest.param(
            [line("ATOM", 1, name="CB")], "no_protein", "no alpha carbon; expected a model of a protein", id="none"
        ),
        pytest.param(
            [line("ATOM", 1).replace("   1.000   1.000", "     nan   1.000")],
            "unreadable_model",
            "an alpha carbon beyond 1,000,000 A, or at no number",
            id="no number",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, lines: list[str], code: str, message: str) -> None:
    with pytest.raises(RejectedError) as error:
        read_calphas(written(tmp_path / "a.pdb", *lines))

    assert (error.value.code, str(error.value)) == (code, f"a.pdb: {message}")
