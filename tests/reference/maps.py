"""Plain reading of an MRC/CCP4 map, its frame, its resampling and its normalisation (struct, gzip, numpy, scipy)."""

from __future__ import annotations

import gzip
import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}  # MRC2014 modes
HEADER_BYTES = 1024
FIT_THRESHOLD = 1.0
PLAUSIBLE_CELLS = 10  # an ORIGIN of ten cells or more is not believed
IDENTITY_TOLERANCE = 1e-6
SIZE_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class PlainMap:
    """A map as read: nothing is scaled, cropped or placed yet."""

    data: np.ndarray
    """(nz, ny, nx), the value type of the file in the machine's byte order."""
    voxel_xyz: np.ndarray
    """float64 (3,), cell / m, A per voxel."""
    nstart_xyz: np.ndarray
    """int64 (3,), start indices reordered from column, row, section to x, y, z."""
    origin_field_xyz: np.ndarray
    """float64 (3,), the ORIGIN words of the header, A."""
    cell_xyz: np.ndarray
    """float64 (3,), edges of the cell, A."""
    angles: np.ndarray
    """float64 (3,), alpha, beta, gamma, degrees."""


@dataclass(frozen=True, slots=True, eq=False)
class PlacedMap:
    """Where the centre of voxel 0 lies, and how well the model fits there."""

    origin_xyz: np.ndarray
    """float64 (3,), A."""
    frame: str
    """nstart, origin, zero or sum: the field or fields that the origin comes from."""
    fit: float | None
    """Fit in that frame; None without a model."""
    fits: dict[str, float]
    """Fit in every frame that was tried, in order."""


def read_map(path: Path | str) -> PlainMap:
    """Read a .map or .mrc file, gzip or not.

    Raises: ValueError if the header makes no sense or the file is shorter than it says.
    """
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    if len(raw) < HEADER_BYTES:
        raise ValueError(f"{Path(path).name}: {len(raw)} bytes, expected a header of {HEADER_BYTES}")
    order = _byte_order(raw, Path(path).name)
    ints = struct.unpack(order + "256i", raw[:HEADER_BYTES])
    floats = struct.unpack(order + "256f", raw[:HEADER_BYTES])
    count_crs, mode, start_crs, m_xyz = ints[0:3], ints[3], ints[4:7], ints[7:10]
    axis_crs = ints[16:19] if any(ints[16:19]) else (1, 2, 3)
    if sorted(axis_crs) != [1, 2, 3] or min(count_crs) < 1 or min(m_xyz) < 1:
        raise ValueError(f"{Path(path).name}: n {count_crs}, m {m_xyz}, axes {axis_crs} make no map")
    dtype = np.dtype(order + DTYPES[mode])
    begin = HEADER_BYTES + max(ints[23], 0)  # NSYMBT: bytes of the extended header
    end = begin + math.prod(count_crs) * dtype.itemsize
    if len(raw) < end:
        raise ValueError(f"{Path(path).name}: {len(raw)} bytes, expected {end}")
    # data: (sections, rows, columns)
    data = np.frombuffer(raw[begin:end], dtype=dtype).reshape(count_crs[::-1])
    axes_scr = [axis_crs[2], axis_crs[1], axis_crs[0]]
    data = data.transpose([axes_scr.index(3), axes_scr.index(2), axes_scr.index(1)])
    nstart_xyz = [0, 0, 0]
    for file_axis in range(3):
        nstart_xyz[axis_crs[file_axis] - 1] = start_crs[file_axis]
    cell = np.array(floats[10:13], dtype=np.float64)
    return PlainMap(
        data=np.ascontiguousarray(data).astype(dtype.newbyteorder("=")),
        voxel_xyz=cell / np.array(m_xyz, dtype=np.float64),
        nstart_xyz=np.array(nstart_xyz, dtype=np.int64),
        origin_field_xyz=np.array(floats[49:52], dtype=np.float64),
        cell_xyz=cell,
        angles=np.array(floats[13:16], dtype=np.float64),
    )


def _byte_order(raw: bytes, name: str) -> str:
    """The byte order in which the mode is known and the column count is small; machine stamps are often wrong."""
    for order in ("<", ">"):
        columns, _, _, mode = struct.unpack(order + "4i", raw[:16])
        if mode in DTYPES and 0 < columns < 65536:
            return order
    raise ValueError(f"{name}: no byte order gives a known mode; expected one of {sorted(DTYPES)}")


def candidate_origins(density: PlainMap) -> dict[str, np.ndarray]:
    """The origins that the header allows, float64 (3,) A, in the order of the search."""
    nstart = density.nstart_xyz * density.voxel_xyz
    origin = density.origin_field_xyz
    return {"nstart": nstart, "origin": origin, "zero": np.zeros(3), "sum": nstart + origin}


def header_frame(density: PlainMap) -> str:
    """ORIGIN if a component is non-zero and all are plausible, else NSTART x voxel."""
    origin = density.origin_field_xyz
    plausible = bool(np.all(np.isfinite(origin)) and np.all(np.abs(origin) < PLAUSIBLE_CELLS * density.cell_xyz))
    return "origin" if plausible and bool(np.any(origin != 0)) else "nstart"


def place(density: PlainMap, ca_xyz: np.ndarray | None) -> PlacedMap:
    """Choose the frame: the header's, unless the C-alphas (n, 3) A say that another one fits."""
    origins = candidate_origins(density)
    first = header_frame(density)
    if ca_xyz is None:
        return PlacedMap(origins[first], first, None, {})
    fits = {first: fit_of(density, origins[first], ca_xyz)}
    if fits[first] >= FIT_THRESHOLD:
        return PlacedMap(origins[first], first, fits[first], fits)
    for frame, origin in origins.items():
        if not np.all(np.isfinite(origin)):
            continue
        fits[frame] = fit_of(density, origin, ca_xyz)
        if fits[frame] >= FIT_THRESHOLD:
            return PlacedMap(origin, frame, fits[frame], fits)
    return PlacedMap(origins[first], first, fits[first], fits)


def fit_of(density: PlainMap, origin_xyz: np.ndarray, ca_xyz: np.ndarray) -> float:
    """(mean density at the C-alphas - map mean) / map standard deviation, trilinear, 0 outside."""
    values = density.data.astype(np.float64)
    index_xyz = (ca_xyz - origin_xyz) / density.voxel_xyz
    at_ca = map_coordinates(values, index_xyz.T[::-1], order=1, mode="constant", cval=0.0)
    return float((at_ca.mean() - values.mean()) / values.std())


def resample(density: PlainMap, spacing: float = 1.0) -> np.ndarray:
    """The map at origin + i x spacing, trilinear in float64, 0 beyond the last grid point; float32 (nz, ny, nx)."""
    index_of_axis = []  # positions on the old grid of the new points, per array axis
    for count, voxel in zip(density.data.shape, density.voxel_xyz[::-1], strict=True):
        if abs(voxel / spacing - 1.0) < IDENTITY_TOLERANCE:
            index_of_axis.append(np.arange(count, dtype=np.float64))
        else:
            size = math.floor(count * voxel / spacing + SIZE_TOLERANCE)
            index_of_axis.append(np.arange(size, dtype=np.float64) * spacing / voxel)
    index_z, index_y, index_x = index_of_axis
    values = density.data.astype(np.float64)
    out = np.empty((len(index_z), len(index_y), len(index_x)), dtype=np.float32)
    plane_y, plane_x = np.meshgrid(index_y, index_x, indexing="ij")
    for k, z in enumerate(index_z):  # one plane at a time keeps the coordinates small
        index = np.stack([np.full_like(plane_y, z), plane_y, plane_x])
        out[k] = map_coordinates(values, index, order=1, mode="constant", cval=0.0)
    return out


def normalise(resampled: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide by the 95th percentile of the positive voxels and clip to [0, 1].

    Returns: density float32, and the percentile.
    Raises: ValueError if no voxel is positive or one is not finite.
    """
    if not np.all(np.isfinite(resampled)):
        raise ValueError("not_finite: the map holds NaN or infinity")
    positive = resampled[resampled > 0]
    if positive.size == 0:
        raise ValueError("no_positive_density: no voxel is above zero")
    p95 = float(np.percentile(positive.astype(np.float64), 95.0))
    density = np.clip(resampled.astype(np.float64) / p95, 0.0, 1.0)
    return density.astype(np.float32), p95
