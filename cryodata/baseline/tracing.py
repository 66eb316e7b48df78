"""From a prediction and sequences to a model: what `cryodata trace` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryodata.baseline.chains.candidates import RESIDUES, Candidates, find_candidates, open_voxels, settled
from cryodata.baseline.chains.emission import LETTERS, UNKNOWN, types_of
from cryodata.errors import UsageError

THRESHOLD = 0.3
"least probability of a candidate; false ones cost the tracer little, missing ones much (published: 0.4)"

POSITION_ERROR = 0.65
"A per axis: candidates of the quick network on simulated maps it has not seen are off by 1.1 A in all"


@dataclass(frozen=True, slots=True)
class Asked:
    """How a prediction is to be traced."""

    method: str = "default"
    threshold: float = THRESHOLD
    "least probability of an alpha carbon of a candidate"

    offset: float | None = None
    "A to add to positions on each axis; None: what the prediction says"

    error: float = POSITION_ERROR
    "A per axis by which candidates miss their atoms"

    link_density: bool = True
    "whether the density between candidates counts"


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """Chains as far as they were found."""

    names: tuple[str, ...]
    sequences: tuple[str, ...]
    candidates: Candidates
    paths: tuple[npt.NDArray[np.int64], ...]
    "candidate of each residue of each chain, -1 if none"

    confidence: tuple[npt.NDArray[np.float64], ...]
    "0 to 1"


def trace_prediction(folder: Path, chains: Sequence[tuple[str, str]], asked: Asked | None = None) -> Traced:
    """Trace chains, given as names and sequences, through what a folder holds (`candidates.open_voxels`).

    Raises UsageError for a folder without a prediction or with none at or above the threshold.
    """
    from cryodata.baseline.chains.density import density_links
    from cryodata.baseline.viterbi import trace_with_confidence

    asked = asked or Asked()
    voxels = open_voxels(folder, asked.offset)
    found = find_candidates(voxels, asked.threshold)
    if not len(found.xyz):
        highest = f"the highest is {float(voxels.ca.data.max(initial=0)):.3f}"
        raise UsageError(f"no voxel has a probability of {asked.threshold:g}; {highest}: give a lower --threshold")
    links = None
    if asked.link_density and voxels.density is not None and asked.method == "default":
        links = density_links(voxels.density, found.xyz - voxels.offset_xyz)
    sequences = [sequence for _, sequence in chains]
    traced = trace_with_confidence(
        found.xyz, found.amino, sequences, method=asked.method, links=links, error=asked.error
    )
    paths, trust = zip(*traced, strict=True)
    if asked.method == "default":
        used = np.unique(np.concatenate([path[path >= 0] for path in paths]))
        xyz = found.xyz.copy()
        xyz[used] = settled(voxels, xyz[used])
        found = replace(found, xyz=xyz)
    return Traced(tuple(name for name, _ in chains), tuple(sequences), found, paths, trust)


def write_traced(path: Path, traced: Traced) -> None:
    """The model as .cif or .pdb, confidence from 0 to 100 in the B column."""
    from cryodata.formats.model_writer import TracedChain, write_model

    names = (*RESIDUES, "UNK")
    chains = []
    for name, sequence, states, trust in zip(
        traced.names, traced.sequences, traced.paths, traced.confidence, strict=True
    ):
        xyz = np.where((states >= 0)[:, None], traced.candidates.xyz[states], np.nan)
        residues = tuple(names[number] for number in types_of(sequence))
        chains.append(TracedChain(name, residues, xyz, 100 * trust))
    write_model(path, chains, path.stem)


def residue_table(traced: Traced) -> dict[str, list[Any]]:
    """A row per residue of each sequence: columns chain, number, residue, placed, x, y, z (A), confidence,
    type_probability, ca_probability; None where it was not found."""
    columns: dict[str, list[Any]] = {
        name: []
        for name in "chain number residue placed x y z confidence type_probability ca_probability".split()
    }  # fmt: skip
    found = traced.candidates
    for name, sequence, states, trust in zip(
        traced.names, traced.sequences, traced.paths, traced.confidence, strict=True
    ):
        for number, (letter, state) in enumerate(zip(sequence, states.tolist(), strict=True), start=1):
            there = state >= 0
            kind = int(types_of(letter)[0])
            typed = float(found.amino[state, kind]) if there and kind < UNKNOWN else None
            place = [round(float(value), 3) for value in found.xyz[state]] if there else [None] * 3
            row = [name, number, letter if letter in LETTERS else "X", there, *place]
            row += [
                float(trust[number - 1]) if there else None,
                typed,
                float(found.probability[state]) if there else None,
            ]
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    return columns


def write_residues(path: Path, traced: Traced) -> None:
    """The table as .csv or .parquet. Raises UsageError for another ending."""
    columns = residue_table(traced)
    if path.suffix == ".parquet":
        import pyarrow as pa

        from cryodata.formats.tables import write_table

        write_table(path, pa.table(columns))
    elif path.suffix == ".csv":
        import csv

        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
    else:
        raise UsageError(f"{path.name}: a table is written as .csv or .parquet, found '{path.suffix}'")
