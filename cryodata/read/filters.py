"""Conditions on tables: pyarrow expressions, or lists of (column, operator, value); never text to evaluate."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cryodata.errors import UsageError


def as_expression(condition: Any) -> Any:
    """A pyarrow expression, or None for no condition. Raises UsageError for anything else."""
    if condition is None or isinstance(condition, pc.Expression):
        return condition
    try:
        if isinstance(condition, str):
            raise ValueError("text is never evaluated")
        return pq.filters_to_expression(condition)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise UsageError(
            f"filter={condition!r}: {error}; expected a pyarrow expression or a list such as [('n_ca_core', '>', 0)]"
        ) from None


def keep(table: pa.Table, expression: Any) -> pa.Table:
    """The rows that meet a condition. Raises UsageError, listing the columns, if it names others."""
    try:
        return table.filter(expression)
    except (pa.ArrowException, ValueError, TypeError) as error:
        first = str(error).splitlines()[0][:200]
        raise UsageError(f"filter: {first}; columns are {', '.join(table.schema.names)}") from None
