"""Samples of many moments as OpenMetrics text, which `promtool tsdb create-blocks-from openmetrics` makes blocks of.

The format wants all samples of a series together while windows are measured one after the other, so the samples wait
in a SQLite file on disk: memory does not grow with the history.
"""

import math
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import BinaryIO, Self

from mlvitals.exporters.parts import Sample
from mlvitals.exporters.publish.blocks import Labels, Run, write_blocks
from mlvitals.generator.contract import Contract, Family, MetricType, Producer

LOOKBACK = timedelta(minutes=5)
"""A query of Prometheus finds a sample for this long, unless the server is configured otherwise."""

_FLUSH_CHARACTERS = 1 << 20


class History:
    """Collects the samples of successive moments, then writes them.

    A value holds from its moment to the next, so it is written again every `every`. A series that the next moment
    lacks ends `LOOKBACK` before it: text cannot say that a series ends, and a bin that is no longer among the top
    ones must not be found next to the one that took its place.

    Args:
        contract: the families; those of the exporter are written.
        labels: added to every sample, as a scrape would.
        folder: where the samples wait.
        every: time between two samples of a series; below `LOOKBACK`, else there are gaps.
    """

    def __init__(self, contract: Contract, labels: Mapping[str, str], folder: Path, every: timedelta) -> None:
        self._families = {family.name: family for family in contract.of(Producer.EXPORTER)}
        self._contract = contract
        self._labels = labels
        self._every = every
        self._moments: list[datetime] = []
        self._folder = TemporaryDirectory(dir=folder, prefix=".mlvitals-history-")
        self._database = sqlite3.connect(Path(self._folder.name, "samples.db"), isolation_level=None)
        self._database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE sample (family TEXT, labels TEXT, moment INTEGER, value REAL,"
            " PRIMARY KEY (family, labels, moment)) WITHOUT ROWID;"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def add(self, moment: datetime, samples: Mapping[str, Iterable[Sample]]) -> None:
        """Add what holds from a moment on, by the family's short name; moments come in order of time."""
        index = len(self._moments)
        self._moments.append(moment)
        self._database.execute("BEGIN")
        self._database.executemany(
            "INSERT INTO sample VALUES (?, ?, ?, ?)",
            (
                (name, self._label_text(self._families[name], labels), index, value)
                for name, found in ((self._contract.name(short), found) for short, found in samples.items())
                for labels, value in found
                if value is not None and math.isfinite(value)
            ),
        )
        self._database.execute("COMMIT")

    def write(self, file: BinaryIO, until: datetime) -> int:
        """Write everything, the last moment's values up to `until`; return the number of samples written."""
        times = [self._times(index, until) for index in range(len(self._moments))]
        count, waiting, size = 0, [], 0
        for line, samples in self._lines(times):
            waiting.append(line)
            size += len(line)
            count += samples
            if size > _FLUSH_CHARACTERS:
                file.write("".join(waiting).encode())
                waiting, size = [], 0
        file.write(("".join(waiting) + "# EOF\n").encode())
        return count

    def write_blocks(self, folder: Path, until: datetime) -> int:
        """Write the same samples as blocks of a Prometheus into a folder; return their number."""
        times = [self._times(index, until) for index in range(len(self._moments))]
        keys = self._database.execute("SELECT DISTINCT family, labels FROM sample").fetchall()
        ordered = sorted((_sorted_labels(name, text), name, text) for name, text in keys)
        return write_blocks(folder, ((labels, self._runs(name, text, times)) for labels, name, text in ordered))

    def _runs(self, name: str, labels: str, times: "list[_Times]") -> list[Run]:
        """Return the values of a series, each for as long as it holds."""
        step = round(self._every.total_seconds() * 1000)
        points = self._database.execute(
            "SELECT labels, moment, value FROM sample WHERE family = ? AND labels = ? ORDER BY moment", (name, labels)
        )
        return [
            Run(round(self._moments[index].timestamp() * 1000), step, count, value)
            for index, value, goes_on in _with_successor(points, len(times))
            if (count := times[index].count(goes_on=goes_on))
        ]

    def _lines(self, times: "list[_Times]") -> Iterator[tuple[str, int]]:
        """Yield pieces of the text, each with the number of samples in it."""
        for name, family in self._families.items():
            rows = self._database.execute(
                "SELECT labels, moment, value FROM sample WHERE family = ? ORDER BY labels, moment", (name,)
            )
            for number, (labels, points) in enumerate(groupby(rows, key=itemgetter(0))):
                if number == 0:
                    yield _head(family), 0
                for index, value, goes_on in _with_successor(points, len(times)):
                    written = repr(value).removesuffix(".0")
                    moments = times[index].texts[: times[index].count(goes_on=goes_on)]
                    yield "".join(f"{name}{labels} {written} {time}\n" for time in moments), len(moments)

    def _times(self, index: int, until: datetime) -> "_Times":
        """Return when the samples of a moment are written."""
        begin = self._moments[index]
        end = self._moments[index + 1] if index + 1 < len(self._moments) else max(until, begin + self._every)
        of_last = 1 + max((end - LOOKBACK - begin) // self._every, 0)
        count = math.ceil((end - begin) / self._every)
        return _Times(begin, self._every, count, min(of_last, count))

    def _label_text(self, family: Family, values: tuple[str, ...]) -> str:
        labels = {**dict(zip(family.labels, values, strict=True)), **self._labels}
        return label_text(labels.items())


@dataclass(frozen=True)
class _Times:
    """The times at which values are written, from the first one on."""

    begin: datetime
    every: timedelta
    of_all: int
    """The number of times of a series that goes on."""
    of_last: int
    """And of one that ends with this moment."""

    def count(self, *, goes_on: bool) -> int:
        """Return how many times a value is written."""
        return self.of_all if goes_on else self.of_last

    @cached_property
    def texts(self) -> list[str]:
        """Return the times as OpenMetrics has them."""
        return [_unix(self.begin + place * self.every) for place in range(self.of_all)]


_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = {r"\\": "\\", r"\n": "\n", r"\"": '"'}


def _sorted_labels(name: str, text: str) -> Labels:
    """Return the labels of a series whose text `_label_text` made, as a block orders them; empty ones are none."""
    pairs = [(key, re.sub(r"\\.", lambda found: _ESCAPED[found[0]], value)) for key, value in _LABEL.findall(text)]
    return tuple(sorted((("__name__", name), *((key, value) for key, value in pairs if value))))


def _unix(time: datetime) -> str:
    return f"{time.timestamp():.3f}".rstrip("0").rstrip(".")


def _with_successor(points: Iterable[tuple[str, int, float]], count: int) -> Iterator[tuple[int, float, bool]]:
    """Yield a series' moments and values, and whether it is there at the next moment too; nothing follows the last."""
    known = [(index, value) for _, index, value in points]
    following = [index for index, _ in known[1:]] + [count]
    for (index, value), successor in zip(known, following, strict=True):
        yield index, value, successor == index + 1


def _head(family: Family) -> str:
    """Return the lines above a family; the format names a counter without the suffix that its samples bear."""
    name = family.name.removesuffix("_total") if family.type is MetricType.COUNTER else family.name
    return f"# HELP {name} {_escaped(family.help)}\n# TYPE {name} {family.type.value}\n"


def label_text(labels: Iterable[tuple[str, str]]) -> str:
    """Return labels as both text formats have them; nothing where there are none."""
    written = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{written}}}" if written else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
