"""From a map file to probabilities: what `cryodata predict` does. `cryodata.baseline` tells the layout."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cryodata.baseline.learning.group import chosen_device
from cryodata.baseline.learning.runs import RunCard, load_network, read_sequences
from cryodata.baseline.learning.windows import Predictor, Windows, predict_tiles, windows_of
from cryodata.baseline.predictions import FORMAT, PREDICTION, PROBABILITIES, Prediction, open_prediction
from cryodata.core.rotations import ROTATIONS
from cryodata.core.schema import STEP
from cryodata.core.volume import Volume
from cryodata.errors import RejectedError, UsageError
from cryodata.formats.mrc import read_volume, write_map
from cryodata.formats.mrc_header import read_header
from cryodata.formats.volumes import ChannelSpec, create_channels
from cryodata.prepare.narrow import narrowed
from cryodata.prepare.recipes import RECIPES
from cryodata.prepare.resample import resampled_shape


@dataclass(frozen=True, slots=True)
class Asked:
    """How a map is to be predicted."""

    batch_size: int = 1
    "windows that go through a network together"

    rotations: int = 1
    "of the window, 1 to 24, whose results are averaged"

    device: str = "auto"
    precision: str = "auto"
    mrc: tuple[str, ...] = ()
    "channels to write as MRC maps besides, such as `atom:CA`"

    sequence: Path | None = None
    "safetensors file with one vector of 1,280 numbers, for a network that takes it"

    overwrite: bool = False
    "replace what the folder holds"


def predict(
    path: Path,
    runs: Sequence[Path],
    folder: Path,
    asked: Asked | None = None,
    *,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Prediction:
    """Predict a map with one or several runs, each giving its heads, into a folder.

    path: of a map of any shape, axis order and voxel size, plain or gzip. Memory: the map, the weights, a few windows.
    The folder appears whole or not at all. Raises UsageError for runs that do not go together, RejectedError for a map
    that can't be used.
    """
    asked = asked or Asked()
    if folder.exists() and not asked.overwrite and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; use another --out, or --overwrite")
    if not 1 <= asked.rotations <= len(ROTATIONS):
        raise UsageError(f"rotations is {asked.rotations}; expected 1 to {len(ROTATIONS)}")
    loaded = [load_network(run) for run in runs]
    cards = [card for card, _, _ in loaded]
    _check_together(cards, runs)
    channels = _channels({head.name: head.classes for card in cards for head in card.heads}, asked.mrc)
    vector = _vector(asked.sequence) if any(card.spec.sequence for card in cards) else None
    density, place = prepared(path, cards[0].recipe, cards[0].spacing)
    cuts = [windows_of(density.shape_zyx, card.spec, card.box, card.core) for card in cards]
    specs = {
        head.name: ChannelSpec(head.classes, cut.tile)
        for card, cut in zip(cards, cuts, strict=True)
        for head in card.heads
    }
    device = chosen_device(asked.device)
    total, done = sum(len(cut.grid) for cut in cuts), 0
    with _whole_or_nothing(folder) as part:
        arrays = create_channels(part / PROBABILITIES, density, specs, {"map": path.name})
        for (card, network, _), cut in zip(loaded, cuts, strict=True):
            predictor = Predictor(network, card.heads, device, asked.precision)
            tiles = predict_tiles(
                predictor,
                density.data,
                cut,
                batch_size=asked.batch_size,
                rotations=asked.rotations,
                sequence=vector,
                observe=_from(observe, done, total),
            )
            for where, found in tiles:
                for name, values in found.items():
                    arrays[name][where] = values
            done += len(cut.grid)
        told = _told(path, runs, loaded, cuts, asked)
        (part / PREDICTION).write_text(json.dumps({**told, **place}, indent=1) + "\n", encoding="utf-8")
        for head, name, number in channels:
            values = arrays[head][number].astype(np.float32)
            write_map(part / f"{head}_{name}.mrc.gz", Volume(values, density.voxel_size_xyz, density.origin_xyz))
    return open_prediction(folder)


def prepared(path: Path, recipe: str, spacing: float) -> tuple[Volume, dict[str, Any]]:
    """The density of a map file as a recipe makes it for training, and what was done to it.

    It lies in the frame that the header asks for; its contour, where the recipe has one, is mean + 3 sd. Raises
    RejectedError with the same reasons as a build.
    """
    if recipe not in RECIPES:
        raise UsageError(f"the run was trained on recipe '{recipe}'; prediction knows {', '.join(RECIPES)}")
    header = read_header(path)
    header.check_orthogonal()
    shape = resampled_shape(header.shape_zyx, header.voxel_size_xyz, spacing)
    if min(shape) < 1:
        raise RejectedError("unreadable_map", f"{path.name}: smaller than one voxel of {spacing:g} A")
    volume = read_volume(path, header)
    if not np.isfinite(volume.data).all():
        raise RejectedError("not_finite", f"{path.name}: some voxels are NaN or infinite; expected numbers")
    resampled = RECIPES[recipe].resample(volume, spacing)
    normalised, measured = RECIPES[recipe].normalize(resampled.data, None)
    values = narrowed(normalised, np.dtype(np.float16), STEP).astype(np.float32)  # as it is stored by default
    placed = Volume(values, resampled.voxel_size_xyz, resampled.origin_xyz)
    return placed, {
        "shape_zyx": list(placed.shape_zyx),
        "origin_xyz": placed.origin_xyz.tolist(),
        "voxel_size_xyz": placed.voxel_size_xyz.tolist(),
        "map_voxel_size_xyz": volume.voxel_size_xyz.tolist(),
        "frame": header.frame,
        "recipe": recipe,
        **measured,
    }


def _from(observe: Callable[[int, int], None], before: int, total: int) -> Callable[[int, int], None]:
    """What is told of one run's windows, as part of all."""
    return lambda done, _: observe(before + done, total)


def _told(
    path: Path, runs: Sequence[Path], loaded: Sequence[tuple[RunCard, Any, str]], cuts: Sequence[Windows], asked: Asked
) -> dict[str, Any]:
    offsets = [card.label_offset for card, _, _ in loaded]
    return {
        "format": FORMAT,
        "map": path.name,
        "map_sha256": _digest(path),
        "runs": [
            {
                "run": run.name,
                "weights_sha256": digest,
                "network": card.spec.kind,
                "dataset": card.dataset,
                "labels": card.labels,
                "heads": [head.name for head in card.heads],
                "box": cut.grid.box,
                "core": cut.grid.core,
                "windows": len(cut.grid),
            }
            for run, (card, _, digest), cut in zip(runs, loaded, cuts, strict=True)
        ],
        "rotations": asked.rotations,
        "classes": {head.name: list(head.classes) for card, _, _ in loaded for head in card.heads},
        "conditional": [head.name for card, _, _ in loaded for head in card.heads if head.conditional],
        "label_offset_xyz": [offsets[0]] * 3,
    }


def _check_together(cards: Sequence[RunCard], runs: Sequence[Path]) -> None:
    """UsageError unless the runs saw the same densities and labels, and no two predict the same."""
    names = [head.name for card in cards for head in card.heads]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"more than one run predicts {', '.join(twice)}; expected each head once")
    for key in ("recipe", "spacing", "label_offset"):
        found = [getattr(card, key) for card in cards]
        if len(set(found)) > 1:
            told = ", ".join(f"{run.name} {value}" for run, value in zip(runs, found, strict=True))
            raise UsageError(f"the runs differ in {key}: {told}; predict with them one by one")


def _channels(classes: Mapping[str, Sequence[str]], asked: Sequence[str]) -> list[tuple[str, str, int]]:
    """Head, class and channel of texts such as `atom:CA`."""
    found = []
    for text in asked:
        head, _, name = text.partition(":")
        if name not in classes.get(head, ()):
            known = "; ".join(f"{key}: {' '.join(names)}" for key, names in classes.items())
            raise UsageError(f"--mrc {text}: expected HEAD:CLASS of {known}")
        found.append((head, name, list(classes[head]).index(name)))
    return found


def _vector(path: Path | None) -> Tensor:
    if path is None:
        raise UsageError("this network takes a sequence vector: --sequence FILE, safetensors with one of 1,280 numbers")
    found = read_sequences(path)
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found)} vectors; expected the one of this map")
    return next(iter(found.values()))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _whole_or_nothing(folder: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `folder` at the end, or goes."""
    folder = Path(os.path.abspath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        part = Path(temporary) / "part"
        part.mkdir()
        yield part
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
