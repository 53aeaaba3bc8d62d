"""The dashboard of a system: the top strip, then a row a layer, from what the product feels to what the machines do."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from grafanalib import core

from generator.contract import Contract
from generator.grafana import strip
from generator.grafana.annotations import annotations
from generator.grafana.clean import SCHEMA_VERSION, clean
from generator.grafana.layout import COLUMNS, Box, Size, flow
from generator.grafana.panels import DATA_SOURCE, Frame, grid, panel
from generator.grafana.text import literal_url, of_chosen_features
from generator.signals.signal import Layer, Query, Signal
from generator.spec.durations import seconds
from generator.spec.model import Spec

SHARED_CROSSHAIR = 1
_EVERY_FEATURE = "(?s).+"
"""Any name, one with a line break included."""

_ROWS = {
    Layer.BUSINESS: "Business (product, leadership)",
    Layer.MODEL: "Model (ML engineers)",
    Layer.DATA: "Data (data engineers)",
    Layer.SYSTEM: "System (SREs)",
    Layer.MONITORING: "Monitoring (can the rows above be believed)",
}
_HEADINGS = {"feature_name": "Feature", "feature_source": "Source", "feature_type": "Type", "le": "Up to"}


def dashboard(spec: Spec, signals: Iterable[Signal], marker: str = "") -> dict[str, Any]:
    """Draw the signals of a system as Grafana dashboard JSON, schema version 41.

    Args:
        spec: the system.
        signals: what is watched, in reading order within each layer.
        marker: says where the dashboard comes from; shown in its description.
    """
    contract = Contract(spec)
    frame = Frame(
        uid=spec.system.name,
        interval=f"{max(1, round(seconds(spec.telemetry.scrape_interval)))}s",
        labels=_headings(contract),
    )
    chosen = _metrics_by_feature(contract)
    shown = [_of_chosen_features(signal, chosen) for signal in signals]
    return clean(
        core.Dashboard(
            uid=frame.uid,
            title=f"{spec.title}: ML health",
            description="\n\n".join(filter(None, (spec.system.description, marker))),
            tags=["mlvitals", spec.system.name, spec.system.team],
            editable=False,
            graphTooltip=SHARED_CROSSHAIR,
            refresh="1m",
            schemaVersion=SCHEMA_VERSION,
            time=core.Time("now-24h", "now"),
            timezone="browser",
            templating=core.Templating(list=_variables(contract)),
            annotations=core.Annotations(list=annotations(contract)),
            links=[_runbooks(spec)],
            panels=[*strip.strip(spec, frame), *_layers(shown, frame)],
        )
    )


def dashboard_json(spec: Spec, signals: Iterable[Signal], marker: str = "") -> str:
    """Write the dashboard as text: keys sorted, two spaces, a newline at the end; the same spec gives the same bytes."""
    return json.dumps(dashboard(spec, signals, marker), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _layers(signals: Sequence[Signal], frame: Frame) -> Iterator[core.Panel]:
    identity, top = 100, strip.HEIGHT
    for layer, title in _ROWS.items():
        members = [signal for signal in signals if signal.layer is layer]
        if not members:
            continue
        yield core.RowPanel(id=identity, title=title, gridPos=grid(Box(0, top, COLUMNS, 1)))
        boxes = list(flow((Size(signal.width, signal.height) for signal in members), top + 1))
        for offset, (signal, box) in enumerate(zip(members, boxes, strict=True), start=1):
            yield panel(signal, identity + offset, box, frame)
        identity += 100
        top = boxes[-1].y + boxes[-1].height


def _headings(contract: Contract) -> dict[str, str]:
    labels = sorted({label for family in contract.families for label in family.labels})
    return _HEADINGS | {label: label.replace("_", " ").capitalize() for label in labels if label not in _HEADINGS}


def _metrics_by_feature(contract: Contract) -> frozenset[str]:
    return frozenset(name for name, family in contract.by_series.items() if "feature_name" in family.labels)


def _of_chosen_features(signal: Signal, metrics: frozenset[str]) -> Signal:
    def restricted(query: Query) -> Query:
        return replace(query, expression=of_chosen_features(query.expression, metrics))

    return replace(signal, queries=tuple(restricted(query) for query in signal.queries))


def _variables(contract: Contract) -> list[core.Template]:
    return [
        core.Template(name="datasource", label="Data source", type="datasource", query="prometheus"),
        core.Template(
            name="feature_name",
            label="Feature",
            query=f"label_values({contract.name('feature_info')}, feature_name)",
            dataSource=DATA_SOURCE,
            refresh=2,
            multi=True,
            includeAll=True,
            allValue=_EVERY_FEATURE,
        ),
    ]


def _runbooks(spec: Spec) -> core.DashboardLink:
    return core.DashboardLink(
        type="link",
        title="Runbooks",
        tooltip="What to do, by kind of incident",
        icon="doc",
        uri=literal_url(spec.links.runbooks),
        keepTime=True,
        includeVars=True,
        targetBlank=True,
    )
