"""What is published of outcomes, and kept of them."""

from contextlib import closing
from pathlib import Path

import pytest
from databases import Database
from exporter_samples import OUTCOMES, SPEC, samples_of
from exporter_samples import report as window_report
from msgspec.structs import replace

from mlvitals.exporters.publish.prometheus import render_window
from mlvitals.generator.contract import Contract, Producer
from mlvitals.generator.rules.expressions import looks_back
from mlvitals.generator.signals import signals
from mlvitals.generator.spec.load import parse_spec
from mlvitals.generator.spec.model import Outcome, OutcomeKind

OUTCOME = Outcome(column="clicked", timestamp="seen")
WITHOUT_OUTCOMES = replace(SPEC, prediction_log=replace(SPEC.prediction_log, outcome=None))
WITH_OUTCOMES = replace(SPEC, prediction_log=replace(SPEC.prediction_log, outcome=OUTCOME))
PAGE = samples_of(render_window(Contract(WITH_OUTCOMES), window_report(outcomes=OUTCOMES)))


def value(name, **labels):
    return PAGE.get((f"shop_{name}", frozenset(labels.items())))


def test_every_family_of_outcomes_is_published():
    added = {family.name for family in Contract(WITH_OUTCOMES).of(Producer.EXPORTER)} - {
        family.name for family in Contract(WITHOUT_OUTCOMES).of(Producer.EXPORTER)
    }
    assert len(added) > 20
    assert added <= {name for name, _ in PAGE}


def test_figures_are_those_of_the_report_and_undefined_ones_are_absent():
    assert value("feedback_rate") == 0.9
    assert value("outcome_shift_critical_value") == 0.1
    assert value("feedback_delay_seconds", percentile="95") == 600
    assert value("performance", figure="auc") == 0.7
    assert value("performance_reference", figure="auc") == 0.75
    assert value("performance", figure="log_loss") is None
    assert value("feedback_files_unreadable") == 1


def test_an_estimate_has_a_family_of_its_own_that_is_called_so():
    assert value("performance_estimated", figure="auc") == 0.72


def test_a_window_that_is_not_mature_publishes_its_estimate_alone():
    report = window_report(outcomes=replace(OUTCOMES, mature=False))
    page = samples_of(render_window(Contract(WITH_OUTCOMES), report))
    assert {name for name, _ in page if "feedback" in name or "outcome" in name} == set()
    assert ("shop_performance_estimated", frozenset({("figure", "auc")})) in page


def test_a_stored_report_with_outcomes_is_published_without_them_where_the_spec_has_none_now():
    page = samples_of(render_window(Contract(WITHOUT_OUTCOMES), window_report(outcomes=OUTCOMES)))
    assert not [name for name, _ in page if "feedback" in name]


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_kind_has_its_signals_and_an_estimate_is_titled_so(kind):
    needs = {
        OutcomeKind.RANKING: "list: shown, ",
        OutcomeKind.MULTICLASS: "probabilities: {cat: p_cat, dog: p_dog}, ",
    }.get(kind, "")
    has_probabilities = kind in (OutcomeKind.BINARY, OutcomeKind.MULTICLASS)
    spec = parse_spec(
        "version: 1\nsystem: {name: shop}\nfeatures: {a: {}}\n"
        f"prediction_log: {{path: log, score: s, outcome: {{{needs}column: y, kind: {kind}, timestamp: t}}}}\n"
    )
    found = {signal.id: signal for signal in signals(spec)}
    assert {"feedback_rate", "label_drift", "performance_loss"} <= found.keys()
    assert ("performance_estimated" in found) is has_probabilities
    if has_probabilities:
        assert "estimated" in found["performance_estimated"].title.lower()
        assert all("estimated" in query.legend for query in found["performance_estimated"].queries)


def test_only_the_comparison_with_the_week_before_looks_back(streamrec):
    feedback = next(signal for signal in signals(streamrec) if signal.id == "feedback_rate")
    looking_back = [alert for alert in feedback.alerts if looks_back(alert.rule)]
    assert {dict(alert.labels).get("compared_with") for alert in looking_back} == {"week_before"}
    assert len(looking_back) == len(feedback.alerts) / 2


def test_outcomes_are_kept_as_a_row_and_replaced(database: Database):
    with closing(database.open()) as store:
        store.save(window_report(outcomes=OUTCOMES))
        store.save(window_report(outcomes=replace(OUTCOMES, gap=0.07)))
        assert store.last_report("shop").outcomes.gap == 0.07
    assert database.rows("SELECT predictions, answered, gap, label_shift FROM drift_outcomes") == [
        (1000, 900, 0.07, -0.17)
    ]


def test_a_hostile_outcome_column_stays_harmless(tmp_path: Path):
    spec = parse_spec(
        "version: 1\nsystem: {name: shop, title: 'a {{ .Value }} $x'}\nfeatures: {a: {}}\n"
        "prediction_log: {path: log, score: s, outcome: {column: 'y\"}} {{ $value }}', timestamp: t}}\n"
    )
    texts = [alert.description.template() for signal in signals(spec) for alert in signal.alerts]
    assert not [text for text in texts if 'y"}' in text or "{{ .Value }}" in text]
