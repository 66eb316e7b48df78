"""What changed between two versions, entry by entry, and why."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryodata.build.dataset import build
from cryodata.build.differences import Difference, compare
from cryodata.build.publish import publish
from cryodata.build.request import Request
from cryodata.build.run import Crew
from cryodata.cli import app
from cryodata.formats.versions import DatasetVersion, open_version


def test_a_version_is_the_same_as_itself(first: DatasetVersion) -> None:
    found = compare(first, first)

    assert (found.changes, found.same, found.settings, found.step) == ((), 3, {}, "PATCH")


def test_entries_that_came_and_went_are_named(first: DatasetVersion, second: DatasetVersion) -> None:
    forth, back = compare(first, second), compare(second, first)

    assert [(change.entry_id, change.kind, change.why) for change in forth.changes] == [
        ("SIM-00004", "added", ("small@1.0.0 does not list it",)),
        ("SIM-00005", "added", ("small@1.0.0 does not list it",)),
    ]
    assert (forth.same, forth.step, back.step) == (3, "MINOR", "MAJOR")
    assert back.count("removed") == 2


@pytest.fixture(scope="module")
def mine(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root and a source folder of three maps, with version 1.0.0 built from them."""
    folder = tmp_path_factory.mktemp("mine")
    made = next((history / "small/source").iterdir())
    for i in (1, 2, 3, 4):
        for suffix in ("map.gz", "cif"):
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(made / f"SIM-{i:05d}.{suffix}", folder / "source")
    make(folder, "1.0.0", [row(1), row(2), row(3)])
    return folder


def row(number: int, **change: str) -> dict[str, str]:
    usual = {"map": f"SIM-{number:05d}.map.gz", "model": f"SIM-{number:05d}.cif", "resolution": "3.5"}
    return {"entry_id": f"EMD-{number}", **usual, "split": "train", "title": "t", **change}


def make(folder: Path, version: str, rows: Sequence[dict[str, str]], *settings: str) -> DatasetVersion:
    with open(folder / "source/entries.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    request = Request(
        "cryo2struct", folder / "root", folder / "source", name="mine", version=version,
        settings=("parent=none", *settings), crew=Crew(0),
    )  # fmt: skip
    build(request)
    return open_version(folder / "root", f"mine@{version}")


def why(found: Difference) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {change.entry_id: (change.kind, change.why) for change in found.changes}


def test_why_an_entry_changed_is_said(mine: Path) -> None:
    before = open_version(mine / "root", "mine@1.0.0")
    after = make(
        mine,
        "2.0.0",
        [row(1, model="SIM-00002.cif", map="SIM-00004.map.gz"), row(2, split="validation"), row(3, title="u")],
    )

    found = compare(before, after)

    assert found.step == "MAJOR"
    told = why(found)
    assert told["EMD-2"] == ("changed", tuple(f"split by {name}: train -> validation" for name in found_schemes(told)))
    assert told["EMD-3"] == ("changed", ("title: t -> u",))
    assert told["EMD-1"][0] in ("changed", "removed")


def found_schemes(told: dict[str, tuple[str, tuple[str, ...]]]) -> list[str]:
    """Schemes by which the second entry moved: a listed split holds in all that know such splits."""
    return [reason.split(":")[0].removeprefix("split by ") for reason in told["EMD-2"][1]]


def test_another_map_another_recipe_and_a_rejection_are_told_apart(mine: Path) -> None:
    before = open_version(mine / "root", "mine@1.0.0")
    after = make(mine, "3.0.0", [row(1, map="SIM-00004.map.gz", model="SIM-00004.cif"), row(2), row(3, resolution="9")])
    exact = make(mine, "4.0.0", [row(1), row(2), row(3)], "density=float32")

    assert why(compare(before, after)) == {
        "EMD-1": ("changed", ("another map", "another model")),
        "EMD-3": ("removed", ("mine@3.0.0 rejected it: resolution_out_of_range",)),
    }
    found = compare(before, exact)
    assert found.settings["parameter density"] == ("uint16", "float32")
    assert {reasons for _, reasons in why(found).values()} == (
        {("another recipe, settings, or metadata that the recipe reads",)}
    )


def test_versions_of_two_roots_are_compared(history: Path, first: DatasetVersion, tmp_path: Path) -> None:
    publish(first, str(tmp_path / "target"))
    other = f"{tmp_path}/target/small@1.0.0"

    for arguments in (("small@1.1.0", other), ("small@1.1.0", "small", "--other-root", f"{tmp_path}/target")):
        result = CliRunner().invoke(app, ["diff", *arguments, "--root", str(history), "--json"], catch_exceptions=False)
        told = json.loads(result.stdout)
        assert [item["entry_id"] for item in told["removed"]] == ["SIM-00004", "SIM-00005"]
        assert (told["a"]["version"], told["b"]["version"], told["b"]["root"]) == (
            "1.1.0", "1.0.0", f"{tmp_path}/target",
        )  # fmt: skip
        assert (told["step"], told["same"], told["added"]) == ("MAJOR", 3, [])


def test_a_table_shows_it_to_people(history: Path) -> None:
    result = CliRunner().invoke(app, ["diff", "small@1.0.0", "small@1.1.0", "--root", str(history)])

    assert result.exit_code == 0
    assert "step      MINOR: all of it, and more" in result.output
    assert "added  SIM-00004  small@1.0.0 does not list it" in result.output
