"""Feather as nobody may trust it: Arrow maps its bytes as they are, and computes with places that they name."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.ipc as pa_ipc

_STREAM = b"\xff\xff\xff\xff"
"""The first bytes of a stream."""


class FeatherFile:
    """A file of Feather (version 2), or a stream of Arrow's in a file, that is open.

    Arrow's own scanner of datasets crashes on damaged files, now in opening and now in reading them; its reader of record
    batches, which is made for bytes of others, and a look at every value do not.

    Args:
        handle: the open file.

    Raises:
        pa.ArrowInvalid: it is no such file. Reading it raises it too.
    """

    def __init__(self, handle: pa.NativeFile) -> None:
        self._handle = handle
        self._is_stream = handle.read(len(_STREAM)) == _STREAM
        opened = self._stream() if self._is_stream else pa_ipc.open_file(handle)
        self.physical_schema = opened.schema

    def batches(self, columns: list[str], most_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield rows of some columns, that many at most at once."""
        wanted = [place for place, name in enumerate(self.physical_schema.names) if name in columns]
        for batch in self._stream(wanted) if self._is_stream else self._file(wanted):
            rows = _checked(batch)
            for start in range(0, rows.num_rows, most_rows):
                yield rows.slice(start, most_rows)

    def _file(self, wanted: list[int]) -> Iterator[pa.RecordBatch]:
        reader = pa_ipc.open_file(self._handle, options=pa_ipc.IpcReadOptions(included_fields=wanted))
        yield from map(reader.get_batch, range(reader.num_record_batches))

    def _stream(self, wanted: list[int] | None = None) -> pa_ipc.RecordBatchStreamReader:
        self._handle.seek(0)
        return pa_ipc.open_stream(self._handle, options=pa_ipc.IpcReadOptions(included_fields=wanted))


def _checked(rows: pa.RecordBatch) -> pa.RecordBatch:
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
