"""Reading a YAML file that people write, mostly a spec: bytes -> plain data, with the place of every key and value.

Scalars follow the core schema of YAML 1.2: only true and false are booleans, ``12:30`` and ``2026-03-03`` are text, and
``010`` is ten. The document is composed from PyYAML's events, so that hostile nesting, aliases and sizes are
refused while they are being read, without recursion, and no object of any other kind is ever made.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import yaml

from mlvitals.generator.spec.diagnostics import (
    MERGE_KEY,
    Diagnostic,
    KeyPath,
    Position,
    Problem,
    SpecError,
    dotted,
    quoted,
)

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 100_000

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: its name in messages, and how it should start."""

    name: str
    looks: str
    """Its keys, for who wrote something else than a mapping."""
    begins: str
    """Its first line, for who wrote nothing."""

    @property
    def a_name(self) -> str:
        """The name with its article."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


SPEC = FileKind("spec", "version, system and features", "version: 1")

Data = Any
"""Plain data: dict with text keys, list, str, int, float, bool or None."""


@dataclass(frozen=True, slots=True)
class Span:
    """A span of one line."""

    position: Position
    length: int


@dataclass(frozen=True, slots=True)
class Place:
    """The places of a value and, in a mapping, of its key."""

    key: Span | None
    value: Span


@dataclass(frozen=True)
class Document:
    """A spec file that is YAML. Its data may still be anything.

    `problems` are those found while reading (duplicate keys, NaN and the like); `doubtful` are the paths whose value is
    therefore not what the author meant, and needs no further checks.
    """

    file: str
    lines: tuple[str, ...]
    data: dict[str, Data]
    places: dict[KeyPath, Place]
    problems: tuple[Diagnostic, ...]
    doubtful: frozenset[KeyPath]

    def diagnostic(self, problem: Problem) -> Diagnostic:
        """Return a diagnostic at the place of a problem: the first written one of its paths, or else what encloses the first."""
        written = next((path for path in problem.paths if path in self.places), None)
        span = self._enclosing(problem.paths[0]) if written is None else self._span(written, at_key=problem.at_key)
        message = problem.message if problem.complete else f"{dotted(problem.paths[0])} {problem.message}"
        return Diagnostic(self.file, span.position, message, problem.rule, problem.hint, span.length)

    def _span(self, path: KeyPath, *, at_key: bool) -> Span:
        place = self.places[path]
        return place.key if at_key and place.key else place.value

    def _enclosing(self, path: KeyPath) -> Span:
        while path not in self.places:
            path = path[:-1]
        return self._span(path, at_key=True)


def read_bytes(path: Path, kind: FileKind = SPEC) -> bytes:
    """Read a file, up to the limit of its size.

    Raises:
        SpecError: the file cannot be read, or is larger than `MAX_BYTES`.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _error(str(path), Position(1, 1), f"cannot read the {kind.name}: {reason}", "unreadable") from error
    if len(raw) > MAX_BYTES:
        raise _too_large(str(path), kind)
    return raw


def parse(raw: bytes, file: str, kind: FileKind = SPEC) -> Document:
    """Read YAML in UTF-8 as plain data.

    Raises:
        SpecError: it is not text, not YAML, not a mapping, or larger or more deeply nested than a file may be.
    """
    if len(raw) > MAX_BYTES:
        raise _too_large(file, kind)
    text = _decoded(raw, file)
    lines = tuple(_LINE_BREAK.split(text))
    if found := _UNREADABLE.search(text):
        message = f"the character U+{ord(found[0]):04X} is not allowed in YAML"
        hint = "remove it, or write it as an escape in double quotes"
        raise _error(file, _position(text, found.start()), message, "syntax", hint, lines)
    root = _Composer(file, lines, kind).compose(text)
    return _Reader(file, lines, kind).document(root)


def _decoded(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8").removeprefix("\ufeff")
        lines = _LINE_BREAK.split(raw.decode("utf-8", errors="replace").removeprefix("\ufeff"))
        message = f"the byte 0x{raw[error.start]:02x} is not valid UTF-8"
        raise _error(
            file, _position(before, len(before)), message, "encoding", "save the file as UTF-8", lines
        ) from error


def _position(text: str, index: int) -> Position:
    lines = _LINE_BREAK.split(text[:index])
    return Position(len(lines), len(lines[-1]) + 1)


def _too_large(file: str, kind: FileKind) -> SpecError:
    message = f"the file is larger than {MAX_BYTES:,} bytes, the limit for {kind.a_name}"
    return _error(file, Position(1, 1), message, "too-large")


def _error(
    file: str, position: Position, message: str, rule: str, hint: str = "", lines: Sequence[str] = ()
) -> SpecError:
    return SpecError((Diagnostic(file, position, message, rule, hint),), lines)


# ---------------------------------------------------------------- events -> nodes


@dataclass(slots=True)
class _Node:
    """A scalar (text), list or mapping (children; keys and values in turn) with what an alias to it costs."""

    kind: str
    start: Position
    end: Position
    text: str = ""
    plain: bool = False
    block: bool = False
    children: "list[_Node]" = field(default_factory=list)
    size: int = 1
    height: int = 1
    closed: bool = False


class _Composer:
    """Builds the nodes of the one document of a file; stops at the first input that is not YAML or exceeds a limit."""

    def __init__(self, file: str, lines: tuple[str, ...], kind: FileKind) -> None:
        self._file = file
        self._lines = lines
        self._kind = kind
        self._open: list[_Node] = []
        self._anchors: dict[str, _Node] = {}
        self._values = 0
        self._root: _Node | None = None

    def compose(self, text: str) -> _Node:
        """Return the top node of the only document."""
        last = None
        try:
            for event in yaml.parse(text, Loader=_event_loader()):
                last = event
                self._take(event)
        except yaml.MarkedYAMLError as error:
            if too_deep := _nesting_too_deep(text):
                self._refuse_depth(too_deep)
            mark = error.problem_mark or error.context_mark
            context = f" {error.context}" if error.context else ""
            position = _at(mark) if mark else None
            message = f"this is not YAML: {error.problem}{context}"
            self._refuse(position, message, "syntax", self._syntax_hint(error))
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            self._refuse(_at(last.end_mark) if last else None, f"this is not YAML: {error}", "syntax")
        if self._root is None:
            self._refuse(None, "the file is empty", "syntax", f"{self._kind.a_name} starts with {self._kind.begins}")
        return self._root

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            if self._root:
                self._refuse(
                    _at(event.start_mark),
                    f"a second document starts here; a file holds one {self._kind.name}",
                    "syntax",
                )
        elif isinstance(event, yaml.AliasEvent):
            self._attach(self._aliased(event))
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            node = _Node(
                "scalar", _at(event.start_mark), _at(event.end_mark), text=event.value, plain=plain, closed=True
            )
            self._begin(event, node)
            self._attach(node)
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            node = _Node(kind, _at(event.start_mark), _at(event.end_mark), block=not event.flow_style)
            self._begin(event, node)
            self._open.append(node)
            self._check_depth(len(self._open), _at(event.start_mark))
        elif isinstance(event, yaml.CollectionEndEvent):
            node = self._open.pop()
            node.end = _at(event.end_mark)
            node.size += sum(child.size for child in node.children)
            node.height += max((child.height for child in node.children), default=0)
            node.closed = True
            self._attach(node)

    def _begin(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, node: _Node) -> None:
        if event.tag is not None:
            self._refuse(_at(event.start_mark), f"the tag {quoted(event.tag)} is not allowed", "syntax", "remove it")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._count(1, _at(event.start_mark))

    def _aliased(self, event: yaml.AliasEvent) -> _Node:
        node = self._anchors.get(str(event.anchor))
        if node is None:
            self._refuse(_at(event.start_mark), f"the alias *{event.anchor} has no anchor before it", "alias")
        if not node.closed:
            self._refuse(
                _at(event.start_mark), f"the alias *{event.anchor} is inside the value that it refers to", "alias"
            )
        self._count(node.size, _at(event.start_mark))
        self._check_depth(len(self._open) + node.height, _at(event.start_mark))
        return replace(node, start=_at(event.start_mark), end=_at(event.end_mark), block=False)

    def _attach(self, node: _Node) -> None:
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._root = node

    def _count(self, values: int, position: Position) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            message = f"with its aliases expanded, the {self._kind.name} holds more than {MAX_VALUES:,} values"
            self._refuse(position, message, "too-large")

    def _check_depth(self, depth: int, position: Position) -> None:
        if depth > MAX_DEPTH:
            self._refuse_depth(position)

    def _refuse_depth(self, position: Position) -> NoReturn:
        self._refuse(position, f"values are nested more than {MAX_DEPTH} deep", "too-deep")

    def _syntax_hint(self, error: yaml.MarkedYAMLError) -> str:
        mark = error.problem_mark
        if mark and any(line[mark.column : mark.column + 1] == "\t" for line in self._lines[mark.line : mark.line + 1]):
            return "indent with spaces, not tabs"
        if "mapping values are not allowed" in str(error.problem):
            return "put text that contains a colon and a space in quotes"
        return ""

    def _refuse(self, position: Position | None, message: str, rule: str, hint: str = "") -> NoReturn:
        end = Position(len(self._lines), len(self._lines[-1]) + 1)
        raise _error(self._file, min(position or Position(1, 1), end), message, rule, hint, self._lines)


def _at(mark: Any) -> Position:
    """Return the position of one of PyYAML's marks, which count from 0."""
    return Position(mark.line + 1, mark.column + 1)


def _event_loader() -> Any:
    """Return PyYAML's parser on libyaml if available, otherwise the one in Python; the events are the same."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _nesting_too_deep(text: str) -> Position | None:
    """The place where a text that is no YAML nests more than `MAX_DEPTH` deep before it goes wrong.

    Newer libyaml has a limit of its own, which it can reach while it looks ahead, before it gives the first event. The
    parser in Python gives each event as soon as it is read.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return _at(event.start_mark)
    except (yaml.YAMLError, ValueError, OverflowError):
        pass
    return None


# ---------------------------------------------------------------- nodes -> plain data


class _UnusableError(Exception):
    """A scalar that a spec cannot contain."""


class _Reader:
    """Turns nodes into plain data, and records places and problems. Nodes are never deeper than `MAX_DEPTH`."""

    def __init__(self, file: str, lines: tuple[str, ...], kind: FileKind) -> None:
        self._file = file
        self._lines = lines
        self._kind = kind
        self._places: dict[KeyPath, Place] = {}
        self._problems: list[Diagnostic] = []
        self._doubtful: set[KeyPath] = set()

    def document(self, root: _Node) -> Document:
        """Return the document under its top node."""
        if root.kind != "mapping":
            message = f"{self._kind.a_name} is a mapping with keys such as {self._kind.looks}"
            span = self._span(root)
            raise SpecError(
                (Diagnostic(self._file, span.position, message, "syntax", length=span.length),), self._lines
            )
        data = self._value(root, (), None)
        return Document(self._file, self._lines, data, self._places, tuple(self._problems), frozenset(self._doubtful))

    def _value(self, node: _Node, path: KeyPath, key: Span | None) -> Data:
        """Return the data of a node; a block mapping or list counts as written at its key."""
        self._places[path] = Place(key, key if node.block and key else self._span(node))
        if node.kind == "mapping":
            return dict(self._entries(node, path))
        if node.kind == "list":
            return [self._value(child, (*path, index), None) for index, child in enumerate(node.children)]
        try:
            return _scalar(node, self._kind)
        except _UnusableError as problem:
            self._note(node, str(problem), "number" if node.plain else "text")
            self._doubtful.add(path)
            return None

    def _entries(self, node: _Node, path: KeyPath) -> Iterator[tuple[str, Data]]:
        """Yield the entries of a mapping. One whose key is wrong stays, without a value, so that it does not seem missing."""
        first: dict[str, Span] = {}
        for key_node, value_node in zip(node.children[::2], node.children[1::2], strict=True):
            key, span = key_node.text, self._span(key_node)
            if key in first:
                line = first[key].position.line
                self._note(key_node, f"duplicate key {quoted(key)}; the first one is on line {line}", "duplicate-key")
                self._doubtful.add((*path, key))
                continue
            first[key] = span
            if self._is_key(key_node):
                yield key, self._value(value_node, (*path, key), span)
            else:
                self._doubtful.add((*path, key))
                yield key, None

    def _is_key(self, node: _Node) -> bool:
        """True if a node is text that may be a key; records a problem otherwise."""
        hint = "put it in double quotes"
        try:
            if node.kind != "scalar":
                self._note(node, f"a key must be text, not a {node.kind}", "key")
            elif node.plain and node.text == MERGE_KEY:
                advice = "write the keys out, or use an alias for the whole value"
                self._note(node, "merge keys are not supported", "key", advice)
            elif not isinstance(_scalar(node, self._kind), str):
                self._note(node, f"a key must be text; {quoted(node.text)} is not", "key", hint)
            else:
                return True
        except _UnusableError as problem:
            self._note(node, str(problem), "key", hint)
        return False

    def _note(self, node: _Node, message: str, rule: str, hint: str = "") -> None:
        span = self._span(node)
        self._problems.append(Diagnostic(self._file, span.position, message, rule, hint, span.length))

    def _span(self, node: _Node) -> Span:
        """Return the place of a node, as far as it stands on its first line."""
        start, end = node.start, node.end
        if node.block:
            length = 1
        elif start.line == end.line:
            length = end.column - start.column
        else:
            length = len(self._lines[start.line - 1].rstrip()) - start.column + 1
        return Span(start, max(1, length))


def _scalar(node: _Node, kind: FileKind) -> str | int | float | bool | None:
    """Resolve a scalar by the core schema of YAML 1.2."""
    text = node.text
    if not node.plain:
        if _SURROGATE.search(text):
            raise _UnusableError("an escape in this text is half of a surrogate pair")
        return text
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _NOT_FINITE.fullmatch(text):
        raise _UnusableError(f"{text} is not a number that {kind.a_name} can use")
    for form, base in ((_DECIMAL, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if form.fullmatch(text):
            return _integer(text, base)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    return text


def _integer(text: str, base: int) -> int:
    value = int(text[2:] if base != 10 else text, base) if len(text) <= 70 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise _UnusableError("this integer needs more than 64 bits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _UnusableError("this number is out of the range of a 64-bit float")
    return value
