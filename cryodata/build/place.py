"""Finished folders into their places."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path

from cryodata.formats.volumes import folder_files

TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"what a rename says where something is already"


def place_folder(made: Path, target: Path, temporary: Path) -> None:
    """Move a finished folder into its place, named by its content. One that is there in full already stays; a damaged
    one is replaced. Others may do the same at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in count():
        try:
            os.rename(made, target)
            return
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        with suppress(FileNotFoundError):  # another worker took a damaged one away meanwhile
            if folder_files(target) == folder_files(made):
                shutil.rmtree(made)
                return
            os.rename(target, temporary / f"damaged-{attempt}")
