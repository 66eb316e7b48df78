"""The demo says what to do where it cannot make its dataset."""

from __future__ import annotations

import shutil
from pathlib import Path

from click.testing import CliRunner

from cryodata.build.dataset import Report
from cryodata.cli import app
from cryodata.errors import UsageError


def test_a_dataset_in_the_way_of_the_demo_is_named_with_what_to_do(simulated: Report, tmp_path: Path) -> None:
    shutil.copytree(simulated.folder, tmp_path / "simulated")

    done = CliRunner().invoke(app, ["demo", "--root", str(tmp_path)])

    assert isinstance(done.exception, UsageError)
    assert str(done.exception).endswith(f"for the demo remove {tmp_path / 'simulated'}, or give --root DIR")
