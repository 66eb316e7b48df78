"""Results of `inspect` and `report` as people and programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryodata.console import Console

if TYPE_CHECKING:
    from cryodata.formats.versions import DatasetVersion
    from cryodata.review.along import Opened


def inspected(console: Console, opened: DatasetVersion, entry: Opened, png: Path) -> None:
    """What the picture of an entry shows, in figures."""
    row, facts = entry.row, [fact.name for fact in entry.schema.facts]
    chains = _chains(entry)
    title = f"{opened.manifest.name}@{opened.manifest.version}"
    if console.as_json:
        console.show_json(
            {
                "dataset": title, "entry_id": row["entry_id"], "emdb_id": row["emdb_id"], "pdb_id": row["pdb_id"],
                "resolution": row["resolution"], "shape_zyx": row["shape_zyx"], "png": str(png),
                "facts": {name: row[name] for name in facts}, "chains": chains,
            }
        )  # fmt: skip
        return
    console.print(f"{row['entry_id']} of {title}")
    console.pairs({name: _plain(row[name]) for name in facts if row[name] not in (None, "")})
    for chain in chains:
        score = "" if chain["q_score"] is None else f", Q-score {chain['q_score']:.3f}"
        console.print(f"chain {chain['chain']}: {chain['residues']:,} residues, density {chain['density']:.3f}{score}")
    console.print(f"Picture: {png}")


def _chains(entry: Opened) -> list[dict[str, Any]]:
    """Residues, mean density and mean Q-score of each chain."""
    residues, found = entry.residues, []
    starts = residues.starts()
    for start, end in zip(starts, [*starts[1:], len(residues.chain)], strict=True):
        scores = residues.q_score[start:end]
        scores = scores[np.isfinite(scores)]
        found.append(
            {
                "chain": str(residues.chain[start]),
                "residues": end - start,
                "density": float(residues.density[start:end].mean()),
                "q_score": float(scores.mean()) if len(scores) else None,
            }
        )
    return found


def reported(console: Console, opened: DatasetVersion, page: Path, summary: Mapping[str, Any]) -> None:
    """Where the page is, and what is at its head."""
    title = f"{opened.manifest.name}@{opened.manifest.version}"
    if console.as_json:
        console.show_json({"dataset": title, "page": str(page), **summary})
        return
    console.print(f"{title}: {summary['entries']:,} entries, {sum(summary['rejected'].values()):,} refused")
    if summary["duplicates"]:
        console.print(f"{len(summary['duplicates']):,} maps or models are in several entries")
    console.print(f"Page: {page} ({page.stat().st_size / 1e6:.1f} MB)")


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)
