"""One picture of one entry: slices with labels, projections, histograms, and fit and Q along the chains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cryodata.errors import UsageError
from cryodata.prepare.labels import WRITTEN, class_values

if TYPE_CHECKING:
    from cryodata.core.volume import Volume
    from cryodata.review.along import Opened

SLAB = 2
"voxels on either side of a slice that are averaged, so that it holds enough atoms to see a chain"

BINS = 120
MAX_CLASSES = 8
"classes of a label that a legend lists"

Axis = tuple[int, str, str, str]

AXES: tuple[Axis, ...] = ((0, "z", "x", "y"), (1, "y", "x", "z"), (2, "x", "y", "z"))
"axis that is looked along, its name, and what lies across and upward"

Q_COLOR, DENSITY_COLOR = "#d62728", "#1f77b4"


def draw_entry(entry: Opened, deposited: Volume | None, png: Path) -> None:
    """Write the picture. deposited: the map as its file has it, for the histogram before; None if it is not at hand.

    Raises UsageError if Matplotlib is not installed.
    """
    plt = pyplot()
    figure = plt.figure(figsize=(13.5, 13), constrained_layout=True)
    grid = figure.add_gridspec(4, 6, height_ratios=(1, 1, 0.55, 0.7))
    middle = _middle(entry)
    for number, axis in enumerate(AXES):
        _slice(figure.add_subplot(grid[0, 2 * number : 2 * number + 2]), entry, middle, axis, number == 2)
        _projection(figure.add_subplot(grid[1, 2 * number : 2 * number + 2]), entry, axis)
    _before(figure.add_subplot(grid[2, :3]), entry, deposited)
    _after(figure.add_subplot(grid[2, 3:]), entry)
    _along(figure.add_subplot(grid[3, :]), entry)
    figure.suptitle(_title(entry), fontsize=11)
    png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(png, dpi=100)
    plt.close(figure)


def pyplot() -> Any:
    """Matplotlib for files. Raises UsageError if it is not installed."""
    try:
        import matplotlib
    except ModuleNotFoundError:
        raise UsageError("the picture needs matplotlib: pip install 'cryodata[demo]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _title(entry: Opened) -> str:
    row = entry.row
    resolution = "unknown resolution" if row["resolution"] is None else f"{row['resolution']:g} A"
    told = [f"{row['entry_id']}  {row['pdb_id'] or ''}  {resolution}, {len(entry.residues.number):,} residues"]
    names = {
        "fit": "fit", "fit_shift": "fit_shift", "correlation": "correlation", "atom_inclusion": "inclusion",
        "resolved": "resolved", "q_mean": "Q", "best_scale": "best scale", "hand_margin": "hand",
    }  # fmt: skip
    told += [f"{name} {row[key]:.3g}" for key, name in names.items() if row.get(key) is not None]
    return "   ".join(told).replace("$", r"\$")


def _middle(entry: Opened) -> npt.NDArray[np.int64]:
    """The voxel z, y, x that slices go through: the middle of the atoms, in the map."""
    shape = np.asarray(entry.density.shape_zyx)
    voxel = entry.atoms["voxel_zyx"][entry.atoms["state"] <= 1]
    found = np.median(voxel, axis=0) if len(voxel) else shape // 2
    return np.clip(found.astype(np.int64), 0, shape - 1)


def _slice(
    panel: Any, entry: Opened, middle: npt.NDArray[np.int64], axis: tuple[int, str, str, str], last: bool
) -> None:
    """A slab of density with the classes of the first label in it."""
    from matplotlib.colors import ListedColormap

    along, name, across, up = axis
    low, high = max(int(middle[along]) - SLAB, 0), int(middle[along]) + SLAB + 1
    picture = entry.density.data[(slice(None),) * along + (slice(low, high),)].mean(axis=along)
    panel.imshow(picture, cmap="gray", origin="lower", interpolation="nearest")
    if entry.schema.labels:
        label = entry.schema.labels[0]
        values = class_values(label, entry.atoms)
        voxel = entry.atoms["voxel_zyx"]
        shown = (values > 0) & (entry.atoms[label.state] == WRITTEN)
        shown &= (voxel[:, along] >= low) & (voxel[:, along] < high)
        rest = [other for other in range(3) if other != along]
        colors = ListedColormap([item.color for item in label.classes])
        spots = {"cmap": colors, "vmin": 0.5, "vmax": len(label.classes) + 0.5, "s": 7, "linewidths": 0}
        panel.scatter(voxel[shown, rest[1]], voxel[shown, rest[0]], c=values[shown], **spots)
        if last and len(label.classes) <= MAX_CLASSES:
            for item in label.classes:
                panel.scatter([], [], c=item.color, label=item.name.replace("$", r"\$"), s=16)
            panel.legend(loc="upper right", fontsize=7)
    panel.set_title(f"slice at {name} = {int(middle[along])}, {high - low} voxels thick", fontsize=9)
    panel.set_xlabel(across, fontsize=8)
    panel.set_ylabel(up, fontsize=8)
    panel.tick_params(labelsize=7)


def _projection(panel: Any, entry: Opened, axis: Axis) -> None:
    """The mean density along an axis, with the C-alphas of each chain."""
    along, name, across, up = axis
    panel.imshow(entry.density.data.mean(axis=along), cmap="gray_r", origin="lower", interpolation="nearest")
    is_ca = entry.atoms["state_ca"] <= 1
    index = entry.density.index_of(entry.atoms["xyz"][is_ca])
    rest = [other for other in range(3) if other != along]
    chain = np.unique(entry.atoms["chain"][is_ca], return_inverse=True)[1]
    panel.scatter(index[:, rest[1]], index[:, rest[0]], c=chain % 10, cmap="tab10", vmin=0, vmax=9, s=2, linewidths=0)
    panel.set_xlim(-0.5, entry.density.data.shape[rest[1]] - 0.5)
    panel.set_ylim(-0.5, entry.density.data.shape[rest[0]] - 0.5)
    panel.set_title(f"mean along {name}, C-alphas by chain", fontsize=9)
    panel.set_xlabel(across, fontsize=8)
    panel.set_ylabel(up, fontsize=8)
    panel.tick_params(labelsize=7)


def _before(panel: Any, entry: Opened, deposited: Volume | None) -> None:
    """How the voxels of the deposited map are spread; without it, where its figures lie on its scale."""
    row = entry.row
    marks = [
        (row.get("map_mean"), "mean", "#7f7f7f", "-"),
        (row.get("map_contour"), f"contour ({row.get('map_contour_source')})", "#2ca02c", "--"),
        (row.get("percentile"), "percentile that becomes 1", "#ff7f0e", "-"),
    ]
    if deposited is not None:
        panel.hist(deposited.data.reshape(-1), _edges(deposited.data), color="#9ecae1", log=True)
        panel.set_title("before: voxels of the deposited map", fontsize=9)
    else:
        panel.set_title("before: the deposited map is not at hand (--source DIR); its figures", fontsize=9)
        if row.get("map_sd"):
            known = [value for value, *_ in marks if value is not None]
            panel.set_xlim(min(known) - 3 * row["map_sd"], max(known) + 3 * row["map_sd"])
        panel.set_yticks([])
    for value, name, color, style in marks:
        if value is not None:
            panel.axvline(value, color=color, linestyle=style, label=f"{name}: {value:.4g}".replace("$", r"\$"))
    panel.set_xlabel("density, units of the map", fontsize=8)
    panel.tick_params(labelsize=7)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=7)


def _after(panel: Any, entry: Opened) -> None:
    """How the stored voxels are spread, all of them and at the C-alphas."""
    data = entry.density.data.reshape(-1)
    edges = _edges(data)
    panel.hist(data, edges, color="#9ecae1", log=True, label="all voxels")
    if len(entry.residues.density):
        panel.hist(entry.residues.density, edges, color=Q_COLOR, alpha=0.6, log=True, label="at the C-alphas")
    highest = entry.schema.density.maximum
    full = float(np.mean(data >= highest))
    voxels = entry.atoms["voxel_zyx"][entry.atoms["state_ca"] == WRITTEN]
    at_ca = float(np.mean(entry.density.data[tuple(voxels.T)] >= highest)) if len(voxels) else 0.0
    panel.set_title(
        f"after: as stored; {full:.1%} of the voxels at {highest:g}, {at_ca:.1%} of those of C-alphas", fontsize=9
    )
    panel.set_xlabel("normalised density", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=7)


def _edges(data: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Where the bars of a histogram begin and end."""
    low, high = float(data.min()), float(data.max())
    return np.linspace(low, high if high > low else low + max(1.0, abs(low)), BINS + 1)


def _along(panel: Any, entry: Opened) -> None:
    """Density at the C-alpha and Q-score, residue by residue."""
    residues = entry.residues
    place = np.arange(len(residues.number))
    panel.plot(place, residues.density, color=DENSITY_COLOR, linewidth=0.8, label="normalised density at the C-alpha")
    measured = bool(np.isfinite(residues.q_score).any())
    if measured:
        panel.plot(place, residues.q_score, color=Q_COLOR, linewidth=0.8, label="Q-score of the residue")
        panel.axhline(float(np.nanmean(residues.q_score)), color=Q_COLOR, linestyle=":", linewidth=0.8)
    starts = residues.starts()
    for start in starts:
        panel.axvline(start, color="#bbbbbb", linewidth=0.6)
        if len(starts) <= 30:
            name = str(residues.chain[start]).replace("$", r"\$")
            panel.annotate(name, (start, 1.02), xycoords=("data", "axes fraction"), fontsize=7)
    lowest = min(0.0, float(np.nanmin(residues.q_score))) if measured else 0.0
    panel.set(xlim=(0, max(1, len(place) - 1)), ylim=(lowest, 1.02))
    told = "" if measured else "; no Q-scores: build with --set quality=yes"
    panel.set_xlabel(f"residue, chain after chain{told}", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.legend(fontsize=7, loc="lower right")
