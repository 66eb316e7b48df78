"""The simulated dataset in each layout, and what is read of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from tests.build.export.layouts import export


@pytest.fixture(scope="session")
def made(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the simulated dataset in a layout, written once."""
    root = tmp_path_factory.mktemp("exports")

    def folder(layout: str) -> Path:
        if not (root / layout).exists():
            export(simulated, layout, root / layout)
        return root / layout

    return folder


@pytest.fixture(scope="session")
def subgrids(simulated: Report) -> list[dict[str, Any]]:
    """The sub-grids of the split `validation`, as they are read."""
    return list(load_dataset("simulated", split="validation", streaming=True, root=simulated.folder.parent))
