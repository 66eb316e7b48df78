"""The layouts of exports, how one is made, and what lies in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryodata.build.dataset import Report
from cryodata.build.export import Exported, Wish, export_version
from cryodata.formats.versions import open_version
from cryodata.formats.volumes import folder_files

LAYOUTS = ("mrc", "npy", "npz", "parquet", "webdataset")


def export(report: Report, layout: str, to: Path, **wish: Any) -> Exported:
    opened = open_version(report.folder.parent, "simulated")
    return export_version(opened, to, layout, lambda done, total: None, Wish(**wish))


def notes(folder: Path) -> list[tuple[str, int, str]]:
    return [file for file in folder_files(folder) if not file[0].startswith(".tmp")]
