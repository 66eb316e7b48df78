"""A density from 0 to 1 as numbers of steps: what is stored of it, uint16, with a scale factor for other readers.

The same values as float16 would take 1.3 times the bytes, and three times as long to compress, as an exponent and the
first bits of a number share a byte (benchmarks/formats); and viewers know uint16, of which many know no float16. The
scale factor is an attribute of the array, by the name that the CF conventions have for it (section 8.1, packed data):
xarray, for one, gives values from 0 to 1; what knows nothing of it gives numbers from 0 to 1024.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import numpy.typing as npt

from cryodata.compiled import loops
from cryodata.core.schema import STEP

DTYPE = np.dtype("<u2")
"of the numbers"

ATTRIBUTES = {"scale_factor": STEP}
"of an array of numbers"

NONE = 65535
"in the table of numbers: there is none"

Part = tuple[slice, ...]
"where something lies in an array"

Put = Callable[[Part, Part], None]
"writes to a place of one array what lies at a place of another"

_loops = partial(loops, "cryodata.formats.steps_kernels", half=True)


def count(values: npt.NDArray[np.float16]) -> npt.NDArray[np.uint16]:
    """The numbers of steps of values (nz, ny, nx), in their memory, which is contiguous. ValueError if one is no
    multiple of STEP from 0 to 1."""
    numbers = values.view(np.uint16)
    compiled = _loops()
    if compiled is not None:
        exact = compiled.count(numbers.reshape(-1))
    else:
        numbers[...] = _numbers()[numbers]
        exact = not (numbers == NONE).any()
    if not exact:
        raise ValueError(f"the density has values that are no multiples of {STEP} from 0 to 1")
    return numbers


def putter(target: npt.NDArray[np.float16], numbers: npt.NDArray[np.uint16], past: bool) -> Put:
    """What writes the values of a part of some numbers (nz, ny, nx), whose rows are contiguous, to a part of a target.
    past: rows of the target begin lines of the cache; they are written past it."""
    compiled = _loops() if target.strides[-1] == target.itemsize else None
    if compiled is None:

        def put(place: Part, part: Part) -> None:
            target[place] = _values()[numbers[part]]

        return put
    into, move = target.view(np.uint16), compiled.put
    return lambda place, part: move(into[place], numbers[part], past)


# arithmetic of float16 is slow, and there are few numbers of 16 bits


@cache
def _values() -> npt.NDArray[np.float16]:
    """The value of each number."""
    return (np.arange(1 << 16, dtype=np.float32) * np.float32(STEP)).astype(np.float16)


@cache
def _numbers() -> npt.NDArray[np.uint16]:
    """The number of each float16, by its bits; NONE where it has none."""
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    inside = (values >= 0) & (values <= 1)
    numbers = np.where(inside, values, 0) / np.float32(STEP)
    return np.where(inside & (numbers == np.rint(numbers)), numbers, NONE).astype(np.uint16)
