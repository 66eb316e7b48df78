"""What a header says of voxels, place, cell and stacks."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.formats.mrc import read_volume
from cryodata.formats.mrc_header import read_header
from tests.formats.mrc.small import AXES, map_bytes, read


def test_the_voxel_is_the_cell_over_its_intervals_whatever_the_number_of_values(path: Path) -> None:
    # n 4, 3, 2 and m 8, 2, 5: a part of a cell, as in EMD-1080
    volume = read(path, map_bytes(m=(8, 2, 5), cell=(4.0, 5.0, 6.0)))

    assert volume.voxel_size_xyz.tolist() == [0.5, 2.5, 1.2]


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "axes{}{}{}".format(*axes))
def test_cell_and_intervals_are_x_y_z_in_every_axis_order(path: Path, axes: tuple[int, int, int]) -> None:
    volume = read(path, map_bytes(axes, m=(4, 3, 2), cell=(4.0, 6.0, 6.0)))

    assert volume.voxel_size_xyz.tolist() == [1.0, 2.0, 3.0]


def test_the_voxel_is_never_rounded(path: Path) -> None:
    cell = struct.unpack("<f", struct.pack("<f", 3.33))[0]  # float32 in the header, float64 from there on

    assert cell != 3.33
    assert cell / 4 == read(path, map_bytes(cell=(3.33, 3.0, 2.0))).voxel_size_xyz[0]


@pytest.mark.parametrize(
    ("axes", "expected_xyz"),
    [
        # NSTART is 4, 5, 6 along columns, rows, sections; voxels are 1, 10 and 100 A along x, y, z
        pytest.param((1, 2, 3), [4.0, 50.0, 600.0], id="axes123"),
        pytest.param((1, 3, 2), [4.0, 60.0, 500.0], id="axes132"),
        pytest.param((2, 1, 3), [5.0, 40.0, 600.0], id="axes213"),
        pytest.param((2, 3, 1), [6.0, 40.0, 500.0], id="axes231"),
        pytest.param((3, 1, 2), [5.0, 60.0, 400.0], id="axes312"),
        pytest.param((3, 2, 1), [6.0, 50.0, 400.0], id="axes321"),
    ],
)
def test_nstart_follows_the_axes_of_the_file_and_origin_does_not(
    path: Path, axes: tuple[int, int, int], expected_xyz: list[float]
) -> None:
    path.write_bytes(map_bytes(axes, nstart=(4, 5, 6), cell=(4.0, 30.0, 200.0), origin=(7.0, 8.0, 9.0)))
    frames = read_header(path).frames

    assert expected_xyz == frames["nstart"].tolist()
    assert frames["origin"].tolist() == [7.0, 8.0, 9.0]


def test_a_header_offers_four_frames(path: Path) -> None:
    path.write_bytes(map_bytes(nstart=(-2, 0, 1), cell=(8.0, 6.0, 4.0), origin=(1.5, -2.5, 0.0)))
    frames = read_header(path).frames

    # voxels of 2 A
    assert {name: frame.tolist() for name, frame in frames.items()} == {
        "nstart": [-4.0, 0.0, 2.0],
        "origin": [1.5, -2.5, 0.0],
        "zero": [0.0, 0.0, 0.0],
        "sum": [-2.5, -2.5, 2.0],
    }


@pytest.mark.parametrize(
    ("nstart", "origin", "frame", "expected_xyz"),
    [
        pytest.param((0, 0, 0), (0.0, 0.0, 0.0), "nstart", [0.0, 0.0, 0.0], id="neither"),
        pytest.param((3, 0, 0), (0.0, 0.0, 0.0), "nstart", [3.0, 0.0, 0.0], id="nstart alone"),
        pytest.param((3, 0, 0), (0.0, -1.5, 0.0), "origin", [0.0, -1.5, 0.0], id="one component of origin"),
        pytest.param((3, 0, 0), (39.5, 0.0, 0.0), "origin", [39.5, 0.0, 0.0], id="under ten cells"),
        pytest.param((3, 0, 0), (40.0, 0.0, 0.0), "nstart", [3.0, 0.0, 0.0], id="ten cells"),
        pytest.param((3, 0, 0), (0.0, -30.0, 0.0), "nstart", [3.0, 0.0, 0.0], id="minus ten cells"),
        pytest.param((3, 0, 0), (1.0, 1.0, 1e30), "nstart", [3.0, 0.0, 0.0], id="garbage in one"),
        pytest.param((3, 0, 0), (1.0, float("nan"), 1.0), "nstart", [3.0, 0.0, 0.0], id="nan"),
        pytest.param((3, 0, 0), (1.0, 1.0, float("-inf")), "nstart", [3.0, 0.0, 0.0], id="infinite"),
    ],
)
def test_origin_holds_if_it_is_set_and_plausible_else_nstart(
    path: Path, nstart: tuple[int, ...], origin: tuple[float, ...], frame: str, expected_xyz: list[float]
) -> None:
    path.write_bytes(map_bytes(nstart=nstart, origin=origin))  # a cell of 4 x 3 x 2 A, voxels of 1 A
    header = read_header(path)

    assert frame == header.frame
    assert expected_xyz == header.frames[frame].tolist()
    assert expected_xyz == read_volume(path, header).origin_xyz.tolist()
    assert all(np.isfinite(place).all() for place in header.frames.values())


@pytest.mark.parametrize(
    "angles",
    [
        pytest.param((90.0, 90.0, 90.0), id="right"),
        pytest.param((0.0, 0.0, 0.0), id="not set"),
        pytest.param((90.0, 89.995, 90.009), id="within a hundredth"),
    ],
)
def test_a_cell_of_right_angles_is_orthogonal(path: Path, angles: tuple[float, ...]) -> None:
    path.write_bytes(map_bytes(angles=angles))

    read_header(path).check_orthogonal()


def test_angles_that_are_not_set_are_read_as_right_ones(path: Path) -> None:
    path.write_bytes(map_bytes(angles=(0.0, 0.0, 0.0)))

    assert read_header(path).angles == (90.0, 90.0, 90.0)


@pytest.mark.parametrize(
    ("angles", "found"),
    [
        pytest.param((90.0, 94.3, 90.0), "90, 94.3, 90", id="monoclinic"),
        pytest.param((90.0, 90.0, 120.0), "90, 90, 120", id="hexagonal"),
        pytest.param((90.0, 90.02, 90.0), "90, 90.02, 90", id="off by two hundredths"),
        pytest.param((0.0, 90.0, 90.0), "0, 90, 90", id="one not set"),
        pytest.param((-90.0, 90.0, 90.0), "-90, 90, 90", id="negative"),
    ],
)
def test_another_cell_is_refused_when_the_recipe_asks(path: Path, angles: tuple[float, ...], found: str) -> None:
    path.write_bytes(map_bytes(angles=angles))
    header = read_header(path)  # reading the header alone refuses nothing: too_large and others come after

    with pytest.raises(RejectedError) as refused:
        header.check_orthogonal()

    assert refused.value.code == "non_orthogonal"
    assert f"small.map: cell angles are {found} degrees; expected 90, 90, 90" == str(refused.value)


@pytest.mark.parametrize(
    ("sections", "each", "group", "found"),
    [
        pytest.param(6, 3, 401, "a stack of 2 volumes (ISPG 401)", id="volumes"),
        pytest.param(6, 1, 0, "a stack of 6 images (ISPG 0, MZ 1)", id="images"),
    ],
)
def test_a_stack_is_no_map(tmp_path: Path, sections: int, each: int, group: int, found: str) -> None:
    path = tmp_path / "stack.mrc"
    with mrcfile.new(path) as file:
        data = np.ones((sections, 4, 5), np.float32)
        file.set_data(data.reshape(-1, each, 4, 5) if group else data)
        file.voxel_size = 1.0
        if not group:
            file.set_image_stack()
        assert (int(file.header.ispg), int(file.header.mz)) == (group, each)

    with pytest.raises(RejectedError, match=re.escape(f"stack.mrc: {found}; expected one map in a file")) as refused:
        read_header(path)

    assert refused.value.code == "unreadable_map"


@pytest.mark.parametrize(("sections", "each", "group"), [(6, 6, 0), (6, 6, 401), (1, 1, 0), (6, 9, 1)])
def test_one_map_is_no_stack_whatever_its_space_group(tmp_path: Path, sections: int, each: int, group: int) -> None:
    path = tmp_path / "one.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.ones((sections, 4, 5), np.float32))
        file.voxel_size = 1.0
        file.header.ispg, file.header.mz = group, each

    assert read_header(path).shape_zyx == (sections, 4, 5)


def test_a_map_of_one_section_with_its_axes_exchanged_is_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "thin.mrc"
    with mrcfile.new(path) as file:
        file.set_data(np.ones((6, 4, 1), np.float32))  # columns along z, which has one
        header = file.header
        header.mapc, header.mapr, header.maps, header.ispg = 3, 2, 1, 0
        header.mx, header.my, header.mz, header.cella = 6, 4, 1, (6, 4, 1)

    assert read_header(path).shape_zyx == (1, 4, 6)
