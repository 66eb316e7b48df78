"""Sequences of chains from FASTA files, and to them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cryodata.errors import UsageError

MAX_BYTES = 64 << 20
"of a FASTA file; the longest protein chain has 35,000 residues"

WIDTH = 60
"letters of a line"


def read_fasta(path: Path) -> list[tuple[str, str]]:
    """Name and one-letter sequence of each chain, upper case, in the order of the file.

    A header of the PDB archive, `>7KJR_1|Chains A, B|...`, stands for a chain of each name, the author's name in
    `A[auth H]`; of any other header the first word is the name. Names are made unique with -2, -3.
    Raises UsageError with the line for anything that is no sequence.
    """
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path.name} has {path.stat().st_size:,} bytes; a FASTA file may have {MAX_BYTES:,}")
    entries: list[tuple[list[str], list[str]]] = []
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), start=1):
        text = line.strip()
        if text.startswith(">"):
            entries.append((_names(text[1:]), []))
        elif text and not entries:
            raise UsageError(f"{path.name}, line {number}: '{text[:20]}' before any header; expected a line with '>'")
        elif text:
            letters = text.rstrip("*").upper()
            if not re.fullmatch("[A-Z]+", letters):
                raise UsageError(f"{path.name}, line {number}: '{text[:20]}'; expected one-letter codes of residues")
            entries[-1][1].append(letters)
    found: dict[str, str] = {}
    for names, parts in entries:
        if not parts:
            raise UsageError(f"{path.name}: '{names[0]}' has no sequence")
        for name in names:
            number, unique = 1, name
            while unique in found:
                number += 1
                unique = f"{name}-{number}"
            found[unique] = "".join(parts)
    if not found:
        raise UsageError(f"{path.name} holds no sequence; expected a FASTA file")
    return list(found.items())


def _names(header: str) -> list[str]:
    chains = re.match(r"[^|]*\|Chains? ([^|]+)", header)
    if chains:
        words = [word.strip() for word in chains[1].split(",")]
        return [re.sub(r"^.*\[auth (.+)\]$", r"\1", word) for word in words if word]
    words = re.split(r"[\s|]", header.strip(), maxsplit=1)
    return [words[0] or "A"]


def fasta_text(records: Iterable[tuple[str, str]]) -> str:
    """A FASTA file of headers and sequences, 60 letters a line."""
    lines = []
    for header, sequence in records:
        lines.append(f">{header}")
        lines += [sequence[at : at + WIDTH] for at in range(0, len(sequence), WIDTH)]
    return "\n".join([*lines, ""])
