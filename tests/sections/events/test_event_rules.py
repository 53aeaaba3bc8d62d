"""What a spec may say of the events log: one breach each, at the value to blame."""

import re
from pathlib import Path

import pytest
from event_samples import TEXT

from mlvitals.generator.spec.diagnostics import SpecError
from mlvitals.generator.spec.load import parse_spec

LOG = "  events_log: {path: events, timestamp: at, event: kind, amount: euros}\n"


def errors(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    return [f"{item.position.line}:{item.position.column} {item.text}" for item in caught.value.diagnostics]


def test_the_example_of_the_docs_is_sound():
    page = (Path(__file__).resolve().parents[3] / "docs" / "business.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(parse_spec(example).business.logged) == 5


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def test_an_event_from_the_log_needs_a_log():
    found = errors(changed(LOG, ""))
    assert "10:27 business.events.impressions.source is log, which needs business.events_log" in found
    assert len(found) == 5


def test_a_log_that_no_event_comes_from_is_told():
    assert errors(
        "version: 1\nsystem: {name: shop}\nprediction_log: {path: log}\nfeatures: {age: {}}\n"
        "business:\n  events_log: {path: e}\n"
    ) == ["6:3 business.events_log is not read for any event; add source: log to the events that it holds"]


def test_an_amount_needs_a_column():
    assert errors(changed(", amount: euros", "")) == [
        '13:55 business.events.revenue.unit is "euros", but no column holds the amounts; '
        "name it in business.events_log.amount or in the event's own amount"
    ]


def test_a_column_of_amounts_needs_a_unit():
    assert errors(changed("logged_as: click}", "logged_as: click, amount: euros}")) == [
        "12:53 business.events.clicks.amount is summed, which needs a unit"
    ]


def test_a_unique_kpi_needs_the_column_whose_values_are_counted():
    (found,) = errors(changed("logged_as: listing, distinct: item", "logged_as: listing"))
    assert found.startswith("15:19 ") and "listed_items" in found
    assert "is of a KPI of kind unique, which needs distinct" in found


def test_distinct_values_that_no_kpi_asks_for_are_told():
    (found,) = errors(changed("logged_as: click}", "logged_as: click, distinct: item}"))
    assert "business.events.clicks.distinct counts distinct values, but no KPI of kind unique uses them" in found


@pytest.mark.parametrize("setting", ["logged_as: buy", "amount: euros", "distinct: item"])
def test_an_event_of_the_application_has_no_columns(setting: str):
    text = (
        "version: 1\nsystem: {name: shop}\nprediction_log: {path: log}\nfeatures: {age: {}}\n"
        f"business: {{events: {{clicks: {{{setting}}}}}}}\n"
    )
    (found,) = errors(text)
    assert f"business.events.clicks.{setting.partition(':')[0]} has an effect only with source: log" in found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("format: sql", "sql needs business.events_log.table"),
        ("table: events", "business.events_log.table has no effect without format: sql"),
        ("password_file: secret", "business.events_log.password_file has no effect without format: sql"),
    ],
)
def test_a_table_and_the_format_sql_belong_together(settings: str, expected: str):
    (found,) = errors(changed("amount: euros}", f"amount: euros, {settings}}}"))
    assert expected in found


def test_a_column_has_one_role():
    (found,) = errors(changed("amount: euros}", "amount: at}"))
    assert 'business.events_log.amount is "at", the log\'s timestamp column' in found


@pytest.mark.parametrize(
    ("line", "setting", "expected"),
    [
        (
            "unit: euros}",
            "unit: euros, amount: at}",
            '13:70 business.events.revenue.amount is "at", the log\'s timestamp',
        ),
        (
            "unit: euros}",
            "unit: euros, amount: kind}",
            '13:70 business.events.revenue.amount is "kind", the log\'s event',
        ),
        (
            "listing, distinct: item}",
            "listing, distinct: at}",
            '15:63 business.events.listed_items.distinct is "at", the log\'s timestamp',
        ),
    ],
)
def test_a_column_of_an_event_has_one_role_too(line: str, setting: str, expected: str):
    assert errors(changed(line, setting)) == [f"{expected} column"]


@pytest.mark.parametrize("text_format", ["csv", "jsonl"])
def test_amounts_of_a_format_without_types_are_no_distinct_values_too(text_format: str):
    typed = changed("listing, distinct: item}", "listing, distinct: euros}")
    parse_spec(typed)
    (found,) = errors(typed.replace("{path: events,", f"{{path: events, format: {text_format},"))
    assert 'business.events.listed_items.distinct is "euros", a column of amounts' in found


def test_a_password_in_the_path_of_the_log_is_refused():
    (found,) = errors(changed("path: events,", "path: 'postgresql://a:b@c/d',"))
    assert "business.events_log.path contains a password" in found


def test_stretches_must_be_longer_than_a_step_for_a_total_that_rises_once_a_step():
    assert errors(changed("compare_window: 2h", "compare_window: 1h")) == [
        "8:19 business.compare_window 1h is not longer than a step of 1h, after which events of the log are counted; "
        "make it two steps or more"
    ]
    (found,) = errors(changed("denominator: impressions}", "denominator: impressions, window: 30m}"))
    assert "business.kpis.click_through_rate.window 30m is not longer than a step of 1h" in found


def test_a_figure_of_the_log_and_the_application_compares_whole_steps():
    mixed = changed("clicks: {source: log, logged_as: click}", "clicks: {}").replace("{enabled: false}", "{}")
    assert parse_spec(mixed).business.logged.keys() == {"impressions", "revenue", "shown_items", "listed_items"}
    (found,) = errors(mixed.replace("compare_window: 2h", "compare_window: 150m"))
    assert "business.compare_window 150m is not a multiple of the step 1h" in found


def test_without_a_serving_application_only_the_log_can_count():
    (found,) = errors(changed("clicks: {source: log, logged_as: click}", "clicks: {}"))
    assert "business.events.clicks is counted by the serving application" in found
