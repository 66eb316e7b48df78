"""The library's own way, from `.map.gz` and model to a committed volume, labels and tables; seconds of each stage."""

from __future__ import annotations

import resource
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import cryodata_builders.cryo2struct as recipe
import numpy as np

from cryodata.build import work as working
from cryodata.build.identify import Job
from cryodata.build.work import Outcome
from cryodata.core.entry import Entry, Source
from cryodata.core.schema import STEP
from cryodata.core.volume import Volume
from cryodata.formats import steps
from cryodata.prepare.narrow import in_steps, narrowed
from cryodata.prepare.quality import fit, moments
from cryodata.prepare.recipes import RECIPES
from cryodata.prepare.resample import resample

STAGES = {
    "identify": (working, "inflate and hash"),
    "read_map": (recipe, "read"),
    "checked_moments": (recipe, "check values"),
    "fitted_models": (recipe, "model and frame"),
    "checked_fit": (recipe, "fit"),
    "atoms_of": (recipe, "secondary structure"),
    "label_voxels": (working, "labels"),
    "check_sample": (working, "check result"),
    "write_volume": (working, "encode and write"),
    "folder_files": (working, "hash volume"),
    "subgrid_statistics": (working, "sub-grid table"),
    "write_receipt": (working, "receipt and tables"),
}
"function: where it is looked up, and what it does"


def cpu() -> float:
    """Seconds of the processor so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def load_kernels() -> None:
    """Load what numba compiled: a process does that once, as it imports once."""
    for dtype in (np.float16, np.float32):
        narrowed(np.zeros((1, 1, 64), dtype=np.float32), np.dtype(dtype), overwrite=True)
    in_steps(np.zeros((1, 1, 64), dtype=np.float16), STEP)
    steps.count(np.zeros((1, 1, 64), dtype=np.float16))
    volume = Volume(np.zeros((4, 4, 4), dtype=np.float32), np.full(3, 0.7), np.zeros(3))
    resample(volume)
    fit(volume, np.zeros((1, 3)), moments(volume.data))


def timed() -> dict[str, float]:
    """From now on, seconds of each stage are added up in what is returned."""
    spent: dict[str, float] = defaultdict(float)

    def wrapped(call: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(call)
        def run(*arguments: Any, **keywords: Any) -> Any:
            began = cpu()
            try:
                return call(*arguments, **keywords)
            finally:
                spent[stage] += cpu() - began

        return run

    for name, (module, stage) in STAGES.items():
        setattr(module, name, wrapped(getattr(module, name), stage))
    way = RECIPES["published"]
    timed_way = replace(way, resample=wrapped(way.resample, "resample"), normalize=wrapped(way.normalize, "normalise"))
    recipe.RECIPES = {**RECIPES, "published": timed_way}
    return spent


def work(map_path: Path, model_path: Path, root: Path) -> Outcome:
    """One entry, by the published recipe with its label volumes."""
    defaults = {item.name: item.default for item in recipe.BUILDER.parameters}
    parameters = {**defaults, "max_resolution": None}
    sources = {"map": Source(str(map_path)), "model": Source(str(model_path))}
    entry = Entry("EMD-1", "EMD-1", "1abc", 3.0, sources=sources)
    return working.work_on(entry, Job("cryo2struct", "published", parameters, str(root / "cryo2struct")))
