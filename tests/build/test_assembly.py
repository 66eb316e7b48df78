"""A model of a part of a symmetric map: assembly 1 completes it where the map shows every copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.core.model import AtomicModel, ChainCopy
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import read_structure, write_mmcif
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from cryodata.prepare.merge import chain_names, merged
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import random_protein
from tests.build.archive_server import Archive, Holdings

HALF_TURN = ChainCopy(("A",), np.diag([-1.0, -1.0, 1.0]), np.array([0.0, 44.0, 0.0]))
"about the z axis through (0, 22, 0), which is outside of the half"

BESIDE = ChainCopy(("A",), np.eye(3), np.array([0.0, 0.0, 14.0]))
"where the map shows nothing"


def half_and_whole() -> tuple[AtomicModel, AtomicModel]:
    """A chain of 24 residues, and it with its copy."""
    half = random_protein(5, chains=1, residues=24, radius=18.0)
    return half, merged([half, half.moved(HALF_TURN)], chain_names([["A"], ["A"]]))


def text_of(model: AtomicModel, copy: ChainCopy | None, folder: Path, as_pdb: bool = False) -> bytes:
    """A model file with an assembly 1 of the deposited chains and a copy of them."""
    write_mmcif(folder / "model.cif", model, "model")
    structure = gemmi.read_structure(str(folder / "model.cif"))
    structure.setup_entities()
    if copy is not None:
        assembly, generator = gemmi.Assembly("1"), gemmi.Assembly.Gen()
        if as_pdb:
            generator.chains = [chain.name for chain in structure[0]]
        else:
            generator.subchains = [chain.get_polymer().subchain_id() for chain in structure[0]]
        for number, (rotation, shift) in enumerate([(np.eye(3), np.zeros(3)), (copy.rotation, copy.shift_xyz)], 1):
            operator = gemmi.Assembly.Operator()
            operator.name = str(number)
            operator.transform.mat.fromlist(rotation.tolist())
            operator.transform.vec.fromlist(shift.tolist())
            generator.operators.append(operator)
        assembly.generators.append(generator)
        structure.assemblies.append(assembly)
    return (structure.make_pdb_string() if as_pdb else structure.make_mmcif_document().as_string()).encode()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Six entries of one symmetric map from the archive, with models of different extent and assembly."""
    folder = tmp_path_factory.mktemp("symmetric")
    half, whole = half_and_whole()
    write_map(folder / "map.gz", density_of(whole, resolution=3.5, voxel_size=1.2, margin=6.0, noise=0.2, seed=0))
    map_gz = (folder / "map.gz").read_bytes()
    held = Holdings()
    held.add(90001, map_gz, {"9c01": text_of(half, HALF_TURN, folder)})
    held.add(90002, map_gz, {"9c02": text_of(half, HALF_TURN, folder, as_pdb=True)})
    held.add(90003, map_gz, {"9c03": text_of(half, BESIDE, folder)})
    held.add(90004, map_gz, {"9c04": text_of(whole, HALF_TURN, folder)})
    held.add(90005, map_gz, {"9c05": text_of(half, None, folder)})
    held.add(99001, map_gz, {})
    with Archive(held) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        made = build(Request("cryo2struct", folder / "root"))
        build(Request("cryo2struct", folder / "root", version="0.2.0", settings=("assembly=no",)))
    return made


def rows(report: Report, version: str = "0.1.0") -> dict[str, dict[str, Any]]:
    opened = open_version(report.folder.parent, "cryo2struct", version)
    return {row["entry_id"]: row for row in read_table(opened.table("entries.parquet")).to_pylist()}


def told(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["assembly"], row["assembly_copies"], row["n_residues"]


def test_a_copy_that_fits_completes_the_model(report: Report) -> None:
    found = rows(report)

    assert report.rejected == []
    assert told(found["EMD-90001"]) == ("model=used", 1, 48)
    assert told(found["EMD-90002"]) == ("model=used", 1, 48)  # a PDB file, REMARK 350
    assert float(found["EMD-90001"]["assembly_fits"].removeprefix("model=")) > 1.0
    assert [item["chain"] for item in found["EMD-90001"]["sequences"]] == ["A", "A-2"]
    assert len({item["modelled"] for item in found["EMD-90001"]["sequences"]}) == 1


def test_a_copy_that_does_not_fit_leaves_the_model_as_deposited(report: Report) -> None:
    found = rows(report)

    assert told(found["EMD-90003"]) == ("model=does_not_fit", 0, 24)
    assert float(found["EMD-90003"]["assembly_fits"].removeprefix("model=")) < 1.0


def test_a_copy_of_what_is_there_adds_nothing(report: Report) -> None:
    assert told(rows(report)["EMD-90004"]) == ("model=overlaps", 0, 48)


def test_a_model_without_an_assembly_is_as_deposited(report: Report) -> None:
    assert told(rows(report)["EMD-90005"]) == ("", 0, 24)


def test_the_atoms_are_those_of_the_whole_model(report: Report) -> None:
    opened = open_version(report.folder.parent, "cryo2struct", "0.1.0")
    table, ids = read_table(opened.table("atoms-00000-of-00001.parquet")), sorted(rows(report))

    def atoms(entry_id: str) -> Any:
        mine = [row for row in table.to_pylist() if row["volume"] == ids.index(entry_id)]
        return np.array([row["xyz"] for row in mine]), [(row["atom"], row["residue"]) for row in mine]

    (completed, names), (whole, expected) = atoms("EMD-90001"), atoms("EMD-90004")

    assert names == expected
    np.testing.assert_allclose(completed, whole, atol=2e-3)  # files have three decimals


def test_the_digest_covers_whether_assemblies_are_used(report: Report) -> None:
    with_it, without = rows(report), rows(report, "0.2.0")

    assert told(without["EMD-90001"]) == ("", 0, 24)
    assert {with_it[key]["recipe_digest"] for key in with_it}.isdisjoint(
        row["recipe_digest"] for row in without.values()
    )


@pytest.mark.parametrize(
    ("name", "copies", "chains"),
    [
        pytest.param("models/1m4x.cif.gz", 59, ("A", "B", "C"), id="capsid"),
        pytest.param("entries/EMD-6272-zone/3j9s.ent", 2, ("A",), id="PDB"),
        pytest.param("models/1cbn.cif", 0, (), id="as deposited"),
        pytest.param("models/1gid.cif", 0, (), id="none"),
    ],
)
def test_assembly_1_of_real_files(shared_data: Path, name: str, copies: int, chains: tuple[str, ...]) -> None:
    found = read_structure(shared_data / name).copies

    assert len(found) == copies
    assert {copy.chains for copy in found} == ({chains} if chains else set())
