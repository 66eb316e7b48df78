"""Streams: genuine iterable datasets, each volume decoded once, every example exactly once, resumed anywhere."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
import zarr
from datasets.distributed import split_dataset_by_node
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.errors import UsageError
from cryodata.read import decode
from cryodata.read.decode import Volumes

Open = Callable[..., Any]
Place = tuple[str, int, int, int]

CONFIGS = ("subgrids", "volumes", "entries", "atoms")
ARRAYS = ("density", "atom", "amino", "secondary")
LIGHT = ["entry_id", "start_zyx"]
"columns that say which example it is and need nothing decoded"

too_many_workers = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on few cores


def key(example: Any) -> str:
    """The identity of an example, or of a batch of them."""
    return json.dumps([example["entry_id"], np.asarray(example["start_zyx"]).tolist()])


def keys(examples: Iterable[Any]) -> list[str]:
    return [key(example) for example in examples]


def kinds(example: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every column."""
    return {
        name: (str(value.dtype), tuple(value.shape)) if hasattr(value, "dtype") else (type(value).__name__, ())
        for name, value in example.items()
    }


def entry_rows(report: Report) -> list[dict[str, Any]]:
    rows = pq.read_table(report.folder / report.manifest.tables / "entries.parquet").to_pylist()
    return [row for row in rows if row["split_resolution"] == "train"]


# what it is


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

        assert stored["density"][...].astype(np.float32).tobytes() == example["density"].tobytes()
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


# order, and what it costs


def test_the_order_is_that_of_the_table(stream: Open, places: list[Place], place: Open) -> None:
    assert places == [place(example) for example in stream()]


def test_the_order_is_by_entry_then_start_with_x_fastest(places: list[Place]) -> None:
    assert sorted(places) == places
    assert len(set(places)) == len(places)


def test_ids_and_resolution_are_those_of_the_entry(stream: Open, simulated: Report) -> None:
    rows = {row["entry_id"]: row for row in entry_rows(simulated)}
    names = ("entry_id", "emdb_id", "pdb_id", "resolution")

    for example in stream(columns=names):
        assert {name: rows[example["entry_id"]][name] for name in names} == example


def test_a_pass_decodes_each_volume_once_and_the_next_pass_none(stream: Open, decoder: Volumes) -> None:
    opened = stream()

    assert decoder.decodes == 0
    assert opened.num_shards < sum(1 for _ in opened)
    assert opened.num_shards == decoder.decodes

    list(opened)

    assert opened.num_shards == decoder.decodes


def test_with_room_for_one_volume_each_pass_decodes_each_once(
    stream: Open, decoder: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "CACHE_BYTES", 1)
    opened = stream()

    list(opened)
    list(opened)

    assert 2 * opened.num_shards == decoder.decodes


def test_with_room_for_one_volume_a_shuffled_pass_decodes_each_once(
    stream: Open, decoder: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "CACHE_BYTES", 1)
    opened = stream(columns=["density"])

    list(opened.map(lambda row: row).shuffle(1, buffer_size=16))

    assert opened.num_shards == decoder.decodes


def test_threads_share_what_is_decoded(stream: Open, decoder: Volumes, places: list[Place], place: Open) -> None:
    found: list[list[Place]] = []
    threads = [threading.Thread(target=lambda: found.append([place(one) for one in stream()])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [places] * 4 == found
    assert stream().num_shards == decoder.decodes


def test_columns_without_voxels_decode_nothing(stream: Open, decoder: Volumes, places: list[Place]) -> None:
    opened = stream(columns=LIGHT)

    assert opened.column_names == LIGHT
    assert places == [(one["entry_id"], *one["start_zyx"]) for one in opened]
    assert decoder.decodes == 0


def test_columns_come_in_the_order_asked_for(stream: Open) -> None:
    columns = ["start_zyx", "secondary", "density"]

    assert columns == stream(columns=columns).column_names == list(next(iter(stream(columns=columns))))


@pytest.mark.parametrize(
    ("condition", "meets"),
    [
        pytest.param([("n_ca_core", ">", 0)], lambda row: row["n_ca_core"] > 0, id="list"),
        pytest.param(pc.field("n_ca_core") > 0, lambda row: row["n_ca_core"] > 0, id="expression"),
        pytest.param(
            [[("n_ca_core", ">", 0)], [("n_atom_box", "==", 0)]],
            lambda row: row["n_ca_core"] > 0 or row["n_atom_box"] == 0,
            id="one or the other",
        ),
        pytest.param([("entry_id", "==", "SIM-00002")], lambda row: row["entry_id"] == "SIM-00002", id="entry"),
        pytest.param([("n_ca_core", "<", 0)], lambda row: False, id="none"),
    ],
)
def test_a_filter_keeps_the_rows_that_meet_it_and_decodes_no_other_volume(
    stream: Open, decoder: Volumes, subgrid_rows: list[dict[str, Any]], condition: Any, meets: Open, place: Open
) -> None:
    expected = [(row["entry_id"], *row["start_zyx"]) for row in subgrid_rows if meets(row)]
    opened = stream(filter=condition)

    assert decoder.decodes == 0
    assert len(expected) < len(subgrid_rows)
    assert expected == [place(example) for example in opened]
    assert len({entry_id for entry_id, *_ in expected}) == decoder.decodes == opened.num_shards


@pytest.mark.parametrize(
    ("config", "condition", "column"),
    [
        pytest.param("volumes", [("entry_id", "in", ["SIM-00001", "SIM-00003"])], "entry_id", id="volumes"),
        pytest.param("entries", [("entry_id", "in", ["SIM-00001", "SIM-00003"])], "entry_id", id="entries"),
        pytest.param("atoms", [("atom", "in", ["CA"])], "atom", id="atoms"),
    ],
)
def test_other_configs_are_filtered_by_their_own_columns(
    stream: Open, config: str, condition: Any, column: str
) -> None:
    _, _, wanted = condition[0]

    expected = [row for row in stream(config=config, columns=[column]) if row[column] in wanted]

    assert 0 < len(expected) < sum(1 for _ in stream(config=config, columns=[column]))
    assert expected == list(stream(config=config, columns=[column], filter=condition))


def test_what_a_user_does_to_an_example_stays_there(stream: Open) -> None:
    opened = stream()
    first = next(iter(opened))
    before = {name: first[name].copy() for name in ARRAYS}
    for name in ARRAYS:
        first[name][...] = 77

    again = next(iter(opened))

    assert all(np.array_equal(before[name], again[name]) for name in ARRAYS)


# boxes and labels


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
        expected = stored["density"][...].astype(np.float32)
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


# resuming

PIPELINES: dict[str, Open] = {
    "plain": lambda opened: opened,
    "map": lambda opened: opened.map(lambda example: {"peak": float(example["density"].max())}),
    "map batched": lambda opened: opened.map(lambda batch: batch, batched=True, batch_size=7),
    "filter": lambda opened: opened.filter(lambda example: example["start_zyx"][2] > 0),
    "batch": lambda opened: opened.batch(7),
    "take": lambda opened: opened.take(70),
    "skip": lambda opened: opened.skip(30),
    "numpy": lambda opened: opened.with_format("numpy"),
    "columns": lambda opened: opened.select_columns(LIGHT),
    "one node of two": lambda opened: split_dataset_by_node(opened, rank=1, world_size=2),
    "all of it": lambda opened: (
        opened.filter(lambda example: example["start_zyx"][1] > 0)
        .map(lambda example: example)
        .skip(3)
        .take(40)
        .batch(4)
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_stream_resumes_exactly_at_ten_random_places_and_at_the_end(stream: Open, name: str) -> None:
    def opened() -> Any:
        return PIPELINES[name](stream(columns=["density", *LIGHT]))

    whole = keys(opened())
    chosen = random.Random(name)
    for place in [*(chosen.randrange(len(whole)) for _ in range(10)), len(whole)]:
        first, second = opened(), opened()
        examples = iter(first)
        seen = [key(next(examples)) for _ in range(place)]
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))

        assert whole == seen + keys(second)


@pytest.mark.parametrize("config", ["volumes", "entries", "atoms"])
def test_a_stream_of_another_config_resumes_exactly(stream: Open, config: str) -> None:
    def opened() -> Any:
        return stream(config=config, columns=["voxel_size_xyz", "entry_id"] if config == "volumes" else None)

    def shown(examples: Iterable[Any]) -> list[str]:
        return [repr(example) for example in examples]

    whole = shown(opened())
    for place in {0, 1, 2, len(whole) // 2, len(whole) - 1, len(whole)}:
        first, second = opened(), opened()
        examples = iter(first)
        seen = [repr(next(examples)) for _ in range(place)]
        second.load_state_dict(first.state_dict())

        assert whole == seen + shown(second)


def test_a_resumed_stream_can_be_stopped_and_resumed_again(stream: Open, places: list[Place], place: Open) -> None:
    seen, state = [], None
    while len(seen) < len(places):
        opened = stream(columns=LIGHT)
        if state is not None:
            opened.load_state_dict(state)
        seen += [place(example) for _, example in zip(range(17), opened, strict=False)]
        state = opened.state_dict()

    assert places == seen


def test_resuming_decodes_only_what_is_still_to_come(stream: Open, decoder: Volumes, places: list[Place]) -> None:
    last = next(number for number, one in enumerate(places) if one[0] == places[-1][0])
    opened = stream(columns=LIGHT)
    examples = iter(opened)
    for _ in range(last + 1):
        next(examples)
    resumed = stream()
    resumed.load_state_dict(opened.state_dict())

    assert len(places) - last - 1 == sum(1 for _ in resumed)
    assert decoder.decodes == 1


def test_a_state_holds_in_its_epoch(stream: Open) -> None:
    def opened(epoch: int) -> Any:
        found = stream(columns=LIGHT)
        found.set_epoch(epoch)
        return found

    whole, first, second = keys(opened(2)), opened(2), opened(2)
    examples = iter(first)
    seen = [key(next(examples)) for _ in range(50)]
    second.load_state_dict(first.state_dict())

    assert whole == seen + keys(second)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_data_loader_resumes_with_the_same_workers(stream: Open, workers: int) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    def opened() -> Any:
        return StatefulDataLoader(stream(columns=LIGHT), batch_size=None, num_workers=workers)

    whole = keys(opened())
    for place in (1, 41, len(whole) - 1):
        first, second = opened(), opened()
        examples = iter(first)
        seen = [key(next(examples)) for _ in range(place)]
        second.load_state_dict(first.state_dict())

        assert whole == seen + keys(second)


# epochs and shuffling


def test_epochs_are_the_same_examples_volume_by_volume_in_other_orders(
    stream: Open, places: list[Place], place: Open
) -> None:
    opened = stream(columns=LIGHT)
    orders = set()
    for epoch in range(6):
        opened.set_epoch(epoch)
        found = [place(example) for example in opened]
        volumes = list(dict.fromkeys(entry_id for entry_id, *_ in found))
        orders.add(tuple(volumes))

        assert [one for entry_id in volumes for one in places if one[0] == entry_id] == found
        assert found == [place(example) for example in opened]

    assert len(orders) > 1

    opened.set_epoch(0)

    assert places == [place(example) for example in opened]


def test_a_shuffle_is_a_permutation_that_its_seed_gives_back(stream: Open, places: list[Place], place: Open) -> None:
    def shuffled(seed: int, epoch: int = 0) -> list[Place]:
        opened = stream(columns=LIGHT).shuffle(seed, buffer_size=50)
        opened.set_epoch(epoch)
        return [place(example) for example in opened]

    orders = [shuffled(1), shuffled(2), shuffled(1, epoch=1)]

    assert orders == [shuffled(1), shuffled(2), shuffled(1, epoch=1)]
    assert all(sorted(order) == places for order in orders)
    assert len({tuple(order) for order in [*orders, places]} - {tuple(places)}) == 3


# nodes and workers


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "prepare", [lambda opened: opened, lambda opened: opened.shuffle(5, buffer_size=9)], ids=["plain", "shuffled"]
)
def test_nodes_share_the_examples_exactly(
    stream: Open, places: list[Place], place: Open, world: int, prepare: Open
) -> None:
    ranks = [
        [place(example) for example in split_dataset_by_node(prepare(stream(columns=LIGHT)), rank, world)]
        for rank in range(world)
    ]

    assert places == sorted(one for rank in ranks for one in rank)
    assert all(ranks)


def test_nodes_with_workers_share_the_examples_exactly(stream: Open, places: list[Place], place: Open) -> None:
    found = []
    for rank in range(2):
        opened = split_dataset_by_node(stream(columns=LIGHT), rank, world_size=2)
        found += [place(example) for example in DataLoader(opened, batch_size=None, num_workers=2)]

    assert places == sorted(found)


@too_many_workers
@pytest.mark.parametrize("workers", [0, 1, 2, 3, 4])
def test_workers_give_every_example_once_and_up_to_one_keep_the_order(
    stream: Open, places: list[Place], place: Open, workers: int
) -> None:
    found = [place(example) for example in DataLoader(stream(), batch_size=None, num_workers=workers)]

    assert places == sorted(found)
    assert workers > 1 or places == found


def test_a_worker_keeps_the_order_of_its_volumes(stream: Open, places: list[Place], place: Open) -> None:
    found = [place(example) for example in DataLoader(stream(columns=LIGHT), batch_size=None, num_workers=2)]

    for entry_id in {one[0] for one in places}:
        assert [one for one in places if one[0] == entry_id] == [one for one in found if one[0] == entry_id]


def test_spawned_workers_give_the_same_examples(stream: Open) -> None:
    expected = {key(example): example["density"].tobytes() for example in stream()}

    loader = DataLoader(stream(), batch_size=None, num_workers=2, multiprocessing_context="spawn")

    assert expected == {key(example): example["density"].numpy().tobytes() for example in loader}


def test_persistent_workers_follow_the_epoch(stream: Open, places: list[Place], place: Open) -> None:
    opened = stream(columns=LIGHT).shuffle(3, buffer_size=9)
    loader = DataLoader(opened, batch_size=None, num_workers=2, persistent_workers=True)
    orders = []
    for epoch in range(3):
        opened.set_epoch(epoch)
        orders.append([place(example) for example in loader])

    assert [places] * 3 == [sorted(order) for order in orders]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize("config", CONFIGS)
def test_a_pickled_stream_is_small_and_gives_the_same(stream: Open, config: str) -> None:
    condition = [("atom", "==", "CA")] if config == "atoms" else [("entry_id", "!=", "SIM-00001")]
    opened = stream(config=config, filter=condition)
    pickled = pickle.dumps(opened)

    def shown(found: Any) -> list[str]:
        return [
            repr({name: np.asarray(value).tolist() for name, value in example.items()}) for example in found.take(20)
        ]

    assert len(pickled) < 50_000
    assert shown(opened) == shown(pickle.loads(pickled))


# versions and mistakes


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a dataset whose version 0.2.0 has a map more than 0.1.0."""
    root = tmp_path_factory.mktemp("versions")
    for version, maps in (("0.1.0", 1), ("0.2.0", 2)):
        build(Request("simulated", root, version=version, settings=(f"maps={maps}", "residues=20")))
    return root


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        pytest.param("simulated", {}, 2, id="highest"),
        pytest.param("simulated", {"revision": "0.1.0"}, 1, id="revision"),
        pytest.param("simulated@0.1.0", {}, 1, id="in the name"),
        pytest.param("simulated@0.1.0", {"revision": "0.1.0"}, 1, id="both, the same"),
    ],
)
def test_a_revision_pins_the_version(two_versions: Path, name: str, options: dict[str, str], expected: int) -> None:
    opened = load_dataset(name, "entries", root=two_versions, split="train", streaming=True, **options)

    assert expected == sum(1 for _ in opened)
    assert expected == opened.num_shards


def test_two_versions_at_once_are_refused(two_versions: Path) -> None:
    with pytest.raises(UsageError, match="^'simulated@0.1.0' names another version than 0.2.0; name one$"):
        load_dataset("simulated@0.1.0", root=two_versions, revision="0.2.0")


def test_a_dataset_is_found_by_path_by_root_and_by_environment(
    two_versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(name: str, **options: Any) -> list[str]:
        opened = load_dataset(name, "entries", split="train", streaming=True, columns=["entry_id"], **options)
        return [row["entry_id"] for row in opened]

    expected = ["SIM-00001", "SIM-00002"]

    assert expected == ids(str(two_versions / "simulated"))
    assert expected == ids("simulated", root=str(two_versions))

    monkeypatch.setenv("CRYODATA_ROOT", str(two_versions))

    assert expected == ids("simulated")

    monkeypatch.chdir(two_versions)

    assert expected == ids("./simulated")


COLUMNS = "density, atom, amino, secondary, entry_id, emdb_id, pdb_id, resolution, start_zyx"
ROWS = (
    "volume, start_zyx, n_ca_core, n_ca_box, n_atom_box, occupied, density_max, place, "
    "entry_id, emdb_id, pdb_id, resolution"
)

MISTAKES = [
    pytest.param({"config": "boxes"}, "no config 'boxes'; found: subgrids, volumes, entries, atoms", id="config"),
    pytest.param(
        {"split": "dev"},
        "no split 'dev' of the scheme 'resolution'; found: train, validation, test, unassigned",
        id="split",
    ),
    pytest.param(
        {"split": "val"},
        "no split 'val' of the scheme 'resolution'; found: train, validation, test, unassigned; "
        "did you mean 'validation'?",
        id="short name of a split",
    ),
    pytest.param(
        {"split": "train[:10%]"},
        "no split 'train[:10%]' of the scheme 'resolution'; found: train, validation, test, unassigned; for a part of "
        "one: .take(n), .skip(n), or whole maps by filter=[('entry_id', 'in', [...])]; for several: "
        "datasets.concatenate_datasets",
        id="part of a split",
    ),
    pytest.param({"split_by": "date"}, "no split scheme 'date'; found: id, resolution, sequence", id="scheme"),
    pytest.param(
        {"labels": "ceiling"},
        "no label rule 'ceiling'; found: stored, floor, nearest, sphere:R, gaussian:S, offset",
        id="label rule",
    ),
    pytest.param({"columns": ["densty", "atom"]}, f"no column densty; found: {COLUMNS}", id="column"),
    pytest.param({"columns": []}, f"no column is asked for; found: {COLUMNS}", id="no column"),
    pytest.param(
        {"filter": "n_ca_core > 0"},
        "filter='n_ca_core > 0': text is never evaluated; "
        "expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]",
        id="text as filter",
    ),
    pytest.param(
        {"filter": [("entry_id", "in", "SIM-00001")]},
        "filter=[('entry_id', 'in', 'SIM-00001')]: 'in' takes a list of values, found 'SIM-00001'; "
        "expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]",
        id="text for a list of values",
    ),
    pytest.param(
        {"filter": ("n_ca_core", ">", 0)},
        "filter=('n_ca_core', '>', 0): a condition is (column, operator, value), found 'n_ca_core'; "
        "expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]",
        id="condition without a list",
    ),
    pytest.param(
        {"filter": [("n_ca", ">", 0)]},
        f"filter: No match for FieldRef.Name(n_ca) in volume: int32; columns are {ROWS}",
        id="column of filter",
    ),
    pytest.param(
        {"box": 31}, "box - core must be even so that the core is centred, found box=31, core=20", id="odd margin"
    ),
    pytest.param({"box": 32.0}, "box=32.0; expected a whole number", id="box that is no whole number"),
    pytest.param(
        {"box": 2048}, "box=2048; expected 1,024 at most, as in the largest map that is built", id="huge box"
    ),
    pytest.param(
        {"shuffle": False},
        "shuffle=False; expected the seed of a shuffle, a whole number, or None for none",
        id="shuffle that is no seed",
    ),
    pytest.param({"shuffle": 0, "batch_size": "4"}, "batch_size='4'; expected a whole number", id="size of a batch"),
    pytest.param({"batch_size": 0}, "batch_size=0; expected 1 or more", id="no batch"),
    pytest.param({"box": 16}, "core must be 1 to box, found core=20, box=16", id="small box"),
    pytest.param(
        {"box": 64, "filter": [("n_ca_core", ">", 0)]},
        "filter= looks at the table of sub-grids, which has box 32, core 20",
        id="filter of other boxes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_a_mistake_is_told_with_what_there_is(stream: Open, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        stream(**options)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        pytest.param(
            "simulatd",
            {},
            "no dataset 'simulatd' in {root}; found: simulated; did you mean 'simulated'?",
            id="dataset",
        ),
        pytest.param(
            "simulated",
            {"revision": "0.3.0"},
            "dataset 'simulated' in {root} has no version '0.3.0'; found: 0.1.0, 0.2.0",
            id="revision",
        ),
        pytest.param(
            "simulated@9.0.0",
            {},
            "dataset 'simulated' in {root} has no version '9.0.0'; found: 0.1.0, 0.2.0",
            id="version in the name",
        ),
        pytest.param(
            "-x", {}, "'-x' is no name of a dataset: letters, digits, '.', '_' and '-'", id="no name of a dataset"
        ),
        pytest.param(
            "ftp://host/x",
            {},
            "'ftp://host' is no root; expected a folder or a URL of file, http, https, s3, gs, az",
            id="address",
        ),
    ],
)
def test_an_unknown_dataset_or_version_is_told_with_the_known_ones(
    two_versions: Path, name: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_dataset(name, root=two_versions, **options)

    assert message.format(root=two_versions) == str(caught.value)


def test_a_split_of_the_library_is_taken(stream: Open) -> None:
    assert stream().num_shards == stream(split=datasets.Split.TRAIN).num_shards


def test_a_path_object_is_taken(simulated: Report) -> None:
    assert load_dataset(simulated.folder, "entries", split="train", streaming=True).num_shards


def test_one_column_may_be_named_without_a_list(stream: Open) -> None:
    assert stream(columns="density").column_names == ["density"]


def test_a_filter_of_atoms_by_an_unknown_column_is_refused_when_it_is_opened(stream: Open) -> None:
    with pytest.raises(UsageError):
        stream(config="atoms", filter=[("atm", "==", "CA")])
