"""Malformed maps: each ends as a value or as a rejection of one line that names the file."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.formats.mrc import map_digest, read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.formats.structure import read_structure
from tests.formats.malformed.small import (
    ANGLES,
    AXES,
    CELL,
    INF,
    MODE,
    MX,
    NAN,
    NSYMBT,
    NY,
    ORIGIN,
    SIGNALLING_NAN,
    atom_line,
    read_map,
    refusal,
    small_map,
)

PLAIN_MAPS = [
    pytest.param(b"", "0 bytes; a map begins with a header of 1,024", id="empty"),
    pytest.param(small_map()[:1023], "1023 bytes; a map begins with a header of 1,024", id="part of a header"),
    pytest.param(
        b"It was a dark and stormy night.\n" * 50,
        "mode 1851859051, 1.99862e+09 x 1.62952e+09 x 1.91899e+09 values, axes 1.99862e+09 x 1.62952e+09 x "
        "1.91899e+09; expected a mode of 0, 1, 2, 6, 12, at least one value and the axes 1, 2, 3 in any order",
        id="text instead of a map",
    ),
    pytest.param(
        bytes(5000),
        "mode 0, 0 x 0 x 0 values, axes 0 x 0 x 0; expected a mode of 0, 1, 2, 6, 12, at least one value and the axes "
        "1, 2, 3 in any order",
        id="zeros",
    ),
    pytest.param(
        small_map((MODE, "i", 4)),
        "mode 4, 4 x 3 x 2 values, axes 1 x 2 x 3; expected a mode of 0, 1, 2, 6, 12, at least one value and the axes "
        "1, 2, 3 in any order",
        id="a transform",
    ),
    pytest.param(
        small_map((NY, "i", -3)),
        "mode 2, 4 x -3 x 2 values, axes 1 x 2 x 3; expected a mode of 0, 1, 2, 6, 12, at least one value and the axes "
        "1, 2, 3 in any order",
        id="a negative count",
    ),
    pytest.param(
        small_map((AXES, "i", 2)),
        "mode 2, 4 x 3 x 2 values, axes 2 x 2 x 3; expected a mode of 0, 1, 2, 6, 12, at least one value and the axes "
        "1, 2, 3 in any order",
        id="an axis twice",
    ),
    pytest.param(
        small_map((CELL, "f", NAN)),
        "cell nan x 3 x 2 A in 4 x 3 x 2 intervals; expected sizes above 0",
        id="cell of NaN",
    ),
    pytest.param(
        small_map((CELL + 1, "f", INF)),
        "cell 4 x inf x 2 A in 4 x 3 x 2 intervals; expected sizes above 0",
        id="infinite cell",
    ),
    pytest.param(
        small_map((CELL + 2, "f", -2.0)),
        "cell 4 x 3 x -2 A in 4 x 3 x 2 intervals; expected sizes above 0",
        id="negative cell",
    ),
    pytest.param(
        small_map((MX, "i", 0)), "cell 4 x 3 x 2 A in 0 x 3 x 2 intervals; expected sizes above 0", id="no intervals"
    ),
    pytest.param(small_map((ANGLES, "f", NAN)), "cell angles nan x 90 x 90; expected numbers", id="angle of NaN"),
    pytest.param(small_map((NSYMBT, "i", -1)), "an extended header of -1 bytes", id="negative extended header"),
]


@pytest.mark.parametrize(("content", "found"), PLAIN_MAPS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_without_a_usable_header_is_an_unreadable_map(
    tmp_path: Path, content: bytes, found: str, packed: bool
) -> None:
    path = tmp_path / "bad.map"
    path.write_bytes(gzip.compress(content) if packed else content)

    assert ("unreadable_map", f"bad.map: {found}") == refusal(read_map, path)


@pytest.mark.parametrize("mode", [-1, 3, 4, 5, 7, 101, 2**31 - 1], ids=str)
def test_a_mode_that_holds_no_real_density_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "bad.map"
    path.write_bytes(small_map((MODE, "i", mode)))
    code, message = refusal(read_map, path)

    assert code == "unreadable_map"
    assert message.startswith(f"bad.map: mode {mode}, ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for reader, code in ((read_map, "unreadable_map"), (read_structure, "unreadable_model")):
        assert (code, "no.map: can't be read (No such file or directory)") == refusal(reader, tmp_path / "no.map")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder.map").mkdir()

    for reader, code in ((read_map, "unreadable_map"), (read_structure, "unreadable_model")):
        assert (code, "folder.map: can't be read (Is a directory)") == refusal(reader, tmp_path / "folder.map")


@pytest.mark.parametrize("missing", [1, 4, 95, 96])
def test_a_plain_map_that_lacks_bytes_is_truncated(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "cut.map"
    path.write_bytes(small_map()[: 1024 + 96 - missing])
    found = f"the file holds {1120 - missing:,} bytes at most"

    # 4 * 3 * 2 float32 after 1,024 bytes of header
    assert ("truncated_map", f"cut.map: 2 x 3 x 4 values of mode 2 need 1,120 bytes; {found}") == refusal(
        read_map, path
    )


def test_a_packed_map_that_lacks_values_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "cut.map.gz"
    path.write_bytes(gzip.compress(small_map()[:1100]))
    header = read_header(path)
    needs = "cut.map.gz: 2 x 3 x 4 values of mode 2 need 1,120 bytes"

    assert ("truncated_map", f"{needs}; it holds 1,100") == refusal(lambda path: map_digest(path, header), path)
    assert ("truncated_map", f"{needs}; it ends earlier") == refusal(lambda path: read_volume(path, header), path)


def test_an_extended_header_longer_than_the_file_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "cut.map"
    path.write_bytes(small_map((NSYMBT, "i", 2**31 - 1)))
    found = "the file holds 1,120 bytes at most"

    # 1,024 + 2,147,483,647 + 96
    assert ("truncated_map", f"cut.map: 2 x 3 x 4 values of mode 2 need 2,147,484,767 bytes; {found}") == refusal(
        read_map, path
    )


ENDED = "broken gzip stream (Compressed file ended before the end-of-stream marker was reached); "
ENDED += "expected a complete file"


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        pytest.param(lambda packed: packed[:2], ENDED, id="magic alone"),
        pytest.param(lambda packed: packed[:15], ENDED, id="part of its header"),
        pytest.param(lambda packed: packed[: len(packed) // 2], ENDED, id="half"),
        pytest.param(lambda packed: packed[:-8], ENDED, id="no trailer"),
        pytest.param(lambda packed: packed[:-1], ENDED, id="one byte short"),
        pytest.param(lambda packed: packed + b"tail", ENDED, id="bytes behind it"),
        pytest.param(
            lambda packed: packed[:2] + b"\x07" + packed[3:],
            "can't be read (Unknown compression method)",
            id="unknown method",
        ),
    ],
)
@pytest.mark.parametrize("what", ["map", "model"])
def test_a_broken_gzip_stream_is_named(tmp_path: Path, what: str, damage: Callable[[bytes], bytes], found: str) -> None:
    path = tmp_path / f"bad.{what}.gz"
    content = small_map() if what == "map" else b"".join(atom_line(number) for number in range(1, 20))
    path.write_bytes(damage(gzip.compress(content, mtime=0)))
    reader = read_map if what == "map" else read_structure

    assert (f"unreadable_{what}", f"bad.{what}.gz: {found}") == refusal(reader, path)


@pytest.mark.parametrize("what", ["map", "model"])
def test_a_gzip_checksum_that_does_not_match_is_named(tmp_path: Path, what: str) -> None:
    path = tmp_path / f"bad.{what}.gz"
    packed = gzip.compress(small_map() if what == "map" else atom_line(1))
    path.write_bytes(packed[:-8] + bytes(4) + packed[-4:])
    code, message = refusal(read_map if what == "map" else read_structure, path)

    assert code == f"unreadable_{what}"
    assert message.startswith(f"bad.{what}.gz: can't be read (CRC check failed 0 != ")


def test_values_that_are_no_numbers_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "nan.map"
    path.write_bytes(small_map((256, "f", NAN), (257, "f", -INF), (258, "I", SIGNALLING_NAN)))
    density = read_map(path)  # the recipe refuses them as not_finite: tests/build/catalog/test_command.py

    assert np.count_nonzero(~np.isfinite(density)) == 3
    assert density[0, 0, 1] == -INF


def test_a_signalling_nan_in_the_header_gives_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "nan.map"
    for word in (CELL, ANGLES):
        path.write_bytes(small_map((word, "I", SIGNALLING_NAN)))

        assert refusal(read_header, path)[0] == "unreadable_map"

    path.write_bytes(small_map((ORIGIN, "I", SIGNALLING_NAN)))  # garbage there is ignored

    assert read_header(path).frame == "nstart"


def test_a_file_name_of_two_lines_gives_a_message_of_one(tmp_path: Path) -> None:
    found = "two?lines: can't be read (No such file or directory)"

    assert ("unreadable_map", found) == refusal(read_map, tmp_path / "two\nlines")
    assert ("unreadable_model", found) == refusal(read_structure, tmp_path / "two\nlines")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(bz2.compress(small_map()), "a bzip2 archive", id="bzip2"),
        pytest.param(lzma.compress(small_map() * 20), "an xz archive", id="xz"),
        pytest.param(b"PK\x03\x04" + bytes(range(256)) * 8, "a zip archive", id="zip"),
        pytest.param(b"\x28\xb5\x2f\xfd" + bytes(range(256)) * 8, "a zstd archive", id="zstd"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 8, "an HDF5 file", id="HDF5"),
        pytest.param(b"\n<!DOCTYPE html>\n" * 100, "an HTML or XML page", id="page"),
        pytest.param(b"<html>404</html>", "an HTML or XML page", id="short page"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_of_another_kind_is_named_as_such(tmp_path: Path, content: bytes, kind: str, packed: bool) -> None:
    path = tmp_path / "bad.file"
    path.write_bytes(gzip.compress(content) if packed else content)
    as_map = f"bad.file: {kind}; expected an MRC or CCP4 map, plain or gzip"

    assert ("unreadable_map", as_map) == refusal(read_map, path)
    assert ("unreadable_model", f"bad.file: neither PDB nor mmCIF ({kind})") == refusal(read_structure, path)


def test_a_map_that_begins_as_an_archive_does_is_still_a_map(tmp_path: Path) -> None:
    path = tmp_path / "odd.map"
    path.write_bytes(small_map()[:4].replace(b"\4", b"<") + small_map()[4:] + bytes(4 * 56 * 6))  # 60 columns: "<"

    assert read_map(path).shape == (2, 3, 60)


def test_a_map_of_60_columns_is_not_taken_for_a_page(tmp_path: Path) -> None:
    """60 is `<` in its first byte; a transform (mode 4) is refused as what it is."""
    path = tmp_path / "map.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.zeros((4, 4, 60), dtype=np.complex64))

    with pytest.raises(RejectedError, match="mode 4, 60 x 4 x 4 values"):
        read_header(path)
