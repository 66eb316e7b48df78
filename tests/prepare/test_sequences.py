"""Which residue of a molecule is which of its model."""

from __future__ import annotations

import re
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryodata.core.model import ChainSequence
from cryodata.errors import RejectedError
from cryodata.formats.structure import read_structure
from cryodata.prepare.sequences import aligned_rows, compared, places, runs, unmodelled


def chain(full: str, modelled: str, alignment: str, kind: str = "peptide") -> ChainSequence:
    return ChainSequence("A", kind, modelled, full, alignment)


def test_an_alignment_tells_places_gaps_and_rows() -> None:
    item = chain("MKTAYIAK", "TAWK", "2I2M1D3I1M")

    assert places(item).tolist() == [2, 3, -1, 7]
    assert unmodelled(item) == [(0, 2), (4, 7)]
    assert aligned_rows(item) == ("MKTA-YIAK", "--TAW---K")


def test_without_a_full_sequence_there_is_the_model_alone() -> None:
    item = chain("", "TAWK", "")

    assert places(item).tolist() == [-1] * 4
    assert unmodelled(item) == []
    assert aligned_rows(item) == ("TAWK", "TAWK")
    assert compared(item) == "TAWK"


def test_proteins_are_compared_whole_and_other_polymers_not_at_all() -> None:
    assert compared(chain("MKTAYIAK", "TA", "2I2M4I")) == "MKTAYIAK"
    assert compared(chain("ACGU", "AC", "2M2I", kind="nucleic")) == ""


@pytest.mark.parametrize(
    ("alignment", "message"),
    [
        ("3M", "^chain A: the alignment has 3 and 3 residues; the sequences 4 and 2$"),
        ("2M-2I", "^chain A: '2M-2I' is no alignment; expected such as 3I40M$"),
    ],
)
def test_an_alignment_of_other_sequences_is_refused(alignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runs(chain("MKTA", "MK", alignment))


# what the files themselves say: chain, residues of the molecule, of them modelled, stretches without atoms
KNOWN = {
    "1d66.pdb": [("D", 19, 19, []), ("E", 19, 19, []), ("A", 66, 57, [(0, 7), (64, 66)]),
                 ("B", 66, 57, [(0, 7), (64, 66)])],  # DNA and protein
    "1a4w.cif": [("L", 36, 26, [(0, 7), (33, 36)]), ("H", 259, 248, [(146, 154), (256, 259)]),
                 ("I", 12, 9, [(0, 2), (11, 12)])],  # insertion codes; a peptide with a sulphated tyrosine
    "1a8o.pdb": [("A", 70, 70, [])],  # MSE
    "2src.cif": [("A", 452, 450, [(0, 2)])],  # PTR
    "4upy.pdb.gz": [("A", 76, 76, []), ("B", 627, 611, [(65, 72), (316, 324), (626, 627)]),
                    ("C", 504, 261, [(0, 43), (174, 223), (353, 504)])],  # RNA and protein, breaks
    "3dl7_v32.pdb": [("A", 548, 537, [(258, 264), (543, 548)]), ("B", 548, 533, [(0, 3), (257, 264), (495, 496),
                     (544, 548)])],  # microheterogeneity
    "3jqh.cif": [("A", 167, 23, [(0, 3), (26, 167)])],
    "1orc.pdb": [("A", 71, 64, [(0, 2), (66, 71)])],
    "1gid.cif": [],  # no full sequence
}  # fmt: skip


@pytest.mark.real
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_unmodelled_residues_of_real_models_are_known(shared_data: Path, name: str) -> None:
    found = [item for item in read_structure(shared_data / "models" / name).sequences if item.full]

    assert [(item.chain, len(item.full), int((places(item) >= 0).sum()), unmodelled(item)) for item in found] == KNOWN[
        name
    ]


@pytest.mark.real
def test_aligned_residues_of_all_real_models_have_the_same_letter(shared_data: Path) -> None:
    seen = 0
    paths = [*(shared_data / "models").iterdir(), *(shared_data / "entries").glob("*/*.[pec][dni][btf]*")]
    for path in sorted(paths):
        try:
            sequences = read_structure(path).sequences
        except RejectedError:
            continue
        for item in sequences:
            there = places(item)
            full = np.array(list(item.full or " "))[np.maximum(there, 0)]
            same = (full == np.array(list(item.modelled)))[there >= 0]
            assert same.mean() > 0.99 if len(same) else not item.full, f"{path.name} {item.chain}"
            seen += len(same)
    assert seen > 25_000


@pytest.mark.real
def test_the_aligner_finds_what_the_numbers_of_the_file_say(shared_data: Path, tmp_path: Path) -> None:
    compared_chains = 0
    for path in sorted((shared_data / "models").glob("*.cif*")):
        numbered = {item.chain: item for item in read_structure(path).sequences}
        structure = gemmi.read_structure(str(path))
        structure.remove_alternative_conformations()
        structure.setup_entities()
        if not structure[0] or max(len(item.name) for item in structure[0]) > 1 or len(structure) > 1:
            continue
        structure.write_pdb(str(tmp_path / "model.pdb"))  # a PDB file has no such numbers
        for item in read_structure(tmp_path / "model.pdb").sequences:
            if item.full and item.modelled == numbered[item.chain].modelled:
                assert item.alignment == numbered[item.chain].alignment, f"{path.name} {item.chain}"
                compared_chains += 1
    assert compared_chains >= 20


@pytest.mark.real
def test_both_files_of_an_entry_give_the_same_sequences(shared_data: Path) -> None:
    one, other = (read_structure(shared_data / "models" / f"1en2.{suffix}").sequences for suffix in ("cif", "pdb"))

    assert one == other
    assert re.fullmatch("[A-Z]+", one[0].full)


def test_a_modified_residue_is_its_parent_also_where_only_the_file_knows_it(tmp_path: Path) -> None:
    lines = [
        "SEQRES   1 A    5  ALA MSE QQQ GLY ALA",
        "MODRES 1ABC QQQ A    3  LYS  UNKNOWN TO EVERY TABLE",
    ]
    for number, name in enumerate(["ALA", "MSE", "QQQ", "GLY", "ALA"], start=1):
        record = "ATOM  " if name in ("ALA", "GLY") else "HETATM"
        for offset, atom in enumerate(["N", "CA", "C"]):
            serial, x = 3 * number + offset, 3.8 * number + offset
            lines.append(
                f"{record}{serial:5d}  {atom:<3s} {name} A{number:4d}    {x:8.3f}{0:8.3f}{0:8.3f}  1.00 20.00"
                f"          {atom[0]:>2s}"
            )
    path = tmp_path / "model.pdb"
    path.write_text("\n".join([*lines, "TER", "END"]) + "\n", encoding="ascii")

    (found,) = read_structure(path).sequences

    assert (found.full, found.modelled, found.alignment) == ("AMKGA", "AMKGA", "5M")


def test_two_copies_of_a_protein_with_other_gaps_are_aligned_each(tmp_path: Path) -> None:
    # the published concatenation loses a residue where a chain ends on the number on which the next begins
    residues = ["MET", "LYS", "THR", "ALA", "TYR", "ILE", "ALA", "LYS", "GLN", "ARG", "GLN", "ILE"]
    lines = [f"SEQRES   1 {name}   12  {' '.join(residues)}" for name in "AB"]
    serial = 0
    for name, modelled in (("A", [1, 2, 3, 4, 9, 10, 11, 12]), ("B", [12, *range(3, 12)][1:])):
        for number in modelled:
            for offset, atom in enumerate(["N", "CA", "C"]):
                serial += 1
                x, y = 3.8 * number + offset, 30.0 * (name == "B")
                lines.append(
                    f"ATOM  {serial:5d}  {atom:<3s} {residues[number - 1]} {name}{number:4d}    "
                    f"{x:8.3f}{y:8.3f}{0:8.3f}  1.00 20.00          {atom[0]:>2s}"
                )
        lines.append("TER")
    path = tmp_path / "model.pdb"
    path.write_text("\n".join([*lines, "END"]) + "\n", encoding="ascii")

    found = read_structure(path).sequences

    assert [(item.chain, item.modelled, item.alignment) for item in found] == [
        ("A", "MKTAQRQI", "4M4I4M"),
        ("B", "TAYIAKQRQ", "2I9M1I"),
    ]
