"""What is known of C-alphas of one chain before any map is seen: how far apart, at which angles."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class LinkTables(NamedTuple):
    """Logarithms of how much likelier a distance or angle is between residues of a chain than between others."""

    near: Floats
    "(3, n): residues 1, 2, 3 apart, by distance in bins of `near_bin`"

    far: Floats
    "(J + 1, n): residues j apart, by distance in bins of `far_bin`; row 0 is not used"

    angle: Floats
    "(n,): the distance over two links, in bins of `angle_bin`, given both links"

    turn: Floats
    "(classes, classes, bins): the torsion over three links, given the class of both distances over two"

    edges: Floats
    "upper bounds of the classes of distances over two links, A"

    bins: Floats
    "widths: near, far, angle; A"

    reach: Floats
    "(3, 2): A, least and greatest between states that follow each other, and over one and two missing residues"


ERRORS = (0.35, 0.65)
"A per axis by which states miss their atoms, for which there are tables"


@cache
def link_tables(error: float = ERRORS[0]) -> LinkTables:
    """Tables for the error nearest to this. They come with the package; `benchmarks/baseline/links.py` makes them."""
    nearest = min(ERRORS, key=lambda known: abs(known - error))
    stored = json.loads(files("cryodata.baseline.chains").joinpath(f"links-{nearest:.2f}.json").read_text("utf-8"))
    near, far, angle, turn, edges = (_floats(stored[k]) for k in ("near", "far", "angle", "turn", "class_edges"))
    bins = _floats([stored[f"{k}_bin"] for k in ("near", "far", "angle")])
    return LinkTables(near, far, angle, turn, edges, bins, _floats(stored["reach"]))


def _floats(values: Any) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float32)
