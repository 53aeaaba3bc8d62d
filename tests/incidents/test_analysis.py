"""What the evidence says: when the fault began, step or slope, whom it reached, what caused it, and how bad it is."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from incident_samples import alert, at, webhook

from mlvitals.generator.spec.model import SeverityCriteria
from mlvitals.incidents.analysis.causes import Cause, rank_causes
from mlvitals.incidents.analysis.fault import Shape, find_fault
from mlvitals.incidents.analysis.impact import impact_of
from mlvitals.incidents.analysis.whole import analyse
from mlvitals.incidents.evidence import (
    BinFacts,
    BudgetFacts,
    EventFacts,
    FeatureFacts,
    IncidentEvidence,
    KpiFacts,
    WindowFacts,
)
from mlvitals.incidents.record.model import Incident, IncidentType, Opened, SevLevel
from mlvitals.incidents.record.store import Incidents
from mlvitals.incidents.record.webhook import record_webhook
from mlvitals.incidents.timeline.events import EventKind, EventSource, TimelineEvent, merge

INCIDENT = Incident(version=1, id="x", title="x", system="s", entries=(Opened(at=at(135), actor="a"),))


def cells(share: float) -> tuple[BinFacts, ...]:
    """Two cells: the second held a tenth, and this share more now."""
    return (
        BinFacts(label="usual", reference=0.9, current=0.9 - share, psi=share),
        BinFacts(label="new", reference=0.1, current=0.1 + share, psi=share),
    )


def window(hour: int, share: float = 0.0, feature: str = "days", source: str = "batch", **more) -> WindowFacts:
    """An hour of 1,000 rows in which a share of one feature's values moved; another feature is calm."""
    psi = 2 * share if share else 0.001
    severity = "critical" if psi > 0.25 else "warning" if psi > 0.1 else ""
    moved = FeatureFacts(rows=1000, source=source, psi=psi, noise=0.02, severity=severity, bins=cells(share))
    calm = FeatureFacts(rows=1000, source="stream", psi=0.001, noise=0.02, skewed=0.0)
    facts = {"reference_created": at(-1440), "rows": 1000, "severity": severity} | more
    return WindowFacts(start=at(60 * hour), end=at(60 * hour + 60), features={feature: moved, "calm": calm}, **facts)


STEP = [window(hour) for hour in range(-6, 1)] + [
    window(1, 0.1),
    window(2, 0.4),
    window(3, 0.4),
    window(4, 0.4),
    window(5),
]


# ---------------------------------------------------------------- the fault


def test_a_fault_starts_where_the_part_of_the_first_window_that_shows_it_begins():
    fault = find_fault(INCIDENT, STEP)
    assert fault.feature == "days"
    assert (fault.start.earliest, fault.start.latest) == (at(60), at(120))
    assert fault.start.at == at(105)  # a quarter of the window shows what a whole one shows later
    assert fault.worst.start == at(120)
    assert (fault.before.end, fault.after.start) == (at(60), at(300))


def test_a_fault_that_came_at_once_is_a_step_and_one_that_grew_a_slope():
    slope = [window(hour) for hour in range(-6, 0)] + [window(hour, 0.05 * (hour + 1)) for hour in range(8)]
    assert find_fault(INCIDENT, STEP).shape is Shape.STEP
    assert find_fault(INCIDENT, slope).shape is Shape.SLOPE


def test_three_windows_have_no_shape():
    assert find_fault(INCIDENT, [window(0), window(1, 0.4), window(2)]).shape is Shape.UNKNOWN


def test_without_a_feature_beyond_a_threshold_there_is_no_fault():
    assert find_fault(INCIDENT, [window(hour) for hour in range(5)]) is None
    assert find_fault(INCIDENT, []) is None


def test_of_two_incidents_at_once_each_is_about_its_own_feature(tmp_path):
    both = [
        WindowFacts(
            start=one.start, end=one.end, reference_created=one.reference_created, rows=1000,
            features=one.features | {"age": two.features["age"]},
        )
        for one, two in zip(STEP, [window(0, 0.0, "age")] * 7 + [window(0, 0.2, "age")] * 5, strict=True)
    ]  # fmt: skip
    for name in ("age", "days"):
        incidents = Incidents(tmp_path / name)
        opened = record_webhook(incidents, webhook(alert(name), key=name), at(135))
        assert find_fault(opened, both).feature == name


def test_of_two_faults_the_one_at_the_time_of_the_incident_counts():
    earlier = [window(-20, 0.4), *(window(hour) for hour in range(-19, -6)), *STEP]
    assert find_fault(INCIDENT, earlier).start.earliest == at(60)


@given(st.lists(st.floats(0, 0.8), min_size=1, max_size=20))
def test_whatever_the_windows_the_start_lies_within_the_first_that_moved(shares):
    fault = find_fault(INCIDENT, [window(hour, share) for hour, share in enumerate(shares)])
    if fault is not None:
        assert fault.start.earliest <= fault.start.at <= fault.start.latest
        assert fault.start.earliest == fault.windows[0].start


# ---------------------------------------------------------------- impact


def test_the_impact_is_what_the_cells_gained_window_by_window():
    impact = impact_of(find_fault(INCIDENT, STEP), STEP)
    assert (impact.predictions, impact.affected) == (4000, 1300)
    assert impact.share == pytest.approx(0.325)


def test_windows_that_overlap_count_no_row_twice():
    overlapping = [
        WindowFacts(
            start=at(15 * number),
            end=at(15 * number + 60),
            reference_created=at(-1),
            rows=1000,
            features=window(0, 0.4).features,
        )
        for number in range(5)
    ]
    impact = impact_of(find_fault(INCIDENT, overlapping), overlapping)
    assert (impact.predictions, impact.affected) == (2000, 800)


def test_a_kpi_is_compared_with_what_it_was_before():
    told = [window(0, kpis={"ctr": 0.10}), window(1, kpis={"ctr": 0.12}), window(2, 0.4, kpis={"ctr": 0.05})]
    (kpi,) = impact_of(find_fault(INCIDENT, told), told).kpis
    assert (kpi.name, kpi.before, kpi.during) == ("ctr", pytest.approx(0.11), 0.05)


# ---------------------------------------------------------------- causes


def change(minutes: float, kind: EventKind = EventKind.PIPELINE) -> TimelineEvent:
    return TimelineEvent(
        at=at(minutes), kind=kind, source=EventSource.RESULTS, subject="batch", text="Pipeline of batch: v2."
    )


def likeliest(windows: list[WindowFacts], *events: TimelineEvent):
    return rank_causes(find_fault(INCIDENT, windows), windows, merge(events))


def test_a_change_just_before_a_step_in_one_source_is_a_pipeline_change():
    hint = likeliest(STEP, change(50))[0]
    assert hint.cause is Cause.PIPELINE
    assert hint.speaks_for[0] == "Just before the fault: Pipeline of batch: v2."
    assert "Everything that moved comes from one source, batch." in hint.speaks_for


def test_a_change_long_before_or_afterwards_says_nothing():
    for minutes in (-5000, 200):
        (hint,) = [each for each in likeliest(STEP, change(minutes)) if each.cause is Cause.PIPELINE]
        assert not any("Just before" in sign for sign in hint.speaks_for)


def test_a_slope_over_two_sources_with_valid_values_is_a_shift_of_the_world():
    slope = []
    for hour in range(-6, 8):
        share = max(0.0, 0.05 * (hour + 1))
        one = window(hour, share)
        slope.append(
            WindowFacts(
                start=one.start, end=one.end, reference_created=one.reference_created, rows=1000, severity=one.severity,
                features=one.features | {"other": window(hour, share, "other", "stream").features["other"]},
            )
        )  # fmt: skip
    assert likeliest(slope)[0].cause is Cause.SHIFT


def test_a_gap_without_any_drift_is_concept_drift():
    calm = [window(hour, gap_severity="critical", drift_type="concept") for hour in range(5)]
    assert likeliest(calm)[0].cause is Cause.CONCEPT


def test_every_cause_is_told_once_whatever_is_known():
    for windows in ([], STEP, [window(0)]):
        assert {hint.cause for hint in likeliest(windows)} == set(Cause)


# ---------------------------------------------------------------- triage


def test_a_critical_alert_that_reaches_many_is_sev_2_of_data(tmp_path):
    opened = record_webhook(Incidents(tmp_path), webhook(alert("days")), at(135))
    found = analyse(opened, IncidentEvidence(incident=opened.id, since=at(-400), until=at(400), windows=tuple(STEP)))
    assert (found.proposal.severity, found.proposal.type) == (SevLevel.SEV2, IncidentType.DATA)
    assert "32% of the predictions are affected." in found.proposal.reasons


@pytest.mark.parametrize(
    ("layer", "severity", "expected"),
    [
        ("business", "critical", (SevLevel.SEV1, IncidentType.MODEL)),
        ("system", "critical", (SevLevel.SEV2, IncidentType.SYSTEM)),
        ("model", "critical", (SevLevel.SEV3, IncidentType.MODEL)),
        ("model", "warning", (SevLevel.SEV4, IncidentType.MODEL)),
    ],
)
def test_what_the_alerts_alone_propose(tmp_path, layer, severity, expected):
    told = alert("days", severity=severity)
    told["labels"]["layer"] = layer
    proposal = analyse(record_webhook(Incidents(tmp_path), webhook(told), at(135)), None).proposal
    assert (proposal.severity, proposal.type) == expected
    assert proposal.reasons


CTR = KpiFacts(name="ctr", title="Click-through rate", during=0.08, week_before=0.10, low=-0.03, high=-0.01, query="q")
REVENUE = EventFacts(name="revenue", during=100, week_before=2_100, hours=2, unit="dollars", query="q")
BUDGET = BudgetFacts(slo="latency", before=0.9, after=0.2, query="q")


@pytest.mark.parametrize(
    ("criteria", "reason"),
    [
        (SeverityCriteria(kpi_loss={"ctr": 0.15}), "Click-through rate is 20% lower than a week before."),
        (SeverityCriteria(lost_per_hour={"revenue": 500}), "1,000 dollars of revenue an hour less than a week before."),
        (SeverityCriteria(budget_spent=0.5), "70% of the error budget of latency was spent."),
        (SeverityCriteria(affected_ratio=0.3), "32% of the predictions are affected."),
    ],
)
def test_a_criterion_of_the_spec_that_is_met_decides_with_its_reason(tmp_path, criteria, reason):
    opened = record_webhook(Incidents(tmp_path), webhook(alert("days")), at(135))
    known = IncidentEvidence(
        incident=opened.id, since=at(-400), until=at(400), windows=tuple(STEP),
        kpis=(CTR,), counts=(REVENUE,), budgets=(BUDGET,), criteria={"sev1": criteria},
    )  # fmt: skip
    proposal = analyse(opened, known).proposal
    assert proposal.severity is SevLevel.SEV1
    assert proposal.reasons[0] == reason


def test_criteria_that_are_not_met_change_nothing(tmp_path):
    opened = record_webhook(Incidents(tmp_path), webhook(alert("days")), at(135))
    strict = SeverityCriteria(kpi_loss={"ctr": 0.5}, lost_per_hour={"revenue": 5_000}, budget_spent=0.9)
    known = IncidentEvidence(
        incident=opened.id, since=at(-400), until=at(400), windows=tuple(STEP),
        kpis=(CTR,), counts=(REVENUE,), budgets=(BUDGET,), criteria={"sev1": strict},
    )  # fmt: skip
    assert analyse(opened, known).proposal.severity is SevLevel.SEV3


def test_a_kpi_whose_difference_may_be_chance_has_lost_nothing():
    by_chance = KpiFacts(name="ctr", title="CTR", during=0.08, week_before=0.10, low=-0.05, high=0.01, query="q")
    assert (CTR.loss, by_chance.loss) == (pytest.approx(0.2), None)


def test_an_incident_opened_by_hand_without_any_evidence_is_analysed_too():
    found = analyse(INCIDENT, None)
    assert (found.fault, found.impact) == (None, None)
    assert found.proposal.severity is SevLevel.SEV4


def test_the_times_are_those_of_the_incidents_own_alerts(tmp_path):
    opened = record_webhook(Incidents(tmp_path), webhook(alert("days")), at(135))
    other = TimelineEvent(
        at=at(110), kind=EventKind.NOTIFIED, source=EventSource.ALERTMANAGER, subject="another", text="x"
    )
    found = analyse(
        opened,
        IncidentEvidence(incident=opened.id, since=at(-400), until=at(400), windows=tuple(STEP), events=(other,)),
    )
    assert found.times.detected == at(135)
    assert found.times.spans["detect"].seconds == timedelta(minutes=30).total_seconds()
