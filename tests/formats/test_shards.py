"""Shards written chunk by chunk are those that zarr writes, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.core.indexing import morton_order_iter

from cryodata.formats.shards import dense, morton_order, sparse, write_shards
from cryodata.formats.volumes import CHUNK as STORED_CHUNK
from cryodata.formats.volumes import array_metadata, folder_files, shard_shape

CHUNK = 8

CODECS = pytest.mark.parametrize("codec", ["zstd", "lz4"])


def of_zarr(codec: str, itemsize: int) -> tuple[Any, ...]:
    lz4 = BloscCodec(typesize=itemsize, cname="lz4", clevel=9, shuffle="shuffle", blocksize=0)
    return {"zstd": ZstdCodec(level=1), "lz4": lz4}[codec], Crc32cCodec()


def by_zarr(folder: Path, data: Any, shard: tuple[int, ...], codec: str = "zstd") -> None:
    array = zarr.create_array(
        folder, shape=data.shape, dtype=data.dtype, chunks=(CHUNK,) * 3, shards=shard,
        compressors=of_zarr(codec, data.dtype.itemsize), fill_value=0,
    )  # fmt: skip
    array[...] = data


@CODECS
@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
@pytest.mark.parametrize(
    ("shape", "shard"),
    [
        ((8, 8, 8), (8, 8, 8)),
        ((1, 1, 1), (8, 8, 8)),
        ((20, 30, 41), (24, 32, 48)),
        ((40, 9, 17), (16, 16, 24)),
        ((5, 70, 23), (8, 72, 24)),
        ((33, 33, 33), (40, 40, 40)),
    ],
    ids=str,
)
def test_the_bytes_are_those_of_zarr(tmp_path: Path, shape: Any, shard: Any, dtype: str, codec: str) -> None:
    rng = np.random.default_rng(1)
    data = rng.random(shape).astype(np.float32)
    data[data < 0.5] = 0
    data[:, : shape[1] // 2] = 0  # chunks that are not written
    data = (data * 100).astype(dtype)

    by_zarr(tmp_path / "zarr", data, shard, codec)
    write_shards(tmp_path / "ours", dense(data), CHUNK, shard, codec)

    expected = [item for item in folder_files(tmp_path / "zarr") if item[0] != "zarr.json"]
    assert folder_files(tmp_path / "ours") == expected


def test_minus_zero_is_a_value_and_nothing_is_none(tmp_path: Path) -> None:
    for name, value in (("minus", -0.0), ("nothing", 0.0)):
        data = np.full((8, 8, 8), value, dtype=np.float32)
        by_zarr(tmp_path / name / "zarr", data, (8, 8, 8))
        write_shards(tmp_path / name / "ours", dense(data), CHUNK, (8, 8, 8), codec="zstd")

        expected = [item for item in folder_files(tmp_path / name / "zarr") if item[0] != "zarr.json"]
        assert folder_files(tmp_path / name / "ours") == expected
        assert bool(expected) == (name == "minus")


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_label_is_written_from_its_voxels_as_from_the_whole_array(tmp_path: Path, count: int) -> None:
    rng, shape, shard = np.random.default_rng(3), (20, 30, 41), (16, 16, 24)
    data = np.zeros(shape, dtype=np.uint8)
    data.reshape(-1)[rng.choice(data.size, count, replace=False)] = rng.integers(1, 21, count)
    voxel = np.argwhere(data).astype(np.int32)
    shuffled = rng.permutation(len(voxel))

    write_shards(tmp_path / "whole", dense(data), CHUNK, shard, codec="zstd")
    write_shards(
        tmp_path / "voxels",
        sparse((voxel[shuffled], data[tuple(voxel[shuffled].T)]), shape, CHUNK),
        CHUNK,
        shard,
        "zstd",
    )

    assert folder_files(tmp_path / "voxels") == folder_files(tmp_path / "whole")
    assert bool(folder_files(tmp_path / "voxels")) == (count > 0)


@pytest.mark.parametrize("voxel", [(20, 0, 0), (0, -1, 0), (0, 0, 45)], ids=str)
def test_a_label_outside_its_volume_is_refused(voxel: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="invalid entry"):
        sparse((np.array([voxel], dtype=np.int32), np.ones(1, dtype=np.uint8)), (20, 30, 41), CHUNK)


def test_a_view_in_another_order_of_memory_is_written_as_it_reads(tmp_path: Path) -> None:
    data = np.random.default_rng(2).random((17, 9, 12)).astype(np.float32).transpose(2, 0, 1)

    write_shards(tmp_path / "view", dense(data), CHUNK, (16, 24, 16), codec="zstd")
    write_shards(tmp_path / "copy", dense(np.ascontiguousarray(data)), CHUNK, (16, 24, 16), codec="zstd")

    assert folder_files(tmp_path / "view") == folder_files(tmp_path / "copy")


@pytest.mark.parametrize(
    "counts", [(1, 1, 1), (4, 4, 4), (4, 3, 5), (1, 7, 2), (6, 1, 1), (5, 5, 5), (2, 9, 16)], ids=str
)
def test_chunks_lie_along_the_curve_that_zarr_takes(counts: tuple[int, ...]) -> None:
    assert morton_order(counts) == list(morton_order_iter(counts))


@CODECS
@pytest.mark.parametrize("dtype", ["uint16", "float16", "float32", "uint8"])
@pytest.mark.parametrize("shape", [(1, 2, 3), (70, 64, 130), (2000, 2000, 2000)], ids=str)
def test_the_metadata_is_that_of_zarr(tmp_path: Path, shape: tuple[int, int, int], dtype: str, codec: str) -> None:
    itemsize, attributes = np.dtype(dtype).itemsize, {"scale_factor": 2.0**-10}
    shard = shard_shape(shape, itemsize)
    zarr.create_array(
        tmp_path, shape=shape, dtype=dtype, chunks=(STORED_CHUNK,) * 3, shards=shard, fill_value=0,
        compressors=of_zarr(codec, itemsize), dimension_names=("z", "y", "x"), attributes=attributes,
    )  # fmt: skip

    assert array_metadata(shape, np.dtype(dtype), shard, codec, attributes) == json.loads(
        (tmp_path / "zarr.json").read_bytes()
    )
