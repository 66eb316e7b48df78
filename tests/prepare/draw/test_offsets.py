"""Offsets from voxels to their atoms."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.prepare.draw import draw
from cryodata.prepare.rules import LabelRule
from tests.prepare.draw.atoms import LABELS, ORIGIN, boxes_of, columns_of, drawn, points_of, protein


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
