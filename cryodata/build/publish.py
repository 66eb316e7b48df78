"""Publish a version: its objects, then the manifest that refers to them, then the hint which version is the highest.

Names are content, so what is at the target already is not sent again, and a run that was killed goes on. The manifest
comes last and is created, never replaced: whoever can open a version finds every object of it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cryodata.build.differences import compare, step_fault
from cryodata.build.published import Item, check_sizes, in_parallel, manifest_bytes, pieces_of, published_items
from cryodata.build.targets import Target, opened_target
from cryodata.core.layout import manifest_path, version_key
from cryodata.errors import DatasetError, UsageError
from cryodata.formats.bucket import Creation, Mark
from cryodata.formats.manifest import next_version
from cryodata.formats.partial import held_volumes
from cryodata.formats.places import place_of
from cryodata.formats.versions import DatasetVersion, open_version

Observe = Callable[[int, int], None]
"called with objects done and in all"

TRIES = 5
"looks at a manifest that is neither there nor can be created"


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication did, or with `dry_run` would do."""

    target: str
    created: bool
    "False if this very version was there already"

    sent: Mapping[str, int]
    "bytes of what the target lacked, by path; the manifest is not in it"

    replaced: tuple[str, ...]
    "those of them of which the target had other bytes"

    skipped: Mapping[str, int]
    "how many objects were there already, by how they were compared: sha256, md5 or size"

    skipped_bytes: int
    conditional: bool
    "whether the target keeps two publishers apart"

    latest: str | None
    "version that latest.json names"

    seconds: float


def publish(
    opened: DatasetVersion,
    to: str,
    single_publisher: bool = False,
    dry_run: bool = False,
    observe: Observe = lambda done, total: None,
) -> Published:
    """Publish a version that lies in a folder of this machine. to: a normal root.

    Raises UsageError if the version may not be published there: another result has its name, its number promises what
    it does not keep, or the store ignores conditions. Raises DatasetError if an object is missing or damaged here, or
    if the target can't be read or written.
    """
    began, manifest = time.monotonic(), opened.manifest
    if held_volumes(opened) is not None:
        raise UsageError(f"{opened.place} holds a partial copy of {manifest.version}; pull all of it first")
    items, raw, path = published_items(opened), manifest_bytes(opened), manifest_path(manifest.version)
    check_sizes(opened.place, items)
    with opened_target(to, manifest.name, dry_run, single_publisher) as target:
        there = target.read(path)
        if there is None:
            _check_step(opened, to)
        check_same(there, raw, opened, to)
        sent, replaced, skipped = _send(opened, items, target, dry_run, observe)
        created, latest = there is None, None
        if not dry_run:
            _check_arrived(items, target, to)
            created = commit(target, path, raw, opened, to) and there is None
            target.is_whole(manifest.version)
            latest = target.point_latest()
    skipped_bytes = sum(item.size for item in items) - sum(sent.values())
    took = time.monotonic() - began
    return Published(
        f"{to}/{manifest.name}", created, sent, replaced, skipped, skipped_bytes, target.conditional, latest, took
    )


def commit(target: Target, path: str, raw: bytes, opened: DatasetVersion, to: str) -> bool:
    """Create the manifest. Returns False if somebody else made the same version. A lost reply can hide a success, so
    what is there is read back and compared."""
    for _ in range(TRIES):
        creation = target.create(path, raw)
        if creation is Creation.MADE and target.conditional:
            return True
        found = target.read(path)
        if found is not None:
            check_same(found, raw, opened, to)
            return creation is not Creation.THERE
    raise DatasetError(f"{to}/{opened.manifest.name}/{path}: was written {TRIES} times, and can't be read back")


def _send(
    opened: DatasetVersion, items: Sequence[Item], target: Target, dry_run: bool, observe: Observe
) -> tuple[dict[str, int], tuple[str, ...], dict[str, int]]:
    """Bring every object to the target that it lacks: bytes by path, which of them were others, how the rest was
    compared."""
    found = target.find(items)

    def bring(item: Item) -> tuple[Item, str]:
        mark, pieces = found.get(item.path, Mark(-1, "", "")), pieces_of(opened.place, item)
        how = target.compared(item, mark, pieces) if mark.size == item.size else ""
        if not how and not dry_run:
            target.put(item, pieces)
        return item, how

    sent, skipped = dict[str, int](), Counter[str]()
    observe(0, len(items))
    for number, (item, how) in enumerate(in_parallel(bring, items), 1):
        if how:
            skipped[how] += 1
        else:
            sent[item.path] = item.size
        observe(number, len(items))
    return dict(sorted(sent.items())), tuple(sorted(set(sent) & set(found))), dict(skipped)


def _check_arrived(items: Sequence[Item], target: Target, to: str) -> None:
    """Look once more before a manifest says that everything is there."""
    found = target.find(items)
    missing = [item.path for item in items if found.get(item.path, Mark(-1, "", "")).size != item.size]
    if missing:
        raise DatasetError(
            f"{len(missing):,} objects, such as {missing[0]}, are not at {to} although they were written; was somebody "
            "removing them? The same command goes on"
        )


def check_same(there: bytes | None, raw: bytes, opened: DatasetVersion, to: str) -> None:
    """UsageError if another result has this version."""
    if there is not None and there != raw:
        name, version = opened.manifest.name, opened.manifest.version
        versions = place_of(to, name).versions()
        raise UsageError(
            f"version {version} of '{name}' exists at {to} with another result and is never replaced; build a new one "
            f"with --version {next_version(versions)}"
        )


def _check_step(opened: DatasetVersion, to: str) -> None:
    """UsageError if the number of a version promises what it does not keep, after the one before it at the target."""
    name, version = opened.manifest.name, opened.manifest.version
    lower = [found for found in place_of(to, name).versions() if version_key(found) < version_key(version)]
    if lower:
        fault = step_fault(lower[-1], version, compare(open_version(to, name, lower[-1]), opened))
        if fault:
            raise UsageError(f"{name} at {to}: {fault}")
