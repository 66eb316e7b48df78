"""Folders of the published dataset: built from, changed, and compared with what they were made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile

from cryodata.build.dataset import build
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.voxel_differences import VoxelDifference, compare_voxels
from cryodata.formats.versions import DatasetVersion, open_version

DENSITY = "emd_normalized_map.mrc"


def imported(source: Path, root: Path, *settings: str) -> DatasetVersion:
    build(Request("published", root, source, name="back", settings=settings, crew=Crew(0)))
    return open_version(root, "back")


def compared(first: DatasetVersion, second: DatasetVersion) -> VoxelDifference:
    return compare_voxels(first, second, lambda done, total: None)


def change(path: Path, how: Callable[[Any], None]) -> None:
    with mrcfile.open(path, "r+") as file:
        how(file)
