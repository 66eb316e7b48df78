"""A small map, written word by word."""

from __future__ import annotations

import struct
from itertools import product
from pathlib import Path
from typing import Any

from cryodata.core.volume import Volume
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header

AXES = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]
"every order of MAPC, MAPR, MAPS"

STAMPS = {"<": b"DD\0\0", ">": b"\x11\x11\0\0"}
"machine stamp of each byte order (MRC2014)"

SHAPE_XYZ = (4, 3, 2)
"voxels of the small map along x, y, z: all different, so that no two axes can be taken for each other"

VALUE_OF_MODE = {
    0: ("b", lambda count: count - 12),  # int8: half of the values are negative
    1: ("h", lambda count: 1000 * count - 12000),
    2: ("f", lambda count: 0.25 * count - 3.0),
    6: ("H", lambda count: count + 40000),  # uint16: more than an int16 can hold
    12: ("e", lambda count: 0.5 * count - 6.0),
}
"struct letter of each mode, and the value of the voxel that is number `count` with x fastest and z slowest"


def value_at(x: int, y: int, z: int, mode: int) -> float:
    """What the small map holds at a voxel: every voxel its own value."""
    return VALUE_OF_MODE[mode][1](x + 4 * y + 12 * z)


def map_bytes(
    axes: tuple[int, int, int] = (1, 2, 3), mode: int = 2, order: str = "<", extended: bytes = b"", **words: Any
) -> bytes:
    """The small map as a file. axes: MAPC, MAPR, MAPS. words: header words other than those of a plain 1 A map."""
    counts = [SHAPE_XYZ[axis - 1] for axis in axes]  # columns, rows, sections
    header = {
        "n": counts,
        "nstart": (0, 0, 0),
        "m": SHAPE_XYZ,
        "cell": SHAPE_XYZ,
        "angles": (90.0, 90.0, 90.0),
        "axes": axes,
        "nsymbt": len(extended),
        "origin": (0.0, 0.0, 0.0),
        "stamp": STAMPS[order],
        **words,
    }
    values = []
    for section, row, column in product(range(counts[2]), range(counts[1]), range(counts[0])):
        place = dict(zip(axes, (column, row, section), strict=True))  # x is 1, y is 2, z is 3
        values.append(value_at(place[1], place[2], place[3], mode))
    head = struct.pack(
        f"{order}3ii3i3i3f3f3i3f2i100s3f4s4sfi800s",
        *header["n"], mode, *header["nstart"], *header["m"], *header["cell"], *header["angles"], *header["axes"],
        0.0, 0.0, 0.0, 1, header["nsymbt"], b"", *header["origin"], b"MAP ", header["stamp"], 0.0, 0, b"",
    )  # fmt: skip
    return head + extended + struct.pack(f"{order}{len(values)}{VALUE_OF_MODE[mode][0]}", *values)


def read(path: Path, content: bytes) -> Volume:
    path.write_bytes(content)
    return read_volume(path, read_header(path))


def small_zyx(mode: int) -> list[list[list[float]]]:
    """The small map as nested lists, z, y, x."""
    return [[[value_at(x, y, z, mode) for x in range(4)] for y in range(3)] for z in range(2)]
