"""The business layer: what the system is for, in figures."""

from collections.abc import Iterator

from mlvitals.generator.contract import Contract
from mlvitals.generator.signals.signal import (
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
    View,
    levels,
)
from mlvitals.generator.signals.system import throughput_record
from mlvitals.generator.signals.text import Format, Value, text, threshold
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import AlertPolicy, Kpi, KpiKind, Severity, Spec

_UNITS = {"ratio": "percentunit", "seconds": "s", "dollars": "currencyUSD", "count": "short"}


def business_signals(spec: Spec) -> Iterator[Signal]:
    """The signals of the business layer: one a KPI, and the events that no KPI uses."""
    contract = Contract(spec)
    for name, kpi in spec.business.kpis.items():
        yield _kpi(spec, contract, name, kpi)
    if spec.business.kpis:
        yield _uncounted(spec)
    used = {event for kpi in spec.business.kpis.values() for event in (kpi.numerator, kpi.denominator)}
    if rest := [event for event in spec.business.events if event not in used]:
        yield _events(contract, rest)
    if spec.business.events_log:
        yield _events_log(contract)


def kpi_figure(contract: Contract, kpi: Kpi, window: str) -> str:
    """A KPI over a window, absent where nothing happened."""
    if kpi.kind is KpiKind.UNIQUE:
        return f"max({contract.name(kpi.numerator)}) / (max({contract.name(kpi.denominator)}) > 0)"
    numerator, denominator = (event_count(contract, event, window) for event in (kpi.numerator, kpi.denominator))
    return f"{numerator} / ({denominator} > 0)"


def event_count(contract: Contract, event: str, window: str) -> str:
    """How many events there were within a window, or the sum of their amounts."""
    return f"{_over_instances(contract, event)}(increase({contract.event(event)}[{window}]))"


def _over_instances(contract: Contract, event: str) -> str:
    """How an event's counters make one figure: each process of an application has its own, each exporter has all."""
    return "max" if event in contract.spec.business.logged else "sum"


def _kpi(spec: Spec, contract: Contract, name: str, kpi: Kpi) -> Signal:
    title = kpi_title(spec, name)
    window, before = spec.business.compare_window, spec.business.compare_with
    rolling, recent, drop = _ratio_record(spec, name, kpi.window), recent_record(spec, name), drop_record(spec, name)
    alerts = (
        *_drop_alerts(spec, title, recent, drop, kpi),
        *_floor_alerts(spec, title, recent, kpi),
    )
    over = "now" if kpi.kind is KpiKind.UNIQUE else f"over {kpi.window}"
    records = (
        Record(rolling, kpi_figure(contract, kpi, kpi.window)),
        Record(recent, kpi_figure(contract, kpi, window)),
        Record(drop, f"1 - {recent} / ({recent} offset {before} > 0)"),
    )
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
        alerts=alerts,
    )


def _ratio_record(spec: Spec, name: str, window: str) -> str:
    return f"system:{Contract(spec).name(name)}:ratio_{window}"


def recent_record(spec: Spec, name: str) -> str:
    """The recorded series of a KPI over the stretch that is compared."""
    return _ratio_record(spec, name, spec.business.compare_window)


def drop_record(spec: Spec, name: str) -> str:
    """The recorded series of a KPI's relative fall against the time before."""
    return f"system:{Contract(spec).name(name)}:drop_{spec.business.compare_with}"


def kpi_title(spec: Spec, name: str) -> str:
    """The name people use for a KPI."""
    return spec.business.kpis[name].title or name.replace("_", " ").capitalize()


def _drop_alerts(spec: Spec, title: str, recent: str, drop: str, kpi: Kpi) -> tuple[Alert, ...]:
    before = spec.business.compare_with
    earlier = seconds(before)

    def scenario(value: float) -> Scenario:
        return Scenario((Input(recent, {}, 1, change=(earlier, 1 - value)),))

    def alert(level: Level) -> Alert:
        return Alert(
            name="MLBusinessMetricDrop",
            severity=level.severity,
            expression=drop,
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

    policy = AlertPolicy(info=kpi.drop.info, warning=kpi.drop.warning, critical=kpi.drop.critical)
    return tuple(alert(level) for level in levels(policy))


def _floor_alerts(spec: Spec, title: str, recent: str, kpi: Kpi) -> tuple[Alert, ...]:
    """The alert on a figure that is too low whatever it was before, where the spec says what is too low."""
    if kpi.floor is None:
        return ()
    form = {"ratio": Format.PERCENT, "seconds": Format.DURATION}.get(kpi.unit, Format.NUMBER)
    alert = Alert(
        name="MLBusinessMetricLow",
        severity=Severity.CRITICAL,
        expression=recent,
        comparison="<",
        threshold=kpi.floor,
        summary="A business figure is below its floor.",
        description=text(
            f"{title} of {spec.title} is ", Value(form), f", below its floor of {threshold(kpi.floor, form)}."
        ),
        timing=spec.alerts.business_drop,
        scenario=lambda value: Scenario((Input(recent, {}, value),)),
        format=form,
        labels=(("kpi", title),),
    )
    return (alert,)


def _uncounted(spec: Spec) -> Signal:
    predictions = throughput_record(spec) if spec.serving.enabled else Contract(spec).name("window_rows")
    figures = tuple(dict.fromkeys(recent_record(spec, name) for name in spec.business.kpis))
    expression = " + ".join(f"(absent({figure}) or vector(0))" for figure in figures)

    def scenario(value: float, traffic: float = 5) -> Scenario:
        counted = figures[round(value) :]
        return Scenario((Input(predictions, {}, traffic), *(Input(figure, {}, 0.5) for figure in counted)))

    alert = Alert(
        name="MLBusinessMetricAbsent",
        severity=Severity.WARNING,
        expression=expression,
        comparison=">",
        threshold=0,
        resolution=1,
        gate=f"and on () {predictions} > 0" if spec.serving.enabled else f"and on () max({predictions}) > 0",
        gated=lambda value: scenario(value, traffic=0),
        summary="Predictions are made and the events of a business figure are not counted.",
        description=text(
            Value(Format.NUMBER),
            f" of the business figures of {spec.title} have no value although predictions are made: their events are not "
            "counted any more, and nobody would see them fall. Their panels on the dashboard are empty.",
        ),
        timing=spec.alerts.business_drop,
        scenario=scenario,
    )
    return Signal(
        id="figures_uncounted",
        layer=Layer.MONITORING,
        title="Uncounted figures",
        description="Figures whose events were not counted lately. Normal: 0. Above 0 while predictions are made: the "
        "tracking is broken, and a fall would go unseen.",
        unit="short",
        decimals=0,
        queries=(Query(expression, "Figures", instant=True),),
        incident=Incident.BUSINESS_METRIC_DROP,
        view=View.STAT,
        width=4,
        height=6,
        levels=(Level(Severity.WARNING, 1),),
        alerts=(alert,),
    )


def _events(contract: Contract, events: list[str]) -> Signal:
    return Signal(
        id="business_events",
        layer=Layer.BUSINESS,
        title="Other business events",
        description="Events a second that no KPI above uses. Normal: the daily and weekly rhythm.",
        unit="cps",
        queries=tuple(Query(_rate(contract, event), event) for event in events),
        incident=Incident.BUSINESS_METRIC_DROP,
        place=Place.DETAIL,
        width=4,
        height=6,
    )


def _rate(contract: Contract, event: str) -> str:
    """Events a second. A total of the log rises once a step: its rate is that over the stretch compared."""
    window = contract.spec.business.compare_window if event in contract.spec.business.logged else "$__rate_interval"
    return f"{_over_instances(contract, event)}(rate({contract.event(event)}[{window}]))"


def _events_log(contract: Contract) -> Signal:
    rows, rejected, unreadable = (
        contract.name(short) for short in ("events_log_rows", "events_log_rejected", "events_log_files_unreadable")
    )
    timing = contract.spec.alerts.monitoring
    alert = Alert(
        name="MLEventsLogUnreadable",
        severity=Severity.WARNING,
        expression=f"max({unreadable})",
        comparison=">",
        threshold=0,
        resolution=1,
        summary="Files of the events log cannot be read, or only in part; business figures lack their events.",
        description=text(
            Value(Format.NUMBER),
            f" files of the last step of the events log of {contract.spec.title} could not be read in full; the report of "
            "the window names them. Once they are mended, measure the window again.",
        ),
        timing=timing,
        scenario=lambda value: Scenario((Input(unreadable, {}, value),)),
    )
    return Signal(
        id="events_log",
        layer=Layer.MONITORING,
        title="Events log",
        description="Rows of the last step, those that no business figure could count by reason, and files that could not "
        "be read. Normal: the daily rhythm, few rows left out, no files. The report of a window names them.",
        unit="short",
        decimals=0,
        queries=(
            Query(f"max({rows})", "Rows"),
            Query(f"max by (reason) ({rejected})", "{{reason}}"),
            Query(f"max({unreadable})", "Files unreadable"),
        ),
        incident=Incident.BUSINESS_METRIC_DROP,
        width=4,
        height=6,
        alerts=(alert,),
    )
