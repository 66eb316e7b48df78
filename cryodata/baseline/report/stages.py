"""The stages of a baseline after the build, each done once: train, predict, trace, evaluate."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.baseline.report.places import HeldOut, Part, read_json, write_whole
from cryodata.baseline.report.site import Site
from cryodata.core.layout import canonical_json
from cryodata.errors import CryodataError, UsageError
from cryodata.formats.structure import read_structure

MODEL = "traced.cif"


def train_part(site: Site, part: Part) -> dict[str, Any]:
    """Train on a part, or go on; returns what the report needs. CryodataError if it was asked to stop."""
    from cryodata.baseline.train import train

    config = site.plan.config(part.kind)
    done = part.folder / "trained.json"
    if done.exists():
        found: dict[str, Any] = read_json(done)
        return found
    with site.watch.steps(f"training, {part.title}") as observe:
        report = train(part.dataset, config, part.run, root=str(site.root), observe=observe, say=site.watch.say)
    if not report.finished:
        raise CryodataError(f"stopped at step {report.step:,} of {report.steps:,}; the same command goes on from there")
    told = {"steps": report.steps, "seconds": report.seconds}
    write_whole(done, canonical_json(told).decode())
    return told


def judge_map(site: Site, part: Part, item: HeldOut) -> dict[str, Any]:
    """Predict, trace and evaluate one map, as far as it was not done; returns its scores."""
    folder = part.map_folder(item.entry_id)
    done = folder / "score.json"
    if not done.exists():
        began = time.monotonic()
        _predict(site, part, item)
        predicted = time.monotonic()
        _trace(site, folder, item)
        traced = time.monotonic()
        score = _evaluate(folder, item)
        score["seconds"] = {"predict": predicted - began, "trace": traced - predicted}
        write_whole(done, canonical_json(score).decode())
    found: dict[str, Any] = read_json(done)
    return found


def _predict(site: Site, part: Part, item: HeldOut) -> None:
    from cryodata.baseline.predict import Asked, predict

    folder = part.map_folder(item.entry_id) / "prediction"
    if folder.exists():  # it appears whole
        return
    with site.watch.steps(f"predicting {item.entry_id}") as observe:
        asked = Asked(batch_size=4, rotations=site.plan.rotations)
        predict(item.map_path, [part.run], folder, asked, observe=observe)


def _trace(site: Site, folder: Path, item: HeldOut) -> None:
    """`traced.cif`, or nothing if no residue could be placed: a network that has learnt little finds none."""
    from cryodata.baseline.tracing import Asked, trace_prediction, write_traced

    if (folder / MODEL).exists():
        return
    chains = _chains(item.model_path)
    write_whole(folder / "sequences.fasta", "".join(f">{name}\n{sequence}\n" for name, sequence in chains))
    try:
        traced = trace_prediction(folder / "prediction", chains, Asked(site.plan.method))
    except UsageError as error:
        site.watch.say(f"{item.entry_id} is not traced: {error}")
        return
    if not any((path >= 0).any() for path in traced.paths):
        site.watch.say(f"{item.entry_id} is not traced: no residue found its place")
        return
    part = folder / f"part-{MODEL}"
    write_traced(part, traced)
    os.replace(part, folder / MODEL)


def _chains(model: Path) -> list[tuple[str, str]]:
    """Name and sequence of each protein chain: that of the experiment if the file tells it, else what was modelled."""
    found = [item for item in read_structure(model).sequences if item.kind == "peptide"]
    return [(item.chain, item.full or item.modelled) for item in found]


def _evaluate(folder: Path, item: HeldOut) -> dict[str, Any]:
    """Scores of the traced model and of the voxels, beside chance."""
    from cryodata.baseline.evaluate import as_json, evaluate
    from cryodata.baseline.predictions import open_prediction
    from cryodata.baseline.scoring.plot import draw
    from cryodata.baseline.scoring.thresholds import predicted_curve
    from cryodata.formats.calphas import read_calphas

    reference = read_calphas(item.model_path)[0]
    model = read_calphas(folder / MODEL)[0] if (folder / MODEL).exists() else reference.take(np.arange(0))
    prediction = open_prediction(folder / "prediction")
    curve = predicted_curve(prediction, item.model_path)
    found = evaluate(model, reference)
    draw(folder / "score.png", model, reference, found, curve)
    chance = chance_f1(prediction.density(), reference.xyz)
    return {"entry_id": item.entry_id, "resolution": item.resolution, "chance_f1": chance, **as_json(found, curve)}


def chance_f1(density: Any, reference_xyz: Any, occupied: float = 0.1, cap: float = 2.0) -> float:
    """F1 of as many positions as the reference has, drawn from the voxels with density above `occupied`; one seed."""
    from cryodata.baseline.scoring.matching import match_optimally, near_pairs

    places = np.argwhere(density.data > occupied)
    if not len(places):
        return 0.0
    rng = np.random.Generator(np.random.PCG64(0))
    rows = rng.choice(len(places), size=min(len(reference_xyz), len(places)), replace=False)
    drawn = density.position_of(places[rows])
    pairs = match_optimally(near_pairs(drawn, reference_xyz, cap))
    return 2 * len(pairs) / (len(drawn) + len(reference_xyz))
