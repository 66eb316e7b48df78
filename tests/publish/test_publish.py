"""Publishing: what is lacking is sent and nothing else, and versions keep their promises."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryodata.build.dataset import build
from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.pull import pull
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.core.layout import manifest_path
from cryodata.errors import UsageError
from cryodata.formats.places import place_of
from cryodata.formats.versions import DatasetVersion, open_version
from cryodata.formats.volumes import folder_files
from tests.commands import run
from tests.publish.conftest import SETTINGS, Use, Where

PARTS = ("volumes", "tables", "versions", "latest.json")


def published_files(folder: Path) -> dict[str, str]:
    """sha256 of everything in a dataset's folder that a version may refer to."""
    return {path: sha256 for path, _, sha256 in folder_files(folder) if path.split("/")[0] in PARTS}


def version_files(opened: DatasetVersion) -> dict[str, str]:
    return {item.path: item.sha256 for item in published_items(opened)} | {
        manifest_path(opened.manifest.version): opened.sha256
    }


def test_what_is_published_and_pulled_is_what_was_built(target: Where, first: DatasetVersion, tmp_path: Path) -> None:
    root, conditional = target
    done = publish(first, root, single_publisher=not conditional)
    copy = pull(open_version(root, "small"), tmp_path / "copy")

    assert done.created and done.latest == "1.0.0" and done.conditional == conditional
    assert {path: item for path, item in published_files(copy.folder).items() if path != "latest.json"} == (
        version_files(first)
    )
    there = open_version(root, "small")
    again = verify_version(there, deep=True)
    assert again.faults == ()
    assert verify_version(open_version(tmp_path / "copy", "small"), deep=True) == again
    assert there.sha256 == first.sha256


def test_a_second_publish_sends_nothing_and_compares_what_is_there(target: Where, first: DatasetVersion) -> None:
    root, conditional = target
    publish(first, root, single_publisher=not conditional)

    again = publish(first, root, single_publisher=not conditional)

    assert not again.created
    assert again.sent == {}
    assert again.skipped == {"md5" if root.startswith("s3") else "sha256": len(published_items(first))}


def test_a_version_with_two_more_entries_sends_their_objects_and_its_tables(
    target: Where, first: DatasetVersion, second: DatasetVersion
) -> None:
    root, conditional = target
    publish(first, root, single_publisher=not conditional)

    done = publish(second, root, single_publisher=not conditional)

    new = {item.volume for item in published_items(second)} - {item.volume for item in published_items(first)}
    assert len(new) == 2
    expected = [item.path for item in published_items(second) if item.volume in new or not item.volume]
    assert list(done.sent) == expected
    assert sorted(place_of(root, "small").versions()) == ["1.0.0", "1.1.0"]
    assert done.latest == "1.1.0"


def test_a_dry_run_says_the_same_and_writes_nothing(target: Where, first: DatasetVersion, tmp_path: Path) -> None:
    root, conditional = target
    planned = publish(first, root, dry_run=True)

    assert place_of(root, "small").versions() == []
    assert not (tmp_path / "target").exists()
    done = publish(first, root, single_publisher=not conditional)
    assert (planned.sent, planned.created) == (done.sent, done.created)
    assert publish(first, root, dry_run=True).sent == {}


def test_what_receipts_and_provenance_say_is_not_published(first: DatasetVersion, tmp_path: Path) -> None:
    publish(first, str(tmp_path / "target"))

    assert sorted(path.name for path in (tmp_path / "target/small").iterdir()) == sorted(PARTS)


@pytest.mark.parametrize(
    ("version", "limit", "expected"),
    [
        pytest.param("1.0.1", 3, "", id="patch-same"),
        pytest.param("1.0.1", 5, "1.0.1 after 1.0.0 promises the same data, but differs from it: entries: 2 added; "
                     "build it with --version 1.1.0 or higher", id="patch-more"),
        pytest.param("1.1.0", 2, "1.1.0 after 1.0.0 promises all data of the one before, unchanged, and more, but "
                     "differs from it: entries: 1 removed; build it with --version 2.0.0 or higher", id="minor-less"),
        pytest.param("2.0.0", 2, "", id="major-less"),
    ],
)  # fmt: skip
def test_the_number_of_a_version_keeps_its_promise(
    history: Path, first: DatasetVersion, tmp_path: Path, version: str, limit: int, expected: str
) -> None:
    shutil.copytree(history / "small", tmp_path / "mine/small")
    for path in (tmp_path / "mine/small/versions").glob("1.1.*"):
        path.unlink()
    build(
        Request(
            "simulated", tmp_path / "mine", name="small", version=version, settings=SETTINGS, limit=limit, crew=Crew(0)
        )
    )
    publish(first, str(tmp_path / "target"))
    opened = open_version(tmp_path / "mine", f"small@{version}")

    if not expected:
        assert publish(opened, str(tmp_path / "target")).created
        return
    with pytest.raises(UsageError) as caught:
        publish(opened, str(tmp_path / "target"))
    assert str(caught.value) == f"small at {tmp_path}/target: {expected}"


def test_the_command_tells_what_it_did(history: Path, servers: dict[str, str], use: Use) -> None:
    root = use(servers["moto"])
    arguments = ("publish", "small@1.0.0", "--root", str(history), "--to", root)

    planned = run(*arguments, "--dry-run")
    done = run(*arguments)
    result = CliRunner().invoke(app, arguments)

    assert planned["sent"] == done["sent"] and done["sent"]["objects"] == len(done["sent"]["paths"]) > 15
    assert (done["created"], done["conditional"], done["latest"]) == (True, True, "1.0.0")
    assert "already published: small@1.0.0" in result.output
    assert "compared:" in result.output
