"""`cryodata splits`, `cryodata sequences` and the scheme `sequence` of a dataset that was really built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.splits.families import background, text
from cryodata import load_dataset
from cryodata.baseline.scoring.sequences import LETTERS
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.selection import recognised
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.core.entry import Entry
from cryodata.errors import SourceError
from cryodata.formats.fasta import read_fasta
from cryodata.formats.mrc import write_map
from cryodata.formats.structure import write_mmcif
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import random_protein
from cryodata.torch import SubgridStream


def random(seed: int, length: int = 120) -> str:
    return text(background(np.random.Generator(np.random.PCG64(seed)), length))


def source_of(folder: Path, proteins: dict[str, list[str]]) -> Path:
    """A source folder of one small map with many models: all show the same atoms, of proteins that are given."""
    folder.mkdir(exist_ok=True)
    model = random_protein(5, chains=1, residues=16, radius=14.0)
    write_map(folder / "map.gz", density_of(model, resolution=3.5, voxel_size=1.3, margin=4.0, noise=0.1, seed=0))
    write_mmcif(folder / "model.cif", model, "model")
    for entry_id, chains in proteins.items():
        structure = gemmi.read_structure(str(folder / "model.cif"))
        structure.name = entry_id  # the same map and model twice would be refused
        structure.setup_entities()
        (entity,) = structure.entities
        modelled = [residue.name for residue in structure[0][0]]
        # the sixteen residues that are modelled, and behind them a molecule that the map does not show
        tail = [gemmi.expand_one_letter(letter, gemmi.ResidueKind.AA) for letter in "".join(chains)]
        entity.full_sequence = [*modelled, *tail]
        (folder / f"{entry_id}.cif").write_text(structure.make_mmcif_document().as_string(), encoding="ascii")
    lines = [f"{entry_id},{entry_id},map.gz,{entry_id}.cif,3.5" for entry_id in proteins]
    (folder / "entries.csv").write_text("\n".join(["entry_id,emdb_id,map,model,resolution", *lines]) + "\n")
    return folder


PROTEINS = {
    **{f"EMD-{number}": [random(number)] for number in range(1, 25)},
    "EMD-31": [random(1)],
    "EMD-32": [random(5)],
}
"24 proteins, two of which are shown twice"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("kin")
    source = source_of(folder / "source", PROTEINS)
    return build(Request("cryo2struct", folder / "root", source, settings=("min_fit=0", "seed=3")))


def rows_of(report: Report, version: str = "0.1.0") -> dict[str, dict[str, Any]]:
    opened = open_version(report.folder.parent, "cryo2struct", version)
    return {row["entry_id"]: row for row in read_table(opened.table("entries.parquet")).to_pylist()}


def invoked(report: Report, *arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--root", str(report.folder.parent), "--json"], standalone_mode=False)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_the_scheme_holds_out_whole_proteins_and_can_be_loaded(report: Report) -> None:
    rows, root = rows_of(report), report.folder.parent
    splits = {entry_id: row["split_sequence"] for entry_id, row in rows.items()}
    held = sorted(entry_id for entry_id, split in splits.items() if split == "validation")

    assert report.manifest.schemes["sequence"] == ("train", "validation", "test", "unassigned")
    assert held and splits["EMD-1"] == splits["EMD-31"] and splits["EMD-5"] == splits["EMD-32"]
    loaded = load_dataset("cryo2struct", "entries", split="validation", split_by="sequence", root=root)
    assert sorted(loaded["entry_id"]) == held
    stream = load_dataset("cryo2struct", split="validation", split_by="sequence", root=root, streaming=True)
    assert {item["entry_id"] for item in stream} == set(held)
    batches = SubgridStream(
        "cryo2struct", split="validation", split_by="sequence", root=root, batch_size=1, streams=1, remainder="keep"
    )
    assert {entry_id for batch in batches for entry_id in batch["entry_id"]} == set(held)


def test_the_version_verifies_and_its_card_tells_the_leakage(report: Report) -> None:
    opened = open_version(report.folder.parent, "cryo2struct")
    card = opened.table("README.md").read_text(encoding="utf-8")

    assert verify_version(opened, deep=True).faults == ()
    assert "| scheme | held out | entries | residues | above 30% | above 50% | above 90% | ids on both sides |" in card
    assert "| sequence | validation | " in card


def test_the_report_measures_each_scheme_of_the_version(report: Report, tmp_path: Path) -> None:
    found = invoked(report, "splits", "cryo2struct", "--report", "--out", str(tmp_path / "leakage.png"))
    by_scheme = {item["scheme"]: {held["split"]: held for held in item["held"]} for item in found["leakage"]}
    rows = rows_of(report)
    alike = {"EMD-1": "EMD-31", "EMD-31": "EMD-1", "EMD-5": "EMD-32", "EMD-32": "EMD-5"}
    expected = sorted(
        one
        for one, other in alike.items()
        if rows[one]["split_resolution"] == "validation" and rows[other]["split_resolution"] == "train"
    )

    assert list(by_scheme) == ["resolution", "sequence"]
    assert by_scheme["sequence"]["validation"]["share"] == {"0.30": 0.0, "0.50": 0.0, "0.90": 0.0}
    assert sorted(item["entry_id"] for item in by_scheme["resolution"]["validation"]["leaked"]) == expected
    assert found["promiscuous"] == "join"
    assert (tmp_path / "leakage.png").read_bytes().startswith(b"\x89PNG")


def test_a_list_of_somebodys_own_is_measured_and_what_it_misses_is_told(report: Report, tmp_path: Path) -> None:
    listed = tmp_path / "mine.csv"
    listed.write_text("id,split\nEMD-1,test\nEMD-31,train\nEMD-7,train\nEMD-999,train\n", encoding="utf-8")

    found = invoked(report, "splits", "cryo2struct", "--list", str(listed))

    ((leakage,), missing) = found["leakage"], found["missing"]
    assert (leakage["scheme"], missing, found["unlisted"]) == ("list", {"EMD-999": "not in the dataset"}, 23)
    (held,) = leakage["held"]
    assert (held["split"], held["residues"], held["above"]["0.90"]) == ("test", 136, 136)
    assert held["leaked"][0]["train_entry_id"] == "EMD-31"


def test_ids_of_published_lists_are_recognised() -> None:
    entries = [Entry("EMD-22898-crop", emdb_id="EMD-22898"), Entry("EMD-0001"), Entry("4567")]

    found = recognised({"22898": "train", "emd_0001": "test", "4567": "test", "99999": "train"}, entries)

    assert found == {"EMD-22898": "train", "EMD-0001": "test", "4567": "test", "99999": "train"}
    with pytest.raises(SourceError, match="^splits: 'EMD-0001' has two splits, 'train' and, as '0001', 'test'$"):
        recognised({"EMD-0001": "train", "0001": "test"}, entries)


def test_without_report_the_splits_are_counted(report: Report) -> None:
    counted = invoked(report, "splits", "cryo2struct")["entries"]

    assert {scheme: sum(splits.values()) for scheme, splits in counted.items()} == {
        "resolution": 26,
        "sequence": 26,
        "id": 26,
    }


def test_terminal_output_names_chains_and_missing_ids(report: Report, tmp_path: Path) -> None:
    listed = tmp_path / "mine.csv"
    listed.write_text("id,split\nEMD-1,test\nEMD-31,train\nEMD-999,train\n", encoding="utf-8")
    root = str(report.folder.parent)

    shown = CliRunner().invoke(app, ["splits", "cryo2struct", "--list", str(listed), "--root", root]).stdout

    assert "EMD-31 A" in shown and "100.0%" in shown
    assert "ids of the list that the dataset lacks: 1: EMD-999 (not in the dataset)" in shown
    assert "entries that the list does not name: 24; they count on neither side" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "nothing"), "no split scheme 'nothing'; found: id, resolution, sequence"),
        (("--list", "LIST"), "LIST: unknown split 'dev'; expected one of train, validation, test, unassigned"),
    ],
)
def test_wrong_questions_are_answered_with_what_there_is(
    report: Report, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    listed = tmp_path / "mine.csv"
    listed.write_text("id,split\nEMD-1,dev\n", encoding="utf-8")
    given = [item.replace("LIST", str(listed)) for item in arguments]

    result = CliRunner().invoke(app, ["splits", "cryo2struct", *given, "--root", str(report.folder.parent)])

    assert str(result.exception) == message.replace("LIST", str(listed))


def test_sequences_are_written_as_fasta(report: Report, tmp_path: Path) -> None:
    written = invoked(report, "sequences", "cryo2struct", "--to", str(tmp_path), "--entry", "EMD-5")
    full, modelled = (read_fasta(tmp_path / f"{name}.fasta") for name in ("full", "modelled"))
    aligned = (tmp_path / "aligned.fasta").read_text(encoding="utf-8").splitlines()

    assert written["sequences"] == {"full.fasta": 1, "modelled.fasta": 1, "aligned.fasta": 2}
    assert full == [("EMD-5_A", modelled[0][1] + random(5))]
    assert (tmp_path / "full.fasta").read_text().startswith(">EMD-5_A peptide, 16 of 136 residues modelled\n")
    assert set(modelled[0][1]) <= set(LETTERS)
    assert aligned[4] == ">EMD-5_A_modelled" and aligned[5] == modelled[0][1] + "-" * 44


def test_a_next_version_moves_no_unit_and_a_bridge_is_unassigned(report: Report, tmp_path: Path) -> None:
    before = {entry_id: row["split_sequence"] for entry_id, row in rows_of(report).items()}
    held = next(entry_id for entry_id in sorted(before) if before[entry_id] == "validation")
    kept = next(entry_id for entry_id in sorted(before) if before[entry_id] == "train")
    new = {
        "EMD-71": [*PROTEINS[held], *PROTEINS[kept]],  # one chain of both
        "EMD-72": PROTEINS[held],
        "EMD-73": PROTEINS[kept],
        "EMD-74": [random(74)],
    }
    source = source_of(tmp_path / "source", {**PROTEINS, **new})
    listed = tmp_path / "splits.csv"
    listed.write_text("id,split\nEMD-74,test\nEMD-999,test\n", encoding="utf-8")
    settings = ("min_fit=0", "seed=3", f"splits={listed}", "unknown_ids=report")

    made = build(Request("cryo2struct", report.folder.parent, source, version="0.2.0", settings=settings))

    after = {entry_id: row["split_sequence"] for entry_id, row in rows_of(made, "0.2.0").items()}
    assert {entry_id: after[entry_id] for entry_id in before} == before
    assert {entry_id: after[entry_id] for entry_id in new} == {
        "EMD-71": "unassigned", "EMD-72": "validation", "EMD-73": "train", "EMD-74": "test"
    }  # fmt: skip
    assert made.missing == {"EMD-999": "not in the dataset"}


def test_ids_of_a_list_that_were_refused_are_reported_with_the_reason(tmp_path: Path) -> None:
    source = source_of(tmp_path / "source", {"EMD-1": [random(1)], "EMD-2": [random(2)]})
    (source / "EMD-2.cif").write_text("no model", encoding="ascii")
    listed = tmp_path / "splits.csv"
    listed.write_text("id,split\nEMD-1,train\nEMD-2,test\n", encoding="utf-8")

    report = build(Request("cryo2struct", tmp_path / "root", source, settings=("min_fit=0", f"splits={listed}")))

    assert report.missing == {"EMD-2": "unreadable_model"}
