"""Temporary folders that show whether their owner lives, so that a later run can clear what a killed one left."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cryodata.errors import UsageError

FOLDER = ".tmp"
"below the dataset's folder, so that a finished file is moved into place by a rename"

LOCK = ".owner"
"file that the owner keeps locked; the system lets go of it when the owner dies, however it dies and wherever it ran"

ALONE = "alone-"
"how the folder begins of somebody who must be the only one; whoever comes later waits for it"

GRACE = 60.0
"seconds that a folder without a lock file is left alone: its owner may be about to make it"


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A new empty folder of this process below `folder`, removed at the end whatever happens. Waits for somebody who is
    `alone` there."""
    with _owned(folder, "") as path:
        for other in (folder / FOLDER).glob(f"{ALONE}*"):
            with suppress(OSError), open(other / LOCK, encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
        yield path


@contextmanager
def alone(folder: Path) -> Iterator[Path]:
    """As `temporary_folder`, for what nobody else may work beside. UsageError if somebody does.

    Both sides first show that they are there and then look for the other, so that one of them sees it.
    """
    with _owned(folder, ALONE) as path:
        if is_worked_in(folder, but=path):
            raise UsageError(f"somebody builds in {folder}; what is garbage is known when that is over")
        yield path


@contextmanager
def _owned(folder: Path, prefix: str) -> Iterator[Path]:
    path = folder / FOLDER / f"{prefix}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    _make(path)
    try:
        with open(path / f"{LOCK}.new", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.rename(lock.name, path / LOCK)  # locked by the time that somebody can look whether it is
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)
    finally:
        with suppress(OSError):  # others may be at work below it
            path.parent.rmdir()


def remove_stale(folder: Path) -> int:
    """Remove the temporary folders whose owners are no more, on whatever machine they ran. Returns how many."""
    removed = 0
    for path in (folder / FOLDER).glob("*"):
        if _is_stale(path):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    with suppress(OSError):
        (folder / FOLDER).rmdir()
    return removed


def is_worked_in(folder: Path, but: Path | None = None) -> bool:
    """Whether somebody who lives, on whatever machine, has a temporary folder below `folder`. but: ours."""
    return any(path != but and not _is_stale(path) for path in (folder / FOLDER).glob("*"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """A small file, whole or not at all, by one writer at a time."""
    made = path.with_name(f"{path.name}.new")
    made.write_text(json.dumps(value), encoding="utf-8")
    os.replace(made, path)


def _make(path: Path) -> None:
    for _ in range(100):
        with suppress(FileNotFoundError):  # another process removed the parent, empty, in between
            path.mkdir(parents=True)
            return
    path.mkdir(parents=True)


def _is_stale(path: Path) -> bool:
    try:
        with open(path / LOCK, encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except OSError:
        with suppress(OSError):
            return time.time() - path.stat().st_mtime > GRACE
        return False
