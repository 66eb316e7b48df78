"""`latest.json` of a dataset: a hint which version is the highest, for those who can't list."""

from __future__ import annotations

import os
from pathlib import Path

from cryodata.core.layout import canonical_json, parse_json, version_key
from cryodata.formats.locks import is_at, locked
from cryodata.formats.manifest import list_versions

LATEST = "latest.json"
LOCK = ".latest.lock"


def latest_bytes(version: str) -> bytes:
    """The file that names a version."""
    return canonical_json({"version": version}) + b"\n"


def named_version(raw: bytes) -> str | None:
    """The version that the file names; None if it names none."""
    try:
        version = parse_json(raw)["version"]
        version_key(version)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return str(version)


def point_latest(folder: Path, temporary: Path) -> str | None:
    """Let the hint of a local dataset name its highest version, one process at a time, so that nobody who looked
    earlier writes later. temporary: a file on the same file system to write first. Returns the version."""
    while True:
        with locked(folder / LOCK) as lock:
            if not is_at(lock, folder / LOCK):
                continue  # its last owner took it away
            try:
                version = next(reversed(list_versions(folder)), None)
                if version is not None:
                    temporary.write_bytes(latest_bytes(version))
                    os.replace(temporary, folder / LATEST)
                return version
            finally:
                (folder / LOCK).unlink()
