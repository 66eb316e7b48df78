"""Memory and time that a malformed file takes, in a process of its own: no more than it honestly needs."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.formats.malformed.small import (
    AXES,
    MIB,
    NX,
    NY,
    NZ,
    atom_line,
    small_cif,
    small_map,
)

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
