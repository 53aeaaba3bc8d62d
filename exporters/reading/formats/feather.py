"""Feather as nobody may trust it: Arrow maps its bytes as they are, and computes with places that they name."""

from typing import Any

import pyarrow as pa


def checked(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows, after looking at every place in memory that their values name.

    Text may be any bytes, which nothing but its reader minds.

    Raises:
        pa.ArrowInvalid: a place lies outside of what the file holds. To compute with it would end the process.
    """
    for column in rows.columns:
        _as_bytes(column).validate(full=True)
    return rows


def _as_bytes(column: Any) -> Any:
    kind, types = column.type, pa.types
    column.validate()  # the sizes of its buffers, on which a view relies
    if types.is_string(kind):
        return column.view(pa.binary())
    if types.is_large_string(kind):
        return column.view(pa.large_binary())
    if types.is_string_view(kind):
        return column.view(pa.binary_view())
    if types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, _as_bytes(column.dictionary), safe=False)
    return column
