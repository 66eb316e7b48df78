"""What the README tells a newcomer to type works, and every command is in it and has help."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryodata.build.dataset import Report
from cryodata.cli import app

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, simulated: Report) -> tuple[Path, dict[str, str]]:
    """A folder with `your_maps` and two models in it, and an environment whose datasets lie there."""
    folder = tmp_path_factory.mktemp("readme")
    made = next(path for path in (simulated.folder / "source").iterdir())
    (folder / "your_maps").mkdir()
    rows = [f"EMD-{i},{made}/SIM-{i:05d}.map.gz,{made}/SIM-{i:05d}.cif,3.5" for i in (1, 2)]
    text = "\n".join(["entry_id,map,model,resolution", *rows]) + "\n"
    (folder / "your_maps/entries.csv").write_text(text, encoding="utf-8")
    for name in ("traced.cif", "deposited.cif"):
        shutil.copy(made / "SIM-00001.cif", folder / name)
    scripts = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "CRYODATA_ROOT": str(folder / "root"),
        "HF_HOME": str(folder / "hf"),
        "CRYODATA_CACHE": str(folder / "cache"),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
    }
    return folder, environment


def test_every_block_runs_from_top_to_bottom(sandbox: tuple[Path, dict[str, str]]) -> None:
    folder, environment = sandbox
    ran = 0
    for kind, text in BLOCKS:
        if kind == "sh":
            lines = [line.partition("#")[0].strip() for line in text.splitlines()]
            commands = [line for line in lines if line and not line.startswith("make ")]
        else:
            commands = [f"{sys.executable} -W error::UserWarning -c {_quoted(text)}"]
        for command in commands:
            done = subprocess.run(
                ["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            ran += 1
    assert ran >= 8


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def test_the_make_targets_of_the_readme_exist() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")

    for target in set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", README, flags=re.MULTILINE)):
        assert re.search(rf"^{''.join(target)}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("name", sorted(app.commands))
def test_every_command_has_help_and_is_in_the_readme(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])

    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 5
    assert f"cryodata {name}" in README or name == "demo"


@pytest.mark.parametrize("name", sorted(app.commands))
def test_every_command_takes_root_and_json(name: str) -> None:
    assert {"root", "as_json"} <= {parameter.name for parameter in app.commands[name].params}
