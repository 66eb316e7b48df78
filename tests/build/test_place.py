"""Folders named by their content come into their places, whoever else puts them there."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryodata.build.place import place_folder
from cryodata.core.layout import FileDigest
from cryodata.formats.volumes import folder_files

WORKERS = 8
RENAME = os.rename


def make(folder: Path, content: bytes) -> Path:
    (folder / "inner").mkdir(parents=True)
    for name in ("one", "inner/two"):
        (folder / name).write_bytes(content)
    return folder


def test_one_that_is_whole_stays_and_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    target = make(tmp_path / "volumes/ab/target", b"whole")
    there = (target / "one").stat().st_ino
    place_folder(make(tmp_path / "first/made", b"whole"), target, tmp_path)
    stayed = (target / "one").stat().st_ino == there
    (target / "one").write_bytes(b"damaged")
    expected = folder_files(make(tmp_path / "expected", b"whole"))

    place_folder(make(tmp_path / "second/made", b"whole"), target, tmp_path)

    assert stayed
    assert folder_files(target) == expected
    assert not (tmp_path / "first/made").exists()
    assert not (tmp_path / "second/made").exists()


def test_many_may_replace_a_damaged_one_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = make(tmp_path / "volumes/ab/target", b"damaged")
    made = [make(tmp_path / str(number) / "made", b"whole") for number in range(WORKERS)]
    expected = folder_files(made[0])
    looked, all_looked = threading.local(), threading.Barrier(WORKERS)

    def look(folder: Path) -> list[FileDigest]:
        """All see that it is damaged before the first one takes it away."""
        found = folder_files(folder)
        if folder == target and not hasattr(looked, "once"):
            looked.once = True
            all_looked.wait(30)
        return found

    def rename(old: Path, new: Path) -> None:
        """Time for the others between taking one away and putting one there."""
        RENAME(old, new)
        time.sleep(0.01)

    monkeypatch.setattr("cryodata.build.place.folder_files", look)
    monkeypatch.setattr("os.rename", rename)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda one: place_folder(one, target, one.parent), made))

    assert folder_files(target) == expected
