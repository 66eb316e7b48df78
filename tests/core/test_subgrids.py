"""Cutting a volume into boxes and putting it together again."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.subgrids import SubgridGrid, cut_box

SHAPES = [
    pytest.param((40, 40, 40), id="cores fit"),
    pytest.param((41, 38, 36), id="ragged"),
    pytest.param((5, 61, 20), id="thinner than a core"),
    pytest.param((1, 1, 1), id="one voxel"),
]


def test_core_k_covers_20_voxels_and_its_box_begins_6_before() -> None:
    grid = SubgridGrid.uniform((45, 20, 1))

    assert grid.counts_zyx == (3, 1, 1)
    assert grid.starts_zyx().tolist() == [[-6, -6, -6], [14, -6, -6], [34, -6, -6]]


def test_starts_run_along_x_first() -> None:
    assert SubgridGrid.uniform((40, 20, 40)).starts_zyx().tolist() == [
        [-6, -6, -6],
        [-6, -6, 14],
        [14, -6, -6],
        [14, -6, 14],
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_start_of_is_the_row_of_starts(shape: tuple[int, int, int]) -> None:
    grid = SubgridGrid.uniform(shape)

    assert [grid.start_of(i) for i in range(len(grid))] == [tuple(row) for row in grid.starts_zyx().tolist()]


def test_start_of_a_box_that_is_not_there_is_an_error() -> None:
    grid = SubgridGrid.uniform((20, 20, 20))
    for number in (-1, 1):
        with pytest.raises(IndexError, match=f"^box {number} of 1$"):
            grid.start_of(number)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("box", "core"), [(32, 20), (8, 8), (7, 3)])
def test_stitching_the_cut_boxes_gives_the_volume_back(shape: tuple[int, int, int], box: int, core: int) -> None:
    data = np.random.Generator(np.random.PCG64(0)).random(shape, dtype=np.float32)
    grid = SubgridGrid.uniform(shape, box, core)

    boxes = [grid.cut(data, start) for start in grid.starts_zyx()]

    assert all(item.shape == (box, box, box) for item in boxes)
    assert np.array_equal(data, grid.stitch(boxes))


def test_a_box_is_zero_outside_the_volume() -> None:
    box = cut_box(np.ones((4, 4, 4), dtype=np.uint8), (-2, 1, 3), 4)

    assert box.sum() == 2 * 3 * 1
    assert box[2:, :3, :1].all()


def test_a_box_wholly_outside_is_zero() -> None:
    assert not cut_box(np.ones((4, 4, 4)), (10, 0, 0), 4).any()


@pytest.mark.parametrize(
    ("box", "core", "message"),
    [
        (32, 33, "core must be 1 to box, found core=33, box=32"),
        (32, 21, "box - core must be even so that the core is centred, found box=32, core=21"),
    ],
)
def test_a_grid_that_would_not_tile_is_refused(box: int, core: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        SubgridGrid.uniform((9, 9, 9), box, core)


@pytest.mark.parametrize(("box", "core"), [(8, 4), (5, 5), (9, 1), (1, 1)])
@pytest.mark.parametrize(("offset", "size"), [(0, 4), (-2, 8), (-7, 18), (3, 1)])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_which_cubes_hold_which_voxels_is_what_looking_at_each_gives(
    box: int, core: int, offset: int, size: int, count: int
) -> None:
    grid = SubgridGrid.uniform((11, 7, 13), box, core)
    voxel = np.random.default_rng(count).integers(-4, 18, (count, 3)).astype(np.int32)

    ends, rows = grid.containing(voxel, offset, size)

    assert (ends[0], ends[-1], len(ends)) == (0, len(rows), len(grid) + 1)
    for start, first, last in zip(grid.starts_zyx() + grid.margin + offset, ends[:-1], ends[1:], strict=True):
        held = np.all((voxel >= start) & (voxel < start + size), axis=1)
        assert rows[first:last].tolist() == np.flatnonzero(held).tolist()
