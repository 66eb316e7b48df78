"""The state of a SubgridStream: it is resumed anywhere, and by no other stream."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.data import DataLoader

from cryodata.errors import UsageError
from tests.read.examples import too_many_workers
from tests.read.torch_stream.batches import Make, epoch_of, keys

pytestmark = too_many_workers


def test_it_resumes_at_every_batch(stream: Make) -> None:
    whole = epoch_of(stream())
    for batch in range(len(whole) + 1):
        opened = stream()
        opened.load_state_dict(opened.state_at(0, batch))
        assert epoch_of(opened) == whole[batch:]


def test_the_state_after_a_batch_leads_to_the_next_in_another_world(stream: Make) -> None:
    first = stream()
    first.set_epoch(3)
    iterator = iter(first)
    taken = [keys(next(iterator)) for _ in range(4)]
    state = first.state_dict()
    iterator.close()

    parts = []
    for rank in range(2):
        opened = stream(rank=rank, world_size=2)
        opened.load_state_dict(state)
        opened.set_epoch(3)  # what a training loop does at the head of an epoch: the place is kept
        parts.append(epoch_of(DataLoader(opened, batch_size=None, num_workers=rank)))
    rest = [a + b for a, b in zip(*parts, strict=True)]
    whole = stream()
    whole.set_epoch(3)

    assert taken + rest == epoch_of(whole)


def test_every_batch_tells_its_epoch_and_number(stream: Make) -> None:
    opened = stream()
    opened.set_epoch(5)

    assert [(batch["epoch"], batch["batch"]) for batch in opened] == [(5, number) for number in range(len(opened))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 2}, "seed is 1 in the state, 2 here"),
        ({"batch_size": 16}, "batch_size is 8 in the state, 16 here"),
        ({"streams": 2, "pool_volumes": 4}, "streams is 4 in the state, 2 here"),
        ({"split": "validation"}, "filter is "),
        ({"filter": [("n_ca_core", ">", 0)]}, "filter is "),
    ],
)
def test_a_state_of_another_stream_is_refused(stream: Make, change: dict[str, Any], message: str) -> None:
    state = stream().state_dict()

    with pytest.raises(UsageError) as caught:
        stream(**change).load_state_dict(state)

    assert message in str(caught.value)
