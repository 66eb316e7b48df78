"""Volumes as archives: each object is a range, the same objects give the same bytes, and lies are refused."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cryodata.errors import DatasetError
from cryodata.formats.packs import pack_bytes, pack_path, read_directory, write_pack

FILES = {"zarr.json": b"{}", "density/c/0/0/0": bytes(range(256)) * 9, "empty": b"", "ü": b"x"}


def pack(target: Path, files: dict[str, bytes]) -> bytes:
    write_pack(
        target, [(name, io.BytesIO(raw), len(raw), hashlib.sha256(raw).hexdigest()) for name, raw in files.items()]
    )
    return target.read_bytes()


def test_every_object_is_the_range_that_the_directory_says(tmp_path: Path) -> None:
    raw = pack(tmp_path / "pack", FILES)

    found = read_directory(raw, len(raw))

    assert {name: raw[first : first + count] for name, (first, count) in found.items()} == FILES
    assert list(found) == list(FILES)
    # the end of it is enough
    assert read_directory(raw[-400:], len(raw)) == found


def test_its_length_is_known_before_and_its_bytes_are_always_the_same(tmp_path: Path) -> None:
    one, other = pack(tmp_path / "one", FILES), pack(tmp_path / "other", FILES)

    assert len(one) == pack_bytes({name: len(raw) for name, raw in FILES.items()})
    assert one == other


def test_any_zip_program_opens_it(tmp_path: Path) -> None:
    pack(tmp_path / "pack", FILES)

    with zipfile.ZipFile(tmp_path / "pack") as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_an_object_with_other_bytes_is_not_packed(tmp_path: Path) -> None:
    expected = hashlib.sha256(b"other").hexdigest()

    with pytest.raises(DatasetError, match=rf"a: 5 bytes with sha256 \w+; expected 5 with {expected}"):
        write_pack(tmp_path / "pack", [("a", io.BytesIO(b"bytes"), 5, expected)])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("volumes/8f/A-8f1c.zarr/density/c/0/0/0", ("volumes/8f/A-8f1c.ozx", "density/c/0/0/0")),
        ("volumes/8f/A-8f1c.zarr/zarr.json", ("volumes/8f/A-8f1c.ozx", "zarr.json")),
        ("tables/1b2c/entries.parquet", None),
        ("tables/a.zarr/b", None),
    ],
)
def test_objects_of_volumes_are_in_archives_and_others_not(path: str, expected: tuple[str, str] | None) -> None:
    assert pack_path(path) == expected


def test_a_damaged_archive_is_refused_or_reaches_nowhere_else(
    tmp_path: Path, series: Callable[[str, int], list[int]]
) -> None:
    raw = pack(tmp_path / "pack", FILES)
    refused = 0
    for case in series("damaged archives", 3000):
        draw = random.Random(case)
        broken = bytearray(raw)
        for _ in range(draw.randint(1, 4)):
            broken[draw.randrange(len(raw) - 400, len(raw))] = draw.randrange(256)
        tail = bytes(broken[draw.choice((0, len(raw) - 400)) :])
        try:
            found = read_directory(tail, len(raw))
        except ValueError:
            refused += 1
        else:
            assert all(0 <= first <= first + count <= len(raw) for first, count in found.values())
    assert refused > 0


@pytest.mark.parametrize("tail", [b"", b"PK\5\6", b"\0" * 22, b"x" * 500], ids=["none", "short", "zeros", "text"])
def test_what_is_no_archive_is_refused(tail: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        read_directory(tail, len(tail))
