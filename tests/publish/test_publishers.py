"""Several publishers, one after the other and at once: no version is replaced, and the hint never goes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import obstore
import pytest

from cryodata.build.publish import publish
from cryodata.build.pull import pull
from cryodata.build.verify import verify_version
from cryodata.core.layout import manifest_path
from cryodata.errors import UsageError
from cryodata.formats import bucket
from cryodata.formats.manifest import create_manifest
from cryodata.formats.places import place_of
from cryodata.formats.store import client_of
from cryodata.formats.versions import DatasetVersion, open_version
from tests.publish.conftest import Use, Where


def other_result(first: DatasetVersion, root: Path) -> DatasetVersion:
    """A version of the same number with another manifest."""
    pull(first, root)
    (root / "small" / manifest_path("1.0.0")).unlink()
    create_manifest(root / "small", replace(first.manifest, license="another"), root / "manifest")
    return open_version(root, "small")


def test_a_version_is_never_replaced(target: Where, first: DatasetVersion, tmp_path: Path) -> None:
    root, conditional = target
    publish(first, root, single_publisher=not conditional)
    other = other_result(first, tmp_path / "other")

    with pytest.raises(UsageError) as caught:
        publish(other, root, single_publisher=not conditional)

    assert str(caught.value) == (
        f"version 1.0.0 of 'small' exists at {root} with another result and is never replaced; build a new one with "
        "--version 1.1.0"
    )
    assert open_version(root, "small").sha256 == first.sha256


@pytest.fixture(params=["folder", "moto"])
def root(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Where several publish to at once."""
    if request.param == "folder":
        return str(tmp_path / "target")
    return str(request.getfixturevalue("use")(request.getfixturevalue("servers")["moto"]))


def at_once(publishing: Callable[[DatasetVersion], None], *versions: DatasetVersion) -> None:
    """Publish each in a thread of its own; all begin at one moment."""
    start = threading.Barrier(len(versions))

    def one(opened: DatasetVersion) -> None:
        start.wait()
        publishing(opened)

    threads = [threading.Thread(target=one, args=(opened,)) for opened in versions]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]


@pytest.mark.parametrize("identical", [True, False], ids=["identical", "another result"])
def test_of_two_publishers_of_one_version_one_wins_and_the_other_says_so(
    root: str, identical: bool, first: DatasetVersion, tmp_path: Path
) -> None:
    outcomes: list[object] = []

    def one(opened: DatasetVersion) -> None:
        try:
            outcomes.append(publish(opened, root).created)
        except UsageError as error:
            outcomes.append(str(error))

    at_once(one, first, first if identical else other_result(first, tmp_path / "other"))

    assert outcomes.count(True) == 1
    (loser,) = (outcome for outcome in outcomes if outcome is not True)
    assert loser is False if identical else "with another result and is never replaced" in str(loser)
    assert verify_version(open_version(root, "small"), deep=True).faults == ()


def test_publishers_of_different_versions_both_succeed(
    root: str, first: DatasetVersion, second: DatasetVersion
) -> None:
    outcomes: dict[str, tuple[bool, str | None]] = {}

    def one(opened: DatasetVersion) -> None:
        done = publish(opened, root)
        outcomes[opened.manifest.version] = done.created, done.latest

    at_once(one, first, second)

    assert outcomes["1.0.0"] in ((True, "1.0.0"), (True, "1.1.0"))
    assert outcomes["1.1.0"] == (True, "1.1.0")
    assert place_of(root, "small").versions() == ["1.0.0", "1.1.0"]
    raw = Path(root, "small/latest.json").read_bytes() if Path(root).is_dir() else read(root, "latest.json")
    assert json.loads(raw) == {"version": "1.1.0"}


def read(root: str, path: str) -> bytes:
    return bucket.Bucket(f"{root}/small").read(path, 10_000)[0]


def test_the_hint_never_goes_back(target: Where, first: DatasetVersion, second: DatasetVersion) -> None:
    root, conditional = target
    publish(second, root, single_publisher=not conditional)

    done = publish(first, root, single_publisher=not conditional)

    assert done.created
    assert done.latest == "1.1.0"
    assert open_version(root, "small").manifest.version == "1.1.0"


def test_a_hint_that_was_damaged_is_put_right(servers: dict[str, str], use: Use, first: DatasetVersion) -> None:
    root = use(servers["moto"])
    publish(first, root)
    obstore.put(client_of(f"{root}/small", writing=True), "latest.json", b"{")

    publish(first, root)

    assert json.loads(read(root, "latest.json")) == {"version": "1.0.0"}
