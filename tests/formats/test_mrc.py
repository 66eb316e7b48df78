"""The map reader, against small maps that are written here word by word."""

from __future__ import annotations

import gzip
import hashlib
import re
import struct
from itertools import product
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest

from cryodata.core.volume import Volume
from cryodata.errors import RejectedError
from cryodata.formats.mrc import map_digest, read_volume, write_map
from cryodata.formats.mrc_header import read_header

AXES = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]
"every order of MAPC, MAPR, MAPS"

STAMPS = {"<": b"DD\0\0", ">": b"\x11\x11\0\0"}
"machine stamp of each byte order (MRC2014)"

SHAPE_XYZ = (4, 3, 2)
"voxels of the small map along x, y, z: all different, so that no two axes can be taken for each other"

VALUE_OF_MODE = {
    0: ("b", lambda count: count - 12),  # int8: half of the values are negative
    1: ("h", lambda count: 1000 * count - 12000),
    2: ("f", lambda count: 0.25 * count - 3.0),
    6: ("H", lambda count: count + 40000),  # uint16: more than an int16 can hold
    12: ("e", lambda count: 0.5 * count - 6.0),
}
"struct letter of each mode, and the value of the voxel that is number `count` with x fastest and z slowest"


def value_at(x: int, y: int, z: int, mode: int) -> float:
    """What the small map holds at a voxel: every voxel its own value."""
    return VALUE_OF_MODE[mode][1](x + 4 * y + 12 * z)


def map_bytes(
    axes: tuple[int, int, int] = (1, 2, 3), mode: int = 2, order: str = "<", extended: bytes = b"", **words: Any
) -> bytes:
    """The small map as a file. axes: MAPC, MAPR, MAPS. words: header words other than those of a plain 1 A map."""
    counts = [SHAPE_XYZ[axis - 1] for axis in axes]  # columns, rows, sections
    header = {
        "n": counts,
        "nstart": (0, 0, 0),
        "m": SHAPE_XYZ,
        "cell": SHAPE_XYZ,
        "angles": (90.0, 90.0, 90.0),
        "axes": axes,
        "nsymbt": len(extended),
        "origin": (0.0, 0.0, 0.0),
        "stamp": STAMPS[order],
        **words,
    }
    values = []
    for section, row, column in product(range(counts[2]), range(counts[1]), range(counts[0])):
        place = dict(zip(axes, (column, row, section), strict=True))  # x is 1, y is 2, z is 3
        values.append(value_at(place[1], place[2], place[3], mode))
    head = struct.pack(
        f"{order}3ii3i3i3f3f3i3f2i100s3f4s4sfi800s",
        *header["n"], mode, *header["nstart"], *header["m"], *header["cell"], *header["angles"], *header["axes"],
        0.0, 0.0, 0.0, 1, header["nsymbt"], b"", *header["origin"], b"MAP ", header["stamp"], 0.0, 0, b"",
    )  # fmt: skip
    return head + extended + struct.pack(f"{order}{len(values)}{VALUE_OF_MODE[mode][0]}", *values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test puts its map."""
    return tmp_path / "small.map"


def read(path: Path, content: bytes) -> Volume:
    path.write_bytes(content)
    return read_volume(path, read_header(path))


def small_zyx(mode: int) -> list[list[list[float]]]:
    """The small map as nested lists, z, y, x."""
    return [[[value_at(x, y, z, mode) for x in range(4)] for y in range(3)] for z in range(2)]


def test_the_helper_writes_a_header_of_1024_bytes() -> None:
    assert len(map_bytes()) == 1024 + 4 * 3 * 2 * 4


def test_a_map_written_by_hand_is_read_as_z_y_x(path: Path) -> None:
    volume = read(path, map_bytes())

    assert volume.data.tolist() == [
        [[-3.0, -2.75, -2.5, -2.25], [-2.0, -1.75, -1.5, -1.25], [-1.0, -0.75, -0.5, -0.25]],
        [[0.0, 0.25, 0.5, 0.75], [1.0, 1.25, 1.5, 1.75], [2.0, 2.25, 2.5, 2.75]],
    ]


def test_columns_along_z_are_turned_into_z(path: Path) -> None:
    # MAPC 3, MAPR 1, MAPS 2: 2 columns along z, 4 rows along x, 3 sections along y
    content = map_bytes(axes=(3, 1, 2))

    assert struct.pack("<3i", 2, 4, 3) == content[:12]
    # the first two values lie at z 0 and z 1 of x 0, y 0; the next two at x 1
    assert struct.unpack("<4f", content[1024:1040]) == (-3.0, 0.0, -2.75, 0.25)
    assert small_zyx(2) == read(path, content).data.tolist()


@pytest.mark.parametrize("mode", VALUE_OF_MODE, ids=lambda mode: f"mode{mode}")
@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "axes{}{}{}".format(*axes))
def test_every_form_of_a_map_gives_the_same_volume(path: Path, axes: tuple[int, int, int], mode: int) -> None:
    for order, packed, extended in product("<>", (False, True), (b"", b"S" * 80, b"\xff" * 1601)):
        content = map_bytes(axes, mode, order, extended)
        volume = read(path, gzip.compress(content) if packed else content)

        assert np.float32 == volume.data.dtype
        assert small_zyx(mode) == volume.data.tolist(), (order, packed, len(extended))


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "axes{}{}{}".format(*axes))
def test_a_value_at_a_voxel_is_found_at_its_position(path: Path, axes: tuple[int, int, int]) -> None:
    volume = read(path, map_bytes(axes, cell=(4.0, 6.0, 6.0), origin=(10.0, 20.0, 30.0)))

    # voxels of 1, 2 and 3 A; x 3, y 2, z 1 lies at 10 + 3 * 1, 20 + 2 * 2, 30 + 1 * 3
    assert volume.position_of([[1, 2, 3]])[0].tolist() == [13.0, 24.0, 33.0]
    assert value_at(3, 2, 1, mode=2) == volume.data[1, 2, 3]


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"DD\0\0", b"\x11\x11\0\0", b"DA\0\0", b"\xff\xff\xff\xff"], ids=repr)
def test_a_wrong_machine_stamp_does_not_matter(path: Path, order: str, stamp: bytes) -> None:
    assert small_zyx(1) == read(path, map_bytes(mode=1, order=order, stamp=stamp)).data.tolist()


@pytest.mark.parametrize("stamp", [b"DD\0\0", b"DA\0\0", b"\0\0\0\0"], ids=["DD", "DA", "none"])
def test_the_machine_stamp_decides_where_both_byte_orders_make_sense(path: Path, stamp: bytes) -> None:
    # 256 columns are 65,536 in the other order, 1 is 16,777,216; mode 0 and axes 0, 0, 0 read the same in both
    head = map_bytes(mode=0, n=(256, 1, 1), stamp=stamp)[:1024]
    path.write_bytes(head[:64] + bytes(12) + head[76:] + bytes(256))

    assert read_header(path).shape_zyx == (1, 1, 256)


def test_missing_axis_words_mean_x_y_z(path: Path) -> None:
    content = map_bytes()

    assert struct.pack("<3i", 1, 2, 3) == content[64:76]
    assert small_zyx(2) == read(path, content[:64] + bytes(12) + content[76:]).data.tolist()


def test_bytes_after_the_density_are_ignored(path: Path) -> None:
    assert small_zyx(2) == read(path, map_bytes() + b"padding" * 1000).data.tolist()


@pytest.mark.parametrize("name", ["a.map", "a.mrc", "a.ccp4.gz", "a"], ids=str)
def test_the_content_says_whether_a_map_is_packed_not_its_name(tmp_path: Path, name: str) -> None:
    for content in (map_bytes(), gzip.compress(map_bytes())):
        assert small_zyx(2) == read(tmp_path / name, content).data.tolist()


def test_a_gzip_file_of_several_members_is_one_map(path: Path) -> None:
    content = map_bytes()
    members = gzip.compress(content[:500]) + gzip.compress(b"") + gzip.compress(content[500:])

    assert small_zyx(2) == read(path, members).data.tolist()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_the_digest_of_a_map_is_that_of_its_decompressed_bytes(path: Path, packed: bool) -> None:
    content = map_bytes(extended=b"S" * 80)
    path.write_bytes(gzip.compress(content) if packed else content)

    # header + extended header + 24 float32
    assert (hashlib.sha256(content).hexdigest(), 1024 + 80 + 96) == map_digest(path, read_header(path))


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


def written_volume() -> Volume:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 8 - 1
    return Volume(data, np.array([1.5, 0.5, 2.0]), np.array([-3.25, 0.0, 7.5]))


def test_a_written_map_is_read_back_equal(path: Path) -> None:
    volume = written_volume()
    write_map(path, volume)
    back = read_volume(path, read_header(path))

    assert volume.data.tolist() == back.data.tolist()
    assert volume.voxel_size_xyz.tolist() == back.voxel_size_xyz.tolist()
    assert volume.origin_xyz.tolist() == back.origin_xyz.tolist()


def test_a_map_read_in_another_axis_order_is_written_in_order(path: Path, tmp_path: Path) -> None:
    volume = read(path, map_bytes(axes=(3, 1, 2)))
    write_map(tmp_path / "again.map.gz", volume)
    header = read_header(tmp_path / "again.map.gz")

    assert header.stored_axes == (0, 1, 2)
    assert small_zyx(2) == read_volume(tmp_path / "again.map.gz", header).data.tolist()


def test_writing_a_map_twice_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.map.gz", tmp_path / "second.map.gz"
    write_map(first, written_volume())
    write_map(second, written_volume())

    assert first.read_bytes() == second.read_bytes()
    assert {first, second} == set(tmp_path.iterdir())  # and leaves nothing else


def test_a_written_map_holds_no_time_of_writing(path: Path) -> None:
    write_map(path, written_volume())
    packed = path.read_bytes()
    content = gzip.decompress(packed)

    assert bytes(4) == packed[4:8]  # MTIME of the gzip header
    assert bytes(4 + 800) == content[220:1024]  # NLABL and the labels, where mrcfile notes it


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
