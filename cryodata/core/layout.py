"""Where the parts of a dataset lie below its root; pure rules on relative paths."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from cryodata.errors import DatasetError

FORMAT_VERSION = 2
"of what is written; 2: density from 0 to 1 may be stored as numbers of steps, with a scale factor"

READABLE_FORMATS = (1, 2)

CHECKSUM = "checksum"
"key of the checksum in a JSON file that nothing else hashes"

NAME_DIGITS = 12
"hexadecimal digits of a content hash that name a folder"

DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")

FileDigest = tuple[str, int, str]
"path relative to its folder (with /), bytes, sha256"


def volume_path(entry_id: str, digest: str) -> str:
    """Folder of a volume, spread over 256 folders by its content."""
    return f"volumes/{digest[:2]}/{entry_id}-{digest}.zarr"


def tables_path(digest: str) -> str:
    """Folder of the tables of a version."""
    return f"tables/{digest}"


def manifest_path(version: str) -> str:
    """Manifest of a version."""
    return f"versions/{version}.json"


def version_key(version: str) -> tuple[int, int, int]:
    """Sort key of a version such as 0.1.0. Raises ValueError for anything else."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"'{version}' is no version; expected three numbers such as 0.1.0")
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def is_version(text: str) -> bool:
    """Is it three numbers such as 0.1.0?"""
    return VERSION.fullmatch(text) is not None


def tree_digest(files: Iterable[FileDigest]) -> str:
    """Name of a folder by its content: sha256 over its sorted (path, sha256), its first digits."""
    digest = hashlib.sha256()
    for path, _, sha256 in sorted(files):
        digest.update(f"{path}\0{sha256}\n".encode())
    return digest.hexdigest()[:NAME_DIGITS]


def canonical_json(value: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def sealed(value: Mapping[str, Any]) -> bytes:
    """Canonical JSON, one line, with a checksum of all else. Its keys are text throughout."""
    return canonical_json({**value, CHECKSUM: checksum(value)}) + b"\n"


def checksum(value: Mapping[str, Any]) -> str:
    """What `sealed` adds to a value without it: sha256 of its canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def parse_json(raw: bytes) -> Any:
    """The value of a JSON text. ValueError if it is none, or if it has two values for one key: readers would differ
    in which of them they believe."""
    return json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_number)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice[:80]}' is there twice")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def safe_relative(path: str) -> str:
    """The path itself if it stays below its root; DatasetError for anything that could lead elsewhere."""
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or "\\" in path or "\0" in path or ":" in path or ".." in parts:
        raise DatasetError(f"path '{path[:200]}' in a dataset leads out of its folder; do not trust the dataset")
    return path
