"""Why a version lacks an entry: it was refused, or the id is written otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from cryodata.formats.tables import REJECTED, read_table
from cryodata.formats.versions import DatasetVersion


def refusal(opened: DatasetVersion, entry_id: str) -> str | None:
    """The code and the message with which an entry was refused; None for one that was not."""
    for row in read_table(opened.table("rejected.parquet"), REJECTED).to_pylist():
        if row["entry_id"] == entry_id:
            return f"{row['code']}: {row['message']}"
    return None


def why_absent(opened: DatasetVersion, entry_id: str, ids: Sequence[str]) -> str:
    """A sentence for an id that is not among those of the entries table."""
    title = f"{opened.manifest.name}@{opened.manifest.version}"
    refused = refusal(opened, entry_id)
    if refused is not None:
        return f"{title} refused '{entry_id}' as {refused}"
    plain = {_plain(known): known for known in ids}
    close = [plain[key] for key in get_close_matches(_plain(entry_id), plain, n=5, cutoff=0.5)]
    found = f"near it: {', '.join(close)}" if close else f"found: {', '.join(ids[:5]) or 'none'}"
    return f"{title} has no entry '{entry_id}' (of {len(ids):,}); {found}"


def _plain(entry_id: str) -> str:
    """An id as it is compared: 3488 and emd_3488 are near EMD-3488."""
    return re.sub(r"[-_ .]", "", entry_id.casefold())
