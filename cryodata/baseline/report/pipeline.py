"""One command from nothing to a report: what `cryodata baseline` does."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryodata import __version__
from cryodata.baseline.report.datasets import build_part, check_real
from cryodata.baseline.report.places import Part, parts_of, read_json, write_whole
from cryodata.baseline.report.plan import REAL, Plan
from cryodata.baseline.report.site import Site
from cryodata.baseline.report.stages import judge_map, train_part
from cryodata.baseline.report.summary import mean_row, row_of, slope_of
from cryodata.core.layout import canonical_json
from cryodata.errors import UsageError

PLAN, REPORT, PAGE = "plan.json", "report.json", "report.html"


def run_baseline(site: Site, out: Path) -> dict[str, Any]:
    """Every stage that is not done yet, then the report: `report.json`, which is returned, and `report.html`.

    Killed anywhere, the same call goes on where it stopped. Raises UsageError if the folder holds another plan.
    """
    check_real(site)
    _begin(site.plan, out)
    parts = [_part(site, part) for part in parts_of(site.plan, out, site.source is not None)]
    report = {
        "plan": asdict(site.plan),
        "setting": _setting(site.plan),
        "made": f"cryodata {__version__}, {_machine()}",
        "parts": parts,
    }
    write_whole(out / REPORT, canonical_json(report).decode())
    _write_page(report, out)
    return report


def _begin(plan: Plan, out: Path) -> None:
    """Note the plan, or see that it is the one that the folder was begun with."""
    path = out / PLAN
    now = canonical_json(asdict(plan)).decode()
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise UsageError(f"{out} is not empty and holds no {PLAN}; use another --out")
        write_whole(path, now)
        return
    before, after = read_json(path), json.loads(now)
    changed = [key for key in after if before.get(key) != after[key]]
    if changed:
        raise UsageError(f"{out} holds a baseline with another {', '.join(changed)}; use another --out")


def _part(site: Site, part: Part) -> dict[str, Any]:
    """All stages of a part; what the report tells of it."""
    built = part.folder / "built.json"
    began = time.monotonic()
    held_out = build_part(site, part)
    if not built.exists():
        write_whole(built, canonical_json({"seconds": time.monotonic() - began}).decode())
    trained = train_part(site, part)
    scores = [judge_map(site, part, item) for item in held_out]
    rows = [row_of(score) for score in scores]
    seconds = {name: sum(score["seconds"][name] for score in scores) for name in ("predict", "trace")}
    return {
        "kind": part.kind,
        "title": part.title,
        "folder": str(part.folder),
        "told": _told(site, part, trained),
        "maps": [{"entry_id": item["entry_id"], "scores": row} for item, row in zip(scores, rows, strict=True)],
        "mean": mean_row(rows),
        "seconds": {"build": read_json(built)["seconds"], "train": trained["seconds"], **seconds},
    }


def _told(site: Site, part: Part, trained: Mapping[str, Any]) -> str:
    """What was trained, and whether it was still learning."""
    from cryodata.baseline.learning.journal import read_log

    log = read_log(part.run)
    slope = slope_of(log, "atom_f1_CA")
    config = site.plan.config(part.kind)
    text = (
        f"Dataset {part.dataset}; {config.network} network, labels {config.labels}, {trained['steps']:,} steps of "
        f"batches of {config.batch_size}."
    )
    if log and "atom_f1_CA" in log[-1]:
        text += f" F1 of alpha-carbon voxels on validation at the end: {log[-1]['atom_f1_CA']:.3f}"
        text += f", changing by {slope:+.3f} in 1,000 steps over the last half." if slope is not None else "."
    if part.kind == REAL:
        text += (
            " Learnt from a few real maps, most of them crops, of several resolutions, and from all simulated ones; no "
            "held-out protein is among them. What limits it is the number of real maps."
        )
    return text


def _setting(plan: Plan) -> str:
    return (
        f"{plan.maps} simulated maps of two chains with {plan.residues} residues, {plan.resolution:g} A, noise "
        f"{plan.noise:.0%} of the density's standard deviation, {plan.folds} of 4 folds; their proteins are random, so "
        f"no two share a sequence. Predictions are means over {plan.rotations} rotations, traced by the method "
        f"{plan.method}."
    )


def _machine() -> str:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{platform.machine()}, {os.cpu_count()} cores, {device}, torch {torch.__version__}"


def _write_page(report: Mapping[str, Any], out: Path) -> None:
    from cryodata.baseline.report.page import page

    pictures = {part["title"]: _pictures(part, Path(part["folder"])) for part in report["parts"]}
    write_whole(out / PAGE, page(report, pictures))


def _pictures(part: Mapping[str, Any], folder: Path) -> Sequence[tuple[str, Path]]:
    """Learning curves, F1 against threshold, and the best and the worst map."""
    from cryodata.baseline.scoring.plot import draw_curves

    scores = {row["entry_id"]: read_json(folder / "maps" / row["entry_id"] / "score.json") for row in part["maps"]}
    png = folder / "thresholds.png"
    draw_curves(png, {name: score["voxels"] for name, score in scores.items()}, part["title"])
    ranked = sorted(part["maps"], key=lambda row: (-row["scores"]["f1_2"], row["entry_id"]))
    shown = dict.fromkeys((ranked[0]["entry_id"], ranked[-1]["entry_id"]))
    found = [("Learning curves", folder / "run" / "curves.png"), ("F1 of voxels against the threshold", png)]
    return found + [(f"Map {name}", folder / "maps" / name / "score.png") for name in shown]
