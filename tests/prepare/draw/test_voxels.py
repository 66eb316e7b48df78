"""One voxel an atom: a box has the labels that the volume has there, also when it is rotated."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from cryodata.core.rotations import ROTATIONS, rotate_points
from cryodata.core.subgrids import SubgridGrid, cut_box
from cryodata.prepare.labels import settle_all
from cryodata.prepare.points import STEP, BoxPoints, Grid, label_points
from cryodata.prepare.rules import LabelRule
from tests.prepare.draw.atoms import (
    LABELS,
    ORIGIN,
    SHAPE,
    boxes_of,
    columns_of,
    drawn,
    placed,
    points_of,
    protein,
    schema,
    values_of,
)
from tests.prepare.labelled import volume_of


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
            volume = volume_of(array, points, SHAPE)
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
            volume = volume_of(array, settled, (box, box, box))
            assert np.count_nonzero(volume) > 50
            assert np.array_equal(volume, found[array.name][0])
