"""CSV: text with a header line, of which nothing is converted but what it is cut into."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal, TextIO

import pyarrow as pa
import pyarrow.csv as pa_csv

from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.formats.quotes import (
    DoubtfulQuotesError,
    QuotedStream,
    UnescapedStream,
    are_escaped,
)
from mlvitals.exporters.reading.formats.streams import FormatError, TextStream, grown, lines_of, readable_by_arrow

DELIMITERS = (",", ";", "\t", "|", "\x01")
_LONGEST_HEADER = 1 << 24
"""Characters of a header line."""
_STRAY = (
    "a quoted value in line {} holds quotes that are neither doubled nor escaped by a backslash, so that values may be cut "
    "in the wrong place: write the file with doubled quotes"
)
_DECLARED = re.compile(r"sep=(.) *", re.IGNORECASE)
"""A first line that names the delimiter to Excel."""


class DelimitedFile:
    """A CSV file, opened anew by each scan.

    Its delimiter is the one that cuts the header line into the most names, of those that leave the time column in one
    piece.

    Raises:
        FormatError: it cannot be read.
    """

    def __init__(self, file: StoredFile, timestamp: str) -> None:
        self._file = file
        self._delimiter, self.names, self._above, self._has_rows = _header(file, timestamp)
        self._are_escaped: bool | None = None
        """True if quotes are escaped by backslashes, False if they are doubled, None as long as nothing speaks for either."""
        self._stray: int | None = None
        """The line of the first quote that fits neither."""
        self.malformed = 0
        """Lines that the last scan left out, for too few or too many values."""
        self.problems: tuple[str, ...] = ()
        """Other problems that the last scan found."""

    def batches(self, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield columns as text, empty where there is nothing."""
        if not self.names:
            return
        yield from grown(lambda block: self._read(wanted, block))

    def line_of(self, row: int) -> int | None:
        """Return the line, counted from 1, in which a row starts."""
        with lines_of(self._stream()) as lines, suppress(csv.Error):
            for _ in range(self._above):
                next(lines)
            reader, before, rows = csv.reader(lines, delimiter=self._delimiter), 0, -1
            for values in reader:
                rows += len(values) == len(self.names)
                if rows > row:
                    return self._above + before + 1
                before = reader.line_num
        return None

    @property
    def is_empty(self) -> bool:
        """True if the file holds nothing, not even names."""
        return not self.names

    def _stream(self, *, is_watched: bool = False) -> QuotedStream | UnescapedStream:
        if self._are_escaped:
            return UnescapedStream(self._file, self._delimiter)
        return QuotedStream(self._file, self._delimiter, is_watched=is_watched)

    def _read(self, wanted: Sequence[str], block: int) -> Iterator[pa.RecordBatch]:
        """Read the rows; once more where quotes turn out to be doubtful, after looking at all of them."""
        try:
            yield from self._rows(wanted, block)
        except DoubtfulQuotesError:
            with lines_of(TextStream(self._file)) as lines:
                self._are_escaped, self._stray = are_escaped(lines, self._delimiter)
            raise

    def _rows(self, wanted: Sequence[str], block: int) -> Iterator[pa.RecordBatch]:
        self.malformed = 0
        if not self._has_rows:
            return
        with self._stream(is_watched=self._are_escaped is None) as stream:
            reader = pa_csv.open_csv(
                readable_by_arrow(stream),
                read_options=pa_csv.ReadOptions(block_size=block, skip_rows=self._above),
                parse_options=pa_csv.ParseOptions(
                    delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._leave_out
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(self.names, pa.string()), include_columns=list(wanted), check_utf8=False
                ),
            )
            yield from reader
            self.problems = (
                *described(stream),
                *(self._unclosed() if stream.quotes % 2 else ()),
                *(() if self._stray is None else (_STRAY.format(self._stray),)),
            )

    def _unclosed(self) -> Iterator[str]:
        """Say where a quote starts that nothing closes: all that follows is one value, whatever it was meant to be."""
        opened = 0
        with lines_of(self._stream()) as lines:
            for number, line in enumerate(lines, 1):
                left = _left_open(line, self._delimiter, inside=bool(opened))
                opened = 0 if left is None else opened if left < 0 else number
        if opened:
            yield f"a quote in line {opened} is not closed: all lines after it are read as one value"

    def _leave_out(self, _: pa_csv.InvalidRow) -> Literal["skip"]:
        self.malformed += 1
        return "skip"


_REST_OF_QUOTED = re.compile(r'(?:[^"]|"")*"(?!")')


def _left_open(line: str, delimiter: str, *, inside: bool) -> int | None:
    """Return the place of the quote that a line leaves open, -1 of one that an earlier line did; None where all are closed.

    As Arrow reads it, a quote opens only at the start of a value.
    """
    place, start = 0, -1 if inside else None
    while True:
        if start is None:
            if not line.startswith('"', place):
                place = line.find(f'{delimiter}"', place) + 1
                if not place:
                    return None
            start, place = place, place + 1
        closed = _REST_OF_QUOTED.match(line, place)
        if closed is None:
            return start
        start, place = None, line.find(delimiter, closed.end()) + 1
        if not place:
            return None


def described(stream: TextStream) -> Iterator[str]:
    """Yield what is wrong with the encoding of a text that was read to its end."""
    if stream.replaced:
        yield (
            f"bytes that are not UTF-8, read as \ufffd: {stream.replaced}, the first in line {stream.first_replaced}; "
            "save the file as UTF-8"
        )


def _header(file: StoredFile, timestamp: str) -> tuple[str, list[str], int, bool]:
    """Return the delimiter of a file, the names in its header, the lines above it, and if there are any below.

    An empty file has no names.
    """
    with lines_of(TextStream(file)) as lines:
        above, text = _next_line(lines)
        declared = _DECLARED.fullmatch(text.strip("\r\n"))
        if declared is not None:
            if not declared[1].isascii():
                raise FormatError(f"declares the delimiter {declared[1]!r}, which is no ASCII character")
            above, (_, text) = above + 1, _next_line(lines)
        else:
            above = 0  # empty lines are skipped without being counted
        while text.count('"') % 2 and len(text) < _LONGEST_HEADER and (more := lines.readline()):
            text += more
        has_rows = bool(lines.read(1))
    readings = {mark: _first_row(text, mark) for mark in ([declared[1]] if declared else DELIMITERS)}
    delimiter = max(readings, key=lambda mark: (timestamp in readings[mark], len(readings[mark])))
    return delimiter, readings[delimiter], above, has_rows


def _next_line(lines: TextIO) -> tuple[int, str]:
    """Return how many empty lines come next, and the line after them; an empty text at the end."""
    for empty, line in enumerate(iter(lines.readline, "")):
        if line.strip("\r\n"):
            return empty, line
    return 0, ""


def _first_row(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise FormatError(f"has no header that can be read as CSV: {error}") from error
