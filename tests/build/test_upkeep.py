"""A dataset's upkeep: what is damaged is made again, what nothing refers to is found and removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.garbage import GRACE, find_garbage, remove_garbage
from cryodata.build.request import Request
from cryodata.build.workspace import alone, temporary_folder
from cryodata.errors import UsageError
from cryodata.formats.volumes import folder_files

SETTINGS = ("maps=3", "residues=60", "resolution=3.5")

LATER = time.time() + 2 * GRACE


def cryodata(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, what it printed as JSON, and what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "cryodata", *arguments, "--json"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build(Request("simulated", tmp_path_factory.mktemp("built"), version="0.1.0", settings=SETTINGS))


@pytest.fixture
def folder(built: Report, tmp_path: Path) -> Path:
    """A copy of a dataset that may be harmed."""
    shutil.copytree(built.folder, tmp_path / "simulated")
    return tmp_path / "simulated"


def whole(folder: Path) -> dict[str, Any]:
    return {name: folder_files(folder / name) for name in ("volumes", "tables", "versions", "receipts", "source")}


def shard_of(folder: Path) -> Path:
    return next(path for path in sorted(folder.glob("volumes/*/*/density/c/*/*/*")) if path.is_file())


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


DAMAGES: list[Callable[[Path], None]] = [
    lambda folder: flip(shard_of(folder)),
    lambda folder: shard_of(folder).unlink(),
    lambda folder: os.truncate(shard_of(folder), 100),
    lambda folder: shutil.rmtree(next(folder.glob("volumes/*/*.zarr"))),
    lambda folder: flip(next(folder.glob("tables/*/atoms-*.parquet"))),
    lambda folder: next(folder.glob("tables/*/entries.parquet")).unlink(),
    lambda folder: shutil.rmtree(next(folder.glob("tables/*"))),
    lambda folder: (flip(shard_of(folder)), flip(next(folder.glob("receipts/*.json")))),  # type: ignore[func-returns-value]
]


@pytest.mark.parametrize("damage", DAMAGES, ids=range(len(DAMAGES)))
def test_what_is_damaged_is_made_again_as_it_was(built: Report, folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)

    code, found, _ = cryodata("verify", "simulated", "--deep", "--root", str(folder.parent))
    assert (code, found["ok"]) == (1, False)
    code, found, said = cryodata("verify", "simulated", "--deep", "--repair", "--root", str(folder.parent))

    assert (code, found["ok"], found["faults"]) == (0, True, [])
    assert "found: " in said
    assert whole(folder) == whole(built.folder)


def test_repairing_what_is_whole_does_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}

    code, found, said = cryodata("verify", "simulated", "--deep", "--repair", "--root", str(folder.parent))

    assert (code, found["ok"]) == (0, True)
    assert "repairing" not in said
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_without_a_note_of_how_it_was_made_nothing_is_repaired(folder: Path) -> None:
    flip(shard_of(folder))
    shutil.rmtree(folder / "provenance")

    code, found, _ = cryodata("verify", "simulated", "--deep", "--repair", "--root", str(folder.parent))

    assert code == 1
    assert "does not say how the version was made" in found["error"]


def test_a_part_of_the_entries_is_repaired_as_it_was_chosen(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("SIM-00002\nSIM-00003\n")
    report = build(Request("simulated", tmp_path, version="0.1.0", settings=SETTINGS, ids=ids))
    before = whole(report.folder)
    ids.unlink()
    flip(shard_of(report.folder))

    code, found, _ = cryodata("verify", "simulated", "--deep", "--repair", "--root", str(tmp_path))

    assert (code, found["faults"]) == (0, [])
    assert whole(report.folder) == before


def test_all_of_a_finished_dataset_is_referred_to(folder: Path) -> None:
    assert find_garbage(folder, LATER) == []


def test_what_nothing_refers_to_is_found_and_removed(folder: Path) -> None:
    before = whole(folder)
    stray = folder / "volumes/ab/SIM-00001-abcdefabcdef.zarr"
    shutil.copytree(next(folder.glob("volumes/*/*.zarr")), stray)
    (folder / "tables/0123456789ab").mkdir()
    (folder / "tables/0123456789ab/entries.parquet").write_bytes(b"x" * 10)
    (folder / f"receipts/{'0' * 64}.atoms.parquet").write_bytes(b"x" * 20)
    size = sum(path.stat().st_size for path in stray.rglob("*") if path.is_file())

    found = find_garbage(folder, LATER)
    assert [(item.path, item.size) for item in found] == [
        (f"receipts/{'0' * 64}.atoms.parquet", 20),
        ("tables/0123456789ab", 10),
        ("volumes/ab/SIM-00001-abcdefabcdef.zarr", size),
    ]
    assert find_garbage(folder) == []  # what is new may be referred to soon
    remove_garbage(folder, found)

    assert whole(folder) == before
    assert not stray.parent.exists()
    assert not (folder / ".tmp").exists()


def test_volumes_stay_as_long_as_a_version_or_a_receipt_refers_to_them(folder: Path) -> None:
    (folder / "versions/0.1.0.json").unlink()
    without_version = {item.path.split("/")[0] for item in find_garbage(folder, LATER)}
    for path in folder.glob("receipts/*.json"):
        path.unlink()
    with_neither = {item.path.split("/")[0] for item in find_garbage(folder, LATER)}

    assert (without_version, with_neither) == ({"tables"}, {"tables", "volumes", "receipts"})


def test_an_unreadable_version_stops_it(folder: Path) -> None:
    flip(next(folder.glob("tables/*/entries.parquet")))

    code, found, _ = cryodata("gc", "simulated", "--root", str(folder.parent))

    assert (code, "entries.parquet" in found["error"]) == (1, True)


def test_while_somebody_builds_nothing_is_garbage(folder: Path) -> None:
    with temporary_folder(folder), pytest.raises(UsageError, match="somebody builds in"):
        find_garbage(folder, LATER)


def test_what_a_build_refers_to_since_it_was_found_stays(built: Report, folder: Path) -> None:
    """Somebody is asked whether to remove it, and a build is done before the answer comes."""
    (folder / "versions/0.1.0.json").unlink()
    for path in folder.glob("receipts/*.json"):
        path.unlink()
    found = find_garbage(folder, LATER)
    build(Request("simulated", folder.parent, version="0.1.0", settings=SETTINGS))

    removed = remove_garbage(folder, found)

    assert {item.path.split("/")[0] for item in found} == {"tables", "volumes", "receipts"}
    assert removed == []
    assert whole(folder) == whole(built.folder)


def test_removing_and_building_do_not_overlap(tmp_path: Path) -> None:
    entered = threading.Event()

    def work() -> None:
        with temporary_folder(tmp_path):
            entered.set()

    worker = threading.Thread(target=work)
    with alone(tmp_path):
        worker.start()
        too_early = entered.wait(0.3)
    worker.join()

    assert not too_early
    assert entered.is_set()
    with temporary_folder(tmp_path), pytest.raises(UsageError, match="somebody builds in"), alone(tmp_path):
        pass
    with alone(tmp_path), pytest.raises(UsageError, match="somebody builds in"), alone(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_command_lists_and_removes(folder: Path) -> None:
    stray = folder / "tables/0123456789ab"
    stray.mkdir()
    os.utime(stray, (0, 0))
    where = ["--root", str(folder.parent)]

    code, listed, _ = cryodata("gc", "simulated", "--dry-run", *where)
    assert (code, [item["path"] for item in listed["garbage"]], listed["removed"]) == (
        0,
        ["tables/0123456789ab"],
        False,
    )
    assert stray.exists()
    code, removed, _ = cryodata("gc", "simulated", *where)
    assert (code, removed["removed"], stray.exists()) == (0, True, False)
    assert cryodata("gc", "simulated", *where)[1]["garbage"] == []
    code, found, _ = cryodata("gc", "simulate", *where)
    assert (code, "did you mean 'simulated'?" in found["error"]) == (2, True)
