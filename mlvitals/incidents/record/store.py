"""Incidents as YAML files of one folder, `ID.yaml`, made to be reviewed and merged.

A change appends its entries to the file's text, so that comments and layout stay as a person left them; the file is
replaced as a whole, and only when its new text reads back as exactly what was meant.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from mlvitals.generator.atomic import replacing
from mlvitals.generator.spec.diagnostics import (
    Diagnostic,
    KeyPath,
    Position,
    Problem,
    SpecError,
    did_you_mean,
    quoted,
    render,
)
from mlvitals.generator.spec.document import Document, FileKind, parse, read_bytes
from mlvitals.generator.text_files import yaml_file
from mlvitals.incidents.record.changes import Amendment, IncidentError, group_mark, new_id
from mlvitals.incidents.record.model import ID_PATTERN, Entry, Incident, State

_KIND = FileKind("incident", "version, id, title, system and entries", "version: 1")
_CONFLICT = re.compile(rb"^(<{7}|={7}|>{7})( |\r?$)", re.MULTILINE)
_PLACE = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_COMMENT = (
    "An incident of mlvitals: entries are added, never changed; their order does not matter. See docs/incidents.md."
)


class Incidents:
    """The incidents of a folder. Any number of processes may use it at a time.

    Example::

        incidents = Incidents(Path("incidents"))
        incidents.change("2026-03-03-feature-drift", adding(Note(at=now, actor="amara", text="Rolled back.")))
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> tuple[list[Incident], list[IncidentError]]:
        """Read every incident, newest first, and what is wrong with files that cannot be read."""
        found, problems = [], []
        for path in sorted(self.folder.glob("*.yaml"), reverse=True):
            try:
                found.append(_read(path).incident)
            except IncidentError as problem:
                problems.append(problem)
        return sorted(found, key=lambda incident: incident.opened_at, reverse=True), problems

    def get(self, name: str) -> Incident:
        """Read one incident.

        Raises:
            IncidentError: no incident has this id, or its file is broken; the message says where.
        """
        return _read(self._path(name)).incident

    def of_group(self, group_key: str) -> Incident | None:
        """The newest incident of an Alertmanager group that is not closed.

        Raises:
            IncidentError: a file of this group is broken.
        """
        mark = group_mark(group_key)
        paths = {*self.folder.glob(f"*-{mark}.yaml"), *self.folder.glob(f"*-{mark}-*.yaml")}
        found = [_read(path).incident for path in sorted(paths)]
        going = [each for each in found if each.group_key == group_key and each.state is not State.CLOSED]
        return max(going, key=lambda incident: (incident.opened_at, incident.id), default=None)

    def open(self, title: str, system: str, entries: Sequence[Entry], group_key: str = "") -> Incident:
        """Write a new incident under an id of its own.

        Raises:
            IncidentError: title, system or entries hold what no incident can hold.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.alone():
            return self._write_new(title, system, entries, group_key)

    def change(self, name: str, change: Amendment) -> Incident:
        """Add what a change says to an incident, and return it as it is then.

        Raises:
            IncidentError: there is no such incident, its file is broken, or the change refuses.
        """
        path = self._path(name)
        with self.alone():
            return _append(path, change)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process write meanwhile."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write_new(self, title: str, system: str, entries: Sequence[Entry], group_key: str) -> Incident:
        wanted = new_id(title, min(entry.at for entry in entries), group_key)
        numbered = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, 10_000))
        name = next(name for name in numbered if not self._file(name).exists())
        incident = Incident(version=1, id=name, title=title, system=system, group_key=group_key, entries=tuple(entries))
        path = self._file(name)
        _replace(path, yaml_file(msgspec.to_builtins(incident), _COMMENT), incident)
        return incident

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"

    def _path(self, name: str) -> Path:
        path = self._file(name)
        if not re.match(ID_PATTERN, name) or not path.is_file():
            known = [other.stem for other in self.folder.glob("*.yaml")]
            hint = did_you_mean(name, known) or "`mlvitals incident list` shows them all"
            raise IncidentError(f"{self.folder} has no incident {quoted(name)}; {hint}")
        return path


# ---------------------------------------------------------------- reading


class _File(msgspec.Struct, frozen=True):
    incident: Incident
    document: Document
    text: str


def _read(path: Path) -> _File:
    try:
        raw = read_bytes(path, _KIND)
    except SpecError as error:
        raise IncidentError(str(error)) from error
    return _parse(raw, path)


def _parse(raw: bytes, path: Path) -> _File:
    _refuse_conflict(raw, str(path))
    try:
        document = parse(raw, str(path), _KIND)
    except SpecError as error:
        raise IncidentError(str(error)) from error
    if document.problems:
        raise IncidentError(str(SpecError(document.problems, document.lines)))
    try:
        incident = msgspec.convert(document.data, Incident)
    except msgspec.ValidationError as error:
        raise IncidentError(located(document, error, "incident")) from error
    if incident.id != path.stem:
        problem = Problem((("id",),), f"is {quoted(incident.id)}, but the file is {quoted(path.name)}", "id")
        raise IncidentError(render(document.diagnostic(problem), document.lines))
    return _File(incident, document, raw.decode().removeprefix("\ufeff"))


def _refuse_conflict(raw: bytes, file: str) -> None:
    if found := _CONFLICT.search(raw):
        line = raw.count(b"\n", 0, found.start()) + 1
        message = "a merge left its conflict here; keep the entries of both sides, in any order, and remove this line"
        lines = raw.decode(errors="replace").split("\n")
        raise IncidentError(render(Diagnostic(file, Position(line, 1), message, "conflict", length=7), lines))


def located(document: Document, error: msgspec.ValidationError, code: str) -> str:
    """Render an error of a conversion at its place in the file."""
    message = str(error)
    place = _PLACE.search(message)
    path = _key_path(place[1]) if place else ()
    text = message[: place.start()] if place else message
    if path:
        text = f"is wrong: {text[:1].lower()}{text[1:]}"
    problem = Problem((path,), text, code, complete=not path)
    return render(document.diagnostic(problem), document.lines)


def _key_path(written: str) -> KeyPath:
    """The path in a message of msgspec: ``.entries[2].at``."""
    return tuple(int(index) if index else key for key, index in _STEP.findall(written) if key or index)


# ---------------------------------------------------------------- writing


def _append(path: Path, change: Amendment) -> Incident:
    file = _read(path)
    added = tuple(change(file.incident))
    if not added:
        return file.incident
    changed = file.incident.with_entries(added)
    _replace(path, _appended(file, added, path), changed)
    return changed


def _appended(file: _File, added: Sequence[Entry], path: Path) -> str:
    """The file's text with entries at its end, indented as those that are there."""
    position = file.document.places[("entries", 0)].value.position
    before = file.document.lines[position.line - 1][: position.column - 1]
    if list(file.document.data)[-1] != "entries" or before.strip() != "-":
        problem = Problem(
            (("entries",),), "must be the file's last key, with one entry below the other", "layout", at_key=True
        )
        raise IncidentError(render(file.document.diagnostic(problem), file.document.lines))
    indent = before[: before.index("-")]
    _, *lines = yaml_file({"entries": msgspec.to_builtins(added)}).rstrip("\n").split("\n")
    written = "".join(f"{indent}{line[2:]}".rstrip(" ") + "\n" if line.strip() else "\n" for line in lines)
    return file.text + ("" if file.text.endswith("\n") else "\n") + written


def _replace(path: Path, text: str, meant: Incident) -> None:
    """Write the text of an incident once it is sure that it says what is meant."""
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise IncidentError("the text holds half a character, which no file can keep; write it again") from None
    if _parse(raw, path).incident != meant:
        raise IncidentError(f"{path} would not read back as it was meant, so nothing was written")
    with replacing(path) as file:
        file.write(raw)
