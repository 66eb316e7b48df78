"""A stream is a genuine iterable dataset: its features, its columns, its types."""

from __future__ import annotations

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import zarr
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from tests.read.examples import ARRAYS, CONFIGS, LIGHT, Open, Place, entry_rows
from tests.stored import values


def test_a_stream_is_an_iterable_dataset_of_both_libraries(stream: Open) -> None:
    opened = stream()

    assert isinstance(opened, datasets.IterableDataset)
    assert isinstance(opened, torch.utils.data.IterableDataset)
    assert (
        str(opened.split), opened.info.dataset_name, opened.info.config_name, str(opened.info.version),
    ) == ("train", "simulated", "subgrids", "0.1.0")  # fmt: skip


def test_without_a_split_every_split_that_has_entries_is_in_a_dict(simulated: Report) -> None:
    opened = load_dataset(str(simulated.folder), streaming=True)

    assert isinstance(opened, datasets.IterableDatasetDict)
    assert list(opened) == ["train", "validation"]
    assert all(isinstance(split, datasets.IterableDataset) for split in opened.values())


def test_another_scheme_has_its_own_splits(simulated: Report, places: list[Place]) -> None:
    opened = load_dataset(str(simulated.folder), streaming=True, split_by="id", columns=LIGHT)

    assert list(opened) == ["unassigned"]  # the simulated have no EMDB number
    assert {entry_id for entry_id, *_ in places} < {example["entry_id"] for example in opened["unassigned"]}
    assert list(load_dataset(str(simulated.folder), split="emd_3", streaming=True, split_by="id")) == []


def test_features_of_a_sub_grid_are_declared(stream: Open) -> None:
    cube = (32, 32, 32)
    text, count = datasets.Value("string"), datasets.Value("int32")

    assert stream().features == datasets.Features(
        {
            "density": datasets.Array3D(cube, "float32"),
            "atom": datasets.Array3D(cube, "uint8"),
            "amino": datasets.Array3D(cube, "uint8"),
            "secondary": datasets.Array3D(cube, "uint8"),
            "entry_id": text,
            "emdb_id": text,
            "pdb_id": text,
            "resolution": datasets.Value("float64"),
            "start_zyx": datasets.List(count, length=3),
        }
    )


@pytest.mark.parametrize(
    "config",
    ["subgrids", "entries", "atoms"],
)
def test_the_types_of_a_stream_are_known_without_cryodata(stream: Open, config: str) -> None:
    modules = {type(feature).__module__ for feature in stream(config=config).features.values()}

    assert modules == {"datasets.features.features"}


@pytest.mark.parametrize("config", CONFIGS)
def test_examples_have_the_declared_columns(stream: Open, config: str) -> None:
    opened = stream(config=config)

    assert list(opened.features) == list(next(iter(opened)))


def test_entries_and_atoms_are_the_rows_of_the_tables(stream: Open, simulated: Report) -> None:
    rows = entry_rows(simulated)
    tables = simulated.folder / simulated.manifest.tables
    numbers = {
        row["entry_id"]: number for number, row in enumerate(pq.read_table(tables / "entries.parquet").to_pylist())
    }
    points = [row for path in sorted(tables.glob("atoms-*")) for row in pq.ParquetFile(path).read().to_pylist()]
    expected = [{"entry_id": i, **row} for i in sorted(numbers) for row in points if row["volume"] == numbers[i]]
    in_split = {row["entry_id"] for row in rows}

    assert rows == list(stream(config="entries"))
    assert [row for row in expected if row["entry_id"] in in_split] == list(stream(config="atoms"))


def test_a_volume_example_is_the_whole_of_its_arrays(stream: Open, simulated: Report) -> None:
    for row, example in zip(entry_rows(simulated), stream(config="volumes"), strict=True):
        stored = zarr.open_group(simulated.folder / row["volume"], mode="r")

        assert values(stored["density"]).astype(np.float32).tobytes() == example["density"].tobytes()
        for name in ARRAYS[1:]:
            assert stored[f"labels/{name}/0"][...].tobytes() == example[name].tobytes()
        assert row["shape_zyx"] == list(example["density"].shape)
        assert row["voxel_size_xyz"] == list(example["voxel_size_xyz"])
        assert row["origin_xyz"] == list(example["origin_xyz"])


@pytest.mark.parametrize("split", ["test", "unassigned"])
@pytest.mark.parametrize("config", CONFIGS)
def test_an_empty_split_streams_nothing_and_declares_everything(stream: Open, config: str, split: str) -> None:
    opened = stream(config=config, split=split)

    assert list(opened) == []
    assert stream(config=config).features == opened.features
    assert opened.num_shards == 0
    assert list(opened.shuffle(1).batch(4)) == []
    assert list(split_dataset_by_node(opened, rank=1, world_size=2)) == []
    assert list(DataLoader(opened, num_workers=1)) == []
