"""Where a decoded volume lies in a slot."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.compiled import LINE
from cryodata.core.subgrids import SubgridGrid
from cryodata.read.frame import clear_frame, framed, lead, slot_voxels
from cryodata.read.slots import OwnSlots

SHAPES = np.array([(40, 33, 50), (7, 61, 20), (1, 1, 1)])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("box", "core"), [(32, 20), (8, 8), (9, 3), (1, 1)])
def test_rows_of_every_volume_begin_lines_of_the_cache_in_every_slot(dtype: str, box: int, core: int) -> None:
    slots = OwnSlots(3, slot_voxels(SHAPES, box, core), dtype)

    for slot in range(3):
        for shape in SHAPES:
            grid = SubgridGrid.uniform(shape, box, core)
            frame = framed(slots.voxels[slots.begin_of(slot) + lead(grid.margin) :], grid)
            volume = frame[grid.inside]
            assert volume.ctypes.data % LINE == volume.strides[0] % LINE == volume.strides[1] % LINE == 0
            end = (frame.ctypes.data - slots.voxels.ctypes.data + frame.nbytes) // frame.itemsize
            assert end <= slots.begin_of(slot) + slot_voxels(SHAPES, box, core)


def test_the_frame_holds_every_box_and_zeros_around_the_volume() -> None:
    grid = SubgridGrid.uniform((40, 33, 50), 32, 20)
    frame = framed(np.full(10**6, 5, dtype=np.float32), grid)
    clear_frame(frame, grid)

    assert all(n >= least for n, least in zip(frame.shape, grid.padded_zyx, strict=True))
    assert (frame[grid.inside] == 5).all()
    assert frame.sum() == 5 * 40 * 33 * 50
