"""What a run tells of itself: a CSV file, TensorBoard, and pictures at the end."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryodata.baseline.learning.runs import replace_file

LOG, SCORES = "log.csv", "scores.json"
FIRST = ("step", "epoch", "seconds", "learning_rate")
"columns before the losses and scores, the same in every run"


class Journal:
    """Rows of numbers, one at each validation, kept in `log.csv` and for TensorBoard.

    A row of a step that is done again replaces what was written of it and after it.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        self.rows = [row for row in read_log(folder) if row["step"] <= step]
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, row: Mapping[str, float], scores: Mapping[str, Any]) -> None:
        """Add a row, and keep the scores in full."""
        self.rows.append(dict(row))
        replace_file(self._folder / LOG, _csv(self.rows))
        replace_file(self._folder / SCORES, json.dumps({"step": row["step"], **scores}, indent=1).encode() + b"\n")
        for name, value in row.items():
            if name != "step":
                self._board.add_scalar(name, value, int(row["step"]))
        self._board.flush()

    def close(self) -> None:
        """Let go of the files."""
        self._board.close()


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's log, in order; none if there is no log yet."""
    path = folder / LOG
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [{name: _value(name, text) for name, text in row.items() if text} for row in csv.DictReader(file)]


def flat_scores(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The numbers of each head's scores that a row of the log holds: means, and F1 of each class of a small head."""
    row = {}
    for head, found in scores.items():
        for key in ("macro_f1", "macro_precision", "macro_recall", "accuracy_labelled"):
            row[f"{head}_{key}"] = found[key]
        if len(found["classes"]) <= 5:  # the atoms and the secondary structure
            for name, of in list(found["classes"].items())[1:]:
                row[f"{head}_f1_{name}"] = of["f1"] if of["f1"] is not None else math.nan
    return row


def draw_curves(folder: Path, rows: Sequence[Mapping[str, float]]) -> Path | None:
    """Learning curves as `curves.png`: losses on the left, scores on the right; None if there is nothing to draw."""
    if not rows:
        return None
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 4.8), constrained_layout=True)
    for panel, names in ((left, _named(rows, "loss")), (right, _named(rows, "macro_f1", "f1_", "accuracy_labelled"))):
        panel.set_prop_cycle(color=plt.get_cmap("tab20").colors)  # no two lines of one colour
        for name in names:
            points = [(row["step"], row[name]) for row in rows if name in row]
            style = "--" if name.startswith("train") else "-"
            panel.plot(*zip(*points, strict=True), style, marker=".", label=name.replace("_", " "))
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
        if names:
            panel.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    left.set_title("loss")
    right.set_title("scores on validation, by voxel")
    right.set_ylim(0, 1)
    figure.savefig(folder / "curves.png", dpi=110)
    plt.close(figure)
    return folder / "curves.png"


def draw_confusion(folder: Path, scores: Mapping[str, Mapping[str, Any]]) -> Path | None:
    """Confusion of each head as `confusion.png`: of the voxels of a class (rows), the share taken for each other."""
    if not scores:
        return None
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, panels = plt.subplots(
        1, len(scores), figsize=(5.2 * len(scores), 5), squeeze=False, constrained_layout=True
    )
    for panel, (head, found) in zip(panels[0], scores.items(), strict=True):
        counts = np.asarray(found["confusion"], dtype=np.float64)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        image = panel.imshow(shares, vmin=0, vmax=1, cmap="viridis")
        names = list(found["classes"])
        size = 9 if len(names) < 8 else 6
        panel.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
        panel.set_yticks(range(len(names)), names, fontsize=size)
        if len(names) < 8:
            for (row, column), share in np.ndenumerate(shares):
                panel.text(column, row, f"{share:.2f}", ha="center", va="center", color="white", fontsize=9)
        panel.set_title(f"{head}: macro-F1 {found['macro_f1']:.3f}")
        panel.set_xlabel("found")
        panel.set_ylabel("there")
    figure.colorbar(image, ax=panels[0][-1], shrink=0.8)
    figure.savefig(folder / "confusion.png", dpi=110)
    plt.close(figure)
    return folder / "confusion.png"


def _named(rows: Sequence[Mapping[str, float]], *parts: str) -> list[str]:
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(name for name in row if any(part in name for part in parts)))
    return [name for name in names if name not in FIRST]


def _csv(rows: Sequence[Mapping[str, float]]) -> bytes:
    names = dict.fromkeys([*FIRST, *(name for row in rows for name in row)])
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _value(name: str, text: str) -> float:
    return int(text) if name in ("step", "epoch") else float(text)
