"""Small maps and models, and how reading a damaged one ends."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryodata.errors import RejectedError
from cryodata.formats.mrc import map_digest, read_volume
from cryodata.formats.mrc_header import read_header

MIB = 1 << 20

NX, NY, NZ, MODE, MX, CELL, ANGLES, AXES, NSYMBT, ORIGIN = 0, 1, 2, 3, 7, 10, 13, 16, 23, 49
"numbers of the header's words (MRC2014), counted from 0"

NAN, INF = math.nan, math.inf
SIGNALLING_NAN = 0x7F800001
"float32 bits that make a processor complain when they are copied"


def small_map(*changes: tuple[int, str, Any]) -> bytes:
    """A map of 4 x 3 x 2 float32 voxels of 1 A. changes: (number of a word, its struct letter, value)."""
    raw = bytearray(1024)
    struct.pack_into("<10i6f3i", raw, 0, 4, 3, 2, 2, 0, 0, 0, 4, 3, 2, 4.0, 3.0, 2.0, 90.0, 90.0, 90.0, 1, 2, 3)
    raw[208:216] = b"MAP DD\0\0"
    raw += struct.pack("<24f", *range(24))
    for word, letter, value in changes:
        struct.pack_into(f"<{letter}", raw, 4 * word, value)
    return bytes(raw)


def atom_line(number: int, x: float | str = 0.0, residue: int | str | None = None) -> bytes:
    """A C-alpha as a line of a PDB file."""
    place = f"{x:>8}" if isinstance(x, str) else f"{x:8.3f}"
    residue = number if residue is None else residue
    return (f"ATOM  {number:5d}  CA  ALA A{residue:>4}    {place}{0:8.3f}{0:8.3f}  1.00  0.00           C  \n").encode()


def small_cif(*rows: str) -> bytes:
    """An mmCIF file of C-alphas. rows: atom name, chain, residue number, x; the rest is the same for all."""
    columns = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id "
    columns += "label_seq_id Cartn_x Cartn_y Cartn_z auth_seq_id auth_asym_id"
    lines = ["data_small", "loop_", *(f"_atom_site.{column}" for column in columns.split())]
    for number, row in enumerate(rows, start=1):
        name, chain, residue, x = row.split()
        lines.append(f"ATOM {number} C {name} . ALA {chain} 1 {number} {x} 0.0 0.0 {residue} {chain}")
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def read_map(path: Path) -> np.ndarray[Any, Any]:
    """All that a build does with a map file."""
    header = read_header(path)
    map_digest(path, header)
    return read_volume(path, header).data


def refusal(reader: Callable[[Path], object], path: Path) -> tuple[str, str]:
    """Code and message of the rejection that reading ends in."""
    with pytest.raises(RejectedError) as refused:
        reader(path)
    return refused.value.code, str(refused.value)
