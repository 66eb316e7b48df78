"""Names that no reader of the atoms table would believe are refused when they are made."""

from __future__ import annotations

import numpy as np
import pytest

from cryodata.core.model import MAX_NAME
from cryodata.prepare.validate import name_faults


@pytest.mark.parametrize(("letters", "faults"), [(0, 0), (3, 0), (MAX_NAME, 0), (MAX_NAME + 1, 1)])
def test_a_name_has_as_many_letters_as_readers_take(letters: int, faults: int) -> None:
    columns = {"residue": np.array(["ALA", "x" * letters]), "state": np.zeros(2, dtype=np.uint8)}

    found = list(name_faults(columns))

    assert len(found) == faults
    assert all(fault == f"residue holds a name of {letters} letters; {MAX_NAME} at most" for fault in found)


def test_a_molecule_without_atoms_has_no_name_that_is_too_long() -> None:
    assert list(name_faults({"atom": np.zeros(0, dtype="<U200")})) == []
