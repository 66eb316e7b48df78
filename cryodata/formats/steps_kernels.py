"""Loops between densities as float16 and the numbers of steps that are stored of them.

As in `compiled.moves`, all that these are made of stands here: numba looks at no other file when it takes machine code
that it kept. float16 is seen as uint16 throughout, which is all that numba knows of it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from cryodata import compiled
from cryodata.core import schema

LINE, VECTOR, STEP = 64, 32, 2.0**-10
if (LINE, VECTOR, STEP) != (compiled.LINE, compiled.VECTOR, schema.STEP):
    raise AssertionError("lines, vectors or steps of the loops are not those that all else counts on")


def _putter(width: int, past: bool = False) -> Any:
    """An intrinsic (target, at, source, start): `width` numbers as float16. past: as there."""

    @intrinsic  # type: ignore[untyped-decorator]
    def put(context: Any, target: Any, at: Any, source: Any, start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into, place, of, begin = arguments
            wide = ir.VectorType(ir.FloatType(), width)
            numbers = _load(context, builder, signature.args[2], of, begin, ir.IntType(16), width)
            values = builder.fmul(builder.uitofp(numbers, wide), ir.Constant(wide, [STEP] * width))
            written = _store(context, builder, signature.args[0], into, place, builder.fptrunc(values, _half(width)))
            if past:
                written.align = LINE
                written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
            return context.get_dummy_value()

        return types.void(target, types.intp, source, types.intp), generate

    return put


def _counter(width: int) -> Any:
    """An intrinsic (values, at): `width` float16 become numbers; whether each of them had one."""

    @intrinsic  # type: ignore[untyped-decorator]
    def count(context: Any, values: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, place = arguments
            wide = ir.VectorType(ir.FloatType(), width)
            halves = _load(context, builder, signature.args[0], array, place, ir.HalfType(), width)
            values = builder.fpext(halves, wide)
            none, most = ir.Constant(wide, [0.0] * width), ir.Constant(wide, [1.0] * width)
            inside = builder.and_(builder.fcmp_ordered(">=", values, none), builder.fcmp_ordered("<=", values, most))
            # of what lies outside no number could be made
            safe = builder.select(inside, values, none)
            steps = builder.fmul(safe, ir.Constant(wide, [1 / STEP] * width))
            # processors have conversions of 32 bits
            numbers = builder.fptosi(steps, ir.VectorType(ir.IntType(32), width))
            few = builder.trunc(numbers, ir.VectorType(ir.IntType(16), width))
            _store(context, builder, signature.args[0], array, place, few)
            again = builder.fmul(builder.sitofp(numbers, wide), ir.Constant(wide, [STEP] * width))
            same = builder.bitcast(builder.fcmp_ordered("==", again, values), ir.IntType(width))
            return builder.icmp_unsigned("==", same, ir.Constant(ir.IntType(width), (1 << width) - 1))

        return types.boolean(values, types.intp), generate

    return count


@intrinsic  # type: ignore[untyped-decorator]
def _fence(context: Any) -> Any:
    """What was written past the caches comes before whatever is written next."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


def _half(width: int) -> Any:
    return ir.VectorType(ir.HalfType(), width)


def _load(context: Any, builder: Any, kind: Any, array: Any, at: Any, element: Any, width: int) -> Any:
    there = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return builder.load(builder.bitcast(there, ir.VectorType(element, width).as_pointer()), align=2)


def _store(context: Any, builder: Any, kind: Any, array: Any, at: Any, values: Any) -> Any:
    here = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    return builder.store(values, builder.bitcast(here, values.type.as_pointer()), align=2)


_put_some, _put_past, _put_one = _putter(VECTOR), _putter(VECTOR, past=True), _putter(1)
_count_some, _count_one = _counter(VECTOR), _counter(1)

# one layout for all arrays, compiled when this is imported: not for each chunk at the edge, by a thread that decodes
_CHUNK = types.Array(types.uint16, 3, "A")


@njit([types.void(_CHUNK, _CHUNK, types.boolean)], nogil=True, cache=True)  # type: ignore[untyped-decorator]
def put(target: Any, numbers: Any, past: Any) -> None:
    """target[...] = numbers * STEP; numbers uint16 (nz, ny, nx), and float16. Rows are contiguous. past: those of
    `target` begin lines of the cache and are written past it."""
    nz, ny, nx = target.shape
    to_z, to_y = target.strides[0] // 2, target.strides[1] // 2
    of_z, of_y = numbers.strides[0] // 2, numbers.strides[1] // 2
    whole = nx // VECTOR * VECTOR
    for z in range(nz):
        for y in range(ny):
            to, of = z * to_z + y * to_y, z * of_z + y * of_y
            for x in range(0, whole, VECTOR):
                if past:
                    _put_past(target, to + x, numbers, of + x)
                else:
                    _put_some(target, to + x, numbers, of + x)
            for x in range(whole, nx):
                _put_one(target, to + x, numbers, of + x)
    if past:
        _fence()


@njit([types.boolean(types.Array(types.uint16, 1, "C"))], nogil=True, cache=True)  # type: ignore[untyped-decorator]
def count(values: Any) -> bool:
    """values[...] /= STEP; float16 (n,) become numbers uint16. False if one was no multiple of STEP from 0 to 1."""
    whole = len(values) // VECTOR * VECTOR
    exact = True
    for at in range(0, whole, VECTOR):
        exact &= _count_some(values, at)
    for at in range(whole, len(values)):
        exact &= _count_one(values, at)
    return exact
