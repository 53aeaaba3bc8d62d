"""What an alert says: the Go template and the text it must render to, from one definition."""

import pytest

from mlvitals.generator.signals.text import (
    Format,
    Found,
    FoundLabel,
    FoundValue,
    LabelOf,
    Literal,
    Sample,
    Situation,
    Value,
    figure,
    text,
    threshold,
)


@pytest.mark.parametrize(
    ("value", "form", "written"),
    [
        (0.742, Format.NUMBER, "0.742"),
        (0.35, Format.PERCENT, "35%"),
        (0.0005, Format.PERCENT, "0.05%"),
        (0.0751, Format.DURATION, "75.1ms"),
        (0.1, Format.DURATION, "100ms"),
        (0.0000005, Format.DURATION, "500ns"),
        (1.5, Format.DURATION, "1.5s"),
        (0, Format.DURATION, "0s"),
        (-90, Format.DURATION, "-1m 30s"),
        (7500, Format.DURATION, "2h 5m 0s"),
        (90061, Format.DURATION, "1d 1h 1m 1s"),
    ],
)
def test_figures_carry_their_unit(value: float, form: Format, written: str):
    assert figure(value, form) == written


def test_a_threshold_is_written_exactly():
    assert threshold(0.1, Format.NUMBER) == "0.1"
    assert threshold(0.075, Format.DURATION) == "75ms"


def test_text_of_a_spec_is_never_expanded_by_prometheus():
    template = text("Boom {{ .Value }}").template()
    assert template == 'Boom {{ "{{" }} .Value }}'


def test_the_sentence_about_another_sample_is_left_out_where_there_is_none():
    sentence = Found("bins", ("feature_name",), {"rank": "1"}, (Literal("bin "), FoundLabel("bin")))
    nothing = Situation(1.0, {"feature_name": "a"})
    other = Situation(1.0, {"feature_name": "a"}, (Sample("bins", {"feature_name": "b", "rank": "1", "bin": "x"}, 1),))
    right = Situation(1.0, {"feature_name": "a"}, (Sample("bins", {"feature_name": "a", "rank": "1", "bin": "x"}, 1),))
    assert [text(sentence).rendered(situation) for situation in (nothing, other, right)] == ["", "", "bin x"]


def test_a_sentence_about_what_exceeds_a_value_is_left_out_where_nothing_does():
    sentence = text(Found("share", (), {}, (FoundValue(Format.PERCENT),), above=0))
    situations = [Situation(1.0, {}, (Sample("share", {}, value),)) for value in (0, 0.4)]
    assert [sentence.rendered(situation) for situation in situations] == ["", "40%"]
    assert "`share{} > 0`" in sentence.template()


def test_a_label_in_a_link_is_fit_for_a_url():
    situation = Situation(1.0, {"feature_name": 'a b&c="é"'})
    assert LabelOf("feature_name", in_url=True).rendered(situation) == "a+b%26c%3D%22%C3%A9%22"


def test_value_and_found_value_share_their_format():
    situation = Situation(0.5, {}, (Sample("m", {}, 0.25),))
    both = text(Value(Format.PERCENT), " of ", Found("m", (), {}, (FoundValue(Format.PERCENT),)))
    assert both.rendered(situation) == "50% of 25%"
