"""Results of commands as people and programs read them: tables on a terminal, or one JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cryodata.console import MAX_ROWS, Console

if TYPE_CHECKING:
    from pathlib import Path

    from cryodata.build.builder import Builder
    from cryodata.build.dataset import PartReport, Report
    from cryodata.build.export import Exported
    from cryodata.build.garbage import Garbage
    from cryodata.build.plan import Plan
    from cryodata.build.verify import Verification
    from cryodata.formats.manifest import Manifest
    from cryodata.formats.versions import DatasetVersion


def parameters(console: Console, builder: Builder) -> None:
    """The settings of a builder, with their defaults."""
    from cryodata.build.builder import settings_of

    parameters = settings_of(builder)
    if console.as_json:
        console.show_json({item.name: {"default": item.default, "help": item.help} for item in parameters})
        return
    table = Table("setting", "default", "meaning", box=None, pad_edge=False)
    for item in parameters:
        table.add_row(item.name, _plain(item.default), item.help)
    console.table(table)


def plan(console: Console, found: Plan) -> None:
    """What a build would do."""
    if console.as_json:
        console.show_json({**asdict(found), "catalogue": str(found.catalogue)})
        return
    console.pairs(
        {
            "entries": f"{found.entries:,}; {found.refused:,} refused by the list; {found.looked_at:,} maps looked at",
            "to fetch": _megabytes(found.fetch_bytes),
            "voxels": f"{found.voxels:,}",
            "memory a worker": f"up to {_megabytes(found.peak_bytes)}",
            "disk": f"up to {_megabytes(found.disk_bytes)}",
            "time": "unknown before a first build"
            if found.seconds is None
            else f"{found.seconds:,.0f} s of one worker",
            "catalogue": str(found.catalogue),
        }
    )


def built(console: Console, report: Report) -> None:
    """What a build did."""
    manifest, counts = report.manifest, report.manifest.counts
    if console.as_json:
        console.show_json(
            {
                "name": manifest.name,
                "version": manifest.version,
                "folder": str(report.folder),
                "created": report.created,
                "reused": report.reused,
                "seconds": round(report.seconds, 3),
                **counts,
                "missing": dict(report.missing),
                "rejections": [
                    {"entry_id": item.entry_id, "code": item.code, "message": item.message} for item in report.rejected
                ],
            }
        )
        return
    state = "built" if report.created else "nothing to do: it is there already, the same, as"
    console.print(f"{state} {manifest.name}@{manifest.version} in {report.folder} ({report.seconds:.1f} s)")
    console.pairs(
        {
            "accepted": f"{counts['entries']:,} entries, {report.reused:,} of them finished by an earlier run"
            if report.reused
            else f"{counts['entries']:,} entries",
            "rejected": _tally(counts["rejected"]),
            "voxels": f"{counts['voxels']:,}",
            "sub-grids": _tally(counts["subgrids"]),
            "volumes": _megabytes(counts["volume_bytes"]),
        }
    )
    _rejections(console, [(item.entry_id, item.code, item.message) for item in report.rejected])
    if report.missing:
        told = ", ".join(f"{key} ({why})" for key, why in list(report.missing.items())[:MAX_ROWS])
        more = f" and {len(report.missing) - MAX_ROWS:,} more; --json lists all"
        listed = f"{told}{more if len(report.missing) > MAX_ROWS else ''}"
        console.print(f"ids of the list of splits that this version lacks: {len(report.missing):,}: {listed}")


def part(console: Console, report: PartReport) -> None:
    """What was done of a part."""
    number, parts = report.part
    if console.as_json:
        console.show_json({**asdict(report), "folder": str(report.folder), "seconds": round(report.seconds, 3)})
        return
    console.print(f"worked on part {number} of {parts} in {report.folder} ({report.seconds:.1f} s)")
    console.pairs(
        {
            "entries": f"{report.entries:,}; {report.reused:,} of them finished before",
            "accepted": f"{report.accepted:,}",
            "rejected": _tally(report.rejected),
            "next": "once all parts are done, the same command with --finish instead of --parts",
        }
    )


def verification(console: Console, result: Verification) -> None:
    """What was checked, and every fault."""
    if console.as_json:
        console.show_json({"ok": not result.faults, "checked": dict(result.checked), "faults": list(result.faults)})
        return
    console.pairs(result.checked)
    for fault in result.faults[:MAX_ROWS]:
        console.out.print(f"FAULT  {fault}", markup=False, style="red")
    if len(result.faults) > MAX_ROWS:
        console.print(f"... and {len(result.faults) - MAX_ROWS} more faults; --json lists all")
    console.print("no faults" if not result.faults else f"{len(result.faults)} faults")


def garbage(console: Console, folder: Path, found: Sequence[Garbage], removed: bool) -> None:
    """What nothing refers to."""
    size = sum(item.size for item in found)
    if console.as_json:
        listed = [asdict(item) for item in found]
        console.show_json({"folder": str(folder), "garbage": listed, "bytes": size, "removed": removed})
        return
    for item in found:
        console.print(f"{_megabytes(item.size):>12s}  {item.path}")
    what = f"{len(found):,} things, {_megabytes(size)}" if found else "nothing"
    console.print(f"{what} that no version and no receipt in {folder} refers to")


def datasets(console: Console, root: str, found: Mapping[str, Sequence[str]]) -> None:
    """Datasets below a root."""
    if console.as_json:
        console.show_json({"root": root, "datasets": found})
        return
    if not found:
        console.print(f"no datasets in {root}; try: cryodata demo")
    console.pairs({name: ", ".join(versions) for name, versions in found.items()})


def serving(console: Console, root: Path, url: str, found: Mapping[str, Sequence[str]]) -> None:
    """Where a root is served; printed before the first request is answered."""
    if console.as_json:
        console.show_json({"root": str(root), "url": url, "datasets": found})
        sys.stdout.flush()
        return
    console.print(f"serving {root} at {url}, read only; Ctrl-C ends it")
    console.pairs({name: ", ".join(versions) for name, versions in found.items()})
    name = next(iter(found), "NAME")
    console.print(f"in a browser: {url}/ lists the maps, with links into Neuroglancer")
    console.print(f'in Python:    load_dataset("{name}", split="train", streaming=True, root="{url}")')
    sys.stdout.flush()


def exported(console: Console, title: str, result: Exported) -> None:
    """What was written, and what to do with it."""
    if console.as_json:
        console.show_json({**asdict(result), "folder": str(result.folder)})
        return
    if result.dry_run:
        console.print(f"{title} would be written to {result.folder}; nothing was")
        told = {
            "size": f"{_megabytes(result.bytes)} at most",
            "files": f"{result.files:,}; {result.reused:,} are there",
        }
        console.pairs(told)
        return
    console.print(f"{title} is in {result.folder}")
    console.pairs(
        {
            "size": _megabytes(result.bytes),
            "files": f"{result.files:,} in the folder; {result.reused:,} were there before",
            "next": result.advice,
        }
    )


def info(console: Console, opened: DatasetVersion, with_card: bool) -> None:
    """One version; with_card: its dataset card."""
    from cryodata.formats.partial import held_volumes

    manifest = opened.manifest
    card = opened.table("README.md").read_text(encoding="utf-8") if with_card else ""
    if console.as_json:
        known = {**json.loads(manifest.to_bytes()), "folder": str(opened.place), "sha256": opened.sha256}
        console.show_json({**known, "card": card} if with_card else known)
        return
    if with_card:
        console.markdown(card.partition("\n---\n")[2].strip())
        return
    console.print(f"{manifest.name}@{manifest.version} in {opened.place}")
    held = held_volumes(opened)
    partial = (
        {} if held is None else {"here": f"a partial copy: {len(held):,} of {manifest.counts['entries']:,} volumes"}
    )
    console.pairs({**partial, **_facts(manifest, opened)})
    table = Table("array", "role", "type", "range", "classes", box=None, pad_edge=False, title_justify="left")
    for array in manifest.schema.arrays:
        classes = " ".join(f"{item.name}={item.value}" for item in array.classes)
        table.add_row(array.name, array.role, array.dtype, f"{array.minimum:g}..{array.maximum:g}", classes)
    console.table(table)
    console.print(f"card: cryodata info {manifest.name}@{manifest.version} --card")
    console.print(f'use:  load_dataset("{manifest.name}", split="train", streaming=True, root="{opened.root}")')


def _rejections(console: Console, rows: Sequence[tuple[str, str, str]]) -> None:
    if not rows:
        return
    table = Table("rejected", "code", "reason", box=None, pad_edge=False)
    for row in rows[:MAX_ROWS]:
        table.add_row(*row)
    console.table(table)
    if len(rows) > MAX_ROWS:
        console.print(f"... and {len(rows) - MAX_ROWS} more; all are in rejected.parquet")


def _facts(manifest: Manifest, opened: DatasetVersion) -> dict[str, str]:
    counts = manifest.counts
    return {
        "entries": f"{counts['entries']:,} ({_tally(counts['entries_by_split'])})",
        "resolution, A": _tally(counts["entries_by_resolution"]),
        "rejected": _tally(counts["rejected"]),
        "sub-grids": f"{_tally(counts['subgrids'])} (box {manifest.box}, core {manifest.core})",
        "voxels": f"{counts['voxels']:,}",
        "volumes": _megabytes(counts["volume_bytes"]),
        "label atoms": _tally(counts["atoms"]),
        "split schemes": ", ".join(manifest.schemes),
        "builder": f"{manifest.builder}, recipe {manifest.recipe}, revision {manifest.revision}",
        "parent": manifest.parent or "none",
        "license": manifest.license,
        "manifest": opened.sha256,
    }


def _plain(value: Any) -> str:
    """A default as a user would write it."""
    if isinstance(value, float):
        return f"{value:g}"
    words = {True: "yes", False: "no", None: "none"}
    return words.get(value, str(value)) if not isinstance(value, int) or isinstance(value, bool) else str(value)


def _tally(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count) or "none"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
