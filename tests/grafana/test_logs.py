"""The row of log lines: there where logs are kept, and silent until it is opened."""

import msgspec
import pytest

from mlvitals.generator.boards import Board
from mlvitals.generator.grafana import dashboard, dashboards
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.model import Telemetry

LOGS = "Logs (exporter and service; kept by docker compose --profile logs)"


@pytest.fixture(scope="module")
def shown(streamrec):
    return dashboard(streamrec, signals(streamrec))


@pytest.fixture(scope="module")
def row(shown):
    return next(panel for panel in shown["panels"] if panel["title"] == LOGS)


@pytest.fixture(scope="module")
def lines(row):
    [panel] = row["panels"]
    return panel


def test_the_row_is_right_below_the_data_layer(shown):
    rows = [panel["title"] for panel in shown["panels"] if panel["type"] == "row"]
    assert rows.index(LOGS) == rows.index("Data (data engineers)") + 1


def test_the_row_is_closed_so_that_a_stack_without_a_log_store_shows_no_error(shown, row):
    assert row["collapsed"] is True
    assert not [panel for panel in shown["panels"] if panel["type"] == "logs"]
    assert not [
        item for item in shown["templating"]["list"] if item["type"] == "query" and "logs" in str(item["query"])
    ]


def test_a_closed_row_takes_one_line_and_the_next_layer_follows(shown, row):
    system = next(panel for panel in shown["panels"] if panel["title"].startswith("System ("))
    assert system["gridPos"]["y"] == row["gridPos"]["y"] + 1


def test_it_shows_the_systems_lines_newest_first(lines):
    assert lines["type"] == "logs"
    assert lines["targets"][0]["expr"] == '{system="streamrec"}'
    assert lines["options"]["sortOrder"] == "Descending"


def test_it_asks_the_log_store_that_is_chosen(shown, lines):
    [variable] = [item for item in shown["templating"]["list"] if item.get("query") == "loki"]
    assert variable["type"] == "datasource"
    assert (
        lines["datasource"] == lines["targets"][0]["datasource"] == {"type": "loki", "uid": f"${{{variable['name']}}}"}
    )


def test_the_row_says_how_log_lines_get_there_because_a_panel_of_logs_shows_no_text_of_ours(row, lines):
    assert "--profile logs" in row["title"]
    assert "--profile logs" in lines["description"]
    assert "noValue" not in lines["fieldConfig"]["defaults"]


def test_what_a_line_holds_becomes_fields_that_a_click_shows(lines):
    [extract] = lines["transformations"]
    assert extract["id"] == "extractFields"
    assert (extract["options"]["source"], extract["options"]["format"]) == ("Line", "json")


def test_a_system_that_keeps_no_logs_has_neither_row_nor_variable(streamrec):
    without = msgspec.structs.replace(streamrec, telemetry=Telemetry())
    for board in dashboards(without, signals(without)).values():
        assert LOGS not in {panel["title"] for panel in board["panels"]}
        assert "loki" not in {item.get("query") for item in board["templating"]["list"]}


def test_only_the_main_dashboard_has_the_row(streamrec):
    with_row = {
        board
        for board, drawn in dashboards(streamrec, signals(streamrec)).items()
        if LOGS in {panel["title"] for panel in drawn["panels"]}
    }
    assert with_row == {Board.MAIN}
