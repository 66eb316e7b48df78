"""Datasets with random access: genuine, the same examples as the stream, and cut when a row is read."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc
import pytest
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.read.decode import Volumes
from cryodata.read.hf import Voxels
from tests.read.examples import ARRAYS, CONFIGS, LIGHT, Open, Place, kinds, plain, same

# what it is


def test_it_is_a_dataset_of_the_library_over_a_file(table: Open, hf_cache: Path) -> None:
    opened = table()

    assert isinstance(opened, datasets.Dataset)
    assert len(opened.cache_files) == 1
    assert Path(opened.cache_files[0]["filename"]).is_relative_to(hf_cache)
    assert (
        str(opened.split), opened.info.dataset_name, opened.info.config_name, str(opened.info.version),
    ) == ("train", "simulated", "subgrids", "0.1.0")  # fmt: skip


def test_without_a_split_every_split_that_has_entries_is_in_a_dict(simulated: Report, places: list[Place]) -> None:
    opened = load_dataset(str(simulated.folder))

    assert isinstance(opened, datasets.DatasetDict)
    assert list(opened) == ["train", "validation"]
    assert opened.num_rows.items() <= simulated.manifest.counts["subgrids"].items()
    assert len(places) == opened.num_rows["train"]


@pytest.mark.parametrize("config", CONFIGS)
def test_it_is_as_long_as_the_stream_and_has_its_columns(table: Open, stream: Open, config: str) -> None:
    opened = table(config=config)

    assert sum(1 for _ in stream(config=config)) == len(opened)
    assert stream(config=config).column_names == opened.column_names


def test_columns_of_voxels_are_declared_with_type_and_shape(table: Open) -> None:
    declared = table().features

    assert {name: ("float32" if name == "density" else "uint8", [32, 32, 32]) for name in ARRAYS} == {
        name: (feature.dtype, feature.shape) for name, feature in declared.items() if isinstance(feature, Voxels)
    }


def test_the_file_behind_it_holds_references_alone(table: Open) -> None:
    opened = table()
    size = sum(Path(file["filename"]).stat().st_size for file in opened.cache_files)

    assert size < 500 * len(opened) + 20_000  # of 229,376 bytes of voxels a row


def test_opening_and_reading_ids_decodes_nothing(table: Open, decoder: Volumes, places: list[Place]) -> None:
    opened = table()

    assert Counter(entry_id for entry_id, *_ in places) == Counter(opened["entry_id"])
    assert [list(one[1:]) for one in places] == [list(start) for start in opened.select_columns(LIGHT)[:]["start_zyx"]]
    assert decoder.decodes == 0


def test_reading_a_row_decodes_its_volume_once(table: Open, decoder: Volumes) -> None:
    opened = table()
    first = opened["entry_id"][0]
    rows = [number for number, entry_id in enumerate(opened["entry_id"]) if entry_id == first]

    for number in rows:
        opened[number]

    assert decoder.decodes == 1


# random access


@pytest.mark.parametrize("config", CONFIGS)
def test_every_row_read_at_random_is_the_example_of_the_stream(table: Open, stream: Open, config: str) -> None:
    opened, expected = table(config=config), list(stream(config=config))
    order = list(range(len(expected)))
    random.Random(0).shuffle(order)

    for number in order[:300]:
        assert same(expected[number], opened[number])


def test_rows_are_found_from_the_end_by_slice_and_by_list(table: Open) -> None:
    opened = table(columns=["density", *LIGHT])
    last = len(opened) - 1

    assert plain(opened[last]) == plain(opened[-1])
    assert [plain(opened[n])["start_zyx"] for n in (2, 3, 4)] == [list(start) for start in opened[2:5]["start_zyx"]]
    assert [plain(opened[n])["density"] for n in (7, 1)] == [one.tolist() for one in opened[[7, 1]]["density"]]
    assert opened[3]["density"].tolist() == opened["density"][3].tolist()


def test_a_row_beyond_the_last_is_an_index_error(table: Open) -> None:
    with pytest.raises(IndexError, match=r"^Invalid key: \d+ is out of bounds for size \d+$"):
        table()[10**6]


@pytest.mark.parametrize(("config", "column"), [("subgrids", "start_zyx"), ("volumes", "origin_xyz")])
def test_vectors_are_of_the_type_that_the_stream_gives(table: Open, stream: Open, config: str, column: str) -> None:
    expected = kinds(next(iter(stream(config=config))))

    assert expected[column] == kinds(table(config=config)[0])[column]


def test_what_a_user_does_to_an_array_stays_there(table: Open) -> None:
    opened = table()
    first = opened[0]
    before = {name: first[name].copy() for name in ARRAYS}
    for name in ARRAYS:
        first[name][...] = 77

    assert all(np.array_equal(before[name], opened[0][name]) for name in ARRAYS)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"labels": "nearest"}, id="labels"),
        pytest.param({"box": 24, "core": 12}, id="box"),
        pytest.param({"columns": ["amino", "entry_id"]}, id="columns"),
        pytest.param({"filter": [("n_ca_core", ">", 0)]}, id="filter"),
        pytest.param({"filter": (pc.field("n_atom_box") > 0) & (pc.field("occupied") > 0)}, id="expression"),
        pytest.param({"split": "validation"}, id="split"),
        pytest.param({"split_by": "id", "split": "unassigned"}, id="scheme"),
    ],
)
def test_every_option_gives_what_the_stream_gives(table: Open, stream: Open, options: dict[str, Any]) -> None:
    expected = list(stream(**options))
    opened = table(**options)

    assert len(expected) == len(opened) > 0
    for number in range(0, len(expected), 9):
        assert same(expected[number], opened[number])


def test_long_filters_that_differ_in_the_middle_keep_different_rows(table: Open) -> None:
    others = [f"OTHER-{number}" for number in range(40)]

    def kept(entry_id: str) -> list[str]:
        return table(filter=[("entry_id", "in", [*others[:20], entry_id, *others[20:]])]).unique("entry_id")

    assert [kept("SIM-00001"), kept("SIM-00002")] == [["SIM-00001"], ["SIM-00002"]]


# empty splits


@pytest.mark.parametrize("config", CONFIGS)
def test_an_empty_split_has_no_rows_and_all_features(table: Open, config: str) -> None:
    opened = table(config=config, split="test")

    assert len(opened) == 0
    assert table(config=config).features == opened.features
    assert {name: [] for name in opened.column_names} == opened[:]
    assert list(DataLoader(opened.with_format("torch"), num_workers=1)) == []
    assert len(opened.map(lambda row: {"k": 1})) == 0


def test_a_filter_that_nothing_meets_leaves_an_empty_dataset(table: Open) -> None:
    opened = table(filter=[("n_ca_core", "<", 0)])

    assert len(opened) == 0
    assert table().features == opened.features
