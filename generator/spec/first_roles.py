"""The roles that columns of training data and of a log seem to have, guessed from their names and from their values.

One table of names says what to look for, in the order of preference; what the values are decides. A name that the values
contradict is no evidence: a `score` from 300 to 850 is a feature, and a `time` that starts at 0 is a duration.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from mlvitals.generator.spec.model import FeatureType

MAX_NAME = 200
"""Maximum length of a column's name in a spec."""
ENOUGH_ROWS = 50
"""With fewer rows nothing follows from how often values occur."""
NEARLY_ALL = 0.95
"""From this share of nulls on, a column is left out."""
MOST_CODES = 10
"""Integers of at most this many different values are codes, unless they count something."""
MOST_SEGMENTS = 2
_ROWS_OF_A_CODE = 2
"""Rows that each code has on average at least: what hardly repeats is a number."""
_SEGMENT_LEVELS = range(2, 51)
_DISTINCT_AMOUNTS = 1000
"""Integers that differ in this many rows, in all of them, are names of rows."""
_OLDEST, _NEWEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenColumn:
    """The summary of a column of training data, or of a log."""

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
    rows: int = 0
    null_rate: float = 0.0
    levels: tuple[str, ...] | None = None
    """The different values as text, the most frequent first; None where there are too many, or they are not known."""
    top_share: float | None = None
    """The share of the most frequent value."""
    examples: tuple[str, ...] = ()
    """Some of the values of text."""
    low: float | None = None
    high: float | None = None
    whole: bool = False
    """True of numbers without fractions."""
    first: datetime | None = None
    """Of a column that can be read as times, as is `last`."""
    last: datetime | None = None


class Role(StrEnum):
    """The roles of columns that the spec names one by one."""

    TIMESTAMP = "timestamp"
    ID = "id"
    ENTITY = "entity"
    SCORE = "score"
    OUTCOME = "outcome"
    OUTCOME_TIMESTAMP = "outcome_timestamp"
    MODEL_VERSION = "model_version"
    ENDPOINT = "endpoint"


_MADE = "predict(ion|ed)|pred|request|inference|scor(ed|ing)|event|log(ged)?|created?|observation|transaction|trans"
_EVENTS = (
    "click(ed)?|convert(ed)?|conversion|purchased?|churn(ed)?|default(ed)?|fraud|spam|phishing|survived|subscribed"
    "|respond(ed)?|response|deny|denied|admitted|accepted|died|returned|cancell?ed|delayed|late|readmitted|approved|won|bought|attrition|exited"
)
NAMES: Mapping[Role, tuple[str, ...]] = {
    Role.TIMESTAMP: (
        rf"({_MADE})_(timestamp|time|datetime|date|ts|at|on)",
        "timestamp|ts|datetime|date_time",
        "time|date|created|time_hour|day|month|week|period",
        "(.*_)?(timestamp|datetime|date|time|ts)",
    ),
    Role.ID: (
        "(prediction|request|inference)_(id|uuid|key)",
        "(event|transaction|trans|row|record|order|trace|message)_(id|uuid|key|no|number)",
        "uuid|guid|id",
        ".*_(id|uuid|guid)",
    ),
    Role.ENTITY: (
        "entity_id",
        "(user|customer|client|account|member|subscriber|patient|household)_?(id|key|no|number|num)?",
        "(item|product|device|card|merchant|store|driver|vehicle|machine)_?(id|key|no|number|num)",
    ),
    Role.SCORE: (
        "(prediction|model|predicted)_(score|prob|proba|probability)|y_(pred_)?(proba|prob|score)|pred_(proba|prob|score)",
        "(proba|prob|probability|score)_(1|true|yes|positive|pos)",
        "proba|prob|probability|score|scores",
        "prediction|predictions|predicted|pred|y_pred|y_hat|yhat|forecast",
        ".*_(proba|prob|probability)",
        "(predicted|pred|forecast)_.*|.*_(prediction|predicted|pred|forecast|hat)",
        "(risk|propensity|relevance|ranking|anomaly|fraud|churn|default|model)_score",
    ),
    Role.OUTCOME: (
        "outcome|label|target|y_true|y|actual|actuals|ground_truth|truth",
        f"(is_|has_|was_)?({_EVENTS})(_flag|_label)?",
        "(true|actual|observed)_(label|value|outcome|class)|actual_.*|.*_(outcome|label|actual)",
        "class|labels|response",
        ".*_target|target_.*",
    ),
    Role.OUTCOME_TIMESTAMP: (
        "(outcome|label|labelled|feedback|ground_truth|target)_(timestamp|time|date|at|ts)|observed_at|resolved_at",
    ),
    Role.MODEL_VERSION: ("model_version",),
    Role.ENDPOINT: ("endpoint",),
}
"""By role, patterns of names in words joined by underscores, the clearest first."""

MOST_CLASSES = 100
"""A label of more different values is no class."""
_PROBABILITY_OF = (
    *("proba_", "prob_", "probability_", "p_", "score_", "pred_proba_", "pred_prob_", "y_proba_", "y_prob_"),
    *("y_pred_proba_", "predict_proba_", "predicted_probability_", "prediction_", "class_", "proba_class_", "p"),
)
"""The ways in which columns of the probabilities of classes are called, before the class."""
_PREDICTED = "prediction|predictions|predicted|pred|y_pred|y_hat|yhat|predicted_(class|label)"
_OF_THE_OTHER_CLASS = r"(.*_)?(proba|prob|probability|score)_(0|false|no|neg|negative)"
_NO_PREDICTION_TIME = re.compile(
    r"(^|_)(birth|dob|outcome|label|feedback|updated|modified|expir\w*|due|last|next|end|closed|signup|joined|hired|since"
    r"|dep|arr|departure|arrival|sched|air|duration|elapsed|response|egg)(_|$)"
)
"""Words of times other than that of the prediction."""
_INDEX = re.compile(r"unnamed(_\d+)*|index(_level_\d+)?|level_\d+|row_?names?|row_?(num|number|id|no)|row|x|")
_COORDINATES = frozenset({"x", "y", "z"})
"""Of all three, y is no label."""
_WEAK_INDEX = frozenset({"x", "row", "index", ""})
"""Names that other columns have too."""
_CODE = re.compile(
    r"(^|_)(id|code|cd|type|class|cat|category|group|region|zone|status|gender|sex|race|zip|zipcode|postal|postcode|fips|county"
    r"|district|state|country|origin|cluster|channel|plan|branch|store|dept|department|flight|quarter|weekday|dow)(_|$)"
)
"""Words of integers that name things."""
_COUNT = re.compile(
    r"(^|_)(n|num|nr|number|count|cnt|total|qty|quantity|amount|age|year|years|size|length|score|rank)(_|$)"
)
"""Words of integers that count or measure."""
_SEGMENT = re.compile(
    r"(^|_)(country|region|state|city|market|language|locale|device|platform|os|browser|channel|source|gender|sex|plan|tier"
    r"|segment|category|type|carrier|origin|species|island|store|department|product|brand|weather)(_|$)"
)


_DATES = (
    (re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})\b"), ("day", "month", "year")),
    (re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})\b"), ("year", "month", "day")),
    (re.compile(r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4}\b"), ()),
    (re.compile(r"\d{1,2}[ -][A-Za-z]{3,9}[ -]\d{4}\b"), ()),
)
"""Dates that people write and that cannot be read, with what their parts are."""
_MONTHS = 12


class Dates(NamedTuple):
    """Dates that cannot be read as they are written."""

    parts: tuple[tuple[int, int, int], ...]
    """Year, month and day of each, in order; empty where they are written in words."""
    remark: str
    """A description of the way they are written."""


def dates_of(column: SeenColumn, texts: Sequence[str] = ()) -> Dates | None:
    """Return how text that seems to hold dates is written; None of all other columns.

    Args:
        column: the column.
        texts: all of its different values, where they are known; else its examples are looked at.
    """
    values = [text.strip() for text in (texts or column.examples) if text]
    for pattern, names in _DATES:
        matches = [match for text in values if (match := pattern.match(text))]
        if values and len(matches) == len(values):
            return _dates(matches, names)
    return None


def _dates(matches: Sequence[re.Match[str]], names: tuple[str, ...]) -> Dates:
    if not names:
        return Dates((), f"dates written in words, like {matches[0][0]!r}")
    found = [tuple(map(int, match.groups())) for match in matches]
    other, doubt = names, ""
    if names[0] == "day":
        if max(second for _, second, _ in found) > _MONTHS:
            other = ("month", "day", "year")
        elif max(first for first, _, _ in found) <= _MONTHS:
            doubt = " or month/day/year, which cannot be told apart"
    ordered = sorted(
        (part[other.index("year")], part[other.index("month")], part[other.index("day")]) for part in found
    )
    return Dates(tuple(ordered), f"dates written {'/'.join(other)}{doubt}")


def words_of(name: str) -> str:
    """Return a name in lower-case words joined by underscores: ``yPred`` and ``Y-Pred`` are ``y_pred``."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")


def has_room(column: SeenColumn) -> bool:
    """True if a spec can name the column."""
    return 0 < len(column.name) <= MAX_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A column that is not monitored, and why; the reason is printable text of one line."""

    column: SeenColumn
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """The classes of a label, and the columns that predict them."""

    names: tuple[str, ...]
    probabilities: Mapping[str, str]
    """By class, the column of its probability; empty where there are none."""
    prediction: str | None = None
    """The column of the predicted class."""

    @property
    def columns(self) -> frozenset[str]:
        """Return the columns of the predictions."""
        return frozenset((*self.probabilities.values(), *((self.prediction,) if self.prediction else ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The guesses on columns: those with a role, features, and those that are left out."""

    roles: Mapping[Role, SeenColumn]
    features: Sequence[SeenColumn]
    left_out: Sequence[LeftOut]
    segments: Sequence[SeenColumn]
    label: SeenColumn | None = None
    """The column that the model seems to predict, also where it cannot be an outcome of the log."""
    classes: Classes | None = None
    """Of an outcome that is a class."""

    def name_of(self, role: Role) -> str | None:
        """Return the name of the column with a role."""
        return self.roles[role].name if role in self.roles else None


def draft(training: Sequence[SeenColumn], log: Sequence[SeenColumn] | None = None) -> Draft:
    """Guess what columns are.

    Args:
        training: the columns of the training data, in their order.
        log: those of the log, where one was given; roles are looked for in it first, and segments only in it.
    """
    known = {column.name: column for column in (*(log or ()), *training) if has_room(column)}
    roles, label, classes = _roles([column for column in known.values() if not _is_index(column)])
    named = {column.name for column in roles.values()} | (classes.columns if classes else set())
    features, left_out = [], []
    for column in (*training, *(log or ())):
        if column.name in named or known.get(column.name) is None:
            continue
        named.add(column.name)
        why = _why_left_out(column, label) or _not_in(column, training, log)
        if why or column.type is None:
            left_out.append(LeftOut(column=column, why=why or column.remark))
        else:
            features.append(_with_code(column))
    return Draft(
        roles=roles,
        features=features,
        left_out=left_out,
        segments=_segments(features, known if log else {}),
        label=label,
        classes=classes,
    )


def _not_in(column: SeenColumn, training: Sequence[SeenColumn], log: Sequence[SeenColumn] | None) -> str:
    if not any(column.name == other.name for other in training):
        return "in the log, and not in the training data"
    if log is not None and not any(column.name == other.name for other in log):
        return "in the training data, and not in the log"
    return ""


def without(found: Draft, suspects: Mapping[str, str]) -> Draft:
    """Return the draft without features that seem to know the label, by their name and why."""
    leaking = [
        LeftOut(column=column, why=suspects[column.name]) for column in found.features if column.name in suspects
    ]
    return replace(
        found,
        features=[column for column in found.features if column.name not in suspects],
        left_out=[*found.left_out, *leaking],
        segments=[column for column in found.segments if column.name not in suspects],
    )


# ---------------------------------------------------------------- roles


def _roles(
    columns: Sequence[SeenColumn],
) -> tuple[dict[Role, SeenColumn], SeenColumn | None, Classes | None]:
    """Return the columns with a role, what the model seems to predict, and which classes that are."""
    found: dict[Role, SeenColumn] = {}
    taken: set[str] = set()

    def look(role: Role, suits: Callable[[SeenColumn], bool]) -> SeenColumn | None:
        free = [column for column in columns if column.name not in taken and suits(column)]
        column = next(_by_name(role, free), None)
        if column:
            found[role] = column
            taken.add(column.name)
        return column

    if not look(Role.TIMESTAMP, _is_prediction_time) and (only := _only_time(columns)):
        found[Role.TIMESTAMP] = only
        taken.add(only.name)
    labels = [item for item in columns if _is_label(item) and item.name not in taken]
    if {words_of(column.name) for column in columns} >= _COORDINATES:
        labels = [item for item in labels if words_of(item.name) not in _COORDINATES]
    label = next(_by_name(Role.OUTCOME, labels), None)
    taken |= {label.name} if label else set()
    classes = _predicted_classes(label, [column for column in columns if column.name not in taken]) if label else None
    taken |= classes.columns if classes else set()
    score = look(Role.SCORE, lambda column: classes is None and _is_score(column, label))
    if label and (classes or _is_judgeable(label, score)):
        found[Role.OUTCOME] = label
        look(Role.OUTCOME_TIMESTAMP, _is_time)
    look(Role.ID, lambda column: column.unique)
    names = (FeatureType.CATEGORICAL, FeatureType.INTEGER, None)
    look(Role.ENTITY, lambda column: column.type in names and not _is_time(column))
    look(Role.MODEL_VERSION, lambda _: True)
    look(Role.ENDPOINT, lambda _: True)
    return found, label, classes


def _by_name(role: Role, columns: Sequence[SeenColumn]) -> Iterator[SeenColumn]:
    """Yield the columns whose name says the role, the clearest name first, in the order of the file."""
    for pattern in NAMES[role]:
        yield from (column for column in columns if re.fullmatch(pattern, words_of(column.name)))


def _is_time(column: SeenColumn) -> bool:
    """True if values are points in time; numbers only where they are of our days."""
    if not column.times:
        return False
    return column.low is None or (column.low >= _OLDEST and (column.high or 0) < _NEWEST)


def _is_prediction_time(column: SeenColumn) -> bool:
    return _is_time(column) and not _NO_PREDICTION_TIME.search(words_of(column.name))


def _only_time(columns: Iterable[SeenColumn]) -> SeenColumn | None:
    """Return the time column, if there is exactly one."""
    times = [column for column in columns if column.type is FeatureType.TIMESTAMP]
    return times[0] if len(times) == 1 else None


def _is_probability(column: SeenColumn) -> bool:
    return column.low is not None and column.high is not None and column.low >= 0 and column.high <= 1


def _is_score(column: SeenColumn, label: SeenColumn | None) -> bool:
    """True if numbers can be what a model says of such a label."""
    if column.type not in (FeatureType.FLOAT, FeatureType.INTEGER):
        return False
    words = words_of(column.name)
    if column.low is None:  # nothing is known of the values
        return True
    if re.fullmatch(r"(.*_)?(proba|prob|probability)(_\w+)?|.+_score", words):
        return _is_probability(column) and not re.fullmatch(_OF_THE_OTHER_CLASS, words)
    return _is_probability(column) or label is None or label.type not in (FeatureType.BOOLEAN, FeatureType.CATEGORICAL)


def _is_label(column: SeenColumn) -> bool:
    """True if values can be what came of a prediction: two of them, a few, or numbers."""
    if column.times and column.type is FeatureType.TIMESTAMP:
        return False
    if column.type is FeatureType.CATEGORICAL:
        return column.levels is not None and len(column.levels) <= 100
    return column.type is not None


def _predicted_classes(label: SeenColumn, columns: Sequence[SeenColumn]) -> Classes | None:
    """Return the classes of a label that some columns predict: by the probability of each, or by their names."""
    names = _class_names(label)
    if names is None:
        return None
    probabilities = _probabilities(names, [column for column in columns if _is_probability(column)])
    known = {*names}
    predictions = (
        column.name
        for column in columns
        if re.fullmatch(_PREDICTED, words_of(column.name))
        and column.levels is not None
        and {_as_class(level) for level in column.levels} <= known
    )
    prediction = next(predictions, None)
    if not probabilities and prediction is None:
        return None
    return Classes(names=names, probabilities=probabilities, prediction=prediction)


def _class_names(label: SeenColumn) -> tuple[str, ...] | None:
    """Return the classes of a label in their order; None where it has other values, or too many."""
    of_classes = label.type is FeatureType.CATEGORICAL or (
        label.type is not FeatureType.BOOLEAN and _are_classes(label)
    )
    if not of_classes or label.levels is None or not 2 <= len(label.levels) <= MOST_CLASSES:
        return None
    names = [_as_class(level) for level in label.levels]
    if not all(0 < len(name) <= MAX_NAME for name in names):
        return None
    numbers = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return tuple(sorted(names, key=int if numbers else str))


def _as_class(level: str) -> str:
    """Return a value as classes are written: pandas makes floats of integers where some are missing."""
    return re.sub(r"^(-?[0-9]+)\.0$", r"\1", level)


def _probabilities(names: Sequence[str], columns: Sequence[SeenColumn]) -> Mapping[str, str]:
    """Return the column of each class' probability, named after the class or after its place; empty if one is missing."""
    by_words = {words_of(column.name): column.name for column in columns}
    places = [str(place) for place in range(len(names))]
    for endings in ([words_of(name) for name in names], places):
        for start in _PROBABILITY_OF:
            found = {
                name: by_words[f"{start}{ending}"]
                for name, ending in zip(names, endings, strict=True)
                if f"{start}{ending}" in by_words
            }
            if len(found) == len(names) and len({*found.values()}) == len(names):
                return found
    return {}


def _is_judgeable(label: SeenColumn, score: SeenColumn | None) -> bool:
    """True if a label can be the outcome of a log: a binary one needs a score, and text or codes are no outcome yet."""
    if label.type is FeatureType.BOOLEAN:
        return score is not None
    return label.type is not FeatureType.CATEGORICAL and not _are_classes(label)


def _are_classes(label: SeenColumn) -> bool:
    return label.rows >= ENOUGH_ROWS and label.whole and label.levels is not None and len(label.levels) <= MOST_CODES


# ---------------------------------------------------------------- features


def _is_index(column: SeenColumn) -> bool:
    """True if a column only numbers the rows, as what pandas and R write of their index."""
    words = words_of(column.name)
    if column.type is FeatureType.FLOAT or not _INDEX.fullmatch(words):
        return _numbers_rows(column) and column.rows >= ENOUGH_ROWS and not _says_id(words)
    return words not in _WEAK_INDEX or _numbers_rows(column)


def _says_id(words: str) -> bool:
    return any(re.fullmatch(pattern, words) for pattern in NAMES[Role.ID])


def _numbers_rows(column: SeenColumn) -> bool:
    return (
        column.unique and column.whole and column.low in (0, 1) and column.high == column.rows - 1 + (column.low or 0)
    )


def _why_left_out(column: SeenColumn, label: SeenColumn | None) -> str:
    """Return the reason not to monitor a column; empty where none is known."""
    if label is not None and column.name == label.name:
        if label.type is FeatureType.BOOLEAN:
            return "the label, by its name; an outcome of the log once a score is there too"
        return f"the label, by its name; {_classes(label)}, and no column was recognised that predicts them"
    return _why_by_name(column) or (_why_by_values(column) if column.rows >= ENOUGH_ROWS else "")


def _why_by_name(column: SeenColumn) -> str:
    if _is_index(column):
        return "numbers the rows, as an index does"
    words = words_of(column.name)
    if column.type in (FeatureType.BOOLEAN, FeatureType.CATEGORICAL) and re.fullmatch(_PREDICTED, words):
        return "the predicted class, by its name"
    if re.fullmatch(_OF_THE_OTHER_CLASS, words) and _is_probability(column):
        return "the score of the other class, by its name"
    return ""


def _why_by_values(column: SeenColumn) -> str:
    if written := dates_of(column):
        return f"{written.remark}; write them as ISO 8601, like 2026-03-01"
    return next(_reasons(column), "") if column.type is not None else ""


def _reasons(column: SeenColumn) -> Iterator[str]:
    """Yield what speaks against measuring a column whose values could be."""
    if column.levels is not None and len(column.levels) == 1 and not column.nullable:
        yield f"always {column.levels[0][:40]}"
    if column.null_rate >= NEARLY_ALL:
        yield f"{column.null_rate:.2%} null"
    if column.type is FeatureType.INTEGER:
        named = column.rows >= _DISTINCT_AMOUNTS or _says_id(words_of(column.name))
        if column.unique and named:
            yield "an integer that differs in every row, as an id does"
        if column.levels is None and _is_code(column):
            yield "too many different integers for codes"
    if column.type is FeatureType.CATEGORICAL and column.levels is not None:
        present = column.rows * (1 - column.null_rate)
        if len(column.levels) > max(present / 2, MOST_CODES):
            yield f"{len(column.levels):,} different values in {present:,.0f} rows, as a name has"


def _classes(label: SeenColumn) -> str:
    return f"{len(label.levels):,} classes" if label.levels else "text"


def _with_code(column: SeenColumn) -> SeenColumn:
    """Return integers that name things as categories."""
    if column.type is not FeatureType.INTEGER or column.levels is None or column.rows < ENOUGH_ROWS or _is_time(column):
        return column
    count = len(column.levels)
    words = words_of(column.name)
    counts = bool(_COUNT.search(words)) or (words.endswith("s") and not words.endswith(("ss", "us")))
    named = _is_code(column) and count * _ROWS_OF_A_CODE <= column.rows
    if named or (count <= MOST_CODES and not counts):
        kept = ", ".join(part for part in column.remark.split(", ") if part.endswith("null"))
        remark = f"{count:,} different integers, taken for codes" + (f", {kept}" if kept else "")
        return replace(column, type=FeatureType.CATEGORICAL, remark=remark)
    return column


def _is_code(column: SeenColumn) -> bool:
    words = words_of(column.name)
    return bool(_CODE.search(words)) and not _COUNT.search(words)


def _segments(features: Sequence[SeenColumn], known: Mapping[str, SeenColumn]) -> list[SeenColumn]:
    """Return the features by which results are worth breaking down: few values, none of nearly all rows, a usual name."""
    found = [
        column
        for column in features
        if column.type is FeatureType.CATEGORICAL
        and column.levels is not None
        and len(column.levels) in _SEGMENT_LEVELS
        and (column.top_share or 0) < NEARLY_ALL
        and _SEGMENT.search(words_of(column.name))
        and (not known or column.name in known)
    ]
    return sorted(found, key=lambda column: len(column.levels or ()))[:MOST_SEGMENTS]
