"""Text from a spec stays text."""

import pytest

from mlvitals.generator.grafana.text import literal, literal_strings, literal_url


@pytest.mark.parametrize("text", ["$feature_name", "${datasource}", "[[datasource]]", "a $__interval b"])
def test_what_grafana_would_expand_is_parted_by_an_invisible_character(text):
    written = literal(text)
    assert written.replace("\u2060", "") == text
    assert not any(opening in written for opening in ("$f", "${", "$_", "[["))


@pytest.mark.parametrize("text", ["costs 5 $", "[a]", "US$ 3", "50 %", "{{feature_name}}"])
def test_other_text_is_not_touched(text):
    assert literal(text) == text


def test_double_brackets_in_a_promql_string_keep_their_meaning():
    assert literal_strings('up{job="[[x]]"}') == r'up{job="[\x5bx]]"}'


def test_a_dollar_in_an_address_is_written_as_its_code():
    assert literal_url("https://wiki/${x}") == "https://wiki/%24{x}"
