"""How results look on a terminal: tables and bars for people on stderr and stdout, one JSON object for programs."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from cryodata.build.builder import Builder
    from cryodata.build.dataset import PartReport, Report
    from cryodata.build.garbage import Garbage
    from cryodata.build.plan import Plan
    from cryodata.build.verify import Verification
    from cryodata.build.work import Outcome
    from cryodata.formats.manifest import Manifest
    from cryodata.formats.versions import DatasetVersion

LINE_EVERY = 10.0
"seconds between progress lines where there is no terminal"

WIDE = 10_000
"columns of an output that is no terminal"

MAX_ROWS = 20
"rejections or faults that are listed one by one"


class Console:
    """Results go to stdout, progress and errors to stderr. With `as_json`, stdout holds one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # lines that no one looks at are not broken, so that `grep` finds them
        width = None if sys.stdout.isatty() else WIDE
        self.out = RichConsole(highlight=False, markup=False, soft_wrap=True, width=width)
        self.err = RichConsole(stderr=True, highlight=False, markup=False, soft_wrap=True)

    def print(self, text: str = "") -> None:
        """A line for people; nothing with `as_json`."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def show_json(self, value: Any) -> None:
        """The one JSON object."""
        sys.stdout.write(json.dumps(value) + "\n")

    def show_error(self, message: str) -> None:
        """One line on stderr; the same as JSON on stdout for programs."""
        if self.as_json:
            self.show_json({"error": message})
        self.err.print(f"cryodata: error: {message}", markup=False, style="red")

    def say(self, text: str) -> None:
        """A line about the work, on stderr."""
        with suppress(OSError):  # nobody reads it any more: the work goes on
            self.err.print(text, markup=False)

    @contextmanager
    def steps(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on a terminal, a line now and then elsewhere. Yields a function of (done, total)."""
        if self.err.is_terminal:
            numbers = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
            with Progress(
                TextColumn("{task.description}"), BarColumn(), *numbers, console=self.err, transient=True
            ) as progress:
                task = progress.add_task(title, total=None)
                yield lambda done, total: progress.update(task, completed=done, total=total)
            return
        last = time.monotonic()

        def line(done: int, total: int) -> None:
            nonlocal last
            if done in (0, total) or time.monotonic() - last > LINE_EVERY:
                last = time.monotonic()
                with suppress(OSError):  # nobody reads it any more: the work goes on
                    self.err.print(f"{title}: {done} of {total}", markup=False)

        yield line

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[int, Outcome | None], None]]:
        """As `steps`, for a build: counts accepted and rejected entries."""
        tally: Counter[str] = Counter()
        with self.steps(title) as step:

            def observe(total: int, outcome: Outcome | None) -> None:
                if outcome is not None:
                    tally["rejected" if outcome.code else "accepted"] += 1
                step(sum(tally.values()), total)

            yield observe

    def show_parameters(self, builder: Builder) -> None:
        """The settings of a builder, with their defaults."""
        from cryodata.build.builder import SELECTION

        parameters = [*builder.parameters, *SELECTION]
        if self.as_json:
            self.show_json({item.name: {"default": item.default, "help": item.help} for item in parameters})
            return
        table = Table("setting", "default", "meaning", box=None, pad_edge=False)
        for item in parameters:
            table.add_row(item.name, _plain(item.default), item.help)
        self.out.print(table)

    def show_plan(self, plan: Plan) -> None:
        """What a build would do."""
        if self.as_json:
            self.show_json({**asdict(plan), "catalogue": str(plan.catalogue)})
            return
        self._pairs(
            {
                "entries": f"{plan.entries:,}; {plan.refused:,} refused by the list; {plan.looked_at:,} maps looked at",
                "to fetch": _megabytes(plan.fetch_bytes),
                "voxels": f"{plan.voxels:,}",
                "memory a worker": f"up to {_megabytes(plan.peak_bytes)}",
                "disk": f"up to {_megabytes(plan.disk_bytes)}",
                "time": "unknown before a first build"
                if plan.seconds is None
                else f"{plan.seconds:,.0f} s of one worker",
                "catalogue": str(plan.catalogue),
            }
        )

    def show_build(self, report: Report) -> None:
        """What a build did."""
        manifest, counts = report.manifest, report.manifest.counts
        if self.as_json:
            self.show_json(
                {
                    "name": manifest.name,
                    "version": manifest.version,
                    "folder": str(report.folder),
                    "created": report.created,
                    "reused": report.reused,
                    "seconds": round(report.seconds, 3),
                    **counts,
                    "rejections": [
                        {"entry_id": item.entry_id, "code": item.code, "message": item.message}
                        for item in report.rejected
                    ],
                }
            )
            return
        state = "built" if report.created else "nothing to do: it is there already, the same, as"
        self.print(f"{state} {manifest.name}@{manifest.version} in {report.folder} ({report.seconds:.1f} s)")
        self._pairs(
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
        self._rejections([(item.entry_id, item.code, item.message) for item in report.rejected])

    def show_part(self, report: PartReport) -> None:
        """What was done of a part."""
        number, parts = report.part
        if self.as_json:
            self.show_json({**asdict(report), "folder": str(report.folder), "seconds": round(report.seconds, 3)})
            return
        self.print(f"worked on part {number} of {parts} in {report.folder} ({report.seconds:.1f} s)")
        self._pairs(
            {
                "entries": f"{report.entries:,}; {report.reused:,} of them finished before",
                "accepted": f"{report.accepted:,}",
                "rejected": _tally(report.rejected),
                "next": "once all parts are done, the same command with --finish instead of --parts",
            }
        )

    def show_verification(self, result: Verification) -> None:
        """What was checked, and every fault."""
        if self.as_json:
            self.show_json({"ok": not result.faults, "checked": dict(result.checked), "faults": list(result.faults)})
            return
        self._pairs(result.checked)
        for fault in result.faults[:MAX_ROWS]:
            self.out.print(f"FAULT  {fault}", markup=False, style="red")
        if len(result.faults) > MAX_ROWS:
            self.print(f"... and {len(result.faults) - MAX_ROWS} more faults; --json lists all")
        self.print("no faults" if not result.faults else f"{len(result.faults)} faults")

    def show_garbage(self, folder: Path, found: Sequence[Garbage], removed: bool) -> None:
        """What nothing refers to."""
        size = sum(item.size for item in found)
        if self.as_json:
            listed = [asdict(item) for item in found]
            self.show_json({"folder": str(folder), "garbage": listed, "bytes": size, "removed": removed})
            return
        for item in found:
            self.print(f"{_megabytes(item.size):>12s}  {item.path}")
        what = f"{len(found):,} things, {_megabytes(size)}" if found else "nothing"
        self.print(f"{what} that no version and no receipt in {folder} refers to")

    def show_list(self, root: str, datasets: Mapping[str, Sequence[str]]) -> None:
        """Datasets below a root."""
        if self.as_json:
            self.show_json({"root": root, "datasets": datasets})
            return
        if not datasets:
            self.print(f"no datasets in {root}; try: cryodata demo")
        self._pairs({name: ", ".join(versions) for name, versions in datasets.items()})

    def show_info(self, opened: DatasetVersion) -> None:
        """One version."""
        manifest = opened.manifest
        if self.as_json:
            self.show_json({**json.loads(manifest.to_bytes()), "folder": str(opened.place), "sha256": opened.sha256})
            return
        self.print(f"{manifest.name}@{manifest.version} in {opened.place}")
        self._pairs(_facts(manifest, opened))
        table = Table("array", "role", "type", "range", "classes", box=None, pad_edge=False, title_justify="left")
        for array in manifest.schema.arrays:
            classes = " ".join(f"{item.name}={item.value}" for item in array.classes)
            table.add_row(array.name, array.role, array.dtype, f"{array.minimum:g}..{array.maximum:g}", classes)
        self.out.print(table)
        self.print(f"card: {opened.table('README.md')}")
        self.print(f'use:  load_dataset("{manifest.name}", split="train", streaming=True, root="{opened.root}")')

    def _pairs(self, rows: Mapping[str, str]) -> None:
        table = Table(box=None, show_header=False, pad_edge=False)
        for key, value in rows.items():
            table.add_row(key, value)
        if rows:
            self.out.print(table)

    def _rejections(self, rows: Sequence[tuple[str, str, str]]) -> None:
        if not rows:
            return
        table = Table("rejected", "code", "reason", box=None, pad_edge=False)
        for row in rows[:MAX_ROWS]:
            table.add_row(*row)
        self.out.print(table)
        if len(rows) > MAX_ROWS:
            self.print(f"... and {len(rows) - MAX_ROWS} more; all are in rejected.parquet")


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
