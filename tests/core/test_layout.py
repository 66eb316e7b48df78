"""Names and paths: what may name a file, what may not."""

from __future__ import annotations

import pytest

from cryodata.core.entry import entry_id_fault
from cryodata.core.layout import canonical_json, safe_relative, tree_digest, version_key, volume_path
from cryodata.errors import DatasetError


@pytest.mark.parametrize("entry_id", ["EMD-3488", "a", "A.b_c-1", "x" * 80])
def test_ids_of_the_allowed_characters_pass(entry_id: str) -> None:
    assert entry_id_fault(entry_id) is None


@pytest.mark.parametrize("entry_id", ["", "../x", "a/b", ".hidden", "-x", "a..b", "x" * 81, "ä", "a b", "a\n"])
def test_ids_that_could_lead_elsewhere_do_not(entry_id: str) -> None:
    assert entry_id_fault(entry_id) is not None


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../b", "", "C:\\x", "a\\b", "s3://b/k", "a\0b"])
def test_a_path_that_leaves_the_dataset_is_refused(path: str) -> None:
    with pytest.raises(DatasetError, match="leads out of its folder"):
        safe_relative(path)


def test_a_volume_is_spread_by_its_content() -> None:
    assert volume_path("EMD-1", "abcdef012345") == "volumes/ab/EMD-1-abcdef012345.zarr"


def test_the_name_of_a_tree_ignores_the_order_of_its_files_and_nothing_else() -> None:
    one, two = ("a", 1, "00"), ("b", 2, "11")

    assert tree_digest([one, two]) == tree_digest([two, one])
    assert tree_digest([one, two]) != tree_digest([one, ("b", 2, "12")])
    assert tree_digest([one, two]) != tree_digest([one, ("c", 2, "11")])


@pytest.mark.parametrize("version", ["1.0", "01.0.0", "1.0.0-rc1", "latest", "1.0.0/..", "1.0.1000000"])
def test_a_version_is_three_plain_numbers(version: str) -> None:
    with pytest.raises(ValueError, match="is no version; expected three numbers such as 0.1.0"):
        version_key(version)


def test_versions_are_ordered_as_numbers() -> None:
    assert sorted(["0.10.0", "0.9.0", "0.2.11"], key=version_key) == ["0.2.11", "0.9.0", "0.10.0"]


def test_canonical_json_is_one_text_for_one_value() -> None:
    assert canonical_json({"b": 1, "a": [1.5, "ä"]}) == '{"a":[1.5,"ä"],"b":1}'.encode()
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(float("nan"))
