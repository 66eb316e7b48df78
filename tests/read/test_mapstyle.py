"""Datasets with random access: genuine, the same examples as the stream, and cut when a row is read."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc
import pytest
import torch
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.errors import DatasetError, UsageError
from cryodata.read.decode import Volumes, volumes_of
from cryodata.read.hf import Voxels
from tests.tampering import manifest_of, write_manifest

Open = Callable[..., Any]
Place = tuple[str, int, int, int]

CONFIGS = ("subgrids", "volumes", "entries", "atoms")
ARRAYS = ("density", "atom", "amino", "secondary")
LIGHT = ["entry_id", "start_zyx"]
"columns that say which example it is and need nothing decoded"


def peak(example: Any) -> dict[str, float]:
    return {"peak": float(np.asarray(example["density"]).max())}


def plain(example: Any) -> dict[str, Any]:
    """The values of an example, whatever holds them."""
    return {name: np.asarray(value).tolist() for name, value in example.items()}


def same(one: Any, other: Any) -> bool:
    """Whether two examples have the same columns of the same values, whatever holds them."""
    return list(one) == list(other) and all(
        np.array_equal(np.asarray(one[name]), np.asarray(other[name])) for name in one
    )


def kinds(example: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every column."""
    return {
        name: (str(value.dtype), tuple(value.shape)) if hasattr(value, "dtype") else (type(value).__name__, ())
        for name, value in example.items()
    }


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


# operations


def test_select_skip_take_shuffle_and_shard_pick_rows(table: Open, places: list[Place], place: Open) -> None:
    opened = table(columns=LIGHT)

    def found(part: Any) -> list[Place]:
        return [place(row) for row in part]

    assert [places[5], places[2]] == found(opened.select([5, 2]))
    assert places[4:] == found(opened.skip(4))
    assert places[:4] == found(opened.take(4))
    assert places == sorted(found(opened.shuffle(seed=3))) != found(opened.shuffle(seed=3))
    assert found(opened.shuffle(seed=3)) == found(opened.shuffle(seed=3))
    assert places == [one for index in range(3) for one in found(opened.shard(3, index, contiguous=True))]


def test_a_shuffled_row_keeps_its_voxels_and_its_name_together(table: Open) -> None:
    opened = table()
    by_place = {(row["entry_id"], *row["start_zyx"]): row["density"].tobytes() for row in opened}

    for row in opened.shuffle(seed=1).select(range(20)):
        assert by_place[row["entry_id"], *row["start_zyx"]] == row["density"].tobytes()


def test_filter_by_a_name_decodes_nothing_and_by_voxels_sees_arrays(table: Open, decoder: Volumes) -> None:
    opened = table()
    expected = [number for number, row in enumerate(opened) if row["amino"].any()]
    decodes = decoder.decodes

    by_name = opened.filter(lambda entry_id: entry_id == "SIM-00002", input_columns="entry_id")
    by_voxels = opened.filter(lambda row: row["amino"].any())

    assert decodes == decoder.decodes
    assert by_name.unique("entry_id") == ["SIM-00002"]
    assert 0 < len(expected) < len(opened)
    assert all(same(row, found) for row, found in zip(opened.select(expected), by_voxels, strict=True))
    assert isinstance(by_voxels[0]["density"], np.ndarray)


@pytest.mark.parametrize("workers", [None, 2])
def test_map_adds_a_column_and_its_fingerprint_finds_it_again(table: Open, hf_cache: Path, workers: int | None) -> None:
    def mapped() -> Any:
        return table(columns=["density", *LIGHT]).map(peak, remove_columns="density", num_proc=workers)

    first = mapped()
    files = {path: path.stat().st_mtime_ns for path in hf_cache.rglob("*.arrow")}

    assert [*LIGHT, "peak"] == first.column_names
    assert [float(row["density"].max()) for row in table()] == list(first["peak"])
    assert list(first["peak"]) == list(mapped()["peak"])
    assert files == {path: path.stat().st_mtime_ns for path in hf_cache.rglob("*.arrow")}


@pytest.mark.parametrize(
    "mapped",
    [
        pytest.param(lambda opened: opened.with_format("numpy").map(peak).with_format(None), id="formatted"),
        pytest.param(
            lambda opened: opened.map(lambda density: {"peak": float(density.max())}, input_columns="density"),
            id="input_columns",
        ),
        pytest.param(lambda opened: opened.map(lambda row: {"k": len(row["entry_id"])}), id="other columns"),
    ],
)
def test_map_leaves_the_voxels_where_they_are(table: Open, mapped: Open) -> None:
    opened = table(columns=["density", *LIGHT]).select(range(6))
    found = mapped(opened)

    assert opened.features["density"] == found.features["density"]
    assert opened[3]["density"].tolist() == found[3]["density"].tolist()
    assert sum(Path(file["filename"]).stat().st_size for file in found.cache_files) < 50_000


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(peak, id="looked at"),
        pytest.param(lambda row: {**row, "k": 1}, id="handed on"),
        pytest.param(lambda row: {"density": row["density"][::-1]}, id="replaced"),
    ],
)
def test_map_gives_arrays_of_the_declared_type_back(table: Open, function: Open) -> None:
    opened = table(columns=["density", *LIGHT]).select(range(6))
    expected = [function(row).get("density", row["density"]) for row in opened]

    found = opened.map(function)

    assert opened.features["density"] == found.features["density"]
    assert np.stack(expected).tobytes() == np.stack([row["density"] for row in found]).tobytes()


def test_map_may_replace_voxels(table: Open) -> None:
    opened = table(columns=["density", *LIGHT]).select(range(4)).with_format("numpy")

    doubled = opened.map(lambda row: {"density": 2 * row["density"]})

    assert [(2 * row["density"]).tobytes() for row in opened] == [row["density"].tobytes() for row in doubled]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda array: float(array.sum()), id="number"),
        pytest.param(lambda array: array[0, 0], id="line"),
        pytest.param(lambda array: np.stack([array, 1 - array]), id="channels"),
        pytest.param(lambda array: array[::2, ::2, ::2].astype(np.float64), id="coarser"),
        pytest.param(lambda array: None, id="nothing"),
        pytest.param(lambda array: array[:0, :0, :0], id="empty"),
    ],
)
def test_map_may_turn_voxels_into_something_else(table: Open, change: Open) -> None:
    opened = table(columns=["density", *LIGHT]).select([40, 41])

    found = opened.map(lambda row: {"density": change(row["density"])}, keep_in_memory=True)

    assert [np.asarray(change(row["density"])).tolist() for row in opened] == [
        np.asarray(row["density"]).tolist() for row in found
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda array: array / 40, id="shares"),
        pytest.param(lambda array: array.astype(np.int64) - 1, id="below zero"),
        pytest.param(lambda array: array.astype(np.int64) * 100, id="above 255"),
    ],
)
def test_map_never_squeezes_numbers_into_labels(table: Open, change: Open) -> None:
    opened = table(columns=["amino", *LIGHT]).filter(lambda row: row["amino"].max() > 3).select([0, 1])

    found = opened.map(lambda row: {"amino": change(row["amino"])})

    assert [change(row["amino"]).tolist() for row in opened] == [np.asarray(row["amino"]).tolist() for row in found]


def test_the_type_that_map_gives_does_not_hang_on_the_numbers_of_the_first_rows(table: Open) -> None:
    opened = table(columns=["amino", *LIGHT])
    residues = [int(row["amino"].max()) for row in opened]
    opened = opened.select([residues.index(0), residues.index(max(residues))])

    found = opened.map(lambda row: {"amino": row["amino"] / 40}, writer_batch_size=1, keep_in_memory=True)

    assert [(row["amino"] / 40).tolist() for row in opened] == [np.asarray(row["amino"]).tolist() for row in found]


def test_a_column_of_another_shape_does_not_keep_the_declared_one(table: Open) -> None:
    opened = table(columns=["density", *LIGHT]).select([0])

    found = opened.map(lambda row: {"density": row["density"][::2, ::2, ::2]})

    assert opened.features["density"] != found.features["density"]
    assert np.asarray(found[0]["density"]).shape == (16, 16, 16)


def test_an_array_that_was_pickled_opens_without_cryodata(table: Open) -> None:
    assert b"cryodata" not in pickle.dumps(table()[0]["density"])


def test_map_in_batches_sees_lists_of_arrays(table: Open) -> None:
    opened = table(columns=["amino", *LIGHT])

    found = opened.map(
        lambda rows: {"residues": [int((array > 0).sum()) for array in rows["amino"]]},
        batched=True, batch_size=13, remove_columns="amino",
    )  # fmt: skip

    assert [int((row["amino"] > 0).sum()) for row in opened] == list(found["residues"])
    assert max(found["residues"]) > 0


def test_columns_are_selected_removed_and_renamed_with_their_types(table: Open) -> None:
    opened = table()
    declared = opened.features

    assert {"density": declared["density"]} == dict(opened.select_columns("density").features)
    assert set(declared) - {"atom", "amino"} == set(opened.remove_columns(["atom", "amino"]).features)
    assert opened[9]["density"].tobytes() == opened.rename_column("density", "map")[9]["map"].tobytes()


FORMATS = [
    pytest.param(None, "uint8", "float32", id="none"),
    # `datasets` widens integers: so it does with its own arrays
    pytest.param("numpy", "int64", "float32", id="numpy"),
    pytest.param("torch", "torch.int64", "torch.float32", id="torch"),
]


@pytest.mark.parametrize(("format_type", "label", "density"), FORMATS)
def test_a_row_in_each_format(table: Open, format_type: str | None, label: str, density: str) -> None:
    row = table().with_format(format_type)[11]
    cube = (32, 32, 32)

    assert {"density": (density, cube), **dict.fromkeys(ARRAYS[1:], (label, cube))} == {
        name: kind for name, kind in kinds(row).items() if name in ARRAYS
    }
    assert format_type is None or kinds(row)["start_zyx"] == (label, (3,))
    assert all(np.array_equal(table()[11][name], np.asarray(row[name])) for name in ARRAYS)


@pytest.mark.parametrize(("format_type", "label", "density"), FORMATS[1:])
def test_rows_in_each_format_are_stacked(table: Open, format_type: str, label: str, density: str) -> None:
    rows = table().with_format(format_type)[4:9]

    assert {"density": (density, (5, 32, 32, 32)), **dict.fromkeys(ARRAYS[1:], (label, (5, 32, 32, 32)))} == {
        name: kind for name, kind in kinds(rows).items() if name in ARRAYS
    }
    assert kinds(rows)["start_zyx"] == (label, (5, 3))


def test_a_format_keeps_the_type_that_it_is_told(table: Open) -> None:
    row = table().with_format("numpy", columns=["atom"], dtype=np.uint8)[0]

    assert kinds(row) == {"atom": ("uint8", (32, 32, 32))}


@pytest.mark.parametrize(
    "format_type",
    [None, "numpy", "torch"],
)
def test_batch_groups_rows(table: Open, format_type: str | None) -> None:
    opened = table(columns=["density", *LIGHT])

    batch = opened.batch(4).with_format(format_type)[1]

    assert [opened[n]["density"].tolist() for n in range(4, 8)] == [
        np.asarray(one).tolist() for one in batch["density"]
    ]


def test_iter_gives_batches(table: Open) -> None:
    batches = list(table(columns=["density"]).with_format("numpy").iter(batch_size=32))

    assert {(32, 32, 32, 32)} == {batch["density"].shape for batch in batches[:-1]}
    assert len(table()) == sum(len(batch["density"]) for batch in batches)


def test_datasets_of_one_version_are_concatenated_and_interleaved(
    table: Open, places: list[Place], place: Open
) -> None:
    train, other = table(), table(split="validation")
    both = datasets.concatenate_datasets([train, other])
    mixed = datasets.interleave_datasets([train, other])

    assert len(train) + len(other) == len(both)
    assert other[0]["density"].tobytes() == both[len(train)]["density"].tobytes()
    assert 2 * min(len(train), len(other)) == len(mixed)
    assert [train[1]["density"].tobytes(), other[1]["density"].tobytes()] == [
        mixed[number]["density"].tobytes() for number in (2, 3)
    ]


def test_columns_are_put_beside_each_other(table: Open) -> None:
    opened = table()
    parts = [opened.select_columns("density"), opened.remove_columns("density")]

    assert plain(opened[3]) == plain(datasets.concatenate_datasets(parts, axis=1)[3])


def test_datasets_with_other_labels_are_of_other_types_and_not_concatenated(table: Open) -> None:
    with pytest.raises(ValueError, match=r"^The features can't be aligned because the key density of features "):
        datasets.concatenate_datasets([table(), table(labels="nearest")])


def test_train_test_split_divides_the_rows(table: Open, places: list[Place], place: Open) -> None:
    parts = table().train_test_split(test_size=0.25, seed=0)

    assert list(parts) == ["train", "test"]
    assert -(-len(places) // 4) == len(parts["test"])
    assert places == sorted(place(row) for part in parts.values() for row in part.select_columns(LIGHT))
    assert isinstance(parts["test"][0]["density"], np.ndarray)


def test_it_becomes_a_stream_with_shards(table: Open, places: list[Place], place: Open) -> None:
    opened = table().to_iterable_dataset(num_shards=4)

    assert places == [place(row) for row in opened]
    assert str(next(iter(opened))["density"].dtype) == "float32"


def test_cleaning_the_cache_of_one_dataset_leaves_that_of_another(table: Open) -> None:
    one, other = (table(columns=["density", name]).select(range(3)) for name in LIGHT)
    mapped = [opened.map(peak, remove_columns="density") for opened in (one, other)]

    mapped[0].cleanup_cache_files()

    assert all(Path(file["filename"]).exists() for file in mapped[1].cache_files)


# saving and sending


@pytest.mark.parametrize("config", CONFIGS)
def test_what_was_saved_to_disk_loads_as_it_was(table: Open, tmp_path: Path, config: str) -> None:
    opened = table(config=config)
    opened.save_to_disk(tmp_path / "saved")

    loaded = datasets.load_from_disk(tmp_path / "saved")

    assert opened.features == loaded.features
    assert len(opened) == len(loaded)
    assert [plain(opened[number]) for number in (0, -1)] == [plain(loaded[number]) for number in (0, -1)]


def test_a_selection_is_saved_with_its_format_and_order(table: Open, tmp_path: Path) -> None:
    opened = table().shuffle(seed=5).select(range(7)).with_format("torch", columns=["density", "amino"])
    opened.save_to_disk(tmp_path / "saved")

    loaded = datasets.load_from_disk(tmp_path / "saved")

    assert opened.format == loaded.format
    assert all(torch.equal(a["density"], b["density"]) for a, b in zip(opened, loaded, strict=True))


def test_a_dict_of_splits_is_saved_and_loaded(simulated: Report, tmp_path: Path) -> None:
    opened = load_dataset(str(simulated.folder))
    opened.save_to_disk(tmp_path / "saved")

    loaded = datasets.load_from_disk(tmp_path / "saved")

    assert opened.num_rows == loaded.num_rows
    assert same(opened["validation"][3], loaded["validation"][3])


def test_a_pickled_dataset_reads_the_same_in_a_fresh_process(table: Open, tmp_path: Path) -> None:
    opened = table().shuffle(seed=2)
    (tmp_path / "dataset").write_bytes(pickle.dumps(opened))
    code = f"""
import hashlib, pathlib, pickle, warnings
warnings.simplefilter("error")
opened = pickle.loads(pathlib.Path({str(tmp_path / "dataset")!r}).read_bytes())
print(hashlib.sha256(b"".join(row["density"].tobytes() + row["amino"].tobytes() for row in opened)).hexdigest())
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ))
    expected = hashlib.sha256(b"".join(row["density"].tobytes() + row["amino"].tobytes() for row in opened))

    assert len(pickle.dumps(table())) < 50_000
    assert ("", expected.hexdigest() + "\n") == (run.stderr, run.stdout)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_data_loader_gives_every_row_in_order(table: Open, stream: Open, workers: int) -> None:
    loader = DataLoader(table().with_format("torch"), batch_size=16, num_workers=workers)

    density = torch.cat([batch["density"] for batch in loader])

    assert np.stack([example["density"] for example in stream()]).tobytes() == density.numpy().tobytes()


def test_a_shuffling_data_loader_gives_every_row_once(table: Open, places: list[Place]) -> None:
    loader = DataLoader(
        table().with_format("torch"), batch_size=16, shuffle=True, num_workers=2,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    found = [
        (entry_id, *start)
        for batch in loader
        for entry_id, start in zip(batch["entry_id"], batch["start_zyx"].tolist(), strict=True)
    ]

    assert found != places
    assert places == sorted(found)


def test_spawned_workers_read_the_same(table: Open, stream: Open) -> None:
    loader = DataLoader(table().with_format("torch"), batch_size=16, num_workers=1, multiprocessing_context="spawn")

    density = torch.cat([batch["density"] for batch in loader])

    assert np.stack([example["density"] for example in stream()]).tobytes() == density.numpy().tobytes()


def test_a_data_loader_collates_unformatted_rows_without_widening_them(table: Open) -> None:
    batch = next(iter(DataLoader(table(), batch_size=4)))

    assert {name: str(batch[name].dtype) for name in ARRAYS} == {
        "density": "torch.float32",
        "atom": "torch.uint8",
        "amino": "torch.uint8",
        "secondary": "torch.uint8",
    }


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


# damage


@pytest.fixture
def copied(simulated: Report, tmp_path: Path) -> Path:
    """Folder of a copy of the simulated dataset that may be damaged."""
    for part in ("volumes", "tables", "versions"):
        shutil.copytree(simulated.folder / part, tmp_path / "simulated" / part)
    volumes_of.cache_clear()
    return tmp_path / "simulated"


def first_shard(folder: Path) -> Path:
    return next(folder.glob("volumes/*/SIM-00001-*.zarr/density/c/0/0/0"))


def flip(path: Path, place: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("config", ["subgrids", "volumes"])
@pytest.mark.parametrize("streaming", [False, True], ids=["random access", "streaming"])
def test_a_damaged_shard_is_an_error_that_names_entry_file_and_sums(copied: Path, streaming: bool, config: str) -> None:
    opened = load_dataset(str(copied), config, split="train", streaming=streaming)
    shard = first_shard(copied)
    flip(shard, 100)

    name, size = shard.relative_to(copied), f"{shard.stat().st_size:,}"
    message = re.escape(f"entry SIM-00001: {name}: damaged shard of {size} bytes: crc32c of chunk (0, 0, 0) is ")
    with pytest.raises(DatasetError, match=f"^{message}[0-9a-f]{{8}}; expected [0-9a-f]{{8}}$"):
        next(iter(opened))


def test_a_damaged_shard_stops_a_shuffled_stream(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train", streaming=True).shuffle(1, buffer_size=8)
    flip(first_shard(copied), 100)

    with pytest.raises(DatasetError, match=r"^entry SIM-00001: "):  # raised in a thread that fetches ahead
        list(opened)


def test_a_damaged_shard_spoils_no_other_volume(copied: Path, places: list[Place]) -> None:
    opened = load_dataset(str(copied), split="train")
    flip(first_shard(copied), 100)
    last = next(number for number, one in enumerate(places) if one[0] != places[0][0])

    with pytest.raises(DatasetError):
        opened[0]

    assert opened[last]["density"].shape == (32, 32, 32)


def test_a_missing_shard_is_an_error_that_names_the_file(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    shard = first_shard(copied)
    size = shard.stat().st_size
    shard.unlink()

    with pytest.raises(DatasetError) as caught:
        opened[0]

    assert (
        f"entry SIM-00001: {shard.relative_to(copied)}: No such file or directory; expected {size:,} bytes in {copied}"
        == str(caught.value)
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw[:1000], id="shorter"),
        pytest.param(lambda raw: raw + b"1234", id="longer"),
    ],
)
def test_a_shard_of_another_size_is_an_error_that_names_the_file(copied: Path, change: Open) -> None:
    opened = load_dataset(str(copied), split="train")
    shard = first_shard(copied)
    raw = shard.read_bytes()
    shard.write_bytes(change(raw))

    with pytest.raises(DatasetError) as caught:
        opened[0]

    found, expected = len(change(raw)), len(raw)
    assert f"entry SIM-00001: {shard.relative_to(copied)}: {found:,} bytes; expected a file of {expected:,}" == str(
        caught.value
    )


def test_damage_reaches_the_user_from_a_worker(copied: Path) -> None:
    batches = iter(DataLoader(load_dataset(str(copied), split="train"), num_workers=1))
    flip(first_shard(copied), 100)

    with pytest.raises(
        DatasetError, match=r"(?s)^Caught DatasetError in DataLoader worker process 0\..*entry SIM-00001"
    ):
        next(batches)

    batches._shutdown_workers()  # left to the garbage, it takes 5 s


def test_changed_metadata_of_a_volume_are_noticed(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    metadata = first_shard(copied).parents[4] / "zarr.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"angstrom", b"angstram"))

    with pytest.raises(DatasetError) as caught:
        opened[0]

    name = metadata.relative_to(copied)
    assert f"entry SIM-00001: {name}: other bytes than the table of objects says" == str(caught.value)


def test_a_manifest_swapped_under_an_open_dataset_is_noticed(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    sent = pickle.dumps(opened)
    manifest = copied / "versions/0.1.0.json"
    before = manifest.read_bytes()
    write_manifest(copied, {**manifest_of(copied), "license": "CC0-1.1"})
    after = manifest.read_bytes()
    volumes_of.cache_clear()  # as in another process

    with pytest.raises(DatasetError) as caught:
        pickle.loads(sent)[0]

    found, expected = (hashlib.sha256(raw).hexdigest() for raw in (after, before))
    assert found != expected
    assert f"simulated@0.1.0 in {copied.parent} has the manifest {found}; expected {expected}" == str(caught.value)


def test_a_table_of_another_content_is_noticed_when_it_is_opened(copied: Path) -> None:
    entries = next(copied.glob("tables/*/entries.parquet"))
    said = hashlib.sha256(entries.read_bytes()).hexdigest()
    flip(entries, 1000)

    with pytest.raises(DatasetError) as caught:
        load_dataset(str(copied), split="train")

    assert f"tables/{entries.parent.name}/entries.parquet: missing or changed; expected sha256 {said}" == str(
        caught.value
    )


def test_a_dataset_that_was_moved_away_is_an_error_that_names_it(copied: Path) -> None:
    opened = load_dataset(str(copied), split="train")
    copied.rename(copied.with_name("elsewhere"))
    volumes_of.cache_clear()

    with pytest.raises(UsageError) as caught:
        opened[0]

    expected = f"no dataset 'simulated' in {copied.parent}; found: elsewhere; to make one: cryodata build --help"
    assert expected == str(caught.value)
