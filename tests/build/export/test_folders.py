"""The folder of an export: made whole after any end, and nobody else's is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from cryodata.build.dataset import Report
from cryodata.build.export import export_version, pieces
from cryodata.build.subset import Subset, chosen_entries
from cryodata.cli import app
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.versions import open_version
from tests.build.export.layouts import LAYOUTS, export, notes


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "npz"])  # as npy, and slow
def test_killed_in_the_middle_it_goes_on_and_gives_the_same_bytes(
    layout: str, simulated: Report, made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, place, left = notes(made(layout)), pieces._place, [1]

    def dying(source: Path, target: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        place(source, target)

    monkeypatch.setattr(pieces, "_place", dying)
    with pytest.raises(KeyboardInterrupt):
        export(simulated, layout, tmp_path / "made", workers=1)
    assert len(notes(tmp_path / "made")) < len(expected)
    monkeypatch.setattr(pieces, "_place", place)

    second = export(simulated, layout, tmp_path / "made")
    third = export(simulated, layout, tmp_path / "made")

    assert notes(tmp_path / "made") == expected
    assert second.reused < third.reused
    assert third.reused == sum(not path.startswith(".export/") for path, _, _ in expected) - fronts(layout)


def fronts(layout: str) -> int:
    """Files besides those of the pieces: lists, entries.csv, README.md, shards.json."""
    return 2 if layout in ("npy", "npz") else 1


def test_a_file_that_was_cut_short_is_written_again(simulated: Report, tmp_path: Path) -> None:
    export(simulated, "mrc", tmp_path / "made")
    before = notes(tmp_path / "made")
    broken = tmp_path / "made/maps/SIM-00002/emd_normalized_map.mrc"
    broken.write_bytes(broken.read_bytes()[:-4])

    export(simulated, "mrc", tmp_path / "made")

    assert notes(tmp_path / "made") == before


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_dry_run_writes_nothing_and_states_what_is_not_exceeded(
    layout: str, simulated: Report, made: Callable[[str], Path], tmp_path: Path
) -> None:
    planned = export(simulated, layout, tmp_path / "made", dry_run=True)

    real = [size for path, size, _ in notes(made(layout)) if not path.startswith(".export/")]
    assert not (tmp_path / "made").exists()
    assert planned.files == len(real)
    assert sum(real) <= planned.bytes


def test_only_the_split_or_the_ids_that_were_asked_for_are_written(simulated: Report, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("SIM-00003\n")

    export(simulated, "mrc", tmp_path / "split", subset=Subset(("validation",)))
    export(simulated, "mrc", tmp_path / "some", subset=Subset(ids=tmp_path / "ids"))

    assert [path.name for path in (tmp_path / "split/maps").iterdir()] == ["SIM-00004"]
    assert [path.name for path in (tmp_path / "some/maps").iterdir()] == ["SIM-00003"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_with_something_else_is_left_alone(layout: str, simulated: Report, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(UsageError, match="holds other things, such as mine; name a folder that is new or empty"):
        export(simulated, layout, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_another_export_in_the_folder_is_left_alone(simulated: Report, tmp_path: Path) -> None:
    export(simulated, "mrc", tmp_path / "made", subset=Subset(("validation",)))

    with pytest.raises(UsageError, match=r"is another export \(simulated@0.1.0 as mrc, 1 entries\); name another"):
        export(simulated, "mrc", tmp_path / "made")


def test_an_export_that_made_nothing_claims_no_folder(
    simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path, density: object) -> None:
        raise DatasetError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("cryodata.build.export.mrc.write_plain_map", broken)
        with pytest.raises(DatasetError, match="^broken$"):
            export(simulated, "mrc", tmp_path / "made", subset=Subset(("validation",)))

    assert export(simulated, "mrc", tmp_path / "made").files == 4 * 10 + 1


def test_the_hub_gets_a_version_as_a_whole(simulated: Report, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--format hub takes a whole version"):
        export(simulated, "hub", tmp_path / "made", subset=Subset(("validation",)))

    planned = export(simulated, "hub", tmp_path / "made", dry_run=True)

    assert not (tmp_path / "made").exists()
    made = export(simulated, "hub", tmp_path / "made")
    assert (planned.files, planned.bytes) == (made.files, made.bytes)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(
    simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10**6))  # type: ignore[attr-defined]

    with pytest.raises(CryodataError, match=r"up to [\d,]+ bytes are to be written and 1,000,000 are free; make room"):
        export(simulated, "mrc", tmp_path / "made")

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_of_a_dataset_lead_nowhere(
    layout: str, simulated: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_version(simulated.folder.parent, "simulated")
    strange = replace(opened.manifest, schemes={**opened.manifest.schemes, "resolution": ["../../train", "validation"]})
    to = tmp_path / "a/b/c"

    with pytest.raises(DatasetError, match=r"has a split '../../train', which can't name a file"):
        export_version(replace(opened, manifest=strange), to, layout, lambda done, total: None)

    rows = chosen_entries(opened, Subset()).to_pylist()[:2]
    for row in rows:
        row["pdb_id"] = "../../../../x"
    monkeypatch.setattr(pieces, "chosen_entries", lambda opened, subset: pa.Table.from_pylist(rows))
    export(simulated, layout, to)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]

    rows[1]["entry_id"] = "sim-00001"
    with pytest.raises(DatasetError, match="the id sim-00001 is there more than once; an export would mix the two"):
        export(simulated, layout, tmp_path / "other")


def test_the_command_prints_one_object(simulated: Report, tmp_path: Path) -> None:
    arguments = ["export", "simulated", "--format", "mrc", "--to", str(tmp_path / "made"), "--split", "validation"]

    result = CliRunner().invoke(app, [*arguments, "--json", "--root", str(simulated.folder.parent)])

    told = json.loads(result.stdout)
    assert (told["files"], told["reused"], told["dry_run"]) == (11, 0, False)
    assert told["advice"].startswith("cryodata build published --source ")
