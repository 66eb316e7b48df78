"""Objects from afar, kept on this machine by their sha256, within a limit; shared by every process of a user.

    FOLDER/CACHEDIR.TAG            says that the folder is ours; without it nothing is written or deleted
    FOLDER/ab/ab12...              an object, named by the sha256 of its bytes after they were verified
    FOLDER/ab/ab12....part         one that is being fetched; whoever fetches holds its lock
    FOLDER/ab/ab12....made         what was computed from objects, by the hash of what was asked; begins with its sha256
    FOLDER/lock                    held while room is made

A file of any other name is not ours: it is neither counted nor touched. Locks are `flock`s, which the system lets go
when their owner dies. An object that is in use by its path is locked too, and never evicted; one that is only read may
be: an open file outlives its name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.locks import is_at, locked, unlink_unlocked
from cryodata.formats.naming import named_once

DEFAULT_FOLDER = "~/.cache/cryodata/.objects"
"no dataset can have this name"

DEFAULT_BYTES = 20 << 30
MARKER = "CACHEDIR.TAG"
TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# objects of cryodata, named by sha256; may be deleted\n"
"the first line tells backup programs that this is a cache (bford.info/cachedir)"

KEPT = 0.9
"share of the limit that is left when room was made, so that not every object makes room anew"

SHARE = 16
"a process fills at most this part of the free room before it counts again: others fill it too"

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWN = re.compile(r"[0-9a-f]{64}(\.made)?(\.part)?")

Fill = Callable[[int], tuple[int, str]]
"writes the object over a file, by its descriptor; returns bytes and sha256; raises DatasetError"


class Cache:
    """A folder of verified objects."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._room = 0

    @classmethod
    def of_environment(cls) -> Cache:
        """The cache that CRYODATA_CACHE and CRYODATA_CACHE_BYTES describe."""
        size = os.environ.get("CRYODATA_CACHE_BYTES") or str(DEFAULT_BYTES)
        if not re.fullmatch("[0-9]{1,18}", size):
            raise UsageError(f"CRYODATA_CACHE_BYTES='{size}'; expected a whole number of bytes")
        return cls(Path(os.environ.get("CRYODATA_CACHE") or DEFAULT_FOLDER).expanduser().absolute(), int(size))

    def open(self, name: str, size: int, sha256: str, fill: Fill, hold: bool = False) -> FileIO:
        """Open an object for reading, filled in if it is not here. hold: its path stays valid until the file is closed.

        name: for messages. Raises DatasetError if what `fill` gives has another size or hash, and CryodataError,
        saying what to do, if the folder can't be used.
        """
        if not _SHA256.fullmatch(sha256):
            raise DatasetError(f"{name}: '{sha256[:80]}' is no sha256; do not trust the dataset")
        path = self.folder / sha256[:2] / sha256
        with self._usable():
            while (file := _opened(path, size, hold)) is None:
                self._fill(name, path, size, fill)
            return file

    def put(self, name: str, raw: bytes) -> None:
        """Keep a few bytes."""

        def fill(file: int) -> tuple[int, str]:
            os.pwrite(file, raw, 0)
            return len(raw), sha256

        sha256 = hashlib.sha256(raw).hexdigest()
        self.open(name, len(raw), sha256, fill).close()

    def find(self, sha256: str) -> bytes | None:
        """The bytes of a small object, if they are here and are what the hash says."""
        if not _SHA256.fullmatch(sha256):
            return None
        try:
            raw = (self.folder / sha256[:2] / sha256).read_bytes()
        except OSError:
            return None
        return raw if hashlib.sha256(raw).hexdigest() == sha256 else None

    def made(self, key: str) -> bytes | None:
        """What `keep_made` kept under a key; None if it is not here. What was damaged is deleted."""
        path = self._made(key)
        try:
            raw = path.read_bytes()
            if hashlib.sha256(raw[32:]).digest() == raw[:32]:
                os.utime(path)
                return raw[32:]
            path.unlink()
        except OSError:
            pass
        return None

    def keep_made(self, key: str, raw: bytes) -> None:
        """Keep what was computed and can be again. key: a sha256 of what was asked. Raises CryodataError as `open`."""
        path, whole = self._made(key), hashlib.sha256(raw).digest() + raw
        with self._usable():
            self._write(path.name, path, len(whole), lambda file: os.pwrite(file, whole, 0))

    def _made(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.made"

    def _fill(self, name: str, path: Path, size: int, fill: Fill) -> None:
        """Fetch an object, unless another process just did."""

        def checked(file: int) -> None:
            found, sha256 = fill(file)
            if (found, sha256) != (size, path.name):
                raise DatasetError(f"{name}: {found:,} bytes with sha256 {sha256}; expected {size:,} with {path.name}")

        self._write(name, path, size, checked)

    def _write(self, name: str, path: Path, size: int, write: Callable[[int], object]) -> None:
        """Make a file under its final name once it is whole, unless another process just did."""
        self._claim()
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with locked(part) as file:
            if not is_at(file, part):
                return
            if _is_whole(path, size):
                part.unlink()
                return
            try:
                self._make_room(name, size, file)
                write(file)
                os.rename(part, path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def _claim(self) -> None:
        """Make the folder ours if it is new or empty. UsageError if it holds something else."""
        marker = self.folder / MARKER
        if _begins_with(marker, TAG):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        foreign = sorted(name for name in os.listdir(self.folder) if not name.startswith(MARKER))
        if foreign or (marker.exists() and not _begins_with(marker, TAG)):
            raise UsageError(
                f"CRYODATA_CACHE={self.folder} holds other files, such as {(foreign or [MARKER])[0]}; "
                "name a folder that is new or empty"
            )
        draft = self.folder / f"{MARKER}.{os.getpid()}-{secrets.token_hex(4)}"
        draft.write_bytes(TAG)
        named_once(draft, marker)  # unless another process was faster

    def _make_room(self, name: str, size: int, file: int) -> None:
        """Delete objects, those used least recently first, until one of this size fits; `file` takes the room."""
        if size > self.limit:
            raise UsageError(f"{name}: {size:,} bytes; the cache takes {self.limit:,}: raise CRYODATA_CACHE_BYTES")
        if size <= self._room:
            self._room -= size
            os.ftruncate(file, size)
            return
        with locked(self.folder / "lock"):
            found = sorted(self._own())
            used = sum(length for _, length, _ in found)
            wanted = self.limit if used + size <= self.limit else int(KEPT * self.limit)
            for _, length, path in found:
                if used + size <= max(wanted, size):
                    break
                used -= length if unlink_unlocked(path) else 0
            if used + size > self.limit:
                raise CryodataError(
                    f"{self.folder}: {used:,} bytes of the {self.limit:,} are in use and {size:,} more are needed for "
                    f"{name}: raise CRYODATA_CACHE_BYTES"
                )
            os.ftruncate(file, size)  # others count it from now on
        self._room = (self.limit - used - size) // SHARE

    def _own(self) -> Iterator[tuple[int, int, str]]:
        """Last use, bytes and path of each file of ours. Links are not followed."""
        for folder in os.scandir(self.folder):
            if not re.fullmatch("[0-9a-f]{2}", folder.name) or not folder.is_dir(follow_symlinks=False):
                continue
            for item in os.scandir(folder.path):
                if _OWN.fullmatch(item.name) and item.name[:2] == folder.name and item.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        status = item.stat(follow_symlinks=False)
                        yield status.st_mtime_ns, status.st_size, item.path

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """What the system refuses becomes an error that says which folder, and what to do."""
        try:
            yield
        except OSError as error:
            raise CryodataError(
                f"{self.folder}: the cache can't be written ({error.strerror}); make room there, or let CRYODATA_CACHE "
                "name another folder"
            ) from None


def _opened(path: Path, size: int, hold: bool) -> FileIO | None:
    """The file, marked as used just now; None if it is not there, or not whole."""
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - the caller's
    except FileNotFoundError:
        return None
    if hold:
        fcntl.flock(file, fcntl.LOCK_SH)
    if os.fstat(file.fileno()).st_size != size or not is_at(file.fileno(), path):
        file.close()
        return None
    with suppress(OSError):  # a cache that may only be read serves all the same
        os.utime(file.fileno())
    return file


def _is_whole(path: Path, size: int) -> bool:
    try:
        return os.lstat(path).st_size == size
    except FileNotFoundError:
        return False


def _begins_with(path: Path, text: bytes) -> bool:
    try:
        return path.read_bytes()[: len(text)] == text
    except FileNotFoundError:
        return False
