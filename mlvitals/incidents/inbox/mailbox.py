"""Storage of messages: the newest of each service in memory, and in a file of JSON lines if one is given."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from mlvitals.generator.atomic import replacing
from mlvitals.generator.errors import UserError
from mlvitals.incidents.inbox.messages import Message, Service

KEPT = 1000
"""Messages kept of each service, so that heartbeats do not push out pages."""
KEPT_BYTES = 4 << 20
"""Bytes that the messages kept of each service take, as JSON; the newest is kept however large it is."""


class MailboxError(UserError):
    """The file of messages cannot be used."""


class Mailbox:
    """Messages in order of arrival. With a file, they survive a restart. Safe for many threads.

    `arriving` sees each message before it is kept; where it fails, the sender hears of it and sends again.

    Raises:
        MailboxError: the file contains something other than messages.
        OSError: the file cannot be read or written.
    """

    def __init__(self, keep: Path | None = None, arriving: Callable[[Message], object] | None = None) -> None:
        self._keep = keep
        self._arriving = arriving
        self._lock = threading.Lock()
        self._shelves = {service: _Shelf() for service in Service}
        if keep:
            for message, line in _read(keep):
                self._shelves[message.service].add(message, len(line))
            with replacing(keep) as file:
                file.writelines(map(_line, self.messages()))
        self._last = max((message.id for message in self.messages()), default=0)

    def add(self, arrived: Callable[[int], Message]) -> Message:
        """Store the message that `arrived` makes with the next number. It is in the file when this returns.

        Raises:
            MailboxError: the file cannot be written, or `arriving` failed; the message is not kept.
        """
        with self._lock:
            message = arrived(self._last + 1)
            self._announce(message)
            line = _line(message)
            if self._keep:
                _append(self._keep, line)
            self._last = message.id
            self._shelves[message.service].add(message, len(line))
            return message

    def _announce(self, message: Message) -> None:
        try:
            if self._arriving:
                self._arriving(message)
        except UserError as error:
            raise MailboxError(str(error)) from error
        except OSError as error:
            raise MailboxError(f"{error.filename or 'system'}: {error.strerror or error}") from error

    def messages(self) -> tuple[Message, ...]:
        """Return all messages kept, oldest first."""
        with self._lock:
            kept = (message for shelf in self._shelves.values() for message, _ in shelf.kept)
            return tuple(sorted(kept, key=lambda message: message.id))


class _Shelf:
    """The newest messages of a service, with the size of each."""

    def __init__(self) -> None:
        self.kept: deque[tuple[Message, int]] = deque()
        self._bytes = 0

    def add(self, message: Message, size: int) -> None:
        self.kept.append((message, size))
        self._bytes += size
        while len(self.kept) > KEPT or (self._bytes > KEPT_BYTES and len(self.kept) > 1):
            self._bytes -= self.kept.popleft()[1]


def _append(path: Path, line: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(line)
    except OSError as error:
        raise MailboxError(f"{path} cannot be written: {error.strerror or error}") from error


def _line(message: Message) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _read(path: Path) -> Iterator[tuple[Message, bytes]]:
    """The messages of a file, and their lines; a last line that a crash cut off is left out."""
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield msgspec.json.decode(line, type=Message), line
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MailboxError(f"{path} does not contain messages of mlvitals inbox: {error}; move it away") from error
