"""The wheel carries everything: installed elsewhere, run from another folder, it finds its builders and cards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel unpacked, as an installer would."""
    folder = tmp_path_factory.mktemp("wheel")
    # a copy, for building leaves its traces beside the sources
    shutil.copytree(PROJECT / "cryodata", folder / "project" / "cryodata")
    for name in ("builders", "cards"):
        shutil.copytree(PROJECT / name, folder / "project" / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder / "project" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*command, str(folder), str(folder / "project")], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_packages_and_no_tests(site: Path) -> None:
    tops = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}

    assert tops == {"cryodata", "cryodata_builders", "cryodata_cards"}
    assert (site / "cryodata" / "py.typed").exists()


def test_builders_and_cards_are_found_from_another_folder(site: Path, tmp_path: Path) -> None:
    code = "import cryodata, cryodata.build.builder as b; print(cryodata.__file__); print(b.builder_names())"

    found = run(site, tmp_path, "-c", code).splitlines()
    assert found == [f"{site}/cryodata/__init__.py", "['cryo2struct', 'published', 'simulated']"]


def test_a_build_by_the_wheel_has_its_card(site: Path, tmp_path: Path) -> None:
    arguments = ["build", "simulated", "--root", "root", "--set", "maps=1", "--set", "residues=40", "--workers", "1"]

    run(site, tmp_path, "-m", "cryodata", *arguments)

    (card,) = tmp_path.glob("root/simulated/tables/*/README.md")
    assert "Simulated maps of protein-like models" in card.read_text(encoding="utf-8")


def test_every_package_is_named_for_the_wheel() -> None:
    named = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    there = [".".join(path.parent.relative_to(PROJECT).parts) for path in (PROJECT / "cryodata").rglob("__init__.py")]

    assert sorted(named) == sorted([*there, "cryodata_builders", "cryodata_cards"])
