"""Charts as SVG and thumbnails as PNG, written by hand: a page needs no library to draw and none to be looked at."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 330, 170
"pixels of a chart"

LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 34
"pixels around the plot"

BINS = 24

COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf", "#7f7f7f")


def histogram(values: Sequence[float], label: str) -> str:
    """How values are spread; label: what they are, with the unit."""
    array = np.asarray(values, dtype=np.float64)
    low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 0.5 * max(1e-9, abs(low)), high + 0.5 * max(1e-9, abs(high))
    counts, edges = np.histogram(array, BINS, (low, high))
    plot = _Plot((low, high), (0.0, float(counts.max())))
    bars = "".join(
        f'<rect x="{plot.x(a):.1f}" y="{plot.y(n):.1f}" width="{max(0.5, plot.x(b) - plot.x(a) - 1):.1f}" '
        f'height="{plot.y(0) - plot.y(n):.1f}" fill="{COLORS[0]}"/>'
        for n, a, b in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        if n
    )
    return plot.svg(bars, label, "entries")


def refused(values: Sequence[float | None], label: str, highest_first: bool = False) -> str:
    """Entries that a threshold would refuse, by threshold; None is refused by any. highest_first: those above it."""
    known = np.sort(np.asarray([value for value in values if value is not None], dtype=np.float64))
    unknown = len(values) - len(known)
    low, high = float(known[0]), float(known[-1])
    if low == high:
        low, high = low - 0.5 * max(1e-9, abs(low)), high + 0.5 * max(1e-9, abs(high))
    at = np.linspace(low, high, 200)
    below = np.searchsorted(known, at, "left") + unknown
    count = len(values) - np.searchsorted(known, at, "right") if highest_first else below
    plot = _Plot((low, high), (0.0, float(len(values))))
    points = " ".join(f"{plot.x(a):.1f},{plot.y(n):.1f}" for a, n in zip(at.tolist(), count.tolist(), strict=True))
    line = f'<polyline points="{points}" fill="none" stroke="{COLORS[1]}" stroke-width="1.6"/>'
    return plot.svg(line, label, "refused")


def shares(values: Mapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Shares from 0 to 1 as bars: a group for each name, a colour for each key."""
    plot, bars = _Plot((0.0, float(len(names))), (0.0, 1.0)), []
    width = 0.8 / max(1, len(values))
    for number, (key, found) in enumerate(values.items()):
        color = COLORS[number % len(COLORS)]
        for place, share in enumerate(found):
            left = plot.x(place + 0.1 + number * width)
            bars.append(
                f'<rect x="{left:.1f}" y="{plot.y(share):.1f}" width="{plot.x(width) - plot.x(0) - 1:.1f}" '
                f'height="{plot.y(0) - plot.y(share):.1f}" fill="{color}"/>'
            )
        bars.append(
            f'<rect x="{WIDTH - 96}" y="{TOP + 14 * number}" width="9" height="9" fill="{color}"/>'
            f'<text x="{WIDTH - 83}" y="{TOP + 9 + 14 * number}">{escape(key)}</text>'
        )
    marks = [(place + 0.5, name) for place, name in enumerate(names)]
    return plot.svg("".join(bars), "identity above", "share of residues", marks)


class _Plot:
    """Axes of a chart."""

    def __init__(self, across: tuple[float, float], upward: tuple[float, float]) -> None:
        self.across, self.upward = across, (upward[0], max(upward[1], upward[0] + 1e-9))

    def x(self, value: float) -> float:
        low, high = self.across
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.upward
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def svg(self, inner: str, label: str, upward: str, marks: Sequence[tuple[float, str]] = ()) -> str:
        """The whole chart. marks: places across that are named, instead of round shares of the axis."""
        marks = marks or [(value, _short(value)) for value in np.linspace(*self.across, 4).tolist()]
        base = HEIGHT - BOTTOM
        axes = f'<path d="M{LEFT} {TOP}V{base}H{WIDTH - RIGHT}" fill="none" stroke="#888"/>'
        ticks = [
            f'<text x="{self.x(value):.1f}" y="{base + 13}" text-anchor="middle">{escape(name)}</text>'
            for value, name in marks
        ]
        ticks += [
            f'<text x="{LEFT - 4}" y="{self.y(value) + 4:.1f}" text-anchor="end">{_short(value)}</text>'
            for value in np.linspace(*self.upward, 3).tolist()
        ]
        middle = (LEFT + WIDTH - RIGHT) // 2
        names = (
            f'<text x="{middle}" y="{HEIGHT - 5}" text-anchor="middle" class="name">{escape(label)}</text>'
            f'<text x="11" y="{(TOP + base) // 2}" text-anchor="middle" '
            f'transform="rotate(-90 11 {(TOP + base) // 2})">{escape(upward)}</text>'
        )
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
            f'aria-label="{escape(label)}">{inner}{axes}{"".join(ticks)}{names}</svg>'
        )


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def thumbnail(data: npt.NDArray[Any], size: int) -> npt.NDArray[np.uint8]:
    """Mean of a density along z as grey values, dark where there is much, uint8 of at most `size` pixels a side.

    data: (nz, ny, nx). Rows from the top down, so y falls.
    """
    _, ny, nx = data.shape
    flat = np.zeros((ny, nx), dtype=np.float64)
    for plane in data:
        flat += plane
    step = -(-max(ny, nx) // size)
    rows, columns = -(-ny // step) * step, -(-nx // step) * step
    padded = np.zeros((rows, columns))
    padded[:ny, :nx] = flat
    small = padded.reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
    low, high = float(small.min()), float(small.max())
    grey = (small - low) / (high - low) if high > low else np.zeros_like(small)
    return np.asarray(np.round(255 * (1 - np.sqrt(grey)))[::-1], dtype=np.uint8)


def png(grey: npt.NDArray[np.uint8]) -> bytes:
    """A grey picture as a PNG file (ISO/IEC 15948); grey: uint8 (rows, columns)."""
    rows, columns = grey.shape
    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    raw = b"".join(b"\0" + row.tobytes() for row in grey)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def picture(grey: npt.NDArray[np.uint8], text: str) -> str:
    """A grey picture as an HTML element that holds it."""
    data = base64.b64encode(png(grey)).decode("ascii")
    rows, columns = grey.shape
    return f'<img alt="{escape(text)}" width="{columns}" height="{rows}" src="data:image/png;base64,{data}">'
