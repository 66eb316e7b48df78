"""Benchmarks can't rot: each runs at tiny size."""

from __future__ import annotations

import importlib
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.baseline import predict as predicting
from benchmarks.baseline import trace as tracing
from benchmarks.build import ours
from benchmarks.formats.density_codec import CODECS, STORED, measure
from benchmarks.prepare import __main__ as quality
from benchmarks.read import bench, device, inputs, scale, shuffle, source, startup
from benchmarks.read.__main__ import BOX, CORE, arguments, run
from benchmarks.read.measure import act
from benchmarks.read.measure import arguments as case_arguments
from benchmarks.read.peers import plain
from benchmarks.read.runner import Module, NotRunError, call, requirements
from benchmarks.read.table import markdown, ratios
from benchmarks.recipes import __main__ as choosing
from benchmarks.splits import __main__ as splitting
from cryodata.build.dataset import Report
from cryodata.core.entry import Entry, Source
from cryodata.prepare.potential import density_of
from cryodata.prepare.simulate import random_protein

WITHOUT_LIBRARIES = ["plain"]
"peers that need no more than NumPy and PyTorch"


def test_density_codec() -> None:
    density = np.random.Generator(np.random.PCG64(0)).random((20, 20, 20), dtype=np.float32)

    rows = list(measure(density, chunks=(16,)))

    assert len(rows) == len(CODECS) * len(STORED)
    errors = {row["dtype"]: row["largest_error"] for row in rows}
    assert errors["float32"] == 0.0
    assert errors["float16"] <= 2.0**-12
    assert errors["stored"] <= 2.0**-11


def test_recipes(simulated: Report) -> None:
    model = next(simulated.folder.glob("source/*/SIM-00001.cif"))
    sources = {"map": Source(str(model.with_suffix(".map.gz"))), "model": Source(str(model))}

    found = choosing.measure(Entry("SIM-00001", resolution=3.5, sources=sources))

    assert found is not None
    assert len(found["variants"]) == len(choosing.VARIANTS) == choosing.table([found]).count("\n") - 1
    assert found["rmsd"]["nearest"] < 0.6 < 0.8 < found["rmsd"]["floor"]
    assert "SIM-00001" in choosing.by_entry([found], 3)


def in_this_process(module: Module, given: list[str], folder: Path) -> tuple[Any, int]:
    """What `runner.call` does, without starting a process."""
    cases = importlib.import_module(module.name).CASES
    found = act(cases, (), case_arguments().parse_args([*given, "--out", str(folder / "out.json")]))
    return json.loads(json.dumps(found)), 1


@pytest.mark.filterwarnings("ignore")
def test_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "call", in_this_process)
    monkeypatch.setattr(bench, "last_core", lambda: -1)
    sizes = ["--volumes", "2", "--many", "3", "--size", "104", "--batch", "8"]
    times = ["--seconds", "0.01", "--repeats", "1", "--workers", "0"]

    result = run(
        arguments().parse_args([*sizes, *times, "--work", str(tmp_path), "--peers", ",".join(WITHOUT_LIBRARIES)])
    )

    assert [row["case"] for row in result["rows"] if "not run" in row] == []
    # 4 ceilings, 8 doors of ours, 7 of them on maps stored in another way, 2 on many ids, 3 of NumPy
    assert len(result["rows"]) == 4 + 8 + 7 + 2 + 3
    assert {row["workers"]["0"]["matched"] for row in result["rows"][2:]} == {8}
    assert "| SubgridStream, defaults (streams=8), 3 volumes |" in markdown(result)
    assert [one["met"] for one in result["ratios"]].count("not run") == 6
    assert [one["met"] for one in result["ratios with zstd"]].count("not run") == 6


def test_a_batch_that_is_not_of_the_maps_is_noticed(simulated: Report, tmp_path: Path) -> None:
    opened = inputs.export(simulated.folder.parent, "simulated", tmp_path, BOX, CORE)
    samples = list(opened.samples(1))[:4]
    batch = {key: torch.from_numpy(np.stack([sample[key] for sample in samples])) for key in source.ARRAYS}

    assert opened.subgrids_found(batch) == [(0, 0), (0, 1), (0, 2), (0, 3)]

    batch["atom"][2, 5, 5, 5] += 1

    with pytest.raises(ValueError, match="sample 2 is no sub-grid"):
        opened.subgrids_found(batch)


def test_a_case_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    listed, peak = call(Module("benchmarks.read.peers.plain", sys.executable), ["list"], tmp_path)

    assert [case["name"] for case in listed["cases"]] == [case.name for case in plain.CASES]
    assert peak > 0


def test_a_peer_that_fails_is_a_row_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(NotRunError, match="No module named benchmarks"):
        call(Module("benchmarks.read.peers.nobody", sys.executable), ["list"], tmp_path)


def test_every_peer_says_what_it_needs() -> None:
    needs = {name: requirements(bench.PEERS / f"{name}.py") for name in bench.peer_names()}

    assert [name for name, needed in needs.items() if needed is None] == WITHOUT_LIBRARIES


def test_ratios_of_nothing_are_not_run() -> None:
    assert {one["met"] for one in ratios([])} == {"not run"}


def test_device(simulated: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 8, "REPEATS": 1, "DEPTH": 4}.items():
        monkeypatch.setattr(device, name, value)

    found = device.main(simulated.folder.parent, "simulated", torch.device("cpu"), number=1)

    for options in device.OPTIONS:
        assert found[options]["cut on the host"] > 0
        assert found[options]["device / host"] > 0
        assert 0 <= found[options]["waits"] <= 1


def test_startup(simulated: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "BATCH", 8)

    rows = startup.main(simulated.folder.parent, "simulated", repeats=1)

    assert [row["at"] for row in rows] == ["0", "0.1", "0.5", "0.9", "crossing"] * 2
    assert min(row["first batch"] for row in rows) > 0


def test_scale() -> None:
    result = scale.main(volumes=20)

    assert 0 < result["filtered"]["sub-grids"] < result["all"]["sub-grids"]


def test_shuffle() -> None:
    rows = shuffle.main(volumes=(5,), pools=(1, 2), side=60)

    assert [row.get("pool_volumes") for row in rows] == [1, 2, 5, None]


def test_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.build import __main__ as building
    from benchmarks.build.inputs import Size

    monkeypatch.setattr(building, "SIZES", (Size(120, 1.0, 1),))
    given = Namespace(work=tmp_path, sizes="120-1.0", kinds="ours,published,floor", repeats=1)
    rows = building.measure(given)

    assert [row["kind"] for row in rows] == ["ours", "published", "floor"]
    assert all(row["cpu"] > 0 and row["bytes"] > 0 for row in rows)
    assert set(rows[0]["stages"]) == {stage for _, stage in ours.STAGES.values()} | {"resample", "normalise"}
    # a pair of float64 files of each of 6 x 6 x 6 sub-grids
    assert rows[1]["bytes"] == 6**3 * 2 * (128 + 8 * 32**3)
    assert len(building.ratios(rows)) == 1


@pytest.mark.real
def test_trace(shared_data: Path) -> None:
    row = tracing.summary("448", "perfect", "paper", tracing.one("448", "perfect", "paper", [0]))

    assert row["entity"] == row["worst"] > 0.9
    assert tracing.line(row).startswith("perfect 448, paper: in register 0.99")


def test_predict(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    row = predicting.measure(tmp_path, 34, "quick")
    torch.set_num_threads(threads)

    assert row["windows"] * row["core"] ** 3 >= 34**3
    assert row["seconds"] > 0
    assert row["bare"] > 0


def test_quality() -> None:
    model = random_protein(1, chains=1, residues=20, radius=20.0)
    volume = density_of(model, resolution=3.0, voxel_size=1.2)

    found = quality.measure(volume, model, 3.0, numpy_atoms=5)

    assert found["residues"] == 20
    assert found["mean Q-score"] > 0.5
    assert set(found["per 1,000 residues"]) == {"compiled", "by numpy"}


def test_splits() -> None:
    given = splitting.arguments().parse_args(["--entries", "20", "40", "--recall", "30", "--chance", "40"])

    found = splitting.run(given)

    assert [row["entries"] for row in found["times"]] == [20, 40]
    assert found["recall"]["pairs_and_recall"]["all"][0] > 0
    assert found["chance"]["pairs"] == 780
    assert found["archive"]["core_seconds"] >= 0
    assert splitting.whole(20, hands=2)["pairs"] == found["times"][0]["pairs"]
