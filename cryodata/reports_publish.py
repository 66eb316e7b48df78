"""Results of `publish`, `pull` and `diff` as people and programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cryodata.console import MAX_ROWS, Console

if TYPE_CHECKING:
    from cryodata.build.differences import Difference
    from cryodata.build.publish import Published
    from cryodata.build.pull import Pulled
    from cryodata.formats.manifest import Manifest
    from cryodata.formats.versions import DatasetVersion

KINDS = {"added": "green", "removed": "red", "changed": "yellow"}


def published(console: Console, manifest: Manifest, done: Published, dry_run: bool) -> None:
    """What a publication did, or would do."""
    size = sum(done.sent.values())
    if console.as_json:
        value = {
            "name": manifest.name, "version": manifest.version, "target": done.target, "dry_run": dry_run,
            "created": done.created, "sent": {"objects": len(done.sent), "bytes": size, "paths": list(done.sent)},
            "replaced": list(done.replaced), "skipped": {**done.skipped, "bytes": done.skipped_bytes},
            "conditional": done.conditional, "latest": done.latest, "seconds": round(done.seconds, 3),
        }  # fmt: skip
        console.show_json(value)
        return
    title = f"{manifest.name}@{manifest.version}"
    state = "published" if done.created else "already published:"
    took = f"({done.seconds:.1f} s)"
    console.print(
        f"{title} would be {state.rstrip(':')} at {done.target}; nothing was sent"
        if dry_run
        else f"{state} {title} at {done.target} {took}"
    )
    if dry_run:
        for path, length in [*done.sent.items()][:MAX_ROWS]:
            console.print(f"{length:>14,}  {path}")
        if len(done.sent) > MAX_ROWS:
            console.print(f"... and {len(done.sent) - MAX_ROWS:,} more; --json lists all")
    rows = {
        "to send" if dry_run else "sent": _objects(len(done.sent), size),
        "there already": _compared(done.skipped, done.skipped_bytes),
    }
    if done.replaced:
        rows["other bytes"] = f"{len(done.replaced):,} of them had others there, such as {done.replaced[0]}"
    if not dry_run:
        rows["latest"] = str(done.latest)
        rows |= {} if done.conditional else {"conditions": "ignored by the store; read back and compared instead"}
        rows["use"] = f'load_dataset("{manifest.name}", root="{done.target.rpartition("/")[0]}", streaming=True)'
    console.pairs(rows)


def pulled(console: Console, manifest: Manifest, done: Pulled) -> None:
    """What a copy did."""
    held, there_are = done.volumes
    if console.as_json:
        value = {**asdict(done), "folder": str(done.folder), "seconds": round(done.seconds, 3)}
        value |= {"name": manifest.name, "version": manifest.version, "partial": held < there_are}
        value["fetched"] = {"objects": len(done.fetched), "bytes": sum(done.fetched.values())}
        value["volumes"] = {"held": held, "of": there_are}
        console.show_json(value)
        return
    state = "pulled" if done.fetched or done.created else "nothing to do: all of it is there already,"
    console.print(f"{state} {manifest.name}@{manifest.version} in {done.folder} ({done.seconds:.1f} s)")
    rows = {
        "fetched": _objects(len(done.fetched), sum(done.fetched.values())),
        "there already": f"{done.kept:,} objects, compared by sha256" if done.kept else "nothing",
        "volumes": f"{held:,} of {there_are:,}: a partial copy" if held < there_are else f"all {held:,}",
    }
    console.pairs(rows)


def difference(console: Console, one: DatasetVersion, other: DatasetVersion, found: Difference) -> None:
    """What changed from one version to another."""
    if console.as_json:
        value = {
            "a": _named(one), "b": _named(other), "step": found.step, "same": found.same,
            **{kind: [asdict(item) for item in found.changes if item.kind == kind] for kind in KINDS},
            "settings": {name: list(pair) for name, pair in found.settings.items()},
            "lost": list(found.lost), "gained": list(found.gained),
        }  # fmt: skip
        console.show_json(value)
        return
    console.print(f"from {_title(one)} to {_title(other)}")
    counts = {kind: f"{found.count(kind):,} entries" for kind in KINDS} | {"the same": f"{found.same:,} entries"}
    words = {"PATCH": "the same data", "MINOR": "all of it, and more", "MAJOR": "other data"}
    rows = {name: f"{_plain(before)} -> {_plain(after)}" for name, (before, after) in found.settings.items()}
    rows |= {"lost": ", ".join(found.lost)} if found.lost else {}
    rows |= {"gained": ", ".join(found.gained)} if found.gained else {}
    console.pairs({**counts, **rows, "step": f"{found.step}: {words[found.step]}"})
    if "builder" in found.settings:
        console.print("other builders tell other things of their entries: --voxels compares what both hold")
    if not found.changes:
        return
    table = Table("", "entry", "why", box=None, pad_edge=False)
    for change in found.changes[:MAX_ROWS]:
        table.add_row(Text(change.kind, KINDS[change.kind]), change.entry_id, "; ".join(change.why))
    console.table(table)
    if len(found.changes) > MAX_ROWS:
        console.print(f"... and {len(found.changes) - MAX_ROWS:,} more; --json lists all")


def _named(opened: DatasetVersion) -> dict[str, str]:
    manifest = opened.manifest
    return {"name": manifest.name, "version": manifest.version, "root": opened.root, "manifest": opened.sha256}


def _title(opened: DatasetVersion) -> str:
    return f"{opened.manifest.name}@{opened.manifest.version} in {opened.root}"


def _plain(value: object) -> str:
    return "none" if value is None else str(value)


def _objects(count: int, size: int) -> str:
    return f"{count:,} objects, {size / 1e6:,.1f} MB" if count else "nothing"


def _compared(skipped: Mapping[str, int], size: int) -> str:
    """How many objects were there, and how they were compared."""
    if not skipped:
        return "nothing"
    ways = ", ".join(f"{count:,} by {'size alone' if how == 'size' else how}" for how, count in sorted(skipped.items()))
    return f"{_objects(sum(skipped.values()), size)}; compared: {ways}"
