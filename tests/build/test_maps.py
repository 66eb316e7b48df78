"""The map of an entry as it comes to a builder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryodata_builders.simulated import BUILDER

from cryodata.build.identify import Job, identify
from cryodata.build.maps import read_map
from cryodata.core.entry import Entry, Source
from cryodata.core.volume import Volume
from cryodata.formats.mrc import write_map
from cryodata.prepare.resample import resample


@pytest.mark.parametrize("hashed", ["as it came", "as it is read"])
@pytest.mark.parametrize("voxel_size", [0.7, 1.3, 2.0])
def test_it_is_resampled_in_its_own_memory(tmp_path: Path, hashed: str, voxel_size: float) -> None:
    data = np.random.Generator(np.random.PCG64(0)).normal(size=(23, 31, 17)).astype(np.float32)
    volume = Volume(data, np.full(3, voxel_size), np.zeros(3))
    write_map(tmp_path / "m.map.gz", volume)
    source = Source(str(tmp_path / "m.map.gz"))
    if hashed == "as it is read":
        job = Job("simulated", next(iter(BUILDER.recipes)), {}, str(tmp_path))
        source = identify(Entry("A", sources={"map": source}), job, BUILDER, reading=True)[0].sources["map"]
        assert len(source.held) == 1

    found, _ = read_map(source, 10**6, 1.0)
    result = resample(found, overwrite=True)

    assert result.data.tobytes() == resample(Volume(data, found.voxel_size_xyz, np.zeros(3))).data.tobytes()
    assert np.shares_memory(result.data, found.data.base)
