"""Loops over whole volumes compiled by numba: the same sums in the same order as NumPy's, so the same bytes."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR = 32
"values that are narrowed at a time"

LANES = 16
"sums that are made side by side: as many as a processor adds at once"

LINE = 16
"float32 that a line of the cache holds"

ROWS_AHEAD = 2
"rows that memory is asked for before their turn: more would wait for those that are read now"

WHOLE = np.float32(1.5 * 2**23)
"a float32 to which another of less than 2^22 is added is rounded to a whole number, halves to the even one"


# as in `compiled/moves.py`: numba notices changes of this file alone, so nothing that loops are made of is imported


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    """Where a value lies, counted from the first one of an array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [at])


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch(context: Any, array: Any, at: Any) -> Any:
    """Have a value, which need not be of the array, on its way to the caches when it is asked for."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        there = _pointer(context, builder, signature.args[0], *arguments)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        asked = builder.module.declare_intrinsic(
            "llvm.prefetch", (byte,), ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        )
        read, second_cache, data = (ir.Constant(number, value) for value in (0, 2, 1))
        builder.call(asked, [builder.bitcast(there, byte), read, second_cache, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def interpolate(
    values: Any, lower_y: Any, upper_y: Any, above_y: Any, lower_x: Any, upper_x: Any, above_x: Any, row: Any, out: Any
) -> None:
    """A plane at points between its own, along y, then x. lower, upper: places, unsigned. above: the share of the upper
    one. row: scratch (nx,)."""
    last, width = values.shape[0] - 1, values.strides[0] // values.itemsize
    for y in range(out.shape[0]):
        lower, upper = values[lower_y[y]], values[upper_y[y]]
        ahead = min(np.intp(upper_y[y]) + ROWS_AHEAD, last) * width
        for x in range(0, len(row), LINE):  # rows that are left out are no pattern that a processor foresees
            _prefetch(values, ahead + x)
        above = above_y[y]
        below = 1.0 - above
        for x in range(len(row)):
            row[x] = lower[x] * below + upper[x] * above
        for x in range(out.shape[1]):
            out[y, x] = row[lower_x[x]] * (1.0 - above_x[x]) + row[upper_x[x]] * above_x[x]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def mix(lower: Any, upper: Any, above: float, out: Any) -> None:
    """What lies the share `above` on the way from one plane to another."""
    below = 1.0 - above
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = lower[y, x] * below + upper[y, x] * above


def _narrower(width: int) -> Any:
    """An intrinsic that rounds `width` values of float32 to float16, seen as uint16."""

    @intrinsic  # type: ignore[untyped-decorator]
    def narrow_some(context: Any, source: Any, target: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            of, into, place = arguments
            source_data = context.make_array(signature.args[0])(context, builder, of).data
            target_data = context.make_array(signature.args[1])(context, builder, into).data
            wide, half = ir.VectorType(ir.FloatType(), width), ir.VectorType(ir.HalfType(), width)
            values = builder.load(builder.bitcast(builder.gep(source_data, [place]), wide.as_pointer()), align=4)
            there = builder.bitcast(builder.gep(target_data, [place]), half.as_pointer())
            builder.store(builder.fptrunc(values, half), there, align=2)
            return context.get_dummy_value()

        return types.void(source, target, types.intp), generate

    return narrow_some


_some, _one = _narrower(VECTOR), _narrower(1)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def narrow(source: Any, target: Any, step: Any) -> None:
    """Round float32 (n,) to the nearest float16, which are seen as uint16 (n,); they may lie in the same memory. step:
    0, or a power of two of which they become multiples, in `source` too; values below 2^22 of it then."""
    whole, big = len(source) - len(source) % VECTOR, WHOLE * step
    for at in range(0, whole, VECTOR):
        if step:
            for i in range(at, at + VECTOR):
                source[i] = (source[i] + big) - big
        _some(source, target, at)
    for at in range(whole, len(source)):
        if step:
            source[at] = (source[at] + big) - big
        _one(source, target, at)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def multiples(bits: Any, digits: int) -> bool:
    """Whether all float16, seen as uint16 (n,), are multiples of 2^-digits; NaN is none."""
    others: Any = 0
    for i in range(len(bits)):
        value: Any = np.int32(bits[i]) & 0x7FFF
        exponent: Any = max(value >> 10, 1)
        whole = value if value < 1 << 10 else (value & 0x3FF) | 1 << 10  # times 2^(exponent - 25)
        places = min(max(25 - digits - exponent, 0), 15)
        others |= (whole & ((1 << places) - 1)) | (value > 0x7C00)
    return bool(others == 0)


@intrinsic  # type: ignore[untyped-decorator]
def _sum_vectors(context: Any, values: Any, base: Any, sums: Any) -> Any:
    """`sum_powers` of as many whole vectors of LANES values as there are. Its sums stay in registers: in arrays, each
    would wait until the one before was stored."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, base, target = arguments
        count = builder.extract_value(context.make_array(signature.args[0])(context, builder, source).shape, 0)
        lanes, narrow = ir.Constant(count.type, LANES), ir.VectorType(ir.FloatType(), LANES)
        wide = ir.VectorType(ir.DoubleType(), LANES)
        bases = ir.Constant(wide, ir.Undefined)
        for lane in range(LANES):
            bases = builder.insert_element(bases, base, ir.Constant(ir.IntType(32), lane))
        first, second = (cgutils.alloca_once_value(builder, ir.Constant(wide, [0.0] * LANES)) for _ in range(2))
        with cgutils.for_range(builder, builder.sdiv(count, lanes)) as loop:
            there = _pointer(context, builder, signature.args[0], source, builder.mul(loop.index, lanes))
            some = builder.load(builder.bitcast(there, narrow.as_pointer()), align=4)
            apart = builder.fsub(builder.fpext(some, wide), bases)
            builder.store(builder.fadd(builder.load(first), apart), first)
            builder.store(builder.fadd(builder.load(second), builder.fmul(apart, apart)), second)
        for number, found in enumerate((first, second)):
            at = ir.Constant(count.type, number * LANES)
            there = _pointer(context, builder, signature.args[2], target, at)
            builder.store(builder.load(found), builder.bitcast(there, wide.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(values, base, sums), generate


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sum_powers(values: Any, base: float, sums: Any) -> None:
    """Sums (2, LANES) of values (n,), contiguous float32, less `base`, and of their squares: each lane has every
    LANES-th value."""
    _sum_vectors(values, base, sums)
    whole = len(values) - len(values) % LANES
    for lane in range(len(values) - whole):
        apart = np.float64(values[whole + lane]) - base
        sums[0, lane] += apart
        sums[1, lane] += apart * apart
