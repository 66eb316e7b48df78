"""Part of a file to the whole: one request, resumed where the server vouches for the same file."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryodata.build.http import FetchError, Patience, TransientError, opened, shown_url
from cryodata.build.workspace import write_json
from cryodata.formats.inflate import PIECE

CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

SPARE = 256 << 20
"bytes of disk that stay free"


@dataclass(frozen=True, slots=True)
class Note:
    """What a part is a part of."""

    url: str
    etag: str
    modified: str
    length: int
    "bytes of the whole; -1 if the server does not say"

    @property
    def condition(self) -> str:
        """What holds a server to the same file: a strong ETag, else the date of the last change; empty if none."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


def transfer(url: str, part: Path, file: int, patience: Patience) -> None:
    """Bring the part up to the whole. Raises TransientError if it ends before; what came stays, if it can be used."""
    note, have = read_note(part), os.fstat(file).st_size
    if note is not None and have == note.length:
        return  # complete: the last run ended before it was accepted
    resume = note is not None and note.url == url and bool(note.condition) and have > 0
    headers = {"Range": f"bytes={have}-", "If-Range": note.condition} if note is not None and resume else {}
    try:
        whole = _receive(url, headers, part, file, patience)
    except TransientError as error:
        if error.status == 416:  # no such range: what is there is no part of what the server has
            os.ftruncate(file, 0)
        raise
    have = os.fstat(file).st_size
    if whole >= 0 and have != whole:
        raise TransientError(f"{shown_url(url)}: the connection ended after {have:,} of {whole:,} bytes")


def _receive(url: str, headers: dict[str, str], part: Path, file: int, patience: Patience) -> int:
    """Add what one answer brings to the part. Returns the bytes of the whole, -1 if nobody says."""
    note, have = read_note(part), os.fstat(file).st_size
    with opened(url, headers, patience) as response:
        found = _note_of(url, response)
        if response.status == 206 and note is not None and headers:
            place = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            same = found.etag in ("", note.etag) and found.modified in ("", note.modified)
            if place is None or int(place[1]) != have or note.length not in (-1, int(place[2])) or not same:
                os.ftruncate(file, 0)
                raise TransientError(f"{shown_url(url)}: the server resumes another file than it began")
            whole = int(place[2])
        else:
            os.ftruncate(file, 0)
            have, whole = 0, found.length
            if whole < 0 and not response.chunked and not part.name.endswith(".gz.part"):
                raise FetchError(f"{shown_url(url)}: the server does not say how long the file is")
            write_json(part.with_name(f"{part.name}.json"), asdict(found))
        _check_space(part, whole - have)
        while piece := response.read1(PIECE):
            os.pwrite(file, piece, have)
            have += len(piece)
    return whole


def _note_of(url: str, response: Any) -> Note:
    headers = response.headers
    length = headers.get("Content-Length", "")
    known = int(length) if length.isdecimal() else -1
    return Note(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), known)


def read_note(part: Path) -> Note | None:
    """What a part is a part of; None if nobody knows."""
    try:
        return Note(**json.loads(part.with_name(f"{part.name}.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def forget(part: Path) -> None:
    """Remove a part and what is noted of it."""
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)
    part.unlink(missing_ok=True)


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed + SPARE > free:
        raise OSError(
            errno.ENOSPC, f"{needed:,} bytes to fetch and {free:,} free, {SPARE:,} of which stay so", str(path)
        )
