"""Objects below a URL: transient faults pass, final ones are told at once, nothing unbounded is read."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryodata.errors import DatasetError, UsageError
from cryodata.formats import store
from cryodata.formats.places import normal_root
from cryodata.formats.store import Store
from tests.servers import FileServer

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(store, "PAUSE", 0.01)
    monkeypatch.setattr(store, "STALL", 0.3)
    (tmp_path / "served").mkdir()
    (tmp_path / "served/object").write_bytes(CONTENT)
    with FileServer(tmp_path / "served") as running:
        yield running


def copied(url: str, path: str, target: Path, most: int = len(CONTENT)) -> tuple[int, str]:
    with open(target, "w+b") as file:
        return Store(url).copy(path, file.fileno(), most)


@pytest.mark.parametrize("fault", ["500", "503", "429", "reset", "truncate", "stall", "redirect"])
def test_a_fault_that_passes_is_not_noticed(server: FileServer, tmp_path: Path, fault: str) -> None:
    server.fail("object", fault)

    assert copied(server.url, "object", tmp_path / "copy") == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert (tmp_path / "copy").read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_what_a_broken_try_left_is_overwritten(server: FileServer, tmp_path: Path) -> None:
    server.fail("object", "truncate", "reset", "truncate", "500", "stall")
    (tmp_path / "copy").write_bytes(b"x" * 2 * len(CONTENT))

    with open(tmp_path / "copy", "r+b") as file:
        Store(server.url).copy("object", file.fileno(), len(CONTENT))

    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_fault_that_stays_is_told_without_the_words_of_the_server(server: FileServer, tmp_path: Path) -> None:
    server.fail("object", *["503"] * 100)

    with pytest.raises(DatasetError) as caught:
        copied(server.url, "object", tmp_path / "copy")

    assert str(caught.value) == (
        f"object: can't be read from {server.url} in 4 tries: the server answered 503 Service Unavailable"
    )


def test_a_refusal_is_told_at_once(server: FileServer, tmp_path: Path) -> None:
    server.fail("object", "403")

    with pytest.raises(DatasetError) as caught:
        copied(server.url, "object", tmp_path / "copy")

    assert str(caught.value) == (
        f"object: can't be read from {server.url}: the server answered 403 Forbidden; "
        "are the credentials in the environment right?"
    )
    assert server.requests == ["object"]


def test_an_object_that_is_not_there_is_asked_for_once(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="^other$"):
        copied(server.url, "other", tmp_path / "copy")

    assert server.requests == ["other"]


def test_no_more_is_read_than_is_allowed(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="^object: 1,024,000 bytes at .*; expected 999 at most$"):
        copied(server.url, "object", tmp_path / "copy", most=999)

    assert (tmp_path / "copy").stat().st_size == 0


def test_a_server_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PAUSE", 0.01)

    with pytest.raises(DatasetError, match=r"^object: can't be read from http://127\.0\.0\.1:1 in 4 tries: no "):
        copied("http://127.0.0.1:1", "object", tmp_path / "copy")


def test_a_store_whose_account_is_not_in_the_environment_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(UsageError) as caught:
        Store("az://container/prefix").size("x")

    assert str(caught.value) == (
        "no store can be opened at az://container/prefix: MissingAccount; are address and environment right?"
    )


def copied_in_a_fork(url: str, target: Path, results: multiprocessing.Queue[object]) -> None:
    results.put(copied(url, "object", target))
    try:
        copied(url, "other", target)
    except FileNotFoundError as error:
        results.put(str(error))
    try:
        copied(url, "object", target, most=999)
    except DatasetError as error:
        results.put(str(error))
    results.put((Store(url).size("object"), target.stat().st_size))


def test_a_forked_process_reads_as_its_parent_does(server: FileServer, tmp_path: Path) -> None:
    expected = copied(server.url, "object", tmp_path / "parent")  # now there are threads that a fork does not copy
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[object] = context.Queue()
    child = context.Process(target=copied_in_a_fork, args=(server.url, tmp_path / "child", results), daemon=True)
    child.start()

    assert results.get(timeout=60) == expected
    assert results.get(timeout=60) == "other"
    assert results.get(timeout=60) == f"object: {len(CONTENT):,} bytes at {server.url}; expected 999 at most"
    assert results.get(timeout=60) == (len(CONTENT), 0)
    child.join(60)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        pytest.param("s3://bucket/prefix/", "s3://bucket/prefix", id="slash at the end"),
        pytest.param("file:///some%20where", "/some where", id="file"),
        pytest.param("https://host:8000/a/b", "https://host:8000/a/b", id="https"),
        pytest.param("/some/../where", "/where", id="folder"),
    ],
)
def test_a_root_is_written_down_in_one_way(root: str, expected: str) -> None:
    assert normal_root(root) == expected


@pytest.mark.parametrize("root", ["https://me:secret@host/x", "az://box/x?sig=secret", "https://secret@host/#secret"])
def test_a_root_with_a_password_is_refused_and_not_repeated(root: str) -> None:
    with pytest.raises(UsageError, match="credentials belong into the environment$") as caught:
        normal_root(root)

    assert "secret" not in str(caught.value)
