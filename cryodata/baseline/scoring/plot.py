"""The picture of an evaluation: distances of the pairs, what became of each residue, F1 against threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.baseline.evaluate import CAPS, RIGHT, Evaluation, residue_states
from cryodata.baseline.scoring.matching import match_optimally, near_pairs
from cryodata.baseline.scoring.thresholds import ThresholdCurve
from cryodata.core.calphas import CAlphas

STATES = {
    "in register": "#1b7837",
    "right residue type, another place in the sequence": "#7fbf7b",
    "placed, another residue type": "#fdb863",
    "missing": "#d9d9d9",
}
"what may have become of a residue of the reference, as `residue_states` numbers it, and its colour"

MAX_STRIPS = 40
"chains that are drawn; more do not fit a picture"


def draw(png: Path, model: CAlphas, reference: CAlphas, found: Evaluation, curve: ThresholdCurve | None = None) -> None:
    """Write the picture as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    width = 3 if curve is not None else 2
    figure, panels = plt.subplots(1, width, figsize=(5.2 * width, 4.4), constrained_layout=True, squeeze=False)
    _draw_distances(panels[0, 0], model, reference, found)
    _draw_residues(panels[0, 1], model, reference)
    if curve is not None:
        draw_curve(panels[0, 2], curve)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=110)
    plt.close(figure)


def _draw_distances(panel: Any, model: CAlphas, reference: CAlphas, found: Evaluation) -> None:
    """Share of the residues that are in a pair, against the distance of the pair; the scores at the caps over it."""
    distance = np.sort(match_optimally(near_pairs(model.xyz, reference.xyz, max(CAPS))).distance)
    for count, label, color in (
        (len(reference), "share of the reference", "#1f77b4"),
        (len(model), "share of the model", "#9ecae1"),
    ):
        x = np.r_[0.0, distance, max(CAPS)]
        y = np.r_[np.arange(len(distance) + 1), len(distance)] / max(1, count)
        panel.step(x, y, where="post", label=label, color=color)
    caps = [item.cap for item in found.matching]
    panel.plot(caps, [item.f1 for item in found.matching], "o", color="black", label="F1 at 1, 2, 3 A")
    for item in found.matching:
        panel.annotate(f"{item.f1:.3f}", (item.cap, item.f1), textcoords="offset points", xytext=(-2, 8), ha="right")
    panel.set(xlabel="distance of the pair, A", ylabel="residues in a pair", xlim=(0, max(CAPS) * 1.03), ylim=(0, 1.02))
    panel.set_title("alpha carbons found, one to one")
    panel.legend(loc="lower right", fontsize=8)


def _draw_residues(panel: Any, model: CAlphas, reference: CAlphas) -> None:
    """A strip for each chain of the reference, residue by residue."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    states = residue_states(model, reference)
    colors = ListedColormap(list(STATES.values()))
    norm = BoundaryNorm(np.arange(len(STATES) + 1) - 0.5, len(STATES))
    chains = list(reference.chains.items())[:MAX_STRIPS]
    for row, (_, rows) in enumerate(chains):
        extent = (0, len(rows), row + 0.4, row - 0.4)
        panel.imshow(states[rows][None], cmap=colors, norm=norm, aspect="auto", interpolation="nearest", extent=extent)
    panel.set_xlim(0, max(len(rows) for _, rows in chains))
    panel.set_ylim(len(chains) - 0.4, -0.6)
    panel.set_yticks(range(len(chains)), [name for name, _ in chains])
    left_out = len(reference.chains) - len(chains)
    panel.set(xlabel="residue", ylabel="chain" + (f" (first {MAX_STRIPS})" if left_out else ""))
    panel.set_title(f"residues of the reference ({RIGHT:g} A)")
    for number, (name, color) in enumerate(STATES.items()):
        share = float(np.mean(states == number))
        panel.plot([], [], "s", color=color, label=f"{name}: {share:.1%}")
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=8, frameon=False)


def draw_curves(png: Path, curves: Mapping[str, Mapping[str, Sequence[float]]], title: str) -> None:
    """F1 against threshold of several maps, their mean, and that of chance: the paper's figure 6.

    curves: by map, what `as_json` gives as `voxels`.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(6.4, 4.4), constrained_layout=True)
    thresholds = next(iter(curves.values()))["thresholds"]
    for number, curve in enumerate(curves.values()):
        panel.plot(thresholds, curve["f1"], color="#9ecae1", linewidth=0.8, label="" if number else "each map")
    for key, label, style, color in (
        ("f1", "mean", "-", "#1f77b4"),
        ("random_f1", "chance, mean", "--", "black"),
    ):
        mean = np.mean([curve[key] for curve in curves.values()], axis=0)
        panel.plot(thresholds, mean, style, color=color, linewidth=2, label=label)
    panel.set(xlabel="probability of an alpha carbon", ylabel="F1 of voxels", xlim=(0, 1), ylim=(0, 1.02), title=title)
    panel.legend(loc="best", fontsize=8)
    figure.savefig(png, dpi=100)
    plt.close(figure)


def draw_curve(panel: Any, curve: ThresholdCurve) -> None:
    """F1, precision and recall of voxels against the threshold, and F1 of chance."""
    panel.plot(curve.thresholds, curve.precision, color="#9ecae1", label="precision")
    panel.plot(curve.thresholds, curve.recall, color="#fdb863", label="recall")
    panel.plot(curve.thresholds, curve.f1, color="#1f77b4", linewidth=2, label="F1")
    panel.plot(curve.thresholds, curve.random_f1, color="black", linestyle="--", label="F1 of chance")
    threshold, best = curve.best
    panel.plot([threshold], [best], "o", color="#1f77b4", label=f"best F1 {best:.3f} at {threshold:.2f}")
    panel.set(xlabel="probability of an alpha carbon", ylabel="voxels", xlim=(0, 1), ylim=(0, 1.02))
    panel.set_title("voxel by voxel, against the threshold")
    panel.legend(loc="best", fontsize=8)
