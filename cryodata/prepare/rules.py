"""How labels are written when a sub-grid is read, as a user asks for it: `nearest`, `sphere:2`, `gaussian:1.5`, ..."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cryodata.errors import UsageError

MAX_REACH = 20.0
"largest distance over which an atom may be written, A: R of a sphere, 4 S of a gaussian"

CUT = 4.0
"a gaussian is 0 beyond this many S"

PLAIN, SIZED = ("stored", "floor", "nearest", "offset"), ("sphere", "gaussian")

KNOWN = ("stored", "floor", "nearest", "sphere:R", "gaussian:S", "offset")
"label rules as they are written, R and S in A"


@dataclass(frozen=True, slots=True)
class LabelRule:
    """How labels are written from points.

    `stored`: as the recipe did. `floor`, `nearest`: one voxel for each atom. `sphere`: each voxel gets the class of the
    nearest atom within R. `gaussian`: for each class, max of exp(-d^2 / 2 S^2), 0 beyond 4 S. `offset`: as stored, and
    from the centre of each labelled voxel to its atom.
    """

    kind: str
    "one of PLAIN or SIZED"

    size: float = 0.0
    "R of a sphere or S of a gaussian, A; 0 for the others"

    @classmethod
    def parse(cls, text: object) -> LabelRule:
        """From the text of `labels=`. Raises UsageError, naming the known rules or the bounds, for anything else."""
        kind, colon, number = text.partition(":") if isinstance(text, str) else ("", "", "")
        if kind in PLAIN and not colon:
            return cls(kind)
        if kind not in SIZED or not colon:
            raise UsageError(f"no label rule '{text}'; found: {', '.join(KNOWN)}")
        most = MAX_REACH / (CUT if kind == "gaussian" else 1.0)
        try:
            size = float(number)
        except ValueError:
            size = math.nan
        if not 0 < size <= most:
            raise UsageError(f"labels='{text}': found '{number}'; expected a number of A above 0, at most {most:g}")
        return cls(kind, size)

    def __str__(self) -> str:
        return f"{self.kind}:{repr(self.size).removesuffix('.0')}" if self.kind in SIZED else self.kind

    @property
    def by_voxel(self) -> bool:
        """Whether an atom has one voxel, which atoms compete for; else it is seen within `reach`."""
        return self.kind in PLAIN

    @property
    def reach(self) -> float:
        """Distance from which an atom changes the label of a voxel, A; 0 if it has one voxel."""
        return self.size * CUT if self.kind == "gaussian" else self.size

    def cell(self, recipe: str) -> str:
        """`floor` or `nearest`: the voxel rule behind a rule by voxel. recipe: that of the stored labels."""
        return self.kind if self.kind in ("floor", "nearest") else recipe

    def margin(self, voxel_size: float, box: int, turned: bool = False) -> int:
        """Voxels around a box within which an atom may change its labels, whichever of the 24 rotations comes first.

        voxel_size: the smallest of the three, A. turned: for any rotation about the centre of the box. An atom at the
        fractional index p is needed if -margin <= floor(p) < box + margin on each axis.
        """
        reach = self.reach / voxel_size
        if turned:  # the corners of the box reach farthest
            reach += math.sqrt(3) * (box + 1) / 2 - (box - 1) / 2
        return max(1, math.ceil(reach))
