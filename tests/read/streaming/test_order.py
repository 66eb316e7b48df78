"""Examples come in the order of the table, each volume decoded once, and no more than is asked for."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from cryodata.build.dataset import Report
from cryodata.read import decode
from cryodata.read.decode import Volumes
from tests.read.examples import ARRAYS, LIGHT, Open, Place, entry_rows


def test_the_order_is_that_of_the_table(stream: Open, places: list[Place], place: Open) -> None:
    assert places == [place(example) for example in stream()]


def test_the_order_is_by_entry_then_start_with_x_fastest(places: list[Place]) -> None:
    assert sorted(places) == places
    assert len(set(places)) == len(places)


def test_ids_and_resolution_are_those_of_the_entry(stream: Open, simulated: Report) -> None:
    rows = {row["entry_id"]: row for row in entry_rows(simulated)}
    names = ("entry_id", "emdb_id", "pdb_id", "resolution")

    for example in stream(columns=names):
        assert {name: rows[example["entry_id"]][name] for name in names} == example


def test_a_pass_decodes_each_volume_once_and_the_next_pass_none(stream: Open, decoder: Volumes) -> None:
    opened = stream()

    assert decoder.decodes == 0
    assert opened.num_shards < sum(1 for _ in opened)
    assert opened.num_shards == decoder.decodes

    list(opened)

    assert opened.num_shards == decoder.decodes


def test_with_room_for_one_volume_each_pass_decodes_each_once(
    stream: Open, decoder: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "CACHE_BYTES", 1)
    opened = stream()

    list(opened)
    list(opened)

    assert 2 * opened.num_shards == decoder.decodes


def test_with_room_for_one_volume_a_shuffled_pass_decodes_each_once(
    stream: Open, decoder: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "CACHE_BYTES", 1)
    opened = stream(columns=["density"])

    list(opened.map(lambda row: row).shuffle(1, buffer_size=16))

    assert opened.num_shards == decoder.decodes


def test_threads_share_what_is_decoded(stream: Open, decoder: Volumes, places: list[Place], place: Open) -> None:
    found: list[list[Place]] = []
    threads = [threading.Thread(target=lambda: found.append([place(one) for one in stream()])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [places] * 4 == found
    assert stream().num_shards == decoder.decodes


def test_columns_without_voxels_decode_nothing(stream: Open, decoder: Volumes, places: list[Place]) -> None:
    opened = stream(columns=LIGHT)

    assert opened.column_names == LIGHT
    assert places == [(one["entry_id"], *one["start_zyx"]) for one in opened]
    assert decoder.decodes == 0


def test_columns_come_in_the_order_asked_for(stream: Open) -> None:
    columns = ["start_zyx", "secondary", "density"]

    assert columns == stream(columns=columns).column_names == list(next(iter(stream(columns=columns))))


@pytest.mark.parametrize(
    ("condition", "meets"),
    [
        pytest.param([("n_ca_core", ">", 0)], lambda row: row["n_ca_core"] > 0, id="list"),
        pytest.param(pc.field("n_ca_core") > 0, lambda row: row["n_ca_core"] > 0, id="expression"),
        pytest.param(
            [[("n_ca_core", ">", 0)], [("n_atom_box", "==", 0)]],
            lambda row: row["n_ca_core"] > 0 or row["n_atom_box"] == 0,
            id="one or the other",
        ),
        pytest.param([("entry_id", "==", "SIM-00002")], lambda row: row["entry_id"] == "SIM-00002", id="entry"),
        pytest.param([("n_ca_core", "<", 0)], lambda row: False, id="none"),
    ],
)
def test_a_filter_keeps_the_rows_that_meet_it_and_decodes_no_other_volume(
    stream: Open, decoder: Volumes, subgrid_rows: list[dict[str, Any]], condition: Any, meets: Open, place: Open
) -> None:
    expected = [(row["entry_id"], *row["start_zyx"]) for row in subgrid_rows if meets(row)]
    opened = stream(filter=condition)

    assert decoder.decodes == 0
    assert len(expected) < len(subgrid_rows)
    assert expected == [place(example) for example in opened]
    assert len({entry_id for entry_id, *_ in expected}) == decoder.decodes == opened.num_shards


@pytest.mark.parametrize(
    ("config", "condition", "column"),
    [
        pytest.param("volumes", [("entry_id", "in", ["SIM-00001", "SIM-00003"])], "entry_id", id="volumes"),
        pytest.param("entries", [("entry_id", "in", ["SIM-00001", "SIM-00003"])], "entry_id", id="entries"),
        pytest.param("atoms", [("atom", "in", ["CA"])], "atom", id="atoms"),
    ],
)
def test_other_configs_are_filtered_by_their_own_columns(
    stream: Open, config: str, condition: Any, column: str
) -> None:
    _, _, wanted = condition[0]

    expected = [row for row in stream(config=config, columns=[column]) if row[column] in wanted]

    assert 0 < len(expected) < sum(1 for _ in stream(config=config, columns=[column]))
    assert expected == list(stream(config=config, columns=[column], filter=condition))


def test_what_a_user_does_to_an_example_stays_there(stream: Open) -> None:
    opened = stream()
    first = next(iter(opened))
    before = {name: first[name].copy() for name in ARRAYS}
    for name in ARRAYS:
        first[name][...] = 77

    again = next(iter(opened))

    assert all(np.array_equal(before[name], again[name]) for name in ARRAYS)
