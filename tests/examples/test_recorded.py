"""The past of recording rules."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from examples.streamrec.recorded import recorded

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RULE = {"record": "slo:x:ratio", "expr": "x", "labels": {"slo": "a"}}


def test_a_month_is_asked_for_in_parts_that_meet_without_overlap():
    asked = []
    list(recorded([RULE], BEGIN, BEGIN + timedelta(days=30), lambda _, first, last: asked.append((first, last)) or []))
    assert asked[0][0] == BEGIN.timestamp()
    assert asked[-1][1] == (BEGIN + timedelta(days=30)).timestamp()
    assert all(later[0] - earlier[1] == 60 for earlier, later in pairwise(asked))


def test_samples_bear_the_labels_of_series_and_rule_and_nan_is_left_out():
    series = [{"metric": {"feature": 'a"b'}, "values": [[1, "0.5"], [61, "NaN"], [121, "1"]]}]
    text = "".join(recorded([RULE], BEGIN, BEGIN, lambda *_: series))
    named = 'slo:x:ratio{feature="a\\"b",slo="a"}'
    assert text == f"# TYPE slo:x:ratio gauge\n{named} 0.5 1\n{named} 1 121\n# EOF\n"


def test_rules_that_record_one_name_stand_together():
    text = "".join(recorded([RULE, RULE | {"record": "other"}, RULE], BEGIN, BEGIN, lambda *_: []))
    assert [line for line in text.splitlines() if "TYPE" in line] == ["# TYPE slo:x:ratio gauge", "# TYPE other gauge"]
