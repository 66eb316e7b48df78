"""Nothing damaged is published, and what is damaged at the target is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import obstore
import pytest

from cryodata.build.publish import publish
from cryodata.build.published import published_items
from cryodata.build.pull import pull
from cryodata.build.verify import verify_version
from cryodata.errors import CryodataError, DatasetError
from cryodata.formats import bucket
from cryodata.formats.places import place_of
from cryodata.formats.store import client_of
from cryodata.formats.versions import DatasetVersion, open_version
from tests.proxy import FaultProxy
from tests.publish.conftest import Use, Where
from tests.tampering import flip


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


def test_a_large_object_that_proves_damaged_at_its_end_never_shows(servers: dict[str, str], use: Use) -> None:
    store = bucket.Bucket(use(servers["moto"]))

    def pieces() -> Any:
        yield b"x" * (10 << 20)
        raise DatasetError("damaged")

    with pytest.raises(DatasetError, match="^damaged$"):
        store.put("large", 20 << 20, pieces)

    assert store.listed("") == {}


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
