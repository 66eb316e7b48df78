"""Where a baseline keeps what, and which maps it holds out."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryodata.baseline.report.plan import FOLDS, REAL, SIMULATED, Plan
from cryodata.core.splits import TEST, TRAIN, VALIDATION
from cryodata.errors import DatasetError

VALIDATION_SHARE = 4
"one in so many of the next part's maps chooses the best weights; it is neither learnt nor judged"


@dataclass(frozen=True, slots=True)
class Part:
    """One training and the maps that it is judged on."""

    kind: str
    "simulated or real"

    fold: int
    "number of the part that is held out, from 1; 1 for the real entries"

    folder: Path
    "of all it makes"

    dataset: str
    "name@version"

    @property
    def title(self) -> str:
        """For people."""
        return f"simulated, fold {self.fold} of {FOLDS}" if self.kind == SIMULATED else "real maps"

    @property
    def run(self) -> Path:
        """Folder of the training."""
        return self.folder / "run"

    def map_folder(self, entry_id: str) -> Path:
        """Folder of one map that is judged."""
        return self.folder / "maps" / entry_id


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A map that no network of its part has seen, and its model."""

    entry_id: str
    map_path: Path
    model_path: Path
    resolution: float | None
    "A"


def parts_of(plan: Plan, out: Path, real: bool) -> list[Part]:
    """The simulated folds, then the real entries."""
    name = f"baseline-{plan.digest}"
    parts = [
        Part(SIMULATED, fold, out / f"simulated-{fold}", f"{name}@0.{fold}.0") for fold in range(1, plan.folds + 1)
    ]
    return [*parts, Part(REAL, 1, out / "real", f"{name}-real@0.1.0")] if real else parts


def fold_splits(maps: int, fold: int) -> dict[str, str]:
    """Split of each simulated map, by its id. The maps are dealt to the parts in turn."""
    splits = {}
    for number in range(1, maps + 1):
        part, place = (number - 1) % FOLDS + 1, (number - 1) // FOLDS
        split = TEST if part == fold else TRAIN
        if part == fold % FOLDS + 1 and place % VALIDATION_SHARE == 0:
            split = VALIDATION
        splits[f"SIM-{number:05d}"] = split
    return splits


def write_splits(path: Path, splits: Mapping[str, str]) -> Path:
    """As the file that `--set splits=` takes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("id", "split"), *splits.items()])
    write_whole(path, text.getvalue())
    return path


def write_whole(path: Path, text: str) -> None:
    """A file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def read_json(path: Path) -> Any:
    """What `write_whole` wrote; DatasetError, naming the file, if it can't be read."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: can't be read ({error}); remove it, and the stage is done again") from None
