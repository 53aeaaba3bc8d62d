"""A first look at training data of which nothing is known yet: what each column holds, for a first spec.

All rows are read once; what is kept of a column does not grow with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlvitals.exporters.paths import plain
from mlvitals.exporters.reading.columns import Chunk, is_comma_number, is_text, is_time, readable, unwrapped
from mlvitals.exporters.reading.files import StoredFile
from mlvitals.exporters.reading.ids import hash_ids
from mlvitals.exporters.reading.instants import InstantError, instants
from mlvitals.exporters.reading.scan import INDEX_NAMES, TEXT_FORMATS, BrokenFileError, format_of
from mlvitals.exporters.reading.sources import NO_TIME, LogFile
from mlvitals.exporters.reading.text import converted
from mlvitals.exporters.statistics.distinct import CAPACITY, NO_VALUES, DistinctValues
from mlvitals.exporters.statistics.placeholders import standing_out
from mlvitals.exporters.training.build import ReferenceDataError, placeholder
from mlvitals.exporters.training.data import files_at, ignore, with_content
from mlvitals.exporters.wording import printable
from mlvitals.generator.spec.first_roles import SeenColumn
from mlvitals.generator.spec.model import FeatureType, LogFormat

MOST_LEVELS = 1000
"""Text of more different values is no category."""
_FEW = 0.01
"""Share of values that are no numbers, or times, up to which the others are mentioned."""
MOST_DATES = 100_000
"""Different dates that are counted at once; of more, the most frequent half is kept."""
_EXACT = 2**53
_CODE = r"^0\d+$"
_DIGITS = pa.array(["0", "1"])
"""Text that is a number, and a boolean only where the column holds both and nothing else."""
_EXAMPLES = 100
"""Values of text that are kept of its first rows."""
_MOSTLY = 0.9
"""Share of distinct values from which on an estimate of their number means that all differ."""
_IDENTIFIERS = ("_id", "_code")
"""Integers in a column whose name ends so are names, not amounts."""
_READ_AS: dict[FeatureType, Callable[[pa.DataType], bool]] = {
    FeatureType.BOOLEAN: pa.types.is_boolean,
    FeatureType.INTEGER: pa.types.is_int64,
    FeatureType.FLOAT: pa.types.is_float64,
    FeatureType.TIMESTAMP: pa.types.is_timestamp,
}
"""The types that text can have besides text, the narrowest first, and the Arrow type it then has."""


def first_look(
    paths: Sequence[str],
    base_dir: Path,
    *,
    file_format: LogFormat | None = None,
    decimal: str = ".",
    remark: Callable[[str], None] = ignore,
    most_files: int | None = None,
    tolerant: bool = False,
) -> tuple[list[SeenColumn], LogFormat, int]:
    """Return the columns of training data in the order of the first file, its format, and how many rows there are.

    Args:
        paths: files or folders, also by URL.
        base_dir: where relative paths start.
        file_format: that of all files; by default a file's name says it, and Parquet where it does not.
        decimal: the decimal mark of numbers in CSV.
        remark: takes what is worth knowing of data that can be used.
        most_files: where there are more, as many are read, spread evenly from the first to the last.
        tolerant: leave out files that cannot be read, and remark on them, as a log is read.

    Raises:
        ReferenceDataError: there are no files, no rows, or a file cannot be read.

    """
    files = with_content([file for path in paths for file in files_at(path, base_dir)], remark)
    if most_files is not None and len(files) > most_files:
        files = [files[index * (len(files) - 1) // (most_files - 1)] for index in range(most_files)]
    formats = [file_format or format_of(file.path) or LogFormat.PARQUET for file in files]
    broken: list[str] = []
    if tolerant:
        files, formats = _of_one_format(files, formats, broken.append)
    columns: dict[str, _Column] = {}
    counts = [
        _look_into(file, form, decimal, columns, broken.append if tolerant else _refuse)
        for file, form in zip(files, formats, strict=True)
    ]
    rows = sum(counts)
    if not rows:
        raise ReferenceDataError(broken[0] if broken else "there are no rows of training data")
    for problem in broken:
        remark(problem)
    for name, column in columns.items():
        if column.nearly is not None:
            remark(
                f"column {name!r}: nearly all values are of type {column.nearly.value}, but some are none: it is taken for a "
                "category; with that type, these are counted as missing"
            )
    first = next(index for index, count in enumerate(counts) if count)
    return [column.seen(name, rows) for name, column in columns.items()], formats[first], rows


def _of_one_format(
    files: Sequence[StoredFile], formats: Sequence[LogFormat], report: Callable[[str], None]
) -> tuple[list[StoredFile], list[LogFormat]]:
    """Return the files of the format of which there is most: a log has one."""
    sizes = Counter[LogFormat]()
    for file, form in zip(files, formats, strict=True):
        sizes[form] += file.size or 1
    most = max(sizes, key=lambda form: sizes[form])
    for file, form in zip(files, formats, strict=True):
        if form is not most:
            report(f"{file.path}: left out: it is called {form.value}, and most of the log is {most.value}")
    kept = [file for file, form in zip(files, formats, strict=True) if form is most]
    return kept, [most] * len(kept)


def _refuse(problem: str) -> None:
    raise ReferenceDataError(problem)


def chunks_of(
    paths: Sequence[str], base_dir: Path, names: Sequence[str], file_format: LogFormat | None = None
) -> Iterator[dict[str, Chunk]]:
    """Yield some columns of training data in the order of their rows; text as it stands.

    Raises:
        BrokenFileError: a file cannot be read.
        ReferenceDataError: the files cannot be listed.
    """
    for path in paths:
        for file in with_content(list(files_at(path, base_dir)), ignore):
            part = LogFile(file, file_format or format_of(file.path) or LogFormat.PARQUET, NO_TIME)
            for chunk in part.chunks(dict.fromkeys(names, _as_written(part.format))):
                yield {name: unwrapped(values) for name, values in chunk.columns.items()}


def _as_written(form: LogFormat) -> FeatureType | None:
    """Return the kind as which values are read as they stand; in CSV, what is no category either is no value."""
    return FeatureType.CATEGORICAL if form is LogFormat.CSV else None


def _look_into(
    file: StoredFile, form: LogFormat, decimal: str, columns: dict[str, _Column], report: Callable[[str], None]
) -> int:
    """Add the rows of a file to what is known of its columns, and report problems; return how many there are."""
    rows = 0
    part = LogFile(file, form, NO_TIME)
    try:
        unwanted = INDEX_NAMES.union(file.partition)
        names = [name for name in part.ordered_names() if name not in unwanted]
    except BrokenFileError as error:
        report(f"{file.path} {error}")
        return 0
    try:
        for chunk in part.chunks(dict.fromkeys(names, _as_written(form))):
            rows += chunk.rows
            for name, values in chunk.columns.items():
                columns.setdefault(name, _Column(decimal)).add(unwrapped(values), form)
    except pa.ArrowException as error:
        report(f"{file.path} {plain(error)}")
    except BrokenFileError as error:
        report(f"{file.path}: {error}")
    for problem in part.problems:
        report(f"{problem.path}: {problem.problem}")
    return rows


class _Column:
    """The facts known of a column so far."""

    def __init__(self, decimal: str) -> None:
        self._decimal = decimal
        self.rows = self.nulls = self.empty = 0
        self.readings = list(_READ_AS)
        self._is_typed = False
        """True if it is text in a format that has types."""
        self.nearly: FeatureType | None = None
        """The type as which all but a few values of text could be read."""
        self.types: list[pa.DataType] = []
        self.levels: Counter[object] = Counter()
        self._dates: Counter[int] = Counter()
        self.unique = self.times = self.whole = True
        self.examples: list[str] = []
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._distinct = NO_VALUES
        """The distinct values of all chunks, while those of each differ."""
        self.low: Any = None
        self.high: Any = None

    def add(self, values: Chunk, form: LogFormat) -> None:
        """Add values as the file has them."""
        self.rows += len(values)
        self.empty += values.null_count
        typed = self._typed(values, form)
        present = _present(typed)
        self.nulls += len(values) - len(present)
        if len(present):
            if typed.type not in self.types:
                self.types.append(typed.type)
            if is_text(typed.type) and len(self.examples) < _EXAMPLES:
                some: Any = pc.unique(present.slice(0, 10 * _EXAMPLES))
                self.examples += some.to_pylist()[:_EXAMPLES]
            self._note_times(present)
            self._note_dates(typed)
            self._note_range(present)
            # Nanoseconds and far years are times to Arrow, and none to Python.
            self._note_levels(instants(present).cast(pa.int64()) if is_time(values.type) else _present(values))

    def seen(self, name: str, rows: int) -> SeenColumn:
        """Return what a spec says of it."""
        kind, remark = self._verdict(name, rows)
        nulls = self.empty if kind is FeatureType.CATEGORICAL else self.nulls
        return SeenColumn(
            name=name,
            type=kind,
            nullable=nulls > 0,
            remark=_with_nulls(remark, nulls, self.rows),
            unique=self.unique and self.rows == rows and not nulls and self._is_distinct,
            times=self.times and bool(self.levels),
            rows=rows,
            null_rate=nulls / self.rows if self.rows else 0.0,
            levels=self._text_levels(),
            examples=tuple(map(printable, self.examples)),
            top_share=max(self.levels.values()) / self.levels.total() if self._few_levels() else None,
            low=_as_float(self.low),
            high=_as_float(self.high),
            whole=self.low is not None and self.whole,
            first=self.first,
            last=self.last,
        )

    def _few_levels(self) -> bool:
        return 0 < len(self.levels) <= MOST_LEVELS

    def _text_levels(self) -> tuple[str, ...] | None:
        """Return the values as text, the most frequent first; None where there are too many."""
        if not self._few_levels():
            return None
        ordered = sorted(self.levels.items(), key=lambda item: (-item[1], str(item[0])))
        return tuple(printable(str(level)) for level, _ in ordered)

    # ---------------------------------------------------------------- noting

    def _typed(self, values: Chunk, form: LogFormat) -> Chunk:
        """Return values in the narrowest type that all text so far can be read as."""
        if not is_text(values.type):
            return values
        self._is_typed = form not in TEXT_FORMATS
        if self.readings and _has_codes(values):
            self.readings.clear()
        while self.readings:
            kind = self.readings[0]
            if self._is_typed and kind is FeatureType.INTEGER:
                self.readings.pop(0)
                continue
            typed, misfits = converted(values, kind, form, self._decimal)
            digits = (
                kind is FeatureType.BOOLEAN and pc.any(pc.is_in(values, value_set=_DIGITS.cast(values.type))).as_py()
            )
            unread = 0 if misfits is None else misfits.true_count
            if _READ_AS[kind](typed.type) and not digits:
                if not unread:
                    return typed
                if unread <= _FEW * len(values) and self.nearly is None:
                    self.nearly = kind
            self.readings.pop(0)
        return values

    def _note_levels(self, present: Chunk) -> None:
        full = len(self.levels) > MOST_LEVELS
        if full and not self.unique:
            return
        try:
            counted: Any = pc.value_counts(present)
        except pa.ArrowException:  # lists and the like, which are no levels
            self.unique = False
            return
        self.unique = self.unique and len(counted) == len(present)
        if self.unique:
            hashes = hash_ids(counted.field(0).cast(pa.large_string()), 0)
            self._distinct = self._distinct.merge(DistinctValues(np.unique(hashes)[:CAPACITY]))
        if not full:
            for item in counted.slice(0, MOST_LEVELS + 1).to_pylist():
                self.levels[item["values"]] += item["counts"]

    def _note_times(self, present: Chunk) -> None:
        if self.times:
            try:
                times = instants(present)
                self.times = times.null_count == 0
                self._note_span(times)
            except (InstantError, pa.ArrowException):
                self.times = False

    def _note_dates(self, typed: Chunk) -> None:
        """Count dates, as long as a frequent one could still be among them."""
        if not is_time(typed.type):
            return
        counted: Any = pc.value_counts(instants(typed).drop_null().cast(pa.int64()))
        for date, count in zip(*(counted.field(name).to_pylist() for name in ("values", "counts")), strict=True):
            self._dates[date] += count
        if len(self._dates) > MOST_DATES:
            self._dates = Counter(dict(self._dates.most_common(MOST_DATES // 2)))

    def _note_span(self, times: Any) -> None:
        found: Any = pc.min_max(times)
        try:
            first, last = found["min"].as_py(), found["max"].as_py()
        except (ValueError, OverflowError):  # years that are none to Python
            return
        if first is not None:
            self.first = first if self.first is None else min(self.first, first)
            self.last = last if self.last is None else max(self.last, last)

    def _note_range(self, present: Any) -> None:
        if not _is_number(present.type):
            return
        found: Any = pc.min_max(present)
        low, high = found["min"].as_py(), found["max"].as_py()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if self.whole and _is_fractional(present.type):
            numbers = present.cast(pa.float64())
            self.whole = bool(pc.all(pc.equal(numbers, pc.floor(numbers))).as_py())

    # ---------------------------------------------------------------- judging

    def _verdict(self, name: str, rows: int) -> tuple[FeatureType | None, str]:
        """Return the type as a feature, None where it is none, and what is to be said of the values."""
        if why := self._unusable(rows):
            return None, printable(why)
        if all(map(pa.types.is_boolean, self.types)):
            return FeatureType.BOOLEAN, ""
        if any(map(is_text, self.types)):
            return self._category()
        if all(map(is_time, self.types)):
            return FeatureType.TIMESTAMP, ", ".join(("measured as its age", *self._placeholders()))
        return self._number(name)

    def _placeholders(self) -> Iterator[str]:
        """Yield a remark on each date that a reference is going to count as a placeholder."""
        values = np.array(sorted(self._dates), np.int64)
        counts = np.array([self._dates[date] for date in values.tolist()], np.int64)
        for date in standing_out(values, counts) if len(values) > 1 else ():
            yield placeholder(self._dates[date] / (self.rows - self.nulls), date)

    def _unusable(self, rows: int) -> str:
        if self.rows < rows:
            return "not every file has it"
        if not self.types:
            return "never has a value"
        usable = all(_is_number(kind) or is_text(kind) or is_time(kind) for kind in self.types)
        mixed = any(map(is_time, self.types)) and any(map(_is_number, self.types))
        if not usable or mixed:
            return f"holds {' and '.join(sorted(map(str, self.types)))}, which is not measured"
        if self.low is not None and not self._is_fractional and max(abs(self.low), abs(self.high)) > _EXACT:
            return "holds integers beyond 2**53, which floats cannot tell apart"
        return ""

    @property
    def _is_fractional(self) -> bool:
        return any(map(_is_fractional, self.types))

    @property
    def _is_distinct(self) -> bool:
        """True if no value, or hardly any, is met in several chunks."""
        return self._distinct.count >= (self.rows if self.rows < CAPACITY else _MOSTLY * self.rows)

    def _number(self, name: str) -> tuple[FeatureType | None, str]:
        if len(self.levels) == 2 and {str(level).removesuffix(".0") for level in self.levels} == {"0", "1"}:
            return FeatureType.BOOLEAN, "0 and 1"
        if name.lower().endswith(_IDENTIFIERS) and not self._is_fractional:
            return self._category()
        if self._is_typed and self.whole and len(self.levels) <= MOST_LEVELS:
            return self._category()  # a writer that knows types wrote text
        # pandas makes floats of integers where some are missing.
        whole = not self._is_fractional or (self.whole and (self.nulls > 0 or self._is_typed))
        return FeatureType.INTEGER if whole else FeatureType.FLOAT, f"{self.low:,.6g} to {self.high:,.6g}"

    def _category(self) -> tuple[FeatureType | None, str]:
        kind, remark = self._plain_category()
        if self.examples and all(map(is_comma_number, self.examples)):
            remark += "; numbers with a decimal comma? In CSV: --decimal ,"
        return kind, remark

    def _plain_category(self) -> tuple[FeatureType | None, str]:
        if len(self.levels) > MOST_LEVELS:
            return None, f"more than {MOST_LEVELS:,} different values"
        if self.unique and self._is_distinct and self.rows > 1:
            return None, "differs in every row"
        return FeatureType.CATEGORICAL, f"{len(self.levels):,} value{'' if len(self.levels) == 1 else 's'}"


def _has_codes(texts: Any) -> bool:
    """True if some texts are digits after a zero, which no number starts with: postcodes, keys."""
    return bool(pc.any(pc.match_substring_regex(readable(texts), _CODE)).as_py())


def _present(values: Any) -> Chunk:
    """Return the values that are there: neither null nor NaN."""
    present = values.drop_null()
    if pa.types.is_floating(present.type):
        present = present.filter(pc.invert(pc.is_nan(present)))
    found: Chunk = present
    return found


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _with_nulls(remark: str, nulls: int, rows: int) -> str:
    told = f"{nulls / rows:.2%} null" if 0 < nulls < rows else ""
    return ", ".join(filter(None, (remark, told)))


def _is_fractional(kind: pa.DataType) -> bool:
    """True for fractions other than half precision, which is left out as where features are measured."""
    types = pa.types
    return types.is_float32(kind) or types.is_float64(kind) or (types.is_decimal(kind) and kind.scale > 0)


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return types.is_integer(kind) or types.is_decimal(kind) or _is_fractional(kind) or types.is_boolean(kind)
