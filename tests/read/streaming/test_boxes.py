"""Boxes and labels of streamed examples."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
import zarr

from cryodata.build.dataset import Report
from tests.read.examples import ARRAYS, LIGHT, Open, entry_rows
from tests.stored import values


def stitched(examples: list[Any], name: str, shape: list[int], core: int) -> np.ndarray:
    """The cores put where their starts say, whatever reaches beyond the volume left out."""
    margin = (examples[0][name].shape[0] - core) // 2
    filled = np.zeros([size + core for size in shape], dtype=examples[0][name].dtype)
    for example in examples:
        z, y, x = (int(start) + margin for start in example["start_zyx"])
        inner = slice(margin, margin + core)
        filled[z : z + core, y : y + core, x : x + core] = example[name][inner, inner, inner]
    return filled[tuple(slice(0, size) for size in shape)]


@pytest.mark.parametrize(
    ("box", "core"),
    [
        pytest.param(32, 20, id="as published"),
        pytest.param(64, 50, id="as older releases"),
        pytest.param(16, 16, id="no margin"),
        pytest.param(128, 100, id="larger than the map"),
    ],
)
def test_stitching_the_cores_gives_the_volume_back(stream: Open, simulated: Report, box: int, core: int) -> None:
    rows = entry_rows(simulated)
    found: dict[str, list[Any]] = {row["entry_id"]: [] for row in rows}
    opened = stream(box=box, core=core, columns=["density", "amino", *LIGHT])
    for example in opened:
        found[example["entry_id"]].append(example)

    assert datasets.Array3D((box, box, box), "float32") == opened.features["density"]
    for row in rows:
        stored = zarr.open_group(simulated.folder / row["volume"], mode="r")
        examples = found[row["entry_id"]]

        assert np.prod([-(-size // core) for size in row["shape_zyx"]]) == len(examples)
        expected = values(stored["density"]).astype(np.float32)
        assert np.array_equal(expected, stitched(examples, "density", row["shape_zyx"], core))
        expected = stored["labels/amino/0"][...]
        assert np.array_equal(expected, stitched(examples, "amino", row["shape_zyx"], core))


def test_floor_is_what_the_published_recipe_stored(stream: Open) -> None:
    pairs = zip(stream(config="volumes"), stream(config="volumes", labels="floor"), strict=True)

    assert all(np.array_equal(stored[name], floor[name]) for stored, floor in pairs for name in ARRAYS)


def test_nearest_puts_each_atom_into_the_voxel_whose_centre_is_nearest(stream: Open) -> None:
    atoms = list(stream(config="atoms", filter=[("state", "<", 255)]))
    stored = {example["entry_id"]: example for example in stream(config="volumes")}
    strength = {"CA": 3, "N": 2, "C": 1}  # CA over N over C; among equals the first stays
    value = {"CA": 1, "N": 2, "C": 3}
    for example in stream(config="volumes", labels="nearest"):
        expected = np.zeros_like(example["atom"])
        helix = np.zeros_like(example["secondary"])
        holder: dict[tuple[int, int, int], int] = {}
        for row in (row for row in atoms if row["entry_id"] == example["entry_id"]):
            offset = (np.array(row["xyz"]) - example["origin_xyz"]) / example["voxel_size_xyz"]
            x, y, z = (int(index) for index in np.floor(offset + 0.5))
            if min(z, y, x) < 0 or any(np.array([z, y, x]) >= expected.shape):
                continue
            if strength[row["atom"]] > holder.get((z, y, x), 0):
                holder[z, y, x] = strength[row["atom"]]
                expected[z, y, x] = value[row["atom"]]
            if row["atom"] == "CA" and not helix[z, y, x]:
                helix[z, y, x] = row["secondary"]

        assert not np.array_equal(stored[example["entry_id"]]["atom"], example["atom"])
        assert np.array_equal(expected, example["atom"])
        assert np.array_equal(helix, example["secondary"])
        assert np.array_equal(stored[example["entry_id"]]["density"], example["density"])
