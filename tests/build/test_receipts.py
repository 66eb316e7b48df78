"""Receipts are believed as far as they can be checked; whatever else they are, the entry is worked on again."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.build.workspace import FOLDER, remove_stale, temporary_folder
from cryodata.core.layout import CHECKSUM, sealed
from cryodata.formats.volumes import folder_files

SETTINGS = ("maps=4", "residues=60", "resolution=3.5")

Damage = Callable[[list[Path], list[Path]], None]


def swap(one: Path, two: Path) -> None:
    """Exchange two files."""
    kept = one.with_suffix(".kept")
    one.rename(kept)
    two.rename(one)
    kept.rename(two)


def edit(path: Path, **changes: object) -> None:
    """By somebody who knows how receipts are sealed."""
    content = json.loads(path.read_bytes())
    del content[CHECKSUM]
    path.write_bytes(sealed({**content, **changes}))


def flip(path: Path) -> None:
    """One bit of a number: it is JSON as before, of the same length."""
    raw = bytearray(path.read_bytes())
    raw[raw.index(b'"n_subgrids":') + len(b'"n_subgrids":')] ^= 1
    path.write_bytes(raw)


DAMAGE = {
    "one bit": lambda receipts, tables: flip(receipts[0]),
    "empty": lambda receipts, tables: receipts[0].write_bytes(b""),
    "list": lambda receipts, tables: receipts[0].write_bytes(b"[]"),
    "deep": lambda receipts, tables: receipts[0].write_bytes(b"[" * 100_000),
    "other format": lambda receipts, tables: edit(receipts[0], format=99),
    "no files": lambda receipts, tables: edit(receipts[0], files=[1]),
    "status": lambda receipts, tables: edit(receipts[0], status="rejected"),
    "swapped receipts": lambda receipts, tables: swap(receipts[0], receipts[1]),
    "swapped tables": lambda receipts, tables: swap(tables[0], tables[2]),
    "truncated table": lambda receipts, tables: os.truncate(tables[0], 100),
    "missing table": lambda receipts, tables: tables[1].unlink(),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_receipt_is_made_anew_and_the_result_is_the_same(
    simulated: Report, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "simulated"
    shutil.copytree(simulated.folder, folder)
    before = {part: folder_files(folder / part) for part in ("receipts", "tables", "versions", "volumes")}
    shutil.rmtree(folder / "tables")
    shutil.rmtree(folder / "versions")
    DAMAGE[name](sorted((folder / "receipts").glob("*.json")), sorted((folder / "receipts").glob("*.parquet")))

    report = build(Request("simulated", tmp_path, version="0.1.0", settings=SETTINGS))

    assert report.reused == (2 if name.startswith("swapped") else 3)
    assert {part: folder_files(folder / part) for part in before} == before


def test_a_killed_owners_folder_is_stale_and_a_living_ones_is_not(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal; from pathlib import Path; from cryodata.build.workspace import temporary_folder\n"
        "with temporary_folder(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with temporary_folder(tmp_path) as mine:
        assert len(list((tmp_path / FOLDER).iterdir())) == 2

        assert remove_stale(tmp_path) == 1

        assert list((tmp_path / FOLDER).iterdir()) == [mine]
    assert not (tmp_path / FOLDER).exists()


def test_a_folder_is_not_stale_while_its_owner_is_about_to_lock_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else looks for stale ones at the worst moment: all is made, and nothing locked yet."""
    flock, removed = fcntl.flock, list[int]()

    def late(file: Any, how: int) -> None:
        if how == fcntl.LOCK_EX:
            removed.append(remove_stale(tmp_path))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with temporary_folder(tmp_path) as mine:
        assert removed == [0]
        assert mine.is_dir()
