"""The list of a source folder over http: kept in the dataset's folder, asked for again only if it changed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from cryodata.build.http import FetchError, NotModifiedError, Patience, TransientError, opened, shown_url
from cryodata.build.workspace import write_json
from cryodata.formats.locks import locked

MAX_BYTES = 1 << 30
"of a list; a million entries take some hundred megabytes"


def fetch_list(url: str, path: Path) -> None:
    """Bring a list to its place as the server has it now, whole or not at all; by one process of many at a time.

    Raises NotThereError, and FetchError after all tries.
    """
    patience, fault = Patience.of_environment(), ""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f"{path.name}.lock")):
        for failures in range(1, int(patience.attempts) + 1):
            try:
                return _ask(url, path, patience)
            except TransientError as error:
                fault = error.args[0]
                patience.sleep(failures, error.wait)
    raise FetchError(f"{path.name} can't be fetched ({fault}); run the same build again later")


def _ask(url: str, path: Path, patience: Patience) -> None:
    """One request, and none of the content if it is what is there."""
    note = path.with_name(f"{path.name}.seen")
    try:
        with opened(url, _conditions(url, path, note), patience) as response:
            content, headers = response.read(MAX_BYTES), response.headers
    except NotModifiedError:
        return
    length = headers.get("Content-Length", "")
    if len(content) >= MAX_BYTES:
        raise FetchError(f"{shown_url(url)}: more than {MAX_BYTES:,} bytes")
    if length.isdecimal() and len(content) != int(length):
        raise TransientError(f"{shown_url(url)}: the connection ended after {len(content):,} of {length} bytes")
    made = path.with_name(f"{path.name}.new")
    made.write_bytes(content)
    os.replace(made, path)
    seen = {"url": url, "sha256": hashlib.sha256(content).hexdigest()}
    write_json(note, {**seen, "etag": headers.get("ETag", ""), "modified": headers.get("Last-Modified", "")})


def _conditions(url: str, path: Path, note: Path) -> dict[str, str]:
    """What a server needs to say that nothing changed; empty if the list is not here as it came."""
    try:
        seen = json.loads(note.read_bytes())
        if seen["url"] != url or hashlib.sha256(path.read_bytes()).hexdigest() != seen["sha256"]:
            return {}
        conditions = {"If-None-Match": str(seen["etag"]), "If-Modified-Since": str(seen["modified"])}
        return {name: value for name, value in conditions.items() if value}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
