"""A builder for the tests of clusters: the simulated one, slowed down, with entries that harm whoever works on them.

CREW_FAULTS names them: `SIM-00003=memory,SIM-00005=crash`. CREW_SECONDS is how long each entry takes besides.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from cryodata_builders.simulated import BUILDER as SIMULATED

from cryodata.core.entry import Entry, Sample


class Harmful(type(SIMULATED)):  # type: ignore[misc]
    """Simulated maps, some of which end the process that works on them."""

    name = "harmful"

    def make(self, entry: Entry, recipe: str, parameters: Mapping[str, Any]) -> Sample:
        """As simulated, unless the entry is named."""
        time.sleep(float(os.environ.get("CREW_SECONDS", "0")))
        faults = dict(pair.split("=") for pair in os.environ.get("CREW_FAULTS", "").split(",") if pair)
        fault = faults.get(entry.entry_id, "")
        if fault == "memory":
            taken = []
            while True:
                taken.append(np.ones(16 << 20, dtype=np.uint8))
                time.sleep(0.01)
        if fault == "crash":
            ctypes.string_at(0)
        sample: Sample = super().make(entry, recipe, parameters)
        return sample


BUILDER = Harmful()
