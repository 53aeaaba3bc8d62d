"""PromQL is written so that any text survives and any number is exact."""

import re

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlvitals.generator.promql import matching, metric_names, number, one_of, quote, selector

HOSTILE = 'we"ird\\{{ $name }} é\nx'
text_without_surrogates = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def parsed_value(expression: str) -> str:
    return promql_parser.parse(expression).matchers.matchers[0].value


def test_a_hostile_name_reads_back_from_a_selector():
    assert parsed_value(selector("m", feature_name=HOSTILE)) == HOSTILE


def test_a_quoted_string_holds_no_dollar_for_anything_to_expand():
    assert "$" not in quote("${datasource} $name")


@given(text_without_surrogates)
def test_any_text_reads_back_from_a_selector(text: str):
    assert parsed_value(selector("m", label=text)) == text


@given(text_without_surrogates)
def test_a_matcher_for_values_matches_the_value_itself(text: str):
    pattern = parsed_value(matching("m", one_of("label", [text, "other"])))
    assert re.fullmatch(pattern, text)
    assert not re.fullmatch(pattern, text + "x")


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.999, "0.999"), (0.1, "0.1"), (100.0, "100"), (1e-5, "0.00001"), (0.0, "0"), (1e21, "1000000000000000000000")],
)
def test_numbers_are_written_as_people_write_them(value: float, written: str):
    assert number(value) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_read_back_exactly(value: float):
    assert float(number(value)) == value


def test_the_metrics_of_an_expression_are_found_wherever_they_stand():
    expression = "a / on (x) group_left (y) (b > 0) or absent(c) and topk(scalar(g), max_over_time(e[5m:1m])) unless -f"
    assert metric_names(expression) == {"a", "b", "c", "e", "f", "g"}
