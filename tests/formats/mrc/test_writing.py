"""Maps that are written: read back equal, and the same bytes each time."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from cryodata.core.volume import Volume
from cryodata.formats.mrc import read_volume, write_map
from cryodata.formats.mrc_header import read_header
from tests.formats.mrc.small import map_bytes, read, small_zyx


def written_volume() -> Volume:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8 - 1
    return Volume(data, np.array([1.5, 0.5, 2.0]), np.array([-3.25, 0.0, 7.5]))


def test_a_written_map_is_read_back_equal(path: Path) -> None:
    volume = written_volume()
    write_map(path, volume)
    back = read_volume(path, read_header(path))

    assert volume.data.tolist() == back.data.tolist()
    assert volume.voxel_size_xyz.tolist() == back.voxel_size_xyz.tolist()
    assert volume.origin_xyz.tolist() == back.origin_xyz.tolist()


def test_a_map_read_in_another_axis_order_is_written_in_order(path: Path, tmp_path: Path) -> None:
    volume = read(path, map_bytes(axes=(3, 1, 2)))
    write_map(tmp_path / "again.map.gz", volume)
    header = read_header(tmp_path / "again.map.gz")

    assert header.stored_axes == (0, 1, 2)
    assert small_zyx(2) == read_volume(tmp_path / "again.map.gz", header).data.tolist()


def test_writing_a_map_twice_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.map.gz", tmp_path / "second.map.gz"
    write_map(first, written_volume())
    write_map(second, written_volume())

    assert first.read_bytes() == second.read_bytes()
    assert {first, second} == set(tmp_path.iterdir())  # and leaves nothing else


def test_a_written_map_holds_no_time_of_writing(path: Path) -> None:
    write_map(path, written_volume())
    packed = path.read_bytes()
    content = gzip.decompress(packed)

    assert bytes(4) == packed[4:8]  # MTIME of the gzip header
    assert bytes(4 + 800) == content[220:1024]  # NLABL and the labels, where mrcfile notes it
