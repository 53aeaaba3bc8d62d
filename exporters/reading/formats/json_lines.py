"""JSON lines: objects one after the other, whose keys may come in any order, late or never.

Arrow reads a file in which a key holds one type and every line an object. Any other is read again object by object, and a
line that holds none costs itself.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.json as pa_json

from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.formats.delimited import described
from mlvitals.exporters.reading.formats.streams import (
    FormatError,
    TextStream,
    grown,
    lines_of,
    readable_by_arrow,
)

_LOOK = 1 << 20
"""Bytes of a file in which its keys and their types are looked for at first."""
_NULL = re.compile(rb"\n[ \t\r]*null")
"""A line that is null, after the end of the one before."""
_MARK = "\ufeff"
"""A byte order mark, which stands within a file that several were joined to."""
_MOST_BROKEN = 1_000
"""Lines that are no objects, after which a file may be given up before its end."""
_ROWS = 16_384
"""Objects in a batch that is read one by one."""
Types = Callable[[str, pa.DataType], pa.DataType]
"""The type with which to read a key, by its name and the type that Arrow found first: null where none is known."""


class JsonLinesFile:
    """A file of JSON lines, opened anew by each scan.

    Raises:
        FormatError: it cannot be read.
    """

    def __init__(self, file: StoredFile) -> None:
        self._file = file
        self._is_uniform = True
        """False once Arrow has refused it."""
        self._found = self._first_types()
        self.problems: tuple[str, ...] = ()
        """Problems that the last scan found."""

    @property
    def names(self) -> list[str]:
        """Return the keys of the first block, and those that were looked for and found."""
        return list(self._found)

    @property
    def is_empty(self) -> bool:
        """True if the file holds no object."""
        return self._is_blank

    def look_for(self, names: Collection[str]) -> None:
        """Look for keys that no object of the first block has."""
        wanted = {name: _mentions(name) for name in names if name not in self._found}
        if not wanted or not self._is_long:
            return
        with lines_of(TextStream(self._file)) as lines:
            for line in lines:
                for name in [name for name, forms in wanted.items() if any(_is_key(form, line) for form in forms)]:
                    self._found[name] = pa.null()
                    del wanted[name]
                if not wanted:
                    return

    def all_names(self) -> list[str]:
        """Return the keys of all objects, in the order in which they are met."""
        if not self._is_long:
            return self.names
        return list(dict.fromkeys(name for _, item in self._objects() for name in item))

    def batches(self, wanted: Sequence[str], types: Types) -> Iterator[pa.RecordBatch]:
        """Yield keys as columns, null where an object lacks them or holds null."""
        given = 0
        if self._is_uniform and self._found:
            schema = pa.schema([(name, types(name, self._found[name])) for name in wanted])
            try:
                for batch in grown(lambda block: self._read(schema, block)):
                    given += batch.num_rows
                    yield batch.select(list(wanted))
            except (pa.ArrowInvalid, _NullLineError):
                self._is_uniform = False
            else:
                return
        yield from self._one_by_one(wanted, given)

    def line_of(self, row: int) -> int | None:
        """Return the line, counted from 1, of an object."""
        for place, (number, _) in enumerate(self._objects()):
            if place == row:
                return number
        return None

    def _first_types(self) -> dict[str, pa.DataType]:
        with TextStream(self._file) as stream:
            head = stream.read(_LOOK)
            while len(head) < _LOOK and (more := stream.read(_LOOK - len(head))):
                head += more
            self._is_long = len(head) == _LOOK
        self._is_blank = not head.strip()
        if self._is_blank:
            return {}
        if head.lstrip().startswith(b"["):
            raise FormatError(
                "holds a JSON array; write one object a line (pandas: to_json(orient='records', lines=True))"
            )
        if not head.lstrip().startswith(b"{") or _NULL.search(b"\n" + head):
            schema = None  # to be named, line by line
        elif not self._is_long:
            try:
                schema = pa_json.read_json(io.BytesIO(head)).schema
            except pa.ArrowInvalid:
                schema = None
        else:
            schema = self._inferred()
        if schema is not None:
            return {field.name: field.type for field in schema}
        self._is_uniform = False
        names = dict.fromkeys(name for _, item in _first(self._objects(), _ROWS) for name in item)
        return dict.fromkeys(names, pa.null())

    def _inferred(self) -> pa.Schema | None:
        try:
            with _Objects(self._file) as stream:
                options = pa_json.ReadOptions(block_size=_LOOK)
                return pa_json.open_json(readable_by_arrow(stream), read_options=options).schema
        except (pa.ArrowInvalid, FormatError):
            return None

    def _read(self, schema: pa.Schema, block: int) -> Iterator[pa.RecordBatch]:
        with _Objects(self._file) as stream:
            yield from pa_json.open_json(
                readable_by_arrow(stream),
                read_options=pa_json.ReadOptions(block_size=block),
                parse_options=pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
            )
            self.problems = tuple(described(stream))

    def _one_by_one(self, wanted: Sequence[str], given: int) -> Iterator[pa.RecordBatch]:
        rows: list[Mapping[str, Any]] = []
        nested: dict[str, _Nested] = {}
        broken = _Broken()
        for place, (line, item) in enumerate(self._objects(broken)):
            for name in wanted:
                if isinstance(item.get(name), list | dict):
                    item[name] = None
                    nested.setdefault(name, _Nested(line)).count += 1
            if place < given:
                continue
            rows.append(item)
            if len(rows) == _ROWS:
                yield _batch(rows, wanted)
                rows = []
        if rows:
            yield _batch(rows, wanted)
        self.problems = (
            *broken.problems(),
            *(
                f"column {name!r}: lists and objects, counted as missing: {found.count}, the first in line {found.line}"
                for name, found in nested.items()
            ),
        )

    def _objects(self, broken: _Broken | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield objects with the numbers of their lines, and note lines, or the rests of them, that are none.

        Raises:
            FormatError: there are at least as many of these as objects.
        """
        decoder = json.JSONDecoder()
        broken = broken or _Broken()
        with lines_of(TextStream(self._file)) as lines:
            for number, line in enumerate(lines, 1):
                text, place = line.strip().lstrip(_MARK), 0
                while place < len(text):
                    try:
                        item, place = decoder.raw_decode(text, place)
                    except (ValueError, RecursionError) as error:
                        broken.note(number, str(error).partition(":")[0])
                        break
                    if not isinstance(item, dict):
                        broken.note(number, "it is JSON, and no object")
                        break
                    broken.objects += 1
                    yield number, item
                    while place < len(text) and (text[place].isspace() or text[place] == ","):
                        place += 1
        broken.refuse_most()


class _NullLineError(FormatError):
    """A line is null."""


class _Objects(TextStream):
    """Bytes of JSON lines that Arrow may see: a block of nothing but null ends the process."""

    def __init__(self, file: StoredFile) -> None:
        super().__init__(file)
        self._line = b"\n"
        """The start of the last line, and the break before it, as long as it may become null."""

    def read(self, size: int = -1) -> bytes:
        """Return bytes as any stream does.

        Raises:
            _NullLineError: a line is null.
        """
        data = super().read(size)
        read = self._line + data
        if _NULL.search(read):
            raise _NullLineError("holds a line that is null and no JSON object")
        _, line_break, rest = read.rpartition(b"\n")
        start = rest.lstrip(b" \t\r")
        self._line = line_break + start if line_break and b"null".startswith(start) else b""
        return data


@dataclass(slots=True)
class _Broken:
    """Lines that are no JSON objects."""

    objects: int = 0
    """Objects of the other lines."""
    count: int = 0
    first: str = ""
    """The line of the first one, and what is wrong with it."""

    def note(self, line: int, reason: str) -> None:
        """Add a line.

        Raises:
            FormatError: there are many, and no more objects.
        """
        self.count += 1
        self.first = self.first or f"line {line}: {reason[:1].lower()}{reason[1:]}"
        if self.count > _MOST_BROKEN:
            self.refuse_most()

    def refuse_most(self) -> None:
        """Give a file up of which half or more is no JSON.

        Raises:
            FormatError: it is such a file.
        """
        if self.count and self.count >= self.objects:
            raise FormatError(f"cannot be read as JSON lines, an object in each line: {self.first}")

    def problems(self) -> Iterator[str]:
        """Yield what is said of the lines."""
        if self.count:
            yield f"lines that are no JSON objects, left out: {self.count}, the first of them {self.first}"


@dataclass(slots=True)
class _Nested:
    """Values of a key that are lists or objects."""

    line: int
    """The line of the first one."""
    count: int = 0


def _first(items: Iterable[Any], count: int) -> Iterator[Any]:
    return (item for item, _ in zip(items, range(count), strict=False))


def _mentions(name: str) -> frozenset[str]:
    """Return the forms in which a key stands in JSON."""
    return frozenset(json.dumps(name, ensure_ascii=ascii_only) for ascii_only in (True, False))


def _is_key(form: str, line: str) -> bool:
    """True if a name stands in a line as a key, and not only as a value."""
    return form in line and re.search(rf"(?<!\\){re.escape(form)}\s*:", line) is not None


def _batch(rows: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> pa.RecordBatch:
    return pa.record_batch([_array([row.get(name) for row in rows]) for name in wanted], names=list(wanted))


def _array(values: Sequence[Any]) -> pa.Array[Any]:
    """Return values as the one type that they have, as texts where they have several."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or len(kinds) == 1:
        try:
            uniform: pa.Array[Any] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
            pass
        else:
            return uniform
    texts: pa.Array[Any] = pa.array([_text(value) for value in values], pa.string())
    return texts


def _text(value: Any) -> str | None:
    """Return a value as JSON writes it, a text as it is but for halves of characters, which no encoding has."""
    if value is None:
        return None
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else json.dumps(value)
