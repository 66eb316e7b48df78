"""Volumes on disk: OME-Zarr 0.5 that others open, and a reader that believes nothing."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
import tensorstore
import zarr
from numcodecs.zstd import Zstd
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image import Image

from cryodata.core.schema import ArraySpec, LabelClass, Schema
from cryodata.core.volume import Volume
from cryodata.errors import DatasetError
from cryodata.formats.shards import EMPTY
from cryodata.formats.volume_metadata import StoredArray, parse_metadata, stored_array
from cryodata.formats.volume_reader import Boxes, read_array
from cryodata.formats.volumes import ArrayStorage, folder_files, write_volume
from cryodata.read.buffers import lined

SCHEMA = Schema(
    (
        ArraySpec("density", "density", "float32", 0.0, 1.0, ""),
        ArraySpec("atom", "label", "uint8", 0, 1, "", (LabelClass(1, "CA", "#1f77b4"),), "atom"),
    )
)
SHAPE = (70, 65, 130)

CODECS = pytest.mark.parametrize("codec", ["zstd", "lz4"])


def make(
    folder: Path, shape: tuple[int, int, int] = SHAPE, dtype: str = "float16", codec: str = "zstd"
) -> tuple[Path, Volume, Any]:
    density = np.random.Generator(np.random.PCG64(0)).random(shape, dtype=np.float32)
    density[: shape[0] // 2] = 0
    atom = np.zeros(shape, np.uint8)
    atom[-1, -1, -1] = 1
    volume = Volume(density, np.ones(3), np.array([-1.5, 0.25, 100.0]))
    stored = replace(volume, data=density.astype(dtype))
    labels = {"atom": (np.argwhere(atom).astype(np.int32), atom[atom > 0])}
    write_volume(folder, stored, labels, SCHEMA, {"recipe": "x"}, ArrayStorage(codec))
    return folder, volume, atom


def read(folder: Path, path: str = "density", shape: tuple[int, ...] = SHAPE, out: Any = None) -> Any:
    array = stored_array(parse_metadata((folder / "zarr.json").read_bytes(), "v.zarr"), path, shape, "v.zarr")
    return read_array(array, lambda name: (folder / name).open("rb", buffering=0), "v.zarr", out)


@CODECS
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shape", [(70, 65, 130), (64, 64, 64), (1, 1, 1), (3, 200, 5)], ids=str)
def test_what_is_written_is_read_back(tmp_path: Path, shape: tuple[int, int, int], dtype: str, codec: str) -> None:
    folder, volume, atom = make(tmp_path / "v.zarr", shape, dtype, codec)

    assert np.array_equal(volume.data.astype(dtype), read(folder, shape=shape))
    assert np.array_equal(atom, read(folder, "labels/atom/0", shape))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("shape", [(70, 65, 130), (64, 64, 64), (3, 5, 33), (2, 2, 31)], ids=str)
@pytest.mark.parametrize("first", [0, 1, 16, 32])
def test_it_is_read_into_a_part_of_a_larger_array_and_nothing_beside_it_is_written(
    tmp_path: Path, loops: str, shape: tuple[int, int, int], dtype: str, first: int
) -> None:
    """Rows that begin lines of the cache are written in another way than others."""
    folder, volume, _ = make(tmp_path / "v.zarr", shape, dtype)
    frame = lined(80 * 70 * 192 * np.dtype(dtype).itemsize).view(dtype).reshape(80, 70, 192)
    frame[...] = 7
    there = (slice(1, 1 + shape[0]), slice(2, 2 + shape[1]), slice(first, first + shape[2]))

    read(folder, shape=shape, out=frame[there])

    assert np.array_equal(frame[there], volume.data.astype(dtype))
    frame[there] = 7
    assert (frame == 7).all()


def test_float16_keeps_0_and_1_and_is_off_by_less_than_the_promise(tmp_path: Path) -> None:
    density = np.linspace(0, 1, 64**3, dtype=np.float32).reshape(64, 64, 64)
    write_volume(tmp_path / "v.zarr", Volume(density.astype(np.float16), np.ones(3), np.zeros(3)), {}, SCHEMA, {})

    found = read(tmp_path / "v.zarr", shape=(64, 64, 64)).astype(np.float32)

    assert np.abs(found - density).max() <= 5e-4
    assert (found.flat[0], found.flat[-1]) == (0.0, 1.0)


def test_float32_is_exact(tmp_path: Path) -> None:
    folder, volume, _ = make(tmp_path / "v.zarr", dtype="float32")

    assert np.array_equal(volume.data, read(folder))


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    assert folder_files(make(tmp_path / "a.zarr")[0]) == folder_files(make(tmp_path / "b.zarr")[0])


def test_a_large_array_is_split_along_z_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryodata.formats.volumes.MAX_SHARD_BYTES", 128 * 192 * 64 * 2)

    folder, volume, _ = make(tmp_path / "v.zarr")

    assert sorted(path.name for path in (folder / "density" / "c").iterdir()) == ["0", "1"]
    assert np.array_equal(volume.data.astype(np.float16), read(folder))


def test_it_validates_against_ome_zarr_0_5(tmp_path: Path) -> None:
    folder, _, _ = make(tmp_path / "v.zarr")

    image = Image.from_zarr(zarr.open_group(folder, mode="r"))

    dataset = image.ome_attributes.multiscales[0].datasets[0]
    assert dataset.path == "density"
    assert [list(item.model_dump().values())[1] for item in dataset.coordinateTransformations] == [
        [1.0, 1.0, 1.0],
        [100.0, 0.25, -1.5],
    ]


@CODECS
@pytest.mark.filterwarnings("ignore")
def test_ome_zarr_and_tensorstore_open_it(tmp_path: Path, codec: str) -> None:
    folder, volume, atom = make(tmp_path / "v.zarr", codec=codec)
    expected = volume.data.astype(np.float16)

    nodes = list(Reader(parse_url(str(folder)))())
    opened = tensorstore.open({"driver": "zarr3", "kvstore": f"file://{folder}/density"}).result()
    labels = tensorstore.open({"driver": "zarr3", "kvstore": f"file://{folder}/labels/atom/0"}).result()

    assert np.array_equal(expected, np.asarray(nodes[0].data[0]))
    assert np.array_equal(expected, opened.read().result())
    assert np.array_equal(atom, labels.read().result())


def test_zarr_reads_it_in_one_request_for_metadata(tmp_path: Path) -> None:
    folder, volume, _ = make(tmp_path / "v.zarr")
    for path in folder.rglob("zarr.json"):
        if path.parent != folder:
            path.unlink()

    group = zarr.open_group(folder, mode="r", use_consolidated=True)

    assert np.array_equal(volume.data.astype(np.float16), group["density"][...])


@pytest.mark.parametrize("where", ["start of a chunk", "middle", "index"])
def test_one_flipped_bit_is_noticed_and_the_file_named(tmp_path: Path, where: str) -> None:
    folder, _, _ = make(tmp_path / "v.zarr")
    path = folder / "density/c/0/0/0"
    raw = bytearray(path.read_bytes())
    raw[{"start of a chunk": 0, "middle": len(raw) // 2, "index": len(raw) - 20}[where]] ^= 1
    path.write_bytes(raw)

    with pytest.raises(DatasetError, match=r"^v\.zarr/density/c/0/0/0: damaged shard of [\d,]+ bytes: crc32c of "):
        read(folder)


@pytest.mark.parametrize("keep", [0, 3, 100])
def test_a_truncated_shard_is_noticed(tmp_path: Path, keep: int) -> None:
    folder, _, _ = make(tmp_path / "v.zarr")
    path = folder / "density/c/0/0/0"
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(DatasetError, match=r"^v\.zarr/density/c/0/0/0: damaged shard of \d+ bytes: "):
        read(folder)


@pytest.mark.parametrize("claims", [10, 2**40])
def test_a_chunk_that_claims_another_size_is_refused_before_it_is_inflated(tmp_path: Path, claims: int) -> None:
    folder, _, _ = make(tmp_path / "v.zarr", (64, 64, 64))
    path = folder / "density/c/0/0/0"
    frame = b"\x28\xb5\x2f\xfd\xe0" + claims.to_bytes(8, "little") + Zstd().encode(b"x" * 10)[6:]
    path.write_bytes(_shard_of(frame))

    with pytest.raises(DatasetError, match=rf"chunk \(0, 0, 0\) holds {claims} bytes; expected 524288$"):
        read(folder, shape=(64, 64, 64))


def test_a_shard_of_very_many_chunks_takes_little_more_memory_than_its_index() -> None:
    side = 64
    array = StoredArray("density", (side,) * 3, np.dtype("<f2"), (1,) * 3, (side,) * 3, "zstd")
    index = np.full((side**3, 2), EMPTY, dtype="<u8").tobytes()
    shard = index + google_crc32c.value(index).to_bytes(4, "little")

    tracemalloc.start()
    try:
        found = read_array(array, lambda name: BytesIO(shard), "v.zarr")  # type: ignore[arg-type,return-value]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert not found.any()
    assert most < 4 * len(shard)


def _shard_of(frame: bytes) -> bytes:
    def with_crc(data: bytes) -> bytes:
        return data + google_crc32c.value(data).to_bytes(4, "little")

    chunk = with_crc(frame)
    return chunk + with_crc(np.array([0, len(chunk)], "<u8").tobytes())


def sharding(*names: str) -> dict[str, Any]:
    index = [{"name": "bytes"}, {"name": "crc32c"}]
    inner = {"chunk_shape": [64] * 3, "codecs": [{"name": name} for name in names], "index_codecs": index}
    return {"name": "sharding_indexed", "configuration": inner}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"shape": [10**9, 1, 1]}, "shape is (1000000000, 1, 1); expected (70, 65, 130)", id="shape"),
        pytest.param({"data_type": "string"}, "another layout", id="dtype"),
        pytest.param({"data_type": "float64"}, "data_type is ?; expected float64", id="float64"),
        pytest.param({"zarr_format": 2}, "zarr_format is 2; expected 3", id="format"),
        pytest.param({"fill_value": 1.0}, "fill_value is 1.0; expected 0.0", id="fill value"),
        pytest.param({"codecs": [{"name": "bytes"}]}, "another layout", id="codecs"),
        pytest.param({"codecs": [sharding("bytes", "gzip", "crc32c")]},
                     "'gzip', 'crc32c']; expected ['sharding_indexed', 'bytes', 'zstd or blosc', 'crc32c']", id="gzip"),
        pytest.param({"codecs": [sharding("bytes", "zstd", "blosc", "crc32c")]}, "codecs is ", id="two codecs"),
        pytest.param({"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2**40] * 3}}},
                     "chunks is False; expected True", id="giant shard"),
    ],
)  # fmt: skip
def test_metadata_of_another_kind_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder, _, _ = make(tmp_path / "v.zarr")
    root = json.loads((folder / "zarr.json").read_bytes())
    root["consolidated_metadata"]["metadata"]["density"].update(change)
    (folder / "zarr.json").write_text(json.dumps(root))

    with pytest.raises(DatasetError) as caught:
        read(folder)

    assert str(caught.value).startswith("v.zarr: array 'density'")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"zarr_format": 3}', b"[" * 100_000], ids=["empty", "open", "list", "bare", "deep"]
)
def test_a_root_that_is_no_group_is_refused(raw: bytes) -> None:
    with pytest.raises(DatasetError, match=r"^v\.zarr/zarr\.json: no consolidated zarr 3 metadata"):
        parse_metadata(raw, "v.zarr")


@pytest.mark.parametrize("shape", [(70, 65, 130), (200, 130, 64)], ids=str)
@pytest.mark.parametrize("number", [0, 1, 3])
def test_only_the_chunks_that_boxes_touch_are_decoded(tmp_path: Path, shape: tuple[int, int, int], number: int) -> None:
    folder, volume, _ = make(tmp_path / "v.zarr", shape)
    starts = np.random.default_rng(number).integers(-30, np.array(shape), size=(number, 3))
    metadata = parse_metadata((folder / "zarr.json").read_bytes(), "v.zarr")
    array, out = stored_array(metadata, "density", shape, "v.zarr"), np.full(shape, np.nan, dtype=np.float16)
    wanted, chunks = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for low, end in zip(np.maximum(starts, 0), starts + 40, strict=True):
        wanted[tuple(slice(a, b) for a, b in zip(low, end, strict=True))] = True
        chunks[tuple(slice(a // 64 * 64, -(-b // 64) * 64) for a, b in zip(low, end, strict=True))] = True

    read_array(array, lambda name: (folder / name).open("rb", buffering=0), "v.zarr", out, Boxes(starts, 40))

    assert np.array_equal(out[wanted], volume.data.astype(np.float16)[wanted])
    assert np.array_equal(np.isnan(out), ~chunks)


def test_a_file_of_which_nothing_is_wanted_is_not_opened(tmp_path: Path) -> None:
    folder, _, _ = make(tmp_path / "v.zarr")
    metadata = parse_metadata((folder / "zarr.json").read_bytes(), "v.zarr")

    def never(name: str) -> Any:
        raise AssertionError(f"{name} was opened")

    array = stored_array(metadata, "density", SHAPE, "v.zarr")
    read_array(array, never, "v.zarr", np.zeros(SHAPE, np.float16), Boxes(np.array([[500, 0, 0]]), 32))
