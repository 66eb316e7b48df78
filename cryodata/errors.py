"""Every error that cryodata raises on purpose; each message says what, found, expected, what to do."""

from __future__ import annotations


class CryodataError(Exception):
    """Something a user can act on; the command line prints it as one line, whatever was put into the message."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


class UsageError(CryodataError):
    """A request that can't be carried out as written: unknown name, option or version."""


class SourceError(CryodataError):
    """A source list that can't be trusted: a repeated id, an unreadable or malformed table."""


class DatasetError(CryodataError):
    """A dataset on disk that is missing, damaged, or not what its manifest says."""


class RejectedError(CryodataError):
    """One entry can't become a sample, for a reason that lies in its data."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = str(self)

    def __reduce__(self) -> tuple[type[RejectedError], tuple[str, str]]:
        return type(self), (self.code, self.message)
