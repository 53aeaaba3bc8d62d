"""Recording rules by level."""

import pytest

from mlvitals.generator.rules.levels import level_files, levels


def rule(name: str, expression: str) -> dict:
    return {"record": name, "expr": expression}


def test_a_record_comes_after_those_it_reads():
    short, long, ratio = rule("a:x:rate5m", "rate(x[5m])"), rule("a:x:avg1h", "avg_over_time(a:x:rate5m[1h])"), None
    ratio = rule("a:x:ratio", "a:x:avg1h / a:x:rate5m")
    assert levels([ratio, long, short]) == [[short], [long], [ratio]]


def test_records_of_one_name_with_several_labels_stay_together():
    low, high = rule("slo:objective:ratio", "vector(0.9)"), rule("slo:objective:ratio", "vector(0.99)")
    left = rule("slo:budget:ratio", "1 - slo:objective:ratio")
    assert levels([left, low, high]) == [[low, high], [left]]


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="in a cycle: a:x, b:x"):
        levels([rule("a:x", "b:x"), rule("b:x", "a:x")])


def test_every_record_of_a_spec_is_in_one_file_and_the_alerts_are_in_the_last(streamrec):
    files = level_files(streamrec)
    assert list(files) == sorted(files)
    *recording, alerting = files.values()
    assert "record:" not in alerting
    assert "alert: MLWatchdog" in alerting
    assert all("record:" in text and "alert:" not in text for text in recording)
