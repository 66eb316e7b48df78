"""A sub-grid is the stored volume around it, as zarr itself reads it, and nothing beyond its faces."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from cryodata import load_dataset
from cryodata.build.dataset import Report
from tests.stored import values

Open = Callable[..., Any]

ARRAYS = {"density": "density", "atom": "labels/atom/0", "amino": "labels/amino/0", "secondary": "labels/secondary/0"}
"path of each array in its volume"

TYPES = {"density": np.float32, "atom": np.uint8, "amino": np.uint8, "secondary": np.uint8}


def stored_arrays(report: Report) -> dict[str, dict[str, np.ndarray]]:
    """Arrays of each entry, read by zarr-python."""
    rows = pq.read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
    opened = {row["entry_id"]: zarr.open_group(report.folder / row["volume"], mode="r") for row in rows}
    return {
        entry_id: {name: values(group[path]) for name, path in ARRAYS.items()} for entry_id, group in opened.items()
    }


def cut(array: np.ndarray, start_zyx: Any, box: int) -> np.ndarray:
    """A box of an array, voxel by voxel of its three axes, zero outside."""
    result = np.zeros((box, box, box), dtype=array.dtype)
    inside = [
        [(place, int(start) + place) for place in range(box) if 0 <= int(start) + place < size]
        for start, size in zip(start_zyx, array.shape, strict=True)
    ]
    to, of = (np.ix_(*([pair[end] for pair in axis] for axis in inside)) for end in (0, 1))
    result[to] = array[of]
    return result


def test_the_cut_of_this_file_by_hand() -> None:
    array = np.arange(1, 9).reshape(2, 2, 2)

    assert cut(array, (-1, -1, -1), 2).tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 1]]]
    assert cut(array, (0, 1, 1), 2).tolist() == [[[4, 0], [0, 0]], [[8, 0], [0, 0]]]
    assert np.array_equal(array, cut(array, (0, 0, 0), 2))
    assert not cut(array, (2, 0, 0), 2).any()


def assert_cut_from(examples: Any, stored: dict[str, dict[str, np.ndarray]], box: int) -> int:
    """Every array of every example against the stored volume. Returns how many examples there were."""
    number = 0
    for number, example in enumerate(examples, start=1):  # noqa: B007
        for name, array in stored[example["entry_id"]].items():
            expected = cut(array, example["start_zyx"], box).astype(TYPES[name])

            assert expected.dtype == example[name].dtype
            assert np.array_equal(expected, example[name]), (example["entry_id"], name, example["start_zyx"])
    return number


@pytest.fixture(scope="module")
def stored(simulated: Report) -> dict[str, dict[str, np.ndarray]]:
    return stored_arrays(simulated)


def test_density_is_stored_in_two_bytes_and_labels_in_one(simulated: Report) -> None:
    expected = {"density": "uint16", "atom": "uint8", "amino": "uint8", "secondary": "uint8"}

    for volume in simulated.folder.glob("volumes/*/*.zarr"):
        group = zarr.open_group(volume, mode="r")
        assert {name: str(group[path].dtype) for name, path in ARRAYS.items()} == expected


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_streamed_sub_grid_is_cut_from_its_volume(
    stream: Open, simulated: Report, stored: dict[str, dict[str, np.ndarray]], split: str
) -> None:
    assert simulated.manifest.counts["subgrids"][split] == assert_cut_from(stream(split=split), stored, 32)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_every_sub_grid_of_a_table_is_cut_from_its_volume(
    table: Open, simulated: Report, stored: dict[str, dict[str, np.ndarray]], split: str
) -> None:
    assert simulated.manifest.counts["subgrids"][split] == assert_cut_from(table(split=split), stored, 32)


@pytest.mark.parametrize(("box", "core"), [(48, 48), (25, 15), (96, 90)], ids=["no margin", "odd", "large"])
def test_boxes_of_other_sizes_are_cut_from_their_volume(
    stream: Open, stored: dict[str, dict[str, np.ndarray]], box: int, core: int
) -> None:
    assert assert_cut_from(stream(box=box, core=core), stored, box)


def test_the_table_counts_what_is_in_the_cut(stream: Open, subgrid_rows: list[dict[str, Any]]) -> None:
    core = (slice(6, 26),) * 3
    for row, example in zip(subgrid_rows, stream(), strict=True):
        assert row["n_ca_core"] == np.count_nonzero(example["amino"][core])
        assert row["n_ca_box"] == np.count_nonzero(example["amino"])
        assert row["n_atom_box"] == np.count_nonzero(example["atom"])
        assert row["density_max"] == example["density"].max()


def test_sub_grids_at_faces_and_inside_both_occur(subgrid_rows: list[dict[str, Any]]) -> None:
    lowest = [min(row["start_zyx"]) for row in subgrid_rows]

    assert min(lowest) == -6
    assert max(lowest) > 0


@pytest.mark.real
def test_sub_grids_of_real_maps_are_cut_from_their_volumes(real: Report) -> None:
    stored = stored_arrays(real)
    chosen = random.Random(0).sample(sorted(stored), 4)
    folder = str(real.folder)

    found = {
        split: assert_cut_from(
            load_dataset(folder, split=split, streaming=True, filter=[("entry_id", "in", chosen)]), stored, 32
        )
        for split in ("train", "validation")
    }

    sizes = [stored[entry_id]["density"].shape for entry_id in chosen]
    assert sum(int(np.prod([-(-size // 20) for size in shape])) for shape in sizes) == sum(found.values())


@pytest.mark.real
def test_rows_of_real_maps_read_at_random_are_cut_from_their_volumes(real: Report) -> None:
    opened = load_dataset(str(real.folder), split="train").shuffle(seed=0).select(range(60))

    assert assert_cut_from(opened, stored_arrays(real), 32) == 60
    assert len(set(opened["entry_id"])) > 5
