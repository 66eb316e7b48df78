"""When, where and with what a version was made, and how it is made again: for people and for repairs."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version as library_version
from pathlib import Path

from cryodata.build.request import Request
from cryodata.build.work import Outcome

LIBRARIES = ("cryodata", "numpy", "pyarrow", "zarr", "numcodecs", "gemmi", "mrcfile", "isal")
"whose versions the provenance names: those that touch the bytes"


def provenance_path(folder: Path, version: str) -> Path:
    """What is noted of how a version was made."""
    return folder / "provenance" / f"{version}.json"


def catalogue_path(folder: Path, version: str) -> Path:
    """The edited catalogue that a version was made from, if it was."""
    return folder / "provenance" / f"{version}.catalogue.parquet"


def _whole_source(source: Path | str | None) -> str | None:
    return str(source.resolve()) if isinstance(source, Path) else source


def write_provenance(
    folder: Path, temporary: Path, version: str, request: Request, began: float, outcomes: Mapping[str, Outcome]
) -> None:
    """When, where and with what a version was made: for people; no hash covers it."""
    value = {
        "version": version,
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seconds": round(time.time() - began, 3),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "libraries": {name: library_version(name) for name in LIBRARIES},
        "builder": str(Path(request.builder).resolve()) if request.builder.endswith(".py") else request.builder,
        "recipe": request.recipe,
        "source": _whole_source(request.source),
        "settings": list(request.settings),
        "limit": request.limit,
        "ids": request.ids.read_text(encoding="utf-8").split() if request.ids is not None else None,
        "catalogue": catalogue_path(folder, version).name if request.catalog is not None else None,
        "workers": request.crew.workers,
        "scheduler": request.crew.scheduler,
        "outcomes": dict(Counter(outcome.code or "accepted" for outcome in outcomes.values())),
        "entry_seconds": {key: round(outcome.seconds, 3) for key, outcome in sorted(outcomes.items())},
    }
    target = provenance_path(folder, version)
    target.parent.mkdir(exist_ok=True)
    if request.catalog is not None:
        shutil.copyfile(request.catalog, temporary / "catalogue")
        os.replace(temporary / "catalogue", catalogue_path(folder, version))
    (temporary / "provenance").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary / "provenance", target)
