"""Judging answers."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from mlvitals.generator.spec.model import Spec
from mlvitals.verification.calm import excuses_of
from mlvitals.verification.intervals import Span
from mlvitals.verification.queries import Origin, Query, Variable
from mlvitals.verification.server import Answer, Prometheus, ServerError
from mlvitals.verification.verify import Problem, Verification, verify

NAN = float("nan")
HOUR, MONTH = Span(timedelta(hours=1), 15), Span(timedelta(days=30), 15)


class Canned:
    """A server that knows its answers."""

    def __init__(self, seconds: Sequence[float] = (0.01,), **values: Sequence[float]) -> None:
        self.values = values
        self.seconds = list(seconds)
        self.asked: list[str] = []

    def at(self, query: str, moment: float) -> Answer:
        self.asked.append(query)
        taken = self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        if query == "broken":
            return Answer((), "parse error", taken)
        found = self.values.get(query.replace("{}", ""))
        return Answer((tuple(found),) if found else (), None, taken)

    def over(self, query: str, begin: float, end: float, step: float) -> Answer:
        return self.at(query, end)

    def label_values(self, label: str, series: str, begin: float, end: float) -> Sequence[str]:
        return ["age", "country"]


def run(server: Canned, *queries: Query, spans: Sequence[Span] = (HOUR,)) -> Verification:
    return verify(queries, server, spans, now=1e9, slow_seconds=0.3)


def panel(expression: str, **more: object) -> Query:
    return Query(Origin.PANEL, "Latency (A)", expression, **more)


def feature_panel() -> Query:
    return panel("x{f=~`$feature`}", variables=(Variable("feature", None, "info", "f"),))


def problems(done: Verification) -> list[Problem]:
    return [finding.problem for finding in done.findings]


def test_a_query_with_data_is_no_finding():
    done = run(Canned(x=[1.0]), panel("x"))
    assert (done.queries, done.findings) == (1, ())


def test_an_empty_panel_is_named_with_its_place_and_the_query_as_it_was_sent():
    [finding] = run(Canned(), panel("x[$__range]")).findings
    assert (finding.problem, finding.place, finding.expression) == (Problem.EMPTY, "Latency (A)", "x[3600s]")


def test_a_refused_query_is_an_error_with_the_servers_reason():
    [finding] = run(Canned(), panel("broken")).findings
    assert (finding.problem, finding.detail) == (Problem.ERROR, "parse error")


def test_only_nan_is_a_finding_and_some_nan_is_none():
    assert problems(run(Canned(x=[NAN, NAN], y=[NAN, 1.0]), panel("x"), panel("y"))) == [Problem.NAN]


def test_an_alert_that_does_not_fire_is_calm():
    done = run(Canned(x=[1.0]), Query(Origin.ALERT, "alert A", "x > 3"))
    assert (done.calm, done.findings) == (1, ())


def test_an_alert_on_nothing_is_a_finding():
    assert problems(run(Canned(), Query(Origin.ALERT, "alert A", "x > 3"))) == [Problem.EMPTY]


def test_no_annotations_are_good_news():
    done = run(Canned(), Query(Origin.ANNOTATION, "annotations", "x * 1000"))
    assert (done.calm, done.findings) == (1, ())


def test_one_slow_answer_of_a_busy_machine_is_no_finding():
    assert problems(run(Canned(seconds=[0.5, 0.1], x=[1.0]), panel("x"))) == []


def test_an_answer_that_is_slow_every_time_is_a_finding():
    [finding] = run(Canned(seconds=[0.5], x=[1.0]), panel("x")).findings
    assert (finding.problem, finding.detail) == (Problem.SLOW, "takes 500 ms")


def test_panels_are_asked_at_every_range_and_rules_once():
    server = Canned(x=[1.0], y=[1.0])
    run(server, panel("x"), Query(Origin.RECORD, "record a:y", "y"), spans=(HOUR, MONTH))
    assert server.asked == ["x", "y", "x"]


def test_a_variable_without_all_takes_the_first_value_as_a_dashboard_does():
    server = Canned()
    run(server, feature_panel())
    assert server.asked[0] == "x{f=~`age`}"


def test_a_server_that_is_not_there_is_said_so():
    with pytest.raises(ServerError, match=r"http://127\.0\.0\.1:1 does not answer"):
        Prometheus("http://127.0.0.1:1").at("x", 0)


@pytest.mark.parametrize("url", ["http://[::1", "http://a/\u00e4", "http://."])
def test_an_address_that_cannot_be_asked_is_said_so(url):
    with pytest.raises(ServerError, match="does not answer"):
        Prometheus(url).at("x", 0)


def test_an_address_that_is_none_is_said_so():
    with pytest.raises(ServerError, match="looks like http://"):
        Prometheus("localhost:9090")


def test_a_figure_that_the_chosen_one_cannot_have_and_another_has_is_calm():
    done = run(Canned(**{"x{f=~`.+`}": [1.0]}), feature_panel())
    assert (done.calm, done.findings) == (1, ())


def test_a_figure_that_no_choice_has_is_a_finding():
    assert problems(run(Canned(), feature_panel())) == [Problem.EMPTY]


def test_a_record_of_conditions_that_do_not_hold_is_calm():
    record = Query(Origin.RECORD, "record x:wrong", "x > 3", record="x:wrong")
    done = run(Canned(x=[1.0]), record, panel("count(x:wrong)"))
    assert (done.calm, done.findings) == (2, ())


def test_a_record_of_conditions_that_hold_only_since_the_last_step_is_calm():
    record = Query(Origin.RECORD, "record x:wrong", "x > 3", record="x:wrong")
    server = Canned(**{"x": [4.0], "x > 3": [4.0], "x:wrong": [4.0], "count(x:wrong)": [1.0]})
    server.over = lambda *_: Answer((), None, 0.01)
    done = run(server, record, panel("count(x:wrong)", instant=False))
    assert (done.calm, done.findings) == (1, ())


LEARNING = 'shop_concept_status{status=~"learning|no_outcomes"} == 1'
RECORD = Query(Origin.RECORD, "a record", "shop_concept_ewma / 2", record="shop:ewma:half")


def judged(*queries: Query, **values: Sequence[float]) -> list[Problem]:
    server = Canned(shop_concept_status=(1,), **values)
    excuses = {"shop_concept_ewma": LEARNING}
    return problems(verify(queries, server, (HOUR,), now=1e9, slow_seconds=0.3, excuses=excuses))


def test_a_chart_that_is_still_learning_is_no_finding_and_nor_is_what_is_recorded_of_it():
    asked = (panel("shop_concept_ewma"), RECORD, panel("shop:ewma:half > 3"))
    assert judged(*asked, **{LEARNING: (1,)}) == []


def test_a_chart_that_is_missing_for_any_other_reason_is_a_finding():
    assert judged(panel("shop_concept_ewma")) == [Problem.EMPTY]


def test_learning_excuses_nothing_else():
    assert judged(panel("shop_latency + shop_concept_ewma"), **{LEARNING: (1,)}) == [Problem.EMPTY]


def test_the_excuses_of_a_spec_are_its_charts_while_they_learn(streamrec: Spec):
    excuses = excuses_of(streamrec)
    assert {"streamrec_concept_ewma", "streamrec_concept_gap_expected"} <= excuses.keys()
    assert "streamrec_concept_status" not in excuses
    assert set(excuses.values()) == {LEARNING.replace("shop", "streamrec")}


def test_a_histogram_that_is_stored_as_a_native_one_is_named():
    server = Canned(**{"count(latency_seconds) unless count(latency_seconds_bucket)": [1.0]})
    record = Query(
        Origin.RECORD, "p99", "histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))", record="system:p99"
    )
    done = run(server, panel("system:p99"), record)
    assert all("latency_seconds has native samples and no buckets" in finding.detail for finding in done.findings)
    assert "always_scrape_classic_histograms: true" in done.findings[0].detail
