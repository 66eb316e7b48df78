"""One request over http or https (standard library): which answers are final, which are worth another try, how fast.

urllib and no other client: a fetch needs the status, the validators, ranges, a time limit for each read and proxies
from the environment, nothing more. obstore, which reads datasets, hides why a request failed, tries again by rules of
its own and does not survive a fork.
"""

from __future__ import annotations

import http.client
import math
import os
import random
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryodata import __version__
from cryodata.errors import CryodataError, UsageError
from cryodata.formats.locks import locked

WORTH_A_RETRY = {408, 416, 425, 429}
"besides 500 and above"

GONE = {404, 410}

MAX_REDIRECTS = 5


class TransientError(CryodataError):
    """A fault that may pass: the request is worth another try."""

    def __init__(self, message: str, status: int = 0, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait
        "of the answer, 0 if there was none; seconds that the server asks to wait, 0 if it does not say"


class NotThereError(CryodataError):
    """The server says that there is no such file."""


class NotModifiedError(CryodataError):
    """The server says that what it was asked for is what is here already."""


class FetchError(CryodataError):
    """A file that can't be had, after all tries; the next build tries again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often, how fast and how long. Each is set by an environment variable CRYODATA_FETCH_<NAME>."""

    attempts: float = 6
    "tries without progress before a file is given up"

    pause: float = 1.0
    "seconds before the second try; each further pause is twice as long, at random by half more or less"

    longest: float = 120.0
    "seconds that a pause may last, also if the server asks for more"

    timeout: float = 60.0
    "seconds without a byte after which a connection counts as broken"

    rate: float = 10.0
    "requests a second, of all processes of this user on this machine"

    @classmethod
    def of_environment(cls) -> Patience:
        """Defaults, overridden by the environment. Raises UsageError for anything but a number above 0."""
        values = {}
        for name in cls.__dataclass_fields__:
            variable = f"CRYODATA_FETCH_{name.upper()}"
            text = os.environ.get(variable, "")
            if not text:
                continue
            try:
                values[name] = float(text)
            except ValueError:
                values[name] = math.nan
            if not (math.isfinite(values[name]) and values[name] > 0):
                raise UsageError(f"{variable} is '{text[:40]}'; expected a number above 0")
        return cls(**values)

    def sleep(self, failures: int, wait: float = 0.0) -> None:
        """Wait before another try; failures: tries that failed so far."""
        pause = self.pause * 2 ** (failures - 1) * (0.5 + random.random())
        time.sleep(min(max(pause, wait), self.longest))


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Follow, but never from https to http, nor to anything else."""
        if urlsplit(newurl).scheme != "https" and urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            raise FetchError(f"{shown_url(req.full_url)} leads to {shown_url(newurl)}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Only http and https: the handlers that urllib adds by itself would open files as well."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _Redirects,
    ):
        opener.add_handler(handler())
    return opener


def addresses(variable: str, default: str) -> list[str]:
    """Base addresses from the environment, several separated by blanks, else the default's. Raises UsageError."""
    found = (os.environ.get(variable) or default).split()
    for address in found:
        if not is_url(address):
            raise UsageError(f"{variable}: '{shown_url(address)}' is no address; expected http:// or https://")
    return [address.rstrip("/") for address in found]


def is_url(text: str) -> bool:
    """Is it an http or https address, without a password in it?"""
    parts = urlsplit(text)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def shown_url(url: str) -> str:
    """An address as messages show it: without what may be secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def opened(url: str, headers: Mapping[str, str], patience: Patience) -> Iterator[http.client.HTTPResponse]:
    """The answer to a GET, to be read in the block; faults while it is read are told apart as well.

    Raises NotThereError, NotModifiedError, TransientError, or FetchError for an answer that will not change.
    """
    request = urllib.request.Request(
        url, headers={"User-Agent": f"cryodata/{__version__}", "Accept-Encoding": "identity", **headers}
    )
    _keep_pace(patience.rate)
    try:
        with _opener().open(request, timeout=patience.timeout) as response:
            yield response
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(url, error.code, error.headers.get("Retry-After", "")) from None
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        reason = getattr(error, "reason", error)
        raise TransientError(f"{shown_url(url)}: {type(reason).__name__} ({str(reason)[:200]})") from None


def _refusal(url: str, status: int, retry_after: str) -> CryodataError:
    found = f"{shown_url(url)}: the server answered {status}"
    if status in GONE:
        return NotThereError(found)
    if status == 304:
        return NotModifiedError(found)
    if status in WORTH_A_RETRY or status >= 500:
        return TransientError(found, status, float(retry_after) if retry_after.isdecimal() else 0.0)
    return FetchError(found)


def _keep_pace(rate: float) -> None:
    """Wait for this process's turn. The next free moment stands in a file that all processes of the user share."""
    path = Path(tempfile.gettempdir()) / f"cryodata-{os.getuid()}.pace"
    with locked(path) as file:
        text = os.pread(file, 32, 0)
        now = time.time()
        try:
            turn = min(max(now, float(text)), now + 60.0)  # whatever stands there, no longer than a minute
        except ValueError:
            turn = now
        os.pwrite(file, f"{turn + 1.0 / rate:.6f}".ljust(32).encode(), 0)
    time.sleep(turn - now)
