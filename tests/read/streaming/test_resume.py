"""A stream goes on exactly where it was left."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from typing import Any

import pytest
from datasets.distributed import split_dataset_by_node

from cryodata.read.decode import Volumes
from tests.read.examples import LIGHT, Open, Place, key, keys

PIPELINES: dict[str, Open] = {
    "plain": lambda opened: opened,
    "map": lambda opened: opened.map(lambda example: {"peak": float(example["density"].max())}),
    "map batched": lambda opened: opened.map(lambda batch: batch, batched=True, batch_size=7),
    "filter": lambda opened: opened.filter(lambda example: example["start_zyx"][2] > 0),
    "batch": lambda opened: opened.batch(7),
    "take": lambda opened: opened.take(70),
    "skip": lambda opened: opened.skip(30),
    "numpy": lambda opened: opened.with_format("numpy"),
    "columns": lambda opened: opened.select_columns(LIGHT),
    "one node of two": lambda opened: split_dataset_by_node(opened, rank=1, world_size=2),
    "all of it": lambda opened: (
        opened.filter(lambda example: example["start_zyx"][1] > 0)
        .map(lambda example: example)
        .skip(3)
        .take(40)
        .batch(4)
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_stream_resumes_exactly_at_ten_random_places_and_at_the_end(stream: Open, name: str) -> None:
    def opened() -> Any:
        return PIPELINES[name](stream(columns=["density", *LIGHT]))

    whole = keys(opened())
    chosen = random.Random(name)
    for place in [*(chosen.randrange(len(whole)) for _ in range(10)), len(whole)]:
        first, second = opened(), opened()
        examples = iter(first)
        seen = [key(next(examples)) for _ in range(place)]
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))

        assert whole == seen + keys(second)


@pytest.mark.parametrize("config", ["volumes", "entries", "atoms"])
def test_a_stream_of_another_config_resumes_exactly(stream: Open, config: str) -> None:
    def opened() -> Any:
        return stream(config=config, columns=["voxel_size_xyz", "entry_id"] if config == "volumes" else None)

    def shown(examples: Iterable[Any]) -> list[str]:
        return [repr(example) for example in examples]

    whole = shown(opened())
    for place in {0, 1, 2, len(whole) // 2, len(whole) - 1, len(whole)}:
        first, second = opened(), opened()
        examples = iter(first)
        seen = [repr(next(examples)) for _ in range(place)]
        second.load_state_dict(first.state_dict())

        assert whole == seen + shown(second)


def test_a_resumed_stream_can_be_stopped_and_resumed_again(stream: Open, places: list[Place], place: Open) -> None:
    seen, state = [], None
    while len(seen) < len(places):
        opened = stream(columns=LIGHT)
        if state is not None:
            opened.load_state_dict(state)
        seen += [place(example) for _, example in zip(range(17), opened, strict=False)]
        state = opened.state_dict()

    assert places == seen


def test_resuming_decodes_only_what_is_still_to_come(stream: Open, decoder: Volumes, places: list[Place]) -> None:
    last = next(number for number, one in enumerate(places) if one[0] == places[-1][0])
    opened = stream(columns=LIGHT)
    examples = iter(opened)
    for _ in range(last + 1):
        next(examples)
    resumed = stream()
    resumed.load_state_dict(opened.state_dict())

    assert len(places) - last - 1 == sum(1 for _ in resumed)
    assert decoder.decodes == 1


def test_a_state_holds_in_its_epoch(stream: Open) -> None:
    def opened(epoch: int) -> Any:
        found = stream(columns=LIGHT)
        found.set_epoch(epoch)
        return found

    whole, first, second = keys(opened(2)), opened(2), opened(2)
    examples = iter(first)
    seen = [key(next(examples)) for _ in range(50)]
    second.load_state_dict(first.state_dict())

    assert whole == seen + keys(second)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_stateful_data_loader_resumes_with_the_same_workers(stream: Open, workers: int) -> None:
    from torchdata.stateful_dataloader import StatefulDataLoader

    def opened() -> Any:
        return StatefulDataLoader(stream(columns=LIGHT), batch_size=None, num_workers=workers)

    whole = keys(opened())
    for place in (1, 41, len(whole) - 1):
        first, second = opened(), opened()
        examples = iter(first)
        seen = [key(next(examples)) for _ in range(place)]
        second.load_state_dict(first.state_dict())

        assert whole == seen + keys(second)
