"""The picture of a leakage: how much of what is held out training shows as well, and how alike it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.core.leakage import LEVELS, Held, Leakage
from cryodata.errors import UsageError

SHADES = ("#fdd0a2", "#fd8d3c", "#a63603")
"for each of LEVELS"

HUES = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd")


def pyplot() -> Any:
    """matplotlib's drawing. UsageError where it is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError:
        raise UsageError("a picture needs matplotlib: pip install 'cryodata[demo]'") from None
    return plt


def draw(png: Path, title: str, leakage: Sequence[Leakage]) -> None:
    """Write the picture as PNG."""
    plt = pyplot()
    held = [(f"{item.scheme}, {part.split}", part) for item in leakage for part in item.held]
    height = max(3.2, 0.7 * len(held) + 1.6)
    figure, panels = plt.subplots(1, 2, figsize=(10.5, height), constrained_layout=True)
    draw_shares(panels[0], held)
    draw_identities(panels[1], held)
    figure.suptitle(f"{title}: proteins of held-out maps that training shows as well", fontsize=11)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=110)
    plt.close(figure)


def draw_shares(panel: Any, held: Sequence[tuple[str, Held]]) -> None:
    """A bar for each split that is held out: residues with a chain of training above 30, 50 and 90 % identity."""
    for at, (_, part) in enumerate(held):
        for level, shade in zip(LEVELS, SHADES, strict=True):
            panel.barh(at, 100 * part.share(level), height=0.62, color=shade)
        shares = " / ".join(f"{100 * part.share(level):.1f}" for level in LEVELS)
        panel.text(101, at, f"{shares} %", va="center", fontsize=8)
    for level, shade in zip(LEVELS, SHADES, strict=True):
        panel.barh([0], [0], color=shade, label=f"above {level:.0%} identity")
    if not held:
        panel.text(50, 0, "nothing is held out", ha="center", va="center")
    panel.set_yticks(range(len(held)), [f"{name}\n{part.residues:,} residues" for name, part in held], fontsize=8)
    panel.set(xlim=(0, 100), xlabel="share of the residues, %", ylim=(max(0, len(held) - 1) + 0.7, -0.7))
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title("held out, with a chain alike in training", fontsize=9, loc="left")
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 0.0), fontsize=7, frameon=False)


def draw_identities(panel: Any, held: Sequence[tuple[str, Held]]) -> None:
    """Residues by the identity of the chain of training that is most like theirs."""
    bins = np.linspace(0.3, 1.0, 15)
    shown = [(name, part) for name, part in held if part.leaked][: len(HUES)]
    for number, (name, part) in enumerate(shown):
        identity = [item.identity for item in part.leaked]
        weights = [item.residues for item in part.leaked]
        panel.hist(identity, bins, weights=weights, histtype="step", lw=1.6, color=HUES[number], label=name)
    panel.set(xlabel="identity of the most similar chain of training", ylabel="residues", xlim=(0.28, 1.02))
    panel.set_ylim(bottom=0)
    panel.spines[["top", "right"]].set_visible(False)
    panel.set_title("by how alike the most similar chain of training is", fontsize=9, loc="left")
    if shown:
        panel.legend(fontsize=7, frameon=False, loc="upper left")
