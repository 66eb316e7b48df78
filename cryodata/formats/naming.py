"""A name for a finished file that nobody else gives, and that never shows half a file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from cryodata.formats.locks import is_at, locked

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"what a file system says that has no hard links: exFAT and FAT, some network and cloud folders"


def named_once(made: Path, target: Path) -> bool:
    """Move a file to a name on the same file system, unless that is taken; False then. `made` is gone in any case.

    By a hard link, which fails in one step where the name is taken; without those by a rename, under a lock.
    """
    try:
        os.link(made, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        return _renamed(made, target)
    finally:
        made.unlink(missing_ok=True)
    return True


def _renamed(made: Path, target: Path) -> bool:
    lock = target.with_name(f".{target.name}.lock")
    while True:
        with locked(lock) as file:
            if not is_at(file, lock):
                continue  # its last owner took it away
            try:
                if os.path.lexists(target):
                    return False
                os.rename(made, target)
                return True
            finally:
                lock.unlink()
