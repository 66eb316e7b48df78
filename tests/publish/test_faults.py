"""Whatever the network does: publishing ends right or with a clear error, and no version shows before its objects."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.pull import pull
from cryodata.build.verify import verify_version
from cryodata.errors import CryodataError, DatasetError
from cryodata.formats import store
from cryodata.formats.bucket import Bucket, Creation
from cryodata.formats.places import place_of
from cryodata.formats.versions import DatasetVersion, open_version
from tests.proxy import FaultProxy
from tests.publish.conftest import Use
from tests.servers import KEY, SECRET

OBJECTS = r"/(volumes|tables)/"
TRANSIENT = ("500", "503", "reset", "slow", "drop", "half")


@pytest.fixture
def proxy(servers: dict[str, str]) -> Iterator[FaultProxy]:
    with FaultProxy(servers["moto"]) as running:
        yield running


@pytest.fixture
def root(proxy: FaultProxy, use: Use, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(store, "STALL", 5.0)
    return use(proxy.url)


def whole(root: str, opened: DatasetVersion) -> bool:
    """Is the version there, with every object of it?"""
    listed = Bucket(f"{root}/small").listed("")
    return all(listed[item.path].size == item.size for item in published_items(opened)) and (
        open_version(root, "small").sha256 == opened.sha256
    )


def test_faults_that_pass_are_not_noticed(proxy: FaultProxy, root: str, first: DatasetVersion, tmp_path: Path) -> None:
    proxy.fail("PUT", OBJECTS, *TRANSIENT, "", *TRANSIENT, "", *TRANSIENT)
    for path in (r"\.probe", "versions/", "latest"):
        proxy.fail("PUT", path, "503", "drop", "", "reset")
    proxy.fail("GET", "", "500", "", "half", "", "reset", "", "slow")

    done = publish(first, root)

    assert {request.fault for request in proxy.requests} == {*TRANSIENT, ""}
    assert done.created and done.latest == "1.0.0"
    assert whole(root, first)
    proxy.forget()
    proxy.fail("GET", "", *["", *TRANSIENT] * 3)
    pull(open_version(root, "small"), tmp_path)
    assert {request.fault for request in proxy.requests} == {*TRANSIENT, ""}
    assert verify_version(open_version(tmp_path, "small"), deep=True).faults == ()


def test_a_lost_reply_to_the_manifest_is_no_failure(proxy: FaultProxy, root: str, first: DatasetVersion) -> None:
    proxy.fail("PUT", "versions/", "drop")

    assert publish(first, root).created
    assert [request.status for request in proxy.requests if "versions/1.0.0" in request.path] == [404, 200, 412, 200]


def test_a_lost_reply_to_the_hint_is_no_failure(proxy: FaultProxy, root: str, first: DatasetVersion) -> None:
    publish(first, root)
    assert Bucket(f"{root}/small").read("latest.json", 100)[0] == b'{"version":"1.0.0"}\n'
    proxy.fail("PUT", "latest", "drop")

    assert publish(open_version(first.root, "small@1.1.0"), root).latest == "1.1.0"
    assert Bucket(f"{root}/small").read("latest.json", 100)[0] == b'{"version":"1.1.0"}\n'


def test_what_became_of_a_creation_without_a_reply_is_left_open(proxy: FaultProxy, root: str) -> None:
    bucket = Bucket(root)
    proxy.fail("PUT", "one", "drop")
    proxy.fail("PUT", "two", "reset")

    assert bucket.create("one", b"1") is Creation.UNCLEAR
    assert bucket.create("two", b"2") is Creation.MADE
    assert bucket.create("two", b"3") is Creation.THERE


@pytest.mark.parametrize(
    ("where", "fault"),
    [(OBJECTS, "503"), (OBJECTS, "reset"), (OBJECTS, "403"), (OBJECTS, "expired"), ("versions/", "503")],
    ids=["503", "reset", "403", "expired", "manifest"],
)
def test_a_fault_that_stays_is_told_and_no_version_shows(
    proxy: FaultProxy, root: str, first: DatasetVersion, where: str, fault: str
) -> None:
    proxy.fail("PUT", where, *([""] * 5 if where == OBJECTS else []), *[fault] * 1000)

    with pytest.raises(DatasetError) as caught:
        publish(first, root)

    words = {
        "503": "in 4 tries: the server answered 503 Service Unavailable",
        "reset": "in 4 tries: no usable answer; are address and credentials right?",
        "403": "the server answered 403 Forbidden; are the credentials in the environment right?",
        "expired": "the server answered 400 Bad Request (ExpiredToken); renew the credentials in the environment",
    }
    message = str(caught.value)
    assert re.search(rf"^[\w./-]+: can't be written to {root}/small:? ", message), message
    assert message.endswith(words[fault]) or (fault == "reset" and "the connection broke" in message), message
    assert KEY not in message and SECRET not in message
    proxy.forget()
    assert place_of(root, "small").versions() == []

    done = publish(first, root)

    assert done.created
    assert len(done.sent) < len(published_items(first))
    assert whole(root, first)


def test_what_was_sent_before_a_fault_is_not_sent_again(proxy: FaultProxy, root: str, first: DatasetVersion) -> None:
    proxy.fail("PUT", OBJECTS, *[""] * 7, *["403"] * 1000)
    with pytest.raises(DatasetError):
        publish(first, root)
    before = Counter(proxy.sent(OBJECTS))
    proxy.wait_until_idle()
    proxy.forget()

    publish(first, root)

    assert sum(before.values()) == 7
    assert set((before + Counter(proxy.sent(OBJECTS))).values()) == {1}


def test_a_pull_that_broke_goes_on(proxy: FaultProxy, root: str, first: DatasetVersion, tmp_path: Path) -> None:
    publish(first, root)
    opened = open_version(root, "small")
    proxy.forget()
    proxy.fail("GET", "/volumes/", *[""] * 4, *["403"] * 1000)
    with pytest.raises(DatasetError, match="can't be read from .*: the server answered 403 Forbidden; are the"):
        pull(opened, tmp_path)
    assert list((tmp_path / "small").glob("versions/*")) == []
    fetched = {path.relative_to(tmp_path / "small").as_posix() for path in tmp_path.glob("small/volumes/**/*")}
    proxy.forget()

    done = pull(opened, tmp_path)

    again = {request.path.split("/small/")[-1] for request in proxy.requests}
    assert fetched & again == set()
    assert done.kept >= 4
    assert verify_version(open_version(tmp_path, "small"), deep=True).faults == ()


def test_a_pull_takes_nothing_that_is_not_what_was_published(
    proxy: FaultProxy, root: str, first: DatasetVersion, tmp_path: Path
) -> None:
    publish(first, root)
    item = next(item for item in published_items(first) if item.path.endswith("density/c/0/0/0"))
    raw = (Path(first.root) / "small" / item.path).read_bytes()
    bucket = Bucket(f"{root}/small")
    bucket.put(item.path, item.size, lambda: iter([raw[:-1] + bytes([raw[-1] ^ 1])]))

    with pytest.raises(CryodataError) as caught:
        pull(open_version(root, "small"), tmp_path)

    assert re.fullmatch(
        rf"{item.path}: {item.size:,} bytes with sha256 [0-9a-f]{{64}}; expected {item.size:,} with {item.sha256}",
        str(caught.value),
    )
    assert not (tmp_path / "small" / item.path).exists()
    assert list((tmp_path / "small").glob("versions/*")) == []
    bucket.remove(item.path)
    with pytest.raises(DatasetError, match=f"^{item.path}: missing at {root}/small; expected {item.size:,} bytes"):
        pull(open_version(root, "small"), tmp_path)
