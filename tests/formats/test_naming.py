"""A name is given once, also where the file system has no hard links."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryodata.build.dataset import build
from cryodata.build.publish import publish
from cryodata.build.request import Request
from cryodata.build.verify import verify_version
from cryodata.formats.naming import named_once
from cryodata.formats.versions import open_version

WORKERS = 16


@pytest.fixture(params=["links", "no links"])
def links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As exFAT answers, or as other file systems do."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)
    return str(request.param)


def test_of_many_one_gives_the_name_and_nothing_is_left(tmp_path: Path, links: str) -> None:
    target = tmp_path / "target"
    made = [tmp_path / f"made-{number}" for number in range(WORKERS)]
    for path in made:
        path.write_text(path.name)

    with ThreadPoolExecutor(WORKERS) as pool:
        given = list(pool.map(lambda path: named_once(path, target), made))

    assert sum(given) == 1
    assert target.read_text() == made[given.index(True)].name
    assert list(tmp_path.iterdir()) == [target]


def test_versions_are_built_and_published_there(tmp_path: Path, links: str) -> None:
    request = Request("simulated", tmp_path / "root", version="0.1.0", settings=("maps=1", "residues=20"))
    build(request)
    opened = open_version(tmp_path / "root", "simulated")

    first = publish(opened, str(tmp_path / "other"))
    second = publish(opened, str(tmp_path / "other"))

    assert (first.created, second.created, build(request).created) == (True, False, False)
    assert verify_version(open_version(tmp_path / "other", "simulated"), deep=True).faults == ()
