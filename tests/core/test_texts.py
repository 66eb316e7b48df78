"""A column of text, each different one kept once, answers as the array of texts that it stands for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cryodata.core.texts import Texts

COLUMN = Texts(np.array(["N", "CA", "HO5'"]), np.array([1, 1, 0, 2, 0], dtype=np.int32))
PLAIN = np.array(["CA", "CA", "N", "HO5'", "N"])


def test_numpy_takes_it_for_the_texts_themselves() -> None:
    assert np.array_equal(PLAIN, np.asarray(COLUMN))
    assert np.array_equal(PLAIN == "CA", np.asarray(COLUMN) == "CA")
    assert len(COLUMN) == len(PLAIN)


@pytest.mark.parametrize("wanted", [("CA",), ("N", "HO5'"), ("C",), ()], ids=repr)
def test_which_rows_are_one_of_some_texts(wanted: tuple[str, ...]) -> None:
    assert np.array_equal(np.isin(PLAIN, wanted), COLUMN.isin(wanted))


def test_a_value_is_looked_up_for_each_row_and_0_for_a_text_without_one() -> None:
    assert COLUMN.looked_up({"CA": 1, "N": 2}).tolist() == [1, 1, 2, 0, 2]


@pytest.mark.parametrize(
    "rows", [slice(1, 4), np.array([4, 0]), np.array([True, False, False, True, False])], ids=["slice", "rows", "mask"]
)
def test_some_of_its_rows_are_a_column_as_well(rows: slice | npt.NDArray[np.int64]) -> None:
    assert np.array_equal(PLAIN[rows], np.asarray(COLUMN[rows]))


def test_a_column_of_no_rows_has_no_values() -> None:
    none = COLUMN[:0]

    assert len(none) == len(none.isin(["CA"])) == len(none.looked_up({"CA": 1})) == 0
