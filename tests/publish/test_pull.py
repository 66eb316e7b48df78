"""Copies: whole or partial, of the same version; what is not trusted is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cryodata import load_dataset
from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.pull import pull
from cryodata.build.subset import Subset
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.errors import DatasetError, SourceError, UsageError
from cryodata.formats.manifest import TableFile, create_manifest
from cryodata.formats.partial import held_volumes
from cryodata.formats.tables import file_digest
from cryodata.formats.versions import DatasetVersion, open_version
from tests.commands import run

VALIDATION = Subset(splits=("validation",))


def volumes_in(folder: Path) -> int:
    return len(list(folder.glob("volumes/*/*.zarr")))


def test_a_split_alone_is_read_as_ever(second: DatasetVersion, tmp_path: Path) -> None:
    done = pull(second, tmp_path, VALIDATION)

    assert done.volumes == (1, 5)
    assert volumes_in(tmp_path / "small") == 1
    here, there = (
        load_dataset("small@1.1.0", split="validation", root=root, streaming=True) for root in (tmp_path, second.root)
    )
    assert [(row["entry_id"], float(row["density"].sum())) for row in here] == (
        [(row["entry_id"], float(row["density"].sum())) for row in there]
    )
    assert open_version(tmp_path, "small").sha256 == second.sha256


def test_a_volume_that_a_partial_copy_lacks_is_named_with_what_to_do(second: DatasetVersion, tmp_path: Path) -> None:
    pull(second, tmp_path, VALIDATION)

    with pytest.raises(DatasetError, match=r"SIM-0000\d-.*the copy is partial: `cryodata pull` adds to it$"):
        next(iter(load_dataset("small", split="train", root=tmp_path, streaming=True)))


def test_verify_checks_what_a_partial_copy_should_hold(second: DatasetVersion, tmp_path: Path) -> None:
    pull(second, tmp_path, VALIDATION)
    opened = open_version(tmp_path, "small")
    found = verify_version(opened, deep=True)

    assert found.faults == ()
    assert found.checked["volumes"].startswith("1 decoded that this partial copy holds: ")
    shard = next((tmp_path / "small").glob("volumes/*/*/density/c/0/0/0"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "c/0/0/0: " in verify_version(opened, deep=False).faults[0]


def test_a_partial_copy_grows_until_it_is_whole(second: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("SIM-00001\n\nSIM-00005\n")
    pull(second, tmp_path, VALIDATION)

    ids = pull(second, tmp_path, Subset(ids=tmp_path / "ids"))
    rest = pull(second, tmp_path)

    assert (ids.volumes, rest.volumes) == ((3, 5), (5, 5))
    assert held_volumes(open_version(tmp_path, "small")) is None
    assert not (tmp_path / "small/partial").exists()
    assert pull(second, tmp_path, VALIDATION).volumes == (5, 5)
    assert verify_version(open_version(tmp_path, "small"), deep=True).faults == ()


def test_ids_within_a_split_are_read_by_a_filter(second: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("SIM-00002\n")
    pull(second, tmp_path, Subset(ids=tmp_path / "ids"))

    found = load_dataset("small", split="train", root=tmp_path, filter=[("entry_id", "in", ["SIM-00002"])])

    assert {found[i]["entry_id"] for i in range(len(found))} == {"SIM-00002"}


def test_versions_share_what_was_pulled(first: DatasetVersion, second: DatasetVersion, tmp_path: Path) -> None:
    pull(first, tmp_path)

    done = pull(second, tmp_path)

    assert {path.split("/")[2].split("-")[1] for path in done.fetched if path.startswith("volumes")} == (
        {"00004", "00005"}
    )
    assert json.loads((tmp_path / "small/latest.json").read_text()) == {"version": "1.1.0"}


def test_a_partial_copy_is_neither_published_nor_the_source_of_a_whole_one(
    second: DatasetVersion, tmp_path: Path
) -> None:
    pull(second, tmp_path / "part", VALIDATION)
    opened = open_version(tmp_path / "part", "small")

    with pytest.raises(UsageError, match="holds a partial copy of 1.1.0; pull all of it first"):
        publish(opened, str(tmp_path / "target"))
    with pytest.raises(UsageError, match="holds 1 volumes of 1.1.0, not volumes/.* and 3 others: pull them from"):
        pull(opened, tmp_path / "copy")
    assert pull(opened, tmp_path / "copy", VALIDATION).volumes == (1, 5)


def test_info_and_publishing_the_rest_know_a_partial_copy(second: DatasetVersion, tmp_path: Path) -> None:
    pull(second, tmp_path, VALIDATION)
    shown = CliRunner().invoke(app, ["info", "small", "--root", str(tmp_path)]).output

    publish(second, str(tmp_path))

    assert "a partial copy: 1 of 5 volumes" in shown
    assert held_volumes(open_version(tmp_path, "small")) is None
    assert verify_version(open_version(tmp_path, "small"), deep=False).faults == ()


def test_what_is_not_there_is_told_with_what_is(second: DatasetVersion, tmp_path: Path) -> None:
    (tmp_path / "ids").write_text("SIM-00001\nSIM-99999\n")

    with pytest.raises(UsageError, match="^no split 'valid'; found: train, validation, test, unassigned$"):
        pull(second, tmp_path / "copy", Subset(splits=("valid",)))
    with pytest.raises(UsageError, match="^no split scheme 'colour'; found: id, resolution"):
        pull(second, tmp_path / "copy", Subset(scheme="colour"))
    with pytest.raises(SourceError, match="ids that are not among the chosen entries: SIM-99999$"):
        pull(second, tmp_path / "copy", Subset(ids=tmp_path / "ids"))
    assert not (tmp_path / "copy").exists()


def test_another_result_in_the_folder_is_not_replaced(first: DatasetVersion, tmp_path: Path) -> None:
    pull(first, tmp_path)
    path = tmp_path / "small/versions/1.0.0.json"
    path.unlink()
    create_manifest(tmp_path / "small", replace(first.manifest, license="another"), tmp_path / "manifest")

    with pytest.raises(UsageError, match=r"^version 1\.0\.0 of 'small' exists at .* with another result and is never"):
        pull(first, tmp_path)


def test_a_damaged_copy_is_mended(first: DatasetVersion, tmp_path: Path) -> None:
    pull(first, tmp_path)
    path = next((tmp_path / "small").glob("volumes/*/*/zarr.json"))
    path.write_bytes(b" " * path.stat().st_size)

    done = pull(first, tmp_path)

    assert list(done.fetched) == [path.relative_to(tmp_path / "small").as_posix()]
    assert verify_version(open_version(tmp_path, "small"), deep=True).faults == ()


@pytest.mark.parametrize(
    "place",
    ["latest.json", "versions/9.9.9.json", "receipts/x.json", "volumes/aa/x/../../../../y", "tables/000000000000/x",
     "volumes/ab/SIM-00001-0123456789ab.zarr/../../../../evil", "volumes/ab/SIM-00001-0123456789ab.zarr//etc"],
)  # fmt: skip
def test_an_object_in_a_place_that_no_version_has_is_refused(first: DatasetVersion, tmp_path: Path, place: str) -> None:
    pull(first, tmp_path / "bad")
    path = tmp_path / "bad/small" / first.manifest.tables / "objects.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    more = sorted([{**rows[0], "path": place}, *rows], key=lambda row: row["path"])
    pq.write_table(type(table).from_pylist(more, schema=table.schema), path)
    _, size, sha256 = file_digest(path, "objects.parquet")
    files = {**first.manifest.files, "objects.parquet": TableFile(size, sha256, len(rows) + 1)}
    (tmp_path / "bad/small/versions/1.0.0.json").unlink()
    create_manifest(tmp_path / "bad/small", replace(first.manifest, files=files), tmp_path / "manifest")

    with pytest.raises(DatasetError, match="do not trust the dataset$"):
        pull(open_version(tmp_path / "bad", "small"), tmp_path / "copy")

    assert not (tmp_path / "copy").exists()


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    first: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryodata.build.pull.SPARE", 1 << 60)

    with pytest.raises(OSError, match=r"[\d,]+ bytes to fetch and [\d,]+ free, "):
        pull(first, tmp_path)

    assert published_items(first)[0].path not in [path.name for path in tmp_path.rglob("*")]


def test_the_command_copies_and_says_so(history: Path, tmp_path: Path) -> None:
    arguments = ("pull", "small", "--root", str(history), "--to", str(tmp_path), "--split", "validation")
    told = run(*arguments)
    again = CliRunner().invoke(app, arguments, catch_exceptions=False)

    assert (told["partial"], told["volumes"]) == (True, {"held": 1, "of": 5})
    assert told["fetched"]["objects"] == len([path for path in tmp_path.rglob("*") if path.is_file()]) - 3
    assert "nothing to do: all of it is there already" in again.output
    assert "1 of 5: a partial copy" in again.output
