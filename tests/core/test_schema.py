"""What a schema says of labels survives the way through JSON; what it can't mean is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cryodata.core.schema import Schema
from cryodata.prepare.recipes import RECIPES


def told(recipe: str = "refined") -> dict[str, Any]:
    value = RECIPES[recipe].schema((), "all").to_json()
    return {**value, "arrays": [dict(item) for item in value["arrays"]]}


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_schema_comes_back_from_json(recipe: str) -> None:
    assert Schema.from_json(told(recipe)) == RECIPES[recipe].schema((), "all")


def test_the_first_schemas_said_nothing_of_kinds_parts_and_rules() -> None:
    value = told("published")
    del value["voxel_rule"], value["collisions"]
    for item in value["arrays"]:
        del item["kinds"], item["parts"]

    found = Schema.from_json(value)

    assert (found.voxel_rule, found.collisions) == ("floor", "first")
    assert {(array.kinds, array.parts) for array in found.arrays} == {((), ())}


@pytest.mark.parametrize(("key", "wrong"), [("voxel_rule", "up"), ("collisions", "all"), ("voxel_rule", ["floor"])])
def test_unknown_rules_are_refused(key: str, wrong: object) -> None:
    with pytest.raises(ValueError, match="labels by the rules .* which are unknown"):
        Schema.from_json({**told(), key: wrong})


@pytest.mark.parametrize(("key", "wrong"), [("column", "chain"), ("state", "part"), ("kinds", [1]), ("parts", [None])])
def test_labels_of_other_columns_are_refused(key: str, wrong: object) -> None:
    value = told()
    value["arrays"][3][key] = wrong

    with pytest.raises((ValueError, TypeError)):
        Schema.from_json(value)


def test_recipes_differ_in_who_is_labelled_where() -> None:
    rules = {name: (way.schema((), "default").voxel_rule, way.collisions) for name, way in RECIPES.items()}
    kinds = {name: way.schema((), "default").labels[0].kinds for name, way in RECIPES.items()}
    types = {name: way.schema((), "default").labels[1].column for name, way in RECIPES.items()}

    assert rules == {"published": ("floor", "first"), "released": ("floor", "last"), "refined": ("nearest", "first")}
    assert kinds == {"published": ("protein",), "released": (), "refined": ("protein",)}
    assert types == {"published": "residue", "released": "residue", "refined": "parent"}
