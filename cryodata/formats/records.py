"""Secondary structure as a model file states it: HELIX and SHEET, struct_conf and struct_sheet_range (gemmi)."""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import gemmi
import numpy as np

from cryodata.core.model import HELIX, STRAND

Place = tuple[int, str]
"number and insertion code of a residue"

SecondaryByPlace = dict[tuple[str, int, str], int]
"class of a residue by chain, number and insertion code"


def secondary_from_records(structure: gemmi.Structure) -> SecondaryByPlace | None:
    """Class of each residue that a helix or strand record covers; None if no record covers any, as when a program
    wrote something else into them.

    A residue in both is a strand. A range whose ends are both modelled runs from one to the other in file order, which
    insertion codes need; otherwise it is a range of numbers. A reversed range, or one over two chains, holds nothing.
    """
    ranges: dict[str, list[tuple[Place, Place, int]]] = {}
    strands = (strand for sheet in structure.sheets for strand in sheet.strands)
    for records, value in ((structure.helices, HELIX), (strands, STRAND)):
        for record in records:
            start, end = record.start.res_id.seqid, record.end.res_id.seqid
            if record.start.chain_name == record.end.chain_name and start.num is not None and end.num is not None:
                ends = (place_of(start), place_of(end), value)
                ranges.setdefault(record.start.chain_name, []).append(ends)
    classes: SecondaryByPlace = {}
    for chain in structure[0] if ranges else ():
        if chain.name in ranges:
            places = [place_of(residue.seqid) for residue in chain]
            covered = _covered(places, ranges[chain.name])
            classes.update(((chain.name, *place), value) for place, value in zip(places, covered, strict=True) if value)
    return classes or None


def _covered(places: list[Place], ranges: Iterable[tuple[Place, Place, int]]) -> list[int]:
    """Class of each residue of a chain, 0 where no range covers it; time grows with residues plus ranges."""
    first = {place: index for index, place in reversed(list(enumerate(places)))}
    last = {place: index for index, place in enumerate(places)}
    order = sorted(range(len(places)), key=places.__getitem__)
    ordered = [places[index] for index in order]
    # how many ranges begin minus how many end at a place: in file order, and in order of the numbers
    by_file = {value: np.zeros(len(places) + 1, dtype=np.int64) for value in (HELIX, STRAND)}
    by_number = {value: np.zeros(len(places) + 1, dtype=np.int64) for value in (HELIX, STRAND)}
    for start, end, value in ranges:
        if start in first and end in last:
            marks, low, high = by_file[value], first[start], last[end] + 1
        else:
            marks, low, high = by_number[value], bisect.bisect_left(ordered, start), bisect.bisect_right(ordered, end)
        if low < high:
            marks[low] += 1
            marks[high] -= 1
    result = np.zeros(len(places), dtype=np.int64)
    for value in (HELIX, STRAND):
        result[np.cumsum(by_file[value][:-1]) > 0] = value
        result[np.asarray(order, dtype=np.int64)[np.cumsum(by_number[value][:-1]) > 0]] = value
    return [int(value) for value in result]


def place_of(seqid: gemmi.SeqId) -> Place:
    """Number and insertion code. ValueError if there is no number."""
    if seqid.num is None:
        raise ValueError("a residue has no number")
    return seqid.num, seqid.icode
