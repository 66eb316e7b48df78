"""The inner loops: what they cut is what NumPy's own indexing gives, compiled or not."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.read import kernels


def volumes_in_a_row(dtype: str) -> tuple[np.ndarray, list[np.ndarray], list[int]]:
    """Two volumes of different shapes in one flat array: the array, the volumes, and where they begin."""
    rng = np.random.default_rng(0)
    flat = rng.integers(0, 200, 4000).astype(dtype) / np.dtype(dtype).type(1)
    return flat, [flat[7 : 7 + 1000].reshape(10, 10, 10), flat[1100 : 1100 + 2184].reshape(12, 13, 14)], [7, 1100]


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
@pytest.mark.parametrize("box", [1, 3, 8])
def test_a_box_is_what_slicing_gives(loops: str, dtype: str, box: int) -> None:
    flat, volumes, begins = volumes_in_a_row(dtype)
    flat = flat.astype(dtype)
    starts, strides = [(0, 0, 0), (2, 1, 0)], [(100, 10, 1), (182, 14, 1)]
    first = np.array([b + np.dot(s, t) for b, s, t in zip(begins, starts, strides, strict=True)])
    out = np.full((2, box, box, box), -1, dtype=np.float32)

    kernels.cut(out, flat, first, np.array(strides))

    for cube, volume, (z, y, x) in zip(out, volumes, starts, strict=True):
        np.testing.assert_array_equal(cube, volume[z : z + box, y : y + box, x : x + box].astype(np.float32))


@pytest.mark.parametrize("box", [32, 33, 64])
def test_rows_longer_than_a_vector_are_whole(loops: str, box: int) -> None:
    volume = np.random.default_rng(1).random((box, box, box), dtype=np.float32).astype(np.float16)
    out = np.zeros((1, box, box, box), dtype=np.float32)

    kernels.cut(out, volume.reshape(-1), np.array([0]), np.array([[box * box, box, 1]]))

    np.testing.assert_array_equal(out[0], volume.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("lined", [True, False])
def test_boxes_of_one_vector_a_row_lie_anywhere_in_their_volumes(loops: str, dtype: str, lined: bool) -> None:
    """Memory is asked for ahead, also beyond the last box: that must read nothing but what is cut."""
    rng = np.random.default_rng(2)
    shapes, voxels = [(40, 41, 50), (32, 32, 32)], rng.random(40 * 41 * 50 + 32**3, dtype=np.float32).astype(dtype)
    volumes = np.split(voxels, [40 * 41 * 50])
    places = [(0, (8, 9, 18)), (1, (0, 0, 0)), (0, (0, 0, 0)), (0, (3, 7, 5)), (1, (0, 0, 0))]
    strides = np.array([(shapes[v][1] * shapes[v][2], shapes[v][2], 1) for v, _ in places])
    first = np.array([v * 40 * 41 * 50 + np.dot(start, step) for (v, start), step in zip(places, strides, strict=True)])
    memory = np.zeros(len(places) * 32**3 + 17, dtype=np.float32)
    begin = -(memory.ctypes.data // 4) % 16 + (not lined)
    out = memory[begin : begin + len(places) * 32**3].reshape(-1, 32, 32, 32)

    kernels.cut(out, voxels, first, strides)

    for cube, (v, (z, y, x)) in zip(out, places, strict=True):
        np.testing.assert_array_equal(cube, volumes[v].reshape(shapes[v])[z : z + 32, y : y + 32, x : x + 32])


def test_permuted_and_reversed_strides_turn_the_box(loops: str) -> None:
    volume = np.arange(64, dtype=np.float16).reshape(4, 4, 4)
    out = np.zeros((1, 4, 4, 4), dtype=np.float32)

    # x backwards becomes z, z becomes y, y becomes x: begins at the last x
    kernels.cut(out, volume.reshape(-1), np.array([3]), np.array([[-1, 16, 4]]))

    np.testing.assert_array_equal(out[0], volume.transpose(2, 0, 1)[::-1])


def test_every_float16_is_widened_exactly(loops: str) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    out = np.zeros((2, 32, 32, 32), dtype=np.float32)

    kernels.cut(out, every, np.array([0, 2**15]), np.array([[1024, 32, 1]] * 2))

    np.testing.assert_array_equal(out.reshape(-1), every.astype(np.float32))


@pytest.mark.parametrize(("first", "strides"), [(-1, (16, 4, 1)), (1, (16, 4, 1)), (0, (16, -4, 1))])
def test_a_box_that_leaves_the_voxels_is_refused_before_anything_is_read(
    loops: str, first: int, strides: tuple[int, int, int]
) -> None:
    out = np.full((1, 4, 4, 4), 5, dtype=np.float32)

    with pytest.raises(IndexError, match="a box reaches from"):
        kernels.cut(out, np.zeros(64, dtype=np.float16), np.array([first]), np.array([strides]))

    assert np.all(out == 5)


def test_boxes_of_which_some_have_no_strides_are_refused(loops: str) -> None:
    with pytest.raises(ValueError, match=r"strides \(1, 3\) and 2 boxes; expected \(2, 3\) and 2"):
        kernels.cut(
            np.zeros((2, 4, 4, 4), np.float32), np.zeros(99, np.float16), np.zeros(2, int), np.ones((1, 3), int)
        )


def test_points_are_written_where_they_lie_and_all_else_is_0(loops: str) -> None:
    out = np.full((3, 2, 2, 2), 9, dtype=np.uint8)
    place, values = np.array([0, 7, 3]), np.array([1, 2, 3], dtype=np.uint8)

    # the first box has two points, the second none, the third the last two
    kernels.scatter(out, np.array([0, 1, 1]), np.array([2, 1, 3]), place, values)

    assert out.reshape(3, 8).tolist() == [[1, 0, 0, 0, 0, 0, 0, 2], [0] * 8, [0, 0, 0, 3, 0, 0, 0, 2]]


def test_a_point_outside_its_box_is_refused(loops: str) -> None:
    out = np.zeros((1, 2, 2, 2), dtype=np.uint8)

    with pytest.raises(IndexError):
        kernels.scatter(out, np.array([0]), np.array([1]), np.array([8]), np.array([1], dtype=np.uint8))
