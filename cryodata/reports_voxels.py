"""Results of `diff --voxels` as people and programs read them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cryodata.console import MAX_ROWS, Console

if TYPE_CHECKING:
    from cryodata.build.voxel_differences import EntryLikeness, VoxelDifference
    from cryodata.formats.versions import DatasetVersion
    from cryodata.prepare.likeness import LabelLikeness


def voxel_difference(console: Console, one: DatasetVersion, other: DatasetVersion, found: VoxelDifference) -> None:
    """How far the volumes of two versions agree."""
    titles = [f"{opened.manifest.name}@{opened.manifest.version}" for opened in (one, other)]
    if console.as_json:
        told = [{**asdict(entry), "same": entry.same} for entry in found.entries]
        console.show_json({**asdict(found), "entries": told, "a": titles[0], "b": titles[1], "same": found.same})
        return
    same = sum(entry.same for entry in found.entries)
    console.print(f"voxels of {titles[0]} and {titles[1]}: {'the same' if found.same else 'not the same'}")
    rows = {"compared": f"{len(found.entries):,} entries, {same:,} of them the same"}
    for title, ids in zip(titles, (found.only_first, found.only_second), strict=True):
        if ids:
            more = f" and {len(ids) - MAX_ROWS:,} more" if len(ids) > MAX_ROWS else ""
            rows[f"only in {title}"] = ", ".join(ids[:MAX_ROWS]) + more
    rounded = [entry.density.largest for entry in found.entries if entry.tolerance and entry.density is not None]
    if rounded:
        rows["stored in two ways"] = f"densities up to {max(rounded):.2g} apart; float16 rounds by 4.9e-4 at most"
    if found.labels_apart:
        rows["labels of one only"] = ", ".join(found.labels_apart)
    console.pairs(rows)
    others = [entry for entry in found.entries if not entry.same]
    if not others:
        return
    console.table(_entries(others[:MAX_ROWS]))
    if any(not label.same for entry in others for label in entry.labels):
        console.table(_classes(found))
    if len(others) > MAX_ROWS:
        console.print(f"... and {len(others) - MAX_ROWS:,} more entries; --json lists all")


def _entries(entries: list[EntryLikeness]) -> Table:
    """A row an entry."""
    labels = list(dict.fromkeys(label.label for entry in entries for label in entry.labels))
    head = [column for name in labels for column in (f"{name} agrees", "moved x, y, z (voxels)")]
    table = Table("entry", "largest", "rms", "correlation", *head, "grid", box=None, pad_edge=False)
    for entry in entries:
        density, by_name = entry.density, {label.label: label for label in entry.labels}
        numbers = ["-"] * 3
        if density is not None:
            correlation = "-" if density.correlation is None else f"{density.correlation:.5f}"
            numbers = [f"{density.largest:.2g}", f"{density.rms:.2g}", correlation]
        moved = [text for name in labels for text in _moved(by_name.get(name))]
        table.add_row(entry.entry_id, *numbers, *moved, entry.grid or "the same")
    return table


def _moved(label: LabelLikeness | None) -> tuple[str, str]:
    if label is None:
        return "-", "-"
    shift = "-" if label.shift_xyz is None else ", ".join(f"{value:+.2f}" for value in label.shift_xyz)
    return f"{label.share:.2%}", shift


def _classes(found: VoxelDifference) -> Table:
    """Voxels of each class that differs, in the first, in the second and in both, over all entries."""
    sums: dict[tuple[str, str], Any] = {}
    for entry in found.entries:
        for label in entry.labels:
            for name, counts in label.classes.items():
                before = sums.get((label.label, name), (0, 0, 0))
                sums[label.label, name] = tuple(a + b for a, b in zip(before, counts, strict=True))
    table = Table("label", "class", "in A", "in B", "in both", box=None, pad_edge=False)
    for key in sorted(key for key, counts in sums.items() if len(set(counts)) > 1):
        table.add_row(*key, *(f"{count:,}" for count in sums[key]))
    return table
