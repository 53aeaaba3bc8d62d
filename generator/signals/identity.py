"""The identity of a system: labels that every series it reads carries, and every series and alert it makes.

Two environments of one system, or two systems that share a name, live in one Prometheus, Alertmanager and Grafana by it.
This is the one place where it enters signals: whatever is written from them (rules, tests, panels, runbooks, silences,
routes) has it too. Without `identity.labels` and `serving.job` in the spec nothing changes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.promql import selector, with_matchers
from mlvitals.generator.signals.signal import Alert, Input, Query, Record, Scenario, Signal
from mlvitals.generator.signals.text import AlertText, Found, Listed, Piece
from mlvitals.generator.spec.model import Spec

_OF_PROMETHEUS_ALONE = frozenset({"prometheus_rule_evaluation_failures_total"})
"""Series about Prometheus itself, which no scraped process publishes: they do not carry a system's labels."""


class Identity:
    """The identity of one system, and the series that carry it."""

    def __init__(self, spec: Spec, records: Iterable[str] = ()) -> None:
        self.labels: Mapping[str, str] = spec.identity.labels
        families = Contract(spec).by_series
        carrying = {*families, *records} - _OF_PROMETHEUS_ALONE
        serving = {name for name, family in families.items() if family.producer is Producer.SERVING}
        # Two jobs may scrape the same processes, which would count twice: where the spec names one, it is that one.
        self._job = dict.fromkeys(serving, {"job": spec.serving.job} if spec.serving.job else {})
        self._wanted = {name: selector("", **self.labels, **self._job.get(name, {}))[1:-1] for name in carrying}

    def expression(self, expression: str) -> str:
        """Return PromQL in which every selector demands the identity, but one of the user's own that names its labels."""
        return with_matchers(expression, self._wanted, unsaid=True)

    def query(self, query: Query) -> Query:
        """Return a panel's query of this system alone."""
        return replace(query, expression=self.expression(query.expression))

    def record(self, record: Record) -> Record:
        """Return a record of this system alone, whose series carry the identity."""
        labels = (*record.labels, *self.labels.items())
        return replace(record, expression=self.expression(record.expression), labels=labels)

    def alert(self, alert: Alert) -> Alert:
        """Return an alert on this system alone, which carries the identity."""
        return replace(
            alert,
            expression=self.expression(alert.expression),
            gate=self.expression(alert.gate),
            enrich=self.expression(alert.enrich),
            labels=(*alert.labels, *self.labels.items()),
            description=self._text(alert.description),
            scenario=self._scenario(alert.scenario),
            gated=self._scenario(alert.gated) if alert.gated else None,
            alternatives=tuple(map(self.alert, alert.alternatives)),
        )

    def _text(self, text: AlertText) -> AlertText:
        return AlertText(tuple(map(self._piece, text.pieces)))

    def _piece(self, piece: Piece) -> Piece:
        if isinstance(piece, Found):
            return replace(piece, fixed=self._fixed(piece), pieces=tuple(map(self._piece, piece.pieces)))
        return replace(piece, fixed=self._fixed(piece)) if isinstance(piece, Listed) else piece

    def _fixed(self, piece: Found | Listed) -> dict[str, str]:
        return {**piece.fixed, **self.labels, **self._job.get(piece.metric, {})}

    def _scenario(self, scenario: Callable[[float], Scenario]) -> Callable[[float], Scenario]:
        def identified(value: float) -> Scenario:
            found = scenario(value)
            return replace(found, inputs=tuple(map(self._input, found.inputs)))

        return identified

    def _input(self, item: Input) -> Input:
        if item.metric in _OF_PROMETHEUS_ALONE:
            return item
        return replace(item, labels={**item.labels, **self.labels, **self._job.get(item.metric, {})})


def identified(spec: Spec, signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Return the signals of a system by which only its own series are read, and all that it makes carries its identity."""
    signals = tuple(signals)
    if not spec.identity.labels and not spec.serving.job:
        return signals
    identity = Identity(spec, (record.name for signal in signals for record in signal.records))
    return tuple(
        replace(
            signal,
            queries=tuple(map(identity.query, signal.queries)),
            records=tuple(map(identity.record, signal.records)),
            alerts=tuple(map(identity.alert, signal.alerts)),
        )
        for signal in signals
    )
