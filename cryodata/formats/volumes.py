"""Volumes as OME-Zarr 0.5 folders: the writing side, and the layout that both sides know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.core.layout import FileDigest
from cryodata.core.schema import ArraySpec, Schema
from cryodata.core.volume import LabelVoxels, Volume
from cryodata.formats import steps
from cryodata.formats.codecs import CODECS
from cryodata.formats.shards import dense, sparse, write_shards

OME_VERSION = "0.5"
CHUNK = 64
"voxels a side of an inner chunk; measured in benchmarks/formats"

CODEC = "lz4"
"of density, where no other is asked for"

MAX_SHARD_BYTES = 512 << 20
"raw bytes above which an array is split into several shard files along z"


@dataclass(frozen=True, slots=True)
class ArrayStorage:
    """How the values of an array become bytes."""

    codec: str = CODEC
    "a name of `CODECS`"

    counted: bool = False
    "of float16, numbers of steps are stored, and no values but multiples of `core.schema.STEP` from 0 to 1 can be"


DEFAULT = ArrayStorage()
"of density, where nothing else is asked for"

LABELS = ArrayStorage("zstd")
"of label volumes, which are written for viewers"


def array_path(array: ArraySpec) -> str:
    """Folder of an array in its volume."""
    return f"labels/{array.name}/0" if array.role == "label" else array.name


def write_volume(
    folder: Path,
    density: Volume,
    labels: Mapping[str, LabelVoxels],
    schema: Schema,
    attributes: Mapping[str, Any],
    storage: ArrayStorage = DEFAULT,
) -> None:
    """Write a volume into a new folder; the same arguments give the same bytes.

    density: in the type as which it is read, float16 or float32. labels: those to store for viewers, of those that the
    schema names. attributes: JSON values for `attrs["cryodata"]`. storage: of the density. ValueError for values that
    can't be stored so, and for labels outside the density.
    """
    spec = schema.density
    arrays = {spec.name: dense(density.data)}
    nodes = {"": _group({"ome": _multiscales(spec.name, density, spec.name), "cryodata": dict(attributes)})}
    if labels:
        nodes["labels"] = _group({"ome": {"version": OME_VERSION, "labels": sorted(labels)}})
    for array in schema.labels:
        if array.name in labels:
            ome = {**_multiscales(array.name, density, "0"), "image-label": _image_label(array)}
            nodes[f"labels/{array.name}"] = _group({"ome": ome})
            arrays[array_path(array)] = sparse(labels[array.name], density.shape_zyx, CHUNK)
    for path, chunks in arrays.items():
        shard = shard_shape(chunks.shape, chunks.dtype.itemsize)
        used = storage if path == spec.name else LABELS
        stored, told = (steps.DTYPE, steps.ATTRIBUTES) if used.counted else (chunks.dtype, {})
        nodes[path] = array_metadata(chunks.shape, stored, shard, used.codec, told)
        write_shards(folder / path, chunks, CHUNK, shard, used.codec, used.counted)
    _write_metadata(folder, nodes)


@dataclass(frozen=True, slots=True)
class ChannelSpec:
    """An array of several channels over the voxels of one volume."""

    channels: tuple[str, ...]
    "what each channel is"

    tile: int
    "voxels a side of what is written at a time: one file, a chunk for each channel"


def create_channels(
    folder: Path, placed: Volume, arrays: Mapping[str, ChannelSpec], attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """A new OME-Zarr 0.5 folder with `density` (nz, ny, nx) and arrays (channels, nz, ny, nx), all float16.

    placed: the density, which is written, and where its voxels lie. Returns the other arrays, 0 so far, to be assigned
    to by tiles: `array[:, z : z + tile, ...] = block`. attributes: JSON values for `attrs["cryodata"]`.
    """
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    root = zarr.create_group(folder, zarr_format=3)
    known = {name: list(spec.channels) for name, spec in arrays.items()}
    multiscales = _multiscales("density", placed, "density")
    for name in arrays:
        multiscales["multiscales"] += _multiscales(name, placed, name, channels=True)["multiscales"]
    root.attrs.update({"ome": multiscales, "cryodata": {**attributes, "channels": known}})
    density = placed.data.astype(np.float16)
    shard = shard_shape(density.shape, density.dtype.itemsize)
    (folder / "density").mkdir()
    metadata = array_metadata(density.shape, density.dtype, shard, CODEC, {})
    (folder / "density" / "zarr.json").write_bytes(_metadata_bytes(metadata))
    write_shards(folder / "density", dense(density), CHUNK, shard, CODEC)
    made = {}
    for name, spec in arrays.items():
        count, cube = len(spec.channels), (spec.tile, spec.tile, spec.tile)
        made[name] = root.create_array(
            name,
            shape=(count, *placed.shape_zyx),
            dtype=np.float16,
            chunks=(1, *cube),
            shards=(count, *cube),
            compressors=(ZstdCodec(level=1), Crc32cCodec()),
            fill_value=0,
            dimension_names=("c", "z", "y", "x"),
        )
    _consolidate(folder)
    return made


def open_channels(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a folder that `create_channels` made, by name, and its attributes; arrays are read when indexed."""
    import zarr

    root = zarr.open_group(folder, mode="r")
    attributes: Any = root.attrs["cryodata"]
    return {name: root[name] for name in ("density", *attributes["channels"])}, dict(attributes)


def folder_files(folder: Path) -> list[FileDigest]:
    """Every file below a folder as (path, bytes, sha256), sorted."""
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest = hashlib.sha256()
            with open(path, "rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
            files.append((path.relative_to(folder).as_posix(), path.stat().st_size, digest.hexdigest()))
    return sorted(files)


def shard_shape(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Voxels of a shard along z, y, x: the whole array in whole chunks, or slabs of at most MAX_SHARD_BYTES."""
    padded = [-(-n // CHUNK) * CHUNK for n in shape]
    plane_bytes = CHUNK * padded[1] * padded[2] * itemsize
    padded[0] = min(padded[0], max(1, MAX_SHARD_BYTES // plane_bytes) * CHUNK)
    return tuple(padded)


def array_metadata(
    shape: Sequence[int], dtype: np.dtype[Any], shard: Sequence[int], codec: str, attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """What `zarr.json` says of an array (nz, ny, nx) that `write_shards` writes (zarr v3). zarr writes the same,
    through an event loop that takes longer than the encoding of a small map; tests hold this against it."""
    little, crc32c = {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}
    plain = little if dtype.itemsize > 1 else {"name": "bytes"}
    sharding = {
        "chunk_shape": [CHUNK] * 3,
        "codecs": [plain, CODECS[codec].described(dtype.itemsize), crc32c],
        "index_codecs": [little, crc32c],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0 if dtype.kind == "f" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": dict(attributes),
        "dimension_names": ["z", "y", "x"],
        "storage_transformers": [],
    }


def _group(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def _multiscales(name: str, density: Volume, path: str, channels: bool = False) -> dict[str, Any]:
    # scale and translation stand in the dataset entry: viewers ignore them one level up
    transformations = [
        {"type": "scale", "scale": [1.0] * channels + density.voxel_size_xyz[::-1].tolist()},
        {"type": "translation", "translation": [0.0] * channels + density.origin_xyz[::-1].tolist()},
    ]
    axes = [{"name": axis, "type": "space", "unit": "angstrom"} for axis in "zyx"]
    return {
        "version": OME_VERSION,
        "multiscales": [
            {
                "name": name,
                "axes": [{"name": "c", "type": "channel"}, *axes] if channels else axes,
                "datasets": [{"path": path, "coordinateTransformations": transformations}],
            }
        ],
    }


def _image_label(array: ArraySpec) -> dict[str, Any]:
    return {
        "colors": [
            {"label-value": item.value, "rgba": [*bytes.fromhex(item.color.removeprefix("#")), 255]}
            for item in array.classes
        ],
        "properties": [{"label-value": item.value, "name": item.name} for item in array.classes],
        "source": {"image": "../../"},
    }


def _write_metadata(folder: Path, nodes: Mapping[str, dict[str, Any]]) -> None:
    """Write the metadata of all nodes, by their paths, in canonical order, and a copy of all in the root."""
    inner = {path: nodes[path] for path in sorted(nodes) if path}
    consolidated = {"kind": "inline", "must_understand": False, "metadata": inner}
    for path, node in {**inner, "": {**nodes[""], "consolidated_metadata": consolidated}}.items():
        (folder / path).mkdir(parents=True, exist_ok=True)
        (folder / path / "zarr.json").write_bytes(_metadata_bytes(node))


def _consolidate(folder: Path) -> None:
    """Rewrite the metadata of a folder that zarr made: its own order follows the directory listing, which differs
    between file systems."""
    nodes = {}
    for path in folder.rglob("zarr.json"):
        node = json.loads(path.read_bytes())
        node.pop("consolidated_metadata", None)
        nodes[path.parent.relative_to(folder).as_posix().removeprefix(".")] = node
    _write_metadata(folder, nodes)


def _metadata_bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, indent=2, allow_nan=False).encode() + b"\n"
