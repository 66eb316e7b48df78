"""The datasets of a baseline: simulated maps in folds, and real ones with the simulated to learn from."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryodata.baseline.report.places import HeldOut, Part, fold_splits, parts_of, write_splits, write_whole
from cryodata.baseline.report.plan import SIMULATED, Plan
from cryodata.baseline.report.site import Site
from cryodata.build.catalog import read_source_folder, read_split_list
from cryodata.build.dataset import build
from cryodata.build.request import Request, prepare
from cryodata.build.run import Crew
from cryodata.core.entry import Entry
from cryodata.core.splits import TEST, TRAIN
from cryodata.errors import UsageError

COLUMNS = ("entry_id", "emdb_id", "pdb_id", "map", "model", "resolution", "split")
"of the list of real and simulated maps"


def build_part(site: Site, part: Part) -> list[HeldOut]:
    """Build the dataset of a part, or find it there; returns the maps that are held out for judging.

    Raises UsageError if none is.
    """
    request = _request(site, part)
    done = 0
    with site.watch.steps(f"building {part.dataset}") as step:

        def observe(total: int, outcome: Any) -> None:
            nonlocal done
            done += outcome is not None
            step(done, total)

        report = build(request, observe, site.watch.say)
    for item in report.rejected:
        site.watch.say(f"left out {item.entry_id}: {item.code} ({item.message})")
    known, left_out = prepare(request), {item.entry_id for item in report.rejected}
    found = [
        HeldOut(item.entry_id, Path(item.sources["map"].path), Path(item.sources["model"].path), item.resolution)
        for item in known.admitted
        if item.entry_id not in left_out and _split_of(item, known.listed) == TEST
    ]
    if not found:
        raise UsageError(f"{part.dataset} holds no map out; expected at least one with the split '{TEST}'")
    return found


def check_real(site: Site) -> None:
    """UsageError if real entries are asked for without saying which are held out."""
    if site.source is None:
        if site.splits is not None:
            raise UsageError("--splits says how real entries are divided; expected --source DIR with it")
        return
    splits = {_split_of(item, _listed(site)) for item in read_source_folder(site.source)}
    if not {TRAIN, TEST} <= splits:
        found = ", ".join(sorted(splits - {""})) or "none"
        raise UsageError(
            f"{site.source}: found the splits {found}; expected at least {TRAIN} and {TEST}, in a column split of "
            "entries.csv or with --splits FILE (columns id,split)"
        )


def _request(site: Site, part: Part) -> Request:
    name, _, version = part.dataset.partition("@")
    crew = Crew(site.workers)
    common = ("parent=none", "label_volumes=no")
    if part.kind == SIMULATED:
        plan = site.plan
        splits = write_splits(part.folder / "splits.csv", fold_splits(plan.maps, part.fold))
        settings = (*_simulated_settings(plan), *common, f"splits={splits}")
        return Request("simulated", site.root, None, name, version, settings=settings, crew=crew)
    settings = (f"max_resolution={site.plan.max_resolution}", *common)
    source = _with_simulated(site, part)
    return Request("cryo2struct", site.root, source, name, version, settings=settings, crew=crew)


def _simulated_settings(plan: Plan) -> tuple[str, ...]:
    return tuple(f"{name}={getattr(plan, name)}" for name in ("maps", "residues", "resolution", "noise"))


def _with_simulated(site: Site, part: Part) -> Path:
    """A source folder of the real entries that are divided and of all simulated maps, which are to learn from."""
    if site.source is None:
        raise UsageError("real entries need --source DIR")
    listed = _listed(site)
    rows = [_row(item, split) for item in read_source_folder(site.source) if (split := _split_of(item, listed))]
    simulated = prepare(_request(site, parts_of(site.plan, part.folder.parent, False)[0]))
    rows += [_row(item, TRAIN) for item in simulated.admitted]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    folder = part.folder / "source"
    write_whole(folder / "entries.csv", text.getvalue())
    return folder


def _row(entry: Entry, split: str) -> Sequence[str]:
    paths = [
        str(Path(entry.sources[role].path).resolve()) if role in entry.sources else "" for role in ("map", "model")
    ]
    resolution = "" if entry.resolution is None else repr(entry.resolution)
    return entry.entry_id, entry.emdb_id, entry.pdb_id, *paths, resolution, split


def _listed(site: Site) -> Mapping[str, str]:
    return read_split_list(site.splits) if site.splits else {}


def _split_of(entry: Entry, listed: Mapping[str, str]) -> str:
    return listed.get(entry.entry_id) or listed.get(entry.emdb_id) or entry.split
