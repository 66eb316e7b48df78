"""The inner loops, compiled by numba on first use and kept in its cache on disk."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from cryodata.read.buffers import ALIGNED

VECTOR = 32
"values that are widened at a time; boxes whose side is no multiple of it end each row value by value"


def _copier(width: int, past: bool = False) -> Any:
    """An intrinsic that moves `width` values into a float32 array: float32, or float16 that is seen as uint16.

    past: written past the caches, which a batch does not fit anyway, so that its memory is not read first; for places
    that are `ALIGNED`.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def copy(context: Any, target: Any, at: Any, source: Any, start: Any) -> Any:
        half = source.dtype == types.uint16

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into, place, of, begin = arguments
            target_type, _, source_type, _ = signature.args
            target_data = context.make_array(target_type)(context, builder, into).data
            source_data = context.make_array(source_type)(context, builder, of).data
            wide = ir.VectorType(ir.FloatType(), width)
            narrow = ir.VectorType(ir.HalfType(), width) if half else wide
            there = builder.bitcast(builder.gep(source_data, [begin]), narrow.as_pointer())
            here = builder.bitcast(builder.gep(target_data, [place]), wide.as_pointer())
            values = builder.load(there, align=source.dtype.bitwidth // 8)
            written = builder.store(builder.fpext(values, wide) if half else values, here, align=ALIGNED if past else 4)
            if past:
                written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
            return context.get_dummy_value()

        return types.void(target, types.intp, source, types.intp), generate

    return copy


@intrinsic  # type: ignore[untyped-decorator]
def _fence(context: Any) -> Any:
    """What was written past the caches comes before whatever is written next."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


_row, _row_past, _value = _copier(VECTOR), _copier(VECTOR, past=True), _copier(1)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def cut_boxes(out: Any, voxels: Any, first: Any, strides: Any, box: Any, past: Any) -> None:
    """`kernels.cut`; out: float32, flat; voxels: float32, or uint16 for float16; past: whether every row of a box
    is `ALIGNED`. The caller has checked the bounds.
    """
    at = 0
    for sample in range(first.shape[0]):
        whole = box // VECTOR * VECTOR if strides[sample, 2] == 1 else 0
        for z in range(box):
            row = first[sample] + z * strides[sample, 0]
            for _ in range(box):
                for x in range(0, whole, VECTOR):
                    if past:
                        _row_past(out, at + x, voxels, row + x)
                    else:
                        _row(out, at + x, voxels, row + x)
                for x in range(whole, box):
                    _value(out, at + x, voxels, row + x * strides[sample, 2])
                at += box
                row += strides[sample, 1]
    if past:
        _fence()


@njit(nogil=True, cache=True, boundscheck=True)  # type: ignore[untyped-decorator]
def scatter_points(boxes: Any, first: Any, last: Any, place: Any, values: Any) -> None:
    """`kernels.scatter`; boxes: uint8 (n, box^3). IndexError for a place outside."""
    for sample in range(first.shape[0]):
        boxes[sample, :] = 0
        for point in range(first[sample], last[sample]):
            boxes[sample, place[point]] = values[point]
