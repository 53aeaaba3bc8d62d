"""Validation against the schema: every violation in plain words, and the valid part of the data."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import Any, get_args

from jsonschema import Draft202012Validator, ValidationError, validators

from mlvitals.generator.spec.diagnostics import MERGE_KEY, KeyPath, Problem, did_you_mean, dotted, quoted
from mlvitals.generator.spec.durations import Duration
from mlvitals.generator.spec.schema import json_schema

MAX_VIOLATIONS = 2000

_DURATION_PATTERN = get_args(Duration)[1].pattern
_KINDS = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "empty",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_SIZES = {
    "minLength": ("least", "characters"),
    "maxLength": ("most", "characters"),
    "minItems": ("least", "entries"),
    "maxItems": ("most", "entries"),
    "minProperties": ("least", "entries"),
}
_YES_OR_NO = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_SMALLEST_SPEC: dict[str, Any] = {
    "version": 1,
    "system": {"name": "unnamed"},
    "prediction_log": {"path": "unnamed"},
    "features": {"\0": {}},
}


@dataclass(frozen=True)
class Violations:
    """The result of validation: the problems, and paths that need no further checks.

    `misspelt` are the absent keys that an unknown key was probably meant to be.
    """

    problems: tuple[Problem, ...]
    misspelt: frozenset[KeyPath]

    @property
    def paths(self) -> frozenset[KeyPath]:
        """The values that are wrong or missing."""
        return frozenset(problem.paths[0] for problem in self.problems)


def violations(data: dict[str, Any], doubtful: frozenset[KeyPath]) -> Violations:
    """Return the violations of the schema, at most `MAX_VIOLATIONS`, except those that only follow from another problem.

    Args:
        data: the data of the spec.
        doubtful: paths whose value is known to be wrong already.
    """
    every = chain.from_iterable(map(_violations, _validator().iter_errors(data)))
    found = tuple(islice(every, MAX_VIOLATIONS))
    misspelt = frozenset(violation.meant for violation in found if violation.meant)
    silent = doubtful | misspelt
    problems = (
        violation.problem
        for violation in found
        if violation.path not in silent and not (violation.missing and (*violation.path[:-1], MERGE_KEY) in silent)
    )
    return Violations(tuple(dict.fromkeys(problems)), misspelt)


@dataclass(frozen=True)
class SoundPart:
    """The valid part of data that violates the schema.

    `removed` are the places taken out, `kept` the indices of the items left of each list.
    """

    data: dict[str, Any]
    removed: frozenset[KeyPath]
    kept: dict[KeyPath, tuple[int, ...]]

    def original(self, path: KeyPath) -> KeyPath:
        """Return the original path of a value of this part."""
        whole: KeyPath = ()
        for step in path:
            whole = (*whole, self.kept[whole][step] if isinstance(step, int) and whole in self.kept else step)
        return whole


def sound_part(data: dict[str, Any], wrong: frozenset[KeyPath]) -> SoundPart:
    """Return the data without the wrong values, and without the sections that require these.

    Required sections are replaced by minimal ones.
    """
    validator, removed = _validator(), wrong
    while True:
        kept: dict[KeyPath, tuple[int, ...]] = {}
        part = SoundPart(_with_required_sections(_without(data, (), removed, kept)), removed, kept)
        unsound = chain.from_iterable(map(_unsound, validator.iter_errors(part.data)))
        remaining = {part.original(path) for path in unsound}
        if not remaining:
            return part
        removed |= remaining


def _unsound(error: ValidationError) -> Iterator[KeyPath]:
    """Yield the paths to remove for an error: wrong entries of a mapping, otherwise the whole value."""
    path: KeyPath = tuple(error.absolute_path)
    value: Any = error.instance
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        yield from ((*path, key) for key in value if key not in schema["properties"])
    else:
        yield (*path, value) if _concerns_key(error) else path


def _without(value: Any, path: KeyPath, removed: frozenset[KeyPath], kept: dict[KeyPath, tuple[int, ...]]) -> Any:
    if isinstance(value, dict):
        return {
            key: _without(entry, (*path, key), removed, kept)
            for key, entry in value.items()
            if (*path, key) not in removed
        }
    if isinstance(value, list):
        kept[path] = tuple(index for index in range(len(value)) if (*path, index) not in removed)
        return [_without(value[index], (*path, index), removed, kept) for index in kept[path]]
    return value


def _with_required_sections(data: dict[str, Any]) -> dict[str, Any]:
    whole = {**_SMALLEST_SPEC, **data}
    for section in ("system", "prediction_log"):
        whole[section] = {**_SMALLEST_SPEC[section], **whole[section]}
    return whole


# ---------------------------------------------------------------- errors of the library as messages


@dataclass(frozen=True)
class _Violation:
    problem: Problem
    missing: bool = False
    meant: KeyPath | None = None

    @property
    def path(self) -> KeyPath:
        return self.problem.paths[0]


@cache
def _validator() -> Any:
    """Return the library's validator, made as strict as msgspec: 1.0 is not an integer, and neither 1.0 nor true equals 1."""
    strict = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    extend: Any = validators.extend
    return extend(Draft202012Validator, {"enum": _enum}, type_checker=strict)(json_schema())


def _enum(_: Any, allowed: list[Any], value: Any, __: Any) -> Iterator[ValidationError]:
    if not any(type(value) is type(one) and value == one for one in allowed):
        yield ValidationError("not one of the allowed values")


def _concerns_key(error: ValidationError) -> bool:
    """True if a key of a mapping is wrong; the path is then the mapping's."""
    return "propertyNames" in list(error.relative_schema_path)[-2:-1]


def _violations(error: ValidationError) -> Iterator[_Violation]:
    path: KeyPath = tuple(error.absolute_path)
    value: Any = error.instance
    required: Any = error.validator_value
    if error.validator == "anyOf":
        for branch in error.context:
            if branch.validator_value != "null":
                yield from _violations(branch)
    elif error.validator == "additionalProperties":
        yield from _unknown_keys(path, value, error.schema)
    elif error.validator == "required":
        yield from _missing_keys(path, value, required)
    elif _concerns_key(error):
        yield _wrong_key((*path, value), error)
    elif error.validator != "items":  # a list that is too long is reported by maxItems
        yield _Violation(_wrong_value(path, error))


_REPLACED: dict[KeyPath, str] = {
    ("concept", "warning_run_length"): "false alarms are promised in time now: write false_warning_every: 10w",
    ("concept", "critical_run_length"): "false alarms are promised in time now: write false_page_every: 260w",
}
"""Keys of earlier versions, and what to write instead."""


def _unknown_keys(path: KeyPath, mapping: dict[str, Any], schema: Any) -> Iterator[_Violation]:
    known = schema["properties"]
    for key in mapping:
        if key not in known:
            absent = [name for name in known if name not in mapping]
            replaced = _REPLACED.get((*path, key), "")
            hint = replaced or did_you_mean(key, absent) or did_you_mean(key, known)
            meant = None if replaced else next((name for name in absent if quoted(name) in hint), None)
            inside = f" in {dotted(path)}" if path else ""
            yield _Violation(
                Problem(
                    ((*path, key),),
                    f"unknown key {quoted(key)}{inside}",
                    "unknown-key",
                    hint,
                    at_key=True,
                    complete=True,
                ),
                meant=(*path, meant) if meant else None,
            )


def _missing_keys(path: KeyPath, mapping: dict[str, Any], required: list[str]) -> Iterator[_Violation]:
    for key in required:
        if key not in mapping:
            message = f"{dotted(path)} lacks the required key {quoted(key)}"
            yield _Violation(Problem(((*path, key),), message, "missing-key", complete=True), missing=True)


def _wrong_key(path: KeyPath, error: ValidationError) -> _Violation:
    key = str(path[-1])
    message = f"the key {quoted(key)} in {dotted(path[:-1])} {_demand(error)}"
    return _Violation(Problem((path,), message, "key", at_key=True, complete=True))


def _wrong_value(path: KeyPath, error: ValidationError) -> Problem:
    keyword = str(error.validator)
    rule = {"type": "type", "enum": "choice", "pattern": "form"}.get(keyword, "range")
    found = "" if keyword in _SIZES else f", not {_found(error.instance)}"
    return Problem((path,), f"{_demand(error)}{found}", rule, _hint(error.instance, error.schema))


def _demand(error: ValidationError) -> str:
    """Return the schema's requirement on a value: ``must be at least 0 and at most 1``."""
    schema: Any = error.schema
    keyword = str(error.validator)
    if keyword in _BOUNDS:
        return "must be " + " and ".join(
            f"{words} {schema[bound]}" for bound, words in _BOUNDS.items() if bound in schema
        )
    if keyword in _SIZES:
        least, unit = _SIZES[keyword]
        bound = schema[keyword]
        return "must not be empty" if least == "least" and bound == 1 else f"must have at {least} {bound} {unit}"
    if "enum" in schema:
        choices = [quoted(choice) if isinstance(choice, str) else str(choice) for choice in schema["enum"]]
        return f"must be {'one of ' if len(choices) > 1 else ''}{', '.join(choices)}"
    return str(schema.get("patternErrorMessage") or f"must be {_KINDS[schema['type']]}")


def _found(value: Any) -> str:
    """Return a short description of the value in the spec."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        size = f" ({len(value)} characters)" if len(value) > 40 else ""
        return f"the text {quoted(value)}{size}"
    if isinstance(value, list | dict):
        kind = "list" if isinstance(value, list) else "mapping"
        return f"a {kind} of {len(value)}" if value else f"an empty {kind}"
    return f"the number {value}"


def _hint(value: Any, schema: Any) -> str:
    """Return a hint about what the author probably meant."""
    if value is None:
        return "give it a value, or leave the key out"
    if isinstance(value, str):
        return _hint_for_text(value, schema)
    if isinstance(value, bool | int | float) and schema.get("type") == "string":
        if schema.get("pattern") == _DURATION_PATTERN:
            return "" if isinstance(value, bool) else "write the unit: s, m, h, d or w"
        return "" if "pattern" in schema else "put it in quotes if text is meant"
    return ""


def _hint_for_text(text: str, schema: Any) -> str:
    if "enum" in schema:
        return did_you_mean(text, [choice for choice in schema["enum"] if isinstance(choice, str)])
    if schema.get("type") == "boolean":
        meant = _YES_OR_NO.get(text.lower())
        return f"write {meant}" if meant else ""
    if schema.get("type") in {"number", "integer"}:
        if text.endswith("%"):
            return "write a share as a number: 5% is 0.05"
        if text.strip("+-").replace("_", "").replace(".", "", 1).isdecimal():
            return "write the number without quotes and underscores"
    return ""
