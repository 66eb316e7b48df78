"""Temporary folders that show whose they are, so that a later run can clear what a killed one left."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FOLDER = ".tmp"
"below the dataset's folder, so that a finished file is moved into place by a rename"


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """A new empty folder of this process below `folder`, removed at the end whatever happens."""
    path = folder / FOLDER / f"{socket.gethostname()}-{os.getpid()}-{_start_of(os.getpid())}-{secrets.token_hex(4)}"
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        with suppress(OSError):  # others may be at work below it
            path.parent.rmdir()


def remove_stale(folder: Path) -> int:
    """Remove the temporary folders of processes of this machine that are no more. Returns how many."""
    removed = 0
    for path in (folder / FOLDER).glob("*"):
        host, owner, start, _ = ("", "", "", *path.name.rsplit("-", 3))[-4:]
        if host == socket.gethostname() and owner.isdigit() and _start_of(int(owner)) != start:
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    with suppress(OSError):
        (folder / FOLDER).rmdir()
    return removed


def _start_of(pid: int) -> str:
    """When a process started, in ticks since boot, so that a reused number is not mistaken for the owner; `gone` if
    there is no such process, `0` where the system does not tell."""
    try:
        # proc(5): the name in parentheses may hold blanks; the start time is field 22
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return "gone"
    except (OSError, IndexError):
        return "0"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "gone"
    except OSError:
        pass
    return "0"
