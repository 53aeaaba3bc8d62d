"""Iteration over all sections of a spec without naming each."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec.structs import FieldInfo

from mlvitals.generator.spec.diagnostics import KeyPath
from mlvitals.generator.spec.durations import Duration
from mlvitals.generator.spec.model import Part, Path

_DURATION, _PATH = get_args(Duration)[1], get_args(Path)[1]


@cache
def fields(section: type[Part]) -> tuple[FieldInfo, ...]:
    """Return the fields of a type of section, in order."""
    return msgspec.structs.fields(section)


@cache
def duration_fields(section: type[Part]) -> tuple[FieldInfo, ...]:
    """Return the fields of a type of section that are durations."""
    return tuple(field for field in fields(section) if _holds(_DURATION, field.type))


@cache
def path_fields(section: type[Part]) -> tuple[FieldInfo, ...]:
    """Return the fields of a type of section that are files, folders or URLs."""
    return tuple(field for field in fields(section) if _holds(_PATH, field.type))


def _holds(kind: Any, annotation: Any) -> bool:
    """True if an annotated type is of a kind, or a union or container of it."""
    return kind in getattr(annotation, "__metadata__", ()) or any(_holds(kind, each) for each in get_args(annotation))


def sections(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Part]]:
    """Yield every section from a value inwards, outermost first, with its path."""
    if isinstance(value, Part):
        yield path, value
    for step, entry in _entries(value):
        if isinstance(entry, Part | dict | tuple):
            yield from sections(entry, (*path, step))


def texts(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield every text from a value inwards, in the order of the spec, with its path."""
    if isinstance(value, str):
        yield path, value
    for step, entry in _entries(value):
        yield from texts(entry, (*path, step))


def _entries(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, Part):
        return ((field.encode_name, getattr(value, field.name)) for field in fields(type(value)))
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, tuple | list) else ()
