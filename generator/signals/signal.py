"""A signal: one thing that is watched. It renders to its panel, its alerts, their tests and its runbook entry."""

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
    """The one that people open first."""
    DETAIL = "detail"
    """Every further figure; opened when the main one asks a question."""
    BUDGET = "budget"
    """The one of objectives and error budgets."""


class View(StrEnum):
    """How a signal is drawn."""

    TIME_SERIES = "time series"
    STEPS = "steps"
    STAT = "stat"
    BAR_GAUGE = "bar gauge"
    STATE_TIMELINE = "state timeline"
    HEATMAP = "heatmap"
    TABLE = "table"
    BAR_CHART = "bar chart"
    """Bars side by side, one group a bin: the first label of the series orders the bins, the second names them."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and how its series are named; `{{label}}` stands for a label's value."""

    expression: str
    legend: str = ""
    instant: bool = False
    dimmed: bool = False
    """Drawn as context: a noise floor, a reference, the week before."""
    names: tuple[str, ...] = ()
    """What its dimmed series are called, where the legend has a label's value in it: Grafana matches whole names."""


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule. `name` follows level:metric:operations."""

    name: str
    expression: str
    labels: tuple[tuple[str, str], ...] = ()
    """Labels given to its series; with others it is another record."""
    every: str = ""
    """How often it is evaluated, where that is not as often as the other rules."""


@dataclass(frozen=True, slots=True)
class Level:
    """A value from which a severity holds; drawn as a line and compared by the alert."""

    severity: Severity
    value: float


@dataclass(frozen=True, slots=True)
class Input:
    """A series of a promtool test: `value` at time 0, growing by `slope` a second.

    A gauge has no slope, a counter starts at 0, a timestamp that stays `age` seconds old starts at -age with slope 1.
    With `change`, the value is constant and becomes another one at a time in seconds: (time, new value).
    """

    metric: str
    labels: Mapping[str, str]
    value: float = 0
    slope: float = 0
    change: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Inputs under which an alert's expression has a wanted value, and the labels the alert then carries."""

    inputs: tuple[Input, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


THINNED = "4m"
"""The pace of records for panels alone: found in every lookback and soon after a window, few enough for 30 days of 1000
features."""

Comparison = Literal[">", ">=", "<", "=="]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule.

    The rule is ``(expression comparison threshold [gate]) [enrich]``: the gate says what else must hold (as
    ``and ...``), enrich joins labels that people need (as ``* on(...) group_left(...) info``).
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
    """Inputs that make the expression take a value; no inputs at all where the alert always fires."""
    format: Format = Format.NUMBER
    resolution: float = 0.001
    """How far beyond the threshold a test goes, relative to the threshold (absolute where that is 0)."""
    gate: str = ""
    gated: Callable[[float], Scenario] | None = None
    """Inputs that make the expression take a value while the gate holds the alert back."""
    enrich: str = ""
    url_labels: tuple[str, ...] = ()
    """Labels that the dashboard link passes on as variables."""
    labels: tuple[tuple[str, str], ...] = ()
    """Fixed labels beyond those that every alert carries."""
    fires_without_data: bool = False
    """The alert is about absence: without any series it fires, with the labels of its scenario."""
    alternatives: tuple["Alert", ...] = ()
    """Further ways for it to hold, of which only condition, gate and scenario count. The labels must be the same."""

    @property
    def rule(self) -> str:
        """The PromQL of the rule."""
        condition = f"{self.expression} {self.comparison} {number(self.threshold)}"
        if self.gate:
            condition = f"{condition}\n  {self.gate}"
        condition = "\nor\n".join((condition, *(alternative.rule for alternative in self.alternatives)))
        return f"(\n  {condition}\n)\n{self.enrich}" if self.enrich else condition

    @property
    def cooldown(self) -> str:
        """How long it stays quiet after it notified."""
        cooldown = self.timing.cooldown
        return {
            Severity.NONE: cooldown.info,
            Severity.INFO: cooldown.info,
            Severity.WARNING: cooldown.warning,
            Severity.CRITICAL: cooldown.critical,
        }[self.severity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One thing that is watched."""

    id: str
    layer: Layer
    title: str
    description: str
    """What is shown, what is normal, what to do when it is not."""
    unit: str
    """A Grafana unit id."""
    queries: tuple[Query, ...]
    incident: Incident
    view: View = View.TIME_SERIES
    place: Place = Place.MAIN
    """Where it is drawn; signals of the monitoring layer have a dashboard of their own, whatever stands here."""
    width: int = 8
    height: int = 8
    levels: tuple[Level, ...] = ()
    below: bool = False
    """The levels are lower limits."""
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    empty: str = "No data: there is no traffic, or the exporter is down. See the monitoring dashboard."
    records: tuple[Record, ...] = ()
    alerts: tuple[Alert, ...] = ()


def levels(policy: AlertPolicy) -> tuple[Level, ...]:
    """The levels of a policy, mildest first; none where it is disabled."""
    in_force = ((severity, level_in_force(policy, None, severity)) for severity in ALERTING)
    return tuple(Level(severity, value) for severity, value in in_force if value is not None)
