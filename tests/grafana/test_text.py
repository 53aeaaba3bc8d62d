"""Text from a spec stays text, and the feature filter reaches selectors only."""

import promql_parser
import pytest

from generator.grafana.text import literal, literal_strings, literal_url, of_chosen_features

METRICS = frozenset({"streamrec_drift_psi", "streamrec_feature_null_rate"})


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


@pytest.mark.parametrize(
    ("expression", "restricted"),
    [
        ("max(streamrec_drift_psi)", 'max(streamrec_drift_psi{feature_name=~"$feature_name"})'),
        (
            'streamrec_drift_psi{rank="1"}[5m]',
            'streamrec_drift_psi{feature_name=~"$feature_name",rank="1"}[5m]',
        ),
        ("streamrec_drift_psi_other", "streamrec_drift_psi_other"),
        ('x{y="streamrec_drift_psi"}', 'x{y="streamrec_drift_psi"}'),
        (r'x{y="\"streamrec_drift_psi"}', r'x{y="\"streamrec_drift_psi"}'),
    ],
)
def test_the_feature_filter_reaches_selectors_of_feature_metrics_only(expression, restricted):
    assert of_chosen_features(expression, METRICS) == restricted
    promql_parser.parse(restricted.replace("$feature_name", ".+"))


def test_a_dollar_in_an_address_is_written_as_its_code():
    assert literal_url("https://wiki/${x}") == "https://wiki/%24{x}"
