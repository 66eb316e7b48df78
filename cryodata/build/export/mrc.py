"""The folders of the published dataset: maps as MRC, one folder an entry.

    DIR/entries.csv                               ids, resolution, split: what `cryodata build published` reads
    DIR/maps/EMD-3488/emd_normalized_map.mrc      float32, 1 A
                      atom_emd_normalized_map.mrc, atom_ca_..., amino_..., sec_struc_emd_normalized_map.mrc
                      5ni1.fasta, 5ni1_all_chain_combined.fasta, atomic.fasta, dealign_clustal_output.fasta
                      5ni1.cif                    the atoms that the version has, at their places

The published scripts take `DIR/maps`; they enter whatever lies there, so nothing else does.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cryodata.build.decoded import Columns, memory_of
from cryodata.build.export import Chosen, Layout, Piece
from cryodata.build.export.atoms import model_of
from cryodata.build.export.sequences import sequence_texts
from cryodata.build.subset import ROW
from cryodata.core.splits import SPLITS
from cryodata.core.volume import LabelVoxels, Volume
from cryodata.formats.mrc import write_plain_map
from cryodata.formats.mrc_header import LABELS_BY
from cryodata.formats.structure import write_mmcif
from cryodata.formats.tables import ENTRY_COLUMNS
from cryodata.prepare.labels import painted

DENSITY = "emd_normalized_map.mrc"

NAMES = {"secondary": "sec_struc"}
"what the published files call a label, where that is not its name"

CA_ONLY = "atom_ca"
"a map of 0 and 1: the C-alphas as they are among themselves"

HEADER_BYTES = 1024

TEXT_BYTES = 1 << 20
"of sequences and model of an entry, an upper estimate: 10,000 atoms of 80 bytes"

PLAIN = re.compile(r"[A-Za-z0-9_-]{1,24}")
"what of a dataset may name a file"

COLUMNS = ("entry_id", "emdb_id", "pdb_id", "map", "model", "resolution", "contour_level", "split")

ADVICE = "cryodata build published --source {folder} --as NAME; the published scripts take {folder}/maps"


def label_file(name: str) -> str:
    """Name of the map of a label."""
    return f"{NAMES.get(name, name)}_{DENSITY}"


def lay_out(chosen: Chosen) -> Layout:
    """A piece an entry."""
    labels = chosen.decoder.schema.labels
    pieces = []
    for row in chosen.rows:
        maps = 1 + len(labels) + any(label.name == "atom" for label in labels)
        size = maps * (HEADER_BYTES + 4 * math.prod(row["shape_zyx"])) + TEXT_BYTES
        need = memory_of(row, labels)
        pieces.append(Piece(row["entry_id"], maps + 5, size, need, partial(_write, chosen, row)))
    return Layout(pieces, {"entries.csv": lambda: [_entries(chosen)]}, ADVICE)


def _write(chosen: Chosen, row: Mapping[str, Any], folder: Path) -> None:
    """The folder of one entry."""
    place = folder / "maps" / row["entry_id"]
    place.mkdir(parents=True)
    density = chosen.decoder.density(row)
    write_plain_map(place / DENSITY, density)
    points = chosen.decoder.points(row[ROW])
    voxels = chosen.decoder.label_voxels(row, points)
    if "atom" in voxels:
        voxels[CA_ONLY] = _calphas(points)
    rule = LABELS_BY.format(chosen.decoder.schema.voxel_rule)
    for name, found in voxels.items():
        label = Volume(painted(found, density.shape_zyx), density.voxel_size_xyz, density.origin_xyz)
        write_plain_map(place / label_file(name), label, [rule])
    stem = _stem(row)
    for name, text in sequence_texts(row, stem).items():
        (place / name).write_text(text, encoding="ascii", errors="replace")
    if len(points["atom"]):
        full = {item["chain"]: item["full"] for item in row["sequences"] or () if item["kind"] == "peptide"}
        write_mmcif(place / f"{stem}.cif", model_of(points), stem, full)


def _calphas(points: Columns) -> LabelVoxels:
    voxel = points["voxel_zyx"][points["state_ca"] == 0]
    return voxel, np.ones(len(voxel), dtype=np.uint8)


def _stem(row: Mapping[str, Any]) -> str:
    """What files are named after: the PDB id if there is one, and one only."""
    pdb_id = str(row["pdb_id"] or "")
    return pdb_id.lower() if PLAIN.fullmatch(pdb_id) else str(row["entry_id"])


def _entries(chosen: Chosen) -> str:
    """The source list, as text."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    facts = {fact.name for fact in chosen.decoder.schema.facts} | {ROW, *(name for name, _ in ENTRY_COLUMNS)}
    further = [name for name in chosen.rows[0] if name not in facts]
    writer.writerow([*COLUMNS, *further])
    for row in chosen.rows:
        split, entry_id = chosen.split_of(row), row["entry_id"]
        place = f"maps/{entry_id}"
        told = [row["emdb_id"] or "", row["pdb_id"] or "", f"{place}/{DENSITY}", f"{place}/{_stem(row)}.cif"]
        numbers = ["" if row[name] is None else repr(row[name]) for name in ("resolution", "contour_level")]
        known = [entry_id, *told, *numbers, split if split in SPLITS else ""]
        writer.writerow([*known, *(row[name] or "" for name in further)])
    return text.getvalue()
