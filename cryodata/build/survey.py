"""The maps of a build, judged by the headers of some of them: their sizes, here or afar."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryodata.build.admission import memory_for, voxels_of
from cryodata.build.http import FetchError, NotThereError, Patience, TransientError, opened
from cryodata.build.transfer import CONTENT_RANGE
from cryodata.core.entry import Entry, Source
from cryodata.errors import RejectedError
from cryodata.formats.mrc_header import read_header

SAMPLE = 40
"maps that are looked at, spread evenly over the ids; the rest is taken to be like them"

HEAD = 64 << 10
"bytes of a map that are fetched to read its header"


@dataclass(frozen=True, slots=True)
class Look:
    """What the beginning of a map says."""

    size: int
    "bytes of the file"

    before: int
    "voxels as deposited"

    after: int
    "voxels after resampling"

    remote: bool


@dataclass(frozen=True, slots=True)
class Survey:
    """What some maps say of all."""

    entries: int
    "all"

    looks: Sequence[Look]
    "of those that could be had"

    @property
    def fetch_bytes(self) -> int:
        """Bytes of all maps that lie afar; 0 if no map could be looked at, as below."""
        return self._of_all(sum(look.size for look in self.looks if look.remote))

    @property
    def voxels(self) -> int:
        """Voxels of all maps after resampling."""
        return self._of_all(sum(look.after for look in self.looks))

    @property
    def largest_fetch(self) -> int:
        """Bytes of the largest map afar that was looked at."""
        return max((look.size for look in self.looks if look.remote), default=0)

    @property
    def peak_bytes(self) -> int:
        """Memory of the process that works on the largest map that was looked at."""
        return max((memory_for(look.before, look.after) for look in self.looks), default=0)

    def _of_all(self, found: int) -> int:
        return round(found * self.entries / len(self.looks)) if self.looks else 0


def survey(entries: Sequence[Entry], temporary: Path) -> Survey:
    """Look at some of the maps. temporary: folder for what is fetched of them."""
    step = max(1, math.ceil(len(entries) / SAMPLE))
    looks = [found for entry in entries[::step] if (found := _look(entry.sources["map"], temporary / "map"))]
    return Survey(len(entries), looks)


def _look(source: Source, place: Path) -> Look | None:
    """Size and header of a map, here or afar; None if they can't be had. place: for its first bytes."""
    path, remote = Path(source.path), bool(source.urls)
    try:
        if remote:
            path = _begin(source.urls[0], place)
        header = read_header(path)
    except (TransientError, NotThereError, FetchError, RejectedError):
        return None
    return Look(path.stat().st_size, *voxels_of(header), remote)


def _begin(mirrors: Sequence[str], place: Path) -> Path:
    """A file of the right length that holds no more than the beginning of the map."""
    patience = Patience.of_environment()
    for failures in range(1, int(patience.attempts) + 1):
        try:
            with opened(mirrors[failures % len(mirrors)], {"Range": f"bytes=0-{HEAD - 1}"}, patience) as response:
                content = response.read(HEAD)
                told = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
                length = told[2] if told else response.headers.get("Content-Length", "")
                if length.isdecimal():
                    place.write_bytes(content)
                    os.truncate(place, int(length))
                    return place
                raise FetchError("the server does not say how long the file is")
        except TransientError as error:
            patience.sleep(failures, error.wait)
    raise FetchError("no answer")
