"""The page that a baseline ends with: one HTML file, pictures included, nothing fetched."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryodata.baseline.report.paper import GOALS, QUICK_GOAL, SHIPPED, TABLE_4, TABLE_4_MEAN, Published
from cryodata.baseline.report.summary import COLUMNS

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1, h2, h3 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: bottom }
th:first-child, td:first-child { text-align: left } tr.mean td { font-weight: 600; border-top: 2px solid #888 }
.wide { overflow-x: auto } img { max-width: 100%; margin: .5rem 0 } .good { color: #1b7837 } .bad { color: #b2182b }
.note { color: #555 }
"""

WHOLE = {"residues"}
PERCENT = {"matching", "identity"}


def page(report: Mapping[str, Any], pictures: Mapping[str, Sequence[tuple[str, Path]]]) -> str:
    """The page. report: what `report.json` holds. pictures: by title of the part, captions and PNG files."""
    plan = report["plan"]
    parts = report["parts"]
    body = [
        f"<h1>cryodata baseline, {_text(plan['name'])} plan</h1>",
        f"<p>{_text(report['setting'])}</p>",
        "<h2>Result</h2>",
        "<p>Means over maps that the network has not seen; a residue is found if its alpha carbon is within the "
        "distance, one to one. RMSD, matching and sequence match are those of <code>phenix.chain_comparison</code>, "
        "computed by <code>cryodata evaluate</code>.</p>",
        _table("part", {part["title"]: part["mean"] for part in parts}),
        _goals(parts, plan["name"]),
        "<h2>Beside the paper</h2>",
        "<p>Cryo2StructData, table 4: models traced from four deposited maps by networks that were trained on 6,652 "
        "maps (24 nodes of 6 GPUs each); and ours, of the maps above. The maps are not the same, so the rows tell the "
        "order of magnitude, no ranking.</p>",
        _beside(parts),
    ]
    for part in parts:
        body += _part(part, pictures.get(part["title"], ()))
    body += ["<h2>What it took</h2>", _seconds(parts), f"<p class=note>{_text(report['made'])}</p>"]
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
        f"<title>cryodata baseline, {_text(plan['name'])}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _part(part: Mapping[str, Any], pictures: Sequence[tuple[str, Path]]) -> list[str]:
    rows = {row["entry_id"]: row["scores"] for row in part["maps"]}
    found = [
        f"<h2>{_text(part['title'])}</h2>",
        f"<p>{_text(part['told'])}</p>",
        _table("map", rows, part["mean"]),
    ]
    for caption, path in pictures:
        found.append(f"<h3>{_text(caption)}</h3>{_picture(path, caption)}")
    return found


def _goals(parts: Sequence[Mapping[str, Any]], plan: str) -> str:
    """What a simulated part was to reach."""
    simulated = [part["mean"] for part in parts if part["kind"] == "simulated"]
    if not simulated:
        return ""

    def mean(name: str) -> float:
        values = [row[name] for row in simulated if row[name] is not None]
        return sum(values) / len(values) if values else float("nan")

    f1, rmsd, identity = (mean(name) for name in GOALS)
    if plan == "quick":
        lines = [("F1 of alpha carbons, 2 A", f1, f"above {QUICK_GOAL:g}", f1 > QUICK_GOAL)]
    else:
        lines = [
            ("F1 of alpha carbons, 2 A", f1, f"above {GOALS['f1_2']:g}", f1 > GOALS["f1_2"]),
            ("RMSD, A", rmsd, f"under {GOALS['rmsd']:g}", rmsd < GOALS["rmsd"]),
            ("sequence match, %", identity, f"above {GOALS['identity']:g}", identity > GOALS["identity"]),
        ]
    cells = "".join(
        f"<tr><td>{name}</td><td>{value:.3f}</td><td>{goal}</td>"
        f"<td class={'good' if good else 'bad'}>{'reached' if good else 'not reached'}</td></tr>"
        for name, value, goal, good in lines
    )
    return f"<table><tr><th>simulated maps</th><th>found</th><th>goal</th><th></th></tr>{cells}</table>"


def _beside(parts: Sequence[Mapping[str, Any]]) -> str:
    head = "<tr><th></th><th>residues</th><th>RMSD, A</th><th>matching, %</th><th>sequence match, %</th></tr>"
    rows = [_published(row) for row in (*TABLE_4, TABLE_4_MEAN, SHIPPED)]
    for part in parts:
        mean = part["mean"]
        cells = "".join(f"<td>{_cell(name, mean[name])}</td>" for name in ("residues", "rmsd", "matching", "identity"))
        rows.append(f"<tr class=mean><td>ours: {_text(part['title'])}, mean of {len(part['maps'])}</td>{cells}</tr>")
    return f"<table>{head}{''.join(rows)}</table>"


def _published(row: Published) -> str:
    residues = f"{row.residues:,}" if row.residues else ""
    cells = f"<td>{residues}</td><td>{row.rmsd:.2f}</td><td>{row.matching:.1f}</td><td>{row.identity:.1f}</td>"
    return f"<tr><td>{_text(row.what)}</td>{cells}</tr>"


def _table(first: str, rows: Mapping[str, Mapping[str, Any]], mean: Mapping[str, Any] | None = None) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in (first, *COLUMNS.values()))
    lines = [_row(name, row, "") for name, row in rows.items()]
    if mean is not None and len(rows) > 1:
        lines.append(_row("mean", mean, " class=mean"))
    return f"<div class=wide><table><tr>{head}</tr>{''.join(lines)}</table></div>"


def _row(name: str, row: Mapping[str, Any], mark: str) -> str:
    return f"<tr{mark}><td>{_text(name)}</td>" + "".join(f"<td>{_cell(k, row[k])}</td>" for k in COLUMNS) + "</tr>"


def _seconds(parts: Sequence[Mapping[str, Any]]) -> str:
    head = "<tr><th>minutes</th><th>build</th><th>train</th><th>predict</th><th>trace</th></tr>"
    rows = ""
    for part in parts:
        cells = "".join(f"<td>{part['seconds'][name] / 60:.1f}</td>" for name in ("build", "train", "predict", "trace"))
        rows += f"<tr><td>{_text(part['title'])}</td>{cells}</tr>"
    return f"<table>{head}{rows}</table>"


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if name in WHOLE else f"{value:.1f}" if name in PERCENT else f"{value:.3f}"


def _picture(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{_text(caption)}" src="data:image/png;base64,{data}">'


def _text(value: object) -> str:
    return html.escape(str(value))
