"""Blocks of a Prometheus, written directly: a past of millions of samples in as many bytes as Prometheus needs for it.

As text, each sample of a past is a line with all its labels. A value that holds for a window is two bits a sample in a
block. The formats are those of Prometheus's documentation (tsdb/docs/format): chunks of XOR encoding (Pelkonen et al. 2015),
and an index of version 2. Only what is written here is ever encoded: values that stay the same at equal steps of time.
"""

import json
import secrets
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

BLOCK_MS = 162 * 3_600_000
"""The length of a block, one of those that Prometheus merges its own into."""
_CHUNKS, _INDEX = 0x85BD40DD, 0xBAAAD700
_XOR = 1
_MOST_SAMPLES = 1_000
"""Samples of a chunk. A query decodes whole chunks."""
_SERIES_ALIGNMENT = 16
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

Labels = tuple[tuple[str, str], ...]
"""Names and values of a series, sorted by name; its own name is `__name__`."""


class Run(NamedTuple):
    """A value that holds for some samples, at equal steps of time."""

    start_ms: int
    step_ms: int
    samples: int
    value: float

    def within(self, start_ms: int, end_ms: int) -> "Run | None":
        """Return the part from `start_ms` to before `end_ms`; None where it has no sample."""
        first = max(0, -(-(start_ms - self.start_ms) // self.step_ms))
        last = min(self.samples, -(-(end_ms - self.start_ms) // self.step_ms))
        if first >= last:
            return None
        return Run(self.start_ms + first * self.step_ms, self.step_ms, last - first, self.value)


def write_blocks(folder: Path, series: Iterable[tuple[Labels, Sequence[Run]]]) -> int:
    """Write the blocks of some series into a folder; return the number of samples.

    Args:
        folder: the data directory of a Prometheus, or one to be moved there.
        series: in the order of their labels, each with its runs in order of time.
    """
    blocks: dict[int, _Block] = {}
    samples = 0
    try:
        for labels, runs in series:
            for number, parts in _by_block(runs).items():
                if number not in blocks:
                    blocks[number] = _Block(folder, number * BLOCK_MS)
                blocks[number].add(labels, parts)
                samples += sum(part.samples for part in parts)
        for block in blocks.values():
            block.write_index()
        for block in blocks.values():
            block.show()
    finally:
        for block in blocks.values():
            block.drop()
    return samples


def _by_block(runs: Iterable[Run]) -> dict[int, list[Run]]:
    found: dict[int, list[Run]] = {}
    for run in runs:
        last = run.start_ms + (run.samples - 1) * run.step_ms
        for number in range(run.start_ms // BLOCK_MS, last // BLOCK_MS + 1):
            if part := run.within(number * BLOCK_MS, (number + 1) * BLOCK_MS):
                found.setdefault(number, []).append(part)
    return found


class _Block:
    """A block that is being written. Chunks go to disk at once, the index once all series are there."""

    def __init__(self, folder: Path, start_ms: int) -> None:
        self._name = _ulid(start_ms)
        self._folder = folder / f"{self._name}.tmp-for-creation"
        self._final = folder / self._name
        (self._folder / "chunks").mkdir(parents=True)
        self._chunks = (self._folder / "chunks" / "000001").open("wb")
        self._chunks.write(struct.pack(">IB3x", _CHUNKS, 1))
        self._start_ms = start_ms
        self._series: list[tuple[Labels, list[_Chunk]]] = []
        self._samples = 0

    def add(self, labels: Labels, runs: Sequence[Run]) -> None:
        """Add a series, which comes after those before it in the order of labels."""
        chunks = [self._write(piece) for run in runs for piece in _pieces(run)]
        self._samples += sum(run.samples for run in runs)
        self._series.append((labels, chunks))

    def _write(self, run: Run) -> "_Chunk":
        offset, data = self._chunks.tell(), bytes([_XOR]) + _encoded(run)
        self._chunks.write(_uvarint(len(data) - 1) + data + struct.pack(">I", _crc(data)))
        return _Chunk(run.start_ms, run.start_ms + (run.samples - 1) * run.step_ms, offset)

    def write_index(self) -> None:
        """Write the index and what else a block needs."""
        self._chunks.close()
        with (self._folder / "index").open("wb") as file:
            _write_index(file, self._series)
        last = max(chunk.last_ms for _, chunks in self._series for chunk in chunks)
        first = min(chunk.first_ms for _, chunks in self._series for chunk in chunks)
        meta = {
            "ulid": self._name,
            "minTime": first,
            "maxTime": last + 1,
            "stats": {
                "numSamples": self._samples,
                "numSeries": len(self._series),
                "numChunks": sum(len(chunks) for _, chunks in self._series),
            },
            "compaction": {"level": 1, "sources": [self._name]},
            "version": 1,
        }
        (self._folder / "meta.json").write_text(json.dumps(meta, indent="\t"), "utf-8")

    def show(self) -> None:
        """Let Prometheus see the block."""
        self._folder.rename(self._final)

    def drop(self) -> None:
        """Remove the block, unless Prometheus may see it."""
        self._chunks.close()
        shutil.rmtree(self._folder, ignore_errors=True)


# ---------------------------------------------------------------- chunks


class _Chunk(NamedTuple):
    """A chunk on disk, by the times of its first and last sample and its place."""

    first_ms: int
    last_ms: int
    offset: int


def _pieces(run: Run) -> Iterator[Run]:
    """Yield a run in parts that fit a chunk."""
    for start in range(0, run.samples, _MOST_SAMPLES):
        count = min(_MOST_SAMPLES, run.samples - start)
        yield Run(run.start_ms + start * run.step_ms, run.step_ms, count, run.value)


def _encoded(run: Run) -> bytes:
    """Return a run as XOR encoding: after the second sample, neither step nor value changes, which is a zero bit each."""
    data = struct.pack(">H", run.samples) + _varint(run.start_ms) + struct.pack(">d", run.value)
    if run.samples == 1:
        return data
    zeros = 1 + 2 * (run.samples - 2)
    return data + _uvarint(run.step_ms) + bytes(-(-zeros // 8))


# ---------------------------------------------------------------- the index


def _write_index(file: BinaryIO, series: Sequence[tuple[Labels, Sequence[_Chunk]]]) -> None:
    """Write an index: symbols, series, postings, and where each of them is."""
    file.write(struct.pack(">IB", _INDEX, 2))
    texts = sorted({text for labels, _ in series for pair in labels for text in pair}, key=str.encode)
    symbols = {text: number for number, text in enumerate(texts)}
    symbols_at = file.tell()
    file.write(_section(struct.pack(">I", len(texts)) + b"".join(map(_string, texts))))
    series_at, postings = _write_series(file, series, symbols)
    indices_at = file.tell()  # what label values there are is no longer read from here, and written by nobody
    file.write(_section(struct.pack(">I", 0)))
    postings_at, offsets = file.tell(), list[bytes]()
    for (name, value), ids in sorted(postings.items(), key=lambda item: (item[0][0].encode(), item[0][1].encode())):
        file.write(bytes(-file.tell() % 4))
        offsets.append(_uvarint(2) + _string(name) + _string(value) + _uvarint(file.tell()))
        file.write(_section(struct.pack(f">I{len(ids)}I", len(ids), *ids)))
    table_at = file.tell()
    file.write(_section(struct.pack(">I", len(offsets)) + b"".join(offsets)))
    places = struct.pack(">6Q", symbols_at, series_at, indices_at, indices_at, postings_at, table_at)
    file.write(places + struct.pack(">I", _crc(places)))


def _write_series(
    file: BinaryIO, series: Sequence[tuple[Labels, Sequence[_Chunk]]], symbols: Mapping[str, int]
) -> tuple[int, dict[tuple[str, str], list[int]]]:
    """Write the series; return where they start, and the numbers of the series that have each label."""
    postings: dict[tuple[str, str], list[int]] = {("", ""): []}
    start = file.tell()
    for labels, chunks in series:
        file.write(bytes(-file.tell() % _SERIES_ALIGNMENT))
        number = file.tell() // _SERIES_ALIGNMENT
        for pair in (("", ""), *labels):
            postings.setdefault(pair, []).append(number)
        names = b"".join(_uvarint(symbols[name]) + _uvarint(symbols[value]) for name, value in labels)
        entry = _uvarint(len(labels)) + names + _uvarint(len(chunks)) + b"".join(_references(chunks))
        file.write(_uvarint(len(entry)) + entry + struct.pack(">I", _crc(entry)))
    return start, postings


def _references(chunks: Sequence[_Chunk]) -> Iterator[bytes]:
    """Yield the chunks of a series, each relative to the one before it."""
    before: _Chunk | None = None
    for chunk in chunks:
        if before is None:
            yield _varint(chunk.first_ms) + _uvarint(chunk.last_ms - chunk.first_ms) + _uvarint(chunk.offset)
        else:
            yield _uvarint(chunk.first_ms - before.last_ms) + _uvarint(chunk.last_ms - chunk.first_ms)
            yield _varint(chunk.offset - before.offset)
        before = chunk


def _section(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content + struct.pack(">I", _crc(content))


# ---------------------------------------------------------------- numbers


def _string(text: str) -> bytes:
    data = text.encode()
    return _uvarint(len(data)) + data


def _uvarint(number: int) -> bytes:
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _varint(number: int) -> bytes:
    return _uvarint(number << 1 if number >= 0 else (-number << 1) - 1)


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        found.append(value)
    return tuple(found)


_CRC = _table()


def _crc(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli), which the standard library lacks."""
    value, table = 0xFFFFFFFF, _CRC
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _ulid(start_ms: int) -> str:
    """Return the name of a block: its start, and a random part, for others may start at the same time."""
    number = max(start_ms, 0) << 80 | secrets.randbits(80)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))
