"""What the tests of publishing share: a dataset with a history, and servers to publish it to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest

from cryodata.build.dataset import build
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.formats import store
from cryodata.formats.versions import DatasetVersion, open_version
from tests.servers import KEY, SECRET, moto, rclone

SETTINGS = ("maps=5", "residues=40", "label_volumes=no")
"three objects a volume"

Use = Callable[[str], str]

Where = tuple[str, bool]
"a root to publish to, and whether it keeps two publishers apart"


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache for each test, and short pauses."""
    monkeypatch.setenv("CRYODATA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "PAUSE", 0.01)


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with `small`: 1.0.0 of three maps, 1.1.0 of the same and two more, 1.1.1 of the same data."""
    root = tmp_path_factory.mktemp("history")
    for version, limit in (("1.0.0", 3), ("1.1.0", 5), ("1.1.1", 5)):
        build(Request("simulated", root, name="small", version=version, settings=SETTINGS, limit=limit, crew=Crew(0)))
    return root


@pytest.fixture
def first(history: Path) -> DatasetVersion:
    """Version 1.0.0 where it was built."""
    return open_version(history, "small@1.0.0")


@pytest.fixture
def second(history: Path) -> DatasetVersion:
    """Version 1.1.0 where it was built."""
    return open_version(history, "small@1.1.0")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of two S3 servers: `moto` keeps conditions, `rclone` checks signatures and ignores conditions. Both
    have the bucket `maps`."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "maps").mkdir()
    with moto() as one, rclone(folder) as other:
        urlopen(HttpRequest(f"{one}/maps", method="PUT")).close()
        yield {"moto": one, "rclone": other}


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Use:
    """Let the environment name an S3 endpoint. Returns a root there that nobody else has."""
    root = f"s3://maps/{request.node.name.replace('[', '-').strip(']')}"

    def at(endpoint: str) -> str:
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        for name, value in {**environment, "AWS_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        store.client_of.cache_clear()
        return f"{root}-{os.urandom(3).hex()}"

    return at


@pytest.fixture(params=["folder", "moto", "rclone"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """A root to publish to, and whether it keeps two publishers apart."""
    if request.param == "folder":
        return str(tmp_path / "target"), True
    address = request.getfixturevalue("servers")[request.param]
    return request.getfixturevalue("use")(address), request.param == "moto"
