"""What everybody's work is held against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.build.crew.commands import finish


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A build in one process, and what it reports."""
    root = tmp_path_factory.mktemp("undisturbed")
    return root, finish(root, "--workers", "0")
