"""Finished folders into their places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cryodata.formats.volumes import folder_files


def place_folder(made: Path, target: Path, temporary: Path) -> None:
    """Move a finished folder into its place, named by its content. One that is there in full already stays; a damaged
    one is replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if folder_files(target) == folder_files(made):
            shutil.rmtree(made)
            return
        os.rename(target, temporary / "damaged")
    try:
        os.rename(made, target)
    except OSError:
        if not target.exists():
            raise
        # another worker was faster; content names it, so it is the same
