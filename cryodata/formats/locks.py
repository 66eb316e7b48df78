"""Files that one process at a time has locked; the system lets go of a lock when its owner dies (flock)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.02
"seconds between looks at a lock that another process has"


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """A file of ours, made if it is not there, locked; waits for another owner, but not if it lost its name meanwhile:
    a part that became an object may be held for as long as a process lives."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        while not lock_now(file) and is_at(file, path):
            time.sleep(POLL)
        yield file
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)  # a process that was forked meanwhile has the file open, too
        os.close(file)


def lock_now(file: int) -> bool:
    """Lock a file for this process alone, if nobody else has it locked."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(file: int, path: str | Path) -> bool:
    """Does an open file still have this name?"""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except FileNotFoundError:
        return False


def unlink_unlocked(path: str) -> bool:
    """Delete a file; False if another process has it locked."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return True
    try:
        if not lock_now(file):
            return False
        if is_at(file, path):
            os.unlink(path)
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
    return True
