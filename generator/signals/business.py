"""The business layer: the KPIs of the system."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from msgspec.structs import asdict

from mlvitals.generator.contract import Contract
from mlvitals.generator.signals.building import at_levels, unreadable
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
)
from mlvitals.generator.signals.system import throughput_record
from mlvitals.generator.signals.text import Format, Value, text, threshold
from mlvitals.generator.spec.durations import duration, seconds
from mlvitals.generator.spec.model import AlertPolicy, Kpi, KpiKind, Severity, Spec

_panel = partial(Signal, incident=Incident.BUSINESS_METRIC_DROP, width=4, height=6)
_LONGEST_PACE = 60.0
_UNITS = {"ratio": "percentunit", "seconds": "s", "dollars": "currencyUSD", "count": "short"}


def business_signals(spec: Spec) -> Iterator[Signal]:
    """Yield the signals of the business layer: one per KPI, and the events that no KPI uses."""
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
    """Return PromQL for a KPI over a window, absent if nothing happened."""
    return _share(contract, kpi, lambda event: event_count(contract, event, window))


def _share(contract: Contract, kpi: Kpi, count: Callable[[str], str]) -> str:
    if kpi.kind is KpiKind.UNIQUE:
        return f"max({contract.name(kpi.numerator)}) / (max({contract.name(kpi.denominator)}) > 0)"
    return f"{count(kpi.numerator)} / ({count(kpi.denominator)} > 0)"


def event_count(contract: Contract, event: str, window: str) -> str:
    """Return PromQL for the number of events within a window, or the sum of their amounts."""
    return f"{_over_instances(contract, event)}(increase({contract.event(event)}[{window}]))"


def _kpi_records(contract: Contract, kpi: Kpi, figures: Mapping[str, str]) -> Iterator[Record]:
    """Yield the records of a KPI, by name and window, and those that they read.

    A week of every counter of every instance is read at every evaluation, or a week of one recorded rate. Only the totals of
    an events log are read themselves: one exporter has them, which makes up for the time it was down, and no rate sees that.
    """
    logged = {kpi.numerator, kpi.denominator} & contract.spec.business.logged.keys()
    if logged or kpi.kind is KpiKind.UNIQUE:
        yield from (Record(name, kpi_figure(contract, kpi, window)) for name, window in figures.items())
        return
    rates = {event: _rate_record(contract, event) for event in (kpi.numerator, kpi.denominator)}

    def counted(event: str, window: str) -> str:
        return f"sum_over_time({rates[event].name}[{window}])"

    yield from rates.values()
    for name, window in figures.items():
        yield Record(name, _share(contract, kpi, partial(counted, window=window)))


def _rate_record(contract: Contract, event: str) -> Record:
    counter, telemetry = contract.event(event), contract.spec.telemetry
    window = telemetry.rate_window
    # No event falls between two rates.
    pace = max(min(_LONGEST_PACE, seconds(window) / 2), seconds(telemetry.evaluation_interval))
    name = f"system:{counter.removesuffix('_total')}:rate{window}"
    return Record(name, f"sum(rate({counter}[{window}]))", every=duration(pace))


def _over_instances(contract: Contract, event: str) -> str:
    """Return the aggregation of an event's counters: each process of an application has its own, each exporter has all."""
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
        *_kpi_records(contract, kpi, {rolling: kpi.window, recent: window}),
        Record(drop, f"1 - {recent} / ({recent} offset {before} > 0)"),
    )
    return _panel(
        id=f"kpi_{name}",
        layer=Layer.BUSINESS,
        title=title,
        description=f"{(kpi.description or title).rstrip('.')}, {over}. The dashed line is the same KPI {before} "
        "earlier. Normal: close to it. If the two part and no lower layer alerts, the model is answering, but with "
        "wrong answers.",
        unit=_UNITS[kpi.unit],
        queries=(
            Query(rolling, over.capitalize()),
            Query(f"{rolling} offset {before}", f"{before} earlier", dimmed=True),
        ),
        levels=(Level(Severity.CRITICAL, kpi.floor),) if kpi.floor is not None else (),
        below=True,
        empty="No data: no business events have been counted yet.",
        records=tuple(dict.fromkeys(records)),
        alerts=alerts,
    )


def _ratio_record(spec: Spec, name: str, window: str) -> str:
    return f"system:{Contract(spec).name(name)}:ratio_{window}"


def recent_record(spec: Spec, name: str) -> str:
    """Return the recorded series of a KPI over the compared interval."""
    return _ratio_record(spec, name, spec.business.compare_window)


def drop_record(spec: Spec, name: str) -> str:
    """Return the recorded series of a KPI's relative fall compared with the earlier time."""
    return f"system:{Contract(spec).name(name)}:drop_{spec.business.compare_with}"


def kpi_title(spec: Spec, name: str) -> str:
    """Return the display name of a KPI."""
    return spec.business.kpis[name].title or name.replace("_", " ").capitalize()


def _drop_alerts(spec: Spec, title: str, recent: str, drop: str, kpi: Kpi) -> tuple[Alert, ...]:
    before = spec.business.compare_with
    earlier = seconds(before)

    def scenario(value: float) -> Scenario:
        return Scenario((Input(recent, {}, 1, change=(earlier, 1 - value)),))

    return at_levels(
        AlertPolicy(**asdict(spec.alerts.business_drop), **asdict(kpi.drop)),
        name="MLBusinessMetricDrop",
        expression=drop,
        summary="A KPI has fallen compared with the same time in the past.",
        describe=lambda exceeds: (
            f"{title} of {spec.title} is ",
            Value(Format.PERCENT),
            f" lower than {before} ago, {exceeds}.",
        ),
        scenario=scenario,
        form=Format.PERCENT,
        labels=(("kpi", title),),
        policy_name="business_drop",
    )


def _floor_alerts(spec: Spec, title: str, recent: str, kpi: Kpi) -> tuple[Alert, ...]:
    """Return the alert on a KPI below its floor, if the spec gives one."""
    if kpi.floor is None:
        return ()
    form = {"ratio": Format.PERCENT, "seconds": Format.DURATION}.get(kpi.unit, Format.NUMBER)
    alert = Alert(
        name="MLBusinessMetricLow",
        severity=Severity.CRITICAL,
        expression=recent,
        comparison="<",
        threshold=kpi.floor,
        summary="A KPI is below its floor.",
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
    # What is absent has the labels that were asked for, and 0 has none: only without labels do they add up.
    expression = " + ".join(f"(max(absent({figure})) or vector(0))" for figure in figures)

    def scenario(value: float, traffic: float = 5) -> Scenario:
        counted = figures[round(value) :]
        return Scenario((Input(predictions, {}, traffic), *(Input(figure, {}, 0.5) for figure in counted)))

    alert = Alert(
        name="MLBusinessMetricAbsent",
        severity=Severity.WARNING,
        expression=expression,
        threshold=0,
        resolution=1,
        gate=f"and on () {predictions} > 0" if spec.serving.enabled else f"and on () max({predictions}) > 0",
        gated=lambda value: scenario(value, traffic=0),
        summary="Predictions are being made, but the events of a KPI are not counted.",
        description=text(
            Value(Format.NUMBER),
            f" of the KPIs of {spec.title} have no value although predictions are being made: their events are no "
            "longer counted, so a fall would go unnoticed. Their panels on the dashboard are empty.",
        ),
        timing=spec.alerts.business_drop,
        scenario=scenario,
    )
    return _panel(
        id="figures_uncounted",
        layer=Layer.MONITORING,
        title="Uncounted KPIs",
        description="KPIs whose events were not counted recently. Normal: 0. Above 0 while predictions are being "
        "made: the tracking is broken, and a fall would go unnoticed.",
        unit="short",
        decimals=0,
        queries=(Query(expression, "Figures", instant=True),),
        view=View.STAT,
        levels=(Level(Severity.WARNING, 1),),
        alerts=(alert,),
    )


def _events(contract: Contract, events: list[str]) -> Signal:
    return _panel(
        id="business_events",
        layer=Layer.BUSINESS,
        title="Other business events",
        description="Events per second that no KPI above uses. Normal: the daily and weekly rhythm.",
        unit="cps",
        queries=tuple(Query(_rate(contract, event), event) for event in events),
        place=Place.DETAIL,
    )


def _rate(contract: Contract, event: str) -> str:
    """Return PromQL for events per second; for totals of the log, which rise once per step, over the compared interval."""
    window = contract.spec.business.compare_window if event in contract.spec.business.logged else "$__rate_interval"
    return f"{_over_instances(contract, event)}(rate({contract.event(event)}[{window}]))"


def _events_log(contract: Contract) -> Signal:
    rows, rejected, files = (
        contract.name(short) for short in ("events_log_rows", "events_log_rejected", "events_log_files_unreadable")
    )
    alert = unreadable(
        files,
        "MLEventsLogUnreadable",
        contract.spec.alerts.monitoring,
        "Some files of the events log cannot be read in full, so KPIs lack their events.",
        Value(Format.NUMBER),
        f" files of the last step of the events log of {contract.spec.title} could not be read in full; the "
        "report of the window names them. Once they are fixed, measure the window again.",
    )
    return _panel(
        id="events_log",
        layer=Layer.MONITORING,
        title="Events log",
        description="Rows of the last step, rows that no KPI could count, by reason, and files that could not be "
        "read. Normal: the daily rhythm, few rows left out, no files. The report of the window names them.",
        unit="short",
        decimals=0,
        queries=(
            Query(f"max({rows})", "Rows"),
            Query(f"max by (reason) ({rejected})", "{{reason}}"),
            Query(f"max({files})", "Unreadable files"),
        ),
        alerts=(alert,),
    )
