"""What is printed is shown by a terminal and never obeyed, whoever wrote it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.table import Table

from cryodata.build.dataset import Report
from cryodata.cli import main
from cryodata.console import Console
from cryodata.formats.versions import open_version
from cryodata.reports import info
from tests.tampering import manifest_of, write_manifest

HOSTILE = "\x1b]0;title\x07\x1b[2Jname\r\x9b31m\u202e"
"sets the title of a window, clears the screen, writes over the line, sets a colour, turns letters round"


def is_harmless(text: str) -> bool:
    return all(letter.isprintable() or letter == "\n" for letter in text)


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Console:
    """Of a terminal without colours, so that whatever moves it was in the text."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    return Console(as_json=False)


def test_a_text_can_not_steer_the_terminal(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name", HOSTILE)
    table.add_row("row", HOSTILE)

    console.print(HOSTILE)
    console.say(HOSTILE)
    console.pairs({HOSTILE: HOSTILE})
    console.table(table)
    console.markdown(f"a {HOSTILE} &#27;[2J [link](http://x/{HOSTILE})")
    console.show_error(HOSTILE)
    with console.steps(HOSTILE) as step:
        step(1, 1)
    found = capsys.readouterr()

    assert not is_harmless(HOSTILE)
    assert "name" in found.out
    assert "name" in found.err
    assert is_harmless(found.out)
    assert is_harmless(found.err)


def test_names_are_no_markup(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    with console.steps("predicting [/b].mrc") as step:
        step(1, 1)

    assert "\x1b" not in capsys.readouterr().err


def test_a_downloaded_manifest_can_not_steer_the_terminal(
    simulated: Report, tmp_path: Path, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(simulated.folder, tmp_path / "simulated", ignore=shutil.ignore_patterns("source"))
    value = manifest_of(tmp_path / "simulated")
    value["license"] = HOSTILE
    value["schema"]["arrays"][1]["classes"][0]["name"] = HOSTILE
    write_manifest(tmp_path / "simulated", value)

    info(console, open_version(tmp_path, "simulated"), with_card=False)
    found = capsys.readouterr().out

    assert "name" in found
    assert is_harmless(found)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_memory_that_ran_out_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """A map may be larger than the machine."""

    def allocate(*args: object, **kwargs: object) -> None:
        np.empty(2**59, dtype=np.float64)

    monkeypatch.setattr("cryodata.formats.versions.open_version", allocate)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the handlers of a command are none of the tests
    monkeypatch.setattr(sys, "argv", ["cryodata", "info", "x", *options])

    with pytest.raises(SystemExit) as ended:
        main()
    found = capsys.readouterr()

    assert ended.value.code == 1
    assert found.err.startswith("cryodata: error: memory ran out (Unable to allocate ")
    assert found.err.count("\n") == 1
    assert bool(options) == ("error" in found.out)
