"""The top strip: shows if anything is wrong, in which layer, and since when. The first thing that the on-call sees."""

from collections.abc import Iterable, Iterator, Sequence
from string import ascii_uppercase

from grafanalib import core

from mlvitals.generator.contract import Contract
from mlvitals.generator.grafana import slo
from mlvitals.generator.grafana.layout import COLUMNS, Box, Size, flow
from mlvitals.generator.grafana.panels import (
    AMBER,
    COLOURS,
    EMPTY_CELLS,
    GREEN,
    PURPLE,
    RED,
    ROOMY,
    STAT_OPTIONS,
    TABLE_CELLS,
    CorePanel,
    Frame,
    Json,
    columns,
    grid,
    override,
    panel,
    table_options,
    target,
    threshold_steps,
)
from mlvitals.generator.grafana.text import literal_url
from mlvitals.generator.grafana.variables import DATA_SOURCE
from mlvitals.generator.promql import number, selector
from mlvitals.generator.signals.building import FEATURE, SOURCE
from mlvitals.generator.signals.labels import identifying_labels
from mlvitals.generator.signals.monitoring import stale_after
from mlvitals.generator.signals.signal import Incident, Layer, Level, Query, Signal, View
from mlvitals.generator.spec.durations import seconds
from mlvitals.generator.spec.model import Severity, Spec

_HEALTH_HEIGHT, _FIGURES_HEIGHT = 7, 5
_FIGURE_WIDTH = 4
_HEALTH_WIDTH = 10
_STATES = (("OK", GREEN), ("Warning", AMBER), ("Blind", PURPLE), ("Critical", RED))
"""The states of a layer, by the value of `layer_state`; blind outranks warning, because it may hide anything."""
_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
_FIRST = (FEATURE, SOURCE)
"""The labels of an alert's subject that come first in its name."""


def strip(spec: Spec, signals: Sequence[Signal], frame: Frame) -> Sequence[core.Panel]:
    """Return the panels of the strip, with ids from 1."""
    health = (_health(spec, frame), _history(spec, frame), _firing(spec, signals, frame))
    figures = tuple(_figures(spec))
    boxes = flow((Size(signal.width, signal.height) for signal in figures), _HEALTH_HEIGHT)
    first = len(health) + 1
    return (
        *health,
        *(
            panel(signal, first + place, box, frame)
            for place, (signal, box) in enumerate(zip(figures, boxes, strict=True))
        ),
    )


def _figures(spec: Spec) -> Iterator[Signal]:
    """Yield panels of the remaining budgets, and of how current the values below are."""
    if spec.slos:
        yield slo.budgets_left(spec, width=COLUMNS - 3 * _FIGURE_WIDTH, height=_FIGURES_HEIGHT)
    contract = Contract(spec)
    step, grace = number(seconds(spec.step)), number(seconds(spec.windows.grace))
    end, success = (
        contract.name("window_end_timestamp_seconds"),
        contract.name("exporter_last_success_timestamp_seconds"),
    )
    limit = stale_after(spec)
    yield _figure(
        "Age",
        "Time since the exporter last measured a window. Normal: less than a window and its grace. Red: the rows "
        "below show old values; see the monitoring dashboard.",
        f"time() - max({success})",
        "s",
        Level(Severity.CRITICAL, limit),
    )
    yield _figure(
        "Lag",
        "Windows that have ended, including their grace, but are not measured yet. Normal: 0, and briefly 1.",
        f"clamp_min(floor((time() - {grace} - max({end})) / {step}), 0)",
        "none",
        Level(Severity.WARNING, 1),
        Level(Severity.CRITICAL, 2),
    )
    yield _figure(
        "Rows",
        "Predictions in the last window. Normal: follows the traffic. 0 is a prediction log that is not being written.",
        f"max({contract.name('window_rows')})",
        "short",
    )


def _figure(title: str, description: str, expression: str, unit: str, *levels: Level) -> Signal:
    return Signal(
        id=title,
        layer=Layer.MONITORING,
        title=title,
        description=description,
        unit=unit,
        decimals=0 if unit == "none" else None,
        queries=(Query(expression, instant=True),),
        incident=Incident.MONITORING,
        view=View.STAT,
        width=_FIGURE_WIDTH,
        height=_FIGURES_HEIGHT,
        levels=levels,
    )


def watched_layers(spec: Spec) -> tuple[Layer, ...]:
    """Return the layers that have signals."""
    absent = {
        *((Layer.SYSTEM,) if not spec.serving.enabled else ()),
        *((Layer.BUSINESS,) if not spec.business.events else ()),
    }
    return tuple(layer for layer in Layer if layer not in absent)


def layer_state(spec: Spec, layer: Layer) -> str:
    """Return PromQL for the current state of a layer: an index into OK, Warning, Blind, Critical; it always has a value.

    The absence of alerts means nothing without monitoring: a layer is blind while its monitoring is not up, its results
    are out of date, or the rules are not being evaluated.
    """
    critical, warning = (
        f"max({_firing_alerts(spec, severity, layer=layer)})" for severity in (Severity.CRITICAL, Severity.WARNING)
    )
    seen = " and ".join(_conditions(spec, layer))
    return f"3 * {critical} or 2 * absent({seen}) or {warning} or vector(0)"


def _firing_alerts(spec: Spec, severity: Severity, **more: str) -> str:
    return selector("ALERTS", alertstate="firing", system=spec.system.name, severity=severity, **more)


def _conditions(spec: Spec, layer: Layer) -> Iterable[str]:
    """Yield the conditions under which the silence of a layer's alerts means anything."""
    success = Contract(spec).name("exporter_last_success_timestamp_seconds")
    yield f"(max({_firing_alerts(spec, Severity.NONE)}) == 1)"
    if layer is not Layer.DATA and spec.serving.enabled:
        yield f"(max({selector('up', job=spec.serving_job)}) == 1)"
    if layer in {Layer.MODEL, Layer.DATA, Layer.MONITORING} or (layer is Layer.BUSINESS and spec.business.logged):
        yield f"(max({selector('up', job=spec.exporter_job)}) == 1)"
        yield f"(time() - max({success}) < {number(stale_after(spec))})"


def _common(spec: Spec, identity: int, title: str, description: str, box: Box, frame: Frame) -> Json:
    return {
        "id": identity,
        "title": title,
        "description": description,
        "dataSource": DATA_SOURCE,
        "gridPos": grid(box),
        "interval": frame.interval,
        "maxDataPoints": None,
    }


def _state_config() -> Json:
    mappings = {
        str(value): {"text": text, "color": colour, "index": value} for value, (text, colour) in enumerate(_STATES)
    }
    defaults = {
        "mappings": [{"type": "value", "options": mappings}],
        "color": {"mode": "thresholds"},
        "thresholds": threshold_steps(
            (None, GREEN), *((value, colour) for value, (_, colour) in enumerate(_STATES) if value)
        ),
        "noValue": "Prometheus does not answer",
    }
    return {"fieldConfig": {"defaults": defaults, "overrides": []}}


def _states(spec: Spec, *, instant: bool) -> list[core.Target]:
    return [
        target(Query(layer_state(spec, layer), layer.value.capitalize(), instant=instant), reference)
        for reference, layer in zip(ascii_uppercase, watched_layers(spec), strict=False)
    ]


def _health(spec: Spec, frame: Frame) -> core.Panel:
    config = _state_config()
    description = (
        "The worst alert firing now in each layer. Blind: the state is unknown, because the monitoring of the "
        "layer is down, its results are out of date, or the rules are not being evaluated. In that case start with "
        "the monitoring dashboard."
    )
    return core.Stat(
        **_common(spec, 1, "Health now", description, Box(0, 0, _HEALTH_WIDTH, 3), frame),
        targets=_states(spec, instant=True),
        alignment="center",
        colorMode="background",
        graphMode="none",
        orientation="vertical",
        reduceCalc="lastNotNull",
        textMode="value_and_name",
        extraJson={**config, "options": {**STAT_OPTIONS, "text": {"titleSize": 12, "valueSize": 18}}},
    )


def _history(spec: Spec, frame: Frame) -> core.Panel:
    options = {"legend": {"showLegend": False, "calcs": []}, "tooltip": {"sort": "none"}}
    config = _state_config()
    description = "The state of each layer over time. Look first at the layer that broke first."
    common = _common(spec, 2, "Health over time", description, Box(0, 3, _HEALTH_WIDTH, _HEALTH_HEIGHT - 3), frame)
    return core.StateTimeline(
        **common,
        targets=_states(spec, instant=False),
        fillOpacity=80,
        showValue="never",
        extraJson={**config, "options": options},
    )


def _firing(spec: Spec, signals: Sequence[Signal], frame: Frame) -> core.Panel:
    common = _common(
        spec,
        3,
        "Firing alerts",
        "Alerts firing now, critical ones first, and the time since which their condition holds. Click an alert to "
        "open its runbook.",
        Box(_HEALTH_WIDTH, 0, COLUMNS - _HEALTH_WIDTH, _HEALTH_HEIGHT),
        frame,
    )
    headings = {
        "Value": "Since",
        "alertname": "Alert",
        "state": "Severity",
        "what": "What",
        "incident": "Runbook",
    }
    as_time = {"conversions": [{"targetField": "Value", "destinationType": "time"}]}
    as_text = {"timeField": "Value", "outputFormat": "MMM D, HH:mm", "useTimezone": True}
    transformations = [
        {"id": "convertFieldType", "options": as_time},
        {"id": "formatTime", "options": as_text},
        columns(headings, left_out=["Time"]),
    ]
    coloured = {"type": "color-background", "mode": "basic", "applyToRow": False}
    runbook = f"{literal_url(spec.links.runbooks).rstrip('/')}/{spec.slug}/${{__data.fields.Runbook}}.md"
    defaults = {
        "custom": {**TABLE_CELLS, "width": 116},
        "mappings": [*EMPTY_CELLS, *(_severity_colour(severity, colour) for severity, colour in COLOURS.items())],
        "noValue": "Nothing is firing. A layer that is blind cannot fire.",
        "links": [core.DashboardLink(type="link", title="Open the runbook", uri=runbook, targetBlank=True)],
        "color": {"mode": "thresholds"},
        "thresholds": threshold_steps((None, "transparent")),
    }
    return CorePanel(
        "table",
        table_options(),
        **common,
        targets=[target(Query(_since(spec, _subjects(spec, signals)), instant=True), "A", "table")],
        transformations=transformations,
        extraJson={
            "fieldConfig": {
                "defaults": defaults,
                "overrides": [
                    override(["Severity"], {"custom.cellOptions": coloured}),
                    override(["Alert", "What"], ROOMY),
                ],
            }
        },
    )


def _severity_colour(severity: Severity, colour: str) -> Json:
    result = {"text": f"{severity.capitalize()}, $1", "color": colour}
    return {"type": "regex", "options": {"pattern": f"/^{severity}, (.+)$/", "result": result}}


def _subjects(spec: Spec, signals: Sequence[Signal]) -> Sequence[str]:
    """Return the labels by which the subjects of a system's alerts differ; without one of them, two subjects would be one row."""
    known = {label for signal in signals for alert in signal.alerts for label in identifying_labels(alert)}
    return sorted({*known, SOURCE} - spec.identity.labels.keys(), key=lambda label: (label not in _FIRST, label))


def _since(spec: Spec, labels: Sequence[str]) -> str:
    """Return PromQL for the start of each firing alert in Unix milliseconds, by the displayed labels, worst and newest first."""
    subjects = ", ".join(f'"{label}"' for label in labels)

    def of(severity: Severity) -> str:
        since = selector("ALERTS_FOR_STATE", system=spec.system.name, severity=severity)
        firing = f"{since} and ignoring (alertstate) {_firing_alerts(spec, severity)}"
        named = f'label_join(label_join({firing}, "what", " ", {subjects}), "state", ", ", "severity", "layer")'
        return f"sort_desc(1000 * max by (alertname, state, what, incident) ({named}))"

    return " or ".join(of(severity) for severity in _WORST_FIRST)
