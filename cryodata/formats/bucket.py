"""Objects below a URL, written (obstore): s3, gs, az. What is written is written whole, or not at all.

Credentials and endpoints come from the environment, as for reading; no error repeats what a server answered.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from cryodata.errors import DatasetError, UsageError
from cryodata.formats.store import client_of, patiently

WRITABLE = ("s3", "gs", "az")

PART = 8 << 20
"bytes of a part of a large object: what is shorter is sent in one request (S3: parts of 5 MiB at least)"

MAX_PARTS = 9_000
"parts of an object at most (S3: 10,000)"

PARTS_AT_ONCE = 4

_IMPORTED_IN = os.getpid()

Pieces = Callable[[], Iterator[bytes]]
"gives the bytes of an object, from the start at each call; raises DatasetError if they are not what they should be"


class Creation(Enum):
    """What came of an attempt to create an object that must not be there yet."""

    MADE = "made"
    THERE = "there"
    "somebody else's, or the same"

    UNCLEAR = "unclear"
    "there, and an earlier try got no answer: it may be ours"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a store says of the content of an object; a replacement that names it replaces nothing newer."""

    size: int
    e_tag: str
    version: str
    "empty where a store has none"

    @property
    def mode(self) -> dict[str, str]:
        """As obstore takes it."""
        return {key: value for key, value in (("e_tag", self.e_tag), ("version", self.version)) if value}


class Bucket:
    """What lies below a URL and is written there."""

    def __init__(self, url: str) -> None:
        if url.partition("://")[0] not in WRITABLE:
            raise UsageError(f"{url}: nothing can be published there; expected a folder or {', '.join(WRITABLE)}://...")
        self.url = url

    def listed(self, prefix: str) -> dict[str, Mark]:
        """Every object whose path begins with a folder's, by its path."""
        import obstore

        def once() -> dict[str, Mark]:
            pages = obstore.list(client_of(self.url), prefix or None, chunk_size=1000)
            return {str(item["path"]): _mark(item) for page in pages for item in page}

        try:
            return dict(self._patiently(once, prefix, "listed in"))
        except FileNotFoundError:
            raise UsageError(f"{self.url}: no such bucket or container; make it first") from None

    def put(self, path: str, size: int, pieces: Pieces) -> None:
        """Write an object, over one that is there. A large one goes in parts, and shows when the last one is there."""
        import obstore

        def once() -> None:
            client = client_of(self.url, writing=True)
            if size <= PART:
                obstore.put(client, path, b"".join(pieces()), use_multipart=False)
            else:
                length, at_once = part_size(size), PARTS_AT_ONCE
                obstore.put(
                    client, path, pieces(), use_multipart=True, chunk_size=length, max_concurrency=at_once
                )  # if the pieces raise, it is never completed

        self._writing(once, path)

    def create(self, path: str, raw: bytes) -> Creation:
        """Write a small object unless one is there."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        tries = 0

        def once() -> Creation:
            nonlocal tries
            tries += 1
            try:
                obstore.put(client_of(self.url, writing=True), path, raw, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return Creation.THERE if tries == 1 else Creation.UNCLEAR
            return Creation.MADE

        return Creation(self._writing(once, path))

    def replace(self, path: str, raw: bytes, mark: Mark) -> bool:
        """Write a small object over the one that `mark` is of; False if another is there by now."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        def once() -> bool:
            try:
                obstore.put(client_of(self.url, writing=True), path, raw, mode=mark.mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return bool(self._writing(once, path))

    def read(self, path: str, most: int) -> tuple[bytes, Mark]:
        """A small object. FileNotFoundError if there is none, DatasetError if it is longer than `most`."""
        import obstore

        def once() -> tuple[bytes, Mark]:
            result = obstore.get(client_of(self.url), path)
            mark = _mark(result.meta)
            if mark.size > most:
                raise DatasetError(f"{path}: {mark.size:,} bytes at {self.url}; expected {most:,} at most")
            return bytes(result.bytes()), mark

        raw, mark = self._patiently(once, path, "read from")
        return raw, mark

    def keeps_conditions(self) -> tuple[bool, bool]:
        """Try it out, with an object that goes again: does the store refuse to create what is there, and to replace
        what another has replaced? And is what it says of an object (ETag) the MD5 of its bytes?"""
        path = f".probe-{secrets.token_hex(8)}"
        raw = path.encode()
        wrong = Mark(0, f'"{secrets.token_hex(16)}"', "1")
        try:
            kept = self.create(path, raw) is not Creation.THERE
            kept = kept and self.create(path, raw + b"2") is not Creation.MADE
            kept = kept and not self.replace(path, raw + b"3", wrong)
        except NotImplementedError:
            kept = False
            self.put(path, len(raw), lambda: iter([raw]))
        found, mark = self.read(path, 1000)
        self.remove(path)
        return kept and found == raw, is_md5_of(mark, found)

    def remove(self, path: str) -> None:
        """Delete an object. Whoever may not delete leaves it."""
        import obstore
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        def once() -> None:
            try:
                obstore.delete(client_of(self.url), path)
            except (FileNotFoundError, PermissionDeniedError, UnauthenticatedError):
                return

        self._writing(once, path)

    def _writing(self, action: Callable[[], Any], path: str) -> Any:
        try:
            return self._patiently(action, path, "written to")
        except FileNotFoundError:
            raise UsageError(f"{self.url}: no such bucket or container; make it first") from None

    def _patiently(self, action: Callable[[], Any], path: str, doing: str) -> Any:
        if os.getpid() != _IMPORTED_IN:  # the runtime behind obstore does not survive a fork: it would wait for ever
            raise UsageError(f"{self.url}: nothing can be written from a forked process; start one of its own (spawn)")
        return patiently(action, self.url, path, doing)


def part_size(size: int) -> int:
    """Bytes of each part of an object but the last: whole MiB."""
    return max(PART, -(-size // MAX_PARTS // (1 << 20)) * (1 << 20))


def digest_in(e_tag: str) -> str:
    """What an ETag says, without its quotes."""
    return e_tag.removeprefix("W/").strip('"')


def is_md5(e_tag: str, size: int) -> bool:
    """Has an ETag the form of an MD5, or of one over the MD5s of the parts that `put` makes of this size?"""
    parts = -(-size // part_size(size))
    return re.fullmatch(rf"[0-9a-f]{{32}}(-{parts})?", digest_in(e_tag)) is not None


def is_md5_of(mark: Mark, raw: bytes) -> bool:
    """Is the ETag of a small object the MD5 of its bytes? Of one that the store encrypts with a key of its own it is
    not."""
    return digest_in(mark.e_tag) == hashlib.md5(raw, usedforsecurity=False).hexdigest()


def expected_e_tag(e_tag: str, size: int, pieces: Iterator[bytes]) -> str:
    """What an ETag of this form would be for these bytes. pieces: of the length that `put` cuts, but the last."""
    if "-" not in e_tag:
        whole = hashlib.md5(usedforsecurity=False)
        for piece in pieces:
            whole.update(piece)
        return whole.hexdigest()
    length, of_parts, part, done = part_size(size), [], hashlib.md5(usedforsecurity=False), 0
    for piece in pieces:
        view = memoryview(piece)
        while view:
            taken, view = view[: length - done], view[length - done :]
            part.update(taken)
            done += len(taken)
            if done == length:
                of_parts.append(part.digest())
                part, done = hashlib.md5(usedforsecurity=False), 0
    if done:
        of_parts.append(part.digest())
    return f"{hashlib.md5(b''.join(of_parts), usedforsecurity=False).hexdigest()}-{len(of_parts)}"


def _mark(item: Any) -> Mark:
    return Mark(int(item["size"]), str(item.get("e_tag") or ""), str(item.get("version") or ""))
