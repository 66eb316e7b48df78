"""The manifest: created once, believed only as far as it can be checked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryodata.build.dataset import Report
from cryodata.build.spread import ATOMS_PER_FILE, SUBGRIDS_PER_FILE
from cryodata.core.layout import sealed
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.manifest import Manifest, TableFile, create_manifest, list_versions, next_version
from cryodata.formats.tables import MAX_ENTRIES
from cryodata.formats.versions import open_version
from tests.tampering import manifest_of


def test_bytes_and_manifest_are_two_views_of_one_thing(simulated: Report) -> None:
    raw = simulated.manifest.to_bytes()

    assert Manifest.from_bytes(raw, "m").to_bytes() == raw


def test_a_manifest_is_created_once(simulated: Report, tmp_path: Path) -> None:
    assert create_manifest(tmp_path, simulated.manifest, tmp_path / "t")
    assert not create_manifest(tmp_path, simulated.manifest, tmp_path / "t")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["versions"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"format": 3}, "format 3; this cryodata reads 1 and 2", id="format"),
        pytest.param({"format": True}, "format True; this cryodata reads 1 and 2", id="format of no number"),
        pytest.param({"tables": "../../etc"}, "leads out of its folder", id="path"),
        pytest.param(
            {"files": {"../x": {"bytes": 1, "sha256": "", "rows": None}}}, "leads out of its folder", id="file"
        ),
        pytest.param({"version": "latest"}, "'latest' is no version", id="version"),
        pytest.param({"schema": {"arrays": [], "facts": []}}, "exactly one density array", id="schema"),
        pytest.param({"surprise": 1}, "unexpected keyword argument 'surprise'", id="unknown key"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(simulated: Report, change: dict[str, Any], message: str) -> None:
    value = {**manifest_of(simulated.folder), **change}

    with pytest.raises(DatasetError) as caught:
        Manifest.from_bytes(sealed(value), "m")

    assert message in str(caught.value)


def test_any_bit_of_a_manifest_that_turns_is_noticed(simulated: Report) -> None:
    raw = simulated.manifest.to_bytes()
    for position in range(0, len(raw) - 1, 7):
        turned = bytearray(raw)
        turned[position] ^= 1 << position % 7

        with pytest.raises(DatasetError, match="^m: no manifest of a dataset "):
            Manifest.from_bytes(bytes(turned), "m")


def test_a_key_that_is_there_twice_is_refused(simulated: Report) -> None:
    raw = simulated.manifest.to_bytes()
    twice = b'{"tables":"tables/0123456789ab",' + raw[1:]

    with pytest.raises(DatasetError, match="the key 'tables' is there twice"):
        Manifest.from_bytes(twice, "m")


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[1]", b"\xff", b"[" * 100_000], ids=["empty", "null", "list", "bytes", "deep"]
)
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(DatasetError, match="^m: no manifest of a dataset "):
        Manifest.from_bytes(raw, "m")


def test_a_huge_manifest_is_not_read(simulated: Report, tmp_path: Path) -> None:
    shutil.copytree(simulated.folder / "versions", tmp_path / "simulated/versions")
    with open(tmp_path / "simulated/versions/0.1.0.json", "ab") as file:
        file.write(b" " * (4 << 20))

    with pytest.raises(DatasetError, match="more than 4,194,304 bytes; no manifest has as many$"):
        open_version(tmp_path, "simulated")


def test_that_of_a_dataset_of_as_many_entries_as_there_may_be_is_read(simulated: Report, tmp_path: Path) -> None:
    first, second = MAX_ENTRIES // ATOMS_PER_FILE, MAX_ENTRIES // SUBGRIDS_PER_FILE
    names = [f"atoms-{i:05d}-of-{first:05d}.parquet" for i in range(first)]
    names += [f"subgrids-validation-{i:05d}-of-{second:05d}.parquet" for i in range(second)]
    files = {**simulated.manifest.files, **dict.fromkeys(names, TableFile(99_999_999, "0" * 64, 9_999_999))}
    manifest = replace(simulated.manifest, files=files)
    path = tmp_path / "simulated/versions/0.1.0.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest.to_bytes())

    assert open_version(tmp_path, "simulated").manifest == manifest


def test_the_highest_version_is_opened_unless_one_is_named(simulated: Report, tmp_path: Path) -> None:
    versions = tmp_path / "simulated/versions"
    versions.mkdir(parents=True)
    for version in ("0.9.0", "0.10.0"):
        (versions / f"{version}.json").write_bytes(replace(simulated.manifest, version=version).to_bytes())

    assert open_version(tmp_path, "simulated").manifest.version == "0.10.0"
    assert open_version(tmp_path, "simulated@0.9.0").manifest.version == "0.9.0"
    assert open_version(tmp_path, "simulated", "0.9.0").manifest.version == "0.9.0"
    assert list_versions(tmp_path / "simulated") == ["0.9.0", "0.10.0"]
    with pytest.raises(UsageError, match=r"has no version '1\.0\.0'; found: 0\.9\.0, 0\.10\.0$"):
        open_version(tmp_path, "simulated@1.0.0")


def test_a_dataset_that_is_not_there_is_named_with_those_that_are(simulated: Report) -> None:
    root = simulated.folder.parent

    with pytest.raises(UsageError) as caught:
        open_version(root, "cryo2struct")

    assert str(caught.value) == (
        f"no dataset 'cryo2struct' in {root}; found: simulated; to make one: cryodata build --help"
    )


@pytest.mark.parametrize("name", ["../simulated", "", "a/b", ".hidden"])
def test_a_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a dataset"):
        open_version(tmp_path, name)


def test_the_next_version_is_the_next_minor() -> None:
    assert (next_version([]), next_version(["0.1.0", "0.9.3"])) == ("0.1.0", "0.10.0")
