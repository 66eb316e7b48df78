"""Copy a version from any root into a folder: verified by hash, resumed object by object, whole or in part."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryodata.build.publish import Observe, check_same, commit
from cryodata.build.published import Item, in_parallel, manifest_bytes, pieces_of, published_items
from cryodata.build.subset import Subset, chosen_entries
from cryodata.build.targets import LocalTarget
from cryodata.build.workspace import remove_stale, temporary_folder
from cryodata.core.layout import manifest_path
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.cache import Fill
from cryodata.formats.packed import Objects
from cryodata.formats.partial import held_volumes, read_note, remove_note, write_note
from cryodata.formats.places import is_remote
from cryodata.formats.store import Store
from cryodata.formats.versions import DatasetVersion

SPARE = 256 << 20
"bytes of disk that stay free"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a copy did."""

    folder: Path
    created: bool
    "False if the version was there already, in part or whole"

    fetched: Mapping[str, int]
    "bytes of what was not there, by path"

    kept: int
    "objects that were there, by their sha256"

    volumes: tuple[int, int]
    "volumes that the copy holds, and that the version has"

    seconds: float


def pull(
    opened: DatasetVersion, to: Path, subset: Subset | None = None, observe: Observe = lambda done, total: None
) -> Pulled:
    """Copy a version into `to`/NAME. Of a subset there are all tables, but only its volumes; what an earlier pull
    brought stays.

    Raises UsageError for a split or id that is not there, or if the folder has another result of this version;
    DatasetError if an object is missing or not what was published; OSError if it does not fit on the disk.
    """
    began, folder, version = time.monotonic(), to / opened.manifest.name, opened.manifest.version
    items = published_items(opened)
    volumes = frozenset(item.volume for item in items if item.volume)
    wanted = frozenset(chosen_entries(opened, subset or Subset())["volume"].to_pylist()) & volumes
    _check_held(opened, wanted)
    mine = [item for item in items if not item.volume or item.volume in wanted]
    remove_stale(folder)
    with temporary_folder(folder) as temporary:
        target, path, raw = LocalTarget(folder, temporary), manifest_path(version), manifest_bytes(opened)
        there, held = target.read(path), frozenset[str]()
        check_same(there, raw, opened, str(to))
        if there is not None:
            noted = read_note(folder, opened.manifest)
            held = volumes if noted is None else noted
        elif wanted < volumes:
            write_note(folder, version, wanted, temporary / "note")
        else:
            remove_note(folder, version)
        fetched, kept = _fetch(opened, mine, target, observe)
        commit(target, path, raw, opened, str(to))
        held |= wanted
        if held == volumes:
            remove_note(folder, version)
        else:
            write_note(folder, version, held, temporary / "note")
        target.point_latest()
    took = time.monotonic() - began
    return Pulled(folder, there is None, fetched, kept, (len(held), len(volumes)), took)


def _check_held(opened: DatasetVersion, wanted: frozenset[str]) -> None:
    """A partial copy can't give what it does not have."""
    held = held_volumes(opened)
    missing = sorted(wanted - held) if held is not None else []
    if missing:
        raise UsageError(
            f"{opened.place} holds {len(held or ())} volumes of {opened.manifest.version}, not {missing[0]} and "
            f"{len(missing) - 1} others: pull them from where the version is whole"
        )


def _fetch(
    opened: DatasetVersion, items: Sequence[Item], target: LocalTarget, observe: Observe
) -> tuple[dict[str, int], int]:
    """Bring what is not there, or is damaged. Returns bytes by path, and how many objects were there."""
    found = target.find(items)
    absent = sum(item.size for item in items if item.path not in found)
    free = shutil.disk_usage(target.folder).free
    if absent + SPARE > free:
        raise OSError(errno.ENOSPC, f"{absent:,} bytes to fetch and {free:,} free, {SPARE:,} of which stay so")
    fill = _filling(opened)

    def bring(item: Item) -> tuple[Item, bool]:
        mark = found.get(item.path)
        pieces = pieces_of(opened.place, item)
        if mark is not None and mark.size == item.size and target.compared(item, mark, pieces):
            return item, False
        if fill is None:
            target.put(item, pieces)
        else:
            target.fill(item, fill(item))
        return item, True

    fetched = dict[str, int]()
    observe(0, len(items))
    for number, (item, new) in enumerate(in_parallel(bring, items), 1):
        if new:
            fetched[item.path] = item.size
        observe(number, len(items))
    return dict(sorted(fetched.items())), len(items) - len(fetched)


def _filling(opened: DatasetVersion) -> Callable[[Item], Fill] | None:
    """How objects come from afar, past the cache: they are kept where they go."""
    if not is_remote(opened.root):
        return None
    url = f"{opened.root}/{opened.manifest.name}"
    objects = Objects(Store(url))

    def of(item: Item) -> Fill:
        def fill(file: int) -> tuple[int, str]:
            try:
                return objects.copy(item.path, file, item.size)
            except FileNotFoundError:
                raise DatasetError(
                    f"{item.path}: missing at {url}; expected {item.size:,} bytes with sha256 {item.sha256}"
                ) from None

        return fill

    return of
