"""The text of `labels=`: what it means, and what is refused."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from cryodata.core.rotations import turn_points, uniform_rotations
from cryodata.errors import UsageError
from cryodata.prepare.rules import LabelRule


@pytest.mark.parametrize(
    ("text", "kind", "size", "reach"),
    [
        pytest.param("stored", "stored", 0.0, 0.0, id="stored"),
        pytest.param("floor", "floor", 0.0, 0.0, id="floor"),
        pytest.param("nearest", "nearest", 0.0, 0.0, id="nearest"),
        pytest.param("offset", "offset", 0.0, 0.0, id="offset"),
        pytest.param("sphere:2", "sphere", 2.0, 2.0, id="sphere"),
        pytest.param("sphere:20", "sphere", 20.0, 20.0, id="the largest sphere"),
        pytest.param("gaussian:1.5", "gaussian", 1.5, 6.0, id="gaussian"),
    ],
)
def test_a_rule_is_read_and_written(text: str, kind: str, size: float, reach: float) -> None:
    rule = LabelRule.parse(text)

    assert (kind, size, reach, text) == (rule.kind, rule.size, rule.reach, str(rule))


def test_one_rule_has_one_text() -> None:
    assert str(LabelRule.parse("sphere:2.00")) == "sphere:2"
    assert LabelRule.parse(str(LabelRule.parse("gaussian:0.1"))).size == 0.1


KNOWN = "found: stored, floor, nearest, sphere:R, gaussian:S, offset"
BOUNDS = "expected a number of A above 0, at most 20"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("ceiling", f"no label rule 'ceiling'; {KNOWN}", id="unknown"),
        pytest.param("", f"no label rule ''; {KNOWN}", id="empty"),
        pytest.param(None, f"no label rule 'None'; {KNOWN}", id="no text"),
        pytest.param("sphere", f"no label rule 'sphere'; {KNOWN}", id="no radius"),
        pytest.param("floor:1", f"no label rule 'floor:1'; {KNOWN}", id="a radius too many"),
        pytest.param("sphere:", f"labels='sphere:': found ''; {BOUNDS}", id="nothing"),
        pytest.param("sphere:two", f"labels='sphere:two': found 'two'; {BOUNDS}", id="a word"),
        pytest.param("sphere:0", f"labels='sphere:0': found '0'; {BOUNDS}", id="zero"),
        pytest.param("sphere:-1", f"labels='sphere:-1': found '-1'; {BOUNDS}", id="negative"),
        pytest.param("sphere:nan", f"labels='sphere:nan': found 'nan'; {BOUNDS}", id="nan"),
        pytest.param("sphere:inf", f"labels='sphere:inf': found 'inf'; {BOUNDS}", id="infinite"),
        pytest.param("sphere:20.1", f"labels='sphere:20.1': found '20.1'; {BOUNDS}", id="too large"),
        pytest.param(
            "gaussian:6",
            "labels='gaussian:6': found '6'; expected a number of A above 0, at most 5",
            id="a gaussian too large",
        ),
    ],
)
def test_what_is_no_rule_is_refused(text: object, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        LabelRule.parse(text)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("text", "voxel_size", "expected"),
    [
        pytest.param("floor", 1.0, 1, id="a voxel, for rotations"),
        pytest.param("sphere:2", 1.0, 2, id="sphere"),
        pytest.param("sphere:2", 0.8, 3, id="small voxels"),
        pytest.param("gaussian:1.1", 1.0, 5, id="gaussian"),
    ],
)
def test_the_margin_is_the_reach_in_voxels(text: str, voxel_size: float, expected: int) -> None:
    assert LabelRule.parse(text).margin(voxel_size, 32) == expected


@pytest.mark.parametrize("text", ["floor", "nearest", "sphere:3"])
def test_turned_boxes_need_no_atom_beyond_the_margin(text: str) -> None:
    rule, box = LabelRule.parse(text), 8
    margin = rule.margin(1.0, box, turned=True)
    # where the outermost voxels are, or the outermost atoms of voxels, turned back; an atom is seen `reach` beyond
    corners = np.array(list(itertools.product((0, box - 1) if rule.reach else (-0.5, box), repeat=3)))
    for matrix in uniform_rotations(np.arange(500), 0, 0, 0):
        back = turn_points(corners, matrix.T, box)

        assert math.floor(back.min() - rule.reach) >= -margin
        assert math.floor(back.max() + rule.reach) < box + margin
