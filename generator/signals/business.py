"""The business layer: what the system is for, in figures."""

from collections.abc import Iterator

from generator.contract import Contract
from generator.signals.signal import (
    Alert,
    Incident,
    Input,
    Layer,
    Level,
    Place,
    Query,
    Record,
    Scenario,
    Signal,
    levels,
)
from generator.signals.text import Format, Value, text, threshold
from generator.spec.durations import seconds
from generator.spec.model import AlertPolicy, Kpi, KpiKind, Severity, Spec

_UNITS = {"ratio": "percentunit", "seconds": "s", "dollars": "currencyUSD", "count": "short"}


def business_signals(spec: Spec) -> Iterator[Signal]:
    """The signals of the business layer: one a KPI, and the events that no KPI uses."""
    contract = Contract(spec)
    for name, kpi in spec.business.kpis.items():
        yield _kpi(spec, contract, name, kpi)
    used = {event for kpi in spec.business.kpis.values() for event in (kpi.numerator, kpi.denominator)}
    if rest := [event for event in spec.business.events if event not in used]:
        yield _events(contract, rest)


def _figure(contract: Contract, kpi: Kpi, window: str) -> str:
    """A KPI over a window, absent where nothing happened."""
    if kpi.kind is KpiKind.UNIQUE:
        return f"max({contract.name(kpi.numerator)}) / (max({contract.name(kpi.denominator)}) > 0)"
    numerator, denominator = (
        f"sum(increase({contract.event(event)}[{window}]))" for event in (kpi.numerator, kpi.denominator)
    )
    return f"{numerator} / ({denominator} > 0)"


def _kpi(spec: Spec, contract: Contract, name: str, kpi: Kpi) -> Signal:
    title = kpi.title or name.replace("_", " ").capitalize()
    window, before = spec.business.compare_window, spec.business.compare_with
    rolling = f"system:{contract.name(name)}:ratio_{kpi.window}"
    recent = f"system:{contract.name(name)}:ratio_{window}"
    alerts = _drop_alerts(spec, title, recent, before, kpi)
    over = "now" if kpi.kind is KpiKind.UNIQUE else f"over {kpi.window}"
    records = (Record(rolling, _figure(contract, kpi, kpi.window)), Record(recent, _figure(contract, kpi, window)))
    return Signal(
        id=f"kpi_{name}",
        layer=Layer.BUSINESS,
        title=title,
        description=f"{(kpi.description or title).rstrip('.')}, {over}. The dashed line is the same figure {before} "
        "earlier. Normal: close to it. A gap that opens without an alert below is a model that answers, and answers wrongly.",
        unit=_UNITS[kpi.unit],
        queries=(
            Query(rolling, over.capitalize()),
            Query(f"{rolling} offset {before}", f"{before} earlier", dimmed=True),
        ),
        incident=Incident.BUSINESS_METRIC_DROP,
        width=4,
        height=6,
        levels=(Level(Severity.CRITICAL, kpi.floor),) if kpi.floor is not None else (),
        below=True,
        empty="No data: no business events have been counted yet.",
        records=tuple(dict.fromkeys(records)),
        alerts=alerts if spec.alerts.business_drop.enabled else (),
    )


def _drop_alerts(spec: Spec, title: str, recent: str, before: str, kpi: Kpi) -> tuple[Alert, ...]:
    earlier = seconds(before)

    def scenario(value: float) -> Scenario:
        return Scenario((Input(recent, {}, 1, change=(earlier, 1 - value)),))

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLBusinessMetricDrop",
            severity=level.severity,
            expression=f"1 - {recent} / ({recent} offset {before} > 0)",
            comparison=">",
            threshold=level.value,
            summary="A business figure has fallen against the same time before.",
            description=text(
                f"{title} of {spec.title} is ",
                Value(Format.PERCENT),
                f" lower than {before} ago, above the {level.severity} threshold {threshold(level.value, Format.PERCENT)}.",
            ),
            timing=spec.alerts.business_drop,
            scenario=scenario,
            format=Format.PERCENT,
            labels=(("kpi", title),),
        )

    drop = AlertPolicy(info=kpi.drop.info, warning=kpi.drop.warning, critical=kpi.drop.critical)
    return tuple(alert(level) for level in levels(drop))


def _events(contract: Contract, events: list[str]) -> Signal:
    return Signal(
        id="business_events",
        layer=Layer.BUSINESS,
        title="Other business events",
        description="Events a second that no KPI above uses. Normal: the daily and weekly rhythm.",
        unit="cps",
        queries=tuple(Query(f"sum(rate({contract.event(event)}[$__rate_interval]))", event) for event in events),
        incident=Incident.BUSINESS_METRIC_DROP,
        place=Place.DETAIL,
        width=4,
        height=6,
    )
