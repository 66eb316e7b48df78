"""Publishing: only what is lacking is sent, nothing damaged, nothing is replaced, and versions keep their promises."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import obstore
import pytest
from click.testing import CliRunner

from cryodata.build import targets
from cryodata.build.dataset import build
from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.pull import pull
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.build.verify import verify_version
from cryodata.cli import app
from cryodata.core.layout import manifest_path
from cryodata.errors import CryodataError, DatasetError, UsageError
from cryodata.formats import bucket
from cryodata.formats.places import place_of
from cryodata.formats.store import client_of
from cryodata.formats.versions import DatasetVersion, open_version
from cryodata.formats.volumes import folder_files
from tests.proxy import FaultProxy
from tests.publish.conftest import SETTINGS, Use

Where = tuple[str, bool]


def published_files(folder: Path) -> dict[str, str]:
    """sha256 of everything in a dataset's folder that a version may refer to."""
    return {path: sha256 for path, _, sha256 in folder_files(folder) if path.split("/")[0] in PARTS}


PARTS = ("volumes", "tables", "versions", "latest.json")


def version_files(opened: DatasetVersion) -> dict[str, str]:
    return {item.path: item.sha256 for item in published_items(opened)} | {
        manifest_path(opened.manifest.version): opened.sha256
    }


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    return json.loads(result.stdout)


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


def test_a_store_that_ignores_conditions_is_refused(servers: dict[str, str], use: Use, first: DatasetVersion) -> None:
    root = use(servers["rclone"])

    with pytest.raises(UsageError) as caught:
        publish(first, root)

    assert str(caught.value) == (
        f"{root}/small: the store ignores conditions (If-None-Match, If-Match): two publishers could overwrite each "
        "other's versions; if nobody else publishes there meanwhile, add --single-publisher"
    )
    assert list(obstore.list(client_of(f"{root}/small")).collect()) == []


def test_what_receipts_and_provenance_say_is_not_published(first: DatasetVersion, tmp_path: Path) -> None:
    publish(first, str(tmp_path / "target"))

    assert sorted(path.name for path in (tmp_path / "target/small").iterdir()) == sorted(PARTS)


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.fixture
def copied(first: DatasetVersion, tmp_path: Path) -> DatasetVersion:
    """A copy of 1.0.0 that a test may damage."""
    pull(first, tmp_path / "mine")
    return open_version(tmp_path / "mine", "small")


@pytest.mark.parametrize("kind", ["volumes/*/*/density/c/0/0/0", "tables/*/atoms-*", "tables/*/objects.parquet"])
def test_an_object_that_is_damaged_here_is_never_published(
    copied: DatasetVersion, tmp_path: Path, kind: str, servers: dict[str, str], use: Use
) -> None:
    path = sorted((tmp_path / "mine/small").glob(kind))[0]
    flip(path)
    name = path.relative_to(tmp_path / "mine/small").as_posix()

    for root in (str(tmp_path / "target"), use(servers["moto"])):
        with pytest.raises(CryodataError, match=r"objects\.parquet|verify --repair` makes it again"):
            publish(copied, root)

        assert place_of(root, "small").versions() == []
        with pytest.raises(DatasetError):
            place_of(root, "small").check(name, path.stat().st_size)


def test_an_object_that_is_missing_or_short_here_is_named_before_anything_is_sent(
    copied: DatasetVersion, tmp_path: Path
) -> None:
    path = sorted((tmp_path / "mine/small").glob("volumes/*/*/density/c/0/0/0"))[0]
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(DatasetError, match=r"^1 of \d+ objects in .* are missing or damaged: .*c/0/0/0: [\d,]+ bytes;"):
        publish(copied, str(tmp_path / "target"))

    assert not (tmp_path / "target").exists()


def test_a_damaged_object_at_the_target_is_found_and_replaced(target: Where, first: DatasetVersion) -> None:
    root, conditional = target
    publish(first, root, single_publisher=not conditional)
    item = next(item for item in published_items(first) if item.path.endswith("density/c/0/0/0"))
    raw = (Path(first.root) / "small" / item.path).read_bytes()
    other = bytes([raw[0] ^ 1]) + raw[1:]
    if root.startswith("s3"):
        obstore.put(client_of(f"{root}/small", writing=True), item.path, other)
    else:
        (Path(root) / "small" / item.path).write_bytes(other)

    done = publish(first, root, single_publisher=not conditional)

    assert (list(done.sent), done.replaced, done.created) == ([item.path], (item.path,), False)
    assert verify_version(open_version(root, "small"), deep=True).faults == ()


def test_a_large_object_goes_in_parts_and_is_compared_by_them(
    servers: dict[str, str], use: Use, first: DatasetVersion, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = bucket.Bucket(use(servers["moto"]))
    raw = hashlib.sha256(b"seed").digest() * 600_000  # 19.2 MB: three parts

    def pieces(content: bytes) -> Any:
        return lambda: iter([content[i : i + (1 << 20)] for i in range(0, len(content), 1 << 20)])

    store.put("large", len(raw), pieces(raw))
    mark = store.listed("")["large"]

    assert mark.size == len(raw)
    assert mark.e_tag.strip('"').endswith("-3") and bucket.is_md5(mark.e_tag, mark.size)
    found = bucket.digest_in(mark.e_tag)
    assert bucket.expected_e_tag(found, len(raw), pieces(raw)()) == found
    assert bucket.expected_e_tag(found, len(raw), pieces(raw[:-1] + b"x")()) != found


def test_volumes_of_several_parts_are_published(
    servers: dict[str, str], use: Use, first: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bucket, targets):
        monkeypatch.setattr(module, "PART", 100_000)  # rclone takes parts of any length
    root = use(servers["rclone"])

    publish(first, root, single_publisher=True)

    assert max(item.size for item in published_items(first)) > 200_000
    assert verify_version(open_version(root, "small"), deep=True).faults == ()
    assert publish(first, root, single_publisher=True).sent == {}


def test_where_an_e_tag_is_no_md5_sizes_are_compared(
    servers: dict[str, str], use: Use, first: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = use(servers["moto"])
    publish(first, root)
    monkeypatch.setattr(bucket, "digest_in", lambda e_tag: e_tag.strip('"')[::-1])  # as of an encrypting store

    for dry_run in (True, False):
        done = publish(first, root, dry_run=dry_run)
        assert (done.sent, list(done.skipped)) == ({}, ["size"])


def test_a_large_object_that_proves_damaged_at_its_end_never_shows(servers: dict[str, str], use: Use) -> None:
    store = bucket.Bucket(use(servers["moto"]))

    def pieces() -> Any:
        yield b"x" * (10 << 20)
        raise DatasetError("damaged")

    with pytest.raises(DatasetError, match="^damaged$"):
        store.put("large", 20 << 20, pieces)

    assert store.listed("") == {}


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


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/maps", "https://host/maps"])
def test_nothing_is_published_to_a_web_server(history: Path, to: str) -> None:
    with pytest.raises(UsageError, match="nothing can be published there; expected a folder or s3, gs, az"):
        publish(open_version(history, "small@1.0.0"), to)


def test_a_bucket_that_is_not_there_is_said(servers: dict[str, str], use: Use, first: DatasetVersion) -> None:
    use(servers["moto"])

    for dry_run in (True, False):
        with pytest.raises(UsageError, match="^s3://nowhere/small: no such bucket or container; make it first$"):
            publish(first, "s3://nowhere", dry_run=dry_run)


def test_an_object_that_vanished_before_the_manifest_keeps_the_version_back(
    servers: dict[str, str], use: Use, first: DatasetVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(servers["moto"]) as proxy:
        root = use(proxy.url)
        item = published_items(first)[-1]
        put = bucket.Bucket.put

        def forgetful(self: bucket.Bucket, path: str, size: int, pieces: Any) -> None:
            if path != item.path:
                put(self, path, size, pieces)

        monkeypatch.setattr(bucket.Bucket, "put", forgetful)

        with pytest.raises(DatasetError, match=f"^1 objects, such as {item.path}, are not at {root} although"):
            publish(first, root)
        assert place_of(root, "small").versions() == []


def listed_in_a_fork(store: bucket.Bucket, results: multiprocessing.Queue[str]) -> None:
    try:
        store.listed("")
    except UsageError as error:
        results.put(str(error))


def test_a_forked_process_does_not_wait_for_ever(servers: dict[str, str], use: Use) -> None:
    store = bucket.Bucket(use(servers["moto"]))
    assert store.listed("") == {}
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=listed_in_a_fork, args=(store, results), daemon=True)
    child.start()

    assert "nothing can be written from a forked process" in results.get(timeout=60)
    child.join(60)
