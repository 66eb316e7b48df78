"""What the batches of a SubgridStream hold, and what is decoded for them."""

from __future__ import annotations

import numpy as np
import torch

from cryodata import load_dataset
from cryodata.build.dataset import Report
from cryodata.read.decode import volumes_of
from cryodata.torch import SubgridStream
from tests.read.torch_stream.batches import Make, epoch_of, everything, keys


def test_each_volume_is_decoded_once_but_for_the_cuts_between_streams(stream: Make) -> None:
    opened = stream(streams=2, pool_volumes=2, columns=["entry_id", "start_zyx", "density"])

    epoch_of(opened)

    assert 3 <= opened.decodes <= 3 + 1


def test_arrays_are_those_of_load_dataset(simulated: Report) -> None:
    root = simulated.folder.parent
    table = load_dataset("simulated", split="train", root=root)
    expected = {(row["entry_id"], *row["start_zyx"]): row for row in table.select(range(0, len(table), 7))}
    compared = 0
    for batch in SubgridStream("simulated", split="train", batch_size=16, root=root, remainder="keep"):
        for i, key in enumerate(keys(batch)):
            if key in expected:
                compared += 1
                for name in ("density", "atom", "amino", "secondary"):
                    assert np.array_equal(expected[key][name], batch[name][i].numpy())
                assert expected[key]["resolution"] == batch["resolution"][i]

    assert compared == len(expected)


def test_tensors_are_of_the_declared_types_and_are_the_callers_own(simulated: Report) -> None:
    opened = SubgridStream("simulated", split="train", batch_size=8, root=simulated.folder.parent)
    iterator = iter(opened)
    first = next(iterator)
    kept = first["density"].clone()
    next(iterator)
    iterator.close()

    assert (first["density"].dtype, first["atom"].dtype) == (torch.float32, torch.uint8)
    assert first["density"].shape == (8, 32, 32, 32)
    assert torch.equal(kept, first["density"])


def test_a_filter_decodes_only_what_it_keeps(stream: Make, simulated: Report) -> None:
    opened = stream(filter=[("n_ca_core", ">", 3), ("entry_id", "==", "SIM-00002")])
    store = volumes_of(opened._reader.plan.source.key)
    before = store.decodes

    served = [key for batch in epoch_of(opened) for key in batch]

    assert {key[0] for key in served} == {"SIM-00002"}
    assert store.decodes - before <= 4  # one volume, cut by four streams


def test_an_empty_split_is_an_empty_stream(stream: Make) -> None:
    opened = stream(split="test")

    assert len(opened) == 0
    assert epoch_of(opened) == []


def test_a_stream_says_what_it_serves(stream: Make, simulated: Report) -> None:
    opened, count = stream(batch_size=64, remainder="drop"), len(everything(simulated))
    served, left = divmod(count, 64)

    assert repr(opened) == (
        f"<SubgridStream simulated@0.1.0: {served} batches of 64 from {count} sub-grids of 3 maps, {left} left out; "
        "seed=1, streams=4, pool_volumes=4>"
    )
