"""Compiled loops are had or not; nothing fails without them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cryodata import compiled

MOVES = "cryodata.compiled.moves"


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """What was found out before is forgotten, and so is what a test finds out."""
    for known in (compiled._imported, compiled._installed):
        known.cache_clear()
    yield
    for known in (compiled._imported, compiled._installed):
        known.cache_clear()


def test_loops_are_had_where_numba_is() -> None:
    found = compiled.loops(MOVES)

    assert found is not None
    assert found is compiled.loops(MOVES)


@pytest.mark.parametrize("error", [ImportError("NumPy 2.9 is too new"), RuntimeError("cannot cache: no locator")])
def test_loops_that_fail_are_done_without_and_that_is_told_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A folder in which numba may not write is one reason."""
    imported = importlib.import_module

    def fails(name: str) -> Any:
        if name == MOVES:
            raise error
        return imported(name)

    monkeypatch.setattr(importlib, "import_module", fails)

    with pytest.warns(RuntimeWarning, match=f"without numba, and slower: {MOVES}: {error}") as told:
        assert [compiled.loops(MOVES) for _ in range(3)] == [None] * 3
    assert len(told) == 1


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("numba"),
        ImportError("Numba needs NumPy 2.3 or less"),
        ValueError("numpy.dtype size changed, may indicate binary incompatibility"),
    ],
)
def test_without_a_numba_that_works_nothing_is_said(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(name: str) -> Any:
        raise error

    monkeypatch.setattr(importlib, "import_module", fails)

    assert compiled.loops(MOVES) is None


def test_where_compiling_is_switched_off_numpy_does_it() -> None:
    code = f"from cryodata.compiled import loops; print(loops({MOVES!r}))"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}

    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("None\n", "")
