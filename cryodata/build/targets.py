"""Where versions are published to: a folder, or a bucket. Objects appear whole; a manifest is created once."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cryodata.build.published import Item
from cryodata.build.workspace import remove_stale, temporary_folder
from cryodata.core.layout import version_key
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats.bucket import PART, Bucket, Creation, Mark, Pieces, digest_in, expected_e_tag, is_md5, is_md5_of
from cryodata.formats.cache import Fill
from cryodata.formats.latest import LATEST, latest_bytes, named_version, point_latest
from cryodata.formats.manifest import MAX_MANIFEST_BYTES, read_manifest
from cryodata.formats.naming import named_once
from cryodata.formats.partial import remove_note
from cryodata.formats.places import is_remote, place_of
from cryodata.formats.tables import file_digest

LARGE_AT_ONCE = 4
"objects in parts that are sent at a time: each has parts of its own under way"

TRIES = 20
"attempts to replace a hint that others replace, too"


class Target(Protocol):
    """The folder of one dataset, wherever it is, as a publisher sees it."""

    conditional: bool
    "whether it refuses to create what is there"

    def find(self, items: Sequence[Item]) -> dict[str, Mark]:
        """What is there of some objects, by path."""

    def compared(self, item: Item, mark: Mark, pieces: Pieces) -> str:
        """How an object that is there was found to be the right one: sha256, md5 or size; empty if it is another."""

    def put(self, item: Item, pieces: Pieces) -> None:
        """Write an object; it appears whole."""

    def create(self, path: str, raw: bytes) -> Creation:
        """Write a small object that is not there."""

    def read(self, path: str) -> bytes | None:
        """A small object; None if there is none."""

    def is_whole(self, version: str) -> None:
        """Every object of a version is there, whatever was known of a partial copy."""

    def point_latest(self) -> str | None:
        """Let the hint name the highest version; never a lower one than it did. Returns what it names."""


class LocalTarget:
    """A folder of this machine, or one that machines share."""

    conditional = True

    def __init__(self, folder: Path, temporary: Path) -> None:
        self.folder = folder
        self.temporary = temporary

    def find(self, items: Sequence[Item]) -> dict[str, Mark]:
        """What is there of some objects."""
        found = {}
        for item in items:
            path = self.folder / item.path
            if path.is_file() and not path.is_symlink():
                found[item.path] = Mark(path.stat().st_size, "", "")
        return found

    def compared(self, item: Item, mark: Mark, pieces: Pieces) -> str:
        """By its sha256."""
        return "sha256" if file_digest(self.folder / item.path, item.path) == tuple(item) else ""

    def put(self, item: Item, pieces: Pieces) -> None:
        """Write a file beside it, then move it into its place."""

        def fill(file: int) -> tuple[int, str]:
            for piece in pieces():
                view = memoryview(piece)
                while view:
                    view = view[os.write(file, view) :]
            return item.size, item.sha256

        self.fill(item, fill)

    def fill(self, item: Item, fill: Fill) -> None:
        """As `put`, for what writes over a file by itself. DatasetError if that is not the object."""
        made, target = self.temporary / secrets.token_hex(8), self.folder / item.path
        file = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            size, sha256 = fill(file)
            if (size, sha256) != (item.size, item.sha256):
                raise DatasetError(
                    f"{item.path}: {size:,} bytes with sha256 {sha256}; expected {item.size:,} with {item.sha256}"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(made, target)
        finally:
            os.close(file)
            made.unlink(missing_ok=True)

    def create(self, path: str, raw: bytes) -> Creation:
        """A name for a finished file, unless it is taken."""
        made, target = self.temporary / secrets.token_hex(8), self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(raw)
        return Creation.MADE if named_once(made, target) else Creation.THERE

    def read(self, path: str) -> bytes | None:
        """A small file."""
        try:
            return read_manifest(self.folder / path)
        except FileNotFoundError:
            return None

    def is_whole(self, version: str) -> None:
        """The note that said otherwise goes."""
        remove_note(self.folder, version)

    def point_latest(self) -> str | None:
        """Under a lock."""
        return point_latest(self.folder, self.temporary / "latest")


class BucketTarget:
    """Objects below a URL."""

    def __init__(self, url: str) -> None:
        self.bucket = Bucket(url)
        self.conditional = True
        self._digests = True
        self._large = threading.BoundedSemaphore(LARGE_AT_ONCE)

    def probe(self, single_publisher: bool) -> None:
        """Try what the store promises. UsageError if it ignores conditions and others may publish, too."""
        self.conditional, self._digests = self.bucket.keeps_conditions()
        if not self.conditional and not single_publisher:
            raise UsageError(
                f"{self.bucket.url}: the store ignores conditions (If-None-Match, If-Match): two publishers could "
                "overwrite each other's versions; if nobody else publishes there meanwhile, add --single-publisher"
            )

    def look(self) -> None:
        """What `probe` finds out of ETags, without writing: from the hint, if there is one. UsageError if there is no
        such bucket."""
        self.bucket.listed("versions/")
        try:
            raw, mark = self.bucket.read(LATEST, MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            return
        self._digests = is_md5_of(mark, raw)

    def find(self, items: Sequence[Item]) -> dict[str, Mark]:
        """What the store lists, with its ETags."""
        folders = {f"{item.path.partition('/')[0]}/" if item.volume else item.path.rpartition("/")[0] for item in items}
        listed = {path: mark for folder in sorted(folders) for path, mark in self.bucket.listed(folder).items()}
        return {item.path: listed[item.path] for item in items if item.path in listed}

    def compared(self, item: Item, mark: Mark, pieces: Pieces) -> str:
        """By the MD5 in the ETag, against bytes of this machine, which are hashed meanwhile; else by size alone."""
        if not self._digests or not is_md5(mark.e_tag, item.size):
            return "size"
        found = digest_in(mark.e_tag)
        return "md5" if found == expected_e_tag(found, item.size, pieces()) else ""

    def put(self, item: Item, pieces: Pieces) -> None:
        """In one request, or in parts."""
        if item.size <= PART:
            self.bucket.put(item.path, item.size, pieces)
            return
        with self._large:
            self.bucket.put(item.path, item.size, pieces)

    def create(self, path: str, raw: bytes) -> Creation:
        """By a condition; in a store that ignores those, after a look."""
        if self.conditional:
            return self.bucket.create(path, raw)
        if self.read(path) is not None:
            return Creation.THERE
        self.bucket.put(path, len(raw), lambda: iter([raw]))
        return Creation.MADE

    def read(self, path: str) -> bytes | None:
        """A small object."""
        try:
            return self.bucket.read(path, MAX_MANIFEST_BYTES)[0]
        except FileNotFoundError:
            return None

    def is_whole(self, version: str) -> None:
        """Nobody notes anything else of a bucket."""

    def point_latest(self) -> str | None:
        """By compare and set."""
        for _ in range(TRIES):
            versions = place_of(*self.bucket.url.rsplit("/", 1)).versions()
            if not versions or self._set_latest(versions[-1]):
                return versions[-1] if versions else None
        raise CryodataError(f"{self.bucket.url}/{LATEST}: others replaced it {TRIES} times meanwhile; try again")

    def _set_latest(self, version: str) -> bool:
        """One attempt; False if somebody else was faster."""
        raw = latest_bytes(version)
        try:
            found, mark = self.bucket.read(LATEST, MAX_MANIFEST_BYTES)
        except FileNotFoundError:
            return self.create(LATEST, raw) is Creation.MADE
        named = named_version(found)
        if named is not None and version_key(named) >= version_key(version):
            return True
        if self.conditional:
            return self.bucket.replace(LATEST, raw, mark)
        self.bucket.put(LATEST, len(raw), lambda: iter([raw]))
        return self.read(LATEST) == raw


@contextmanager
def opened_target(root: str, name: str, dry_run: bool, single_publisher: bool) -> Iterator[Target]:
    """The place of a dataset below a normal root, ready to be written, or with `dry_run` only looked at."""
    if is_remote(root):
        bucket = BucketTarget(f"{root}/{name}")
        if dry_run:
            bucket.look()
        else:
            bucket.probe(single_publisher)
        yield bucket
    elif dry_run:
        yield LocalTarget(Path(root) / name, Path(os.devnull))
    else:
        remove_stale(Path(root) / name)
        with temporary_folder(Path(root) / name) as temporary:
            yield LocalTarget(Path(root) / name, temporary)
