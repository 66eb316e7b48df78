"""The simulated dataset over http and in buckets, and a cache for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import obstore
import pytest
from obstore.store import S3Store

from cryodata.build.dataset import Report
from cryodata.formats import store
from cryodata.read.decode import volumes_of
from tests.read.remote.served import copy_published
from tests.servers import KEY, SECRET, FileServer, moto, rclone


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache for each test, and short pauses."""
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PAUSE", 0.01)
    monkeypatch.setattr(store, "STALL", 0.5)
    volumes_of.cache_clear()
    yield tmp_path / "cache"
    volumes_of.cache_clear()


@pytest.fixture
def served(simulated: Report, tmp_path: Path) -> Iterator[FileServer]:
    """A copy of the published parts of the simulated dataset over http."""
    copy_published(simulated, tmp_path / "served/simulated")
    with FileServer(tmp_path / "served") as server:
        yield server


@pytest.fixture(scope="session")
def buckets(simulated: Report, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of two S3 servers that hold the simulated dataset in the bucket `maps`, below `some/prefix`."""
    folder = tmp_path_factory.mktemp("buckets")
    copy_published(simulated, folder / "maps/some/prefix/simulated")
    with moto() as first, rclone(folder) as second:
        options: Any = {"endpoint": first, "access_key_id": KEY, "secret_access_key": SECRET}
        urlopen(Request(f"{first}/maps", method="PUT")).close()
        bucket = S3Store("maps", **options, region="us-east-1", client_options={"allow_http": True})
        for path in sorted((folder / "maps").rglob("*")):
            if path.is_file():
                obstore.put(bucket, path.relative_to(folder / "maps").as_posix(), path.read_bytes())
        yield {"moto": first, "rclone": second}


@pytest.fixture(params=["http", "moto", "rclone"])
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Roots of three kinds with the same dataset below them."""
    if request.param == "http":
        return str(request.getfixturevalue("served").url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("buckets")[request.param])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    store.client_of.cache_clear()
    return "s3://maps/some/prefix"
