"""Pairs that were found before, beside the receipts: a next version aligns only what is new. Never published."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from cryodata.build.kinship.pairs import Pairs, method, similar_pairs
from cryodata.core.layout import canonical_json
from cryodata.errors import DatasetError
from cryodata.formats.tables import read_table, write_table
from cryodata.prepare.alignment import Criterion

FOLDER = "receipts/alignments"

REVISION = 1
"raised whenever other pairs are found in the same sequences"

WORTH = 500
"sequences from which on pairs are kept: fewer take seconds"

COLUMNS = ("one", "other", "score", "identity")
_PAIRS = pa.schema([("one", pa.int32()), ("other", pa.int32()), ("score", pa.int32()), ("identity", pa.float64())])


def all_pairs(
    folder: Path | None,
    temporary: Path | None,
    sequences: Sequence[str],
    hands: int = 1,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Pairs:
    """Pairs of sequences that are alike by the criterion of the splits, those that an earlier run found among them.

    folder: of the dataset, None to look up nothing. temporary: a folder on the same disk to write what was found; None
    to write nothing. The result is the same with and without what is kept.
    """
    digests = [digest_of(sequence) for sequence in sequences]
    known, before = _read(folder, method(len(sequences))) if folder is not None else ({}, Pairs.of(np.zeros((0, 4))))
    fresh = [number for number, digest in enumerate(digests) if digest not in known]
    place = np.full(len(known) + 1, -1)  # of each sequence that was compared, here
    for number, digest in enumerate(digests):
        place[known.get(digest, -1)] = number if digest in known else -1
    rows = before.rows()
    rows[:, 0], rows[:, 1] = place[before.one], place[before.other]
    rows = rows[(rows[:, :2] >= 0).all(axis=1)]
    if fresh:
        rows = np.concatenate([rows, similar_pairs(sequences, Criterion(), hands, fresh, observe).rows()])
    pairs = Pairs.of(rows)
    if folder is not None and temporary is not None and fresh and len(sequences) >= WORTH:
        _write(folder, temporary, digests, pairs)
    return pairs


def digest_of(sequence: str) -> str:
    """By which a sequence is known again."""
    return hashlib.sha256(sequence.encode()).hexdigest()[:32]


def _read(folder: Path, how: str) -> tuple[dict[str, int], Pairs]:
    """Number of each sequence that was compared, by its hash, and the pairs; nothing if they were found otherwise."""
    nothing: tuple[dict[str, int], Pairs] = ({}, Pairs.of(np.zeros((0, 4))))
    try:
        table = read_table(folder / FOLDER / f"{how}.parquet")
        said = table.schema.metadata[b"cryodata"].decode("ascii").split()
        if said[0] != _way() or table.schema.remove_metadata() != _PAIRS:
            return nothing
        pairs = Pairs(*(np.asarray(table[name].combine_chunks()) for name in COLUMNS))
    except (DatasetError, KeyError, TypeError, IndexError, UnicodeDecodeError):  # nothing there, or nothing of ours
        return nothing
    return {digest: number for number, digest in enumerate(said[1:])}, pairs


def _write(folder: Path, temporary: Path, digests: Sequence[str], pairs: Pairs) -> None:
    said = {"cryodata": " ".join([_way(), *digests])}
    table = pa.table({name: getattr(pairs, name) for name in COLUMNS}, schema=_PAIRS.with_metadata(said))
    path = folder / FOLDER / f"{method(len(digests))}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(temporary / "pairs", table)
    os.replace(temporary / "pairs", path)


def _way() -> str:
    """Hash of how pairs are found."""
    rule = Criterion()
    said = {"revision": REVISION, "identity": rule.identity, "coverage": rule.coverage, "score": rule.score}
    return hashlib.sha256(canonical_json(said)).hexdigest()[:32]
