r"""The monitoring spec as typed, frozen values: the one file that a user of mlvitals writes.

Every field has its meaning, unit and bounds here and nowhere else: the JSON Schema that editors and the
loader use is generated from these types (`mlvitals.generator.spec.schema`), so schema and model cannot differ.
Only shapes and ranges are here; rules between sections are in `mlvitals.generator.spec.rules`. A section given in part
keeps the defaults of the place it stands in for the rest (`mlvitals.generator.spec.defaults`).

Patterns end in ``$(?!\n)``: Python's ``$`` alone would let a trailing newline through.
"""

import re
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mlvitals.generator.spec.durations import Duration, duration, milliseconds


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the spec: immutable, and strict about its keys."""


Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]*$(?!\n)",
        max_length=40,
        description="A lower-case identifier: a letter, then letters, digits or underscores; at most 40 characters.",
        extra_json_schema={
            "patternErrorMessage": "must be a lower-case letter, then lower-case letters, digits or underscores"
        },
    ),
]
Text = Annotated[str, Meta(max_length=2000, description="Free text for people, in dashboards and runbooks.")]
LabelName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]*$(?!\n)",
        max_length=40,
        description="A Prometheus label: a lower-case letter, then letters, digits or underscores.",
        extra_json_schema={
            "patternErrorMessage": "must be a lower-case letter, then lower-case letters, digits or underscores"
        },
    ),
]
LabelValue = Annotated[
    str,
    Meta(
        pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)",
        max_length=100,
        extra_json_schema={"patternErrorMessage": "must be text on one line"},
    ),
]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
Path = Annotated[
    str, Meta(min_length=1, description="A file, folder or URL. A relative path starts at the spec's folder.")
]
Column = Annotated[str, Meta(min_length=1, max_length=200, description="A column of the prediction log.")]
Ratio = Annotated[float, Meta(ge=0, le=1, description="A share between 0 and 1.")]
NonNegative = Annotated[float, Meta(ge=0)]
Objective = Annotated[
    float, Meta(gt=0, lt=1, description="A share above 0 and below 1; 1 would leave no error budget.")
]
Port = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.\[\]:-]+:[0-9]{1,5}$(?!\n)",
        description="HOST:PORT",
        extra_json_schema={"patternErrorMessage": "must be HOST:PORT, such as localhost:9108"},
    ),
]
HttpUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s]+$(?!\n)",
        max_length=2000,
        description="An http or https URL.",
        extra_json_schema={"patternErrorMessage": "must be a URL that starts with http:// or https://"},
    ),
]
PromQL = Annotated[str, Meta(min_length=1, max_length=4000)]
UtcTime = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z$(?!\n)",
        description="A time in UTC, such as 2026-03-03T08:00Z.",
        extra_json_schema={"patternErrorMessage": "must be a time in UTC such as 2026-03-03T08:00Z"},
    ),
]
ClockTime = Annotated[
    str,
    Meta(
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$(?!\n)",
        description="A time of day, 00:00 to 24:00.",
        extra_json_schema={"patternErrorMessage": "must be a time of day such as 08:30, from 00:00 to 24:00"},
    ),
]


class Severity(StrEnum):
    """The severity of an alert: info stays silent, warning goes to chat, critical pages.

    None is only for the dead man's switch, which fires while all is well.
    """

    NONE = "none"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


# ---------------------------------------------------------------- system and serving


class System(Part, frozen=True, kw_only=True):
    """The monitored system and its owner."""

    name: Annotated[Name, Meta(description="Identifies the system, and prefixes all its metrics.")]
    title: Annotated[Label, Meta(description="The display name. Default: the name.")] | None = None
    description: Text = ""
    team: Annotated[Label, Meta(description="The owning team; a label of every alert.")] = "ml-platform"
    environment: Annotated[
        Label, Meta(description="Where it runs, as runbooks say it; `identity` separates environments.")
    ] = "production"


class Identity(Part, frozen=True, kw_only=True):
    """Labels by which this system differs from others in the same Prometheus, such as those of another environment."""

    labels: Annotated[
        dict[LabelName, LabelValue],
        Meta(
            description="Labels that the scraped series carry (env, cluster, namespace). They are added to scrape "
            "configurations, and to every selector, rule, group, silence and dashboard."
        ),
    ] = {}
    alert_labels: Annotated[dict[LabelName, LabelValue], Meta(description="More labels of every alert.")] = {}
    alert_annotations: Annotated[dict[LabelName, Text], Meta(description="More annotations of every alert.")] = {}


class ServerPreset(StrEnum):
    """Model servers whose own metrics are understood."""

    KSERVE = "kserve"
    SELDON = "seldon"
    MLSERVER = "mlserver"
    TRITON = "triton"
    BENTOML = "bentoml"
    RAY_SERVE = "ray_serve"
    TORCHSERVE = "torchserve"
    VLLM = "vllm"


class Serving(Part, frozen=True, kw_only=True):
    """The application that serves predictions, instrumented with `PredictionTelemetry`, or a model server."""

    enabled: Annotated[
        bool, Meta(description="False if predictions are made in batches, so that there is nothing to scrape.")
    ] = True
    preset: (
        Annotated[
            ServerPreset,
            Meta(
                description="The model server that answers, if the application has no `PredictionTelemetry`: its own metrics "
                "are read instead, as far as it has them."
            ),
        ]
        | None
    ) = None
    job: (
        Annotated[
            Label,
            Meta(
                description="The Prometheus job of the application. Default: NAME-serving. If given, only its series count: "
                "another job may scrape the same processes."
            ),
        ]
        | None
    ) = None
    targets: Annotated[tuple[Port, ...], Meta(description="Where Prometheus scrapes the application.")] = ()
    stages: Annotated[
        tuple[Name, ...], Meta(description="Parts of a request whose latency is measured, in addition to the total.")
    ] = ("feature_retrieval", "inference")
    replicas: (
        Annotated[int, Meta(ge=1, description="Instances expected. Fewer alert; null: only if not a single one is up.")]
        | None
    ) = None
    endpoints: Annotated[tuple[Label, ...], Meta(description="Endpoints with series of their own.")] = ("/predict",)
    error_types: Annotated[
        tuple[Label, ...], Meta(description="Error types of failed predictions, exported as 0 from the start.")
    ] = (
        "timeout",
        "invalid_input",
        "internal",
    )
    gpu: Annotated[bool, Meta(description="The application runs on GPUs and reports their utilisation.")] = False


# ---------------------------------------------------------------- measured data


class OutcomeKind(StrEnum):
    """The kind of outcome, which determines the performance metrics."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    CONTINUOUS = "continuous"
    RANKING = "ranking"


class LogFormat(StrEnum):
    """File formats of the prediction log."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"
    FEATHER = "feather"
    SQL = "sql"


Decimal = Annotated[Literal[".", ","], Meta(description="The decimal mark of numbers in CSV.")]


class Outcome(Part, frozen=True, kw_only=True):
    """The actual outcome of a prediction, known later."""

    column: Column
    kind: OutcomeKind = OutcomeKind.BINARY
    path: (
        Annotated[Path, Meta(description="The location of outcomes, if they are not in the prediction log.")] | None
    ) = None
    format: Annotated[LogFormat, Meta(description="The format of the data at path. Default: the log's.")] | None = None
    decimal: (
        Annotated[Decimal, Meta(description="The decimal mark of its numbers in CSV. Default: the log's.")] | None
    ) = None
    table: Annotated[Label, Meta(description="The table, if path is a SQLAlchemy URL.")] | None = None
    password_file: Annotated[Path, Meta(description="File that contains the password of that database.")] | None = None
    id: (
        Annotated[Column, Meta(description="The prediction's id in the outcome file. Default: the log's id column.")]
        | None
    ) = None
    timestamp: Annotated[Column, Meta(description="When the outcome was observed.")] | None = None
    prediction: (
        Annotated[
            Column,
            Meta(
                description="The predicted value. Default: the score column. For multiclass the predicted class. Default: the "
                "most probable one."
            ),
        ]
        | None
    ) = None
    classes: Annotated[
        tuple[Label, ...],
        Meta(description="For multiclass: the names of all classes. Default: those of probabilities."),
    ] = ()
    probabilities: Annotated[
        dict[Label, Column], Meta(description="For multiclass: the column of each class' predicted probability.")
    ] = {}
    max_delay: Annotated[Duration, Meta(description="An outcome that arrives later than this is rejected.")] = "24h"
    threshold: Annotated[Ratio, Meta(description="A binary score at or above this is a positive prediction.")] = 0.5
    expected_rate: (
        Annotated[
            Objective,
            Meta(
                description="Expected share of mature predictions that receive an outcome. Default: the share in "
                "the reference if some of its rows have no outcome, otherwise the share of the week before."
            ),
        ]
        | None
    ) = None
    minimum_rows: Annotated[
        int, Meta(ge=2, description="With fewer outcomes than this, a window is shown but not judged.")
    ] = 100
    list: Annotated[Column, Meta(description="For ranking: the list in which a row was shown.")] | None = None
    item: Annotated[Column, Meta(description="For ranking: the item that was shown, for the coverage.")] | None = None
    catalogue: Annotated[int, Meta(ge=1, description="For ranking: the number of items that can be shown.")] | None = (
        None
    )
    top: Annotated[int, Meta(ge=1, le=1000, description="For ranking: the number of top positions that count, k.")] = 10

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order in which they are shown."""
        return self.classes or tuple(self.probabilities)


class PredictionLog(Part, frozen=True, kw_only=True):
    """The log of predictions and the features they were made from."""

    path: Path
    format: LogFormat = LogFormat.PARQUET
    decimal: Decimal = "."
    table: Annotated[Label, Meta(description="The table, if path is a SQLAlchemy URL.")] | None = None
    password_file: Annotated[Path, Meta(description="File that contains the database's password.")] | None = None
    timestamp: Annotated[
        Column, Meta(description="When the prediction was made (UTC unless a time zone is given).")
    ] = "timestamp"
    id: Annotated[Column, Meta(description="Identifies one prediction; outcomes are joined by it.")] | None = None
    entity: Annotated[Column, Meta(description="The user or item predicted for; needed for row-level skew.")] | None = (
        None
    )
    score: Annotated[Column, Meta(description="The model's output.")] | None = None
    group: (
        Annotated[
            Column,
            Meta(
                description="What rows of one event have in common, such as a storm, a batch or a session: the noise of "
                "the gap to the outcomes, and of drift statistics, is then counted in groups, not in rows."
            ),
        ]
        | None
    ) = None
    model_version: Column | None = None
    endpoint: Column | None = None
    outcome: Outcome | None = None
    segments: Annotated[tuple[Column, ...], Meta(description="Columns by which results are also broken down.")] = ()
    other_columns: Annotated[
        tuple[Column, ...], Meta(description="Other columns of the log, known but not measured.")
    ] = ()
    max_segments: Annotated[
        int, Meta(ge=1, le=1000, description="Values kept per segment column; the rest is 'other'.")
    ] = 20


class CalendarUnit(StrEnum):
    """The calendar's unit that is a window."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_LONGEST_UNIT: dict[CalendarUnit, Duration] = {
    CalendarUnit.DAY: "1d",
    CalendarUnit.WEEK: "1w",
    CalendarUnit.MONTH: "31d",
}
_MEAN_UNIT: dict[CalendarUnit, Duration] = {**_LONGEST_UNIT, CalendarUnit.MONTH: "30d10h29m6s"}
"""A month is a twelfth of the 365.2425 days of a year."""


def longest_of(unit: CalendarUnit, time_zone: str) -> Duration:
    """Return the longest that a calendar window may be: an hour more where clocks may be set back."""
    return _LONGEST_UNIT[unit] if time_zone == "UTC" else f"{_LONGEST_UNIT[unit]}1h"


class Windows(Part, frozen=True, kw_only=True):
    """The interval of the log that is one measurement, and how often it is measured."""

    length: (
        Annotated[
            Duration,
            Meta(
                description="How much of the log one measurement covers. Default: 1h. With rows: how long a window is at most; "
                "default: 1d."
            ),
        ]
        | None
    ) = None
    step: Annotated[Duration, Meta(description="How often a window ends. Default: the length.")] | None = None
    calendar: (
        Annotated[
            CalendarUnit,
            Meta(description="Instead of a length: windows are the days, weeks (from Monday) or months of time_zone."),
        ]
        | None
    ) = None
    time_zone: Annotated[Label, Meta(description="With calendar: such as Europe/Berlin.")] = "UTC"
    rows: (
        Annotated[
            int,
            Meta(
                ge=100,
                description="Instead of a step: a window ends as soon as it holds this number of rows, or after length. Promises "
                "in time are kept at telemetry.predictions_per_day.",
            ),
        ]
        | None
    ) = None
    grace: Annotated[Duration, Meta(description="How long after its end a window is measured, for late rows.")] = "5m"
    catch_up: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Number of missed windows measured after an interruption: the newest ones, in order of time.",
        ),
    ] = 24
    score_count: (
        Annotated[int, Meta(ge=100, description="Number of newest scores that are also monitored; null: none.")] | None
    ) = 10_000


class Condition(StrEnum):
    """The condition of a reference, so that 3 a.m. is compared with 3 a.m."""

    NONE = "none"
    HOUR_OF_DAY = "hour_of_day"
    DAY_OF_WEEK = "day_of_week"
    HOUR_OF_WEEK = "hour_of_week"


class Reference(Part, frozen=True, kw_only=True):
    """The baseline: the distribution of the data that trained the production model."""

    store: Annotated[Path, Meta(description="A folder, or an MLflow tracking URI as mlflow+URI.")] = "references"
    alias: Annotated[Name, Meta(description="The alias that marks the active version.")] = "production"
    condition: Condition = Condition.NONE
    bins: Annotated[int, Meta(ge=2, le=100, description="Quantile cells of a feature.")] = 10
    score_bins: Annotated[int, Meta(ge=2, le=100, description="Quantile cells of the score.")] = 20
    knots: Annotated[
        int, Meta(ge=100, le=100_000, description="Knots of the stored ECDF; D is exact to about 1/knots.")
    ] = 1000
    min_rows_per_bin: Annotated[
        int,
        Meta(
            ge=1,
            description="With fewer rows than this times the cells, neighbouring cells are merged, unless PSI exceeds its "
            "noise floor on all of them.",
        ),
    ] = 100
    timestamp: Annotated[Column, Meta(description="The training data's time column. Default: the log's.")] | None = None


class FeatureType(StrEnum):
    """The type as which a column is measured."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORICAL = "categorical"
    TIMESTAMP = "timestamp"


class Levels(Part, frozen=True, kw_only=True):
    """Levels of a metric for information, action and paging."""

    info: Annotated[NonNegative, Meta(description="The level from which it is worth a note.")] | None = None
    warning: (
        Annotated[NonNegative, Meta(description="The level from which somebody has to act within days.")] | None
    ) = None
    critical: Annotated[NonNegative, Meta(description="The level from which somebody is paged.")] | None = None


class FeatureThresholds(Part, frozen=True, kw_only=True):
    """Thresholds of one feature that differ from the system's."""

    psi: Levels | None = None
    ks: Levels | None = None
    js: Levels | None = None
    wasserstein: Levels | None = None
    null_rate: Levels | None = None
    out_of_range_ratio: Levels | None = None
    mean_shift: (
        Annotated[Levels, Meta(description="Distance of the means in reference standard deviations.")] | None
    ) = None
    variance_ratio: (
        Annotated[tuple[NonNegative, NonNegative], Meta(description="Lowest and highest valid ratio.")] | None
    ) = None
    cardinality_change: Levels | None = None
    new_category_ratio: Levels | None = None
    vanished_categories: Levels | None = None
    infinite_ratio: Levels | None = None
    range_excess: Levels | None = None


class Feature(Part, frozen=True, kw_only=True):
    """One input of the model."""

    type: FeatureType = FeatureType.FLOAT
    nullable: Annotated[bool, Meta(description="True if it may be null; otherwise any null value alerts.")] = False
    source: Annotated[Label, Meta(description="The freshness source that supplies it.")] | None = None
    column: Annotated[Column, Meta(description="Its column in the log. Default: the feature's name.")] | None = None
    description: Text = ""
    minimum: Annotated[float, Meta(description="Smallest valid value. Default: the reference's.")] | None = None
    maximum: Annotated[float, Meta(description="Largest valid value. Default: the reference's.")] | None = None
    bins: Annotated[int, Meta(ge=2, le=100, description="Its quantile cells. Default: reference.bins.")] | None = None
    skew: Annotated[
        Literal["psi", "ks", "js"], Meta(description="The statistic that measures training-serving skew.")
    ] = "psi"
    thresholds: FeatureThresholds = FeatureThresholds()


class Source(Part, frozen=True, kw_only=True):
    """An upstream source of features, and how its age is determined."""

    max_age: Annotated[Duration, Meta(description="Data older than this is stale; older than twice this is critical.")]
    description: Text = ""
    path: Annotated[Path, Meta(description="Age of the newest file or object here.")] | None = None
    column: Annotated[Column, Meta(description="With path: the newest value of this column instead.")] | None = None
    database: Annotated[str, Meta(min_length=1, description="SQLAlchemy URL without a password.")] | None = None
    password_file: Path | None = None
    query: (
        Annotated[str, Meta(min_length=1, description="With database: a query that returns one timestamp.")] | None
    ) = None
    url: Annotated[HttpUrl, Meta(description="A JSON health endpoint.")] | None = None
    field: Annotated[str, Meta(min_length=1, description="With url: the dotted path of the timestamp.")] | None = None
    tolerance: Annotated[Duration, Meta(description="A timestamp this far in the future is still valid.")] = "1m"


class SkewJoin(StrEnum):
    """The way in which a prediction is matched with its features recomputed offline."""

    ID = "id"
    ENTITY = "entity"
    WINDOW = "window"


class Skew(Part, frozen=True, kw_only=True):
    """Training-serving skew: features logged at serving compared with those recomputed offline."""

    path: Annotated[Path, Meta(description="Features recomputed offline, one row per entity and time.")] | None = None
    format: Annotated[LogFormat, Meta(description="Format of its files; sql is not supported here.")] = (
        LogFormat.PARQUET
    )
    decimal: Decimal = "."
    join: (
        Annotated[
            SkewJoin,
            Meta(
                description="id: the row of the same prediction. entity: the entity's latest row at or before the "
                "prediction. window: no rows are matched, only distributions are compared. Default: entity if the "
                "log names one, otherwise id if the log names one, otherwise window."
            ),
        ]
        | None
    ) = None
    key: Annotated[
        Column, Meta(description="The id or entity in the offline rows. Default: its column in the log.")
    ] | (None) = None
    timestamp: (
        Annotated[
            Column,
            Meta(
                description="The time from which an offline row is valid; with id or window, the time of its "
                "prediction. Default: the log's."
            ),
        ]
        | None
    ) = None
    max_age: Annotated[Duration, Meta(description="With entity: an older row does not match a prediction.")] = "48h"
    delay: Annotated[
        Duration,
        Meta(description="How long after a window its offline rows are complete; skew is measured that much later."),
    ] = "0s"
    tolerance: Annotated[float, Meta(ge=0, description="Relative difference up to which floats count as equal.")] = 1e-6


class Concept(Part, frozen=True, kw_only=True):
    """Control charts on the gap between predictions and outcomes."""

    false_warning_every: Annotated[
        Duration,
        Meta(
            description="Average time without change between false alarms of the EWMA; at least 10 windows, however long "
            "these are."
        ),
    ] = "10w"
    false_page_every: Annotated[
        Duration,
        Meta(
            description="Average time without change between false alarms of the CUSUM; at least 50 windows, however long "
            "these are. 260w are five years."
        ),
    ] = "260w"
    ewma_weight: Annotated[float, Meta(ge=0.05, le=1, description="Weight of the newest window in the EWMA.")] = 0.2
    shift: Annotated[
        float,
        Meta(
            ge=0.5, le=4, description="Shift that the CUSUM detects fastest, in standard deviations of a window's gap."
        ),
    ] = 1.0
    baseline_windows: (
        Annotated[
            int,
            Meta(
                ge=30,
                le=10_000,
                description="Number of first windows from which the charts learn where the reference holds no predictions "
                "with outcomes. Default: 60 days of windows, but 30 to 100 of them.",
            ),
        ]
        | None
    ) = None


RESULTS_IN = ("sqlite", "postgresql")
"""Kinds of databases that keep results, as SQLAlchemy names them."""


class Results(Part, frozen=True, kw_only=True):
    """The database in which every measurement is stored."""

    url: Annotated[str, Meta(min_length=1, description="SQLAlchemy URL without a password.")] = "sqlite:///results.db"
    password_file: Path | None = None
    retention: Duration = "400d"


class Exporter(Part, frozen=True, kw_only=True):
    """The process that serves the measurements."""

    job: Annotated[Label, Meta(description="Its Prometheus job. Default: NAME-exporter.")] | None = None
    listen: Port = "127.0.0.1:9108"
    targets: Annotated[tuple[Port, ...], Meta(description="Where Prometheus scrapes it. Default: listen.")] = ()
    image: (
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z0-9][A-Za-z0-9._/:@-]*$(?!\n)",
                max_length=300,
                description="The container image that it runs from, in the generated stacks. Default: one that is built "
                "with this release of mlvitals.",
                extra_json_schema={"patternErrorMessage": "must be an image such as registry.example/mlvitals:1.2"},
            ),
        ]
        | None
    ) = None
    top_bins: Annotated[int, Meta(ge=1, le=10, description="Number of contributing bins published per feature.")] = 3
    freshness_interval: Duration = "1m"


# ---------------------------------------------------------------- telemetry


class SignalType(StrEnum):
    """The four kinds of telemetry."""

    METRIC = "metric"
    LOG = "log"
    TRACE = "trace"
    PREDICTION = "prediction"


class TelemetrySignal(Part, frozen=True, kw_only=True):
    """A stream of telemetry, for the storage estimate."""

    type: SignalType
    interval: (
        Annotated[Duration, Meta(description="How often the metric is collected. Default: the scrape interval.")] | None
    ) = None
    series: Annotated[int, Meta(ge=1, description="Number of label sets of the metric.")] = 1
    sample_rate: Ratio | None = None
    description: Text = ""


class Retention(Part, frozen=True, kw_only=True):
    """The retention of telemetry on each tier."""

    hot: Duration = "7d"
    warm: Duration = "90d"
    cold: Duration = "365d"


class Telemetry(Part, frozen=True, kw_only=True):
    """The collection and retention of telemetry."""

    scrape_interval: Duration = "15s"
    evaluation_interval: Duration = "15s"
    rate_window: Annotated[
        Duration, Meta(description="The range over which rules compute rates; at least four scrapes.")
    ] = "5m"
    retention: Retention = Retention()
    prediction_sample_rate: Ratio = 0.01
    trace_sample_rate: Ratio = 0.001
    log_sample_rate: Ratio = 0.1
    predictions_per_day: Annotated[int, Meta(ge=0, description="For the estimate of storage and cost.")] = 1_000_000
    series_budget: Annotated[
        int, Meta(ge=1, description="Number of exported series above which compilation fails.")
    ] = 200_000
    signals: dict[Label, TelemetrySignal] = {}


# ---------------------------------------------------------------- business and objectives


class EventSource(StrEnum):
    """The process that counts a business event."""

    APPLICATION = "application"
    LOG = "log"


class EventsLog(Part, frozen=True, kw_only=True):
    """Business events that a pipeline writes, one row each; the exporter counts them step by step."""

    path: Path
    format: LogFormat = LogFormat.PARQUET
    decimal: Decimal = "."
    table: Annotated[Label, Meta(description="The table, if path is a SQLAlchemy URL.")] | None = None
    password_file: Annotated[Path, Meta(description="File that contains the database's password.")] | None = None
    timestamp: Annotated[
        str,
        Meta(min_length=1, max_length=200, description="When the event happened (UTC unless a time zone is given)."),
    ] = "timestamp"
    event: Annotated[str, Meta(min_length=1, max_length=200, description="The column that names the event.")] = "event"
    amount: (
        Annotated[
            str, Meta(min_length=1, max_length=200, description="The column that is summed for events with a unit.")
        ]
        | None
    ) = None
    delay: Annotated[
        Duration, Meta(description="How long after a step its events are complete; they are counted that much later.")
    ] = "0s"


class Event(Part, frozen=True, kw_only=True):
    """A business event: counted by the serving application, or from rows of the events log."""

    description: Text = ""
    source: Annotated[
        EventSource, Meta(description="application: `PredictionTelemetry`. log: business.events_log.")
    ] = EventSource.APPLICATION
    logged_as: Annotated[Label, Meta(description="Its name in the log. Default: the event's name.")] | None = None
    amount: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="The column that is summed. Default: business.events_log.amount.",
            ),
        ]
        | None
    ) = None
    distinct: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="From the log, for KPIs of kind unique: the column whose distinct values are counted.",
            ),
        ]
        | None
    ) = None
    unit: (
        Annotated[Name, Meta(description="Unit of the sum, in the plural: dollars, seconds. Default: none, a count.")]
        | None
    ) = None


class KpiKind(StrEnum):
    """The computation of a KPI from events."""

    RATIO = "ratio"
    MEAN = "mean"
    UNIQUE = "unique"


class Kpi(Part, frozen=True, kw_only=True):
    """A business KPI: events over events, on a rolling window."""

    kind: KpiKind = KpiKind.RATIO
    numerator: Annotated[Name, Meta(description="An event. For unique: the event whose distinct items are counted.")]
    denominator: Annotated[Name, Meta(description="An event. For unique: the catalogue that they are a share of.")]
    title: Annotated[Label, Meta(description="Its name for people. Default: the key.")] | None = None
    description: Text = ""
    window: Duration = "7d"
    unit: Annotated[Literal["ratio", "seconds", "dollars", "count"], Meta(description="The unit of the KPI.")] = "ratio"
    drop: Annotated[Levels, Meta(description="Relative fall compared with the same hour a week before.")] = Levels(
        warning=0.05, critical=0.10
    )
    floor: Annotated[float, Meta(gt=0, description="Below this it is critical, whatever the week before.")] | None = (
        None
    )


class Business(Part, frozen=True, kw_only=True):
    """Business events and KPIs."""

    events_log: Annotated[EventsLog, Meta(description="The location of events with `source: log`.")] | None = None
    events: dict[Name, Event] = {}
    kpis: dict[Name, Kpi] = {}
    compare_with: Annotated[Duration, Meta(description="How far back the comparison is.")] = "7d"
    compare_window: Annotated[Duration, Meta(description="The interval that is compared, now and then.")] = "1h"

    @property
    def logged(self) -> dict[str, Event]:
        """The events that the exporter counts in the events log."""
        return {name: event for name, event in self.events.items() if event.source is EventSource.LOG}

    @property
    def unique(self) -> frozenset[str]:
        """The events of which distinct items are counted: a current value, not a running total."""
        kpis = (kpi for kpi in self.kpis.values() if kpi.kind is KpiKind.UNIQUE)
        return frozenset(event for kpi in kpis for event in (kpi.numerator, kpi.denominator))


class SloKind(StrEnum):
    """The kind of a service level objective."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    FRESHNESS = "freshness"
    MODEL_STALENESS = "model_staleness"
    DRIFT = "drift"
    QUERY = "query"


class Direction(StrEnum):
    """The side of its threshold on which a metric meets the objective."""

    AT_MOST = "at_most"
    AT_LEAST = "at_least"


class BurnTier(StrEnum):
    """The alerts on the burn rate of an error budget: pages are critical, tickets are warnings."""

    PAGE_QUICK = "page_quick"
    PAGE_SLOW = "page_slow"
    TICKET_QUICK = "ticket_quick"
    TICKET_SLOW = "ticket_slow"


TICKETS = (BurnTier.TICKET_QUICK, BurnTier.TICKET_SLOW)
STATES = frozenset({SloKind.FRESHNESS, SloKind.MODEL_STALENESS, SloKind.DRIFT})
"""The kinds of objectives that sample a state: their alerts on the state itself have the severities of the spec."""


class Slo(Part, frozen=True, kw_only=True):
    """A service level objective and its period."""

    kind: SloKind
    objective: Objective
    period: Duration = "28d"
    description: Text = ""
    threshold: (
        Annotated[
            NonNegative,
            Meta(
                description="Seconds (latency), days (model staleness) or PSI (drift) up to which the objective is met."
            ),
        ]
        | None
    ) = None
    stage: Annotated[Name, Meta(description="The latency stage. Default: the total.")] | None = None
    total: (
        Annotated[
            PromQL,
            Meta(description="With query: events per second, as of a load balancer or a probe, as a single series."),
        ]
        | None
    ) = None
    good: Annotated[PromQL, Meta(description="With query: those of total that meet the objective.")] | None = None
    error_ratio: (
        Annotated[
            PromQL,
            Meta(description="With query, instead of total and good: the share that misses the objective, 0 to 1."),
        ]
        | None
    ) = None
    direction: Annotated[
        Direction,
        Meta(
            description="With model_staleness: at_most if the threshold is the highest valid age, at_least if it "
            "is the lowest."
        ),
    ] = Direction.AT_MOST
    burn_alerts: (
        Annotated[
            tuple[BurnTier, ...],
            Meta(
                description="The tiers of alerts.burn_rate that watch this budget. Default: all if requests are counted; "
                "the two tickets if a state is sampled (freshness, model_staleness, drift)."
            ),
        ]
        | None
    ) = None
    deploy_above: (
        Annotated[
            Ratio,
            Meta(description="Deployments are allowed while more than this share of the budget is left; null: always."),
        ]
        | None
    ) = 0.0

    @property
    def tiers(self) -> tuple[BurnTier, ...]:
        """The tiers that watch the budget: a state that lasts for days is a ticket, whatever it spends."""
        if self.burn_alerts is not None:
            return self.burn_alerts
        return TICKETS if self.kind in STATES else tuple(BurnTier)


# ---------------------------------------------------------------- alerts


class Cooldown(Part, frozen=True, kw_only=True):
    """The time before the same alert notifies again."""

    info: Duration = "24h"
    warning: Duration = "12h"
    critical: Duration = "4h"


class Persistence(Part, frozen=True, kw_only=True):
    """The time for which a condition must hold before it alerts, and be gone before the alert resolves."""

    enabled: Annotated[bool, Meta(description="False turns these alerts off.")] = True
    for_: Annotated[Duration, Meta(description="How long the condition must hold.")] = msgspec.field(
        default="1m", name="for"
    )
    keep_firing_for: (
        Annotated[
            Duration,
            Meta(
                description="How long it must be gone before the alert resolves. Default: three times the rate window, 15m; of "
                "what is measured once per window, the step plus the grace plus the rate window, so that one better window "
                "resolves nothing."
            ),
        ]
        | None
    ) = None


class Timing(Persistence, frozen=True, kw_only=True):
    """The time until a condition alerts, and until it notifies again."""

    cooldown: Cooldown = Cooldown()


class AlertPolicy(Timing, frozen=True, kw_only=True):
    """The levels at which a signal alerts, and its timing."""

    info: Annotated[NonNegative, Meta(description="The level from which it is worth a note.")] | None = None
    warning: (
        Annotated[NonNegative, Meta(description="The level from which somebody has to act within days.")] | None
    ) = None
    critical: Annotated[NonNegative, Meta(description="The level from which somebody is paged.")] | None = None


class BurnRate(Part, frozen=True, kw_only=True):
    """A burn-rate tier: alerts if this share of an error budget is spent within the long window and the short one agrees."""

    budget: Annotated[float, Meta(gt=0, le=1, description="Share of the period's budget.")] = 0.02
    short: Duration = "5m"
    long: Duration = "1h"


class BurnRates(Persistence, frozen=True, kw_only=True):
    """Multi-window burn-rate alerts; the defaults are those of the SRE workbook's chapter on alerting on SLOs."""

    cooldown: (
        Annotated[
            Cooldown,
            Meta(
                description="Default: of pages, that of the alert on what spends the budget (error_rate, latency_p99, "
                "freshness, feature_psi), with which they are one incident; of tickets, 12h."
            ),
        ]
        | None
    ) = None
    minimum_events: Annotated[
        int,
        Meta(
            ge=1,
            description="With fewer events that missed the objective within the long window than this, no tier alerts: one "
            "failure of six requests is no trend. Of objectives that count events, not of states.",
        ),
    ] = 5
    page_quick: BurnRate = BurnRate()
    page_slow: BurnRate = BurnRate(budget=0.05, short="30m", long="6h")
    ticket_quick: BurnRate = BurnRate(budget=0.10, short="2h", long="1d")
    ticket_slow: BurnRate = BurnRate(budget=0.10, short="6h", long="3d")


_AS_SCORES = Cooldown(critical="6h")
"""The scores, the outcomes and the KPIs of one bad model are one incident, which notifies at one pace."""


class NoisePer(StrEnum):
    """Of what chance alone exceeds the noise once in 1000 windows."""

    FEATURE = "feature"
    """Of each statistic of each feature: the more features, the more windows in which one of them does."""
    WINDOW = "window"
    """Of each statistic in any feature (Bonferroni): floors rise with the number of features."""


class Alerts(Part, frozen=True, kw_only=True):
    """The alert policies; the defaults are those of the requirements."""

    noise_per: Annotated[
        NoisePer,
        Meta(
            description="Chance alone exceeds the noise floor of a drift or quality statistic once in 1000 windows: of each "
            "feature, or of the window, in any of its features."
        ),
    ] = NoisePer.FEATURE
    feature_psi: AlertPolicy = AlertPolicy(warning=0.10, critical=0.25)
    feature_ks: Annotated[AlertPolicy, Meta(description="Kolmogorov-Smirnov D.")] = AlertPolicy(
        info=0.05, warning=0.10, critical=0.20
    )
    feature_js: Annotated[AlertPolicy, Meta(description="Jensen-Shannon divergence in nats.")] = AlertPolicy(
        warning=0.05, critical=0.15
    )
    feature_wasserstein: Annotated[
        AlertPolicy,
        Meta(
            description="Wasserstein distance of numbers, in standard deviations of the reference. Disabled by default."
        ),
    ] = AlertPolicy(enabled=False, warning=0.25, critical=0.5)
    score_psi: AlertPolicy = AlertPolicy(warning=0.15, critical=0.25, cooldown=Cooldown(warning="6h", critical="6h"))
    score_null_rate: Annotated[
        AlertPolicy, Meta(description="Share of scores that are null or NaN, minus that of the reference.")
    ] = AlertPolicy(warning=0.05, critical=0.25, cooldown=Cooldown(warning="6h", critical="6h"))
    score_out_of_range_ratio: Annotated[
        AlertPolicy, Meta(description="Share of scores outside the reference's range, minus that of the reference.")
    ] = AlertPolicy(warning=0.01, critical=0.05, cooldown=Cooldown(warning="6h", critical="6h"))
    segment_psi: Annotated[AlertPolicy, Meta(description="PSI of the scores of one segment.")] = AlertPolicy(
        warning=0.25
    )
    segment_gap: Annotated[
        AlertPolicy,
        Meta(
            description="Change of one segment's prediction minus outcome against the reference, in standard "
            "deviations of the reference's outcomes."
        ),
    ] = AlertPolicy(warning=0.25)
    null_rate: Annotated[AlertPolicy, Meta(description="Null rate of nullable features.")] = AlertPolicy(
        warning=0.05, critical=0.25
    )
    required_null_rate: Annotated[AlertPolicy, Meta(description="Null rate of features that are not nullable.")] = (
        AlertPolicy(warning=0.0, critical=0.05)
    )
    out_of_range_ratio: AlertPolicy = AlertPolicy(warning=0.01, critical=0.05)
    skew_psi: Annotated[
        AlertPolicy, Meta(description="PSI of serving against offline, if the feature's skew is psi.")
    ] = AlertPolicy(warning=0.10, critical=0.25)
    skew_ks: Annotated[AlertPolicy, Meta(description="D of serving against offline, if the feature's skew is ks.")] = (
        AlertPolicy(warning=0.10, critical=0.20)
    )
    skew_js: Annotated[
        AlertPolicy, Meta(description="JS divergence of serving against offline in nats, if the feature's skew is js.")
    ] = AlertPolicy(warning=0.05, critical=0.15)
    skew_mismatch: Annotated[
        AlertPolicy, Meta(description="Share of predictions whose value differs from the one recomputed offline.")
    ] = AlertPolicy(warning=0.01, critical=0.10)
    mean_shift: Annotated[
        AlertPolicy, Meta(description="Shift of the mean and of the median, in reference standard deviations.")
    ] = AlertPolicy(warning=2.0)
    variance_ratio: (
        Annotated[
            tuple[NonNegative, NonNegative],
            Meta(
                description="Lowest and highest valid ratio to the reference, with the timing of mean_shift; null: "
                "none."
            ),
        ]
        | None
    ) = (0.5, 2.0)
    cardinality_change: Annotated[
        AlertPolicy,
        Meta(
            description="Relative change of the number of distinct values against the number "
            "expected for that many rows."
        ),
    ] = AlertPolicy(warning=0.10)
    new_category_ratio: Annotated[AlertPolicy, Meta(description="Share of values that are not in the reference.")] = (
        AlertPolicy(warning=0.01)
    )
    vanished_categories: Annotated[
        AlertPolicy,
        Meta(
            description="Number of categories that made up 2% or more of the reference and are missing from the window."
        ),
    ] = AlertPolicy(warning=0.0)
    infinite_ratio: Annotated[AlertPolicy, Meta(description="Share of values that are infinite.")] = AlertPolicy(
        warning=0.0, critical=0.05
    )
    range_excess: Annotated[
        AlertPolicy, Meta(description="Distance of the extreme values from the valid range, in widths of that range.")
    ] = AlertPolicy(info=10.0)
    repeated_rows: Annotated[
        AlertPolicy, Meta(description="Share of rows that repeat the prediction_log.id of another row of the window.")
    ] = AlertPolicy(warning=0.01)
    new_columns: Annotated[
        AlertPolicy, Meta(description="Columns of the log that are in neither the spec nor the reference.")
    ] = AlertPolicy(info=0.0)
    freshness: Annotated[AlertPolicy, Meta(description="Age in multiples of the source's max_age.")] = AlertPolicy(
        warning=1.0, critical=2.0, cooldown=Cooldown(warning="1h", critical="1h")
    )
    latency_p99: Annotated[AlertPolicy, Meta(description="Seconds.")] = AlertPolicy(
        warning=0.075,
        critical=0.100,
        for_="5m",
        keep_firing_for="5m",
        cooldown=Cooldown(warning="15m", critical="15m"),
    )
    error_rate: AlertPolicy = AlertPolicy(
        warning=0.001, critical=0.005, for_="5m", keep_firing_for="5m", cooldown=Cooldown(warning="1h", critical="1h")
    )
    error_rate_minimum: Annotated[
        int,
        Meta(
            ge=1,
            description="With fewer failures, or nulls at serving, within the rate window than this, no rate alerts.",
        ),
    ] = 5
    traffic_fall: Annotated[
        AlertPolicy,
        Meta(
            description="Relative fall of the predictions of an hour compared with the same hour a week before, if that had "
            "at least traffic_minimum."
        ),
    ] = AlertPolicy(warning=0.5, critical=0.9, for_="15m")
    traffic_minimum: Annotated[
        int, Meta(ge=1, description="Predictions in the hour a week before, below which traffic is not compared.")
    ] = 100
    feedback_rate: Annotated[AlertPolicy, Meta(description="Relative fall of the share of outcomes received.")] = (
        AlertPolicy(warning=0.2, critical=0.5)
    )
    concept_drift: Annotated[Timing, Meta(description="The limits follow from the run lengths in concept.")] = Timing(
        cooldown=_AS_SCORES
    )
    feedback_delay: Annotated[
        AlertPolicy, Meta(description="95th percentile of the delay of outcomes, as a share of their maximum delay.")
    ] = AlertPolicy(warning=0.8)
    feedback_rejected: Annotated[
        AlertPolicy,
        Meta(description="Share of outcomes that are rejected: early, late, duplicate, orphaned, invalid, untimed."),
    ] = AlertPolicy(warning=0.02)
    label_shift: Annotated[
        AlertPolicy,
        Meta(
            description="Change of the outcome rate relative to the reference; of continuous outcomes, change of the "
            "mean in reference standard deviations."
        ),
    ] = AlertPolicy(warning=0.25, critical=0.5, cooldown=_AS_SCORES)
    performance_loss: Annotated[
        AlertPolicy,
        Meta(
            description="Lost share of the reference's performance: of the AUC above chance, or of the NDCG; for "
            "continuous outcomes, the relative rise of the mean absolute error."
        ),
    ] = AlertPolicy(warning=0.25, critical=0.5, cooldown=_AS_SCORES)
    business_drop: Annotated[Timing, Meta(description="Each KPI has its own levels and floor.")] = Timing(
        for_="30m", cooldown=_AS_SCORES
    )
    gpu_utilization: Annotated[AlertPolicy, Meta(description="Share of time a GPU is busy.")] = AlertPolicy(
        warning=0.95, for_="15m"
    )
    burn_rate: Annotated[BurnRates, Meta(description="How fast error budgets may be spent.")] = BurnRates()
    feature_status: Annotated[Timing, Meta(description="A feature that is missing, of another type or all null.")] = (
        Timing()
    )
    monitoring: Annotated[Timing, Meta(description="Health of the monitoring itself.")] = Timing(for_="5m")
    many_features: Annotated[
        int, Meta(ge=2, description="Features of one source that drift together are one incident.")
    ] = 5


# ---------------------------------------------------------------- people


class Slack(Part, frozen=True, kw_only=True):
    """A Slack channel with an incoming webhook."""

    channel: Annotated[
        str,
        Meta(
            pattern=r"^[#@][^\s]+$(?!\n)",
            max_length=80,
            description="Where messages go.",
            extra_json_schema={"patternErrorMessage": "must be #channel or @person"},
        ),
    ]
    webhook_file: Annotated[Path, Meta(description="File that contains the webhook URL.")]


class PagerDuty(Part, frozen=True, kw_only=True):
    """A PagerDuty service with an Events v2 integration."""

    routing_key_file: Annotated[Path, Meta(description="File that contains the integration key.")]
    url: HttpUrl | None = None


class Webhook(Part, frozen=True, kw_only=True):
    """An endpoint that accepts Alertmanager's own JSON: its address is in a file, or is not secret."""

    url_file: (
        Annotated[Path, Meta(description="File that contains the URL; for Alertmanager 0.26 and newer.")] | None
    ) = None
    url: HttpUrl | None = None


class Email(Part, frozen=True, kw_only=True):
    """E-mail through an SMTP server."""

    to: Annotated[str, Meta(min_length=3, max_length=1000, description="Addresses, separated by commas.")]
    sender: Annotated[str, Meta(min_length=3, max_length=254, description="The address it comes from.")]
    smarthost: Annotated[Port, Meta(description="HOST:PORT of the SMTP server.")]
    username: Annotated[Label, Meta(description="The account on the SMTP server.")] | None = None
    password_file: Annotated[Path, Meta(description="File that contains the password of the SMTP server.")] | None = (
        None
    )


class Teams(Part, frozen=True, kw_only=True):
    """A workflow of Microsoft Teams; for Alertmanager 0.28 and newer."""

    webhook_file: Annotated[Path, Meta(description="File that contains the URL of the workflow's webhook.")]


class Opsgenie(Part, frozen=True, kw_only=True):
    """Opsgenie, or a service with its API."""

    api_key_file: Annotated[Path, Meta(description="File that contains the API key of the integration.")]
    url: HttpUrl | None = None


class IncidentIo(Part, frozen=True, kw_only=True):
    """An alert source of incident.io; for Alertmanager 0.29 and newer."""

    url: HttpUrl
    token_file: Annotated[Path, Meta(description="File that contains the token of the alert source.")]


class Receiver(Part, frozen=True, kw_only=True):
    """A destination of notifications."""

    slack: Slack | None = None
    pagerduty: PagerDuty | None = None
    webhook: Webhook | None = None
    email: Email | None = None
    teams: Teams | None = None
    opsgenie: Opsgenie | None = None
    incidentio: IncidentIo | None = None
    other: Annotated[
        dict[Name, tuple[dict[str, Any], ...]],
        Meta(
            description="Any other integration, as Alertmanager's own configuration has it, such as telegram_configs; passed "
            "through as it is. Secrets belong into files here too."
        ),
    ] = {}


class WeeklyTime(Part, frozen=True, kw_only=True):
    """An interval of the week."""

    days: Annotated[
        tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...],
        Meta(min_length=1, description="The days on which it starts."),
    ]
    start: ClockTime
    end: ClockTime
    timezone: Annotated[Label, Meta(description="The time zone of start and end, such as Europe/Berlin.")] = "UTC"


class Maintenance(Part, frozen=True, kw_only=True):
    """A planned silence."""

    start: UtcTime
    end: UtcTime
    reason: Annotated[Label, Meta(description="Why, for whoever reads the configuration.")]


class Routing(Part, frozen=True, kw_only=True):
    """The receivers of notifications."""

    receivers: dict[Label, Receiver] = {}
    info: Annotated[Label, Meta(description="A receiver, or nobody, the default.")] | None = None
    warning: Annotated[Label, Meta(description="A receiver, or nobody. Default: that of info.")] | None = None
    critical: Annotated[Label, Meta(description="A receiver, or nobody. Default: that of warning.")] | None = None
    watchdog: Annotated[Label, Meta(description="The receiver of the Watchdog alert (dead man's switch).")] | None = (
        None
    )
    group_wait: Duration = "30s"
    group_interval: Duration = "5m"
    quiet_hours: Annotated[tuple[WeeklyTime, ...], Meta(description="Times when warnings are held back.")] = ()
    maintenance: tuple[Maintenance, ...] = ()


class ContactMethod(StrEnum):
    """A way to contact a person."""

    PAGERDUTY = "pagerduty"
    SLACK_DM = "slack_dm"
    PHONE = "phone"
    SMS = "sms"
    EMAIL = "email"


class Responder(Part, frozen=True, kw_only=True):
    """Someone trained to be on call."""

    email: Annotated[
        str,
        Meta(
            pattern=r"^[^@\s]+@[^@\s]+$(?!\n)",
            max_length=254,
            description="The address by which PagerDuty knows the person.",
            extra_json_schema={"patternErrorMessage": "must be an e-mail address"},
        ),
    ]
    slack: Annotated[Label, Meta(description="The person's name in Slack, such as @ann.")] | None = None
    phone: Annotated[Label, Meta(description="With the country code, such as +1-555-0100.")] | None = None


class EscalationLevel(Part, frozen=True, kw_only=True):
    """The next people to notify if nobody has answered."""

    role: Annotated[Label, Meta(description="Who is notified at this level, in words.")]
    after: Duration
    via: Annotated[tuple[ContactMethod, ...], Meta(min_length=1)]
    contacts: Annotated[tuple[Label, ...], Meta(description="Responders. Empty: whoever is on call.")] = ()


class OnCall(Part, frozen=True, kw_only=True):
    """The rotation."""

    create_users: Annotated[
        bool,
        Meta(description="True if Terraform creates PagerDuty's users. Default: they exist, and are found by e-mail."),
    ] = False

    rotation: Annotated[tuple[Label, ...], Meta(description="Responders in turn, at least three.")] = ()
    shift: Duration = "1w"
    start: UtcTime = "2026-01-05T09:00Z"
    timezone: Annotated[Label, Meta(description="The time zone of the rotation.")] = "UTC"


# ---------------------------------------------------------------- incidents


Loss = Annotated[float, Meta(gt=0, description="In the event's unit.")]
RelativeLoss = Annotated[float, Meta(gt=0, le=1, description="A share above 0, at most 1.")]


class SeverityCriteria(Part, frozen=True, kw_only=True):
    """Criteria of a severity; an incident is this severe if any one of them is met."""

    affected_ratio: Annotated[Ratio, Meta(description="Share of the predictions that are affected.")] | None = None
    kpi_loss: Annotated[
        dict[Name, RelativeLoss], Meta(description="KPIs, and their relative loss against the week before.")
    ] = {}
    lost_per_hour: Annotated[
        dict[Name, Loss],
        Meta(description="Business events, and how many fewer an hour than the week before; with a unit, the amount."),
    ] = {}
    budget_spent: (
        Annotated[Ratio, Meta(description="Share of any objective's error budget spent during the incident.")] | None
    ) = None


class ResponseTargets(Part, frozen=True, kw_only=True):
    """The times within which incidents should be answered, counted from the page."""

    acknowledge: Annotated[Duration, Meta(description="Until somebody takes it.")] = "15m"
    classify: Annotated[Duration, Meta(description="Until its severity is decided.")] = "30m"
    mitigate: Annotated[Duration, Meta(description="Until users no longer feel it.")] = "4h"


class IncidentPolicy(Part, frozen=True, kw_only=True):
    """The classification of incidents, the answer to them, and the place of their files."""

    path: (
        Annotated[Path, Meta(description="The folder of incident files, which the exporter publishes metrics of.")]
        | None
    ) = None
    targets: ResponseTargets = ResponseTargets()
    sev1: Annotated[SeverityCriteria, Meta(description="Criteria of SEV-1, in addition to the built-in ones.")] = (
        SeverityCriteria()
    )
    sev2: Annotated[SeverityCriteria, Meta(description="Criteria of SEV-2, in addition to the built-in ones.")] = (
        SeverityCriteria(affected_ratio=0.10)
    )
    sev3: Annotated[SeverityCriteria, Meta(description="Criteria of SEV-3, in addition to the built-in ones.")] = (
        SeverityCriteria()
    )


# ---------------------------------------------------------------- Kubernetes

DnsName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$(?!\n)",
        max_length=63,
        extra_json_schema={"patternErrorMessage": "must be lower-case letters, digits and - in between"},
    ),
]
KubernetesLabels = Annotated[
    dict[
        Annotated[
            str,
            Meta(
                pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$(?!\n)",
                max_length=253,
                extra_json_schema={
                    "patternErrorMessage": "must be a label of Kubernetes such as app.kubernetes.io/name"
                },
            ),
        ],
        Annotated[
            str,
            Meta(
                pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$(?!\n)",
                max_length=63,
                extra_json_schema={"patternErrorMessage": "must be letters, digits and _ . - in between"},
            ),
        ],
    ],
    Meta(description="Labels of Kubernetes."),
]


class Kubernetes(Part, frozen=True, kw_only=True):
    """The cluster that the manifests of ``mlvitals compile --format operator`` are applied to."""

    namespace: (
        Annotated[
            DnsName,
            Meta(
                description="Of the exporter, the rules and the routes. Default: the label namespace, or the system's name."
            ),
        ]
        | None
    ) = None
    labels: (
        Annotated[
            KubernetesLabels,
            Meta(
                description="Labels by which Prometheus and Alertmanager select rules, monitors and AlertmanagerConfigs: of "
                "kube-prometheus-stack the name of its Helm release. Default: release: kube-prometheus-stack."
            ),
        ]
        | None
    ) = None
    prometheus_namespace: Annotated[DnsName, Meta(description="The namespace from which the exporter is scraped.")] = (
        "monitoring"
    )
    serving_labels: (
        Annotated[
            KubernetesLabels,
            Meta(
                description="Labels of the application's pods. Default: app.kubernetes.io/name with the system's name."
            ),
        ]
        | None
    ) = None
    serving_port: Annotated[DnsName, Meta(description="The name of the application's port with /metrics.")] = "metrics"
    storage: Annotated[
        str,
        Meta(
            pattern=r"^[0-9]+(Ki|Mi|Gi|Ti)$(?!\n)",
            description="The size of the claim for files that the spec names and results in SQLite.",
            extra_json_schema={"patternErrorMessage": "must be a size such as 10Gi"},
        ),
    ] = "10Gi"


# ---------------------------------------------------------------- links and annotations


class Links(Part, frozen=True, kw_only=True):
    """The links in alerts and runbooks."""

    grafana: HttpUrl = "http://localhost:3000"
    runbooks: Annotated[HttpUrl, Meta(description="URL of the folder in which the generated runbooks are served.")] = (
        "https://example.com/runbooks"
    )
    alertmanager: Annotated[HttpUrl, Meta(description="Alertmanager, as people reach it.")] = "http://localhost:9093"


class Annotations(Part, frozen=True, kw_only=True):
    """Events marked on the dashboards."""

    deployments: Annotated[bool, Meta(description="A change of the model version.")] = True
    pipeline_changes: Annotated[bool, Meta(description="Events written by 'mlvitals annotate pipeline'.")] = True
    incidents: Annotated[bool, Meta(description="When the incidents of incidents.path were opened and resolved.")] = (
        True
    )


# ---------------------------------------------------------------- the whole


class Spec(Part, frozen=True, kw_only=True):
    """A monitored machine-learning system."""

    version: Annotated[Literal[1], Meta(description="Version of the spec language.")]
    system: System
    identity: Identity = Identity()
    prediction_log: PredictionLog
    features: Annotated[dict[Label, Feature], Meta(min_length=1)]
    serving: Serving = Serving()
    windows: Windows = Windows()
    reference: Reference = Reference()
    sources: dict[Label, Source] = {}
    skew: Skew = Skew()
    concept: Concept = Concept()
    results: Results = Results()
    exporter: Exporter = Exporter()
    telemetry: Telemetry = Telemetry()
    business: Business = Business()
    slos: dict[Name, Slo] = {}
    alerts: Alerts = Alerts()
    routing: Routing = Routing()
    responders: dict[Label, Responder] = {}
    escalation: tuple[EscalationLevel, ...] = ()
    on_call: OnCall = OnCall()
    incidents: IncidentPolicy = IncidentPolicy()
    kubernetes: Kubernetes = Kubernetes()
    links: Links = Links()
    annotations: Annotations = Annotations()

    @property
    def title(self) -> str:
        """The display name of the system."""
        return self.system.title or self.system.name

    @property
    def full_title(self) -> str:
        """The display name among those of its other environments: with the values of its identity."""
        return f"{self.title} ({self.environment})" if self.identity.labels else self.title

    @property
    def slug(self) -> str:
        """The name of the system among others, of which some may be other environments of it: of files and dashboards.

        Where a value has characters that a file's name should not have, a hash of all values keeps it different from others.
        """
        values = tuple(self.identity.labels.values())
        parts = [self.system.name, *(re.sub(r"[^A-Za-z0-9_-]+", "-", value).strip("-") for value in values)]
        if any(re.search(r"[^a-z0-9_-]", value) for value in values):
            parts.append(sha256("\n".join(values).encode()).hexdigest()[:8])
        return "-".join(filter(None, parts))

    @property
    def environment(self) -> str:
        """The environment in words for people: the values of the identity, which outrank what the system says of itself."""
        return ", ".join(self.identity.labels.values()) or self.system.environment

    @property
    def serving_job(self) -> str:
        """The Prometheus job of the serving application."""
        return self.serving.job or f"{self.system.name}-serving"

    @property
    def exporter_job(self) -> str:
        """The Prometheus job of the exporter."""
        return self.exporter.job or f"{self.system.name}-exporter"

    @property
    def window_length(self) -> Duration:
        """The length of a window; of windows that differ, the longest."""
        windows = self.windows
        if windows.calendar is not None:
            return longest_of(windows.calendar, windows.time_zone)
        return windows.length or ("1h" if windows.rows is None else "1d")

    @property
    def mean_length(self) -> Duration:
        """The mean length of a window, by which promises in time become numbers of windows."""
        windows, daily = self.windows, self.telemetry.predictions_per_day
        if windows.calendar is not None:
            return _MEAN_UNIT[windows.calendar]
        if windows.rows is None or not daily:
            return self.window_length
        full = duration(max(1.0, 86_400 * windows.rows / daily))
        return min(full, self.window_length, key=milliseconds)

    @property
    def step(self) -> Duration:
        """The interval between the ends of windows; of windows that differ, the longest."""
        return self.windows.step or self.window_length

    @property
    def windows_key(self) -> str:
        """The key of the spec that says how long a window is."""
        kinds = ("calendar", "rows")
        return "windows." + next((kind for kind in kinds if getattr(self.windows, kind) is not None), "length")

    @property
    def windows_text(self) -> str:
        """A sentence on what a window is and how often one is measured."""
        windows = self.windows
        if windows.calendar is not None:
            return f"A window is a calendar {windows.calendar} of {windows.time_zone}, measured {windows.grace} after its end."
        if windows.rows is not None:
            return (
                f"A window is {windows.rows:,} rows, or {self.window_length} where fewer come, measured {windows.grace} after "
                "its end."
            )
        return f"A window of {self.window_length} is measured every {self.step}, {windows.grace} after its end."

    @property
    def skew_join(self) -> SkewJoin:
        """The way in which a prediction is matched with its features recomputed offline."""
        if self.skew.join is not None:
            return self.skew.join
        log = self.prediction_log
        return SkewJoin.ENTITY if log.entity else SkewJoin.ID if log.id else SkewJoin.WINDOW

    @property
    def has_gap(self) -> bool:
        """True if predictions can be compared with their outcomes one by one; of classes, by whether they are wrong."""
        outcome = self.prediction_log.outcome
        return outcome is not None and outcome.kind is not OutcomeKind.RANKING

    @property
    def has_probabilities(self) -> bool:
        """True if the probability of each class is known."""
        outcome = self.prediction_log.outcome
        return self.has_classes and outcome is not None and bool(outcome.probabilities)

    @property
    def score_type(self) -> FeatureType | None:
        """The type as which scores are measured: numbers, or, of classes without a score, the predicted class."""
        if self.prediction_log.score is not None:
            return FeatureType.FLOAT
        return FeatureType.CATEGORICAL if self.has_classes else None

    @property
    def counts_newest_scores(self) -> bool:
        """True if the newest scores are also measured by count."""
        return self.prediction_log.score is not None and self.windows.score_count is not None

    @property
    def has_classes(self) -> bool:
        """True if outcomes are classes: their gap is the share of wrong predictions."""
        outcome = self.prediction_log.outcome
        return outcome is not None and outcome.kind is OutcomeKind.MULTICLASS

    @property
    def known_columns(self) -> frozenset[str]:
        """Every column of the log that the spec names."""
        log, outcome = self.prediction_log, self.prediction_log.outcome
        roles = (log.timestamp, log.id, log.entity, log.group, log.score, log.model_version, log.endpoint)
        of_outcome = (
            (
                *(outcome.column, outcome.id, outcome.timestamp, outcome.prediction, outcome.list, outcome.item),
                *outcome.probabilities.values(),
            )
            if outcome
            else ()
        )
        named = {*map(self.column, self.features), *roles, *of_outcome, *log.segments, *log.other_columns}
        return frozenset(name for name in named if name is not None)

    def column(self, feature_name: str) -> str:
        """Return the log column of a feature."""
        return self.features[feature_name].column or feature_name
