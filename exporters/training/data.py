"""The training data of a reference: files read column by column, for a reference needs one column at a time."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from mlvitals.exporters.database import DatabaseError
from mlvitals.exporters.parts import FileProblem
from mlvitals.exporters.paths import PathError, locate, plain
from mlvitals.exporters.reading.columns import Column
from mlvitals.exporters.reading.files import ClosedFolder, StoredFile, Tree
from mlvitals.exporters.reading.scan import FORMAT_OF_SUFFIX, BrokenFileError
from mlvitals.exporters.reading.sources import LogError, LogFile, LogPart, LogTable
from mlvitals.exporters.reading.sql import SqlTable
from mlvitals.exporters.reading.text import Columns
from mlvitals.exporters.reference.artifact import Reference
from mlvitals.exporters.sections.outcomes.columns import label_columns, prediction_columns
from mlvitals.exporters.training.build import ReferenceDataError, build_reference, hash_streams
from mlvitals.generator.spec.model import FeatureType, LogFormat, Spec

_READ_AT_ONCE = (LogFormat.CSV, LogFormat.JSONL, LogFormat.SQL)


def build_from_files(
    spec: Spec, base_dir: Path, paths: Iterable[str], created: datetime, model_version: str | None = None
) -> Reference:
    """Build a spec's reference from files and folders of training data.

    Args:
        spec: the system's spec.
        base_dir: where relative paths start.
        paths: files or folders, also by URL; a file's name says its format, and the log's format where it does not.
        created: now, aware.
        model_version: the version of the model that the data trained.

    Raises:
        ReferenceDataError: a file cannot be read, or the data cannot serve as a reference.

    """
    files = [file for path in paths for file in files_at(path, base_dir)]
    data = TrainingData(spec, files)
    source_hash = hash_streams(file.filesystem.open_input_file(file.path) for file in files)
    return build_reference(spec, data, created=created, source_hash=source_hash, model_version=model_version)


def build_from_table(spec: Spec, table: SqlTable, created: datetime, model_version: str | None = None) -> Reference:
    """Build a spec's reference from a table of training data.

    Its `source_hash` is that of the rows in the order in which the database gave them.

    Args:
        spec: the system's spec.
        table: where the training data are.
        created: now, aware.
        model_version: the version of the model that the data trained.

    Raises:
        ReferenceDataError: the table cannot be read, or the data cannot serve as a reference.

    """
    data = TrainingData(spec, [table])
    return build_reference(spec, data, created=created, source_hash=_hash_columns(data), model_version=model_version)


class TrainingData(Mapping[str, Column]):
    """The columns that a spec's reference is built from, each read when it is asked for.

    Raises:
        ReferenceDataError: there are no files, one cannot be read, or some lack a column that others have. Reading
            a column raises it too.

    """

    def __init__(self, spec: Spec, files: Sequence[StoredFile | SqlTable]) -> None:
        if not files:
            raise ReferenceDataError("there are no files of training data")
        self._time_column = spec.reference.timestamp or spec.prediction_log.timestamp
        formats = [_format(file, spec.prediction_log.format) for file in files]
        self._reads_at_once = any(file_format in _READ_AT_ONCE for file_format in formats)
        self._parts = [self._part(file, file_format) for file, file_format in zip(files, formats, strict=True)]
        types = {spec.column(name): feature.type for name, feature in spec.features.items()}
        log = spec.prediction_log
        if log.score is not None:
            types.setdefault(log.score, FeatureType.FLOAT)
        segments = dict.fromkeys(log.segments, FeatureType.CATEGORICAL)
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
        return LogFile(file, file_format, self._time_column)

    def _present(self, wanted: frozenset[str]) -> frozenset[str]:
        names = {}
        for part in self._parts:
            try:
                names[part.path] = part.column_names() & wanted
            except (BrokenFileError, DatabaseError) as error:
                raise ReferenceDataError(f"{part.path} {plain(error)}") from error
        everywhere = frozenset.intersection(*names.values())
        for path, found in names.items():
            lacking = frozenset.union(*names.values()) - found
            if lacking:
                raise ReferenceDataError(f"{path} lacks the columns {', '.join(sorted(lacking))}, which others have")
        return everywhere

    def _read(self, columns: Columns) -> dict[str, Column]:
        tables = [table for part in self._parts for table in self._tables(part, columns)]
        return _joined(tables, [*columns, self._time_column])

    def _tables(self, part: LogPart, columns: Columns) -> Iterator[pa.Table]:
        try:
            for chunk in part.chunks(columns):
                arrays = dict(chunk.columns)
                if chunk.times is not None:
                    arrays.setdefault(self._time_column, chunk.times)
                yield pa.table(arrays)
        except (BrokenFileError, LogError) as error:
            raise ReferenceDataError(f"{part.path}: {error}") from error
        refuse(part.problems)


def _format(file: StoredFile | SqlTable, default: LogFormat) -> LogFormat:
    if isinstance(file, SqlTable):
        return LogFormat.SQL
    return FORMAT_OF_SUFFIX.get(Path(file.path).suffix.lower(), default)


def refuse(problems: Iterable[FileProblem]) -> None:
    """Raise the first of the problems: training data are read whole or not at all."""
    for problem in problems:
        raise ReferenceDataError(f"{problem.path}: {problem.problem}")


def _joined(parts: list[pa.Table], names: list[str]) -> dict[str, Column]:
    if not parts:
        return {name: pa.chunked_array([], pa.null()) for name in names}
    try:
        table: Any = pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        raise ReferenceDataError(f"a column has another type in another file: {plain(error)}") from error
    return {name: table[name] for name in table.column_names}


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
