"""Where the tests of maps put theirs."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts its map."""
    return tmp_path / "small.map"
