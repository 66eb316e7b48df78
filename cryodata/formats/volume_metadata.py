"""What a volume's metadata say of its arrays: one known layout only, and everything else refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import RawIOBase
from typing import Any

import numpy as np

from cryodata.core.layout import parse_json
from cryodata.errors import DatasetError
from cryodata.formats import steps
from cryodata.formats.codecs import NAMES

READABLE_DTYPES = ("uint8", "uint16", "float16", "float32")
MAX_METADATA_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a volume as its metadata describe it, checked against what readers allow."""

    path: str
    shape_zyx: tuple[int, ...]
    dtype: np.dtype[Any]
    "as it is read"

    chunk: tuple[int, ...]
    shard: tuple[int, ...]
    codec: str
    "a name of `CODECS`"

    counted: bool = False
    "float16 of which the numbers of steps are stored"


def read_metadata(file: RawIOBase, sha256: str, where: str) -> dict[str, Any]:
    """The root metadata of a volume from its file, of which no more is read than metadata have. Raises DatasetError for
    other bytes than those that were hashed, and as `parse_metadata` does."""
    raw = b""
    while len(raw) <= MAX_METADATA_BYTES and (more := file.read(MAX_METADATA_BYTES + 1 - len(raw))):
        raw += more
    if len(raw) <= MAX_METADATA_BYTES and hashlib.sha256(raw).hexdigest() != sha256:
        raise DatasetError(f"{where}/zarr.json: other bytes than the table of objects says")
    return parse_metadata(raw, where)


def parse_metadata(raw: bytes, where: str) -> dict[str, Any]:
    """The root metadata of a volume. Raises DatasetError if they are no consolidated zarr 3 group."""
    try:
        if len(raw) > MAX_METADATA_BYTES:
            raise ValueError(f"{len(raw):,} bytes")
        root = parse_json(raw)
        nodes = root["consolidated_metadata"]["metadata"]
        if root["zarr_format"] != 3 or root["node_type"] != "group" or not isinstance(nodes, dict):
            raise ValueError("not a zarr 3 group")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{where}/zarr.json: no consolidated zarr 3 metadata ({why(error)})") from None
    return dict(root)


def stored_array(metadata: Mapping[str, Any], path: str, shape_zyx: tuple[int, ...], where: str) -> StoredArray:
    """The description of one array, refused if it is not exactly of the layout that `write_volume` makes.

    shape_zyx: what the tables say. Raises DatasetError naming what was found and expected.
    """
    try:
        node = metadata["consolidated_metadata"]["metadata"][path]
        (sharding,) = node["codecs"]
        inner = sharding["configuration"]
        names = [str(codec["name"]) for codec in inner["codecs"]]
        compressor = next((name for name in names if name in NAMES), "")
        scale = dict(node.get("attributes", {})).get("scale_factor")
        counted = scale is not None
        array = StoredArray(
            path=path,
            shape_zyx=tuple(int(n) for n in node["shape"]),
            dtype=np.dtype("<f2") if counted else np.dtype(node["data_type"]).newbyteorder("<"),
            chunk=tuple(int(n) for n in inner["chunk_shape"]),
            shard=tuple(int(n) for n in node["chunk_grid"]["configuration"]["chunk_shape"]),
            codec=NAMES.get(compressor, ""),
            counted=counted,
        )
        found = {
            "zarr_format": node["zarr_format"],
            "node_type": node["node_type"],
            "data_type": node["data_type"] if node["data_type"] in READABLE_DTYPES else "?",
            "scale_factor": scale,
            "chunk_grid": node["chunk_grid"]["name"],
            "separator": node["chunk_key_encoding"],
            "fill_value": float(node["fill_value"]),
            "codecs": [sharding["name"], *names],
            "endian": inner["codecs"][0].get("configuration", {}).get("endian", "little"),
            "index": [*(codec["name"] for codec in inner["index_codecs"]), inner.get("index_location", "end")],
            "shape": array.shape_zyx,
            "chunks": _is_sane(array),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{where}: array '{path}' has metadata of another layout ({why(error)})") from None
    expected = {
        "zarr_format": 3,
        "node_type": "array",
        "data_type": steps.DTYPE.name if counted else node["data_type"],
        "scale_factor": steps.ATTRIBUTES["scale_factor"] if counted else None,
        "chunk_grid": "regular",
        "separator": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": ["sharding_indexed", "bytes", compressor or " or ".join(NAMES), "crc32c"],
        "endian": "little",
        "index": ["bytes", "crc32c", "end"],
        "shape": tuple(shape_zyx),
        "chunks": True,
    }
    for key, value in expected.items():
        if found[key] != value:
            raise DatasetError(f"{where}: array '{path}': {key} is {found[key]}; expected {value}")
    return array


def _is_sane(array: StoredArray) -> bool:
    """Chunks tile shards and neither is much larger than the array, so that decoding allocates no more than it."""
    return len(array.shape_zyx) == len(array.chunk) == len(array.shard) == 3 and all(
        1 <= c <= 256 and s >= c and s % c == 0 and s < n + c
        for n, c, s in zip(array.shape_zyx, array.chunk, array.shard, strict=True)
    )


def why(error: BaseException) -> str:
    """An error in the words of a message."""
    return f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
