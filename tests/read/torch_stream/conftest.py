"""A stream of light columns, for all tests of this room."""

from __future__ import annotations

from typing import Any

import pytest

from cryodata.build.dataset import Report
from cryodata.torch import SubgridStream
from tests.read.torch_stream.batches import Make


@pytest.fixture
def stream(simulated: Report) -> Make:
    """A stream of light columns over the training maps; arguments may be overridden."""

    def make(**changes: Any) -> SubgridStream:
        light = {"split": "train", "columns": ["entry_id", "start_zyx"]}
        arguments = {**light, "batch_size": 8, "seed": 1, "streams": 4, "remainder": "keep"}
        return SubgridStream("simulated", root=simulated.folder.parent, **{**arguments, **changes})

    return make
