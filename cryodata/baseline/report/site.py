"""What a baseline works with, and where: the plan, the folders, and how the user is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from cryodata.baseline.report.plan import Plan


@dataclass(frozen=True, slots=True)
class Watch:
    """How the work is told to the user."""

    say: Callable[[str], None]
    "a line"

    steps: Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
    "a bar with a title; gives a function of (done, total)"


@dataclass(frozen=True, slots=True)
class Site:
    """Where and with what a baseline works."""

    plan: Plan
    root: Path
    "that holds the datasets"

    source: Path | None
    "folder with entries.csv of real maps; None leaves them out"

    splits: Path | None
    "CSV file with columns id,split for the real entries; None takes the column of entries.csv"

    workers: int
    "processes that build"

    watch: Watch
