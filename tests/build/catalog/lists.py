"""Lists of entries, and how a build ends on one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cryodata.build.catalog import read_source_folder
from cryodata.errors import SourceError

HEADER = "entry_id,map,model,resolution\n"
ID_RULE = "an id is 1 to 80 letters, digits, '.', '_' or '-', and begins with a letter or digit"
REQUIRED = "expected different names, among them entry_id, map"
NUMBER = "expected a number above 0 or nothing"


def write_list(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "entries.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def refusal(folder: Path, reserved: frozenset[str] = frozenset()) -> str:
    """The message that a list is refused with, without its path at the beginning."""
    with pytest.raises(SourceError) as refused:
        read_source_folder(folder, reserved)
    path = f"{folder / 'entries.csv'}: "
    assert str(refused.value).startswith(path)
    return str(refused.value).removeprefix(path)


def build(folder: Path, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`cryodata build cryo2struct` as a user runs it."""
    command = [sys.executable, "-m", "cryodata", "build", "cryo2struct", "--source", str(folder), "--root", str(root)]
    return subprocess.run([*command, "--workers", "0", *options], capture_output=True, text=True, timeout=120)
