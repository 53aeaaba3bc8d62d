"""`mlvitals concept accept`: the gap is as it should be, and the charts start anew."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from command_line import mlvitals
from concept_samples import BEGIN, DELAY, HOUR, SPEC, feature, hour_report, quiet_gaps, shifted
from gap_history import drift_history
from msgspec.structs import replace

from mlvitals.exporters.publish.results import open_results
from mlvitals.exporters.reference.stores import open_store
from mlvitals.exporters.sections.concept.report import ConceptReport, GapReference
from mlvitals.exporters.sections.concept.views import accepted_since
from mlvitals.exporters.training.build import build_reference
from mlvitals.exporters.window.history import OutcomeFacts, with_drift_type
from mlvitals.generator.contract import ConceptStatus
from mlvitals.generator.spec.load import load_spec
from mlvitals.generator.spec.model import Severity

TRAINED = GapReference(rows=100_000, gap=0.005, row_variance=0.1, windows=100)
MOVED = [shifted(one, 0.1) for one in quiet_gaps(80)]


def hours(count, *, accepted=None, reference=TRAINED, severity=None):
    """Reports of hours whose predictions all miss their outcomes; the gap is accepted since an hour."""
    past, reports = [], []
    for hour in range(count):
        if hour == accepted:
            past.append(accepted_since(BEGIN + hour * HOUR, "v1"))
        learning = ConceptReport(status=ConceptStatus.LEARNING, reference=reference)
        report = replace(hour_report(hour, age=feature(severity)), concept=learning)
        facts = OutcomeFacts(MOVED[hour - DELAY]) if hour >= DELAY else None
        reports.append(with_drift_type(SPEC, report, facts, drift_history(SPEC, report, past)))
        past.append(reports[-1].past)
    return reports


@pytest.mark.slow
def test_a_gap_that_nobody_accepts_goes_on_alarming():
    assert [report.concept.severity for report in hours(30)[-5:]] == [Severity.CRITICAL] * 5


@pytest.mark.slow
def test_an_accepted_gap_is_learned_from_as_few_windows_as_charts_can_be_kept_for_and_is_quiet_from_then_on():
    reports = hours(68, accepted=20)
    assert reports[19].concept.severity is Severity.CRITICAL
    learning = reports[25].concept
    assert (learning.status, learning.severity) == (ConceptStatus.LEARNING, None)
    assert learning.reason == "4 of 33 windows of the baseline are gathered, since the gap was accepted"
    assert {report.concept.status for report in reports[55:]} == {ConceptStatus.OK}
    assert {report.concept.severity for report in reports[55:]} == {None}
    assert reports[-1].concept.expected_gap == pytest.approx(0.105, abs=0.01)


@pytest.mark.slow
def test_predictions_made_before_it_do_not_count():
    assert hours(21 + DELAY, accepted=20)[-1].concept.baseline_windows == 1


@pytest.mark.slow
def test_inputs_that_drift_are_accepted_with_it():
    reports = hours(68, accepted=20, severity=Severity.CRITICAL)
    assert reports[-1].concept.status is ConceptStatus.OK


@pytest.mark.slow
def test_without_training_data_learning_that_stood_still_goes_on():
    stalled = hours(60, reference=None, severity=Severity.CRITICAL)[-1].concept
    assert stalled.status is ConceptStatus.STALLED
    assert hours(60, reference=None, severity=Severity.CRITICAL, accepted=50)[-1].concept.baseline_windows == 8


@pytest.mark.slow
def test_the_reference_s_own_gap_stays_in_the_report():
    assert hours(45, accepted=20)[-1].concept.reference == TRAINED


# ---------------------------------------------------------------- the command


@pytest.fixture
def spec_path(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(
        "version: 1\nsystem: {name: shop}\nfeatures: {age: {}}\n"
        "prediction_log: {path: log, score: score, id: id, outcome: {column: clicked}}\n"
    )
    spec = load_spec(path)
    scores = np.linspace(0.0, 1.0, 500)
    table = pa.table({"age": np.arange(500.0), "score": scores, "clicked": scores > 0.5})
    built = build_reference(spec, table, created=BEGIN, source_hash="data")
    store = open_store(spec.reference.store, tmp_path, "shop")
    store.promote(store.save(built), "production")
    return path


def kept(path):
    spec = load_spec(path)
    version = open_store(spec.reference.store, path.parent, "shop").load("production").version
    with closing(open_results(spec.results, path.parent)) as results:
        return results.past_windows("shop", version)


def test_it_is_kept_for_the_active_reference(spec_path):
    done = mlvitals("concept", "accept", spec_path, "--since", "2026-03-01", "--reason", "new price list")
    assert done.returncode == 0
    assert "since 2026-03-01T00:00:00Z; the charts start anew" in done.stdout
    [found] = kept(spec_path)
    assert found == accepted_since(datetime(2026, 3, 1, tzinfo=UTC), found.reference_version)


def test_to_accept_it_twice_keeps_it_once(spec_path):
    for reason in ("first", "second"):
        assert mlvitals("concept", "accept", spec_path, "--since", "2026-03-01", "--reason", reason).returncode == 0
    assert len(kept(spec_path)) == 1


def test_without_a_time_it_is_now(spec_path):
    mlvitals("concept", "accept", spec_path)
    [found] = kept(spec_path)
    assert datetime.now(UTC) - found.window.end < timedelta(minutes=5)


def test_a_time_in_the_future_is_refused(spec_path):
    done = mlvitals("concept", "accept", spec_path, "--since", "2899-01-01")
    assert (done.returncode, "is in the future" in done.stderr) == (2, True)


def test_a_system_without_outcomes_has_nothing_to_accept(spec_path):
    spec_path.write_text(spec_path.read_text().replace(", outcome: {column: clicked}", ""))
    done = mlvitals("concept", "accept", spec_path)
    assert (done.returncode, "no prediction_log.outcome" in done.stderr) == (2, True)
