"""The log of a process: one JSON object a line, to a stream, and to a file that never outgrows its bounds.

A line holds the time (RFC 3339, UTC), the system, the service that speaks, a level, an event and its details.
"""

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Self, TextIO

from mlvitals.generator.errors import UserError, without_secrets

FILE_BYTES = 5_000_000
"""A log file that would grow beyond this is put aside, and a new one is begun."""
FILES_ASIDE = 2
"""That many files stay next to the one that is written; older ones are removed."""


class LogFileError(UserError):
    """The log file cannot be written."""


class Level(StrEnum):
    """The severity of an event. Kept few, because log stores keep one stream a level."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class JsonLog:
    """Writes events as one line of JSON each. It may be called from any thread, and never ends the process.

    Args:
        stream: where every line goes.
        clock: gives the current time, aware.
        system: the system of the spec.
        service: the process that speaks, as log stores label its lines.
        file: where every line goes too; at `FILE_BYTES` it becomes ``FILE.1``, and that ``FILE.2``.

    Raises:
        LogFileError: the file cannot be written.

    """

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], datetime],
        system: str,
        service: str = "exporter",
        file: Path | None = None,
    ) -> None:
        self._clock = clock
        self._origin = {"system": system, "service": service}
        self._handlers: list[logging.Handler] = [_Stream(stream)]
        if file is not None:
            self._handlers.append(_File(file))

    def __call__(self, event: str, *, level: Level = Level.INFO, **details: object) -> None:
        """Write one event."""
        moment = self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {"time": moment, "level": level, **self._origin, "event": event, **details}
        text = without_secrets(json.dumps(fields, default=str, ensure_ascii=False))
        line = logging.makeLogRecord({"msg": text})
        for handler in self._handlers:
            handler.handle(line)

    def close(self) -> None:
        """Close the file; the stream is its owner's. What does not fit on a full disk was reported when written."""
        for handler in self._handlers:
            with suppress(OSError):
                handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Stream(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Ignore a closed pipe: there is nowhere left to report it."""


class _File(RotatingFileHandler):
    def __init__(self, path: Path) -> None:
        # What UTF-8 cannot hold becomes \\udc80, which is JSON's own way of writing it.
        try:
            super().__init__(
                path, maxBytes=FILE_BYTES, backupCount=FILES_ASIDE, encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise LogFileError(f"cannot write the log file {path}: {error.strerror}") from error

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Report a full disk, and go on."""
        print(f"{self.baseFilename}: {sys.exception()}", file=sys.stderr)
