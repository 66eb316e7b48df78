"""A version in the layouts of others: one module a format, each with `export(opened, to, observe) -> Exported`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryodata.formats.versions import DatasetVersion

FORMATS = ("hub",)
"names of the modules here"

Observe = Callable[[int, int], None]
"called as (done, total)"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    folder: Path
    files: int
    "in the folder, all versions in it together"

    bytes: int
    "of the version"

    reused: int
    "files that an earlier export had made"

    advice: str
    "what to do next"


def export_version(opened: DatasetVersion, to: Path, layout: str, observe: Observe) -> Exported:
    """Write a version into a folder in one of FORMATS. What an earlier run made is kept, so that it can be killed.

    Raises UsageError for what the layout can't hold, DatasetError for objects that are missing or damaged.
    """
    exported: Exported = import_module(f"{__name__}.{layout}").export(opened, to, observe)
    return exported
