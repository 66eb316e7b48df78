"""What cryodata/read/hf.py takes for granted of the private parts of `datasets`: what an upgrade may break."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets.features.features import _FEATURE_TYPES, register_feature, require_decoding
from datasets.iterable_dataset import _BaseExamplesIterable

from cryodata.read import hf
from cryodata.read.features import Voxels
from cryodata.read.hf_examples import Examples, KeyedExamples

Open = Callable[..., Any]

METHODS = {
    "__init__": ["self"],
    "__iter__": ["self"],
    "_init_state_dict": ["self"],
    "load_state_dict": ["self", "state_dict"],
    "state_dict": ["self"],
    "shuffle_data_sources": ["self", "generator"],
    "shard_data_sources": ["self", "num_shards", "index", "contiguous"],
    "reshard_data_sources": ["self"],
    "split_shard_indices_by_worker": ["self", "num_shards", "index", "contiguous"],
}
"what is overridden or called, and its parameters"

PROPERTIES = ("iter_arrow", "is_typed", "features", "num_shards", "sleep_on_threads_shutdown")

VOXELS = Voxels("density", "float32", [32, 32, 32], "/root", "simulated", "0.1.0", "0" * 64, "stored")
REFERENCE = {"volume": 3, "start_zyx": [-6, 14, 34]}


def features() -> datasets.Features:
    return datasets.Features({"density": VOXELS, "entry_id": datasets.Value("string")})


def test_one_private_name_of_datasets_is_imported() -> None:
    imported = [
        alias.name
        for path in sorted(Path(hf.__file__).parents[1].rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("datasets")
        for alias in node.names
    ]

    assert [name for name in imported if name.startswith("_")] == ["_BaseExamplesIterable"]


@pytest.mark.parametrize("name", METHODS)
def test_the_base_has_the_method_with_these_parameters(name: str) -> None:
    assert METHODS[name] == list(inspect.signature(getattr(_BaseExamplesIterable, name)).parameters)


@pytest.mark.parametrize("name", PROPERTIES)
def test_the_base_has_the_property(name: str) -> None:
    assert isinstance(inspect.getattr_static(_BaseExamplesIterable, name), property)


@pytest.mark.parametrize("kind", [Examples, KeyedExamples])
def test_everything_that_the_base_leaves_open_is_filled_in(kind: type) -> None:
    def is_open(member: Any) -> bool:
        function = member.fget if isinstance(member, property) else member
        return inspect.isfunction(function) and "raise NotImplementedError" in inspect.getsource(function)

    left_open = {name for name, member in vars(_BaseExamplesIterable).items() if is_open(member)}

    assert left_open >= {"__iter__", "_init_state_dict", "num_shards", "shard_data_sources", "shuffle_data_sources"}
    assert {name for name in left_open if getattr(kind, name) is getattr(_BaseExamplesIterable, name)} == set()


def test_an_iterable_dataset_is_made_of_examples_info_and_split() -> None:
    parameters = list(inspect.signature(datasets.IterableDataset.__init__).parameters)

    assert parameters[:4] == ["self", "ex_iterable", "info", "split"]


def test_the_stream_hands_examples_on_as_they_are(stream: Open) -> None:
    opened = stream()
    first = next(iter(opened._ex_iterable))[1]

    assert isinstance(opened._ex_iterable, Examples)
    assert opened._ex_iterable.iter_arrow is None  # else everything would pass through Arrow, 50 times slower
    assert opened._ex_iterable.is_typed
    assert not opened._ex_iterable.sleep_on_threads_shutdown
    assert [type(value) for value in first.values()] == [type(value) for value in next(iter(opened)).values()]


def test_the_state_is_a_shard_and_a_place_in_plain_json(stream: Open) -> None:
    opened = stream()

    def expected(shard: int, place: int) -> dict[str, Any]:
        selected = opened._ex_iterable.source.selected
        examples = {"shard_idx": shard, "shard_example_idx": place, "type": "Examples", "of": selected}
        return {"examples_iterable": examples, "epoch": 0}

    assert expected(0, 0) == opened.state_dict()

    examples = iter(opened)
    for _ in range(3):
        next(examples)

    assert expected(0, 3) == opened.state_dict() == json.loads(json.dumps(opened.state_dict()))

    total = 3 + sum(1 for _ in examples)

    assert total > opened.num_shards
    assert expected(opened.num_shards, 0) == opened.state_dict()


def test_a_state_that_was_taken_does_not_move_on(stream: Open) -> None:
    opened = stream()
    examples = iter(opened)
    next(examples)
    taken = opened.state_dict()
    next(examples)

    assert taken["examples_iterable"]["shard_example_idx"] == 1
    assert opened.state_dict()["examples_iterable"]["shard_example_idx"] == 2


def test_a_stream_is_an_iterable_of_torch_as_well(stream: Open) -> None:
    assert isinstance(stream(), torch.utils.data.IterableDataset)


def test_register_feature_says_that_it_is_experimental(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_FEATURE_TYPES, "Probe", Voxels)
    monkeypatch.delitem(_FEATURE_TYPES, "Probe")
    message = r"^'register_feature' is experimental and might be subject to breaking changes in the future\.$"

    with pytest.warns(UserWarning, match=message):
        register_feature(Voxels, "Probe")

    assert _FEATURE_TYPES["Probe"] is Voxels


def test_the_voxels_are_registered_under_the_name_that_they_write() -> None:
    assert _FEATURE_TYPES[VOXELS._type] is Voxels


@pytest.mark.parametrize("shape", [pytest.param([32, 32, 32], id="sub-grid"), pytest.param(None, id="volume")])
def test_voxels_survive_json(shape: list[int] | None) -> None:
    declared = datasets.Features({"a": Voxels("a", "uint8", shape, "/root", "n", "0.1.0", "0" * 64, "nearest")})

    assert declared == datasets.Features.from_dict(json.loads(json.dumps(declared.to_dict())))


def test_voxels_survive_the_schema_of_an_arrow_file() -> None:
    assert features() == datasets.Features.from_arrow_schema(hf.arrow_schema(features()))


def test_voxels_survive_the_yaml_of_a_dataset_card() -> None:
    assert features() == datasets.Features._from_yaml_list(features()._to_yaml_list())


def test_voxels_that_nobody_registered_are_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = features().to_dict()
    monkeypatch.delitem(_FEATURE_TYPES, "CryodataVoxels")
    known = ", ".join(f"'{name}'" for name in _FEATURE_TYPES)

    with pytest.raises(ValueError, match="Feature type") as caught:
        datasets.Features.from_dict(written)

    assert f"Feature type 'CryodataVoxels' not found. Available feature types: [{known}]" == str(caught.value)


def test_decoding_is_asked_for_and_can_be_turned_off() -> None:
    kept = Voxels(**{**{name: getattr(VOXELS, name) for name in VOXELS.__dict__ if name != "_type"}, "decode": False})

    assert (require_decoding(VOXELS), require_decoding(kept)) == (True, False)


def test_with_decoding_off_a_row_is_the_reference(table: Open) -> None:
    opened = table(columns=["density"])
    feature = opened.features["density"]
    values = {name: getattr(feature, name) for name in feature.__dict__ if name != "_type"}
    references = opened.cast_column("density", Voxels(**{**values, "decode": False}))

    assert {"volume": 0, "start_zyx": [-6, -6, -6]}.items() <= references[0]["density"].items()


def test_references_and_arrays_pass_as_they_are() -> None:
    array = np.zeros((2, 2, 2))

    assert VOXELS.encode_example(REFERENCE) is REFERENCE
    assert VOXELS.decode_example(array) is array


def test_references_of_wider_integers_are_cast_to_those_stored() -> None:
    wide = pa.array([REFERENCE])  # int64, and a list of any length

    assert wide.type != VOXELS()
    assert VOXELS() == VOXELS.cast_storage(wide).type
    assert REFERENCE.items() <= VOXELS.cast_storage(wide)[0].as_py().items()


def test_the_cache_folder_is_looked_up_when_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))

    assert tmp_path == hf.cache_folder()


def test_a_saved_dataset_opens_in_a_process_that_imported_load_dataset(table: Open, tmp_path: Path) -> None:
    saved = table().select([5, 3])
    saved.save_to_disk(tmp_path / "saved")
    code = f"""
import warnings
warnings.simplefilter("error")
from cryodata import load_dataset
import datasets
loaded = datasets.load_from_disk({str(tmp_path / "saved")!r})
print([float(row["density"].sum()) for row in loaded], [int(row["amino"].sum()) for row in loaded])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    expected = [float(row["density"].sum()) for row in saved], [int(row["amino"].sum()) for row in saved]

    assert ("", f"{expected[0]} {expected[1]}\n") == (run.stderr, run.stdout)


def test_importing_the_adapter_warns_of_nothing() -> None:
    code = "import warnings; warnings.simplefilter('error', UserWarning); import cryodata.read.hf"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (run.stderr, run.returncode) == ("", 0)
