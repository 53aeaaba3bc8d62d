"""Quotes of CSV: which of them a writer doubled, as RFC 4180 has it, and which it escaped by a backslash, as Spark does.

A quote opens a value only at its start, and closes one only at its end. Read in the wrong one of both ways, sooner or
later a quote stands within a value: that decides, and nothing else does, for either way may hold the signs of the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.formats.streams import ReadAgainError, TextStream

_RUN = re.compile(rb'(?=[\\"])(\\*)("*)')
_OPEN_END = re.compile(rb'[\\"]+\Z')
_BREAKS = b"\r\n"
_QUOTE, _EDGE, _OTHER = b'",x'
"""Kinds of bytes, as bytes: a quote, an end of a value, and all others."""
_WITHIN = bytes((_OTHER, _QUOTE, _OTHER))
"""A quote within a value."""


class DoubtfulQuotesError(ReadAgainError):
    """A text holds a quote to which the way of writing them matters."""


class QuotedStream(TextStream):
    """The bytes of CSV, and the number of quotes in them: they come in pairs.

    Raises:
        DoubtfulQuotesError: `is_watched`, and a quote is neither at the start nor at the end of a value, or follows a
            backslash. Up to there both ways of writing quotes are the same.
    """

    def __init__(self, file: StoredFile, delimiter: str, *, is_watched: bool = False) -> None:
        super().__init__(file)
        boundaries = delimiter.encode() + _BREAKS
        self._kinds = bytes(
            _QUOTE if byte == _QUOTE else _EDGE if byte in boundaries else _OTHER for byte in range(256)
        )
        self._is_watched = is_watched
        self._before = b"\n"
        self.quotes = 0

    def read(self, size: int = -1) -> bytes:
        """Return bytes as any stream does."""
        data = super().read(size)
        quotes = data.count(b'"')
        self.quotes += quotes
        if self._is_watched and data:
            text = self._before + data
            if quotes or self._before.endswith(b'"'):
                self._look_at(text)
            self._before = text[-2:]
        return data

    def _look_at(self, text: bytes) -> None:
        is_escaped = b"\\" in text and b'\\"' in text
        if is_escaped or _WITHIN in text.translate(self._kinds):
            raise DoubtfulQuotesError


class UnescapedStream(TextStream):
    """The bytes of CSV whose quotes are escaped by backslashes, with these quotes doubled instead.

    Within quotes two backslashes are one. One before anything but a quote stays, and so do all in values without quotes.
    """

    def __init__(self, file: StoredFile, delimiter: str) -> None:
        super().__init__(file)
        self._quotes = _Quotes(delimiter, escaped=True)
        self._held = b""
        """The end of what was read, as long as what follows it decides what it is."""
        self._doubled = b""
        self.quotes = 0

    def read(self, size: int = -1) -> bytes:
        """Return bytes as any stream does."""
        if size < 0:
            return self.readall()
        while not self._doubled:
            data = super().read(size)
            text = self._held + data
            held = _OPEN_END.search(text) if data else None
            self._held = text[held.start() :] if held else b""
            self._doubled = self._quotes.doubled(text[: held.start()] if held else text)
            self.quotes += self._doubled.count(b'"')
            if not data:
                break
        found, self._doubled = self._doubled[:size], self._doubled[size:]
        return found


def are_escaped(lines: Iterable[str], delimiter: str) -> tuple[bool, int | None]:
    """Return if quotes are escaped by backslashes, and the line of the first quote that fits neither way.

    Each way has oddities where the other is right, and none where it is itself: the one that first has an oddity of its
    own is the wrong one.
    """
    doubled, escaped = _Quotes(delimiter, escaped=False), _Quotes(delimiter, escaped=True)
    stray: int | None = None
    for number, line in enumerate(lines, 1):
        if '"' in line:
            data = line.encode()
            of_doubled, of_escaped = doubled.oddities(data), escaped.oddities(data)
            if own := of_doubled ^ of_escaped:
                return min(own) in of_doubled, stray
            if stray is None and any(odd.closes for odd in of_doubled):
                stray = number
    return doubled.is_inside and not escaped.is_inside, stray


class _Oddity(NamedTuple):
    """A quote within a value."""

    place: int
    closes: bool
    """True where quotes are around that value, which it therefore ends too soon; else it is a character as any other."""


class _Run(NamedTuple):
    """Backslashes and quotes that stand together."""

    start: int
    end: int
    written: bytes
    """The same with quotes doubled."""
    oddity: _Oddity | None


class _Quotes:
    """The quotes of a text, followed from its start.

    Args:
        delimiter: what stands between values.
        escaped: a quote after an odd number of backslashes is a character of its value.
    """

    def __init__(self, delimiter: str, *, escaped: bool) -> None:
        self._boundaries = (*(bytes([byte]) for byte in _BREAKS), delimiter.encode())
        self._escaped = escaped
        self.is_inside = False
        """True where the text so far ends in a value that a quote opened."""
        self._before = b"\n"
        """The last byte so far."""

    def oddities(self, data: bytes) -> frozenset[_Oddity]:
        """Go on, and return the odd quotes."""
        return frozenset(run.oddity for run in self._runs(data) if run.oddity)

    def doubled(self, data: bytes) -> bytes:
        """Go on, and return the text with its escaped quotes doubled; it must not end amid backslashes and quotes."""
        parts: list[bytes] = []
        end = 0
        for run in self._runs(data):
            parts += data[end : run.start], run.written
            end = run.end
        return b"".join((*parts, data[end:]))

    def _runs(self, data: bytes) -> Iterator[_Run]:
        for run in _RUN.finditer(data):
            slashes, quotes = len(run[1]), len(run[2])
            written, oddity = run[0], None
            if self.is_inside and self._escaped and slashes:
                is_escaped = slashes % 2
                written = b"\\" * (slashes // 2) + (b'"' if quotes else b"\\") * is_escaped + run[2]
                quotes -= is_escaped if quotes else 0
            elif not self.is_inside and not self._opens(data, run.start()):
                oddity = _Oddity(run.start(2), closes=False) if quotes and not slashes % 2 else None
                quotes = 0
            if quotes:
                self.is_inside ^= quotes % 2 == 1
                if not self.is_inside and data[run.end() : run.end() + 1] not in (b"", *self._boundaries):
                    oddity = _Oddity(run.start(2), closes=True)
            yield _Run(run.start(), run.end(), written, oddity)
        self._before = data[-1:] or self._before

    def _opens(self, data: bytes, place: int) -> bool:
        """True if a quote at a place opens a value: it is its first character."""
        before = data[place - 1 : place] if place else self._before
        return data[place : place + 1] == b'"' and before in self._boundaries
