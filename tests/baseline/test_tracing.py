"""A prediction and sequences become a model file; peaks are found finer than a voxel."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import click.testing
import gemmi
import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.baseline.cases import Chain
from cryodata.baseline.chains.candidates import RESIDUES, Voxels, find_candidates, settled
from cryodata.baseline.chains.density import density_links
from cryodata.baseline.chains.emission import types_of
from cryodata.cli_trace import trace
from cryodata.core.volume import Volume
from cryodata.errors import UsageError
from cryodata.formats.fasta import read_fasta
from cryodata.formats.model_writer import TracedChain, write_model
from cryodata.formats.mrc import write_map
from cryodata.formats.volumes import ChannelSpec, create_channels
from tests.baseline.test_viterbi import walk

ORIGIN = np.array([-20.0, 5.0, 11.0])


def spots(chain: Chain, blur: float = 0.8) -> tuple[Volume, Any, Chain]:
    """Probability of an alpha carbon and of the classes of a chain that lies in its box, and the chain there."""
    xyz = chain.xyz - chain.xyz.min(axis=0) + 6 + ORIGIN
    shape = tuple(np.ceil(np.ptp(xyz, axis=0)[::-1] + 12).astype(int))
    ca, amino = np.zeros(shape, np.float32), np.zeros((21, *shape), np.float32)
    grid = np.indices(shape).transpose(1, 2, 3, 0)[..., ::-1] + ORIGIN
    for position, kind in zip(xyz, types_of(chain.sequence), strict=True):
        spot = 0.9 * np.exp(-((grid - position) ** 2).sum(axis=-1) / 2 / blur**2)
        ca = np.maximum(ca, spot)
        amino[1 + kind] = np.maximum(amino[1 + kind], spot)
    amino[0] = 1 - ca
    return Volume(ca, np.ones(3), ORIGIN), amino, Chain(chain.sequence, xyz)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return walk(30, 7)


@pytest.fixture(scope="module")
def prediction(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cryodata predict` writes, trained on floor labels: everything half a voxel toward the origin."""
    folder = tmp_path_factory.mktemp("predicted")
    ca, amino, _ = spots(Chain(chain.sequence, chain.xyz))
    classes = {"atom": ["none", "CA", "N", "C"], "amino": ["none", *RESIDUES]}
    placed = Volume(ca.data, np.ones(3), ORIGIN - 0.5)
    specs = {name: ChannelSpec(tuple(names), 64) for name, names in classes.items()}
    arrays = create_channels(folder / "probabilities.zarr", placed, specs, {})
    arrays["atom"][1] = ca.data
    arrays["amino"][...] = amino
    told = {"format": 1, "classes": classes, "origin_xyz": (ORIGIN - 0.5).tolist(), "voxel_size_xyz": [1, 1, 1]}
    (folder / "prediction.json").write_text(json.dumps({**told, "label_offset_xyz": [0.5, 0.5, 0.5]}))
    (folder / "chain.fasta").write_text(f">one a chain\n{chain.sequence}\n")
    return folder


def run(*words: object) -> Any:
    result = click.testing.CliRunner().invoke(trace, [str(word) for word in words], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


def test_peaks_lie_finer_than_a_voxel_and_carry_the_types(chain: Chain) -> None:
    ca, amino, true = spots(chain)

    found = find_candidates(Voxels(ca, lambda at: amino[:, *at.T].T, None, np.zeros(3)), 0.3)

    apart = np.linalg.norm(true.xyz[:, None] - found.xyz[None], axis=2)
    assert len(found.xyz) == 30
    # a voxel's corner lies 0.87 A from its centre
    assert apart.min(axis=1).max() < 0.35
    assert np.array_equal(found.amino[apart.argmin(axis=1)].argmax(axis=1), types_of(chain.sequence))
    assert np.allclose(found.amino.sum(axis=1), 1)


def test_of_two_near_peaks_the_stronger_stays() -> None:
    data = np.zeros((9, 9, 9), np.float32)
    data[4, 4, 4], data[4, 4, 5], data[4, 4, 7] = 0.9, 0.8, 0.7
    voxels = Voxels(Volume(data, np.ones(3), np.zeros(3)), lambda at: np.ones((len(at), 21)), None, np.zeros(3))

    found = find_candidates(voxels, 0.3)

    # (0.9 * 4 + 0.8 * 5) / 1.7 along x; the voxel at 7 is 3 A away
    assert found.probability.tolist() == pytest.approx([0.9, 0.7])
    assert found.xyz[0].tolist() == pytest.approx([7.6 / 1.7, 4, 4])


def test_a_residue_beside_the_middle_of_its_spot_settles_there_unless_another_one_does(chain: Chain) -> None:
    ca, amino, true = spots(chain)
    voxels = Voxels(ca, lambda at: amino[:, *at.T].T, None, np.array([0.5, 0.5, 0.5]))
    beside = true.xyz + 0.5 + [0.9, 0.0, 0.0]
    twice = np.concatenate([beside, beside[:1] - [1.8, 0.0, 0.0]])

    alone, crowded = settled(voxels, beside), settled(voxels, twice)

    assert np.linalg.norm(alone - true.xyz - 0.5, axis=1).max() < 0.45
    assert np.array_equal(crowded[[0, -1]], twice[[0, -1]])
    assert np.array_equal(crowded[1:-1], alone[1:])


@pytest.mark.parametrize("ending", ["cif", "pdb"])
def test_a_prediction_becomes_a_model_with_confidence(
    ending: str, prediction: Path, chain: Chain, tmp_path: Path
) -> None:
    out, table = tmp_path / f"model.{ending}", tmp_path / "residues.csv"

    told = json.loads(
        run(prediction, "--sequences", prediction / "chain.fasta", "--out", out, "--table", table, "--json").stdout
    )

    true = spots(chain)[2].xyz
    (written,) = gemmi.read_structure(str(out))[0]
    assert told["chains"] == [
        {"chain": "one", "residues": 30, "placed": len(written), "confidence": told["chains"][0]["confidence"]}
    ]
    assert len(written) >= 28
    for residue in written:
        number = residue.seqid.num - 1
        assert gemmi.find_tabulated_residue(residue.name).one_letter_code == chain.sequence[number]
        assert np.linalg.norm(np.array(residue[0].pos.tolist()) - true[number]) < 0.4
        assert 50 < residue[0].b_iso <= 100
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["residue"] for row in rows] == list(chain.sequence)
    assert sum(row["placed"] == "True" for row in rows) == len(written)


def test_maps_of_the_classes_do_as_well(prediction: Path, chain: Chain, tmp_path: Path) -> None:
    ca, amino, _ = spots(chain)
    for name, data in [("atom_CA", ca.data), *((f"amino_{r}", amino[1 + i]) for i, r in enumerate(RESIDUES))]:
        write_map(tmp_path / f"{name}.mrc.gz", Volume(data, np.ones(3), ORIGIN))
    table = tmp_path / "residues.parquet"

    run(tmp_path, "--sequences", prediction / "chain.fasta", "--out", tmp_path / "model.cif", "--table", table)

    found = pq.read_table(table).to_pydict()
    assert found["number"] == list(range(1, 31))
    assert sum(found["placed"]) >= 28


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--out", "model.mmtf"), "--out model.mmtf: expected a name that ends in .cif or .pdb"),
        (("--out", "model.cif", "--table", "t.txt"), "--table t.txt: expected a name that ends in .csv or .parquet"),
    ],
    ids=["model", "table"],
)
def test_what_could_not_be_written_is_refused_before_any_work(
    words: tuple[str, ...], message: str, prediction: Path
) -> None:
    with pytest.raises(UsageError) as error:
        run(prediction, "--sequences", prediction / "chain.fasta", *words)

    assert str(error.value) == message


def test_a_folder_without_a_prediction_is_refused(prediction: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no atom_CA.mrc; expected what `cryodata predict --out` made"):
        run(tmp_path, "--sequences", prediction / "chain.fasta", "--out", tmp_path / "model.cif")


def test_a_threshold_above_all_probabilities_says_the_highest(prediction: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^no voxel has a probability of 0.99; the highest is 0\.\d+: give a lower"):
        run(prediction, "--sequences", prediction / "chain.fasta", "--out", tmp_path / "m.cif", "--threshold", "0.99")


def test_a_fasta_header_of_the_archive_stands_for_all_its_chains(tmp_path: Path) -> None:
    path = tmp_path / "a.fasta"
    path.write_text(">7KJR_1|Chains A, B[auth X]|protein|virus\nACD\nEF\n>other words\nghi*\n>other\nK\n")

    assert read_fasta(path) == [("A", "ACDEF"), ("X", "ACDEF"), ("other", "GHI"), ("other-2", "K")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACD\n", "a.fasta, line 1: 'ACD' before any header; expected a line with '>'"),
        (">a\nAC D\n", "a.fasta, line 2: 'AC D'; expected one-letter codes of residues"),
        (">a\n>b\nA\n", "a.fasta: 'a' has no sequence"),
        ("\n", "a.fasta holds no sequence; expected a FASTA file"),
    ],
    ids=["headless", "blank", "empty-entry", "empty"],
)
def test_a_file_that_is_no_fasta_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.fasta").write_text(text)

    with pytest.raises(UsageError) as error:
        read_fasta(tmp_path / "a.fasta")

    assert str(error.value) == message


def test_chains_of_one_sequence_are_one_entity_and_unfound_residues_stay_in_it(tmp_path: Path) -> None:
    nan = [np.nan] * 3
    chains = [
        TracedChain("A", ("ALA", "GLY"), np.array([[1.0, 2, 3], nan]), np.array([90.0, 0])),
        TracedChain("long", ("ALA", "GLY"), np.array([nan, [4.0, 5, 6]]), np.array([0, 80.0])),
        TracedChain("C", ("SER",), np.array([nan]), np.zeros(1)),
    ]

    for ending in ("cif", "pdb"):
        write_model(tmp_path / f"model.{ending}", chains, "model")

    block = gemmi.cif.read(str(tmp_path / "model.cif")).sole_block()
    assert list(block.find_values("_entity_poly_seq.mon_id")) == ["ALA", "GLY"]
    assert list(block.find_values("_atom_site.auth_asym_id")) == ["A", "long"]
    assert list(block.find_values("_atom_site.label_seq_id")) == ["1", "2"]
    pdb = gemmi.read_structure(str(tmp_path / "model.pdb"))
    assert [(c.name, c[0].seqid.num, c[0][0].b_iso) for c in pdb[0]] == [("A", 1, 90.0), ("B", 2, 80.0)]


def test_density_between_neighbours_speaks_for_a_link_and_a_trough_against_it() -> None:
    # rows of atoms 3.8 A apart in a tube of density; the rows are 5 A apart with nothing between them
    xyz = np.array([[3 + 3.8 * i, 3 + 5.0 * j, 3 + 5.0 * k] for i in range(12) for j in range(4) for k in range(4)])
    grid = np.indices((22, 22, 48)).transpose(1, 2, 3, 0)[..., ::-1]
    tubes = sum(
        np.exp(-((grid[..., 1] - y) ** 2 + (grid[..., 2] - z) ** 2) / 2) for y, z in np.unique(xyz[:, 1:], axis=0)
    )
    density = Volume(np.asarray(tubes, np.float32), np.ones(3), np.zeros(3))

    score = density_links(density, xyz)

    assert score(np.array([0]), np.array([16]))[0] > 0.3  # along a row
    assert score(np.array([0]), np.array([4]))[0] == -2.0  # across
