"""Finding the queries in generated files."""

import json

from mlvitals.verification.queries import Origin, Query, Variable, queries


def of_dashboard(dashboard: dict) -> tuple[Query, ...]:
    return queries({"dashboards/x.json": json.dumps(dashboard)})


def panel(expression: str, **more: object) -> dict:
    return {"title": "Latency", "targets": [{"refId": "A", "expr": expression, **more}], "gridPos": {"w": 12}}


def test_panels_in_collapsed_rows_are_asked_too():
    found = of_dashboard({"panels": [{"title": "Row", "type": "row", "panels": [panel("inner")]}, panel("outer")]})
    assert [query.expression for query in found] == ["inner", "outer"]
    assert found[0].place == "dashboards/x.json: Latency (A)"
    assert found[0].width == 12


def test_a_panel_on_logs_asks_no_prometheus():
    logs = panel('{service="exporter"}') | {"datasource": {"type": "loki", "uid": "loki"}}
    assert of_dashboard({"panels": [logs]}) == ()


def test_tables_are_asked_for_a_moment_and_lines_for_a_range():
    table, lines = of_dashboard({"panels": [panel("a", instant=True), panel("b")]})
    assert table.instant
    assert not lines.instant


def test_what_fills_a_variable_is_a_query_itself():
    template = {"name": "feature", "type": "query", "query": {"query": 'label_values(info{a="b"}, feature_name)'}}
    found = of_dashboard({"templating": {"list": [template]}, "panels": [panel('x{f="$feature"}')]})
    assert found[0].origin is Origin.VARIABLE
    assert found[0].expression == 'info{a="b"}'
    assert found[1].variables == (Variable("feature", None, 'info{a="b"}', "feature_name"),)


def test_all_values_of_a_variable_are_chosen_where_that_is_possible():
    template = {"name": "feature", "type": "query", "query": "label_values(info, f)", "includeAll": True}
    [_, query] = of_dashboard({"templating": {"list": [template]}, "panels": [panel("x")]})
    assert query.variables[0].fixed == ".+"


def test_queries_of_a_runbook_block_are_parted_by_empty_lines():
    page = "# High latency\n\n```promql\na > 1\n\nsum(\n  b\n)\n```\n\n```sql\nSELECT 1\n```\n"
    found = queries({"runbooks/x/high-latency.md": page})
    assert [query.expression for query in found] == ["a > 1", "sum(\n  b\n)"]
    assert found[0].place == "runbooks/x/high-latency.md:3"


def test_every_kind_of_query_of_the_reference_spec_is_found(streamrec_files):
    assert {query.origin for query in queries(streamrec_files)} == set(Origin)
