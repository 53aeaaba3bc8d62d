"""Files of text as streams of UTF-8, however they are compressed and encoded; what is no text is named."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from mlvitals.exporters.reading.files import StoredFile

SMALLEST_BLOCK = 1 << 22
"""Bytes parsed at once. A line, or a quoted value, must fit into a block."""
LARGEST_BLOCK = 1 << 26
HEAD = 1 << 16
"""Bytes by which a file is recognised."""
_NESTED = 3
"""Compressions inside one another that are unpacked."""
_Compression: TypeAlias = Literal["gzip", "zstd", "bz2", "lz4"]
_COMPRESSIONS: tuple[tuple[bytes, _Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_FOREIGN = (
    (b"PAR1", "a Parquet file"),
    (b"PARE", "an encrypted Parquet file, which is not read"),
    (b"ARROW1", "a Feather or Arrow file"),
    (b"FEA1", "a Feather file of version 1, which is not read: write it with version 2"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old format"),
    (b"SQLite format 3", "a SQLite database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"\xfd7zXZ", "a file compressed with xz, which is not read: use gzip or zstd"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"%PDF", "a PDF document"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
)
_WIDE_NULS = 0.7
"""The share of zero bytes in text of four bytes a character, of mostly Latin letters."""
_MOST_NULS = _MOST_CONTROLS = 0.05
"""A larger share of zero bytes is no text in UTF-8; one of other control characters is no text at all."""
_CONTROLS = bytes(set(range(1, 32)) - set(b"\x01\t\n\r\f\x1b"))
"""But not the one between Hive's values."""
_PADDING = bytes(8)
"""The last bytes of a gzip file that zeros follow, as on tapes, or of one whose last part is empty."""


class FormatError(ValueError):
    """A file is not of its format; the message says why, without its path."""


class ReadAgainError(Exception):
    """A file turns out to be written in another way, and is to be read again so; the rows up to there are the same."""


class TextStream(io.RawIOBase):
    """The bytes of a text file as UTF-8, without a byte order mark.

    Bytes that are no UTF-8 are read as U+FFFD, counted, and the first of them located.

    Raises:
        FormatError: it holds something else than text.
    """

    def __init__(self, file: StoredFile) -> None:
        super().__init__()
        self._raw, head = _unpacked(file)
        encoding = _encoding_of(head)
        self._is_utf8 = encoding.startswith("utf-8")
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._undecoded = False
        self._ready = b""
        self._is_over = False
        self._lines = 0
        self.replaced = 0
        self.first_replaced: int | None = None
        """The line of the first byte that is no UTF-8, counted from 1."""

    def readable(self) -> bool:
        """True: it is read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, at least in part; 0 at the end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Return at most that many bytes, more than none before the end; all that are left for -1."""
        if size < 0:
            return self.readall()
        while not self._ready and not self._is_over:
            self._ready = self._decoded(self._raw.read(max(size, 1)))
        data, self._ready = self._ready[:size], self._ready[size:]
        return data

    def close(self) -> None:
        """Close the file below."""
        if not self.closed:
            self._raw.close()
        super().close()

    def _decoded(self, data: bytes) -> bytes:
        self._is_over = not data
        if self._is_utf8 and not self._undecoded and data.isascii():
            self._lines += data.count(b"\n")
            return data
        text = self._decoder.decode(data, final=self._is_over)
        self._undecoded = not self._is_over and bool(self._decoder.getstate()[0])
        self._note_replaced(text, data)
        self._lines += text.count("\n")
        return text.encode("utf-8", "replace")

    def _note_replaced(self, text: str, data: bytes) -> None:
        replaced = text.count("\ufffd") - (data.count(b"\xef\xbf\xbd") if self._is_utf8 else 0)
        if replaced > 0:
            self.replaced += replaced
            if self.first_replaced is None:
                self.first_replaced = self._lines + 1 + text[: text.index("\ufffd")].count("\n")


def readable_by_arrow(stream: TextStream) -> Any:
    """Return a stream as Arrow's readers take it."""
    return pa.PythonFile(stream, "r")


def lines_of(stream: TextStream) -> io.TextIOWrapper:
    """Return a text to be read line by line, its line breaks as they are."""
    return io.TextIOWrapper(io.BufferedReader(stream, SMALLEST_BLOCK), encoding="utf-8", newline="")


def grown(read: Callable[[int], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Yield batches; where a line is longer than a block, start again with larger blocks and skip what was given.

    So, with the same blocks, where reading raises `ReadAgainError`.

    Args:
        read: reads the whole file, in blocks of a number of bytes.

    Raises:
        FormatError: a line is longer than the largest block.
    """
    size, given = SMALLEST_BLOCK, 0
    while True:
        skip = given
        try:
            for batch in read(size):
                if skip >= batch.num_rows:
                    skip -= batch.num_rows
                    continue
                rest, skip = batch.slice(skip), 0
                given += rest.num_rows
                yield rest
        except ReadAgainError:
            continue
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
            if size >= LARGEST_BLOCK:
                limit = f"{LARGEST_BLOCK >> 20} MB"
                raise FormatError(f"holds a line or a value longer than {limit}: is a quote not closed?") from error
            size *= 8
        else:
            return


def _unpacked(file: StoredFile) -> tuple[pa.NativeFile, bytes]:
    """Return a file at its start, unpacked, and its first bytes."""
    compressions: list[_Compression] = []
    while True:
        with _opened(file, compressions) as stream:
            try:
                head = stream.read(HEAD)
            except OSError as error:
                raise FormatError(
                    f"cannot be unpacked as {compressions[-1]}: {error}" if compressions else str(error)
                ) from error
        found = next((name for magic, name in _COMPRESSIONS if head.startswith(magic)), None)
        if found is None or len(compressions) >= _NESTED:
            return _opened(file, compressions), head
        compressions.append(found)


def _opened(file: StoredFile, compressions: list[_Compression]) -> pa.NativeFile:
    padded = compressions[:1] == ["gzip"] and _is_padded(file)
    stream: Any = file.filesystem.open_input_stream(file.path, compression=None)
    if padded:
        stream = gzip.GzipFile(fileobj=stream)  # reads over zeros, as gzip(1) does, and Arrow does not
    for compression in compressions[padded:]:
        stream = pa.CompressedInputStream(stream, compression)
    opened: pa.NativeFile = stream
    return opened


def _is_padded(file: StoredFile) -> bool:
    with file.filesystem.open_input_file(file.path) as handle:
        handle.seek(max(handle.size() - len(_PADDING), 0))
        return handle.read() == _PADDING


def foreign_kind(head: bytes) -> str:
    """Return what a file that starts so looks like, where it is no text; empty where that is not known."""
    if not head.count(0) and head.isascii():
        return ""
    known = (kind for magic, kind in _FOREIGN if head.startswith(magic))
    return next(known, "a tar archive" if head[257:262] == b"ustar" else "")


def kind_of(head: bytes) -> str:
    """Return what a file that starts so looks like, which is none of Parquet or Feather; empty where that is not known."""
    if kind := foreign_kind(head):
        return kind
    for magic, name in _COMPRESSIONS:
        if head.startswith(magic):
            return f"a file compressed with {name}: only text is unpacked"
    try:
        _encoding_of(head)
    except FormatError:
        return ""
    return "text: is its format (--format) csv or jsonl?" if b"\n" in head else ""


def _encoding_of(head: bytes) -> str:
    """Return the encoding of text that starts so.

    Raises:
        FormatError: it is no text.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return encoding
    nuls = head.count(0)
    if kind := foreign_kind(head):
        raise FormatError(f"is no text; it looks like {kind}")
    if nuls > _MOST_NULS * len(head):
        if nuls >= _WIDE_NULS * len(head):
            for start, encoding in ((0, "utf-32-le"), (3, "utf-32-be")):
                if not head[start::4].count(0):
                    return encoding
        for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if 2 * head[start::2].count(0) > 0.8 * len(head) and head[1 - start :: 2].count(0) < nuls / 10:
                return encoding
        raise FormatError("is no text; it looks like binary data")
    if len(head) - len(head.translate(None, _CONTROLS)) > _MOST_CONTROLS * len(head):
        raise FormatError("is no text; it looks like binary data")
    return "utf-8"
