"""The sequences of a version as FASTA files: full, modelled, and aligned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryodata.core.model import ChainSequence
from cryodata.errors import UsageError
from cryodata.formats.absent import why_absent
from cryodata.formats.fasta import fasta_text
from cryodata.formats.tables import read_table
from cryodata.formats.versions import DatasetVersion
from cryodata.prepare.sequences import aligned_rows, places

FILES = ("full.fasta", "modelled.fasta", "aligned.fasta")


def write_sequences(opened: DatasetVersion, folder: Path, entry_ids: Sequence[str] = ()) -> dict[str, int]:
    """Write the files; number of sequences in each. UsageError for an id that the version has not."""
    rows = read_table(opened.table("entries.parquet"), columns=["entry_id", "sequences"]).to_pylist()
    ids = [row["entry_id"] for row in rows]
    unknown = sorted(set(entry_ids) - set(ids))
    if unknown:
        raise UsageError(why_absent(opened, unknown[0], ids))
    records: dict[str, list[tuple[str, str]]] = {name: [] for name in FILES}
    for row in rows:
        if not entry_ids or row["entry_id"] in entry_ids:
            for item in row["sequences"] or ():
                chain = ChainSequence(**{key: value or "" for key, value in item.items()})
                for name, found in records_of(row["entry_id"], chain).items():
                    records[name] += found
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in records.items():
        (folder / name).write_text(fasta_text(found), encoding="utf-8")
    return {name: len(found) for name, found in records.items()}


def records_of(entry_id: str, chain: ChainSequence) -> dict[str, list[tuple[str, str]]]:
    """Header and sequence of a chain for each file."""
    name = f"{entry_id}_{chain.chain}"
    if not chain.full:
        told = f"{name} {chain.kind}, {len(chain.modelled)} residues modelled, full sequence unknown"
        return {"full.fasta": [], "modelled.fasta": [(told, chain.modelled)], "aligned.fasta": []}
    there = int((places(chain) >= 0).sum()) if chain.alignment else len(chain.modelled)
    told = f"{name} {chain.kind}, {there} of {len(chain.full)} residues modelled"
    rows = aligned_rows(chain) if chain.alignment else ("", "")
    return {
        "full.fasta": [(told, chain.full)],
        "modelled.fasta": [(told, chain.modelled)],
        "aligned.fasta": [(f"{name}_full", rows[0]), (f"{name}_modelled", rows[1])] if chain.alignment else [],
    }
