"""What tells people and programs about the tables of a version: card, Croissant, citation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from cryodata.core.leakage import Leakage
from cryodata.formats.card import render_card
from cryodata.formats.citation import render_citation
from cryodata.formats.croissant import render_croissant
from cryodata.formats.manifest import Manifest
from cryodata.formats.summary import Changes, compare, summarize
from cryodata.formats.tables import REJECTED, file_digest, read_table
from cryodata.formats.versions import open_version

FILES = ("README.md", "croissant.json", "CITATION.cff")


def describe(made: Path, folder: Path, manifest: Manifest, entries: pa.Table, leakage: Sequence[Leakage] = ()) -> None:
    """Write these files beside the tables in `made`. folder: of the dataset, where the parent version is."""
    tables = [file_digest(path, path.name) for path in sorted(made.iterdir())]
    changes = _changes(made, folder, manifest, entries)
    names = [path for path, *_ in tables]
    texts = (
        render_card(manifest, replace(summarize(entries, manifest.schema), leakage=leakage), changes, names),
        render_croissant(manifest, tables, entries.schema),
        render_citation(manifest),
    )
    for file, text in zip(FILES, texts, strict=True):
        (made / file).write_text(text, encoding="utf-8")


def _changes(made: Path, folder: Path, manifest: Manifest, entries: pa.Table) -> Changes | None:
    """What became of the parent's entries, and why those went that were refused; None without a parent."""
    if manifest.parent is None:
        return None
    parent = open_version(folder.parent, manifest.name, manifest.parent)
    before = read_table(parent.table("entries.parquet"), columns=["entry_id", "volume"])
    rejected = read_table(made / "rejected.parquet", REJECTED).to_pylist()
    return compare(manifest.parent, before, entries, {row["entry_id"]: row["code"] for row in rejected})
