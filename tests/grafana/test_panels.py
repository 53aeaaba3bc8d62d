"""A signal as a panel."""

import re
from dataclasses import replace

import msgspec
import pytest
from grafanalib import core
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.boards import Board
from mlvitals.generator.grafana import dashboards
from mlvitals.generator.grafana.clean import clean
from mlvitals.generator.grafana.layout import Box
from mlvitals.generator.grafana.panels import Frame, panel
from mlvitals.generator.signals import signals
from mlvitals.generator.signals.signal import Incident, Layer, Level, Query, Signal, View
from mlvitals.generator.spec.model import Identity, Severity

FRAME = Frame(feature_uid="streamrec-feature", interval="15s", labels={"feature_name": "Feature", "bin": "Bin"})
SIGNAL = Signal(
    id="drift",
    layer=Layer.MODEL,
    title="Drift",
    description="What it is.",
    unit="none",
    queries=(Query("max(psi)", "PSI"),),
    incident=Incident.FEATURE_DRIFT,
    levels=(Level(Severity.WARNING, 0.1), Level(Severity.CRITICAL, 0.25)),
)
BY_FEATURE = (Query("psi", "{{feature_name}}"),)
WITH_FLOOR = (Query("max(psi)", "PSI"), Query("max(floor)", "Noise floor", dimmed=True))


def drawn(width=8, **changes):
    shown = panel(replace(SIGNAL, **changes), 1, Box(0, 0, width, 8), FRAME)
    return clean(core.Dashboard(title="T", panels=[shown]))["panels"][0]


def steps(shown):
    return [(step["value"], step["color"]) for step in shown["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_a_line_stands_at_each_level_in_the_colour_of_its_severity():
    assert steps(drawn()) == [(None, "transparent"), (0.1, "orange"), (0.25, "red")]


def test_lower_limits_are_drawn_as_lines_of_the_same_colours():
    lower = (Level(Severity.WARNING, 0.25), Level(Severity.CRITICAL, 0))
    assert steps(drawn(levels=lower, below=True)) == [(None, "transparent"), (0, "red"), (0.25, "orange")]


@pytest.mark.parametrize("view", [View.STAT, View.BAR_GAUGE, View.STATE_TIMELINE])
def test_a_state_view_takes_the_colour_of_the_severity_that_holds(view):
    assert steps(drawn(view=view)) == [(None, "green"), (0.1, "orange"), (0.25, "red")]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=2, unique=True))
def test_each_level_is_an_edge_between_two_colours_of_a_heatmap_and_above_the_last_is_the_last_colour(hundredths):
    limits = sorted(value / 100 for value in hundredths)
    severities = (Severity.WARNING, Severity.CRITICAL)
    levels = tuple(Level(severity, limit) for severity, limit in zip(severities, limits, strict=False))
    colour = drawn(view=View.SERIES_HEATMAP, queries=BY_FEATURE, levels=levels)["options"]["color"]
    width = colour["max"] / colour["steps"]
    assert all(limit / width == pytest.approx(round(limit / width)) for limit in limits)
    assert colour["max"] - width == pytest.approx(limits[-1])
    assert 2 <= colour["steps"] <= 128


@given(
    st.text(st.characters(exclude_characters="\n\r\u2028\u2029"), min_size=1),
    st.sampled_from(["", ', zone="b"', ', z="a", zone="}"']),
)
def test_rows_of_a_heatmap_are_named_by_their_label_whatever_it_holds_and_whatever_labels_follow(name, more):
    _, rename = drawn(view=View.SERIES_HEATMAP, queries=BY_FEATURE)["transformations"]
    series = f'{{__name__="feature_name:psi:max", cluster="a", feature_name="{name}"{more}}}'  # Grafana escapes nothing
    assert re.match(rename["options"]["regex"], series)[1] == name


def test_levels_that_would_need_too_many_colours_end_at_the_last_of_them():
    levels = (Level(Severity.WARNING, 0.1), Level(Severity.CRITICAL, 0.2501))
    colour = drawn(view=View.SERIES_HEATMAP, queries=BY_FEATURE, levels=levels)["options"]["color"]
    assert (colour["steps"], colour["max"]) == (128, 0.2501)


def test_below_a_lower_limit_is_red_and_above_all_limits_is_green():
    lower = (Level(Severity.WARNING, 0.25), Level(Severity.CRITICAL, 0))
    shown = drawn(view=View.BAR_GAUGE, levels=lower, below=True)
    assert steps(shown) == [(None, "red"), (0, "orange"), (0.25, "green")]


def test_a_calm_week_looks_calm():
    assert drawn()["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 0.275


def test_a_line_alone_has_no_legend():
    assert drawn()["options"]["legend"]["showLegend"] is False


def test_series_of_features_have_a_legend_with_figures_worst_first_and_one_colour_everywhere():
    shown = drawn(queries=BY_FEATURE)
    legend = shown["options"]["legend"]
    assert (legend["displayMode"], legend["calcs"]) == ("table", ["lastNotNull", "max"])
    assert (legend["sortBy"], legend["sortDesc"]) == ("Last *", True)
    assert shown["fieldConfig"]["defaults"]["color"] == {"mode": "palette-classic-by-name"}


def test_a_feature_in_a_legend_leads_to_itself_at_the_same_time_range():
    link = drawn(queries=BY_FEATURE)["fieldConfig"]["defaults"]["links"][0]
    chosen = "var-feature_name=${__field.labels.feature_name:percentencode}"
    same = "${__url_time_range}&${datasource:queryparam}"
    assert link["url"] == f"/d/streamrec-feature?{same}&{chosen}"


def test_context_is_grey_and_dashed():
    override = drawn(queries=WITH_FLOOR)["fieldConfig"]["overrides"][0]
    properties = {item["id"]: item["value"] for item in override["properties"]}
    assert override["matcher"]["options"]["names"] == ["Noise floor"]
    assert properties["custom.lineStyle"]["fill"] == "dash"


def test_hourly_figures_are_steps_and_gaps_stay_gaps():
    custom = drawn(view=View.STEPS)["fieldConfig"]["defaults"]["custom"]
    assert (custom["lineInterpolation"], custom["spanNulls"], custom["showPoints"]) == ("stepAfter", False, "never")


def test_no_step_is_shorter_than_the_scrape_interval():
    assert drawn()["interval"] == "15s"


def test_no_data_says_why():
    assert drawn(empty="No traffic.")["fieldConfig"]["defaults"]["noValue"] == "No traffic."


def test_a_stat_without_data_is_not_green():
    mapping = drawn(view=View.STAT)["fieldConfig"]["defaults"]["mappings"][0]
    assert mapping["options"]["match"] == "null+nan"
    assert mapping["options"]["result"]["color"] != "green"


def test_a_heatmap_asks_for_buckets():
    assert drawn(view=View.HEATMAP)["targets"][0]["format"] == "heatmap"


def test_a_table_names_its_columns_for_people_and_the_first_query_decides_its_rows():
    queries = (Query("a", "PSI", instant=True), Query("b", "Reference", instant=True))
    merge, rows, columns = drawn(view=View.TABLE, queries=queries)["transformations"]
    assert merge["id"] == "merge"
    assert rows["options"]["filters"][0]["fieldName"] == "Value #A"
    assert columns["options"]["renameByName"] == {
        "feature_name": "Feature",
        "bin": "Bin",
        "Value #A": "PSI",
        "Value #B": "Reference",
    }


def test_a_table_of_labels_shows_no_column_of_ones():
    columns = drawn(view=View.TABLE, queries=(Query("x == 1", instant=True),))["transformations"][-1]
    assert columns["options"]["excludeByName"]["Value"] is True


def test_a_row_of_a_table_leads_to_its_feature():
    queries = (Query("max by (feature_name, status) (x)", instant=True),)
    link = drawn(view=View.TABLE, queries=queries)["fieldConfig"]["defaults"]["links"][0]
    assert link["url"].endswith("var-feature_name=${__data.fields.Feature:percentencode}")


def test_bars_stand_in_the_order_of_the_first_label_under_the_name_of_the_second():
    queries = (
        Query("max by (bin_index, bin) (a)", "Reference", instant=True),
        Query("max by (bin_index, bin) (b)", "Window", instant=True),
    )
    shown = drawn(view=View.BAR_CHART, queries=queries)
    _, order, columns = shown["transformations"]
    assert order["options"]["sort"] == [{"field": "bin_index"}]
    assert columns["options"]["excludeByName"]["bin_index"] is True
    assert shown["options"]["xField"] == "Bin"


def test_context_beside_bars_is_grey_and_no_line():
    queries = (Query("max by (bin_index, bin) (a)", "Reference", instant=True, dimmed=True),)
    [override] = drawn(view=View.BAR_CHART, queries=queries)["fieldConfig"]["overrides"]
    assert [item["id"] for item in override["properties"]] == ["color"]


def test_a_dimmed_query_dims_every_series_it_names():
    reference = Query("reference", "{{figure}} of the reference", dimmed=True, names=("auc of the reference",))
    [dimmed] = drawn(queries=(Query("now", "{{figure}}"), reference))["fieldConfig"]["overrides"]
    assert dimmed["matcher"]["options"]["names"] == ["auc of the reference"]


def test_an_axis_over_a_threshold_of_0_ends_at_1_and_not_at_100():
    shown = drawn(levels=(Level(Severity.WARNING, 0),))
    assert shown["fieldConfig"]["defaults"]["custom"]["axisSoftMax"] == 1


def test_states_over_time_have_the_steps_of_the_lines_that_show_the_same():
    states, lines = drawn(view=View.STATE_TIMELINE), drawn()
    assert [shown.get("maxDataPoints") for shown in (states, lines)] == [None, None]


def test_several_figures_stand_one_below_another():
    many = (Query("a", "A", instant=True), Query("b", "B", instant=True))
    assert drawn(view=View.STAT, queries=many)["options"]["orientation"] == "horizontal"


def test_the_legend_stands_beside_the_lines_where_the_box_is_wide():
    assert drawn(queries=BY_FEATURE, width=24)["options"]["legend"]["placement"] == "right"
    assert drawn(queries=BY_FEATURE, width=6)["options"]["legend"]["placement"] == "bottom"


def test_an_empty_cell_does_not_say_that_the_whole_table_is_empty():
    mappings = drawn(view=View.TABLE)["fieldConfig"]["defaults"]["mappings"]
    shown = {mapping["options"]["match"]: mapping["options"]["result"]["text"] for mapping in mappings}
    assert shown == {"null": "–", "empty": "–"}


def test_the_table_that_shows_a_features_source_leads_to_the_other_features_from_it(streamrec):
    own = Identity(labels={"env": "staging"})
    spec = msgspec.structs.replace(streamrec, identity=own)
    board = dashboards(spec, signals(spec))[Board.FEATURE]
    (table,) = (each for each in board["panels"] if each["title"] == "Status, type and source")
    (_, link) = table["fieldConfig"]["defaults"]["links"]
    assert link["title"] == "All features from ${__data.fields.Source}"
    assert link["url"] == (
        "/d/streamrec-staging?${__url_time_range}&${datasource:queryparam}&${env:queryparam}"
        "&var-feature_source=${__data.fields.Source:percentencode}"
    )
    main = dashboards(spec, signals(spec))[Board.MAIN]
    assert {"env", "feature_source"} <= {variable["name"] for variable in main["templating"]["list"]}
