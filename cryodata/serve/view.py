"""Volumes as browsers can show them: density as float32.

Neuroglancer knows no float16 (its data types are integers and float32) and no scale factor, so a volume has a second
address where its metadata say float32, and each chunk is decoded and widened when it is asked for. Labels are served as
they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.errors import DatasetError
from cryodata.formats.tables import MAX_VOXELS
from cryodata.formats.volume_metadata import MAX_METADATA_BYTES, StoredArray, parse_metadata, stored_array
from cryodata.formats.volume_reader import Boxes, read_array
from cryodata.serve.files import inside, open_regular

_CHUNK = re.compile(r"(?P<array>.+)/c/(?P<z>\d{1,5})/(?P<y>\d{1,5})/(?P<x>\d{1,5})", re.ASCII)


def made(volume: Path, path: str) -> bytes | None:
    """What the view has at a path of a volume; None where it has the stored file.

    Raises FileNotFoundError for a chunk or volume that is not there, DatasetError for a damaged one.
    """
    if not path.endswith("zarr.json") and "/c/" not in path:
        return None
    with _open(volume, "zarr.json") as file:
        metadata = parse_metadata(file.read(MAX_METADATA_BYTES + 1), volume.name)
    nodes = metadata["consolidated_metadata"]["metadata"]
    widened = [name for name, node in nodes.items() if isinstance(node, dict) and _is_widened(node)]
    if path == "zarr.json":
        changed = {name: _as_float32(nodes[name], _array(metadata, name, volume.name)) for name in widened}
        nodes.update(changed)
        return json.dumps(metadata).encode()
    array, chunk = path.removesuffix("/zarr.json"), _CHUNK.fullmatch(path)
    if array in widened:
        return json.dumps(_as_float32(nodes[array], _array(metadata, array, volume.name))).encode()
    if chunk and chunk["array"] in widened:
        place = [int(chunk[axis]) for axis in "zyx"]
        return _widened_chunk(volume, _array(metadata, chunk["array"], volume.name), place)
    return None


def _widened_chunk(volume: Path, array: StoredArray, place: Sequence[int]) -> bytes:
    """A chunk of an array as little-endian float32, zero beyond the array."""
    start = [p * c for p, c in zip(place, array.chunk, strict=True)]
    if any(s >= n for s, n in zip(start, array.shape_zyx, strict=True)) or len(set(array.chunk)) != 1:
        raise FileNotFoundError(array.path)
    # memory of the whole array is asked for; what is not written to never becomes real
    whole = np.zeros(array.shape_zyx, dtype=array.dtype.newbyteorder("="))
    box = Boxes(np.asarray([start]), array.chunk[0])
    read_array(array, lambda name: _open(volume, name), volume.name, whole, box)
    chunk = np.zeros(array.chunk, dtype="<f4")
    part = whole[tuple(slice(s, s + c) for s, c in zip(start, array.chunk, strict=True))]
    chunk[tuple(slice(0, n) for n in part.shape)] = part
    return chunk.tobytes()


def _array(metadata: Mapping[str, Any], path: str, where: str) -> StoredArray:
    try:
        shape = tuple(int(n) for n in metadata["consolidated_metadata"]["metadata"][path]["shape"])
    except (KeyError, TypeError, ValueError):
        raise FileNotFoundError(path) from None
    if math.prod(shape) > MAX_VOXELS:
        raise DatasetError(f"{where}: array '{path}' of {shape} voxels; {MAX_VOXELS:,} at most are believed")
    return stored_array(metadata, path, shape, where)


def _is_widened(node: Mapping[str, Any]) -> bool:
    """Whether viewers would not show the values of an array as they are."""
    attributes = node.get("attributes")
    return node.get("data_type") == "float16" or (isinstance(attributes, dict) and "scale_factor" in attributes)


def _as_float32(node: Mapping[str, Any], array: StoredArray) -> dict[str, Any]:
    """Metadata of an array without shards and compression."""
    return {
        **node,
        "data_type": "float32",
        "fill_value": 0.0,
        "attributes": {},
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(array.chunk)}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }


def _open(volume: Path, name: str) -> FileIO:
    file = inside(volume, name.split("/"))
    opened = open_regular(file) if file else None
    if opened is None:
        raise FileNotFoundError(name)
    return opened[0]
