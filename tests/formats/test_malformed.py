"""Malformed maps and models: each ends as a value or as a rejection of one line that names the file.

Never a traceback, a hang, a crash of the parser, or memory beyond what the file honestly needs.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import math
import os
import random
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.formats.mrc import map_digest, read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.formats.structure import read_structure

MIB = 1 << 20

NX, NY, NZ, MODE, MX, CELL, ANGLES, AXES, NSYMBT, ORIGIN = 0, 1, 2, 3, 7, 10, 13, 16, 23, 49
"numbers of the header's words (MRC2014), counted from 0"

NAN, INF = math.nan, math.inf
SIGNALLING_NAN = 0x7F800001
"float32 bits that make a processor complain when they are copied"


def small_map(*changes: tuple[int, str, Any]) -> bytes:
    """A map of 4 x 3 x 2 float32 voxels of 1 A. changes: (number of a word, its struct letter, value)."""
    raw = bytearray(1024)
    struct.pack_into("<10i6f3i", raw, 0, 4, 3, 2, 2, 0, 0, 0, 4, 3, 2, 4.0, 3.0, 2.0, 90.0, 90.0, 90.0, 1, 2, 3)
    raw[208:216] = b"MAP DD\0\0"
    raw += struct.pack("<24f", *range(24))
    for word, letter, value in changes:
        struct.pack_into(f"<{letter}", raw, 4 * word, value)
    return bytes(raw)


def atom_line(number: int, x: float | str = 0.0, residue: int | str | None = None) -> bytes:
    """A C-alpha as a line of a PDB file."""
    place = f"{x:>8}" if isinstance(x, str) else f"{x:8.3f}"
    residue = number if residue is None else residue
    return (f"ATOM  {number:5d}  CA  ALA A{residue:>4}    {place}{0:8.3f}{0:8.3f}  1.00  0.00           C  \n").encode()


def small_cif(*rows: str) -> bytes:
    """An mmCIF file of C-alphas. rows: atom name, chain, residue number, x; the rest is the same for all."""
    columns = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id "
    columns += "label_seq_id Cartn_x Cartn_y Cartn_z auth_seq_id auth_asym_id"
    lines = ["data_small", "loop_", *(f"_atom_site.{column}" for column in columns.split())]
    for number, row in enumerate(rows, start=1):
        name, chain, residue, x = row.split()
        lines.append(f"ATOM {number} C {name} . ALA {chain} 1 {number} {x} 0.0 0.0 {residue} {chain}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def read_map(path: Path) -> np.ndarray[Any, Any]:
    """All that a build does with a map file."""
    header = read_header(path)
    map_digest(path, header)
    return read_volume(path, header).data


def refusal(reader: Callable[[Path], object], path: Path) -> tuple[str, str]:
    """Code and message of the rejection that reading ends in."""
    with pytest.raises(RejectedError) as refused:
        reader(path)
    return refused.value.code, str(refused.value)


# --- maps, case by case ---------------------------------------------------------------------------------------------

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
    density = read_map(path)  # the recipe refuses them as not_finite: tests/build/test_catalog.py

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


# --- models, case by case -------------------------------------------------------------------------------------------

NO_ATOMS = "no atoms; expected a PDB or mmCIF file with a model"
NO_UTF_8 = "names that are not ASCII or UTF-8"
NO_FORMAT = "neither PDB nor mmCIF (wrong format of coordinate file string)"

MODELS = [
    pytest.param(b"", NO_FORMAT, id="empty"),
    pytest.param(b"\n", NO_FORMAT, id="one empty line"),
    pytest.param(b"It was a dark and stormy night.\n", NO_ATOMS, id="text instead of a model"),
    pytest.param(bytes(5000), NO_ATOMS, id="zeros"),
    pytest.param(small_map(), NO_ATOMS, id="a map instead of a model"),
    pytest.param(b"HEADER    A PROTEIN\nEND\n", NO_ATOMS, id="PDB without atoms"),
    pytest.param(b"data_x\n", NO_FORMAT, id="mmCIF of one block"),
    pytest.param(b"data_x\n_entry.id x\n", NO_ATOMS, id="mmCIF without atoms"),
    pytest.param(small_cif(), NO_ATOMS, id="mmCIF with an empty loop"),
    pytest.param(atom_line(1) + atom_line(2, "nan"), "atom 2 has a coordinate that is no number", id="PDB with a NaN"),
    pytest.param(small_cif("CA A 1 0.0", "CA A 2 ?"), "atom 2 has a coordinate that is no number", id="mmCIF with a ?"),
    pytest.param(
        small_cif("CA A 1 inf"), "atom 1 has a coordinate that is no number", id="mmCIF with an infinite coordinate"
    ),
    pytest.param(
        small_cif("CA A 1 0.0")[:-3],
        "neither PDB nor mmCIF (string:2:0(11): Wrong number of values in loop _atom_site.*)",
        id="mmCIF cut in a row",
    ),
    pytest.param(
        atom_line(1)[:40],
        "neither PDB nor mmCIF (Problem in line 1: The line is too short to be correct: ATOM 1 CA ALA A 1 0.000)",
        id="PDB cut in a line",
    ),
    pytest.param(atom_line(1).replace(b" CA ", b" C\xe9 "), NO_UTF_8, id="PDB atom name in latin-1"),
    pytest.param(
        atom_line(1).replace(b" A ", b" \xe9 "),
        NO_UTF_8,
        id="PDB chain name in latin-1",
    ),
    pytest.param(
        b"SEQRES   1 A    2  AL\xe9 ALA\n" + atom_line(1),
        NO_UTF_8,
        id="PDB sequence in latin-1",
    ),
]


@pytest.mark.parametrize(("content", "found"), MODELS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_without_usable_atoms_is_an_unreadable_model(
    tmp_path: Path, content: bytes, found: str, packed: bool
) -> None:
    path = tmp_path / "bad.model"
    path.write_bytes(gzip.compress(content) if packed else content)

    assert ("unreadable_model", f"bad.model: {found}") == refusal(read_structure, path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(atom_line(1) + atom_line(2, residue=""), id="PDB, blank"),
        pytest.param(small_cif("CA A 1 0.0", "CA A x 1.0"), id="mmCIF, a word"),
    ],
)
def test_a_residue_without_a_number_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.model"
    path.write_bytes(content)

    assert refusal(read_structure, path) == ("unreadable_model", "bad.model: a residue has no number")


@pytest.mark.parametrize("x", ["1e300", "-5e9", "2.2e9", "1000001"])
def test_an_atom_beyond_every_map_is_refused(tmp_path: Path, x: str) -> None:
    path = tmp_path / "far.cif"
    path.write_bytes(small_cif("CA A 1 1000000", f"CA A 2 {x}"))
    found = "far.cif: atom 2 has a coordinate that is beyond 1,000,000 A"

    assert ("unreadable_model", found) == refusal(read_structure, path)


# --- memory and time, in a process of their own -----------------------------------------------------------------------

PROBE = """
import json, resource, sys
from pathlib import Path
from cryodata.errors import RejectedError
from cryodata.formats.mrc import map_digest, read_volume
from cryodata.formats.mrc_header import read_header
from cryodata.formats.structure import model_digest, read_structure

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

readers = {
    "header": read_header,
    "map_digest": lambda path: map_digest(path, read_header(path)),
    "volume": lambda path: read_volume(path, read_header(path)),
    "model_digest": model_digest,
    "model": read_structure,
}
what, path, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
before = peak()
try:
    readers[what](path)
    end = "value"
except RejectedError as error:
    end = f"{error.code}: {error.message}"
except BaseException as error:
    end = f"{type(error).__name__}: {error}"
print(json.dumps([end, peak() - before]))
"""
"reads one file, prints how that ended and by how many bytes the process grew at most"


def probe(what: str, path: Path, limit: int = 0, seconds: float = 60.0) -> tuple[str, int]:
    """How reading ends in a fresh process, and the memory it took, bytes. limit: address space, bytes; 0 is none."""
    command = [sys.executable, "-c", PROBE, what, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    end, grown = json.loads(done.stdout)
    return end, grown


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def counts(number: int) -> list[tuple[int, str, Any]]:
    """Changes of the small map's header that make it claim a cube of so many values."""
    return [(word, "i", number) for word in (NX, NY, NZ)]


@needs_proc
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_header_of_two_to_the_31_cubed_takes_no_memory(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "huge.map"
    content = small_map(*counts(2**31 - 1))
    path.write_bytes(gzip.compress(content) if packed else content)
    room = path.stat().st_size * 1032 if packed else 1120  # deflate packs 1,032 bytes into one at best
    end, grown = probe("volume", path, limit=4096 * MIB)

    # 1,024 + 4 * 2,147,483,647^3
    assert end == (
        "truncated_map: huge.map: 2147483647 x 2147483647 x 2147483647 values of mode 2 need "
        f"39,614,081,201,791,936,601,413,125,116 bytes; the file holds {room:,} bytes at most"
    )
    assert grown < 16 * MIB


@needs_proc
@pytest.mark.parametrize(("packed", "extra"), [(False, 100_000), (True, 100_000)], ids=["plain", "gzip"])
def test_a_header_of_a_thousand_cubed_over_little_data_takes_no_memory(
    tmp_path: Path, packed: bool, extra: int
) -> None:
    path = tmp_path / "huge.map"
    content = small_map(*counts(1000)) + random.Random(0).randbytes(extra)
    path.write_bytes(gzip.compress(content) if packed else content)
    room = path.stat().st_size * 1032 if packed else 1120 + extra
    end, grown = probe("volume", path, limit=4096 * MIB)

    assert end == (
        "truncated_map: huge.map: 1000 x 1000 x 1000 values of mode 2 need 4,000,001,024 bytes; "
        f"the file holds {room:,} bytes at most"
    )
    assert grown < 16 * MIB


@needs_proc
@pytest.mark.parametrize(
    ("axes", "number", "limit", "tail"),
    [
        pytest.param((1, 2, 3), 500, 0, b"", id="axes123"),
        # one section of such a map touches every page of the volume
        pytest.param((3, 2, 1), 500, 0, b"", id="axes321"),
        pytest.param((3, 2, 1), 1000, 2048 * MIB, b"", id="little memory"),
        pytest.param(
            (3, 2, 1),
            500,
            0,
            b"\xff\xff\xff\xff",
            id="forged size at its end",
        ),
    ],
)
def test_a_gzip_map_that_could_hold_its_claim_and_does_not_takes_little_memory(
    tmp_path: Path, axes: tuple[int, ...], number: int, limit: int, tail: bytes
) -> None:
    path = tmp_path / "huge.map.gz"
    claimed = 4 * number**3
    content = small_map(*counts(number), *((AXES + i, "i", axis) for i, axis in enumerate(axes)))
    path.write_bytes(gzip.compress(content + random.Random(0).randbytes(claimed // 400), 1) + tail)
    end, grown = probe("volume", path, limit)

    assert re.match("(truncated|unreadable)_map: huge.map.gz: ", end)
    assert grown < 64 * MIB


def bomb(content: bytes, filler: bytes, total: int) -> bytes:
    """A gzip file of `content` and then `total` bytes of filler, in members of 16 MiB each, made in no time."""
    return gzip.compress(content) + gzip.compress(filler * (16 * MIB)) * (total // (16 * MIB))


@needs_proc
def test_a_gzip_bomb_behind_an_honest_header_is_not_inflated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.map.gz"
    path.write_bytes(bomb(small_map(), b"\0", 8 << 30))
    end, grown = probe("map_digest", path, limit=2048 * MIB, seconds=20.0)

    # 1,120 bytes of map and a tolerated tail of 1,048,576
    assert end == "unreadable_map: bomb.map.gz: more than the 1,049,696 bytes that it may hold"
    assert grown < 32 * MIB


@needs_proc
def test_the_density_before_a_gzip_bomb_takes_the_memory_that_its_header_needs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.map.gz"
    path.write_bytes(bomb(small_map(), b"\0", 8 << 30))
    end, grown = probe("volume", path, limit=2048 * MIB, seconds=20.0)

    assert end == "value"
    assert grown < 32 * MIB


@needs_proc
@pytest.mark.parametrize(("what", "most"), [("model_digest", 32 * MIB), ("model", 1280 * MIB)], ids=["digest", "atoms"])
def test_a_gzip_bomb_behind_a_model_stops_at_the_limit_of_models(tmp_path: Path, what: str, most: int) -> None:
    path = tmp_path / "bomb.cif.gz"
    path.write_bytes(bomb(small_cif("CA A 1 0.0"), b"\n", 4 << 30))
    end, grown = probe(what, path, limit=4096 * MIB)

    assert end == "unreadable_model: bomb.cif.gz: more than the 903,186,264 bytes that it may hold"
    assert grown < most


@needs_proc
@pytest.mark.parametrize("row", ["{} A 1 0.0", "CA {} 1 0.0"], ids=["atom", "chain"])
def test_a_very_long_name_in_a_model_takes_little_memory(tmp_path: Path, row: str) -> None:
    # as a NumPy column, 400 kB for each of 4,000 atoms
    path = tmp_path / "long.cif"
    rows = [f"CA A {number} {number}.0" for number in range(2, 4000)]
    path.write_bytes(small_cif(row.format("X" * 100_000), *rows))
    end, grown = probe("model", path)

    assert end == "unreadable_model: long.cif: a name near residue 1 has more than 32 letters"
    assert grown < 64 * MIB


def test_the_time_for_helix_records_does_not_grow_with_their_product(tmp_path: Path) -> None:
    path = tmp_path / "helices.pdb"
    count = 8000  # of each: 64 million pairs
    helix = b"HELIX  %3d %3d ALA A    1  ALA A 9000  1                                   2\n"
    records = b"".join(helix % (number % 1000, number % 1000) for number in range(count))
    path.write_bytes(records + b"".join(atom_line(number, number % 900) for number in range(1, count)))

    assert probe("model", path, seconds=15.0)[0] == "value"


@pytest.mark.parametrize(("what", "noun"), [("volume", "map"), ("model", "model")], ids=["map", "model"])
def test_a_named_pipe_is_refused_at_once(tmp_path: Path, what: str, noun: str) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)  # opening it would wait for a writer that never comes

    assert probe(what, path, seconds=15.0)[0] == f"unreadable_{noun}: pipe: can't be read (no regular file)"


# --- random damage to real files --------------------------------------------------------------------------------------

Mutation = Callable[[random.Random, bytes], bytes]

INTS = (-(2**31), -1, 0, 1, 2, 3, 5, 127, 32768, 65536, 10**9, 2**31 - 1)
FLOATS = (0.0, -0.0, 1e-45, 1e-30, 1.0, 90.0, 120.0, -1.0, 1e10, 3.4e38, -3.4e38, INF, -INF, NAN)
WORDS = (*range(25), 27, *range(49, 56))
"header words that mean something"


def cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def flip_bytes(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 40)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_header_bytes(rng: random.Random, raw: bytes) -> bytes:
    return flip_bytes(rng, raw[:1024]) + raw[1024:]


def swap_bytes(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 10)):
        i, j = rng.randrange(len(changed)), rng.randrange(len(changed))
        changed[i], changed[j] = changed[j], changed[i]
    return bytes(changed)


def repeat_chunk(rng: random.Random, raw: bytes) -> bytes:
    first, at = rng.randrange(len(raw)), rng.randrange(len(raw))
    return raw[:at] + raw[first : first + rng.choice((1, 4, 80, 1000, 20000))] + raw[at:]


def drop_chunk(rng: random.Random, raw: bytes) -> bytes:
    first = rng.randrange(len(raw))
    return raw[:first] + raw[first + rng.choice((1, 4, 80, 1000, 20000)) :]


def put_unicode(rng: random.Random, raw: bytes) -> bytes:
    ranges = ((32, 127), (0xA0, 0x2000), (0x1F300, 0x1F600), (0, 32))
    text = "".join(chr(rng.randrange(*rng.choice(ranges))) for _ in range(rng.randint(1, 200))).encode()
    at = rng.choice((0, rng.randrange(len(raw))))
    return raw[:at] + text + raw[at + rng.choice((0, len(text))) :]


def overwrite_words(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 6)):
        order, at = rng.choice("<<<>"), 4 * rng.choice(WORDS)
        kind, value = rng.choice((("i", rng.choice(INTS)), ("f", rng.choice(FLOATS)), ("I", SIGNALLING_NAN)))
        struct.pack_into(order + kind, changed, at, value)
    return bytes(changed)


def overwrite_values(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 40)):
        struct.pack_into("<f", changed, 4 * rng.randrange(256, len(changed) // 4), rng.choice(FLOATS))
    return bytes(changed)


def reverse_words(rng: random.Random, raw: bytes) -> bytes:
    count = rng.choice((4, 8, 256, len(raw) // 4))
    return np.frombuffer(raw, "<u4", count).byteswap().tobytes() + raw[4 * count :]


def drop_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    for _ in range(min(rng.choice((1, 1, 3, 30)), len(lines) - 1)):
        del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def repeat_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    first, at = rng.randrange(len(lines)), rng.randrange(len(lines))
    return b"\n".join(lines[:at] + lines[first : first + rng.choice((1, 5, 200))] + lines[at:])


def swap_lines(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    for _ in range(rng.choice((1, 3, 30))):
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


TOKENS = tuple(
    text.encode()
    for text in "nan inf -inf 1e300 -1e300 1e-320 99999999 -2147483649 ? . '' _ ; ' \" # ***** \0 中文 loop_ data_y "
    "save_ global_ $frame [/b]".split(" ")
)
TOKENS += (b"9" * 40, b"A" * 300, b"\xe9", b"\xff\xfe")
"words that parsers of numbers, names or mmCIF may trip over; the last two are no UTF-8"

RECORDS = tuple(
    text.encode("latin-1")
    for text in (
        "MODEL     9999", "ENDMDL", "TER", "END", "ATOM", "HETATM", "ANISOU", "CONECT99999", "LINK", "MODRES", "CISPEP",
        "HELIX    1   1 ALA A    1  ALA A 9999  1", "SHEET    1   A 5 LEU A  1  TYR A 99999 0",
        "SEQRES   1 A 9999  \xe9\xe9\xe9 ALA GLY", "CRYST1    0.000  nan    0.000  0.00  0.00  0.00 P 1",
        "MTRIX1   1  nan 0 0", "REMARK 350   BIOMT1   1  1.0 nan", "SSBOND   1 CYS A    3    CYS A   40",
        "data_again", "loop_", "_atom_site.id", "_struct_conf.id 1", ";", "_entity_poly_seq.mon_id \xff",
    )
)  # fmt: skip
"lines that mean something in a PDB or an mmCIF file, some of them broken"


def replace_tokens(rng: random.Random, raw: bytes) -> bytes:
    for _ in range(rng.choice((1, 1, 3, 20))):
        found = re.compile(rb"\S+").search(raw, rng.randrange(len(raw)))
        if found:
            raw = raw[: found.start()] + rng.choice(TOKENS) + raw[found.end() :]
    return raw


def overwrite_column(rng: random.Random, raw: bytes) -> bytes:
    column, token = rng.randrange(80), rng.choice(TOKENS)[:8]
    return b"\n".join(
        line[:column] + token + line[column + len(token) :] if line[:4] in (b"ATOM", b"HETA") else line
        for line in raw.split(b"\n")
    )


def put_record(rng: random.Random, raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(RECORDS))
    return b"\n".join(lines)


ON_ANY: tuple[Mutation, ...] = (cut, flip_bytes, swap_bytes, repeat_chunk, drop_chunk)
ON_MAPS: tuple[Mutation, ...] = (
    *ON_ANY, put_unicode, overwrite_values, reverse_words, *[flip_header_bytes] * 2, *[overwrite_words] * 5,
)  # fmt: skip
ON_MODELS: tuple[Mutation, ...] = (
    *ON_ANY, put_unicode, drop_lines, drop_lines, repeat_lines, swap_lines, *[replace_tokens] * 4,
    *[overwrite_column] * 2, *[put_record] * 3,
)  # fmt: skip


def mutated(seed: str, originals: Sequence[bytes], mutations: Sequence[Mutation]) -> tuple[str, bytes]:
    """A damaged file and the names of what was done to it: before it is packed, and after, if it is."""
    rng = random.Random(seed)
    raw, names = rng.choice(originals), [seed]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutation = rng.choice(mutations)
        if len(raw) > 1100:  # room for a header
            raw = mutation(rng, raw)
            names.append(mutation.__name__)
    if raw and rng.random() < 0.5:
        raw = gzip.compress(raw, 1, mtime=0)
        names.append("gzip")
        if rng.random() < 0.6:
            mutation = rng.choice(ON_ANY)
            raw = mutation(rng, raw)
            names.append(mutation.__name__)
    return ", ".join(names), raw


def originals(shared_data: Path, names: Iterable[str]) -> list[bytes]:
    """Real files, decompressed."""
    contents = [(shared_data / name).read_bytes() for name in names]
    return [gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content for content in contents]


def claimed_shape_zyx(raw: bytes, byte_order: str) -> tuple[int, int, int]:
    """What the header words say, by struct alone."""
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(1024)
    columns, axes = struct.unpack(f"{byte_order}3i", raw[:12]), struct.unpack(f"{byte_order}3i", raw[64:76])
    along = dict(zip(axes if any(axes) else (1, 2, 3), columns, strict=True))
    return along[3], along[2], along[1]


def is_refusal(code: str, message: str, codes: Sequence[str], file_name: str) -> bool:
    return code in codes and len(message.splitlines()) == 1 and message.startswith(f"{file_name}: ")


def fault_of_map(path: Path) -> str:
    """What is wrong with how reading a map ended; empty if nothing is."""
    try:
        header = read_header(path)
        try:
            map_digest(path, header)
        except RejectedError as error:
            if not is_refusal(error.code, str(error), ("unreadable_map", "truncated_map"), path.name):
                return f"map_digest: {error.code}: {error}"
        density = read_volume(path, header).data
    except RejectedError as error:
        refused = is_refusal(error.code, str(error), ("unreadable_map", "truncated_map"), path.name)
        return "" if refused else f"{error.code}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    claimed = claimed_shape_zyx(path.read_bytes(), header.byte_order)
    right = density.shape == claimed and density.dtype == np.float32
    return "" if right else f"{density.shape} {density.dtype}, claimed {claimed}"


def test_a_mutated_map_ends_as_its_claimed_shape_or_as_a_rejection(
    tmp_path: Path, shared_data: Path, series: Callable[[str, int], list[int]]
) -> None:
    names = ("EMD-5830-box/emd_5830_box", "EMD-8249/emd_8249", "EMD-3197/emd_3197")
    maps = originals(shared_data, (f"entries/{name}.map.gz" for name in names))
    path = tmp_path / "mutated.map"
    faults = {}
    for case in series("mutated maps", 1500):
        name, raw = mutated(f"map {case}", maps, ON_MAPS)
        path.write_bytes(raw)
        fault = fault_of_map(path)
        if fault:
            faults[name] = fault

    assert faults == {}


READ_MODELS = """
import faulthandler, json, resource, sys
from pathlib import Path
from cryodata.errors import RejectedError
from cryodata.formats.structure import read_structure

faulthandler.enable()
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
with open(sys.argv[1], "w") as report:
    for name in sys.stdin.read().split():
        try:
            end = ["value", str(len(read_structure(Path(name)).model))]
        except RejectedError as error:
            end = [error.code, error.message]
        except BaseException as error:
            end = [type(error).__name__, str(error)]
        print(json.dumps(end), file=report, flush=True)
"""
"reads the models named on stdin and reports on each as soon as it has ended"


def ends_of_models(paths: Sequence[Path], report: Path, program: str = READ_MODELS) -> list[tuple[str, str]]:
    """(code or exception, message) of reading each, in processes of their own: one that dies ends one model only."""
    ends: list[tuple[str, str]] = []
    while len(ends) < len(paths):
        names = "\n".join(map(str, paths[len(ends) :]))
        try:
            command = [sys.executable, "-W", "error", "-c", program, str(report)]
            done = subprocess.run(command, input=names, capture_output=True, text=True, timeout=60)
            reason = f"exit {done.returncode}: {done.stderr[-500:]}"
        except subprocess.TimeoutExpired:
            reason = "it takes more than a minute"
        ends += [tuple(json.loads(line)) for line in report.read_text().splitlines() if line.endswith("]")]
        if len(ends) < len(paths):
            ends.append(("died", reason))
    return ends


def test_a_mutated_model_ends_as_atoms_or_as_a_rejection(
    tmp_path: Path, shared_data: Path, series: Callable[[str, int], list[int]]
) -> None:
    names = ("1cbn.cif", "1en2.pdb", "5i55.cif", "1orc.pdb", "1pfe.cif.gz")
    models = originals(shared_data, (f"models/{name}" for name in names))
    cases = series("mutated models", 700)
    faults, values = {}, 0
    for first in range(0, len(cases), 100):
        folder = tmp_path / "batch"
        folder.mkdir()
        mutations = {}
        for case in cases[first : first + 100]:
            name, raw = mutated(f"model {case}", models, ON_MODELS)
            mutations[folder / f"{case}.model"] = name
            (folder / f"{case}.model").write_bytes(raw)
        ends = ends_of_models(list(mutations), tmp_path / "report")
        for (path, name), (code, message) in zip(mutations.items(), ends, strict=True):
            values += code == "value"
            if code != "value" and not is_refusal(code, message, ("unreadable_model",), path.name):
                faults[name] = f"{code}: {message}"
        shutil.rmtree(folder)

    assert faults == {}
    assert 0 < values < len(cases)  # the damage is neither harmless nor always fatal


def test_a_parser_that_dies_is_seen_and_named(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.pdb" for number in range(4)]
    for path in paths:
        path.write_bytes(atom_line(1))
    begin, dies = "        try:\n", "        if name.endswith('2.pdb'): faulthandler._sigsegv()\n"
    ends = ends_of_models(paths, tmp_path / "report", READ_MODELS.replace(begin, dies + begin))

    assert [code for code, _ in ends] == ["value", "value", "died", "value"]
    assert "Segmentation fault" in ends[2][1]


def test_a_map_of_60_columns_is_not_taken_for_a_page(tmp_path: Path) -> None:
    """60 is `<` in its first byte; a transform (mode 4) is refused as what it is."""
    path = tmp_path / "map.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.zeros((4, 4, 60), dtype=np.complex64))

    with pytest.raises(RejectedError, match="mode 4, 60 x 4 x 4 values"):
        read_header(path)
