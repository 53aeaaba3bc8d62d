"""A signal as a panel: the thresholds drawn are the alert's own numbers, and all appearance is decided here."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from string import ascii_uppercase
from typing import Any

from grafanalib import core

from mlvitals.generator.grafana.layout import Box
from mlvitals.generator.grafana.text import literal, literal_strings
from mlvitals.generator.grafana.variables import DATA_SOURCE
from mlvitals.generator.signals.building import FEATURE, SOURCE
from mlvitals.generator.signals.signal import Query, Signal, View
from mlvitals.generator.spec.model import Severity

Json = dict[str, Any]

GREEN, BLUE, AMBER, RED, PURPLE, GREY = "green", "blue", "orange", "red", "purple", "#8e8e8e"
COLOURS = {Severity.INFO: BLUE, Severity.WARNING: AMBER, Severity.CRITICAL: RED}
"""Colours of states; they have no other meaning."""

_HEADROOM = 1.1
_ROOMY, _WIDE = 7, 12
"""Minimum width in columns for a legend with values, and for a legend to the right of the plot."""
_FEATURE = "{{feature_name}}"
_FEATURE_GROUPS = re.compile(r"by \(feature_name\b")
_SOURCE_KEPT = re.compile(r"group_left \([^)]*\bfeature_source\b")
_FORMS = {View.TABLE: "table", View.BAR_CHART: "table", View.HEATMAP: "heatmap"}
_LEFT_OUT = ("Time", "rank")
_LONG = ("feature_name", "feature_source", "bin", "status", "sloth_slo", "segment", "segment_value")
"""Labels whose values may be long."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Settings that the panels of one dashboard share."""

    feature_uid: str
    """The dashboard of one feature."""
    interval: str
    """The scrape interval: a smaller step would only repeat samples."""
    labels: Mapping[str, str]
    """Label names as table headings."""
    main_uid: str = ""
    """The main dashboard, which shows the features of a chosen source."""
    carried: tuple[str, ...] = ()
    """The variables that links take along, besides the data source: those of the environment."""


class CorePanel(core.Panel):  # type: ignore[misc]
    """A panel type of today's Grafana that grafanalib lacks, or still writes in its Angular form."""

    def __init__(self, kind: str, options: Json, **common: Any) -> None:
        super().__init__(**common)
        self.kind = kind
        self.options = options

    def to_json_data(self) -> Json:
        """Return the panel as JSON values."""
        panel: Json = self.panel_json({"type": self.kind, "options": self.options})
        return panel


def panel(signal: Signal, identity: int, box: Box, frame: Frame) -> core.Panel:
    """Draw a signal."""
    return _DRAW[signal.view](signal, _common(signal, identity, box, frame), frame)


def grid(box: Box) -> core.GridPos:
    """Return a box as grafanalib has it."""
    return core.GridPos(h=box.height, w=box.width, x=box.x, y=box.y)


def target(query: Query, reference: str, form: str = "time_series") -> core.Target:
    """Return a Prometheus query of a panel."""
    return core.Target(
        datasource=DATA_SOURCE,
        expr=literal_strings(query.expression),
        format=form,
        instant=query.instant,
        legendFormat=literal(query.legend),
        refId=reference,
    )


def threshold_steps(*steps: tuple[float | None, str]) -> Json:
    """Return colours by lower limit; the first limit is None."""
    return {"mode": "absolute", "steps": [{"color": colour, "value": value} for value, colour in steps]}


def override(names: Iterable[str], properties: Mapping[str, Json | None]) -> Json:
    """Return other settings for the fields with the displayed names; None removes a default.

    Matched by names, and set to objects only: Grafana's published schema accepts no plain text or number here.
    """
    return {
        "matcher": {"id": "byNames", "options": {"mode": "include", "names": list(names)}},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


# ---------------------------------------------------------------- common to all views


def _common(signal: Signal, identity: int, box: Box, frame: Frame) -> Json:
    form = _FORMS.get(signal.view, "time_series")
    return {
        "id": identity,
        "title": literal(signal.title),
        "description": literal(signal.description),
        "dataSource": DATA_SOURCE,
        "gridPos": grid(box),
        "interval": frame.interval,
        "maxDataPoints": None,
        "targets": [
            target(query, reference, form) for query, reference in zip(signal.queries, ascii_uppercase, strict=False)
        ],
    }


def _field_config(signal: Signal, frame: Frame, thresholds: Json, **more: Any) -> Json:
    defaults = {
        "unit": signal.unit,
        "decimals": signal.decimals,
        "min": signal.minimum,
        "max": signal.maximum,
        "noValue": signal.when_empty,
        "mappings": [],
        "thresholds": thresholds,
        "links": _feature_links(signal, frame),
    }
    return {"fieldConfig": {"defaults": {**defaults, **more}, "overrides": _overrides(signal)}}


def _feature_links(signal: Signal, frame: Frame) -> list[core.DashboardLink]:
    """Return a link from a series or a table's row to the dashboard of its feature, with the same time range."""
    if _by_feature(signal):
        name = "__field.labels.feature_name"
    elif signal.view is View.TABLE and any(_FEATURE_GROUPS.search(query.expression) for query in signal.queries):
        name = f"__data.fields.{frame.labels['feature_name']}"
    else:
        return []
    one = _link(frame.feature_uid, FEATURE, name, frame)
    links = [core.DashboardLink(type="link", title=f"All about ${{{name}}}", uri=one)]
    if signal.view is View.TABLE and any(_SOURCE_KEPT.search(query.expression) for query in signal.queries):
        source = f"__data.fields.{frame.labels[SOURCE]}"
        others = _link(frame.main_uid, SOURCE, source, frame)
        links.append(core.DashboardLink(type="link", title=f"All features from ${{{source}}}", uri=others))
    return links


def _link(uid: str, variable: str, value: str, frame: Frame) -> str:
    """Return the address of a dashboard on which a variable has a value, with the same time range, data and environment."""
    same = "&".join(("${__url_time_range}", *(f"${{{name}:queryparam}}" for name in ("datasource", *frame.carried))))
    return f"/d/{uid}?{same}&var-{variable}=${{{value}:percentencode}}"


def _overrides(signal: Signal) -> list[Json]:
    """Return the style of context: grey, and dashed if it is a line."""
    context: dict[str, Json] = {"color": {"mode": "fixed", "fixedColor": GREY}}
    if signal.view in {View.TIME_SERIES, View.STEPS}:
        context["custom.lineStyle"] = {"fill": "dash", "dash": [6, 6]}
    dimmed = [literal(name) for query in signal.queries if query.dimmed for name in query.names or (query.legend,)]
    return [override(dimmed, context)] if dimmed else []


def _lines(signal: Signal) -> Json:
    """Return a line at each level, in the colour of the severity that starts there, whichever side is bad."""
    levels = sorted((level.value, COLOURS[level.severity]) for level in signal.levels)
    return threshold_steps((None, "transparent"), *levels)


def _bands(signal: Signal) -> Json:
    """Return the colours of values: that of the severity at a value, or green."""
    if not signal.levels:
        return threshold_steps((None, BLUE))
    levels = sorted((level.value, COLOURS[level.severity]) for level in signal.levels)
    if not signal.below:
        return threshold_steps((None, GREEN), *levels)
    values = [value for value, _ in levels]
    colours = [*(colour for _, colour in levels), GREEN]
    return threshold_steps(*zip([None, *values], colours, strict=True))


def _many(signal: Signal) -> bool:
    """True if it has several series besides context."""
    shown = [query for query in signal.queries if not query.dimmed]
    return len(shown) > 1 or any("{{" in query.legend for query in shown)


def _by_feature(signal: Signal) -> bool:
    return any(_FEATURE in query.legend for query in signal.queries)


# ---------------------------------------------------------------- the views


def _time_series(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    many = _many(signal)
    custom = {
        "axisSoftMax": _soft_maximum(signal),
        "axisSoftMin": 0 if signal.minimum is None else None,
        "lineStyle": {"fill": "solid"},
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if signal.levels else "off"},
    }
    alone = len(signal.queries) == 1 and not many
    columns_wide = common["gridPos"].w
    table = many and (_by_feature(signal) or columns_wide >= _ROOMY)
    sorting = {"sortBy": "Last *", "sortDesc": True} if table else {}
    return core.TimeSeries(
        **common,
        fillOpacity=8 if alone else 0,
        lineInterpolation="stepAfter" if signal.view is View.STEPS else "linear",
        legendDisplayMode="table" if table else "list",
        # Not "last": it is empty if the range ends in a gap, such as a restart.
        legendCalcs=["lastNotNull", "max"] if table else [],
        legendPlacement="right" if table and columns_wide >= _WIDE else "bottom",
        showPoints="never",
        tooltipMode="multi",
        tooltipSort="desc",
        extraJson={
            **_field_config(signal, frame, _lines(signal), color=_colours(signal), custom=custom),
            "options": {"legend": {"showLegend": not alone, **sorting}},
        },
    )


def _colours(signal: Signal) -> Json:
    """Return the colour of a series: a feature has one colour everywhere, by its name; a single line is blue."""
    if not _many(signal):
        return {"mode": "fixed", "fixedColor": BLUE}
    return {"mode": "palette-classic-by-name" if _by_feature(signal) else "palette-classic"}


def _soft_maximum(signal: Signal) -> float | None:
    """Return a limit slightly above the worst level, so that a calm week looks calm and the line is still visible."""
    if signal.below or not signal.levels:
        return None
    # If anything above 0 is too much, an axis that ends at 0 would be drawn up to 100.
    return round(max(level.value for level in signal.levels) * _HEADROOM, 10) or 1


def _stat(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    many = _many(signal)
    return core.Stat(
        **common,
        alignment="auto",
        colorMode="value" if signal.levels else "none",
        graphMode="none" if any(query.instant for query in signal.queries) else "area",
        # Several are stacked vertically, so that names do not overlap.
        orientation="horizontal" if many else "auto",
        reduceCalc="lastNotNull",
        textMode="value_and_name" if many else "value",
        extraJson={
            **_field_config(signal, frame, _bands(signal), color={"mode": "thresholds"}, **_UNKNOWN),
            "options": {**STAT_OPTIONS, "text": {"titleSize": 14, "valueSize": 24} if many else {"valueSize": 36}},
        },
    )


STAT_OPTIONS = {"percentChangeColorMode": "standard", "showPercentChange": False, "wideLayout": True}
"""Options of Grafana's stat panel that grafanalib leaves out."""


_UNKNOWN: Json = {
    "noValue": "n/a",
    "mappings": [{"type": "special", "options": {"match": "null+nan", "result": {"text": "n/a", "color": GREY}}}],
}
"""Return a short text for a missing value: it must not look like a good one, and the full explanation would not fit."""


def _bar_gauge(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    options = {
        "displayMode": "basic",
        "legend": _NO_LEGEND,
        "maxVizHeight": 40,
        "minVizHeight": 14,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        "showUnfilled": True,
        "sizing": "auto",
        "valueMode": "color",
    }
    maximum = _soft_maximum(signal) if signal.maximum is None else signal.maximum
    config = _field_config(signal, frame, _bands(signal), color={"mode": "thresholds"}, max=maximum)
    return CorePanel("bargauge", options, **common, extraJson=config)


def _state_timeline(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    """Return bands as fine as the lines of a time series: coarser steps would end earlier, and rank other series worst."""
    options = {
        "alignValue": "left",
        "legend": _NO_LEGEND,
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    config = _field_config(signal, frame, _bands(signal), color={"mode": "thresholds"}, custom=custom)
    return CorePanel("state-timeline", options, **common, extraJson=config)


_NO_LEGEND = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}


def _heatmap(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    """Return buckets by time: empty ones stay blank."""
    shades = {"scheme": "Blues", "steps": 64, "reverse": False}
    return _cells(signal, common, frame, shades, decimals=0, filterValues={"le": 1e-9})


def _series_heatmap(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    shades = {"scheme": "RdYlGn", "reverse": False, **_scale(signal)}
    common = {**common, "transformations": _rows_named_by(signal.queries[0].legend)}
    return _cells(signal, common, frame, shades, decimals=signal.decimals, legend={"show": True})


def _rows_named_by(legend: str) -> list[Json]:
    """Return transformations for rows of series, named by the label that is their legend.

    Grafana 12 draws a heatmap of an answer without series as a script error: the first makes it no answer, which is "no
    data". It also drops the legend, which the second restores from the series' labels.
    """
    # Grafana writes values as they are, quotes too: one ends where another label, or the end, follows.
    named = {"regex": rf'^.*?\b{legend.strip("{}")}="(.*?)"(?:, \w+=".*)?}}$', "renamePattern": "$1"}
    return [
        {"id": "prepareTimeSeries", "options": {"format": "multi"}},
        {"id": "renameByRegex", "options": named},
    ]


def _cells(
    signal: Signal, common: Json, frame: Frame, shades: Json, *, decimals: int | None, **options: Json
) -> core.Panel:
    drawn = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "exponent": 0.5, "fill": BLUE, **shades},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {},
        "legend": {"show": False},
        "rowsFrame": {"layout": "auto"},
        "cellValues": {"unit": signal.unit, "decimals": decimals},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False},
        **options,
    }
    custom = {"hideFrom": {"legend": False, "tooltip": False, "viz": False}, "scaleDistribution": {"type": "linear"}}
    config = _field_config(signal, frame, threshold_steps((None, BLUE)), custom=custom)
    return CorePanel("heatmap", drawn, **common, extraJson=config)


_MOST_COLOURS = 128


def _scale(signal: Signal) -> Json:
    """Return colours of equal width such that each level is an edge between two, and all above the last has the last.

    Grafana divides the range from `min` to `max` evenly among `steps` colours.
    """
    limits = [Fraction(repr(level.value)) for level in signal.levels]
    if not limits or min(limits) <= 0:
        return {"steps": 64, "min": 0}
    width = Fraction(gcd(*(limit.numerator for limit in limits)), lcm(*(limit.denominator for limit in limits)))
    highest = max(limits) + width
    if highest / width > _MOST_COLOURS:
        return {"steps": _MOST_COLOURS, "min": 0, "max": float(max(limits))}
    return {"steps": int(highest / width), "min": 0, "max": float(highest)}


def _table(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    values = _value_columns(signal)
    first = next(iter(values))
    unnamed = [column for column, heading in values.items() if not heading]
    transformations = [
        {"id": "merge", "options": {}},
        _only_rows_with(first),
        columns({**frame.labels, **values}, left_out=(*_LEFT_OUT, *unnamed)),
    ]
    options = table_options(sort_by=values[first])
    config = _field_config(
        signal, frame, _lines(signal), custom=TABLE_CELLS, color={"mode": "thresholds"}, mappings=EMPTY_CELLS
    )
    config["fieldConfig"]["overrides"].append(
        override([frame.labels[label] for label in _LONG if label in frame.labels], ROOMY)
    )
    return CorePanel("table", options, **common, transformations=transformations, extraJson=config)


def _bar_chart(signal: Signal, common: Json, frame: Frame) -> core.Panel:
    order, name = _GROUPS.search(signal.queries[0].expression).groups()  # type: ignore[union-attr]
    values = _value_columns(signal)
    heading = frame.labels[name]
    transformations = [
        {"id": "merge", "options": {}},
        {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": order}]}},
        columns({name: heading, **values}, left_out=(*_LEFT_OUT, order)),
    ]
    options = {
        "barRadius": 0,
        "barWidth": 0.9,
        "fullHighlight": False,
        "groupWidth": 0.75,
        "legend": {**_NO_LEGEND, "showLegend": len(values) > 1},
        "orientation": "auto",
        "showValue": "never",
        "stacking": "none",
        "tooltip": {"mode": "multi", "sort": "none"},
        "xField": heading,
        "xTickLabelMaxLength": 18,
        "xTickLabelRotation": -30,
    }
    custom = {"fillOpacity": 80, "lineWidth": 0, "axisSoftMin": 0, "axisSoftMax": _soft_maximum(signal)}
    config = _field_config(signal, frame, threshold_steps((None, BLUE)), custom=custom, color=_colours(signal))
    return CorePanel("barchart", options, **common, transformations=transformations, extraJson=config)


_GROUPS = re.compile(r"by \((\w+), (\w+)\)")


def _value_columns(signal: Signal) -> dict[str, str]:
    """Return the columns of values after merging: Grafana's names for them, and the displayed names."""
    if len(signal.queries) == 1:
        return {"Value": signal.queries[0].legend}
    return {f"Value #{ref}": query.legend for ref, query in zip(ascii_uppercase, signal.queries, strict=False)}


def _only_rows_with(column: str) -> Json:
    condition = {"fieldName": column, "config": {"id": "isNotNull", "options": {}}}
    return {"id": "filterByValue", "options": {"filters": [condition], "match": "all", "type": "include"}}


def columns(headings: Mapping[str, str], left_out: Iterable[str]) -> Json:
    """Return the transformation that orders and names the columns of a table."""
    options = {
        "excludeByName": dict.fromkeys(left_out, True),
        "indexByName": {name: position for position, name in enumerate(headings)},
        "renameByName": {name: heading for name, heading in headings.items() if heading},
    }
    return {"id": "organize", "options": options}


EMPTY_CELLS: list[Json] = [
    {"type": "special", "options": {"match": nothing, "result": {"text": "–"}}} for nothing in ("null", "empty")
]
"""Return the override of an empty cell, which would otherwise show the text meant for a table without rows."""
TABLE_CELLS = {"align": "auto", "filterable": False, "inspect": False, "minWidth": 110, "width": 100}
"""The width of a column that is not in `ROOMY`."""
ROOMY = {"custom.width": None, "custom.cellOptions": {"type": "auto", "wrapText": True}}
"""Columns with long texts, such as names of features and bins: they share the remaining width, and wrap."""


def table_options(sort_by: str | None = None) -> Json:
    """Return a compact table, largest first if a column is named."""
    return {
        "cellHeight": "sm",
        "frameIndex": 0,
        "showHeader": True,
        "sortBy": [{"displayName": sort_by, "desc": True}] if sort_by else [],
    }


_DRAW: Mapping[View, Callable[[Signal, Json, Frame], core.Panel]] = {
    View.TIME_SERIES: _time_series,
    View.STEPS: _time_series,
    View.STAT: _stat,
    View.BAR_GAUGE: _bar_gauge,
    View.STATE_TIMELINE: _state_timeline,
    View.HEATMAP: _heatmap,
    View.SERIES_HEATMAP: _series_heatmap,
    View.TABLE: _table,
    View.BAR_CHART: _bar_chart,
}
