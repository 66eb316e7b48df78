"""Entries of a build: which are taken, which are rejected, and the splits that they are in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.errors import SourceError
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from tests.build.small import simulate, source_folder


def test_a_list_of_ids_and_a_limit_choose_entries(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}", "B,{map2},{model2}"])
    ids = tmp_path / "ids"
    ids.write_text("B\n", encoding="utf-8")
    settings = ("max_resolution=none",)

    by_id = build(Request("cryo2struct", tmp_path, folder, name="one", ids=ids, settings=settings))
    by_limit = build(Request("cryo2struct", tmp_path, folder, name="two", limit=1, settings=settings))
    ids.write_text("B\nX\n", encoding="utf-8")

    assert by_id.manifest.counts["entries"] == by_limit.manifest.counts["entries"] == 1
    with pytest.raises(SourceError, match="ids that the source does not have: X$"):
        build(Request("cryo2struct", tmp_path, folder, name="three", ids=ids, settings=settings))


def test_the_same_map_and_model_under_two_ids_is_a_duplicate(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["B,{map1},{model1}", "A,{map1},{model1}", "C,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, folder, settings=("max_resolution=none",)))

    assert [(item.entry_id, item.code, item.message) for item in report.rejected] == [
        ("B", "duplicate_entry", "map and model are those of A, byte for byte after decompression")
    ]


def test_a_model_beside_its_map_is_rejected_and_the_reason_told(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model2}", "B,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, folder, settings=("max_resolution=none",)))

    assert [(item.entry_id, item.code) for item in report.rejected] == [("A", "model_does_not_fit")]


def test_strict_makes_rejections_an_error(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}"])
    base = [sys.executable, "-m", "cryodata", "build", "cryo2struct", "--source", str(folder), "--root", str(tmp_path)]

    lenient = subprocess.run([*base, "--as", "a", "--workers", "0"], capture_output=True, check=False)
    strict = subprocess.run([*base, "--as", "b", "--workers", "0", "--strict"], capture_output=True, check=False)

    assert (lenient.returncode, strict.returncode) == (0, 1)


def test_an_empty_dataset_is_a_dataset(tmp_path: Path, simulated: Report) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}"])

    report = build(Request("cryo2struct", tmp_path, folder))

    assert report.manifest.counts["rejected"] == {"resolution_out_of_range": 1}
    assert verify_version(open_version(tmp_path, "cryo2struct"), deep=True).faults == ()


def test_a_split_list_is_honoured_and_its_path_not_recorded(tmp_path: Path) -> None:
    listed = tmp_path / "my_splits.csv"
    listed.write_text("id,split\nSIM-00001,test\n", encoding="utf-8")

    report = simulate(tmp_path, f"splits={listed}")

    assert report.manifest.counts["entries_by_split"] == {"test": 1, "train": 1}
    assert "my_splits" not in (report.folder / "versions/0.1.0.json").read_text()


def test_a_split_list_with_an_id_that_is_not_there_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "splits.csv"
    listed.write_text("id,split\nSIM-1,test\n", encoding="utf-8")

    message = r"^splits: 1 ids that the source does not have: SIM-1 \(--set unknown_ids=report goes on without them\)$"
    with pytest.raises(SourceError, match=message):
        simulate(tmp_path, f"splits={listed}")


def test_units_keep_the_split_that_their_parent_gave_them(tmp_path: Path, simulated: Report) -> None:
    folder = tmp_path / "source"
    source_folder(simulated, folder, ["A,{map1},{model1},test"], "entry_id,map,model,split")
    build(Request("cryo2struct", tmp_path, folder, settings=("max_resolution=none",)))
    source_folder(simulated, folder, ["A,{map1},{model1}", "B,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, folder, version="0.2.0", settings=("max_resolution=none",)))
    anew = build(
        Request("cryo2struct", tmp_path, folder, version="0.3.0", settings=("max_resolution=none", "parent=none"))
    )

    def split_of_a(report: Report) -> str:
        table = read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
        return next(row["split_resolution"] for row in table if row["entry_id"] == "A")

    assert split_of_a(report) == "test"
    assert split_of_a(anew) != "test"


def test_a_map_that_comes_again_under_an_earlier_id_stays_in_the_split_that_it_had(
    tmp_path: Path, simulated: Report
) -> None:
    """New archive ids may sort before old ones: EMD-10000 before EMD-9000."""
    settings = ("max_resolution=none",)
    old = source_folder(
        simulated, tmp_path / "s", ["B,{map1},{model1},test", "C,{map2},{model2},"], "entry_id,map,model,split"
    )
    build(Request("cryo2struct", tmp_path, old, settings=settings))
    new = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}", "B,{map1},{model1}", "C,{map2},{model2}"])

    report = build(Request("cryo2struct", tmp_path, new, version="0.2.0", settings=settings))

    rows = read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
    assert [(row["entry_id"], row["split_resolution"]) for row in rows if row["entry_id"] != "C"] == [("B", "test")]
    assert [(item.entry_id, item.message) for item in report.rejected] == [
        ("A", "map and model are those of B, byte for byte after decompression")
    ]
