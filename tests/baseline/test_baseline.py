"""`cryodata baseline`: all stages, once each, and a page that tells what came out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cryodata.baseline.report.page import page
from cryodata.baseline.report.stages import chance_f1
from cryodata.baseline.report.summary import COLUMNS
from cryodata.cli import app
from cryodata.core.volume import Volume

SMALL = {
    **{"maps": 4, "residues": 20, "resolution": 4.0, "noise": 0.05, "steps": 24, "filters": 8, "blocks": "1,1"},
    **{"fold": 2, "batch_size": 4, "pool_volumes": 2, "evaluate_every": 12, "validation_batches": 1},
}
"settings of a baseline that two cores finish in seconds; it learns little"


def run(folder: Path, *words: str) -> Any:
    """The command, below a folder; what it prints as JSON, or its error."""
    settings = [f"--set={key}={value}" for key, value in SMALL.items()]
    common = ["--out", str(folder / "out"), "--root", str(folder / "root"), "--workers", "0", "--json"]
    result = CliRunner().invoke(app, ["baseline", "--quick", *settings, *common, *words], standalone_mode=False)
    return result.exception or json.loads(result.stdout)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with a small baseline in it, and what it told."""
    folder = tmp_path_factory.mktemp("baseline")
    report = run(folder)
    assert isinstance(report, dict), report
    return folder, report


def times(folder: Path) -> dict[str, int]:
    """When each file of a baseline was written, but the page and its numbers."""
    files = (path for path in sorted((folder / "out").rglob("*")) if path.is_file())
    return {str(path): path.stat().st_mtime_ns for path in files if path.parent.name not in ("out", "simulated-1")}


def test_every_stage_leaves_what_the_next_one_needs(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, report = finished
    part = folder / "out/simulated-1"

    assert (part / "run/weights.safetensors").is_file()
    assert {path.name for path in (part / "maps/SIM-00001").iterdir()} >= {
        *("prediction", "sequences.fasta", "traced.cif", "score.json", "score.png")
    }
    assert [row["entry_id"] for row in report["parts"][0]["maps"]] == ["SIM-00001"]
    assert set(report["parts"][0]["mean"]) == set(COLUMNS)
    assert report == {**json.loads((folder / "out/report.json").read_text()), "folder": str(folder / "out")}


def test_evaluating_by_hand_gives_the_scores_of_the_report(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = finished
    made = folder / "out/simulated-1/maps/SIM-00001"
    model = next((folder / "root").glob("*/source/*/SIM-00001.cif"))
    words = ["evaluate", str(made / "traced.cif"), str(model), "--probability", str(made / "prediction"), "--json"]
    found = json.loads(CliRunner().invoke(app, words, standalone_mode=False).stdout)
    scores = json.loads((made / "score.json").read_text())

    assert found == {name: scores[name] for name in found}
    assert found["voxels"]["labelled"] > 20


def test_the_page_needs_nothing_else(finished: tuple[Path, dict[str, Any]]) -> None:
    text = (finished[0] / "out/report.html").read_text("utf-8")

    assert set(re.findall(r'(?:src|href)="([^,"]*)', text)) == {"data:image/png;base64"}
    assert text.count("<img") == 3  # learning curves, thresholds, the one map
    assert "SIM-00001" in text and "7KJR" in text and "not reached" in text


def test_a_second_call_does_nothing_again(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, report = finished
    before = times(folder)

    assert run(folder) == report
    assert times(folder) == before


def test_what_is_missing_is_made_again_and_nothing_else(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, report = finished
    before = times(folder)
    made = folder / "out/simulated-1/maps/SIM-00001"
    scores = json.loads((made / "score.json").read_text())
    for name in ("score.json", "traced.cif"):
        (made / name).unlink()
    again = run(folder)
    changed = {Path(path).name for path, when in times(folder).items() if before.get(path) != when}

    assert again["parts"][0]["mean"] == report["parts"][0]["mean"]
    assert "traced.cif" in changed and "score.json" in changed
    assert not {"weights.safetensors", "prediction.json"} & changed
    assert {**json.loads((made / "score.json").read_text()), "seconds": 0} == {**scores, "seconds": 0}


def test_a_folder_of_another_plan_is_refused(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = finished
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").touch()

    assert str(run(folder, "--set", "steps=61")) == (
        f"{folder}/out holds a baseline with another real_training, training; use another --out"
    )
    assert str(run(tmp_path)) == f"{tmp_path}/out is not empty and holds no plan.json; use another --out"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param([], "expected --quick or --full", id="no plan"),
        pytest.param(
            ["--quick", "--source", "."], "--quick takes simulated maps only; real ones need --full", id="real"
        ),
    ],
)
def test_a_command_that_says_no_plan_is_refused(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["baseline", *words], standalone_mode=False)

    assert str(result.exception) == message


def test_real_maps_need_a_split(tmp_path: Path) -> None:
    (tmp_path / "entries.csv").write_text("entry_id,map\nEMD-1,a.map\n", encoding="utf-8")
    (tmp_path / "a.map").touch()
    words = ["baseline", "--full", "--source", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, words, standalone_mode=False)

    assert str(result.exception) == (
        f"{tmp_path}: found the splits none; expected at least train and test, in a column split of entries.csv or "
        "with --splits FILE (columns id,split)"
    )


def test_chance_places_as_many_positions_where_there_is_density() -> None:
    rng = np.random.default_rng(0)
    data = np.zeros((20, 20, 20), np.float32)
    data[:10] = 1.0  # half of the map
    volume = Volume(data, np.ones(3), np.zeros(3))
    reference = rng.uniform(0, 9, (60, 3)) * (2.0, 2.0, 1.0)

    assert chance_f1(volume, reference) == chance_f1(volume, reference) > 0.2
    assert chance_f1(volume, reference + 100.0) == 0
    assert chance_f1(Volume(np.zeros((2, 2, 2), np.float32), np.ones(3), np.zeros(3)), reference) == 0


def test_names_on_the_page_are_text() -> None:
    row = dict.fromkeys(COLUMNS, 0.5)
    part = {
        **{"kind": "simulated", "title": "<script>", "folder": "", "told": "a & b", "mean": row},
        **{
            "maps": [{"entry_id": "<b>", "scores": row}],
            "seconds": dict.fromkeys(("build", "train", "predict", "trace"), 1),
        },
    }
    text = page({"plan": {"name": "quick"}, "setting": "<i>", "made": "", "parts": [part]}, {})

    assert "<script>" not in text and "<b>" not in text and "<i>" not in text
    assert "a &amp; b" in text
