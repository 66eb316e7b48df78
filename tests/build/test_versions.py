"""Versions of a dataset: when there is a new one, what it shares with the one before, and that none is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cryodata.build.dataset import Report, build
from cryodata.build.request import Request
from cryodata.errors import UsageError
from cryodata.formats.volumes import folder_files
from tests.build.small import simulate, source_folder


def test_the_first_version_is_0_1_0_and_the_next_must_be_named(tmp_path: Path) -> None:
    assert simulate(tmp_path).manifest.version == "0.1.0"

    message = (
        r"^dataset 'simulated' has the versions 0\.1\.0, and 0\.1\.0 was made with other settings: maps was 2, is 3; "
        r"say which one to build, such as --version 0\.2\.0$"
    )
    with pytest.raises(UsageError, match=message):
        simulate(tmp_path, "maps=3")


def test_the_same_command_twice_is_nothing_to_do(tmp_path: Path) -> None:
    simulate(tmp_path)

    assert (simulate(tmp_path).created, simulate(tmp_path).manifest.version) == (False, "0.1.0")


def test_a_version_made_with_other_settings_is_refused_before_the_work(tmp_path: Path) -> None:
    simulate(tmp_path)
    receipts = list((tmp_path / "simulated/receipts").iterdir())

    message = (
        r"^version 0\.1\.0 of 'simulated' was made with other settings and is never replaced: maps was 2, is 3; "
        r"build a new one with --version 0\.2\.0$"
    )
    with pytest.raises(UsageError, match=message):
        simulate(tmp_path, "maps=3", version="0.1.0")

    assert list((tmp_path / "simulated/receipts").iterdir()) == receipts


def test_the_same_version_with_the_same_result_is_nothing_to_do(tmp_path: Path) -> None:
    first = simulate(tmp_path)
    before = folder_files(first.folder)

    again = simulate(tmp_path, version="0.1.0")

    assert (first.created, again.created, again.reused) == (True, False, 2)
    assert folder_files(first.folder) == before


def test_the_same_version_with_another_result_is_refused_and_nothing_is_replaced(
    tmp_path: Path, simulated: Report
) -> None:
    folder = source_folder(simulated, tmp_path / "s", ["A,{map1},{model1}"])
    request = Request("cryo2struct", tmp_path, folder, version="0.1.0", settings=("max_resolution=none",))
    manifest = build(request).folder / "versions/0.1.0.json"
    before = manifest.read_bytes()
    source_folder(simulated, folder, ["A,{map1},{model1}", "B,{map2},{model2}"])

    message = (
        r"^version 0\.1\.0 of 'cryo2struct' exists with another result \(1 entries there, 2 here; "
        r"other tables: atoms, entries, subgrids\) and is never replaced; "
        r"build a new one with --version 0\.2\.0$"
    )
    with pytest.raises(UsageError, match=message):
        build(request)

    assert manifest.read_bytes() == before
    assert len(list((manifest.parents[1] / "tables").iterdir())) == 1  # nothing of the refused one is left


def test_a_new_version_shares_the_volumes_of_the_old_one(tmp_path: Path) -> None:
    first = simulate(tmp_path)
    before = {path: sha for path, _, sha in folder_files(first.folder / "volumes")}

    second = simulate(tmp_path, "maps=3", version="0.2.0")

    after = {path: sha for path, _, sha in folder_files(second.folder / "volumes")}
    assert second.reused == 2
    assert before.items() <= after.items()
    assert second.manifest.parent == "0.1.0"
    assert json.loads((second.folder / "latest.json").read_bytes()) == {"version": "0.2.0"}


def test_a_parameter_that_changes_bytes_makes_new_volumes_and_one_that_selects_does_not(tmp_path: Path) -> None:
    simulate(tmp_path)

    assert simulate(tmp_path, "max_resolution=3.9", version="0.2.0").reused == 2
    assert simulate(tmp_path, "density=float32", version="0.3.0").reused == 0


def test_a_version_keeps_the_files_of_atoms_that_it_was_built_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = simulate(tmp_path)
    monkeypatch.setattr("cryodata.build.spread.ATOMS_PER_FILE", 1)

    assert not simulate(tmp_path).created
    next_one = simulate(tmp_path, version="0.2.0")

    assert [sum(name.startswith("atoms-") for name in made.manifest.files) for made in (built, next_one)] == [1, 2]
    assert not simulate(tmp_path, version="0.2.0").created


def test_the_manifest_tells_no_time_host_or_path_and_is_small(simulated: Report) -> None:
    raw = (simulated.folder / "versions/0.1.0.json").read_bytes()

    assert len(raw) < 100_000
    assert str(simulated.folder.parent) not in raw.decode()
    assert not {"host", "time", "date", "began"} & set(json.loads(raw))
