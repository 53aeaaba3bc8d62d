"""What the pass after grafanalib leaves and what it takes away."""

import pytest
from grafanalib import core

from mlvitals.generator.grafana.clean import clean


@pytest.fixture(scope="module")
def cleaned():
    panel = core.TimeSeries(
        id=1,
        title="A",
        gridPos=core.GridPos(h=8, w=8, x=0, y=1),
        maxDataPoints=None,
        targets=[core.Target(expr="up", refId="A"), core.Target(expr="up", refId="B", instant=True)],
        extraJson={"fieldConfig": {"defaults": {"thresholds": {"steps": [{"color": "green", "value": None}]}}}},
    )
    variables = [
        core.Template(name="datasource", type="datasource", query="prometheus"),
        core.Template(name="feature_name", query="label_values(x, feature_name)", includeAll=True),
    ]
    row = core.RowPanel(id=2, title="Row", gridPos=core.GridPos(h=1, w=24, x=0, y=0))
    return clean(core.Dashboard(title="T", panels=[row, panel], templating=core.Templating(list=variables)))


def test_the_schema_version_needs_no_migration_that_loses_the_shared_crosshair(cleaned):
    assert cleaned["schemaVersion"] == 41
    assert not cleaned.keys() & {"__inputs", "rows", "style", "sharedCrosshair", "hideControls", "gnetId"}


def test_a_row_keeps_only_what_a_row_has(cleaned):
    assert set(cleaned["panels"][0]) == {"type", "title", "collapsed", "id", "gridPos", "panels"}


def test_a_panel_loses_what_only_angular_panels_had(cleaned):
    assert not cleaned["panels"][1].keys() & {"editable", "error", "height", "minSpan", "span"}


def test_no_limit_of_data_points_makes_the_interval_coarse(cleaned):
    assert "maxDataPoints" not in cleaned["panels"][1]


def test_the_lowest_threshold_keeps_its_null(cleaned):
    steps = cleaned["panels"][1]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps == [{"color": "green", "value": None}]


def test_a_query_is_a_range_unless_it_is_instant(cleaned):
    assert [(target["instant"], target["range"]) for target in cleaned["panels"][1]["targets"]] == [
        (False, True),
        (True, False),
    ]
    assert not cleaned["panels"][1]["targets"][0].keys() & {"intervalFactor", "step", "metric", "query"}
