"""The past of rules."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf

from examples.streamrec.recorded import alert_states, recorded

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
RULE = {"record": "slo:x:ratio", "expr": "x", "labels": {"slo": "a"}}


def test_a_month_is_asked_for_in_parts_that_meet_without_overlap():
    asked = []
    list(
        recorded(
            [RULE], BEGIN, BEGIN + timedelta(days=30), lambda _, first, last, step: asked.append((first, last)) or []
        )
    )
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


def test_an_alert_is_pending_for_its_time_and_then_fires():
    states = list(alert_states([0, 240, 480, 720], wait=400, keep=0, step=240, end=inf))
    assert states == [(0, "pending"), (240, "pending"), (480, "firing"), (720, "firing")]


def test_an_alert_whose_condition_was_gone_waits_anew():
    assert [state for _, state in alert_states([0, 240, 960], wait=240, keep=0, step=240, end=inf)] == [
        "pending",
        "firing",
        "pending",
    ]


def test_an_alert_goes_on_firing_for_as_long_as_the_rule_keeps_it_and_no_longer():
    assert list(alert_states([0, 1200], wait=0, keep=600, step=240, end=inf)) == [
        (0, "firing"),
        (240, "firing"),
        (480, "firing"),
        (1200, "firing"),
        (1440, "firing"),
        (1680, "firing"),
    ]


def test_an_alert_whose_condition_comes_back_while_it_is_kept_does_not_wait_anew():
    states = list(alert_states([0, 240, 720], wait=240, keep=600, step=240, end=inf))
    assert states == [(0, "pending"), *((time, "firing") for time in (240, 480, 720, 960, 1200))]


def test_an_alert_leaves_the_series_that_prometheus_itself_would():
    rule = {"alert": "MLX", "expr": "x > 1", "for": "4m", "labels": {"severity": "warning"}}
    series = [{"metric": {"__name__": "x", "feature": "a"}, "values": [[0, "2"], [240, "3"]]}]
    text = "".join(recorded([rule], BEGIN, BEGIN, lambda *_: series))
    labels = 'alertname="MLX",alertstate="{}",feature="a",severity="warning"'
    assert text == (
        f"# TYPE ALERTS gauge\nALERTS{{{labels.format('pending')}}} 1 0\nALERTS{{{labels.format('firing')}}} 1 240\n# EOF\n"
    )


def test_an_alert_that_is_kept_beyond_the_past_leaves_nothing_after_its_end():
    rule = {"alert": "MLX", "expr": "x > 1", "keep_firing_for": "1h"}
    series = [{"metric": {}, "values": [[0, "2"], [240, "2"]]}]
    begin, end = (datetime.fromtimestamp(second, UTC) for second in (0, 600))
    text = "".join(recorded([rule], begin, end, lambda *_: series))
    times = [int(line.split()[-1]) for line in text.splitlines() if line.startswith("ALERTS")]
    assert times == [0, 240, 480]
