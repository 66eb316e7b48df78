"""What a page is made of: its style, and tables whose texts are escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top }
th:first-child, td:first-child, td.text, th.text { text-align: left }
td:first-child { white-space: nowrap } .wide { overflow-x: auto; max-height: 40rem }
svg { font: 11px system-ui, sans-serif; fill: #444 } svg .name { font-size: 12px; fill: #222 } .note { color: #555 }
.charts, .maps { display: flex; flex-wrap: wrap; gap: .6rem } figure { margin: 0; width: 132px; font-size: 11px }
figure img { border: 1px solid #ddd; image-rendering: auto }
"""


def plain(value: Any) -> str:
    """A value in few characters."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def pairs(told: Mapping[str, str]) -> str:
    """A table of names and texts, escaped."""
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td class=text>{escape(value)}</td></tr>" for name, value in told.items()
    )
    return f"<table>{lines}</table>"


def table(head: Sequence[str], lines: Sequence[Sequence[str]], text: Sequence[int] = ()) -> str:
    """A table of texts, escaped; text: columns that are set as such, not as numbers."""

    def row(cells: Sequence[str], kind: str) -> str:
        marked = [" class=text" if number in text else "" for number in range(len(cells))]
        return "".join(f"<{kind}{mark}>{escape(str(cell))}</{kind}>" for mark, cell in zip(marked, cells, strict=True))

    body = "".join(f"<tr>{row(line, 'td')}</tr>" for line in lines)
    return f"<table><tr>{row(head, 'th')}</tr>{body}</table>"
