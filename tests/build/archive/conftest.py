"""What the tests of builds from EMDB and PDB share: a server that plays them, and what a build refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryodata.build.dataset import Report
from tests.build.archive_server import Archive, Holdings, holdings
from tests.conftest import SHARED_DATA


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Holdings:
    """What EMDB and PDB hold."""
    real = SHARED_DATA if (SHARED_DATA / "entries.csv").exists() else None
    return holdings(tmp_path_factory.mktemp("held"), real)


@pytest.fixture
def archive(held: Holdings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """A server that plays them; a test may change what it holds."""
    with Archive(Holdings(dict(held.files), [dict(row) for row in held.rows])) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield server


def refused(report: Report) -> dict[str, str]:
    """Why, by entry."""
    return {item.entry_id: item.code for item in report.rejected}
