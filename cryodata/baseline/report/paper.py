"""What was published, or measured of what was published, to stand beside our numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the paper's table of traced models, by phenix.chain_comparison; missing numbers were not told."""

    what: str
    "map and model"

    residues: int
    rmsd: float
    "A"

    matching: float
    "% of the residues of the reference with one of the model within 3 A"

    identity: float
    "% of those with the same residue name"


# Cryo2StructData, Sci. Data 11 (2024), table 4; doi 10.1038/s41597-024-03299-9
TABLE_4 = (
    Published("7KJR", 448, 1.09, 80.4, 86.7),
    Published("7BV2", 1036, 1.31, 69.7, 73.0),
    Published("7TEY", 2703, 1.42, 71.6, 85.0),
    Published("5FTJ", 4338, 1.55, 62.7, 21.0),
)
TABLE_4_MEAN = Published("mean of the four", 0, 1.34, 71.1, 66.4)

# the model that the authors of Cryo2Struct ship, scored with `cryodata evaluate`
SHIPPED = Published("EMD-34610, 8HB0 (shipped model, scored here)", 615, 1.25, 77.4, 55.9)

GOALS = {"f1_2": 0.9, "rmsd": 0.6, "identity": 90.0}
"on simulated maps, with a GPU: F1 of alpha carbons above, RMSD (A) under, sequence match (%) above"

QUICK_GOAL = 0.6
"F1 of alpha carbons within 2 A that a quick plan reaches on maps it has not seen"
