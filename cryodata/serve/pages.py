"""Two pages for people with a browser: the datasets of the root, and the entries of one with links to viewers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from cryodata.formats.manifest import list_versions
from cryodata.formats.tables import read_table
from cryodata.formats.versions import open_version
from cryodata.serve.files import dataset_names
from cryodata.serve.links import neuroglancer_link, validator_link

MAX_ENTRIES = 1000
"entries that a page lists"

COLUMNS = ("entry_id", "resolution", "split_resolution", "volume", "shape_zyx", "voxel_size_xyz", "origin_xyz")

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2em 1em .2em 0}code{background:#f3f3f3}"
)


def page(root: Path, base: str, parts: Sequence[str]) -> bytes | None:
    """The page of a path: / or /NAME/; None for any other. Raises DatasetError for a damaged dataset."""
    if list(parts) == [""]:
        return _home(root, base)
    if len(parts) in (1, 2) and parts[1:] in ([], [""]) and parts[0] in dataset_names(root):
        return _dataset(root, base, parts[0])
    return None


def _home(root: Path, base: str) -> bytes:
    names = dataset_names(root)
    rows = [f'<tr><td><a href="/{name}/">{name}</a></td><td>{_versions(root, name)}</td></tr>' for name in names]
    body = f"<table><tr><th>dataset</th><th>versions</th></tr>{''.join(rows)}</table>" if names else "<p>None.</p>"
    return _html("Datasets", f"{body}<p>In Python: <code>load_dataset(NAME, root={escape(repr(base))})</code></p>")


def _dataset(root: Path, base: str, name: str) -> bytes:
    opened = open_version(root, name)
    manifest = opened.manifest
    table = read_table(opened.table("entries.parquet"), columns=COLUMNS)
    rows = []
    for row in table.slice(0, MAX_ENTRIES).to_pylist():
        volume = f"{name}/{row['volume']}"
        labels = (root / volume / "labels" / "zarr.json").is_file()
        cells = [
            escape(row["entry_id"]),
            "" if row["resolution"] is None else f"{row['resolution']:g}",
            escape(row["split_resolution"]),
            f'<a href="{escape(neuroglancer_link(base, name, row, manifest.schema, labels))}">neuroglancer</a>',
            f'<a href="{escape(validator_link(base, volume))}">validator</a>',
            f'<a href="/{escape(quote(volume))}/zarr.json">zarr</a>',
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    more = f"<p>The first {MAX_ENTRIES:,} of {len(table):,}.</p>" if len(table) > MAX_ENTRIES else ""
    card = f"/{name}/{manifest.tables}/README.md"
    head = "<tr><th>entry</th><th>resolution, A</th><th>split</th><th colspan=3>open</th></tr>"
    about = f'<p>Versions: {_versions(root, name)}. <a href="{escape(card)}">Card</a></p>'
    return _html(f"{name} {manifest.version}", f"{about}<table>{head}{''.join(rows)}</table>{more}")


def _versions(root: Path, name: str) -> str:
    return ", ".join(list_versions(root / name))


def _html(title: str, body: str) -> bytes:
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>"
    return f"{head}<h1>{escape(title)}</h1>{body}</html>".encode()
