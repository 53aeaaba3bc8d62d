"""A first spec, written from the columns of training data: to be read, corrected and committed.

Columns with a special role (time, id, score, outcome) are guessed by name and type, and every guess is marked.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mlvitals.generator.errors import UserError
from mlvitals.generator.spec.model import FeatureType, LogFormat

MAX_NAME = 200
"""Maximum length of a column's name in a spec."""

_TIMES = (
    "timestamp",
    "prediction_timestamp",
    "prediction_time",
    "predicted_at",
    "event_timestamp",
    "event_time",
    "created_at",
    "datetime",
    "time",
    "ts",
    "date",
)
_IDS = ("prediction_id", "request_id", "event_id", "transaction_id", "row_id", "uuid", "id")
_ENTITIES = ("entity_id", "user_id", "customer_id", "account_id", "item_id", "device_id")
_SCORES = (
    "score",
    "prediction_score",
    "model_score",
    "predicted_probability",
    "probability",
    "proba",
    "prediction",
    "predicted",
    "y_pred",
    "y_hat",
)
_OUTCOMES = (
    "outcome",
    "label",
    "target",
    "y_true",
    "y",
    "clicked",
    "converted",
    "purchased",
    "churned",
    "defaulted",
    "is_fraud",
    "fraud",
)
_OUTCOME_TIMES = ("outcome_timestamp", "outcome_time", "label_timestamp", "observed_at")
_NUMERIC = frozenset({FeatureType.FLOAT, FeatureType.INTEGER})
_LABELS = _NUMERIC | {FeatureType.BOOLEAN}
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""Words that some YAML readers, though not ours, do not read as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenColumn:
    """The summary of a column of training data."""

    name: str
    type: FeatureType | None
    """None if it cannot be measured, or is not a feature."""
    nullable: bool = False
    remark: str = ""
    """A description of the values, such as ``0 to 365``, or the reason why they are not measured. Printable text of one line."""
    unique: bool = False
    """True if every row has a different value."""
    times: bool = False
    """True if every value can be read as a point in time."""


class NoFeatureError(UserError):
    """None of the columns can be a feature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roles:
    """The columns with a special role, by role; None if no column was found for a role."""

    timestamp: SeenColumn | None
    id: SeenColumn | None
    entity: SeenColumn | None
    score: SeenColumn | None
    model_version: SeenColumn | None
    endpoint: SeenColumn | None
    outcome: SeenColumn | None
    outcome_timestamp: SeenColumn | None

    @property
    def names(self) -> frozenset[str]:
        found = (getattr(self, role) for role in self.__slots__)
        return frozenset(column.name for column in found if column)


def first_spec(system: str, columns: Sequence[SeenColumn], log_format: LogFormat, rows: int, decimal: str = ".") -> str:
    """Return the text of a spec for a system, which `mlvitals.generator.spec.load` accepts.

    Args:
        system: the system's name, valid in a spec.
        columns: the columns of the training data, in their order.
        log_format: the format of the prediction log.
        rows: number of rows read.
        decimal: the decimal mark of numbers, in CSV.

    Raises:
        NoFeatureError: no column can be a feature.
    """
    roles = _roles(columns)
    time_name = roles.timestamp.name if roles.timestamp else "timestamp"
    free = [column for column in columns if column.name not in roles.names | {time_name}]
    features = [column for column in free if column.type is not None and _has_room(column)]
    others = [column for column in free if column.type is None and _has_room(column)]
    if not features:
        raise NoFeatureError("no column of the training data can be a feature")
    return "\n".join(
        (
            *_head(system, rows),
            *_log(roles, log_format, decimal, time_name),
            *_others(others, sum(not _has_room(column) for column in free)),
            *_features(features),
            "",
        )
    )


def scalar(text: str) -> str:
    """Return text as a YAML scalar, quoted if it is more than a plain word."""
    import yaml  # noqa: PLC0415  (slow to import)

    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return quoted.removesuffix("\n")


def _has_room(column: SeenColumn) -> bool:
    return 0 < len(column.name) <= MAX_NAME


# ---------------------------------------------------------------- guesses


def _roles(columns: Sequence[SeenColumn]) -> _Roles:
    by_name = {column.name.lower(): column for column in reversed(columns) if _has_room(column)}
    taken: set[str] = set()

    def first(names: Sequence[str], suits: Callable[[SeenColumn], bool]) -> SeenColumn | None:
        for name in names:
            column = by_name.get(name)
            if column and column.name not in taken and suits(column):
                taken.add(column.name)
                return column
        return None

    timestamp = first(_TIMES, lambda column: column.times) or _only_time(columns)
    taken |= {timestamp.name if timestamp else "timestamp"}
    score = first(_SCORES, lambda column: column.type in _NUMERIC)
    outcome = first(_OUTCOMES, lambda column: column.type in _LABELS and _judgeable(column, score))
    return _Roles(
        timestamp=timestamp,
        id=first((*_IDS, *(name for name in by_name if name.endswith("_id"))), lambda column: column.unique),
        entity=first(_ENTITIES, lambda column: column.type is not FeatureType.FLOAT),
        score=score,
        model_version=first(("model_version",), lambda _: True),
        endpoint=first(("endpoint",), lambda _: True),
        outcome=outcome,
        outcome_timestamp=first(_OUTCOME_TIMES, lambda column: column.times) if outcome else None,
    )


def _only_time(columns: Sequence[SeenColumn]) -> SeenColumn | None:
    """Return the time column, if there is exactly one."""
    times = [column for column in columns if column.type is FeatureType.TIMESTAMP and _has_room(column)]
    return times[0] if len(times) == 1 else None


def _judgeable(outcome: SeenColumn, score: SeenColumn | None) -> bool:
    """True if an outcome can be judged: a binary one needs a score; a number is judged by the score too, if there is one."""
    return score is not None or outcome.type is not FeatureType.BOOLEAN


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


def _log(roles: _Roles, log_format: LogFormat, decimal: str, time_name: str) -> Iterator[str]:
    yield "# Where every prediction is recorded, with the features it was made from."
    yield "prediction_log:"
    yield "  path: predictions  # put the location of the log here: a folder, a file or a URL, relative to this file"
    yield f"  format: {log_format.value}  # guessed: the format of the training data"
    if decimal != ".":
        yield f'  decimal: "{decimal}"  # the decimal mark of the training data'
    found = "guessed by name and type" if roles.timestamp else "not found in the training data; the log needs one"
    yield f"  timestamp: {scalar(time_name)}  # when the prediction was made; {found}"
    parts = (("id", roles.id), ("entity", roles.entity), ("score", roles.score))
    for role, column in (*parts, ("model_version", roles.model_version), ("endpoint", roles.endpoint)):
        yield (
            f"  {role}: {scalar(column.name)}  # guessed by name and type"
            if column
            else f"  # {role}: no column was recognised"
        )
    yield from _outcome(roles)


def _outcome(roles: _Roles) -> Iterator[str]:
    outcome = roles.outcome
    if outcome is None:
        yield "  # outcome: what really happened; no column was recognised. See docs/outcomes.md"
        return
    kind = "binary" if outcome.type is FeatureType.BOOLEAN else "continuous"
    yield "  outcome:  # what really happened, known later; if it is in separate files, add path and id"
    yield f"    column: {scalar(outcome.name)}  # guessed by name and type"
    yield f"    kind: {kind}"
    if roles.outcome_timestamp:
        yield f"    timestamp: {scalar(roles.outcome_timestamp.name)}  # guessed by name and type"


def _others(others: Sequence[SeenColumn], nameless: int) -> Iterator[str]:
    if others:
        yield "  other_columns:  # known, and not measured"
        yield from (f"    - {scalar(column.name)}  # {column.remark}" for column in others)
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
