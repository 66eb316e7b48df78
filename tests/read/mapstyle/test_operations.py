"""Operations of the library on a dataset with random access."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from cryodata.read.decode import Volumes
from tests.read.examples import ARRAYS, LIGHT, Open, Place, kinds, peak, plain, same


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
