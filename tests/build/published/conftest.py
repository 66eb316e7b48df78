"""Folders of the published dataset, made of the simulated one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cryodata.build.dataset import Report
from cryodata.build.export import export_version
from cryodata.formats.versions import open_version


@pytest.fixture(scope="session")
def exported(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the simulated dataset."""
    folder = tmp_path_factory.mktemp("published") / "folders"
    opened = open_version(simulated.folder.parent, "simulated")
    export_version(opened, folder, "mrc", lambda done, total: None)
    return folder


@pytest.fixture
def bare(exported: Path, tmp_path: Path) -> Path:
    """Two of the folders as their owners have them: no list, numbers for names, one of them a test map."""
    for name, place in (("SIM-00001", "full_dataset/EMD_0/0004"), ("SIM-00002", "test/31000")):
        shutil.copytree(exported / "maps" / name, tmp_path / "bare" / place)
    return tmp_path / "bare"
