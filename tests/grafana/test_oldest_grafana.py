"""Grafana 11.0, the oldest that is promised, knows everything that the dashboards use, or leaves it out harmlessly.

What it knows is that of its published packages @grafana/schema and @grafana/data, version 11.0.0: the options of each
panel type and its settings of fields.
"""

import pytest

from mlvitals.generator.grafana import dashboards
from mlvitals.generator.signals import signals

_LEGEND, _TOOLTIP = {"legend"}, {"tooltip"}
_AXES = {"axisLabel", "axisPlacement", "axisSoftMax", "axisSoftMin", "scaleDistribution", "hideFrom"}
OPTIONS = {
    "bargauge": {
        *("displayMode", "maxVizHeight", "minVizHeight", "minVizWidth", "namePlacement", "orientation"),
        *("reduceOptions", "showUnfilled", "sizing", "valueMode"),
    },
    "barchart": {
        *("barRadius", "barWidth", "fullHighlight", "groupWidth", "orientation", "showValue", "stacking", "xField"),
        *("xTickLabelMaxLength", "xTickLabelRotation"),
    }
    | _LEGEND
    | _TOOLTIP,
    "heatmap": {
        *(
            "calculate",
            "cellGap",
            "cellValues",
            "color",
            "exemplars",
            "filterValues",
            "rowsFrame",
            "showValue",
            "yAxis",
        ),
    }
    | _LEGEND
    | _TOOLTIP,
    "logs": {
        *("dedupStrategy", "enableLogDetails", "prettifyLogMessage", "showCommonLabels", "showLabels"),
        *("showLogContextToggle", "showTime", "sortOrder", "wrapLogMessage"),
    },
    "row": set(),
    "stat": {
        *("colorMode", "graphMode", "justifyMode", "orientation", "reduceOptions", "showPercentChange", "text"),
        *("textMode", "wideLayout"),
    },
    "state-timeline": {"alignValue", "mergeValues", "rowHeight", "showValue"} | _LEGEND | _TOOLTIP,
    "table": {"cellHeight", "frameIndex", "showHeader", "sortBy"},
    "timeseries": _LEGEND | _TOOLTIP,
}
FIELDS = {
    "bargauge": set(),
    "barchart": _AXES | {"fillOpacity", "lineWidth"},
    "heatmap": {"hideFrom", "scaleDistribution"},
    "row": set(),
    "stat": set(),
    "state-timeline": {"fillOpacity", "lineWidth"},
    "table": {"align", "cellOptions", "filterable", "inspect", "minWidth", "width"},
    "timeseries": _AXES
    | {
        *("barAlignment", "drawStyle", "fillOpacity", "gradientMode", "lineInterpolation", "lineStyle", "lineWidth"),
        *("pointSize", "showPoints", "spanNulls", "stacking", "thresholdsStyle"),
    },
}
TRANSFORMATIONS = {
    "convertFieldType",
    "extractFields",
    "filterByValue",
    "formatTime",
    "merge",
    "organize",
    "sortBy",
    "prepareTimeSeries",
    "renameByRegex",
}
LATER = {("bargauge", "legend"), ("stat", "percentChangeColorMode")}
"""Options that came later, set to what 11.0 does without them."""


@pytest.fixture(scope="module")
def panels(streamrec):
    boards = dashboards(streamrec, signals(streamrec)).values()
    return [inner for board in boards for panel in board["panels"] for inner in (panel, *panel.get("panels", ()))]


def test_every_panel_is_of_a_type_that_it_has(panels):
    assert {panel["type"] for panel in panels} <= OPTIONS.keys()


def test_it_knows_every_option_of_a_panel(panels):
    used = {(panel["type"], option) for panel in panels for option in panel.get("options", {})}
    assert used - LATER <= {(kind, option) for kind, options in OPTIONS.items() for option in options}


def test_it_knows_every_setting_of_fields_also_where_one_field_differs(panels):
    configs = [(panel["type"], panel["fieldConfig"]) for panel in panels if panel["type"] != "row"]
    everywhere = {(kind, name) for kind, config in configs for name in config["defaults"].get("custom", {})}
    somewhere = {
        (kind, item["id"].removeprefix("custom."))
        for kind, config in configs
        for override in config["overrides"]
        for item in override["properties"]
        if item["id"].startswith("custom.")
    }
    assert everywhere | somewhere <= {(kind, name) for kind, names in FIELDS.items() for name in names}


def test_it_has_every_transformation(panels):
    used = {item["id"] for panel in panels for item in panel.get("transformations", [])}
    assert used <= TRANSFORMATIONS


def test_every_variable_is_of_a_kind_that_it_has(streamrec):
    boards = dashboards(streamrec, signals(streamrec)).values()
    assert {one["type"] for board in boards for one in board["templating"]["list"]} <= {
        "datasource",
        "query",
        "textbox",
    }
