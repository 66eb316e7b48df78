"""Results of `splits` and `sequences` as people and programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from cryodata.console import MAX_ROWS, Console
from cryodata.core.leakage import LEVELS, Held, Leakage

if TYPE_CHECKING:
    from pathlib import Path

    from cryodata.build.kinship.report import SplitReport
    from cryodata.formats.manifest import Manifest

RULES = {
    "join": "any two chains alike join two entries",
    "share": "chains alike join two entries if they make up a tenth of the smaller one, those of families that are "
    "everywhere only if they are the main protein of both",
}


def counted(console: Console, manifest: Manifest, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Entries of each split, by scheme."""
    if console.as_json:
        console.show_json({"name": manifest.name, "version": manifest.version, "entries": counts})
        return
    table = Table("scheme", "split", "entries", box=None, pad_edge=False)
    for scheme, splits in counts.items():
        for split, count in splits.items():
            table.add_row(scheme, split, f"{count:,}")
    console.table(table)
    console.print(f"what they let through: cryodata splits {manifest.name}@{manifest.version} --report")


def measured(console: Console, manifest: Manifest, found: SplitReport, picture: Path | None) -> None:
    """What schemes let through."""
    if console.as_json:
        console.show_json(
            {
                "name": manifest.name,
                "version": manifest.version,
                "promiscuous": found.rule,
                "score": found.score,
                "entries": found.counts,
                "leakage": [as_value(item) for item in found.leakage],
                "missing": found.missing,
                "unlisted": found.unlisted,
                "picture": str(picture) if picture else None,
            }
        )
        return
    head = (
        "scheme",
        "held out",
        "entries",
        "residues",
        *(f"above {level:.0%}" for level in LEVELS),
        "ids on both sides",
    )
    table = Table(*head, box=None, pad_edge=False)
    for item in found.leakage:
        for held in item.held:
            shares = (f"{held.share(level):.1%}" for level in LEVELS)
            both = str(len(held.same_archive))
            table.add_row(item.scheme, held.split, f"{held.entries:,}", f"{held.residues:,}", *shares, both)
        if not item.held:
            table.add_row(item.scheme, "nothing is held out")
    console.table(table)
    console.print(f"splits by sequence here: {RULES[found.rule]}; chains alike have a score of {found.score} or more")
    for item in found.leakage:
        for held in item.held:
            _chains(console, item, held)
    if found.missing:
        told = ", ".join(f"{key} ({why})" for key, why in list(found.missing.items())[:MAX_ROWS])
        more = "; --json lists all" if len(found.missing) > MAX_ROWS else ""
        console.print(f"ids of the list that the dataset lacks: {len(found.missing):,}: {told}{more}")
    if found.unlisted:
        console.print(f"entries that the list does not name: {found.unlisted:,}; they count on neither side")
    if picture:
        console.print(f"drawn in {picture}")


def as_value(leakage: Leakage) -> dict[str, Any]:
    """A leakage as JSON, with its shares."""
    held = [
        {
            **asdict(part),
            "above": {f"{level:.2f}": count for level, count in zip(LEVELS, part.above, strict=True)},
            "share": {f"{level:.2f}": part.share(level) for level in LEVELS},
        }
        for part in leakage.held
    ]
    return {"scheme": leakage.scheme, "train_entries": leakage.train_entries, "held": held}


def written(console: Console, folder: Path, files: Mapping[str, int]) -> None:
    """FASTA files, and how many sequences each has."""
    if console.as_json:
        console.show_json({"folder": str(folder), "sequences": files})
        return
    console.pairs({str(folder / name): f"{count:,} sequences" for name, count in files.items()})


def _chains(console: Console, leakage: Leakage, held: Held) -> None:
    if not held.leaked:
        return
    table = Table(f"{leakage.scheme}, {held.split}", "chain", "residues", "identity", "like", box=None, pad_edge=False)
    for item in held.leaked[:MAX_ROWS]:
        there = f"{item.train_entry_id} {item.train_chain}"
        table.add_row(item.entry_id, item.chain, f"{item.residues:,}", f"{item.identity:.1%}", there)
    console.table(table)
    if len(held.leaked) > MAX_ROWS:
        console.print(f"... and {len(held.leaked) - MAX_ROWS:,} more chains; --json lists all")
