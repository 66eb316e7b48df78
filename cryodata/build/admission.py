"""How much memory the work on an entry takes, known from the header of its map, and how much there is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from cryodata.core.entry import Entry
from cryodata.errors import RejectedError
from cryodata.formats.mrc_header import MapHeader, read_header
from cryodata.prepare.resample import resampled_shape

SPACING = 1.0
"A; what the recipes resample to"

BASE = 400 << 20
"bytes of a process with all libraries loaded, and a model"

PER_VOXEL, PER_RESAMPLED = 10, 8
"bytes, upper bounds: 2.5 x the float32 map as it is read, 2 x the float32 map after resampling"

CGROUP = Path("/sys/fs/cgroup/memory.max")
"memory that a container may use; `max` for no limit (cgroup v2)"


def voxels_of(header: MapHeader) -> tuple[int, int]:
    """Voxels of a map as deposited, and after resampling."""
    return math.prod(header.shape_zyx), math.prod(resampled_shape(header.shape_zyx, header.voxel_size_xyz, SPACING))


def memory_for(before: int, after: int) -> int:
    """Bytes of a process that works on a map of so many voxels, before and after resampling."""
    return BASE + PER_VOXEL * before + PER_RESAMPLED * after


def memory_needed(entry: Entry, parameters: Mapping[str, Any]) -> int:
    """Bytes of a process that works on an entry; 0 if its map is not here, not readable, or will be refused as too
    large."""
    source = entry.sources.get("map")
    if source is None:
        return 0
    try:
        before, after = voxels_of(read_header(Path(source.path)))
    except (RejectedError, OSError):
        return 0
    most = parameters.get("max_voxels", 0)
    return 0 if most and max(before, after) > most else memory_for(before, after)


def memory_available() -> int:
    """Bytes that this machine, or the container that this process is in, can still give."""
    free, total = psutil.virtual_memory().available, psutil.virtual_memory().total
    try:
        limit = int(CGROUP.read_text("ascii"))
    except (OSError, ValueError):
        return int(free)
    used = total - free
    return int(min(free, max(0, limit - used))) if limit < total else int(free)
