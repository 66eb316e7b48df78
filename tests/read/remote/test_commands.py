"""Commands that take an address, and those that refuse one."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cryodata.build.dataset import Report
from cryodata.cli import app
from cryodata.errors import UsageError
from tests.commands import run
from tests.servers import FileServer
from tests.tampering import flip


def test_list_info_and_verify_take_an_address(root: str, simulated: Report) -> None:
    info = run("info", "simulated", "--root", root)
    verified = run("verify", "simulated", "--deep", "--root", root)

    assert info["folder"] == f"{root}/simulated"
    assert info["counts"] == json.loads(simulated.manifest.to_bytes())["counts"]
    assert verified["ok"], verified["faults"]
    if root.startswith("s3"):
        assert run("list", "--root", root) == {"root": root, "datasets": {"simulated": ["0.1.0"]}}
    else:
        with pytest.raises(UsageError, match="what lies below an http address can't be listed; name a dataset"):
            run("list", "--root", root)


def test_verify_names_what_is_wrong_afar(served: FileServer) -> None:
    path = sorted((served.folder / "simulated").glob("volumes/*/*.zarr/labels/amino/0/c/0/0/0"))[0]
    name = str(path.relative_to(served.folder / "simulated"))
    flip(path)

    faults = run("verify", "simulated", "--deep", "--root", served.url)["faults"]

    assert any(name in fault and "expected" in fault for fault in faults)
    path.unlink()
    faults = run("verify", "simulated", "--root", served.url)["faults"]
    assert any(f"{name}: missing at {served.url}/simulated; expected" in fault for fault in faults)


def test_a_build_is_not_made_below_an_address() -> None:
    result = CliRunner().invoke(app, ["build", "simulated", "--root", "s3://bucket/x"])

    assert result.exit_code == 2
    assert "this is done in a folder of this machine; a URL is for reading" in " ".join(result.output.split())
