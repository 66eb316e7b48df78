"""Memory that processes share: none takes from another."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from cryodata.read import shared
from cryodata.read.shared import SharedMemory, granular


@pytest.mark.skipif(not shared.AVAILABLE, reason="there are no files without names here")
def test_shared_memory_is_never_cut_off_by_one_who_needs_less(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, piece = SharedMemory(), granular(1)
    far = memory.array(3 * piece, piece)
    far[:] = 7

    # another process looked before `far` was there, and enlarges only now
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda _: SimpleNamespace(st_size=0))
        memory.array(0, piece)

    assert far.tolist() == [7] * piece
