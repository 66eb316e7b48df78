"""Loops that move voxels: chunks into slots, boxes out of them, label points into boxes.

numba keeps machine code as long as the file of a loop is the same, whatever that imports. So all that these are made of
stands here, the widths that others count on as well.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from cryodata import compiled

LINE, VECTOR = 64, 32
if (LINE, VECTOR) != (compiled.LINE, compiled.VECTOR):
    raise AssertionError("lines and vectors of the loops are not those that memory is laid out for")

FAR_CACHE = 2
"for a prefetch: into the second cache, which takes more requests at a time than the first"

PLANES_AHEAD = 4
"planes of a box that memory is asked for before their turn: rows far apart are no pattern that a processor foresees"


def _mover(width: int, past: bool = False) -> Any:
    """An intrinsic (target, at, source, start): `width` values as they are, or float16 seen as uint16 into float32.

    past: written past the caches, for more than these hold: the memory is not read first. The values then fill whole
    lines of the target, and a fence follows before anybody else reads them.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def move(context: Any, target: Any, at: Any, source: Any, start: Any) -> Any:
        widened = source.dtype == types.uint16 and target.dtype == types.float32

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into, place, of, begin = arguments
            there = _pointer(context, builder, signature.args[2], of, begin)
            here = _pointer(context, builder, signature.args[0], into, place)
            wide = ir.VectorType(context.get_data_type(signature.args[0].dtype), width)
            narrow = ir.VectorType(ir.HalfType(), width) if widened else wide
            values = builder.load(builder.bitcast(there, narrow.as_pointer()), align=source.dtype.bitwidth // 8)
            values = builder.fpext(values, wide) if widened else values
            align = LINE if past else target.dtype.bitwidth // 8
            written = builder.store(values, builder.bitcast(here, wide.as_pointer()), align=align)
            if past:
                written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
            return context.get_dummy_value()

        return types.void(target, types.intp, source, types.intp), generate

    return move


@intrinsic  # type: ignore[untyped-decorator]
def _fence(context: Any) -> Any:
    """What was written past the caches comes before whatever is written next."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(context: Any, array: Any, at: Any) -> Any:
    """Have a value, which need not be of the array, on its way to the caches when it is asked for."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        there = _pointer(context, builder, signature.args[0], *arguments)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        asked = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        )
        read, data = ir.Constant(number, 0), ir.Constant(number, 1)
        builder.call(asked, [builder.bitcast(there, byte), read, ir.Constant(number, FAR_CACHE), data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    """Where a value lies, counted from the first one of an array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [at])


_row, _row_past, _value = _mover(VECTOR), _mover(VECTOR, past=True), _mover(1)

# one layout for all arrays, compiled when this is imported: not for each chunk at the edge, by a thread that decodes
_CHUNKS = [(types.Array(dtype, 3, "A"), types.Array(dtype, 3, "A")) for dtype in (types.uint16, types.uint32)]


@njit(_CHUNKS, nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put_past(target: Any, chunk: Any) -> None:
    """target[...] = chunk, past the caches; uint16 or uint32 (nz, ny, nx) each. Rows are contiguous, of whole vectors,
    and begin lines of the cache."""
    nz, ny, nx = target.shape
    to_z, to_y = target.strides[0] // target.itemsize, target.strides[1] // target.itemsize
    of_z, of_y = chunk.strides[0] // chunk.itemsize, chunk.strides[1] // chunk.itemsize
    for z in range(nz):
        for y in range(ny):
            for x in range(0, nx, VECTOR):
                _row_past(target, z * to_z + y * to_y + x, chunk, z * of_z + y * of_y + x)
    _fence()


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def cut_boxes(out: Any, voxels: Any, first: Any, strides: Any, box: Any, past: Any) -> bool:
    """`kernels.cut`; out: float32, flat; voxels: float32, or uint16 for float16; past: whether every row of a box
    begins a line of the cache. False, and nothing is touched, for a box that leaves `voxels`.
    """
    for sample in range(first.shape[0]):
        low = high = first[sample]
        for axis in range(3):
            span = strides[sample, axis] * (box - 1)
            low += min(span, 0)
            high += max(span, 0)
        if low < 0 or high >= voxels.shape[0]:
            return False
    for sample in range(first.shape[0]):
        place, after = sample * box**3, min(sample + 1, first.shape[0] - 1)
        if strides[sample, 2] != 1:
            _by_value(out, place, voxels, first[sample], strides[sample], box)
        elif box == VECTOR:
            _by_vector(out, place, voxels, first[sample], strides[sample], first[after], strides[after], past)
        else:
            _by_row(out, place, voxels, first[sample], strides[sample], box, past)
    if past:
        _fence()
    return True


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _by_vector(
    out: Any, at: Any, voxels: Any, first: Any, strides: Any, next_first: Any, next_strides: Any, past: Any
) -> None:
    """A box whose rows are one vector each. So little is done for a row that the processor looks many rows ahead; with
    every test more it would look less far."""
    step_z, step_y = strides[0], strides[1]
    for z in range(VECTOR):
        row, ahead = first + z * step_z, z + PLANES_AHEAD
        soon = first + ahead * step_z if ahead < VECTOR else next_first + (ahead - VECTOR) * next_strides[0]
        for _ in range(VECTOR):
            # the row may lie across two lines
            _prefetch(voxels, soon)
            _prefetch(voxels, soon + VECTOR - 1)
            if past:
                _row_past(out, at, voxels, row)
            else:
                _row(out, at, voxels, row)
            at += VECTOR
            row += step_y
            soon += step_y


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _by_row(out: Any, at: Any, voxels: Any, first: Any, strides: Any, box: Any, past: Any) -> None:
    """A box of any side: whole vectors of each row, and the rest value by value."""
    whole = box // VECTOR * VECTOR
    for z in range(box):
        row = first + z * strides[0]
        for _ in range(box):
            for x in range(0, whole, VECTOR):
                _prefetch(voxels, row + PLANES_AHEAD * strides[0] + x)
                if past:
                    _row_past(out, at + x, voxels, row + x)
                else:
                    _row(out, at + x, voxels, row + x)
            for x in range(whole, box):
                _value(out, at + x, voxels, row + x)
            at += box
            row += strides[1]


@njit(nogil=True)  # type: ignore[untyped-decorator]
def _by_value(out: Any, at: Any, voxels: Any, first: Any, strides: Any, box: Any) -> None:
    """A box that is turned so that its rows are not those of the volume."""
    for z in range(box):
        for y in range(box):
            row = first + z * strides[0] + y * strides[1]
            for x in range(box):
                _value(out, at + x, voxels, row + x * strides[2])
            at += box


@njit(nogil=True, cache=True, boundscheck=True)  # type: ignore[untyped-decorator]
def scatter_points(boxes: Any, first: Any, last: Any, place: Any, values: Any) -> None:
    """`kernels.scatter`; boxes: uint8 (n, box^3). IndexError for a place outside."""
    for sample in range(first.shape[0]):
        boxes[sample, :] = 0
        for point in range(first[sample], last[sample]):
            boxes[sample, place[point]] = values[point]
