"""Ten readers while versions are published: whatever version is visible is whole, and no read is torn."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.pull import pull
from cryodata.core.layout import version_key
from cryodata.formats.bucket import Bucket
from cryodata.formats.manifest import create_manifest, read_manifest
from cryodata.formats.places import is_remote
from cryodata.formats.tables import read_table
from cryodata.formats.versions import DatasetVersion, open_version

READERS = 10


@pytest.fixture
def series_of_versions(first: DatasetVersion, second: DatasetVersion, tmp_path: Path) -> Path:
    """A root where one may add versions that have the data of the second."""
    pull(first, tmp_path / "source")
    pull(second, tmp_path / "source")
    return tmp_path / "source"


def hint(root: str) -> str:
    raw = (
        Bucket(f"{root}/small").read("latest.json", 1000)[0]
        if is_remote(root)
        else read_manifest(Path(root, "small/latest.json"))
    )
    return str(json.loads(raw)["version"])


@pytest.mark.parametrize("kind", ["folder", "moto"])
def test_readers_see_whole_versions_while_one_publishes(
    kind: str, series_of_versions: Path, tmp_path: Path, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> None:
    seconds = 60.0 if pytestconfig.getoption("--full") else 3.0
    root = str(tmp_path / "target")
    if kind == "moto":
        root = request.getfixturevalue("use")(request.getfixturevalue("servers")["moto"])
    faults: list[str] = []
    reads: Counter[str] = Counter()
    stop = threading.Event()
    publish(open_version(series_of_versions, "small@1.0.0"), root)

    def read(number: int) -> None:
        draw, last = random.Random(number), (0, 0, 0)
        while not stop.is_set():
            try:
                named = hint(root)  # before the listing: what it names must be in that
                opened = open_version(root, "small")
                key = version_key(opened.manifest.version)
                assert key >= version_key(named), f"{named} is hinted at, {opened.manifest.version} is the highest"
                assert key >= last, "a version vanished"
                last = key
                items = published_items(opened)
                for item in draw.sample(items, 6):
                    with opened.open(*item) as file:
                        digest = hashlib.file_digest(file, "sha256").hexdigest()
                    assert digest == item.sha256, f"{item.path} is torn"
                    opened.check(item.path, item.size)
                table = read_table(opened.table("entries.parquet"))
                assert len(table) == opened.manifest.counts["entries"]
                reads[opened.manifest.version] += 1
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}")
                return

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    [thread.start() for thread in threads]
    published, end = 1, time.monotonic() + seconds
    base = open_version(series_of_versions, "small@1.1.0").manifest
    publish(open_version(series_of_versions, "small@1.1.0"), root)
    while not faults and (time.monotonic() < end or len(reads) < 3) and time.monotonic() < end + 120:
        version = f"1.1.{published}"
        manifest = replace(base, version=version)
        create_manifest(series_of_versions / "small", manifest, tmp_path / "manifest")
        assert publish(open_version(series_of_versions, f"small@{version}"), root).latest == version
        published += 1
    stop.set()
    [thread.join() for thread in threads]

    assert faults == []
    assert sum(reads.values()) >= READERS
    assert len(reads) > 1, "no reader saw a version come"
