"""Iteration over all sections of a spec without naming each."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, get_args

import msgspec
from msgspec.structs import FieldInfo

from mlvitals.generator.spec.diagnostics import KeyPath
from mlvitals.generator.spec.durations import Duration
from mlvitals.generator.spec.model import Part

_DURATION = get_args(Duration)[1]


@cache
def fields(section: type[Part]) -> tuple[FieldInfo, ...]:
    """Return the fields of a type of section, in order."""
    return msgspec.structs.fields(section)


@cache
def duration_fields(section: type[Part]) -> tuple[FieldInfo, ...]:
    """Return the fields of a type of section that are durations."""
    return tuple(field for field in fields(section) if _holds_duration(field.type))


def _holds_duration(annotation: Any) -> bool:
    return _DURATION in getattr(annotation, "__metadata__", ()) or any(map(_holds_duration, get_args(annotation)))


def sections(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Part]]:
    """Yield every section from a value inwards, outermost first, with its path."""
    if isinstance(value, Part):
        yield path, value
    for step, entry in _entries(value):
        if isinstance(entry, Part | dict | tuple):
            yield from sections(entry, (*path, step))


def _entries(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, Part):
        return ((field.encode_name, getattr(value, field.name)) for field in fields(type(value)))
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, tuple) else ()
