"""Tar archives (POSIX ustar) whose bytes follow from their members alone: no time, no owner."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

MODE = 0o644


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write an archive of (name, content) in their order; in memory for one."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)  # made in 1970 by nobody, unless it is told otherwise
            member.size, member.mode = len(content), MODE
            archive.addfile(member, io.BytesIO(content))
