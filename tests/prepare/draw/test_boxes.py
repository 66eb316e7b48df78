"""By whatever rule: which points a box needs, how it is rotated, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.rotations import rotate_bounds, rotate_points, rotated
from cryodata.core.subgrids import SubgridGrid
from cryodata.prepare.draw import draw
from cryodata.prepare.points import BoxPoints, Grid, label_points
from cryodata.prepare.rules import LabelRule
from tests.prepare.draw.atoms import ORIGIN, SHAPE, columns_of, drawn, points_of, protein, schema, some_boxes, values_of


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
