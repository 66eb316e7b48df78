"""Objects fetched into the cache before somebody decodes them: a store far away answers late, but many at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from cryodata.errors import CryodataError
from cryodata.formats.cache import Cache
from cryodata.formats.places import FETCHES, is_remote
from cryodata.read.decode import Volumes

SHARE = 4
"a part of the cache that volumes fetched ahead may take, as 1 / SHARE: more would push out what is about to be read"


class Ahead:
    """Fetches the densities of volumes that will be decoded soon, each once. Does nothing for a folder.

    Whoever decodes a volume meanwhile waits for its objects as if another process fetched them; what fails here is
    left to them, too.
    """

    def __init__(self, store: Volumes) -> None:
        self._store, self._asked = store, set[int]()
        self._threads = ThreadPoolExecutor(FETCHES, "cryodata-fetch") if is_remote(store.key.root) else None
        self._limit = Cache.of_environment().limit // SHARE if self._threads else 0

    def ask(self, numbers: Iterable[int]) -> None:
        """Fetch some volumes, by their rows in the entries table, in this order."""
        new = [number for number in numbers if number not in self._asked]
        if self._threads is None:
            return
        sizes = self._store.entries["volume_bytes"].take(new) if new else ()
        if sum(size.as_py() for size in sizes) > self._limit:
            return
        self._asked.update(new)
        for number in new:
            self._threads.submit(self._fetch, number)

    def close(self) -> None:
        """Begin nothing more. What is under way goes on: whole objects are of use to others."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _fetch(self, number: int) -> None:
        with suppress(CryodataError, OSError):
            self._store.fetch(number)
