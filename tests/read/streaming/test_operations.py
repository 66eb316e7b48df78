"""Formats and operations of the library on a stream."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from torch.utils.data import DataLoader

from tests.read.examples import ARRAYS, LIGHT, Open, Place, keys, kinds

# formats


@pytest.mark.parametrize(
    ("format_type", "label", "density", "text", "resolution"),
    [
        pytest.param(None, "uint8", "float32", "str", ("float", ()), id="none"),
        # `datasets` widens integers, and narrows floats for torch: so it does with its own arrays
        pytest.param("numpy", "int64", "float32", "str", ("float64", ()), id="numpy"),
        pytest.param("torch", "torch.int64", "torch.float32", "str", ("torch.float32", ()), id="torch"),
    ],
)
def test_an_example_in_each_format(
    stream: Open, format_type: str | None, label: str, density: str, text: str, resolution: Any
) -> None:
    plain = next(iter(stream()))
    example = next(iter(stream().with_format(format_type)))
    found = kinds(example)

    start = found.pop("start_zyx")
    assert found == {
        "density": (density, (32, 32, 32)),
        **dict.fromkeys(ARRAYS[1:], (label, (32, 32, 32))),
        **dict.fromkeys(("entry_id", "emdb_id", "pdb_id"), (text, ())),
        "resolution": resolution,
    }
    assert format_type is None or start == (label, (3,))
    assert all(np.array_equal(plain[name], np.asarray(example[name])) for name in (*ARRAYS, "start_zyx"))


@pytest.mark.parametrize("first", ["batch", "format"])
def test_batches_in_numpy_are_stacked(stream: Open, first: str) -> None:
    opened = stream()
    batches = opened.batch(5).with_format("numpy") if first == "batch" else opened.with_format("numpy").batch(5)

    batch = next(iter(batches))

    assert kinds(batch)["density"] == ("float32", (5, 32, 32, 32))
    assert kinds(batch)["start_zyx"] == ("int64", (5, 3))
    assert [one["density"].tobytes() for one in opened.take(5)] == [one.tobytes() for one in batch["density"]]


def test_batches_in_torch_are_stacked(stream: Open) -> None:
    batch = next(iter(stream().batch(5).with_format("torch")))

    assert kinds(batch)["density"] == ("torch.float32", (5, 32, 32, 32))
    assert kinds(batch)["amino"] == ("torch.int64", (5, 32, 32, 32))


def test_a_data_loader_collates_unformatted_examples_without_widening_them(stream: Open) -> None:
    batch = next(iter(DataLoader(stream(columns=[*ARRAYS, "entry_id", "resolution"]), batch_size=4)))

    assert kinds(batch) == {
        "density": ("torch.float32", (4, 32, 32, 32)),
        **dict.fromkeys(ARRAYS[1:], ("torch.uint8", (4, 32, 32, 32))),
        "entry_id": ("list", ()),
        "resolution": ("torch.float64", (4,)),
    }


# operations


def test_map_filter_take_skip_and_columns_compose(stream: Open, places: list[Place], place: Open) -> None:
    opened = (
        stream()
        .filter(lambda example: example["start_zyx"][2] > 0)
        .map(lambda example: {"peak": float(example["density"].max())})
        .remove_columns(["atom", "amino"])
        .skip(3)
        .take(10)
    )
    found = list(opened)

    assert [one for one in places if one[3] > 0][3:13] == [place(example) for example in found]
    assert [float(example["density"].max()) for example in found] == [example["peak"] for example in found]
    assert {"density", "secondary", "entry_id", "emdb_id", "pdb_id", "resolution", "start_zyx", "peak"} == set(found[0])


def test_select_and_remove_columns_keep_the_declared_types(stream: Open) -> None:
    opened = stream()
    kept = ["density", "entry_id"]

    assert {name: opened.features[name] for name in kept} == dict(opened.select_columns(kept).features)
    assert kept == opened.remove_columns([name for name in opened.column_names if name not in kept]).column_names


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda opened: opened.remove_columns("atom"), id="remove_columns"),
        pytest.param(lambda opened: opened.rename_column("atom", "atoms"), id="rename_column"),
    ],
)
def test_a_change_of_other_columns_leaves_the_start_as_it_was(stream: Open, change: Open) -> None:
    before, after = next(iter(stream())), next(iter(change(stream())))

    assert kinds(before)["start_zyx"] == kinds(after)["start_zyx"]
    assert np.array_equal(before["start_zyx"], after["start_zyx"])


def test_streams_are_concatenated_and_interleaved(stream: Open, places: list[Place], place: Open) -> None:
    train, other = stream(columns=LIGHT), stream(columns=LIGHT, split="validation")
    held_out = [place(example) for example in other]

    assert places + held_out == [place(example) for example in datasets.concatenate_datasets([train, other])]

    mixed = datasets.interleave_datasets([train, other], stopping_strategy="all_exhausted_without_replacement")

    assert Counter(places + held_out) == Counter(place(example) for example in mixed)


def test_a_stream_is_written_as_parquet_with_its_voxels(stream: Open, tmp_path: Path) -> None:
    opened = stream().take(5)
    opened.to_parquet(tmp_path / "part.parquet")

    rows = pq.read_table(tmp_path / "part.parquet").to_pylist()

    assert [example["density"].tolist() for example in opened] == [row["density"] for row in rows]
    assert keys(opened) == keys(rows)


def test_a_parquet_file_of_a_stream_opens_without_cryodata(stream: Open, tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    stream().take(2).to_parquet(path)
    code = f"import datasets; print(len(datasets.Dataset.from_parquet({str(path)!r}, cache_dir={str(tmp_path)!r})))"

    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert run.stdout == "2\n"


def test_a_stream_of_volumes_is_written_as_parquet(stream: Open, tmp_path: Path) -> None:
    opened = stream(config="volumes")
    opened.to_parquet(tmp_path / "volumes.parquet")

    loaded = datasets.Dataset.from_parquet(str(tmp_path / "volumes.parquet"), cache_dir=str(tmp_path))

    assert [one["density"].tobytes() for one in opened] == [one["density"].tobytes() for one in loaded]
