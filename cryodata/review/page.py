"""One page about a version: an HTML file that holds all it shows, and fetches nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.build.kinship.report import SplitReport
from cryodata.errors import DatasetError
from cryodata.formats.partial import held_volumes
from cryodata.formats.tables import REJECTED, read_table
from cryodata.formats.versions import DatasetVersion
from cryodata.prepare.duplicates import WHAT, Shared, shared
from cryodata.review.along import volumes_of, with_figures
from cryodata.review.charts import histogram, picture, refused, thumbnail
from cryodata.review.elements import STYLE, pairs, plain, table
from cryodata.review.leaks import leakage_section

MEASURES: Mapping[str, str] = {
    "resolution": "resolution, A",
    "fit": "fit: density at the C-alphas, sd above the mean",
    "fit_shift": "fit_shift: share of shifts that fit worse",
    "q_mean": "Q-score, mean of the residues",
    "correlation": "correlation of map and model in the mask",
    "atom_inclusion": "share of atoms inside the contour",
    "resolved": "share of the sequence modelled and shown",
    "best_scale": "best voxel size, share of the header's",
    "hand_margin": "hand: own less mirrored fit, sd",
    "n_residues": "protein residues",
    "voxels": "voxels, millions",
}
"columns whose distribution is drawn, where the version has them"

CHOOSABLE: Mapping[str, str] = {
    "resolution": "max_resolution",
    "fit": "min_fit",
    "fit_shift": "min_fit_shift",
    "q_mean": "min_q_mean",
    "correlation": "min_correlation",
    "atom_inclusion": "min_inclusion",
    "resolved": "min_resolved",
}
"setting that refuses by a measure"

LISTED = ("entry_id", "pdb_id", "resolution", "fit", "correlation", "q_mean", "atom_inclusion", "resolved",
          "best_scale", "hand_margin", "n_residues", "split_resolution")  # fmt: skip

MAX_LISTED, MAX_REASONS = 500, 200
"entries and refused entries that are listed one by one"

SIDE = 130
"pixels of a thumbnail"

Rows = Sequence[Mapping[str, Any]]


def write_page(
    opened: DatasetVersion,
    page: Path,
    thumbnails: int,
    leakage: SplitReport | None,
    observe: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write the page. Returns what is at its head: entries, rejected by code, duplicates.

    thumbnails: how many maps are shown. leakage: if it was measured.
    """
    manifest = opened.manifest
    entries = volumes_of(opened).entries
    rows = [with_figures(row) for row in entries.drop_columns(["sequences", "label_counts"]).to_pylist()]
    for row in rows:
        row["voxels"] = float(np.prod(row["shape_zyx"])) / 1e6
    rejected = read_table(opened.table("rejected.parquet"), REJECTED).to_pylist()
    found = shared(rows)
    title = f"{manifest.name} {manifest.version}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _head(opened, rows, rejected),
        "<h2>Distributions</h2>", _distributions(rows),
        "<h2>Thresholds</h2>", _thresholds(rows),
        "<h2>Refused</h2>", _rejected(rejected),
        "<h2>Splits</h2>", _splits(opened, rows),
        "<h2>Leakage</h2>", leakage_section(leakage),
        "<h2>Duplicates</h2>", _duplicates(found),
        "<h2>Maps</h2>", _thumbnails(opened, rows, thumbnails, observe),
        "<h2>Entries</h2>", _entries(rows),
    ]  # fmt: skip
    # even a browser that would follow a hostile text may fetch and run nothing
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    temporary = page.with_name(f".{page.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, page)
    duplicates = [{"what": item.what, "entries": list(item.entries)} for item in found]
    return {
        "entries": len(rows),
        "rejected": dict(sorted(Counter(row["code"] for row in rejected).items())),
        "duplicates": duplicates,
    }


def _head(opened: DatasetVersion, rows: Rows, rejected: Rows) -> str:
    manifest = opened.manifest
    told = {
        "builder and recipe": f"{manifest.builder}, {manifest.recipe} (revision {manifest.revision})",
        "entries": f"{len(rows):,}; {len(rejected):,} refused",
        "sub-grids": f"{sum(manifest.counts['subgrids'].values()):,}",
        "voxels": f"{manifest.counts['voxels'] / 1e6:,.1f} million",
        "arrays": ", ".join(array.name for array in manifest.schema.arrays),
        "settings": ", ".join(f"{name}={value}" for name, value in sorted(manifest.parameters.items())),
        "parent": manifest.parent or "none",
        "licence": manifest.license,
        "manifest": opened.sha256,
    }
    return pairs(told)


def _distributions(rows: Rows) -> str:
    charts, missing = [], []
    for name, label in MEASURES.items():
        values = [float(row[name]) for row in rows if row.get(name) is not None]
        if values:
            charts.append(histogram(values, label))
        else:
            missing.append(label.partition(",")[0].partition(":")[0])
    note = f"<p class=note>Not measured here: {escape('; '.join(missing))}.</p>" if missing else ""
    return f"<div class=charts>{''.join(charts)}</div>{note}" if charts else f"<p>No entries.</p>{note}"


def _thresholds(rows: Rows) -> str:
    charts: list[str] = []
    lines: list[list[str]] = []
    for name, setting in CHOOSABLE.items():
        values = [row.get(name) for row in rows]
        known = [float(value) for value in values if value is not None]
        if not known:
            continue
        highest = setting.startswith("max")
        charts.append(refused(values, f"--set {setting}=", highest))
        for share in (0.05, 0.10, 0.25):
            at = float(np.quantile(known, 1 - share if highest else share, method="nearest"))
            if lines and lines[-1][0] == f"{setting}={at:.4g}":
                continue
            count = sum(value is None or (value > at if highest else value < at) for value in values)
            lines.append([f"{setting}={at:.4g}", f"{count:,}", f"{count / len(values):.1%}"])
    if not charts:
        return "<p>Nothing that a threshold could be set for was measured.</p>"
    note = (
        "<p>How many of these entries each threshold would refuse, if the version were built anew with it. fit and "
        "fit_shift refuse an entry only where both are low.</p>"
    )
    head = ["setting", "entries refused", "share"]
    return f"{note}<div class=charts>{''.join(charts)}</div>{table(head, lines)}"


def _rejected(rejected: Rows) -> str:
    if not rejected:
        return "<p>No entry was refused.</p>"
    counts = Counter(row["code"] for row in rejected)
    by_code = table(["reason", "entries"], [[code, f"{count:,}"] for code, count in counts.most_common()])
    lines = [[row["entry_id"], row["code"], row["message"]] for row in rejected[:MAX_REASONS]]
    more = f"<p class=note>The first {MAX_REASONS:,}.</p>" if len(rejected) > MAX_REASONS else ""
    return by_code + f"<div class=wide>{table(['entry', 'reason', 'what was found'], lines, text=(1, 2))}</div>{more}"


def _splits(opened: DatasetVersion, rows: Rows) -> str:
    parts = []
    for scheme in opened.manifest.schemes:
        column = f"split_{scheme}"
        lines = []
        for split in sorted({str(row.get(column)) for row in rows}):
            mine = [row for row in rows if str(row.get(column)) == split]
            residues = sum(int(row.get("n_residues") or 0) for row in mine)
            known = [row["resolution"] for row in mine if row["resolution"] is not None]
            mean = f"{np.mean(known):.2f}" if known else "unknown"
            subgrids = sum(int(row["n_subgrids"]) for row in mine)
            lines.append([split, f"{len(mine):,}", f"{residues:,}", f"{subgrids:,}", mean])
        head = [f"by {scheme}", "entries", "protein residues", "sub-grids", "mean resolution, A"]
        parts.append(table(head, lines))
    return "".join(parts) or "<p>None.</p>"


def _duplicates(found: Sequence[Shared]) -> str:
    if not found:
        return "<p>No map and no model is in two entries.</p>"
    lines = [[WHAT[item.what], ", ".join(item.entries), item.value] for item in found]
    return table(["shared", "entries", "which"], lines, text=(1, 2))


def _thumbnails(opened: DatasetVersion, rows: Rows, wanted: int, observe: Callable[[int, int], None]) -> str:
    held = held_volumes(opened)
    there = [number for number, row in enumerate(rows) if held is None or row["volume"] in held]
    chosen = (
        sorted({there[int(place)] for place in np.linspace(0, len(there) - 1, min(wanted, len(there)))})
        if there
        else []
    )
    volumes, figures = volumes_of(opened), []
    for done, number in enumerate(chosen):
        observe(done, len(chosen))
        row = rows[number]
        told = [f"<b>{escape(row['entry_id'])}</b>"]
        told += [f"{row['resolution']:g} A"] if row["resolution"] is not None else []
        told += [
            f"{name} {row[key]:.2f}" for key, name in (("fit", "fit"), ("q_mean", "Q")) if row.get(key) is not None
        ]
        try:
            shown = picture(thumbnail(volumes.decode_density(number), SIDE), row["entry_id"])
        except DatasetError as error:
            shown = f"<p>{escape(str(error))}</p>"
        figures.append(f"<figure>{shown}<figcaption>{'<br>'.join(told)}</figcaption></figure>")
    observe(len(chosen), len(chosen))
    note = f"{len(chosen):,} of {len(rows):,}, evenly spread over the ids: mean of the density along z."
    return f"<p class=note>{note}</p><div class=maps>{''.join(figures)}</div>"


def _entries(rows: Rows) -> str:
    head = [name for name in LISTED if any(row.get(name) is not None for row in rows)]
    lines = [[plain(row.get(name)) for name in head] for row in rows[:MAX_LISTED]]
    more = f"<p class=note>The first {MAX_LISTED:,} of {len(rows):,}.</p>" if len(rows) > MAX_LISTED else ""
    return f"<div class=wide>{table(head, lines)}</div>{more}" if rows else "<p>None.</p>"
