"""A first spec, written from what the columns of training data and of a log seem to be: to be read, corrected, committed.

Every guess is marked; `mlvitals.generator.spec.first_roles` makes them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.first_roles import MAX_NAME, Classes, Draft, LeftOut, Role, SeenColumn, draft, has_room
from mlvitals.generator.spec.model import FeatureType, LogFormat

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that some YAML readers, though not ours, do not read as text."""
_GUESSED = "guessed by name and type"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NoFeatureError(UserError):
    """None of the columns can be a feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The pace of a log, and the windows that suit it."""

    first: datetime
    last: datetime
    window: str
    """The length of a window, in the notation of specs."""
    rows_per_window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLog:
    """The prediction log, where it was given."""

    path: str
    format: LogFormat
    pace: Pace | None = None
    """None where its times could not be read."""
    decimal: str = "."
    """The decimal mark of numbers, in CSV."""


def first_spec(system: str, columns: Sequence[SeenColumn], log_format: LogFormat, rows: int) -> str:
    """Return the text of a spec for a system of which the training data alone are known."""
    return spec_text(system, draft(columns), log_format, rows, nameless=nameless(columns))


def nameless(columns: Sequence[SeenColumn]) -> int:
    """Return how many columns no spec can name."""
    return sum(not has_room(column) for column in columns)


def spec_text(
    system: str,
    found: Draft,
    log_format: LogFormat,
    rows: int,
    *,
    log: FoundLog | None = None,
    nameless: int = 0,
    decimal: str = ".",
) -> str:
    """Return the text of a spec for a system, which `mlvitals.generator.spec.load` accepts.

    Args:
        system: the system's name, valid in a spec.
        found: what the columns seem to be.
        log_format: the format of the training data.
        rows: number of rows read of them.
        log: the prediction log, if it was given.
        nameless: number of columns that no spec can name.
        decimal: the decimal mark of numbers in CSV.

    Raises:
        NoFeatureError: no column can be a feature.
    """
    time_name = found.name_of(Role.TIMESTAMP) or "timestamp"
    features = [column for column in found.features if column.name != time_name]
    others = [item for item in found.left_out if item.column.name != time_name]
    if not features:
        raise NoFeatureError("no column of the training data can be a feature")
    return "\n".join(
        (
            *_head(system, rows),
            *_log(
                found,
                log or FoundLog(path="predictions", format=log_format, decimal=decimal),
                time_name,
                is_given=log is not None,
            ),
            *_others(others, nameless),
            *_windows(log),
            *_serving(found),
            *_features(features),
            "",
        )
    )


def next_steps(spec_path: str, data: str, found: Draft, log: FoundLog | None) -> Iterator[str]:
    """Yield what could not be known, and what to do next: lines for people."""
    unknown = [
        *([] if log else ["where predictions are logged: set prediction_log.path"]),
        *(
            []
            if Role.TIMESTAMP in found.roles
            else ["when a prediction was made: the log needs prediction_log.timestamp"]
        ),
        *(
            []
            if Role.SCORE in found.roles or found.classes
            else ["the model's score: set prediction_log.score, or scores are not monitored"]
        ),
        *(
            []
            if Role.OUTCOME in found.roles
            else ["what came of predictions: set prediction_log.outcome (docs/outcomes.md)"]
        ),
        *([] if Role.ID in found.roles else ["what identifies a prediction: set prediction_log.id"]),
        *([] if log and log.pace else ["how long a window should be: windows.length is an hour"]),
    ]
    if unknown:
        yield "not known:"
        yield from (f"  {item}" for item in unknown)
    yield "next:"
    yield f"  read {spec_path}; every guess is marked"
    yield f"  mlvitals reference build {spec_path} --data {data} --promote"
    window = ""
    if log and log.pace:
        length = _length(log.pace.window)
        end = _EPOCH + (log.pace.last - _EPOCH) // length * length
        if end <= log.pace.first:  # no window is over yet
            end += length
        start = end - length
        window = f" --start {start:%Y-%m-%dT%H:%M} --end {end:%Y-%m-%dT%H:%M}"
    yield f"  mlvitals drift {spec_path}{window}"


def _length(window: str) -> timedelta:
    return timedelta(hours=int(window[:-1])) * (24 if window.endswith("d") else 1)


def scalar(text: str) -> str:
    """Return text as a YAML scalar, quoted if it is more than a plain word."""
    import yaml  # noqa: PLC0415  (slow to import)

    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.removesuffix("\n")


# ---------------------------------------------------------------- text


def _head(system: str, rows: int) -> Iterator[str]:
    yield f"# A first spec of {system}, from {rows:,} rows of training data. Read it, correct it, commit it."
    yield "# Guesses are marked as such; everything that is not here has a default. All sections: docs/spec.md"
    yield ""
    yield "version: 1"
    yield ""
    yield "system:"
    yield f"  name: {scalar(system)}"
    yield ""


def _log(found: Draft, log: FoundLog, time_name: str, *, is_given: bool) -> Iterator[str]:
    yield "# Where every prediction is recorded, with the features it was made from."
    yield "prediction_log:"
    where = "" if is_given else "  # put the location of the log here: a folder, a file or a URL, relative to this file"
    yield f"  path: {scalar(log.path)}{where}"
    yield f"  format: {log.format.value}{'' if is_given else '  # guessed: the format of the training data'}"
    if log.decimal != ".":
        yield f'  decimal: "{log.decimal}"  # the decimal mark of its numbers'
    source = "log" if is_given else "training data"
    known = _GUESSED if Role.TIMESTAMP in found.roles else f"not found in the {source}; the log needs one"
    yield f"  timestamp: {scalar(time_name)}  # when the prediction was made; {known}"
    for role in (Role.ID, Role.ENTITY, Role.SCORE, Role.MODEL_VERSION, Role.ENDPOINT):
        name = found.name_of(role)
        yield f"  # {role}: no column was recognised" if name is None else f"  {role}: {scalar(name)}  # {_GUESSED}"
    yield from _outcome(found)
    if found.segments:
        names = ", ".join(scalar(column.name) for column in found.segments)
        yield f"  segments: [{names}]  # results are also broken down by these; guessed: few values, a usual name"


def _outcome(found: Draft) -> Iterator[str]:
    outcome = found.roles.get(Role.OUTCOME)
    if outcome is None:
        yield "  # outcome: what really happened; no column was recognised. See docs/outcomes.md"
        return
    kind = "multiclass" if found.classes else "binary" if outcome.type is FeatureType.BOOLEAN else "continuous"
    yield "  outcome:  # what really happened, known later; if it is in separate files, add path and id"
    yield f"    column: {scalar(outcome.name)}  # {_GUESSED}"
    yield f"    kind: {kind}"
    if found.classes:
        yield from _classes(found.classes)
    if when := found.name_of(Role.OUTCOME_TIMESTAMP):
        yield f"    timestamp: {scalar(when)}  # {_GUESSED}"


def _classes(classes: Classes) -> Iterator[str]:
    if classes.prediction:
        yield f"    prediction: {scalar(classes.prediction)}  # the predicted class; {_GUESSED}"
    if classes.probabilities:
        yield f"    probabilities:  # the column of each class' probability; {_GUESSED}"
        yield from (f"      {scalar(name)}: {scalar(column)}" for name, column in classes.probabilities.items())
    else:
        yield f"    classes: [{', '.join(map(scalar, classes.names))}]"


def _windows(log: FoundLog | None) -> Iterator[str]:
    if log is None or log.pace is None:
        return
    pace = log.pace
    yield "windows:"
    yield (
        f"  length: {pace.window}  # guessed: about {pace.rows_per_window:,} rows each; the log goes from "
        f"{pace.first:%Y-%m-%d %H:%M} to {pace.last:%Y-%m-%d %H:%M} UTC"
    )
    yield ""


def _serving(found: Draft) -> Iterator[str]:
    if Role.ENDPOINT not in found.roles:
        yield "serving:"
        yield "  enabled: false  # guessed: nothing names an endpoint. With an application that serves: docs/serving.md"
        yield ""


def _others(others: Sequence[LeftOut], nameless: int) -> Iterator[str]:
    if others:
        yield "  other_columns:  # known, and not measured; each with the reason"
        yield from (f"    - {scalar(item.column.name)}  # {item.why}" for item in others)
    if nameless:
        yield f"  # left out because their names are empty or longer than {MAX_NAME} characters: {nameless} columns"
    yield ""


def _features(features: Sequence[SeenColumn]) -> Iterator[str]:
    yield "# The inputs of the model. Features that had nulls are nullable; any other feature alerts on its first null."
    yield "features:"
    for column in features:
        nullable = ", nullable: true" if column.nullable else ""
        remark = f"  # {column.remark}" if column.remark else ""
        yield f"  {scalar(column.name)}: {{type: {column.type}{nullable}}}{remark}"
