"""Keeping messages: the newest of each service in memory, and in a file of JSON lines where one is given."""

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from mlvitals.generator.atomic import replacing
from mlvitals.generator.errors import UserError
from mlvitals.incidents.inbox.messages import Message, Service

KEPT = 1000
"""Messages kept of each service, so that heartbeats do not push out pages."""


class MailboxError(UserError):
    """The file of messages cannot be used."""


class Mailbox:
    """Messages in order of arrival. With a file, they are there again after a restart; many threads may use it.

    `arriving` sees each message before it is kept; where it fails, the sender hears of it and sends again.

    Raises:
        MailboxError: the file holds something else than messages.
        OSError: the file cannot be read or written.
    """

    def __init__(self, keep: Path | None = None, arriving: Callable[[Message], object] | None = None) -> None:
        self._keep = keep
        self._arriving = arriving
        self._lock = threading.Lock()
        self._messages: dict[Service, deque[Message]] = {service: deque(maxlen=KEPT) for service in Service}
        if keep:
            for message in _read(keep):
                self._messages[message.service].append(message)
            with replacing(keep) as file:
                file.writelines(map(_line, self.messages()))
        self._last = max((message.id for message in self.messages()), default=0)

    def add(self, arrived: Callable[[int], Message]) -> Message:
        """Keep the message that `arrived` makes with the next number. It is in the file when this returns.

        Raises:
            MailboxError: the file cannot be written, or `arriving` failed; the message is not kept.
        """
        with self._lock:
            message = arrived(self._last + 1)
            self._announce(message)
            if self._keep:
                _append(self._keep, _line(message))
            self._last = message.id
            self._messages[message.service].append(message)
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
        """All messages kept, oldest first."""
        with self._lock:
            return tuple(sorted((m for kept in self._messages.values() for m in kept), key=lambda message: message.id))


def _append(path: Path, line: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(line)
    except OSError as error:
        raise MailboxError(f"{path} cannot be written: {error.strerror or error}") from error


def _line(message: Message) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def _read(path: Path) -> list[Message]:
    """The messages of a file; a last line that a crash cut off is left out."""
    if not path.exists():
        return []
    *whole, _ = path.read_bytes().split(b"\n")
    try:
        return [msgspec.json.decode(line, type=Message) for line in whole]
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MailboxError(f"{path} holds no messages of mlvitals inbox: {error}; move it away") from error
