"""A builder may fail in any way on one entry: the others are built, and the reason is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.receipts import FOLDER
from cryodata.build.request import Request
from cryodata.errors import UsageError

BUILDER = """
import os, signal
from dataclasses import replace
from cryodata_builders.cryo2struct import Cryo2Struct

class Mine(Cryo2Struct):
    name = "mine"

    def schema(self, recipe, parameters):
        schema = super().schema(recipe, parameters)
        most = 1e5 if os.environ["FAULT"] == "type" else 1.0
        arrays = [replace(array, maximum=most) if array.role == "density" else array for array in schema.arrays]
        return replace(schema, arrays=tuple(arrays))

    def fetch(self, entry, parameters):
        if os.environ["FAULT"] == "fetch" and entry.entry_id == "A":
            raise KeyError("not there")
        return entry

    def make(self, entry, recipe, parameters):
        sample = super().make(entry, recipe, parameters)
        if entry.entry_id != "A":
            return sample
        fault = os.environ["FAULT"]
        if fault == "raise":
            raise RuntimeError("two\\nlines \\x1b[31m")
        if fault == "memory":
            raise MemoryError
        if fault == "exit":
            raise SystemExit(0)
        if fault == "none":
            return None
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "fact":
            return replace(sample, facts={**sample.facts, "fit": float("nan")})
        if fault == "extra":
            return replace(sample, facts={**sample.facts, "surprise": 1})
        if fault == "range":
            sample.density.data[...] *= 3
            return sample
        if fault == "type":  # 100,000 is infinite as float16
            data = sample.density.data.astype("float32") * 1e5
            return replace(sample, density=replace(sample.density, data=data))
        if fault == "float":
            return replace(sample, points=replace(sample.points, voxel_zyx=sample.points.voxel_zyx + 0.5))
        if fault == "short":
            return replace(sample, points=replace(sample.points, state=sample.points.state[1:]))
        if fault == "claim":
            sample.points.state[sample.points.state == 0] = 255
            return sample
        if fault == "state":
            sample.points.state[sample.points.state == 0] = 7
            return sample
        if fault == "label":
            sample.points.voxel_zyx[sample.points.state_ca == 0] = -1
            return sample

BUILDER = Mine()
"""


def run(folder: Path, fault: str, workers: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "cryodata", "build", "mine.py", "--source", ".", "--root", "root", "--json"]
    done = subprocess.run(
        [*command, "--workers", str(workers), "--set", "max_resolution=none"],
        cwd=folder, env={**os.environ, "FAULT": fault}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("fault", "workers", "code", "message"),
    [
        ("raise", 0, "crashed", "RuntimeError: two lines [31m, mine.py:"),
        ("raise", 1, "crashed", "RuntimeError: two lines [31m, mine.py:"),
        ("fetch", 0, "crashed", "KeyError: 'not there', mine.py:"),
        ("memory", 0, "out_of_memory", "memory ran out"),
        ("exit", 0, "crashed", "SystemExit: 0"),
        ("exit", 1, "crashed", "SystemExit: 0"),
        ("none", 0, "crashed", "a builder makes a Sample, found NoneType"),
        ("fact", 0, "crashed", "fact fit is nan; expected a number"),
        ("extra", 0, "crashed", "facts are not those of the schema: surprise"),
        ("range", 0, "crashed", "density is 0 to 3; expected 0 to 1"),
        ("type", 0, "crashed", "as float16 its density is 0 to inf; expected 0 to 100000"),
        ("float", 0, "crashed", "voxel_zyx of the atoms is float64 ("),
        ("short", 0, "crashed", "state of the atoms is uint8 ("),
        ("claim", 0, "crashed", "atoms are called labelled and are not, or the reverse (state)"),
        ("state", 0, "crashed", "label points are in a state that there is not (state)"),
        ("label", 0, "crashed", "label points are in the grid and called outside, or the reverse (state_ca)"),
        ("kill", 2, "crashed", "its process died 2 times: it was ended by signal 9 (Killed"),
    ],
)
def test_one_bad_entry_is_rejected_and_its_neighbour_is_built(
    simulated: Report, tmp_path: Path, fault: str, workers: int, code: str, message: str
) -> None:
    made = next(path for path in (simulated.folder / "source").iterdir())
    rows = [f"{name},{made}/SIM-0000{i}.map.gz,{made}/SIM-0000{i}.cif" for name, i in (("A", 1), ("B", 2))]
    (tmp_path / "entries.csv").write_text("\n".join(["entry_id,map,model", *rows]) + "\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text(BUILDER, encoding="utf-8")

    report = run(tmp_path, fault, workers)

    assert report["entries"] == 1
    ((rejected),) = report["rejections"]
    assert (rejected["entry_id"], rejected["code"]) == ("A", code)
    assert message in rejected["message"]
    # no receipt: the next build tries it again
    assert len(list((tmp_path / "root/mine" / FOLDER).glob("*.json"))) == 1


def test_a_builder_whose_schema_no_dataset_can_have_is_refused_before_any_work(tmp_path: Path) -> None:
    text = """
from dataclasses import replace
from cryodata_builders.simulated import Simulated

class Mine(Simulated):
    name = "mine"

    def schema(self, recipe, parameters):
        schema = super().schema(recipe, parameters)
        return replace(schema, arrays=tuple(replace(array, column="nothing") for array in schema.arrays))

BUILDER = Mine()
"""
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError) as caught:
        build(Request(str(tmp_path / "mine.py"), tmp_path / "root", settings=("maps=1", "residues=16")))

    message = "builder mine: no dataset can have its schema (label atom comes from no column of the atoms table)"
    assert str(caught.value) == message
    assert not list((tmp_path / "root").rglob("*.map.gz"))
