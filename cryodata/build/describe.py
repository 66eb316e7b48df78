"""What tells people and programs about the tables of a version: card, Croissant, citation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cryodata.core.leakage import Leakage
from cryodata.formats.card import render_card
from cryodata.formats.citation import render_citation
from cryodata.formats.croissant import render_croissant
from cryodata.formats.manifest import Manifest
from cryodata.formats.summary import Changes, compare, summarize
from cryodata.formats.tables import REJECTED, file_digest, read_table
from cryodata.formats.versions import open_version
from cryodata.prepare.duplicates import WHAT, shared

FILES = ("README.md", "croissant.json", "CITATION.cff")


def describe(made: Path, folder: Path, manifest: Manifest, entries: pa.Table, leakage: Sequence[Leakage] = ()) -> None:
    """Write these files beside the tables in `made`. folder: of the dataset, where the parent version is."""
    tables = [file_digest(path, path.name) for path in sorted(made.iterdir())]
    changes = _changes(made, folder, manifest, entries)
    names = [path for path, *_ in tables]
    found = [(WHAT[item.what], item.value, item.entries) for item in shared(_plain_rows(entries))]
    summary = replace(summarize(entries, manifest.schema), leakage=leakage, shared=found)
    texts = (
        render_card(manifest, summary, changes, names),
        render_croissant(manifest, tables, entries.schema),
        render_citation(manifest),
    )
    for file, text in zip(FILES, texts, strict=True):
        (made / file).write_text(text, encoding="utf-8")


def _plain_rows(entries: pa.Table) -> list[dict[str, Any]]:
    """What tells whether entries share something."""
    wanted = ("entry_id", "emdb_id", "pdb_id", "shape_zyx", "source_sha256", "density_mean", "saturated")
    rows: list[dict[str, Any]] = entries.select([name for name in wanted if name in entries.schema.names]).to_pylist()
    return rows


def _changes(made: Path, folder: Path, manifest: Manifest, entries: pa.Table) -> Changes | None:
    """What became of the parent's entries, and why those went that were refused; None without a parent."""
    if manifest.parent is None:
        return None
    parent = open_version(folder.parent, manifest.name, manifest.parent)
    before = read_table(parent.table("entries.parquet"), columns=["entry_id", "volume"])
    rejected = read_table(made / "rejected.parquet", REJECTED).to_pylist()
    return compare(manifest.parent, before, entries, {row["entry_id"]: row["code"] for row in rejected})
