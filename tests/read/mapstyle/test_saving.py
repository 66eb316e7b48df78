"""Datasets with random access saved, pickled, and read by the workers of a loader."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cryodata import load_dataset
from cryodata.build.dataset import Report
from tests.read.examples import ARRAYS, CONFIGS, Open, Place, plain, same


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
