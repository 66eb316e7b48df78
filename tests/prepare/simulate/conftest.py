"""A model that was made up, for all tests of this room."""

from __future__ import annotations

import pytest

from cryodata.core.model import AtomicModel
from cryodata.prepare.simulate import random_protein

RADIUS = 35.0
"A, of the sphere that it lies in"


@pytest.fixture(scope="session")
def model() -> AtomicModel:
    return random_protein(1, radius=RADIUS)
