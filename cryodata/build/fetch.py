"""Files from afar to their place on disk: resumed, tried again, from mirrors, verified, pinned after first sight.

Beside a file that is being fetched lies FILE.part, locked by whoever fetches it, and FILE.part.json: where it comes
from and by what the server can be held to it. Beside a finished one lies FILE.pin: hash and size of its decompressed
bytes. The pin stays when the file goes: a file that changed at its source is refused, not taken in silence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cryodata.build.http import FetchError, NotThereError, Patience, TransientError
from cryodata.build.transfer import forget, transfer
from cryodata.build.workspace import write_json
from cryodata.core.entry import Entry, Source
from cryodata.errors import RejectedError
from cryodata.formats.inflate import GZIP_MAGIC, inflated_digest, largest_inflated_size
from cryodata.formats.locks import is_at, locked

MAX_ROUNDS = 1000
"tries of a file in all, with progress or without"


@dataclass(frozen=True, slots=True)
class Pin:
    """What a file was when it was first seen."""

    sha256: str
    "of the decompressed bytes, hexadecimal; empty if the archive has no such file"

    size: int
    "decompressed bytes"


def fetched(entry: Entry) -> Entry:
    """The entry with its files on disk and their hashes known; sources without an address are left as they are.

    A model that the archive does not have is left out if there is another one. Raises RejectedError `not_fetched`,
    or `no_model`; none of them leaves a receipt, so that the next build tries again.
    """
    sources, missing = {}, []
    for role, source in sorted(entry.sources.items(), key=lambda item: not item[0].startswith("model")):
        try:
            pin = fetch_file(source.urls, Path(source.path)) if source.urls else None
        except FetchError as error:
            raise RejectedError("not_fetched", f"{role}: {error.args[0]}") from None
        if pin is not None and not pin.sha256:
            missing.append(role)
        else:
            sources[role] = source if pin is None else replace(source, sha256=pin.sha256, size=pin.size)
    return _without_missing(entry, sources, missing)


def recalled(entry: Entry) -> Entry | None:
    """The entry as its pins know it, without its files; None if one of them was never seen."""
    sources, missing = {}, []
    for role, source in entry.sources.items():
        pin = read_pin(Path(source.path)) if source.urls else None
        if pin is None:
            return None
        if pin.sha256:
            sources[role] = replace(source, sha256=pin.sha256, size=pin.size)
        else:
            missing.append(role)
    return _without_missing(entry, sources, missing)


def _without_missing(entry: Entry, sources: dict[str, Source], missing: Sequence[str]) -> Entry:
    if "map" in missing:
        raise RejectedError("not_fetched", f"the archive has no {Path(entry.sources['map'].path).name}")
    if missing and not any(role.startswith("model") for role in sources):
        raise RejectedError("no_model", f"the archive has no model of {entry.pdb_id or entry.entry_id}")
    return replace(entry, sources=sources)


def discard_maps(entry: Entry) -> None:
    """Remove the fetched maps of a finished entry; models may belong to other entries as well."""
    for role, source in entry.sources.items():
        if source.urls and not role.startswith("model"):
            Path(source.path).unlink(missing_ok=True)


def discard_models(entries: Iterable[Entry], finished: Container[str]) -> None:
    """Remove the fetched models that only finished entries name. finished: ids of entries."""
    models = {
        done: {
            source.path
            for entry in entries
            for role, source in entry.sources.items()
            if source.urls and role.startswith("model") and (entry.entry_id in finished) == done
        }
        for done in (True, False)
    }
    for path in models[True] - models[False]:
        Path(path).unlink(missing_ok=True)


def fetch_file(alternatives: Sequence[Sequence[str]], path: Path) -> Pin:
    """Bring a file to its place unless it is there, sound, already. alternatives: mirrors of each, best first.

    Returns its pin; one without a hash if no alternative exists. Raises FetchError if it can't be had or is not what
    it was, OSError if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    while True:
        with locked(part) as file:
            if not is_at(file, part):
                continue  # another process finished it, or gave up
            try:
                return _present(path) or _fetch(alternatives, path, part, file)
            finally:
                if is_at(file, part) and not os.fstat(file).st_size:
                    forget(part)


def read_pin(path: Path) -> Pin | None:
    """The pin of a file, if it was seen before."""
    try:
        value = json.loads(path.with_name(f"{path.name}.pin").read_bytes())
        return Pin(str(value["sha256"]), int(value["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _present(path: Path) -> Pin | None:
    """The pin of a file that is there and is what it was; a damaged one is removed."""
    pin = read_pin(path)
    if pin is not None and not pin.sha256:
        return pin
    if not path.exists():
        return None
    try:
        found = Pin(*_digest(path))
    except RejectedError:
        found = None
    if found is None or pin not in (None, found):  # damaged: it is fetched again
        path.unlink()
        return None
    if pin is None:  # somebody put it here
        _write_pin(path, found)
    return found


def _fetch(alternatives: Sequence[Sequence[str]], path: Path, part: Path, file: int) -> Pin:
    for mirrors in alternatives:
        try:
            return _from_mirrors(mirrors, path, part, file)
        except NotThereError:
            os.ftruncate(file, 0)
    pin = Pin("", 0)
    _write_pin(path, pin)
    return pin


def _from_mirrors(mirrors: Sequence[str], path: Path, part: Path, file: int) -> Pin:
    """From the first mirror that has it; the next one after each try without progress."""
    patience = Patience.of_environment()
    left, failures, gone, fault = list(mirrors), 0, 0, ""
    for _ in range(MAX_ROUNDS):
        url, before = left[0], os.fstat(file).st_size
        try:
            transfer(url, part, file, patience)
            return _accept(path, part, file)
        except TransientError as error:
            fault = error.args[0]
            if os.fstat(file).st_size <= before:
                failures, left = failures + 1, [*left[1:], url]
                if failures >= patience.attempts:
                    break
            patience.sleep(max(failures, 1), error.wait)
        except NotThereError as error:
            left, gone, fault = left[1:], gone + 1, fault or error.args[0]
            if gone == len(mirrors):
                raise
        except FetchError as error:
            left, fault = left[1:], error.args[0]
        if not left:
            break
    raise FetchError(f"{path.name} can't be fetched ({fault}); run the same build again later")


def _accept(path: Path, part: Path, file: int) -> Pin:
    """Verify a finished part and give it its name. TransientError if it is broken, FetchError if it changed."""
    try:
        if path.suffix == ".gz" and os.pread(file, 2, 0) != GZIP_MAGIC:
            raise RejectedError("broken", "no gzip file")
        pin = Pin(*_digest(part))
    except RejectedError as error:
        os.ftruncate(file, 0)
        raise TransientError(f"{path.name} came broken: {error.message}") from None
    known = read_pin(path)
    if known is not None and known.sha256 and known != pin:
        os.ftruncate(file, 0)
        raise FetchError(
            f"it is not what it was: {pin.size:,} bytes decompressed with sha256 {pin.sha256}; expected {known.size:,} "
            f"with {known.sha256}; to take the new one, delete {path.name}.pin"
        )
    _write_pin(path, pin)
    os.replace(part, path)
    part.with_name(f"{part.name}.json").unlink(missing_ok=True)
    return pin


def _digest(path: Path) -> tuple[str, int]:
    return inflated_digest(path, "broken", largest_inflated_size(path))


def _write_pin(path: Path, pin: Pin) -> None:
    write_json(path.with_name(f"{path.name}.pin"), asdict(pin))
