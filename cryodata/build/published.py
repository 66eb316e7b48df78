"""What of a version is published: its tables and its volumes; never receipts, provenance or sources."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import NamedTuple, TypeVar

from cryodata.build.verify_tables import read_objects
from cryodata.core.layout import manifest_path, safe_relative
from cryodata.errors import DatasetError
from cryodata.formats.places import Place
from cryodata.formats.tables import VOLUME_PLACE
from cryodata.formats.versions import DatasetVersion

TABLES_PLACE = re.compile(r"tables/[0-9a-f]{12}")
INSIDE = re.compile(r"(?!\.\.?/)[A-Za-z0-9._-]+(/(?!\.\.?(/|$))[A-Za-z0-9._-]+)*")
"a path inside a volume or a folder of tables"

SHA256 = re.compile(r"[0-9a-f]{64}")

PIECE = 1 << 20

THREADS = 16
"requests at a time: an answer takes tens of milliseconds, and most objects are small"

T = TypeVar("T")
R = TypeVar("R")


class Item(NamedTuple):
    """An object of a version."""

    path: str
    size: int
    sha256: str

    @property
    def volume(self) -> str:
        """The volume that it is of; empty for tables."""
        folder, suffix, _ = self.path.partition(".zarr/")
        return f"{folder}.zarr" if suffix else ""


def published_items(opened: DatasetVersion) -> list[Item]:
    """Every object of a version but its manifest, sorted by path.

    Raises DatasetError for tables that can't be read, and for an object in a place where a version has none.
    """
    manifest = opened.manifest
    if not TABLES_PLACE.fullmatch(manifest.tables):
        raise DatasetError(f"the manifest has its tables in '{manifest.tables[:80]}'; expected tables/<12 digits>")
    items = [Item(f"{manifest.tables}/{name}", file.bytes, file.sha256) for name, file in manifest.files.items()]
    known = {item.path: item for item in items}
    for path, (size, sha256) in read_objects(opened).items():
        item = Item(path, size, sha256)
        if known.setdefault(path, item) != item:
            raise DatasetError(f"{path}: the manifest and objects.parquet say different things of it")
    for item in known.values():
        folder, _, inside = safe_relative(item.path).partition(".zarr/" if item.volume else f"{manifest.tables}/")
        right = VOLUME_PLACE.fullmatch(item.volume) if item.volume else not folder
        if not right or not INSIDE.fullmatch(inside) or not SHA256.fullmatch(item.sha256):
            raise DatasetError(f"'{item.path[:200]}' is no object that a version can have; do not trust the dataset")
    return sorted(known.values())


def manifest_bytes(opened: DatasetVersion) -> bytes:
    """The manifest as it was read when the version was opened. DatasetError if it is another by now."""
    raw = opened.place.manifest(opened.manifest.version, opened.sha256)
    if hashlib.sha256(raw).hexdigest() != opened.sha256:
        raise DatasetError(f"{manifest_path(opened.manifest.version)}: changed while it was read in {opened.place}")
    return raw


def check_sizes(place: Place, items: Sequence[Item]) -> None:
    """DatasetError, with the first faults, unless every object is there and as long as it should be."""
    faults = []
    for item in items:
        try:
            place.check(item.path, item.size)
        except DatasetError as error:
            faults.append(str(error))
    if faults:
        raise DatasetError(
            f"{len(faults):,} of {len(items):,} objects in {place} are missing or damaged: {'; '.join(faults[:3])}; "
            "`cryodata verify --repair` makes them again"
        )


def pieces_of(place: Place, item: Item) -> Callable[[], Iterator[bytes]]:
    """Gives the bytes of an object. The last ones come only when all proved to be those that were hashed, so that
    nothing damaged is ever complete where it is written to. Raises DatasetError, then, if they are others."""

    def pieces() -> Iterator[bytes]:
        digest, held, done = hashlib.sha256(), b"", 0
        with place.open(*item) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                done += len(piece)
                if held:
                    yield held
                held = piece
        if (done, digest.hexdigest()) != (item.size, item.sha256):
            raise DatasetError(
                f"{item.path}: {done:,} bytes with sha256 {digest.hexdigest()} in {place}; expected {item.size:,} with "
                f"{item.sha256}; `cryodata verify --repair` makes it again"
            )
        yield held

    return pieces


def in_parallel(action: Callable[[T], R], items: Iterable[T], threads: int = THREADS) -> Iterator[R]:
    """Results of an action, as they come. The first error ends it: what runs is waited for, the rest is not begun."""
    coming = iter(items)
    pool = ThreadPoolExecutor(threads)
    try:
        running: set[Future[R]] = {pool.submit(action, item) for item in islice(coming, 2 * threads)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            running |= {pool.submit(action, item) for item in islice(coming, len(done))}
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
