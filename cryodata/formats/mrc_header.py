"""Headers of MRC/CCP4 maps (mrcfile). Only this file knows MAPC/MAPR/MAPS, NSTART and ORIGIN.

A header is trusted for nothing: every size it claims is held against the file before memory is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import byte_order_from_machine_stamp

from cryodata.core.volume import FloatArray
from cryodata.errors import RejectedError
from cryodata.formats.inflate import foreign, largest_inflated_size, open_inflated, shown

HEADER_BYTES = 1024
MODES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}
"value type of each mode that holds a real density (MRC2014); 3 and 4 are transforms, 101 is 4-bit images"

IMAGE_STACK, VOLUME_STACKS = 0, range(401, 631)
"ISPG of images, with MZ 1 (maps may have it as well), and of volumes of MZ sections (MRC2014)"

RIGHT_ANGLE_TOLERANCE = 0.01
"degrees by which a cell angle may be off 90"

EXACT = "cryodata: exact"
EXACT_LABEL = re.compile(rf"{EXACT} (voxel|origin) ([xyz]) (-?[0-9.]{{1,24}}(?:e-?[0-9]{{1,3}})?) A", re.ASCII)
"a line of the header's labels with a number that its float32 words round"

LABELS_BY = "cryodata: labels by the rule {}"
"a line of a label map: how atoms got their voxels, a key of VOXEL_RULES"

ROUNDING = 2.0**-22
"relative difference between a number and what float32 makes of it, and of a cell of it, at most"

PLAUSIBLE_CELLS = 10.0
"an ORIGIN ten or more cells away is garbage in the header words, not a place"


@dataclass(frozen=True, slots=True, eq=False)
class MapHeader:
    """What the header of a map says, with its axes put in order."""

    file_name: str
    "for messages"

    mode: int
    "MRC mode, a key of MODES"

    byte_order: Literal["<", ">"]
    "little or big endian"

    stored_shape: tuple[int, int, int]
    "sections, rows, columns, as the values lie in the file"

    stored_axes: tuple[int, int, int]
    "axis of the (z, y, x) array that sections, rows and columns run along"

    data_offset: int
    "bytes before the first value"

    voxel_size_xyz: FloatArray
    "cell / m, A"

    angles: tuple[float, float, float]
    "cell angles, degrees"

    frames: dict[str, FloatArray]
    "possible positions of voxel 0, A: origin, nstart, zero, sum"

    frame: str
    "the frame that the header itself asks for: `origin` if it is set and plausible, else `nstart`"

    notes: tuple[str, ...] = ()
    "the lines of text that the file has of itself (its labels)"

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        shape = [0, 0, 0]
        for axis, count in zip(self.stored_axes, self.stored_shape, strict=True):
            shape[axis] = count
        return shape[0], shape[1], shape[2]

    @property
    def data_bytes(self) -> int:
        """Bytes of density that the header claims."""
        return math.prod(self.stored_shape) * np.dtype(MODES[self.mode]).itemsize

    def check_orthogonal(self) -> None:
        """Raise RejectedError `non_orthogonal` if an angle of the cell is not a right one."""
        if any(abs(angle - 90.0) > RIGHT_ANGLE_TOLERANCE for angle in self.angles):
            found = ", ".join(f"{angle:g}" for angle in self.angles)
            raise RejectedError(
                "non_orthogonal", f"{self.file_name}: cell angles are {found} degrees; expected 90, 90, 90"
            )


def read_header(path: Path) -> MapHeader:
    """Read and check the header of a map, .map or .mrc, gzip or plain.

    Raises RejectedError `unreadable_map` if it is no header of a map in a supported form, `truncated_map` if the
    file can't hold the values that the header claims.
    """
    with open_inflated(path, "unreadable_map") as stream:
        raw = stream.read(HEADER_BYTES)
    if len(raw) < HEADER_BYTES:
        _refuse_foreign(path, raw)
        raise _unreadable(path, f"{len(raw)} bytes; a map begins with a header of {HEADER_BYTES:,}")
    header = _parse(path, raw)
    room = largest_inflated_size(path)
    if header.data_offset + header.data_bytes > room:
        raise truncated(header, f"the file holds {room:,} bytes at most")
    return header


def _parse(path: Path, raw: bytes) -> MapHeader:
    fields, byte_order = _fields(path, raw)
    columns = [int(fields[name]) for name in ("nx", "ny", "nz")]
    file_axes = [int(fields[name]) for name in ("mapc", "mapr", "maps")]
    if file_axes == [0, 0, 0]:  # written by programs older than the field
        file_axes = [1, 2, 3]
    _refuse_stack(path, fields)
    if int(fields["nsymbt"]) < 0:
        raise _unreadable(path, f"an extended header of {int(fields['nsymbt'])} bytes")
    cell = _floats(fields["cella"][axis] for axis in "xyz")
    intervals = np.array([fields[name] for name in ("mx", "my", "mz")], dtype=np.float64)
    if not (np.all(np.isfinite(cell)) and np.all(cell > 0) and np.all(intervals > 0)):
        raise _unreadable(path, f"cell {_triple(cell)} A in {_triple(intervals)} intervals; expected sizes above 0")
    voxel_size = _exact(fields, "voxel", cell / intervals)
    frames, frame = _frames(fields, file_axes, voxel_size, cell)
    angles = _floats(fields["cellb"][name] for name in ("alpha", "beta", "gamma")).tolist()
    if angles == [0.0, 0.0, 0.0]:  # not set: the cell of a box is orthogonal
        angles = [90.0, 90.0, 90.0]
    if not np.all(np.isfinite(angles)):
        raise _unreadable(path, f"cell angles {_triple(angles)}; expected numbers")
    # file axes count x as 1; array axes count z as 0. Stored order is sections, rows, columns.
    stored_axes = [3 - axis for axis in reversed(file_axes)]
    return MapHeader(
        file_name=shown(path),
        mode=int(fields["mode"]),
        byte_order=byte_order,
        stored_shape=(columns[2], columns[1], columns[0]),
        stored_axes=(stored_axes[0], stored_axes[1], stored_axes[2]),
        data_offset=HEADER_BYTES + int(fields["nsymbt"]),
        voxel_size_xyz=voxel_size,
        angles=(angles[0], angles[1], angles[2]),
        frames=frames,
        frame=frame,
        notes=tuple(_notes(fields)),
    )


def _fields(path: Path, raw: bytes) -> tuple[npt.NDArray[np.void], Literal["<", ">"]]:
    """The header's words in the byte order in which they make sense; the machine stamp decides if both do."""
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    candidates = {order: np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in orders}
    plausible = {order: fields for order, fields in candidates.items() if _is_plausible(fields)}
    try:
        stamped = byte_order_from_machine_stamp(candidates["<"]["machst"])
    except ValueError:
        stamped = "<"
    if not plausible:
        _refuse_foreign(path, raw)
        fields = candidates[stamped]
        axes = [int(fields[name]) for name in ("mapc", "mapr", "maps")]
        counts = [int(fields[name]) for name in ("nx", "ny", "nz")]
        raise _unreadable(
            path,
            f"mode {int(fields['mode'])}, {_triple(counts)} values, axes {_triple(axes)}; "
            f"expected a mode of {', '.join(map(str, MODES))}, at least one value and the axes 1, 2, 3 in any order",
        )
    order = stamped if stamped in plausible else next(iter(plausible))
    return plausible[order], order


def _is_plausible(fields: npt.NDArray[np.void]) -> bool:
    axes = sorted(int(fields[name]) for name in ("mapc", "mapr", "maps"))
    counts = [int(fields[name]) for name in ("nx", "ny", "nz")]
    return int(fields["mode"]) in MODES and min(counts) >= 1 and axes in ([1, 2, 3], [0, 0, 0])


def _refuse_stack(path: Path, fields: npt.NDArray[np.void]) -> None:
    """Several images or volumes in one file have the sections of a map, and read as one would be no map."""
    across = "xyz"[(int(fields["maps"]) or 3) - 1]  # the axis that sections follow each other along
    group, sections, each = int(fields["ispg"]), int(fields["nz"]), int(fields[f"m{across}"])
    if group in VOLUME_STACKS and 0 < each < sections:
        raise _unreadable(path, f"a stack of {sections / each:g} volumes (ISPG {group}); expected one map in a file")
    if group == IMAGE_STACK and each == 1 < sections:
        raise _unreadable(path, f"a stack of {sections:,} images (ISPG 0, MZ 1); expected one map in a file")


def _frames(
    fields: npt.NDArray[np.void], file_axes: list[int], voxel_size: FloatArray, cell: FloatArray
) -> tuple[dict[str, FloatArray], str]:
    start = np.zeros(3)
    for axis, name in zip(file_axes, ("nxstart", "nystart", "nzstart"), strict=True):
        start[axis - 1] = int(fields[name])  # NSTART follows the file's axes, ORIGIN is x, y, z
    nstart = start * voxel_size
    origin = _floats(fields["origin"][axis] for axis in "xyz")
    if not (np.all(np.isfinite(origin)) and np.all(np.abs(origin) < PLAUSIBLE_CELLS * cell)):
        origin = np.zeros(3)
    origin = _exact(fields, "origin", origin)
    frames = {"nstart": nstart, "origin": origin, "zero": np.zeros(3), "sum": origin + nstart}
    return frames, "origin" if np.any(origin) else "nstart"


def exact_labels(name: str, values: FloatArray, stored: Any, divisors: Iterable[int] = (1, 1, 1)) -> list[str]:
    """Lines for the labels of a header that say the numbers which its float32 words round; none where they do not."""
    told = zip("xyz", values.tolist(), (float(stored[axis]) for axis in "xyz"), divisors, strict=True)
    return [f"{EXACT} {name} {axis} {value!r} A" for axis, value, word, by in told if word / by != value]


def _notes(fields: npt.NDArray[np.void]) -> list[str]:
    """The labels of a header that it says are used."""
    labels = fields["label"][: max(0, min(10, int(fields["nlabl"])))].tolist()
    return [label.decode("ascii", "replace").strip("\0 ") for label in labels]


def _exact(fields: npt.NDArray[np.void], name: str, found: FloatArray) -> FloatArray:
    """Numbers of the header, or those that its labels have in full where both agree within the rounding of float32."""
    exact = found.copy()
    for note in _notes(fields):
        match = EXACT_LABEL.fullmatch(note)
        if match and match[1] == name:
            axis, value = "xyz".index(match[2]), float(match[3])
            if abs(value - found[axis]) <= ROUNDING * abs(found[axis]):
                exact[axis] = value
    return exact


def _floats(words: Iterable[Any]) -> FloatArray:
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused by its value, not by a warning
        return np.array(list(words), dtype=np.float64)


def _triple(values: object) -> str:
    return " x ".join(f"{value:g}" for value in np.asarray(values).tolist())


def _refuse_foreign(path: Path, raw: bytes) -> None:
    kind = foreign(raw)
    if kind is not None:
        raise _unreadable(path, f"{kind}; expected an MRC or CCP4 map, plain or gzip")


def _unreadable(path: Path, found: str) -> RejectedError:
    return RejectedError("unreadable_map", f"{shown(path)}: {found}")


def truncated(header: MapHeader, found: str) -> RejectedError:
    """The error for a file that does not hold what its header claims."""
    shape = " x ".join(map(str, header.stored_shape))
    claimed = header.data_offset + header.data_bytes
    return RejectedError(
        "truncated_map", f"{header.file_name}: {shape} values of mode {header.mode} need {claimed:,} bytes; {found}"
    )
