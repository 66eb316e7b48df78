"""Where a dataset lies: a folder of this machine, or below a URL. Both open the same objects in the same way."""

from __future__ import annotations

import os
import stat
import tempfile
import weakref
from collections import deque
from contextlib import suppress
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from cryodata.core.layout import DATASET_NAME, is_version, manifest_path, version_key
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.cache import Cache
from cryodata.formats.latest import LATEST, named_version
from cryodata.formats.manifest import MAX_MANIFEST_BYTES, list_versions, read_manifest
from cryodata.formats.packed import Objects
from cryodata.formats.store import SCHEMES, Store

PARTIAL = "partial"
"folder of notes on versions of which a folder holds only some volumes"

FETCHES = 8
"requests at a time; a store that answers in 20 ms and sends 100 MB/s each is then waited for a tenth of the time"

HELD = 64
"files from afar that a place holds at a time, each by a descriptor: a process has 1,024 of these as a rule"


class Place(Protocol):
    """The folder of one dataset, wherever it is. Paths are relative to it and known to stay below it."""

    def versions(self) -> list[str]:
        """Versions, lowest first; where nothing can be listed, the one that latest.json names."""

    def manifest(self, version: str, sha256: str | None) -> bytes:
        """Bytes of a manifest; those with this hash are as good if they are at hand. FileNotFoundError if none."""

    def check(self, path: str, size: int) -> None:
        """DatasetError unless there is an object of this size."""

    def open(self, path: str, size: int, sha256: str) -> FileIO:
        """Open an object for reading. DatasetError if it is missing or of another size; from afar, of another hash."""

    def hold(self, path: str, size: int, sha256: str) -> Path:
        """A file with the bytes of an object, valid until HELD others were asked for, and no longer than this place is
        referred to. Raises as `open` does."""


class LocalPlace:
    """A folder of this machine. Objects are opened where they are; nobody copies or hashes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def versions(self) -> list[str]:
        """Versions, lowest first."""
        return list_versions(self.folder)

    def manifest(self, version: str, sha256: str | None) -> bytes:
        """Bytes of a manifest."""
        return read_manifest(self.folder / manifest_path(version))

    def check(self, path: str, size: int) -> None:
        """DatasetError unless there is a file of this size inside the folder."""
        self.hold(path, size, "")

    def open(self, path: str, size: int, sha256: str) -> FileIO:
        """Open a file; checked as `hold` does."""
        return open(self.hold(path, size, sha256), "rb", buffering=0)

    def hold(self, path: str, size: int, sha256: str) -> Path:
        """A file that may be opened: inside the folder, links followed, and as long as it should be.

        Raises DatasetError if it is missing, leads out, is a pipe or device, or has another size.
        """
        file = self.folder / path
        try:
            found = file.stat()
        except OSError as error:
            hint = "; the copy is partial: `cryodata pull` adds to it" if (self.folder / PARTIAL).is_dir() else ""
            raise DatasetError(f"{path}: {error.strerror}; expected {size:,} bytes in {self.folder}{hint}") from None
        if not file.resolve().is_relative_to(self.folder.resolve()):
            raise DatasetError(f"{path}: a link that leads out of {self.folder}; do not trust the dataset")
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise DatasetError(f"{path}: {found.st_size:,} bytes; expected a file of {size:,}")
        return file


class RemotePlace:
    """A dataset below a URL. Objects are fetched whole into the cache, verified, and opened there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._store = Store(url)
        self._objects = Objects(self._store)
        self._held: deque[FileIO] = deque()
        weakref.finalize(self, _close_all, self._held)

    def __str__(self) -> str:
        return self.url

    @cached_property
    def _cache(self) -> Cache:
        return Cache.of_environment()

    def versions(self) -> list[str]:
        """Versions, lowest first; over http, the one that latest.json names."""
        names = self._store.names("versions/")
        if names is not None:
            found = (name.removesuffix(".json") for name in names if name.endswith(".json"))
            return sorted((version for version in found if is_version(version)), key=version_key)
        try:
            latest = named_version(self._small(LATEST))
        except FileNotFoundError:
            return []
        if latest is None:
            raise DatasetError(f"{self.url}/{LATEST}: names no version")
        return [latest]

    def manifest(self, version: str, sha256: str | None) -> bytes:
        """Bytes of a manifest; it is kept, so that workers, which know its hash, do not fetch it again."""
        path = manifest_path(version)
        if sha256 is not None:
            kept = self._cache.find(sha256)
            if kept is not None:
                return kept
        raw = self._small(path)
        self._cache.put(path, raw)
        return raw

    def check(self, path: str, size: int) -> None:
        """DatasetError unless there is an object of this size."""
        try:
            found = self._objects.size(path)
        except FileNotFoundError:
            raise DatasetError(f"{path}: missing at {self.url}; expected {size:,} bytes") from None
        if found != size:
            raise DatasetError(f"{path}: {found:,} bytes at {self.url}; expected {size:,}")

    def open(self, path: str, size: int, sha256: str) -> FileIO:
        """Open an object in the cache."""
        return self._open(path, size, sha256, hold=False)

    def hold(self, path: str, size: int, sha256: str) -> Path:
        """Path of an object in the cache, which will not be evicted before HELD others are held."""
        file = self._open(path, size, sha256, hold=True)
        self._held.append(file)
        with suppress(IndexError):  # another thread was faster
            while len(self._held) > HELD:
                self._held.popleft().close()
        return Path(file.name)

    def _open(self, path: str, size: int, sha256: str, hold: bool) -> FileIO:
        def fill(file: int) -> tuple[int, str]:
            try:
                return self._objects.copy(path, file, size)
            except FileNotFoundError:
                raise DatasetError(
                    f"{path}: missing at {self.url}; expected {size:,} bytes with sha256 {sha256}"
                ) from None

        return self._cache.open(f"{self.url}/{path}", size, sha256, fill, hold)

    def _small(self, path: str) -> bytes:
        with tempfile.TemporaryFile() as file:
            self._store.copy(path, file.fileno(), MAX_MANIFEST_BYTES)
            file.seek(0)
            return file.read()


def normal_root(root: str | os.PathLike[str]) -> str:
    """A root as it is written down: an absolute path, or a URL without a slash at its end.

    Raises UsageError for a URL that no store has, or that carries a password.
    """
    text = os.fspath(root)
    if "://" not in text:
        return str(Path(text).expanduser().resolve())
    parts = urlsplit(text)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return str(Path(unquote(parts.path)).resolve())
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"a root at {parts.scheme}://{parts.hostname} may have no user, password, '?' or '#' in it: it is written "
            "into datasets and messages; credentials belong into the environment"
        )
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise UsageError(f"'{text}' is no root; expected a folder or a URL of file, {', '.join(SCHEMES)}")
    return text.rstrip("/")


def is_remote(root: str) -> bool:
    """Is a normal root one below a URL?"""
    return "://" in root


def place_of(root: str, name: str) -> Place:
    """Where a dataset of a normal root lies."""
    return RemotePlace(f"{root}/{name}") if is_remote(root) else LocalPlace(Path(root) / name)


def list_datasets(root: str) -> dict[str, list[str]]:
    """Versions of every dataset below a normal root, lowest first. UsageError if it can't be listed."""
    if not is_remote(root):
        names = [folder.name for folder in sorted(Path(root).glob("*")) if folder.is_dir()]
    else:
        listed = Store(root).names("")
        if listed is None:
            raise UsageError(f"{root}: what lies below an http address can't be listed; name a dataset: cryodata info")
        names = [name for name in listed if DATASET_NAME.fullmatch(name)]
    found = {name: place_of(root, name).versions() for name in names}
    return {name: versions for name, versions in found.items() if versions}


def _close_all(held: deque[FileIO]) -> None:
    for file in held:
        file.close()
