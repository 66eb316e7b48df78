"""Objects below a URL, wherever they lie there: each as itself, or those of a volume in one file."""

from __future__ import annotations

import tempfile

from cryodata.errors import DatasetError
from cryodata.formats.packs import TAIL, pack_path, read_directory
from cryodata.formats.store import Store

MAX_KNOWN = 256
"archives whose directory is remembered"


class Objects:
    """Objects of a dataset. Which way it keeps its volumes is found out at the first, and tried first from then on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._packed = False
        self._known: dict[str, dict[str, tuple[int, int]]] = {}

    def copy(self, path: str, file: int, size: int) -> tuple[int, str]:
        """As `Store.copy`."""
        packed = pack_path(path)
        if packed is not None and self._packed:
            return self._copy_packed(*packed, file)
        try:
            return self._store.copy(path, file, size)
        except FileNotFoundError:
            if packed is None:
                raise
        answer = self._copy_packed(*packed, file)
        self._packed = True
        return answer

    def size(self, path: str) -> int:
        """As `Store.size`."""
        packed = pack_path(path)
        if packed is not None and self._packed:
            return self._part(*packed)[1]
        try:
            return self._store.size(path)
        except FileNotFoundError:
            if packed is None:
                raise
        answer = self._part(*packed)[1]
        self._packed = True
        return answer

    def _copy_packed(self, pack: str, name: str, file: int) -> tuple[int, str]:
        return self._store.copy_part(pack, file, *self._part(pack, name))

    def _part(self, pack: str, name: str) -> tuple[int, int]:
        """Where an object lies in its archive. FileNotFoundError if there is no such archive, or object in it."""
        directory = self._known.get(pack)
        if directory is None:
            with tempfile.TemporaryFile() as file:
                size = self._store.copy_tail(pack, file.fileno(), TAIL)
                file.seek(0)
                try:
                    directory = read_directory(file.read(), size)
                except ValueError as error:
                    raise DatasetError(f"{pack}: no archive of a volume at {self._store.url}: {error}") from None
            while len(self._known) >= MAX_KNOWN:
                self._known.pop(next(iter(self._known)), None)
            self._known[pack] = directory
        if name not in directory:
            raise FileNotFoundError(f"{pack}: {name}")
        return directory[name]
