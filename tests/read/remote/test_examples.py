"""Remote roots: the same examples as from the folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cryodata import load_dataset
from cryodata.build.dataset import Report
from tests.read.examples import same
from tests.read.remote.served import batches
from tests.servers import FileServer


def test_examples_are_those_of_the_folder(root: str, simulated: Report) -> None:
    here, there = batches(root=simulated.folder.parent), batches(root=root)

    assert len(here) == len(there) > 1
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


@pytest.mark.parametrize("config", ["subgrids", "volumes", "entries", "atoms"])
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "table"])
def test_every_configuration_reads_from_afar(
    served: FileServer, simulated: Report, config: str, streaming: bool
) -> None:
    options: dict[str, Any] = {"split": "validation", "streaming": streaming}
    here = load_dataset("simulated", config, root=simulated.folder.parent, **options)
    there = load_dataset("simulated", config, root=served.url, **options)

    assert all(same(one, other) for one, other in zip(here, there, strict=True))


def test_a_filter_reads_its_tables_from_afar(served: FileServer, simulated: Report) -> None:
    options: dict[str, Any] = {"split": "train", "filter": [("n_ca_core", ">", 0)], "columns": ["start_zyx"]}

    found = load_dataset("simulated", root=served.url, **options)

    assert 0 < len(found) == len(load_dataset("simulated", root=simulated.folder.parent, **options))


def test_a_saved_dataset_reads_from_afar_in_another_process(served: FileServer, tmp_path: Path) -> None:
    dataset = load_dataset("simulated", split="validation", root=served.url)
    dataset.save_to_disk(tmp_path / "saved")
    code = (
        "import sys, cryodata.read.load, datasets\n"
        "print(float(datasets.load_from_disk(sys.argv[1])[3]['density'].sum()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "saved")], capture_output=True, text=True, check=True
    )

    assert float(done.stdout) == float(dataset[3]["density"].sum())


def test_a_dataset_is_named_by_its_address(served: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_dataset(f"{served.url}/simulated@0.1.0/", "entries", split="train")
    monkeypatch.setenv("CRYODATA_ROOT", f"{served.url}/")

    assert load_dataset("simulated", "entries", split="train").to_list() == whole.to_list()
    monkeypatch.setenv("CRYODATA_ROOT", f"file://{served.folder}")
    assert load_dataset("simulated", "entries", split="train").to_list() == whole.to_list()
