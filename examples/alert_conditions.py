"""Which generated alerts a window's figures raise, without a Prometheus: what a year would page, in seconds.

The conditions are the generated rules themselves, evaluated on what the exporter's page holds for the window.
They are evaluated as `mlvitals evaluate` does it; what needs more than the window is an error, never a silent no.
`for` and cooldowns are left out: a window stands for its whole step.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

import numpy as np
from prometheus_client.metrics_core import Metric

from mlvitals.evaluation.expressions import Evaluator, Floats, Labels
from mlvitals.exporters.publish.prometheus import families_of_window
from mlvitals.exporters.window.report import WindowReport
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.promql import metric_names
from mlvitals.generator.rules.alerts import AlertRule, alert_rules
from mlvitals.generator.rules.expressions import looks_back
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Severity, Spec

Vector: TypeAlias = dict[Labels, float]
Page: TypeAlias = Mapping[str, Vector]
"""The samples of a page, by metric name."""

_OF_THE_PROCESS = ("exporter_", "data_freshness_")
"""Families that change with the clock or with every run, not with a window."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """The series of one page. Nothing before it is known, so that no range is any number of its steps."""

    page: Page
    times: Floats = field(default_factory=lambda: np.zeros(1))
    step: timedelta = timedelta.max
    _read: dict[str, Mapping[Labels, Floats]] = field(default_factory=dict)

    def series(self, name: str) -> Mapping[Labels, Floats]:
        if name not in self._read:
            self._read[name] = {labels: np.array([value]) for labels, value in self.page.get(name, {}).items()}
        return self._read[name]


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert whose condition holds for one set of labels."""

    name: str
    severity: Severity
    labels: Mapping[str, str]
    value: float
    threshold: float

    @property
    def subject(self) -> str:
        """The feature it is about; empty for the score and for the window itself."""
        return self.labels.get("feature_name", "")


class AlertConditions:
    """The alerts of a system that a window alone decides."""

    def __init__(self, spec: Spec) -> None:
        self._contract = Contract(spec)
        self.rules = tuple(rule for rule in alert_rules(spec, signals(spec)) if self._is_of_a_window(rule))
        self._read = {name for rule in self.rules for name in metric_names(rule.alert.rule)}

    def raised(self, report: WindowReport) -> tuple[Raised, ...]:
        """The alerts that a window raises, in order of the rules.

        Raises:
            UnknownSyntaxError: a rule cannot be evaluated here.
        """
        families = families_of_window(self._contract, report)
        return tuple(self.raised_by(page_of(one for one in families if one.samples[0].name in self._read)))

    def raised_by(self, page: Page) -> Iterator[Raised]:
        """The alerts that the samples of a page raise."""
        moment = _Moment(page)
        for rule in self.rules:
            for labels, value in _evaluated(rule.alert.rule, moment).items():
                yield Raised(rule.alert.name, rule.alert.severity, dict(labels), value, rule.alert.threshold)

    def _is_of_a_window(self, rule: AlertRule) -> bool:
        read = metric_names(rule.alert.rule)
        return (
            bool(read)
            and not looks_back(rule.alert.rule)
            and all(
                family is not None
                and family.producer is Producer.EXPORTER
                and not family.name.startswith(tuple(map(self._contract.name, _OF_THE_PROCESS)))
                for family in map(self._contract.by_series.get, read)
            )
        )


def page_of(families: Iterable[Metric]) -> Page:
    """The samples of families, as Prometheus would store them."""
    page: dict[str, Vector] = {}
    for family in families:
        for sample in family.samples:
            # To Prometheus a label that is empty and one that is not there are the same.
            labels = frozenset((name, value) for name, value in sample.labels.items() if value)
            page.setdefault(sample.name, {})[labels] = float(sample.value)
    return page


def evaluate(expression: str, page: Page) -> Vector:
    """The series an expression gives on a page.

    Raises:
        UnknownSyntaxError: it needs more of PromQL than is understood here.
    """
    return _evaluated(expression, _Moment(page))


def _evaluated(expression: str, moment: _Moment) -> Vector:
    return {labels: float(value) for labels, (value,) in Evaluator(moment).vector(expression).items()}
