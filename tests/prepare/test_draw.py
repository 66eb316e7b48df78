"""Labels written from points, against plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from cryodata.core.entry import LabelPoints
from cryodata.core.model import AtomicModel
from cryodata.core.rotations import ROTATIONS, rotate_bounds, rotate_points, rotated
from cryodata.core.schema import ArraySpec, LabelClass, Schema
from cryodata.core.subgrids import SubgridGrid, cut_box
from cryodata.prepare import around
from cryodata.prepare.draw import draw
from cryodata.prepare.labels import class_values, label_volume, place_points, settle_all
from cryodata.prepare.points import STEP, BoxPoints, Grid, Points, label_points
from cryodata.prepare.rules import LabelRule

ATOMS = {"CA": 1, "N": 2, "C": 3}
RESIDUES = {"ALA": 1, "GLY": 2, "TRP": 3}


def classes(values: dict[str, int]) -> tuple[LabelClass, ...]:
    return tuple(LabelClass(value, name, "#000000") for name, value in values.items())


ATOM = ArraySpec("atom", "label", "uint8", 0, 3, "", classes(ATOMS), column="atom", atoms=("CA", "N", "C"))
AMINO = ArraySpec(
    "amino", "label", "uint8", 0, 3, "", classes(RESIDUES), column="residue", atoms=("CA",), state="state_ca"
)
SECONDARY = ArraySpec("secondary", "label", "uint8", 0, 3, "", column="secondary", atoms=("CA",), state="state_ca")
LABELS = (ATOM, AMINO, SECONDARY)


def schema(rule: str = "floor") -> Schema:
    return Schema((ArraySpec("density", "density", "float32", 0, 1, ""), *LABELS), voxel_rule=rule)


SHAPE = (19, 23, 21)
ORIGIN = (-3.1, 7.7, 111.3)


def protein(seed: int, count: int = 400, voxel_size: Any = 1.0) -> AtomicModel:
    """Random atoms with coordinates of three decimals, crowded, some outside the grid."""
    rng = np.random.default_rng(seed)
    span = np.array(SHAPE[::-1]) * voxel_size
    xyz = np.round(np.array(ORIGIN) + rng.uniform(-4, span + 4, (count, 3)), 3)
    # an eighth lies on faces of voxels, but for the last bits
    xyz[: count // 8] = np.round(np.round(xyz[: count // 8]) + np.array(ORIGIN) % 1, 3)
    columns: dict[str, Any] = {field.name: np.zeros(count, dtype=np.int32) for field in fields(AtomicModel)}
    columns |= {"xyz": xyz, "atom": rng.choice(list(ATOMS), count), "residue": rng.choice([*RESIDUES, "MSE"], count)}
    columns["secondary"] = rng.integers(0, 4, count).astype(np.uint8)
    columns["parent"] = columns["residue"]
    return AtomicModel(**columns)


def placed(model: AtomicModel, rule: str, voxel_size: Any = 1.0) -> LabelPoints:
    """Its atoms with their voxels and states."""
    count = len(model)
    points = LabelPoints(
        model, np.full(count, "protein"), np.full(count, "backbone"), np.full(count, np.nan, np.float32),
        np.zeros((count, 3), np.int32), np.zeros(count, np.uint8), np.zeros(count, np.uint8),
    )  # fmt: skip
    return place_points(points, schema(rule), SHAPE, np.array(ORIGIN), np.broadcast_to(voxel_size, 3))


def columns_of(model: AtomicModel, rule: str = "floor", voxel_size: Any = 1.0) -> dict[str, Any]:
    """The columns of the atoms table."""
    points = placed(model, rule, voxel_size)
    return {**points.columns, "xyz": model.xyz, "voxel_zyx": points.voxel_zyx}


def values_of(columns: dict[str, Any]) -> dict[str, np.ndarray]:
    return {array.name: class_values(array, columns) for array in LABELS}


def points_of(model: AtomicModel, text: str, voxel_size: Any = 1.0, recipe: str = "floor") -> tuple[Points, ...]:
    grid = Grid(SHAPE, ORIGIN, np.broadcast_to(voxel_size, 3))
    columns = columns_of(model, recipe, voxel_size)
    return label_points(schema(recipe), columns, values_of(columns), grid, LabelRule.parse(text))


def drawn(text: str, groups: list[BoxPoints], count: int, box: int, **options: Any) -> dict[str, np.ndarray]:
    """All labels of a batch of boxes, written over rubbish."""
    shapes: dict[str, Any] = {array.name: ((count, box, box, box), np.uint8) for array in LABELS}
    if text.startswith("gaussian"):
        shapes = dict.fromkeys(shapes, ((count, 3, box, box, box), np.float32))
    if text == "offset":
        shapes |= {"offset": ((count, 3, box, box, box), np.float32), "offset_mask": ((count, box, box, box), np.uint8)}
    out = {name: np.full(shape, 77, dtype=dtype) for name, (shape, dtype) in shapes.items()}
    draw(LabelRule.parse(text), groups, out, **options)
    return out


def boxes_of(groups: tuple[Points, ...], starts: np.ndarray, box: int, margin: int) -> list[BoxPoints]:
    return [
        BoxPoints.gather([(points, points.near(start, (box, box, box), margin), start) for start in starts])
        for points in groups
    ]


# one voxel an atom


@pytest.mark.parametrize("text", ["stored", "floor", "nearest"])
@pytest.mark.parametrize("recipe", ["floor", "nearest"])
@pytest.mark.parametrize("voxel_size", [1.0, 0.7, 1.3, (0.5, 1.0, 2.0)], ids=str)
def test_a_box_has_the_labels_that_the_volume_has_there(text: str, recipe: str, voxel_size: Any) -> None:
    grid = SubgridGrid.uniform(SHAPE, 8, 4)
    starts = grid.starts_zyx()
    kind = recipe if text == "stored" else text
    for seed in range(10):
        model = protein(seed, voxel_size=voxel_size)
        points = placed(model, kind, voxel_size)

        found = drawn(
            text, boxes_of(points_of(model, text, voxel_size, recipe), starts, 8, 1), len(grid), 8, recipe=recipe
        )

        for array in LABELS:
            volume = label_volume(array, points, SHAPE)
            assert np.count_nonzero(volume) > 0
            assert np.array_equal([cut_box(volume, start, 8) for start in starts], found[array.name])


def test_an_atom_a_hair_below_a_face_stays_below_it_in_every_box() -> None:
    columns = columns_of(protein(0, 1))
    columns |= {"xyz": np.array([[np.nextafter(5.0, 0), 5.0, 5.5]])}
    points, *_ = label_points(
        schema(), columns, values_of(columns), Grid(SHAPE, np.zeros(3), np.ones(3)), LabelRule.parse("floor")
    )

    # the plain difference is rounded up onto the face
    assert columns["xyz"][0, 0] - (-60) == 65.0
    for start in range(-1000, 5):
        near = BoxPoints.gather([(points, np.arange(1), (start, start, start))])
        assert np.floor(near.place_zyx).tolist() == [[5.0 - start, 5.0 - start, 4.0 - start]]


@pytest.mark.parametrize("number", range(24))
@pytest.mark.parametrize("cell", ["floor", "nearest"])
def test_after_a_rotation_labels_lie_as_they_did_before(cell: str, number: int) -> None:
    count, box = 20_000, 8
    place = np.floor(np.random.default_rng(7).uniform(1, 6, (count, 3)) / STEP) * STEP
    turned = rotate_points(place, number, box)

    found = drawn(cell, [BoxPoints(turned, np.arange(count), {"atom": np.ones(count, np.uint8)})], count, box)

    voxel = np.argwhere(found["atom"])
    assert voxel[:, 0].tolist() == list(range(count))
    # a uniform number has a standard deviation of 0.29, its mean over 20,000 of 0.002
    assert np.allclose((voxel[:, 1:] - turned).mean(axis=0), -0.5 if cell == "floor" else 0.0, rtol=0, atol=0.01)


@pytest.mark.parametrize("text", ["stored", "floor", "nearest"])
def test_collisions_are_settled_again_in_the_rotated_box(text: str) -> None:
    box, start = 12, np.array([4, 6, 5])
    cell = "nearest" if text == "nearest" else "floor"
    for seed, number in product(range(5), range(24)):
        model = protein(seed, 9000)
        model.xyz[:] += 0.0003  # on no face
        groups = points_of(model, text)
        near = boxes_of(groups, start[None], box, 1)
        turned = [BoxPoints(rotate_points(p.place_zyx, number, box), p.sample, p.values) for p in near]

        found = drawn(text, turned, 1, box)

        place = ROTATIONS[number] @ ((model.xyz - ORIGIN)[:, ::-1] - start - (box - 1) / 2).T
        voxel = np.floor(place.T + (box - 1) / 2 + (0.5 if cell == "nearest" else 0.0)).astype(np.int32)
        before = placed(model, cell)
        state = settle_all(voxel, before.columns, (box, box, box), "first")
        settled = replace(before, voxel_zyx=voxel, **state)
        assert np.count_nonzero(settled.state == 1) > 5
        for array in LABELS:
            volume = label_volume(array, settled, (box, box, box))
            assert np.count_nonzero(volume) > 50
            assert np.array_equal(volume, found[array.name][0])


# around an atom


def sphere_loop(place: np.ndarray, values: np.ndarray, radius: float, size: np.ndarray, box: int) -> np.ndarray:
    """The class of the nearest point within a radius; of equals the last, the strongest."""
    cube = np.zeros((box, box, box), dtype=np.uint8)
    for voxel in product(range(box), repeat=3):
        nearest = math.inf
        for point, value in zip(place, values, strict=True):
            distance = math.dist(np.array(voxel) * size, point * size)
            if distance <= radius and distance <= nearest:
                nearest, cube[voxel] = distance, value
    return cube


def gaussian_loop(place: np.ndarray, values: np.ndarray, sigma: float, size: np.ndarray, box: int) -> np.ndarray:
    """For each class the highest of the gaussians that are cut at 4 sigma."""
    cube = np.zeros((3, box, box, box), dtype=np.float32)
    for voxel in product(range(box), repeat=3):
        for point, value in zip(place, values, strict=True):
            distance = math.dist(np.array(voxel) * size, point * size)
            if value and distance <= 4 * sigma:
                height = math.exp(-(distance**2) / (2 * sigma**2))
                cube[(value - 1, *voxel)] = max(cube[(value - 1, *voxel)], height)
    return cube


def some_boxes(seed: int, count: int = 3, each: int = 60, box: int = 7) -> list[BoxPoints]:
    rng = np.random.default_rng(seed)
    sample = np.repeat(np.arange(count), each)
    place = np.floor(rng.uniform(-4, box + 3, (len(sample), 3)) / STEP) * STEP
    values = {name: rng.integers(0, 4, len(sample)).astype(np.uint8) for name in ("amino", "secondary")}
    atoms = {"atom": rng.integers(1, 4, len(sample)).astype(np.uint8)}
    return [BoxPoints(place, sample, atoms), BoxPoints(place[::2], sample[::2], {k: v[::2] for k, v in values.items()})]


SIZES = [
    pytest.param(1.0, id="1 A"),
    pytest.param((0.8, 1.1, 1.3), id="of three lengths"),
    pytest.param([(1.0, 1.0, 1.0), (0.7, 0.7, 0.7), (2.0, 1.5, 1.0)], id="of each box"),
]


@pytest.mark.parametrize("text", ["sphere:1", "sphere:2.5", "gaussian:0.5", "gaussian:1"])
@pytest.mark.parametrize("voxel_size", SIZES)
def test_what_is_around_an_atom_is_found_by_plain_loops(text: str, voxel_size: Any, loops: str) -> None:
    groups, box = some_boxes(1), 7
    sizes = np.broadcast_to(np.array(voxel_size), (3, 3))
    rule = LabelRule.parse(text)

    found = drawn(text, groups, 3, box, voxel_size_zyx=voxel_size)

    for points, number in product(groups, range(3)):
        mine = points.sample == number
        for name, values in points.values.items():
            loop: Callable[..., np.ndarray] = sphere_loop if rule.kind == "sphere" else gaussian_loop
            expected = loop(points.place_zyx[mine], values[mine], rule.size, sizes[number], box)

            assert np.count_nonzero(expected) > 0
            # float32 of a product of three exponentials, against one exponential of the sum
            assert np.allclose(expected, found[name][number], rtol=2e-7 if rule.kind == "gaussian" else 0, atol=0)


@pytest.mark.parametrize("text", ["sphere:3", "gaussian:1.2"])
def test_numba_and_numpy_give_the_same_bytes(
    text: str, monkeypatch: pytest.MonkeyPatch, numpy_alone: Callable[[], None]
) -> None:
    pytest.importorskip("numba")
    groups = some_boxes(2, 5, 200, 20)
    compiled = drawn(text, groups, 5, 20)
    numpy_alone()
    monkeypatch.setattr(around, "PAIRS", 10_000)  # several chunks, also within a box

    plain = drawn(text, groups, 5, 20)

    assert all(plain[name].tobytes() == compiled[name].tobytes() for name in plain)


def test_of_two_atoms_at_the_same_distance_the_stronger_writes_the_voxel(loops: str) -> None:
    place = np.array([[2.0, 2.0, 1.0], [2.0, 2.0, 3.0], [2.0, 2.0, 1.0]])
    points = BoxPoints(place, np.zeros(3, dtype=np.int64), {"atom": np.array([3, 2, 1], dtype=np.uint8)})

    found = drawn("sphere:1", [points], 1, 5)["atom"][0]

    assert found[2, 2].tolist() == [1, 1, 1, 2, 2]


def test_the_nearest_atom_counts_though_it_has_no_class(loops: str) -> None:
    place = np.array([[2.0, 2.0, 1.0], [2.0, 2.0, 2.4]])
    points = BoxPoints(place, np.zeros(2, dtype=np.int64), {"amino": np.array([1, 0], dtype=np.uint8)})

    assert drawn("sphere:2", [points], 1, 5)["amino"][0, 2, 2].tolist() == [1, 1, 0, 0, 0]


def test_atoms_outside_the_box_are_seen_inside(loops: str) -> None:
    points = BoxPoints(np.array([[-1.5, 2.0, 2.0]]), np.zeros(1, dtype=np.int64), {"atom": np.ones(1, np.uint8)})

    assert np.argwhere(drawn("sphere:2", [points], 1, 5)["atom"][0])[:, 0].tolist() == [0] * 5
    # exp(-1.5^2 / 2)
    assert abs(drawn("gaussian:1", [points], 1, 5)["atom"][0, 0, 0, 2, 2] - 0.3246525) < 1e-7


@pytest.mark.parametrize("text", ["sphere:2", "gaussian:1"])
def test_nothing_is_written_where_the_box_leaves_the_map(text: str, loops: str) -> None:
    groups, box = some_boxes(3), 7
    low, high = np.array([[0, 0, 0], [2, 0, 1], [0, 7, 0]]), np.array([[7, 7, 7], [7, 5, 7], [7, 7, 7]])

    whole = drawn(text, groups, 3, box)
    found = drawn(text, groups, 3, box, inside=(low, high))

    for name, number in product(whole, range(3)):
        cut = np.zeros_like(whole[name][number])
        part = (..., *(slice(*bounds) for bounds in zip(low[number], high[number], strict=True)))
        cut[part] = whole[name][number][part]
        assert np.array_equal(cut, found[name][number])


@pytest.mark.parametrize("text", ["sphere:2.5", "gaussian:0.8", "nearest"])
@pytest.mark.parametrize("number", range(24))
def test_labels_of_rotated_points_are_the_rotated_labels(text: str, number: int) -> None:
    groups, box = some_boxes(4, 4, 40, 11), 11
    low, high = np.tile([0, 1, 2], (4, 1)), np.tile([11, 10, 11], (4, 1))
    bounds = {} if text == "nearest" else {"inside": (low, high)}
    turned_bounds = {} if text == "nearest" else {"inside": rotate_bounds(low, high, number, box)}
    turned = [BoxPoints(rotate_points(p.place_zyx, number, box), p.sample, p.values) for p in groups]

    before, after = drawn(text, groups, 4, box, **bounds), drawn(text, turned, 4, box, **turned_bounds)

    for name in before:
        # squares are added in another order
        assert np.allclose(rotated(before[name], number), after[name], rtol=2e-7 if "gauss" in text else 0, atol=0)


@pytest.mark.parametrize("text", ["nearest", "floor", "sphere:3", "gaussian:1.3"])
def test_points_beyond_the_margin_change_nothing(text: str) -> None:
    model, box = protein(1), 8
    groups = points_of(model, text)
    grid = SubgridGrid.uniform(SHAPE, box, 4)
    margin = LabelRule.parse(text).margin(1.0, box)
    indexed = []
    for points in groups:
        first, rows = points.by_subgrid(grid, margin)
        parts = [
            (points, rows[first[number] : first[number + 1]], grid.start_of(number)) for number in range(len(grid))
        ]
        assert all(np.array_equal(part[1], points.near(part[2], (box, box, box), margin)) for part in parts)
        indexed.append(BoxPoints.gather(parts))
    every = [
        BoxPoints.gather([(points, np.arange(len(points.place_zyx)), start) for start in grid.starts_zyx()])
        for points in groups
    ]
    for number in range(24):
        few, all_of_them = (
            [BoxPoints(rotate_points(p.place_zyx, number, box), p.sample, p.values) for p in points]
            for points in (indexed, every)
        )

        found, expected = drawn(text, few, len(grid), box), drawn(text, all_of_them, len(grid), box)

        assert all(np.array_equal(expected[name], found[name]) for name in expected)


# offsets


@pytest.mark.parametrize("recipe", ["floor", "nearest"])
def test_offsets_lead_from_voxels_to_their_atoms(recipe: str) -> None:
    model, start, box = protein(5, 9000), np.array([3, 2, 4]), 10
    voxel_size = np.array([2.0, 1.0, 1.0]) if recipe == "nearest" else np.ones(3)
    groups = points_of(model, "offset", voxel_size, recipe)

    found = drawn(
        "offset", boxes_of(groups, start[None], box, 1), 1, box, voxel_size_zyx=voxel_size[::-1], recipe=recipe
    )

    columns = columns_of(model, recipe, voxel_size)
    mask, offset = np.zeros((box, box, box), dtype=np.uint8), np.zeros((3, box, box, box), dtype=np.float32)
    for row in np.flatnonzero(columns["state"] == 0):
        z, y, x = columns["voxel_zyx"][row] - start
        if min(z, y, x) >= 0 and max(z, y, x) < box:
            mask[z, y, x] = 1
            centre = np.array(ORIGIN) + columns["voxel_zyx"][row][::-1] * voxel_size
            offset[:, z, y, x] = model.xyz[row] - centre
    assert 100 < np.count_nonzero(mask) < 1000
    assert np.array_equal(mask, found["offset_mask"][0])
    assert np.allclose(offset, found["offset"][0], rtol=0, atol=1e-6)
    stored = drawn("stored", boxes_of(groups, start[None], box, 1), 1, box, recipe=recipe)
    assert all(np.array_equal(stored[array.name], found[array.name]) for array in LABELS)


def test_columns_that_nobody_asked_for_are_not_drawn() -> None:
    groups = boxes_of(points_of(protein(6), "offset"), np.array([[0, 0, 0]]), 8, 1)
    mask = np.full((1, 8, 8, 8), 9, dtype=np.uint8)

    draw(LabelRule.parse("offset"), groups, {"offset_mask": mask})

    assert set(np.unique(mask).tolist()) == {0, 1}
    draw(LabelRule.parse("offset"), groups, {})


@pytest.mark.parametrize("text", ["floor", "sphere:2", "gaussian:1", "offset"])
def test_boxes_without_atoms_are_empty(text: str, loops: str) -> None:
    groups = [
        BoxPoints.gather([(points, np.zeros(0, dtype=np.int64), (0, 0, 0))] * 2)
        for points in points_of(protein(0), text)
    ]

    assert not any(array.any() for array in drawn(text, groups, 2, 6).values())


def test_what_is_not_in_one_piece_is_refused() -> None:
    out = {"atom": np.zeros((2, 6, 6, 12), dtype=np.uint8)[..., ::2]}

    with pytest.raises(ValueError, match="labels are written into arrays in C order"):
        draw(LabelRule("floor"), [], out)


def test_atoms_that_are_nowhere_are_left_out() -> None:
    model = protein(0, 20)
    columns = columns_of(model)
    columns["xyz"] = columns["xyz"].copy()
    columns["xyz"][3], columns["xyz"][4, 1] = np.nan, 1e30

    (points, _, *_) = label_points(
        schema(), columns, values_of(columns), Grid(SHAPE, ORIGIN, np.ones(3)), LabelRule.parse("sphere:1")
    )

    assert len(points.place_zyx) == 18
    assert np.isfinite(points.place_zyx).all()
