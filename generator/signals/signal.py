"""A signal: one monitored thing. It renders to its panel, its alerts, their tests and its runbook entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from mlvitals.generator.promql import number
from mlvitals.generator.signals.text import AlertText, Format
from mlvitals.generator.spec.levels import ALERTING, level_in_force
from mlvitals.generator.spec.model import AlertPolicy, Severity, Timing


class Layer(StrEnum):
    """The four layers of the dashboard, and the monitoring of the monitoring."""

    BUSINESS = "business"
    MODEL = "model"
    DATA = "data"
    SYSTEM = "system"
    MONITORING = "monitoring"


class Incident(StrEnum):
    """The incident types, each with a runbook."""

    FEATURE_DRIFT = "feature-drift"
    STALE_DATA = "stale-data"
    PREDICTION_DRIFT = "prediction-drift"
    HIGH_LATENCY = "high-latency"
    BUSINESS_METRIC_DROP = "business-metric-drop"
    MONITORING = "monitoring"


class Place(StrEnum):
    """The dashboard that draws a signal."""

    MAIN = "main"
    """The main dashboard."""
    DETAIL = "detail"
    """All other metrics; opened when the main one raises a question."""
    BUDGET = "budget"
    """The dashboard of objectives and error budgets."""
    RESPONSE = "response"
    """The row of incidents, on the dashboard of the monitoring."""


class View(StrEnum):
    """The visualization of a signal."""

    TIME_SERIES = "time series"
    STEPS = "steps"
    STAT = "stat"
    BAR_GAUGE = "bar gauge"
    STATE_TIMELINE = "state timeline"
    HEATMAP = "heatmap"
    """Buckets of a histogram by time, darker where there is more."""
    SERIES_HEATMAP = "heatmap of series"
    """A row for each series by time, in the colour of its value: that of a level from the level on."""
    TABLE = "table"
    BAR_CHART = "bar chart"
    """Bars side by side, one group per bin: the first label of the series orders the bins, the second names them."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and the legend of its series; `{{label}}` stands for a label's value."""

    expression: str
    legend: str = ""
    instant: bool = False
    dimmed: bool = False
    """Drawn as context: a noise floor, a reference, the week before."""
    names: tuple[str, ...] = ()
    """The names of its dimmed series, if the legend contains a label's value: Grafana matches full names."""


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule. `name` follows level:metric:operations."""

    name: str
    expression: str
    labels: tuple[tuple[str, str], ...] = ()
    """Labels added to its series; with different labels it is another record."""
    every: str = ""
    """Its evaluation interval, if it differs from that of the other rules."""


@dataclass(frozen=True, slots=True)
class Level:
    """The threshold of a severity; drawn as a line and compared by the alert."""

    severity: Severity
    value: float


@dataclass(frozen=True, slots=True)
class Input:
    """A series of a promtool test: `value` at time 0, growing by `slope` per second.

    A gauge has no slope, a counter starts at 0, a timestamp that stays `age` seconds old starts at -age with slope 1.
    With `change`, the value is constant and becomes another one at a time in seconds: (time, new value).
    """

    metric: str
    labels: Mapping[str, str]
    value: float = 0
    slope: float = 0
    change: tuple[float, float] | None = None
    restarts: bool = False
    """True for a counter that starts again at 0 halfway, as its process does."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Inputs for which an alert's expression has a given value, and the labels that the alert then carries."""

    inputs: tuple[Input, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


LONGEST_INTERVAL = "5m"
"""The longest evaluation interval: Prometheus treats a series as gone after five minutes without a sample."""
THINNED = "4m"
"""The evaluation interval of records for panels only: short enough for every lookback and for a new window to show soon,
long enough for 30 days of 1000 features."""

Comparison = Literal[">", ">=", "<", "=="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule.

    The rule is ``(expression comparison threshold [gate]) [enrich]``: the gate is a further condition (as
    ``and ...``), enrich joins labels that readers need (as ``* on(...) group_left(...) info``).
    """

    name: str
    severity: Severity
    expression: str
    comparison: Comparison = ">"
    threshold: float
    summary: str
    description: AlertText
    timing: Timing
    scenario: Callable[[float], Scenario]
    """Returns inputs for which the expression takes a value; no inputs if the alert always fires."""
    format: Format = Format.NUMBER
    resolution: float = 0.001
    """The distance of a test's values from the threshold, relative to the threshold (absolute if that is 0)."""
    gate: str = ""
    gated: Callable[[float], Scenario] | None = None
    """Returns inputs for which the expression takes a value while the gate suppresses the alert."""
    enrich: str = ""
    url_labels: tuple[str, ...] = ()
    """Labels that the dashboard link passes on as variables."""
    labels: tuple[tuple[str, str], ...] = ()
    """Fixed labels beyond those that every alert carries."""
    policy: str = ""
    """The key below `alerts` in the spec whose timing it follows; filled in where the timing is that policy's own."""
    fires_without_data: bool = False
    """True if the alert is about absence: without any series it fires, with the labels of its scenario."""
    alternatives: tuple["Alert", ...] = ()
    """Alternative conditions, of which only expression, gate and scenario count. The labels must be the same."""

    @property
    def rule(self) -> str:
        """The PromQL of the rule."""
        condition = f"{self.expression} {self.comparison} {number(self.threshold)}"
        if self.gate:
            condition = f"{condition}\n  {self.gate}"
        condition = "\nor\n".join((condition, *(alternative.rule for alternative in self.alternatives)))
        return f"(\n  {condition}\n)\n{self.enrich}" if self.enrich else condition

    @property
    def compared(self) -> str:
        """The comparison in words: "above", for a value that fires above the threshold."""
        return {">": "above", ">=": "at least", "<": "below", "==": "equal to"}[self.comparison]

    @property
    def cooldown(self) -> str:
        """The time without a repeated notification."""
        cooldown = self.timing.cooldown
        return {
            Severity.NONE: cooldown.info,
            Severity.INFO: cooldown.info,
            Severity.WARNING: cooldown.warning,
            Severity.CRITICAL: cooldown.critical,
        }[self.severity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One monitored thing."""

    id: str
    layer: Layer
    title: str
    description: str
    """The displayed values, their normal range, and what to do outside it."""
    unit: str
    """A Grafana unit id."""
    queries: tuple[Query, ...]
    incident: Incident
    view: View = View.TIME_SERIES
    place: Place = Place.MAIN
    """Its dashboard; signals of the monitoring layer have a separate dashboard, whatever this says, with a row of incidents."""
    width: int = 8
    height: int = 8
    levels: tuple[Level, ...] = ()
    below: bool = False
    """True if the levels are lower limits."""
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    empty: str = ""
    """The text for a panel without data; by default that of its layer."""
    records: tuple[Record, ...] = ()
    alerts: tuple[Alert, ...] = ()

    @property
    def when_empty(self) -> str:
        """The text in place of what is missing: what that means, and where to look."""
        return self.empty or _EMPTY[self.layer]


_OF_WINDOWS = "No window was measured in this range: too few predictions, or no exporter. See the monitoring dashboard."
_EMPTY = {
    Layer.BUSINESS: "No events were counted in this range: there is no traffic, or the application is not scraped.",
    Layer.MODEL: _OF_WINDOWS,
    Layer.DATA: _OF_WINDOWS,
    Layer.SYSTEM: "No requests in this range, or Prometheus does not reach the application: see Instances up.",
    Layer.MONITORING: "Prometheus has nothing of the exporter in this range: it is down, not scraped, or has not measured yet.",
}


def levels(policy: AlertPolicy) -> tuple[Level, ...]:
    """Return the levels of a policy, mildest first; empty if it is disabled."""
    in_force = ((severity, level_in_force(policy, None, severity)) for severity in ALERTING)
    return tuple(Level(severity, value) for severity, value in in_force if value is not None)
