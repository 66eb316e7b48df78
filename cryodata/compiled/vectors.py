"""Several values at a time from one array to another: what loops of numba alone are not sure to become."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cryodata.compiled import LINE

FAR_CACHE = 2
"for a prefetch: into the second cache, which takes more requests at a time than the first"


def mover(width: int, past: bool = False) -> Any:
    """An intrinsic (target, at, source, start): `width` values as they are, or float16 seen as uint16 into float32.

    past: written past the caches, for more than these hold: the memory is not read first. The values then fill whole
    lines of the target, and a `fence` follows before anybody else reads them.
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
def fence(context: Any) -> Any:
    """What was written past the caches comes before whatever is written next."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(context: Any, array: Any, at: Any) -> Any:
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
