"""The density of a map, whatever its axes, mode, byte order and packing."""

from __future__ import annotations

import gzip
import hashlib
import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from cryodata.formats.mrc import map_digest
from cryodata.formats.mrc_header import read_header
from tests.formats.mrc.small import AXES, VALUE_OF_MODE, map_bytes, read, small_zyx, value_at


def test_the_helper_writes_a_header_of_1024_bytes() -> None:
    assert len(map_bytes()) == 1024 + 4 * 3 * 2 * 4


def test_a_map_written_by_hand_is_read_as_z_y_x(path: Path) -> None:
    volume = read(path, map_bytes())

    assert volume.data.tolist() == [
        [[-3.0, -2.75, -2.5, -2.25], [-2.0, -1.75, -1.5, -1.25], [-1.0, -0.75, -0.5, -0.25]],
        [[0.0, 0.25, 0.5, 0.75], [1.0, 1.25, 1.5, 1.75], [2.0, 2.25, 2.5, 2.75]],
    ]


def test_columns_along_z_are_turned_into_z(path: Path) -> None:
    # MAPC 3, MAPR 1, MAPS 2: 2 columns along z, 4 rows along x, 3 sections along y
    content = map_bytes(axes=(3, 1, 2))

    assert struct.pack("<3i", 2, 4, 3) == content[:12]
    # the first two values lie at z 0 and z 1 of x 0, y 0; the next two at x 1
    assert struct.unpack("<4f", content[1024:1040]) == (-3.0, 0.0, -2.75, 0.25)
    assert small_zyx(2) == read(path, content).data.tolist()


@pytest.mark.parametrize("mode", VALUE_OF_MODE, ids=lambda mode: f"mode{mode}")
@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "axes{}{}{}".format(*axes))
def test_every_form_of_a_map_gives_the_same_volume(path: Path, axes: tuple[int, int, int], mode: int) -> None:
    for order, packed, extended in product("<>", (False, True), (b"", b"S" * 80, b"\xff" * 1601)):
        content = map_bytes(axes, mode, order, extended)
        volume = read(path, gzip.compress(content) if packed else content)

        assert np.float32 == volume.data.dtype
        assert small_zyx(mode) == volume.data.tolist(), (order, packed, len(extended))


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "axes{}{}{}".format(*axes))
def test_a_value_at_a_voxel_is_found_at_its_position(path: Path, axes: tuple[int, int, int]) -> None:
    volume = read(path, map_bytes(axes, cell=(4.0, 6.0, 6.0), origin=(10.0, 20.0, 30.0)))

    # voxels of 1, 2 and 3 A; x 3, y 2, z 1 lies at 10 + 3 * 1, 20 + 2 * 2, 30 + 1 * 3
    assert volume.position_of([[1, 2, 3]])[0].tolist() == [13.0, 24.0, 33.0]
    assert value_at(3, 2, 1, mode=2) == volume.data[1, 2, 3]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"DD\0\0", b"\x11\x11\0\0", b"DA\0\0", b"\xff\xff\xff\xff"], ids=repr)
def test_a_wrong_machine_stamp_does_not_matter(path: Path, order: str, stamp: bytes) -> None:
    assert small_zyx(1) == read(path, map_bytes(mode=1, order=order, stamp=stamp)).data.tolist()


@pytest.mark.parametrize("stamp", [b"DD\0\0", b"DA\0\0", b"\0\0\0\0"], ids=["DD", "DA", "none"])
def test_the_machine_stamp_decides_where_both_byte_orders_make_sense(path: Path, stamp: bytes) -> None:
    # 256 columns are 65,536 in the other order, 1 is 16,777,216; mode 0 and axes 0, 0, 0 read the same in both
    head = map_bytes(mode=0, n=(256, 1, 1), stamp=stamp)[:1024]
    path.write_bytes(head[:64] + bytes(12) + head[76:] + bytes(256))

    assert read_header(path).shape_zyx == (1, 1, 256)


def test_missing_axis_words_mean_x_y_z(path: Path) -> None:
    content = map_bytes()

    assert struct.pack("<3i", 1, 2, 3) == content[64:76]
    assert small_zyx(2) == read(path, content[:64] + bytes(12) + content[76:]).data.tolist()


def test_bytes_after_the_density_are_ignored(path: Path) -> None:
    assert small_zyx(2) == read(path, map_bytes() + b"padding" * 1000).data.tolist()


@pytest.mark.parametrize("name", ["a.map", "a.mrc", "a.ccp4.gz", "a"], ids=str)
def test_the_content_says_whether_a_map_is_packed_not_its_name(tmp_path: Path, name: str) -> None:
    for content in (map_bytes(), gzip.compress(map_bytes())):
        assert small_zyx(2) == read(tmp_path / name, content).data.tolist()


def test_a_gzip_file_of_several_members_is_one_map(path: Path) -> None:
    content = map_bytes()
    members = gzip.compress(content[:500]) + gzip.compress(b"") + gzip.compress(content[500:])

    assert small_zyx(2) == read(path, members).data.tolist()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_digest_of_a_map_is_that_of_its_decompressed_bytes(path: Path, packed: bool) -> None:
    content = map_bytes(extended=b"S" * 80)
    path.write_bytes(gzip.compress(content) if packed else content)

    # header + extended header + 24 float32
    assert (hashlib.sha256(content).hexdigest(), 1024 + 80 + 96) == map_digest(path, read_header(path))
