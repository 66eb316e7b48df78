"""Buckets that are published to: which are refused, objects of several parts, and how objects are compared."""

from __future__ import annotations

import hashlib
import multiprocessing
from pathlib import Path
from typing import Any

import obstore
import pytest

from cryodata.build import targets
from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.verify import verify_version
from cryodata.errors import UsageError
from cryodata.formats import bucket
from cryodata.formats.store import client_of
from cryodata.formats.versions import DatasetVersion, open_version
from tests.publish.conftest import Use


def test_a_store_that_ignores_conditions_is_refused(servers: dict[str, str], use: Use, first: DatasetVersion) -> None:
    root = use(servers["rclone"])

    with pytest.raises(UsageError) as caught:
        publish(first, root)

    assert str(caught.value) == (
        f"{root}/small: the store ignores conditions (If-None-Match, If-Match): two publishers could overwrite each "
        "other's versions; if nobody else publishes there meanwhile, add --single-publisher"
    )
    assert list(obstore.list(client_of(f"{root}/small")).collect()) == []


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/maps", "https://host/maps"])
def test_nothing_is_published_to_a_web_server(history: Path, to: str) -> None:
    with pytest.raises(UsageError, match="nothing can be published there; expected a folder or s3, gs, az"):
        publish(open_version(history, "small@1.0.0"), to)


def test_a_bucket_that_is_not_there_is_said(servers: dict[str, str], use: Use, first: DatasetVersion) -> None:
    use(servers["moto"])

    for dry_run in (True, False):
        with pytest.raises(UsageError, match="^s3://nowhere/small: no such bucket or container; make it first$"):
            publish(first, "s3://nowhere", dry_run=dry_run)


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
