"""Which bytes of an object a request asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re

_ONE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


class UnsatisfiableError(ValueError):
    """A range that holds no byte of the object."""


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and number of bytes; None for all of it.

    A header that is malformed or asks for several ranges is answered with everything, as the standard allows. Raises
    UnsatisfiableError for a range beyond the end.
    """
    match = _ONE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:  # the last n bytes
        count = min(int(last), size)
        if not count:
            raise UnsatisfiableError
        return size - count, count
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableError
    end = min(int(last), size - 1) if last else size - 1
    return int(first), end - int(first) + 1
