"""Columns of text in which few different ones come again and again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of texts, each different one kept once: what is asked of all rows is found out of these. NumPy takes it
    for the array of texts that it stands for."""

    different: npt.NDArray[np.str_]
    "(k,)"

    numbers: npt.NDArray[np.integer[Any]]
    "which of them each row has, (n,)"

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, rows: slice | npt.NDArray[Any]) -> Texts:
        """Some of the rows."""
        return Texts(self.different, self.numbers[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.different[self.numbers], dtype=dtype)

    def isin(self, wanted: Collection[str]) -> npt.NDArray[np.bool_]:
        """Whether each row is one of some texts, bool (n,)."""
        found = [text in wanted for text in self.different.tolist()]
        return np.asarray(np.array(found, dtype=np.bool_)[self.numbers])

    def looked_up(self, values: Mapping[str, int]) -> npt.NDArray[np.uint8]:
        """The value of each row, 0 where its text has none; uint8 (n,)."""
        found = [values.get(text, 0) for text in self.different.tolist()]
        return np.asarray(np.array(found, dtype=np.uint8)[self.numbers])
