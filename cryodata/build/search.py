"""The EMDB search service: pages of CSV, kept as they came, so that the same question is answered offline."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlencode

from cryodata.build.http import (
    FetchError,
    NotThereError,
    Patience,
    TransientError,
    addresses,
    opened,
    shown_url,
)
from cryodata.build.workspace import temporary_folder
from cryodata.errors import CryodataError, SourceError, UsageError

SEARCH = "https://www.ebi.ac.uk/emdb/api/search"
"CRYODATA_SEARCH_URL overrides it"

ROWS = 10_000
"entries a page; CRYODATA_SEARCH_ROWS overrides it"

MAX_PAGES, MAX_PAGE_BYTES = 1000, 256 << 20

ID = "emdb_id"

PLACE = "source/search"
"below the dataset's folder"

Row = dict[str, str]


def search(query: str, fields: Sequence[str], folder: Path) -> list[Row]:
    """Every entry that a query finds, a row each, sorted by id; what was asked before is not asked again.

    folder: of the dataset; the answer, as it came, stays below it.

    Raises SourceError for an answer that can't be trusted, CryodataError if there is none.
    """
    name = hashlib.sha256(f"{query}\0{','.join(fields)}".encode()).hexdigest()[:12]
    place = folder / PLACE / name
    if not (place / "complete.json").exists():
        _ask(query, fields, place, folder)
    pages = [path.read_bytes() for path in sorted(place.glob("page-*.csv"))]
    rows = {row[ID]: row for page in reversed(pages) for row in _rows(page, fields)}
    return [rows[key] for key in sorted(rows)]


def _ask(query: str, fields: Sequence[str], place: Path, folder: Path) -> None:
    """Page after page until one brings nothing new; the folder appears when all are there."""
    size, seen = _page_size(), set[str]()
    with temporary_folder(folder) as temporary:
        made = temporary / "answer"
        made.mkdir()
        for number in range(1, MAX_PAGES + 1):
            options = {"rows": size, "page": number, "fl": ",".join(fields), "wt": "csv", "download": "false"}
            page = _page(f"{quote(query)}?{urlencode(options)}")
            found = [row[ID] for row in _rows(page, fields)]
            new = set(found) - seen
            if not new:
                if number == 2 and found and len(found) >= size:
                    raise SourceError(
                        f"the search service gave the same {len(found):,} entries for the first two pages: it ignores "
                        "`page`, and there may be more; set CRYODATA_SEARCH_ROWS above the number of entries"
                    )
                break
            seen |= new
            (made / f"page-{number:05d}.csv").write_bytes(page)
        told = {"query": query, "fields": list(fields), "entries": len(seen)}
        (made / "complete.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(made, place)
        except OSError:
            if not (place / "complete.json").exists():
                raise


def _page(path: str) -> bytes:
    """One page, from the first mirror that gives it whole."""
    patience, mirrors, fault = Patience.of_environment(), addresses("CRYODATA_SEARCH_URL", SEARCH), ""
    for failures in range(1, int(patience.attempts) + 1):
        url = f"{mirrors[(failures - 1) % len(mirrors)]}/{path}"
        try:
            return _read(url, patience)
        except (NotThereError, FetchError) as error:
            fault, wait = error.args[0], 0.0
        except TransientError as error:
            fault, wait = error.args[0], error.wait
        if failures < patience.attempts:
            patience.sleep(failures, wait)
    raise CryodataError(f"the search service can't be asked ({fault}); run the same build again later")


def _read(url: str, patience: Patience) -> bytes:
    with opened(url, {"Accept": "text/csv"}, patience) as response:
        content, length = response.read(MAX_PAGE_BYTES), response.headers.get("Content-Length", "")
    if length.isdecimal() and len(content) != int(length):
        raise TransientError(f"{shown_url(url)}: the connection ended after {len(content):,} of {length} bytes")
    if not content.endswith(b"\n") and content:
        raise TransientError(f"{shown_url(url)}: the last line is not whole")
    return bytes(content)


def _rows(page: bytes, fields: Sequence[str]) -> list[Row]:
    """The rows of a page. SourceError if it is no CSV with an id in every row."""
    try:
        reader = csv.reader(io.StringIO(page.decode("utf-8-sig"), newline=""), strict=True)
        header, *rows = list(reader) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"the search service gave no CSV ({error})") from None
    missing = [name for name in fields if name not in header] if rows else []
    if missing:
        raise SourceError(f"the search service gave no column {', '.join(missing)}; found: {', '.join(header)[:200]}")
    if any(len(row) != len(header) for row in rows if row):
        raise SourceError("the search service gave rows of different lengths")
    return [dict(zip(header, (field.strip() for field in row), strict=True)) for row in rows if row]


def _page_size() -> int:
    text = os.environ.get("CRYODATA_SEARCH_ROWS", "") or str(ROWS)
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"CRYODATA_SEARCH_ROWS is '{text[:40]}'; expected a number above 0")
    return int(text)
