"""The age of the newest data of a feature source: its files, a column in them, a SQL query or a health endpoint.

A time without a zone is UTC. A time in the future is passed on as it is, so that a rule can see a clock that is wrong.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from mlvitals.exporters.database import DatabaseError, explain, open_database
from mlvitals.exporters.parts import Samples
from mlvitals.exporters.paths import PathError, first_line, locate
from mlvitals.exporters.reading.files import StoredFile, Tree
from mlvitals.exporters.reading.instants import InstantError, instant
from mlvitals.exporters.reading.scan import KNOWN_SUFFIXES, BrokenFileError, OpenFile, format_of
from mlvitals.exporters.web import ask
from mlvitals.generator.contract import Contract
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Source

HTTP_TIMEOUT_SECONDS = 5
_LARGEST_ANSWER = 1_000_000
"""Bytes of a health endpoint's answer that are read."""


class Reading(msgspec.Struct, frozen=True):
    """The time of a source's newest data, in UTC; None where that is not known, and then why."""

    newest: datetime | None
    reason: str = ""


class _UnknownError(Exception):
    """The newest time of a source cannot be determined."""


def newest(source: Source, base_dir: Path) -> Reading:
    """Return when the newest data of a source is from. Never raises for what it finds outside."""
    try:
        return Reading(_newest(source, base_dir))
    except (_UnknownError, InstantError, PathError, DatabaseError, OSError, pa.ArrowException) as error:
        return Reading(None, first_line(error))
    except Exception as error:  # a source may answer anything; the other sources and the next look must go on
        return Reading(None, f"{type(error).__name__}: {first_line(error)}")


def _newest(source: Source, base_dir: Path) -> datetime:
    if source.url is not None:
        return _from_endpoint(source.url, source.field)
    if source.database is not None and source.query is not None:
        return _from_query(source.database, source.password_file, source.query, base_dir)
    if source.path is not None:
        files = _files(source.path, base_dir)
        if source.column is None:
            return max(file.modified for file in files)
        return _from_column(files, source.column)
    raise _UnknownError("the source has no path, query or url to tell its age from")


def _files(path: str, base_dir: Path) -> list[StoredFile]:
    """Yield the files that can be seen; a folder that cannot be listed only makes the source look older, if at all."""
    files = list(Tree(*locate(path, base_dir), tables=True).walk())
    if not files:
        raise _UnknownError(f"{path} holds no files")
    return files


def _from_column(files: list[StoredFile], column: str) -> datetime:
    found = [moment for file in files for moment in _newest_values(file, column)]
    if not found:
        raise _UnknownError(f"column {column!r} holds no value")
    return max(found)


def _newest_values(file: StoredFile, column: str) -> Iterator[datetime]:
    """Yield candidates for the newest value of a file's column: one per row group, or per batch."""
    file_format = format_of(file.path)
    if file_format is None:
        raise _UnknownError(f"{file.path}: unknown kind of file; known are {', '.join(KNOWN_SUFFIXES)}")
    try:
        opened = OpenFile(file, file_format, column)
        if column not in opened.all_names():
            raise _UnknownError(f"{file.path} has no column {column!r}")
        if opened.extent is not None and opened.extent.last is not None:
            yield datetime.fromtimestamp(0, UTC) + timedelta(microseconds=opened.extent.last)
            return
        for batch in opened.batches({}, None):
            largest = None if batch.times is None else pc.max(batch.times).as_py()
            if largest is not None:
                yield largest
    except BrokenFileError as error:
        raise _UnknownError(f"{file.path} {error}") from error


def _from_query(url: str, password_file: str | None, query: str, base_dir: Path) -> datetime:
    engine = open_database(url, password_file, base_dir)
    try:
        with engine.connect() as connection:
            value = connection.execute(text(query)).scalar()
    except SQLAlchemyError as error:
        raise explain(engine, error) from error
    finally:
        engine.dispose()
    if value is None:
        raise _UnknownError("the query returned no time")
    return instant(value)


def _from_endpoint(url: str, field: str | None) -> datetime:
    try:
        with ask(Request(url), HTTP_TIMEOUT_SECONDS) as response:  # noqa: S310 - the spec's rules want http
            answer = json.loads(response.read(_LARGEST_ANSWER))
    except HTTPError as error:
        raise _UnknownError(f"{url} answered {error.code}") from error
    except (OSError, HTTPException) as error:
        raise _UnknownError(f"{url} cannot be reached: {first_line(error)}") from error
    except ValueError as error:
        raise _UnknownError(f"{url} did not answer with JSON") from error
    for key in field.split(".") if field else ():
        if not isinstance(answer, dict) or key not in answer:
            raise _UnknownError(f"{url} has no field {field!r} in its answer")
        answer = answer[key]
    return instant(answer)


def gauges(contract: Contract, freshness: Mapping[str, Reading], now: datetime) -> Samples:
    """Return the age of each source at `now`.

    A source whose newest data is unknown has a `max_age` sample and no other: rules recognise it by that.
    """
    sources = contract.spec.sources
    known = {name: freshness[name].newest for name in sources if name in freshness}
    newest = {name: moment for name, moment in known.items() if moment is not None}
    return {
        "data_freshness_seconds": [((name,), (now - moment).total_seconds()) for name, moment in newest.items()],
        "data_freshness_timestamp_seconds": [((name,), moment.timestamp()) for name, moment in newest.items()],
        "data_freshness_max_age_seconds": [((name,), seconds(source.max_age)) for name, source in sources.items()],
        "data_freshness_tolerance_seconds": [((name,), seconds(source.tolerance)) for name, source in sources.items()],
    }
