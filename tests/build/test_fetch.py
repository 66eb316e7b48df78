"""One file from afar: resumed only if it is the same, verified, never fetched twice."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryodata.build.fetch import Pin, fetch_file
from cryodata.build.http import FetchError, Patience
from cryodata.build.transfer import transfer
from cryodata.errors import UsageError
from tests.build.archive_server import Archive, Holdings

CONTENT = random.Random(0).randbytes(200_000)
PACKED = gzip.compress(CONTENT, 1, mtime=0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    with Archive(Holdings({"a.gz": PACKED})) as archive:
        for name, value in archive.environment().items():
            monkeypatch.setenv(name, value)
        yield archive


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("faults", "requests"),
    [
        pytest.param((), 1, id="none"),
        pytest.param(("truncate",), 2, id="half of it, then the rest"),
        pytest.param(("truncate", "truncate"), 3, id="a quarter more"),
        pytest.param(("truncate", "mixed"), 3, id="goes on with another file"),
        pytest.param(("changed",), 2, id="another file, then this one"),
        pytest.param(("shorter",), 2, id="a length that is too small"),
        pytest.param(("longer",), 2, id="a length that is too large"),
        pytest.param(("redirect",), 2, id="redirect"),
        pytest.param(("stall", "429", "500", "reset"), 5, id="one after the other"),
    ],
)
def test_a_file_arrives_whole(server: Archive, tmp_path: Path, faults: tuple[str, ...], requests: int) -> None:
    server.fail("a.gz", *faults)

    pin = fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")

    assert (tmp_path / "a.gz").read_bytes() == PACKED
    assert pin.size == len(CONTENT)
    assert len(server.requests) == requests
    assert left_over(tmp_path) == ["a.gz", "a.gz.pin"]
    assert fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz") == pin
    assert server.whole["a.gz"] == 1


def test_a_part_is_resumed_by_a_later_run(server: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYODATA_FETCH_ATTEMPTS", "1")
    server.fail("a.gz", "truncate", "503", "503")
    with pytest.raises(FetchError, match=r"a.gz: the server answered 503\); run the same build again later$"):
        fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")
    assert left_over(tmp_path) == ["a.gz.part", "a.gz.part.json"]
    assert 0 < (tmp_path / "a.gz.part").stat().st_size < len(PACKED)
    server.faults.clear()

    fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")

    assert (tmp_path / "a.gz").read_bytes() == PACKED


def test_a_complete_part_is_not_fetched_again(server: Archive, tmp_path: Path) -> None:
    part = tmp_path / "a.gz.part"
    with open(part, "w+b") as file:
        transfer(f"{server.url}/a.gz", part, file.fileno(), Patience.of_environment())
    assert server.whole["a.gz"] == 1

    fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")

    assert server.whole["a.gz"] == 1


def test_a_file_that_was_damaged_on_disk_is_fetched_again(server: Archive, tmp_path: Path) -> None:
    fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")
    (tmp_path / "a.gz").write_bytes(PACKED[:-9])

    fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")

    assert (tmp_path / "a.gz").read_bytes() == PACKED


def test_an_alternative_stands_in_only_if_the_first_is_not_there(server: Archive, tmp_path: Path) -> None:
    server.fail("a.gz", "503", "500")
    server.held.files["b.gz"] = gzip.compress(b"other", mtime=0)
    first, second, none = ([f"{server.url}/{name}.gz"] for name in ("a", "b", "c"))

    assert fetch_file([first, second], tmp_path / "one").size == len(CONTENT)
    assert fetch_file([none, second], tmp_path / "two").size == len(b"other")
    assert fetch_file([none, none], tmp_path / "three") == Pin("", 0)


def test_a_full_disk_ends_the_build_before_the_file_is_begun(
    server: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cryodata.build.transfer.SPARE", 1 << 60)

    with pytest.raises(OSError, match="bytes to fetch and .* free, 1,152,921,504,606,846,976 of which stay so"):
        fetch_file([[f"{server.url}/a.gz"]], tmp_path / "a.gz")


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan"])
def test_patience_is_a_number_above_0(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYODATA_FETCH_TIMEOUT", text)

    with pytest.raises(UsageError, match=f"^CRYODATA_FETCH_TIMEOUT is '{text}'; expected a number above 0$"):
        Patience.of_environment()
