"""The training data of a reference: files read column by column, for a reference needs one column at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import FileProblem
from mlvitals.exporters.paths import PathError, locate, plain
from mlvitals.exporters.reading.columns import Column, ColumnTypeError, comparable, is_number, is_text, unwrapped
from mlvitals.exporters.reading.files import ClosedFolder, StoredFile, Tree
from mlvitals.exporters.reading.instants import instants
from mlvitals.exporters.reading.scan import BrokenFileError, format_of
from mlvitals.exporters.reading.sources import LogError, LogFile, LogPart, LogTable
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reading.text import Columns
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.outcomes.columns import label_columns, prediction_columns
from mlvitals.exporters.training.build import ReferenceDataError, build_reference, hash_streams
from mlvitals.generator.spec.model import FeatureType, LogFormat, Spec


def ignore(_: str) -> None:
    """Drop a remark."""


_READ_AT_ONCE = (LogFormat.CSV, LogFormat.JSONL, LogFormat.SQL)


def build_from_files(
    spec: Spec,
    base_dir: Path,
    paths: Iterable[str],
    created: datetime,
    model_version: str | None = None,
    *,
    file_format: LogFormat | None = None,
    remark: Callable[[str], None] = ignore,
) -> Reference:
    """Build a spec's reference from files and folders of training data.

    Args:
        spec: the system's spec.
        base_dir: where relative paths start.
        paths: files or folders, also by URL.
        created: now, aware.
        model_version: the version of the model that the data trained.
        file_format: that of all files; by default a file's name says it, and the log's format where it does not.
        remark: takes what is worth knowing of data that can be used.

    Raises:
        ReferenceDataError: a file cannot be read, or the data cannot serve as a reference.

    """
    files = with_content([file for path in paths for file in files_at(path, base_dir)], remark)
    data = TrainingData(spec, files, file_format=file_format, remark=remark)
    source_hash = hash_streams(file.filesystem.open_input_file(file.path) for file in files)
    return build_reference(spec, data, created=created, source_hash=source_hash, model_version=model_version)


def build_from_table(
    spec: Spec,
    table: SqlTable,
    created: datetime,
    model_version: str | None = None,
    *,
    remark: Callable[[str], None] = ignore,
) -> Reference:
    """Build a spec's reference from a table of training data.

    Its `source_hash` is that of the rows in the order in which the database gave them.

    Args:
        spec: the system's spec.
        table: where the training data are.
        created: now, aware.
        model_version: the version of the model that the data trained.
        remark: takes what is worth knowing of data that can be used.

    Raises:
        ReferenceDataError: the table cannot be read, or the data cannot serve as a reference.

    """
    data = TrainingData(spec, [table], remark=remark)
    return build_reference(spec, data, created=created, source_hash=_hash_columns(data), model_version=model_version)


class TrainingData(Mapping[str, Column]):
    """The columns that a spec's reference is built from, each read when it is asked for.

    Raises:
        ReferenceDataError: there are no files, one cannot be read, or some lack a column that others have. Reading
            a column raises it too.

    """

    def __init__(
        self,
        spec: Spec,
        files: Sequence[StoredFile | SqlTable],
        *,
        file_format: LogFormat | None = None,
        remark: Callable[[str], None] = ignore,
    ) -> None:
        if not files:
            raise ReferenceDataError("there are no files of training data")
        self._time_column = spec.reference.timestamp or spec.prediction_log.timestamp
        self._decimal = spec.prediction_log.decimal
        self._remark = remark
        self._remarked: set[FileProblem] = set()
        formats = [_format(file, file_format, spec.prediction_log.format) for file in files]
        self._reads_at_once = any(file_format in _READ_AT_ONCE for file_format in formats)
        self._parts = [self._part(file, file_format) for file, file_format in zip(files, formats, strict=True)]
        types: dict[str, FeatureType | None] = {
            spec.column(name): feature.type for name, feature in spec.features.items()
        }
        log = spec.prediction_log
        if log.score is not None:
            types.setdefault(log.score, FeatureType.FLOAT)
        segments: dict[str, FeatureType | None] = dict.fromkeys(log.segments, FeatureType.CATEGORICAL)
        for name, kind in {**prediction_columns(log), **label_columns(log), **segments}.items():
            types.setdefault(name, kind)
        present = self._present(frozenset({*types, self._time_column}))
        self._types = {name: kind for name, kind in types.items() if name in present}
        self._names = [*self._types, *({self._time_column} & present - types.keys())]

    def __getitem__(self, name: str) -> Column:
        if name not in self._names:
            raise KeyError(name)
        if self._reads_at_once:
            return self.columns[name]
        return self._read({name: self._types[name]} if name in self._types else {})[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Return the columns, read once: text is parsed whole or not at all, and a table keeps no order."""
        return self._read(self._types)

    def _part(self, file: StoredFile | SqlTable, file_format: LogFormat) -> LogPart:
        if isinstance(file, SqlTable):
            return LogTable(file, self._time_column)
        return LogFile(file, file_format, self._time_column, decimal=self._decimal)

    def _present(self, wanted: frozenset[str]) -> frozenset[str]:
        names = {}
        for part in self._parts:
            try:
                names[part.path] = part.present(wanted)
            except (BrokenFileError, DatabaseError) as error:
                raise ReferenceDataError(f"{part.path} {plain(error)}") from error
        everywhere = frozenset.intersection(*names.values())
        for path, found in names.items():
            lacking = frozenset.union(*names.values()) - found
            if lacking:
                raise ReferenceDataError(f"{path} lacks the columns {', '.join(sorted(lacking))}, which others have")
        return everywhere

    def _read(self, columns: Columns) -> dict[str, Column]:
        found: dict[str, list[_Piece]] = {name: [] for name in [*columns, self._time_column]}
        for part in self._parts:
            for piece in self._pieces(part, columns):
                found[piece.name].append(piece)
        if not any(found.values()):
            return {name: pa.chunked_array([], pa.null()) for name in found}
        return {name: _joined(pieces, columns.get(name)) for name, pieces in found.items() if pieces}

    def _pieces(self, part: LogPart, columns: Columns) -> Iterator[_Piece]:
        try:
            for chunk in part.chunks(columns):
                arrays = dict(chunk.columns)
                if chunk.times is not None:
                    arrays.setdefault(self._time_column, chunk.times)
                yield from (_Piece(name, part.path, values) for name, values in arrays.items())
        except (BrokenFileError, LogError) as error:
            raise ReferenceDataError(f"{part.path}: {error}") from error
        refuse(part.problems)
        for problem in part.remarks:
            if problem not in self._remarked:
                self._remarked.add(problem)
                self._remark(f"{problem.path}: {problem.problem}")


class _Piece(NamedTuple):
    """Some values of a column, as they are measured, and where they were read."""

    name: str
    path: str
    values: Any


def _format(file: StoredFile | SqlTable, chosen: LogFormat | None, default: LogFormat) -> LogFormat:
    if isinstance(file, SqlTable):
        return LogFormat.SQL
    return chosen or format_of(file.path) or default


def refuse(problems: Iterable[FileProblem]) -> None:
    """Raise the first of the problems: training data are read whole or not at all."""
    for problem in problems:
        raise ReferenceDataError(f"{problem.path}: {problem.problem}")


def _joined(pieces: Sequence[_Piece], kind: FeatureType | None) -> Column:
    """Return the values of a column as one, however each file wrote them."""
    arrays = [piece.values for piece in pieces if not pa.types.is_null(piece.values.type)]
    if len({array.type for array in arrays}) > 1:
        as_text = kind is None and any(is_text(unwrapped(array).type) for array in arrays)
        arrays = [_alike(piece, kind, as_text=as_text) for piece in pieces]
    elif len(arrays) < len(pieces) and arrays:
        arrays = [piece.values.cast(arrays[0].type) for piece in pieces]
    return pa.chunked_array(arrays or [piece.values for piece in pieces])


def _alike(piece: _Piece, kind: FeatureType | None, *, as_text: bool) -> Column:
    """Return values in the one type that a column is brought to where files differ in it."""
    values = unwrapped(piece.values)
    try:
        if kind is FeatureType.CATEGORICAL:
            return comparable(values, kind)
        if kind is None and as_text:
            return values.cast(pa.large_string())
        if kind is FeatureType.TIMESTAMP:
            return instants(values) if pa.types.is_null(values.type) else comparable(values, kind)
        if kind is None or is_number(values.type) or pa.types.is_null(values.type):
            return values.cast(pa.float64(), safe=False)
        comparable(values, kind)
    except (ColumnTypeError, pa.ArrowException) as error:
        raise ReferenceDataError(
            f"{piece.path}: column {piece.name!r} {plain(error)}; a column has another type in another file"
        ) from error
    return values


def with_content(files: Sequence[StoredFile], remark: Callable[[str], None] = ignore) -> list[StoredFile]:
    """Return files without the empty ones, which writers leave where a part has no rows.

    Raises:
        ReferenceDataError: all are empty.
    """
    kept = [file for file in files if file.size != 0]
    if files and not kept:
        raise ReferenceDataError(f"{files[0].path}: is empty" + (", as all other files are" if len(files) > 1 else ""))
    if len(kept) < len(files):
        remark(f"empty files, left out: {len(files) - len(kept)}")
    return kept


def files_at(path: str, base_dir: Path) -> Iterator[StoredFile]:
    """Yield the files of training data at a path, in their order.

    Raises:
        ReferenceDataError: there is nothing, or it cannot be listed.
    """

    def refuse_closed(folder: ClosedFolder) -> None:
        refuse([folder.problem])

    try:
        yield from Tree(*locate(path, base_dir)).walk(closed=refuse_closed)
    except (PathError, OSError, pa.ArrowException) as error:
        raise ReferenceDataError(f"the training data cannot be read: {plain(error)}") from error


def _hash_columns(data: TrainingData) -> str:
    digest = hashlib.sha256()
    for name in sorted(data):
        for batch in pa.table({name: data.columns[name]}).to_batches():
            digest.update(batch.serialize())
    return digest.hexdigest()
