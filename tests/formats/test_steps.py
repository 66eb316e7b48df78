"""Density from 0 to 1 as numbers of steps: the same values as float16, and numbers for viewers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from cryodata.core.schema import STEP, ArraySpec, Schema
from cryodata.core.volume import Volume
from cryodata.errors import DatasetError
from cryodata.formats import steps
from cryodata.formats.volume_metadata import parse_metadata, stored_array
from cryodata.formats.volume_reader import read_array
from cryodata.formats.volumes import ArrayStorage, write_volume
from cryodata.read.buffers import lined
from tests.stored import values

SCHEMA = Schema((ArraySpec("density", "density", "float32", 0.0, 1.0, ""),))

SHAPES = pytest.mark.parametrize("shape", [(70, 65, 130), (64, 64, 64), (1, 1, 1), (3, 5, 33)], ids=str)


def in_steps(shape: tuple[int, ...]) -> Any:
    """Every number from 0 to 1024 where there is room, half of the voxels 0."""
    rng = np.random.default_rng(4)
    numbers = np.where(rng.random(shape) < 0.5, 0, rng.integers(0, 1025, shape))
    return (numbers * STEP).astype(np.float16)


def make(folder: Path, data: Any, codec: str = "lz4") -> Path:
    write_volume(folder, Volume(data, np.ones(3), np.zeros(3)), {}, SCHEMA, {}, ArrayStorage(codec, counted=True))
    return folder


def read(folder: Path, shape: tuple[int, ...], out: Any = None) -> Any:
    array = stored_array(parse_metadata((folder / "zarr.json").read_bytes(), "v.zarr"), "density", shape, "v.zarr")
    return read_array(array, lambda name: (folder / name).open("rb", buffering=0), "v.zarr", out)


@SHAPES
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_what_is_written_is_read_back_bit_by_bit(
    tmp_path: Path, loops: str, shape: tuple[int, int, int], codec: str
) -> None:
    data = in_steps(shape)

    found = read(make(tmp_path / "v.zarr", data, codec), shape)

    assert found.dtype == np.float16
    assert np.array_equal(found.view(np.uint16), data.view(np.uint16))


@SHAPES
@pytest.mark.parametrize("first", [0, 1, 32])
def test_it_is_read_into_a_part_of_a_larger_array_and_nothing_beside_it_is_written(
    tmp_path: Path, loops: str, shape: tuple[int, int, int], first: int
) -> None:
    """Rows that begin lines of the cache are written in another way than others."""
    data = in_steps(shape)
    frame = lined(80 * 70 * 192 * 2).view(np.float16).reshape(80, 70, 192)
    frame[...] = 7
    there = (slice(1, 1 + shape[0]), slice(2, 2 + shape[1]), slice(first, first + shape[2]))

    read(make(tmp_path / "v.zarr", data), shape, frame[there])

    assert np.array_equal(frame[there], data)
    frame[there] = 7
    assert (frame == 7).all()


def test_a_volume_in_another_order_of_memory_is_written_as_it_reads(tmp_path: Path, loops: str) -> None:
    data = in_steps((33, 40, 70)).transpose(2, 0, 1)

    assert np.array_equal(read(make(tmp_path / "v.zarr", data), data.shape), data)


def test_zarr_finds_numbers_and_the_factor_that_makes_values_of_them(tmp_path: Path) -> None:
    data = in_steps((70, 65, 130))

    array = zarr.open_group(make(tmp_path / "v.zarr", data), mode="r")["density"]

    assert (array.dtype, array.attrs.asdict()) == (np.uint16, {"scale_factor": 2.0**-10})
    assert int(array[...].max()) == 1024
    assert np.array_equal(values(array), data.astype(np.float32))


def test_every_float16_has_its_number_or_is_refused(loops: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    known = np.isin(every.astype(np.float64), np.arange(1025) * STEP)

    found = steps.count(every[known].reshape(1, 1, -1).copy())

    assert known.sum() == 1026  # -0.0 too
    assert np.array_equal(found.ravel() * STEP, every[known].astype(np.float64))
    for value in every[~known][:: 1 if loops == "compiled" else 97]:
        with pytest.raises(ValueError, match=r"no multiples of 0\.0009765625 from 0 to 1$"):
            steps.count(np.full((1, 1, 1), value))


@pytest.mark.parametrize("place", [0, 31, 32, 34])
def test_one_value_between_the_steps_is_noticed_wherever_it_is(loops: str, place: int) -> None:
    data = np.ones((1, 1, 35), dtype=np.float16)
    data[0, 0, place] = 0.5 + 2.0**-11

    with pytest.raises(ValueError, match="no multiples"):
        steps.count(data)


def test_every_number_has_its_value(loops: str) -> None:
    numbers = np.arange(1 << 16, dtype=np.uint16).reshape(1, 1, -1)
    found = np.empty(numbers.shape, dtype=np.float16)
    whole = (slice(None),) * 3

    steps.putter(found, numbers, past=False)(whole, whole)

    assert np.array_equal(found, (numbers * np.float32(STEP)).astype(np.float16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"attributes": {"scale_factor": 2.0}}, "scale_factor is 2.0; expected 0.0009765625", id="factor"),
        pytest.param({"attributes": {"scale_factor": "x"}}, "scale_factor is x; expected 0.0009765625", id="text"),
        pytest.param({"attributes": 7}, "another layout", id="attributes"),
        pytest.param({"data_type": "float32"}, "data_type is float32; expected uint16", id="type"),
    ],
)
def test_another_factor_and_one_of_another_type_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = make(tmp_path / "v.zarr", in_steps((9, 9, 9)))
    root = json.loads((folder / "zarr.json").read_bytes())
    root["consolidated_metadata"]["metadata"]["density"].update(change)
    (folder / "zarr.json").write_text(json.dumps(root))

    with pytest.raises(DatasetError) as caught:
        read(folder, (9, 9, 9))

    assert str(caught.value).startswith("v.zarr: array 'density'")
    assert message in str(caught.value)
